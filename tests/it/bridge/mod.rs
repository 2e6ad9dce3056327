//! Accounts that a gateway serves over the bridge, end to end: the real binary, a scripted gateway that keeps its word and
//! counts what it does, and a receiver of what callers are told.
//!
//! | file | what it does |
//! |---|---|
//! | `gateway` | the scripted gateway |
//! | `flows` | sessions and registrations, by push and by pull |
//! | `reports` | which reports are taken, and how often |
//! | `crashes` | killed at each step |
//! | `starts` | a start without the bridge's settings |

mod crashes;
mod flows;
pub mod gateway;
mod reports;
mod starts;

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::gateway_check::SECRET;
use crate::muster::{Answer, Delivery, Muster, Receiver, directory, told_about};
use gateway::Gateway;

const ONLINE: &str = "/group-dispatch-api/whatsapp/batchOnline";
const RECYCLE: &str = "/group-dispatch-api/whatsapp/batchRecycle";
const PHONE: &str = "/group-dispatch-api/register/submitPhone";
const CODE: &str = "/group-dispatch-api/register/submitVerifyCode";

/// The account of most tests, and how it is shown.
const ACCOUNT: &str = "861821726232";
const IS_ONLINE: &str = "1/2 ";
const IS_OFFLINE: &str = "1/4 ";

/// A gateway, a receiver, and a place for the data of the services that are started one after the other.
struct House {
    gateway: Gateway,
    receiver: Receiver,
    data: TempDir,
    more: Vec<(&'static str, String)>,
}

impl House {
    /// With a gateway that is sent its commands.
    async fn pushing() -> House {
        let mut house = House::pulling().await;
        house.more.push(("MUSTER_GATEWAY__BRIDGE__URL", house.gateway.base.clone()));
        house
    }

    /// With one that fetches them.
    async fn pulling() -> House {
        House {
            gateway: Gateway::start().await,
            receiver: Receiver::start().await,
            data: directory(),
            more: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> House {
        self.more.push((name, value.to_owned()));
        self
    }

    /// Starts the service on what is there; the gateway reports to it from then on.
    fn start(&self) -> Muster {
        let own = [
            ("MUSTER_WEBHOOKS__BASE_URL", self.receiver.base.as_str()),
            ("MUSTER_GATEWAY__DEFAULT", "bridge"),
            ("MUSTER_GATEWAY__BRIDGE__SECRET", SECRET),
        ];
        let more = self.more.iter().map(|(name, value)| (*name, value.as_str()));
        let muster = Muster::start(self.data.path(), &own.into_iter().chain(more).collect::<Vec<_>>());
        self.gateway.report_to(&muster.url(""));
        muster
    }

    /// Waits until the last thing that is told of an account is this.
    async fn told(&self, account: &str, last: &str) {
        let is_last = |all: &[Delivery]| told_about(all, account).last().is_some_and(|told| told.starts_with(last));
        self.receiver.until(&format!("{last:?} of {account}"), is_last).await;
    }

    /// What callers were told of an account, which is what happened to it.
    fn all_told(&self, account: &str) -> Vec<String> {
        self.receiver.told_about(account)
    }
}

fn batch(numbers: &[String]) -> String {
    let account = |number: &String| {
        json!({"whatsApp": number, "whatsappType": 1, "override": false, "name": "lee", "publicKey": "public",
            "privateKey": "private", "msgPublicKey": "", "msgPrivateKey": "", "accountId": "17",
            "deviceParams": "parameters"})
    };
    json!({"whatsAppList": numbers.iter().map(account).collect::<Vec<_>>()}).to_string()
}

async fn online(muster: &Muster, number: &str) {
    let answer = muster.post(ONLINE, batch(&[number.to_owned()])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn recycle(muster: &Muster, number: &str) {
    let answer = muster.post(RECYCLE, json!({"whatsAppList": [number]}).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Submits the phone of an account of calling code 86.
async fn phone(muster: &Muster, number: &str) {
    let body =
        json!({"phone": &number[2..], "verifyType": 1, "accountType": 2, "areaCode": "+86", "countryCode": "CN"});
    let answer = muster.post(PHONE, body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn code(muster: &Muster, number: &str, code: &str) {
    let answer: Answer =
        muster.post(CODE, json!({"phone": &number[2..], "verifyCode": code, "areaCode": "+86"}).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// The value of a metric.
async fn metric(muster: &Muster, series: &str) -> u64 {
    let text = muster.get("/metrics").await.text;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("there is no {series}")).parse().unwrap()
}

/// Waits until this has happened to an account.
async fn happened(muster: &Muster, number: &str, what: &str) {
    for _ in 0..2_000 {
        let page = muster.get(&format!("/api/v1/accounts/{number}/events?limit=1000")).await;
        if page.text.contains(&format!("muster.account.{what}.v1")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen to {number}");
}
