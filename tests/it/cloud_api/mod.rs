//! Accounts that Meta's Cloud API serves, end to end: the real binary, a Graph that fails in every known way, and a
//! receiver of what callers are told.
//!
//! | file | what it does |
//! |---|---|
//! | `flows` | registrations and presence, as they should go and as they may |
//! | `errors` | every error of Meta's, and what is told of it |
//! | `bounds` | what Meta counts, and when it is left alone |
//! | `crashes` | killed at each step |
//! | `webhooks` | what Meta sends |

mod bounds;
mod crashes;
mod errors;
mod flows;
mod webhooks;

use muster::config::Settings;
use muster::domain::{Event, ProviderCall};
use muster::journal::{Journal, Stream};
use muster::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::graph::{APP_SECRET, Graph, TOKEN, VERIFY_TOKEN, WABA};
use crate::muster::{Answer, Delivery, Muster, Receiver, directory, read_all, told_about};

const ONLINE: &str = "/group-dispatch-api/whatsapp/batchOnline";
const RECYCLE: &str = "/group-dispatch-api/whatsapp/batchRecycle";
const PHONE: &str = "/group-dispatch-api/register/submitPhone";
const CODE: &str = "/group-dispatch-api/register/submitVerifyCode";

/// The account of most tests, and how it is shown online and registered.
const ACCOUNT: &str = "15550783881";
const ASKED: &str = "1/1 ";
const IS_ONLINE: &str = "1/2 ";

/// A Graph, a receiver, and a place for the data of the services that are started one after the other.
struct House {
    graph: Graph,
    receiver: Receiver,
    data: TempDir,
    more: Vec<(String, String)>,
}

impl House {
    async fn new(more: &[(&str, &str)]) -> House {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        House { graph: Graph::start().await, receiver: Receiver::start().await, data: directory(), more }
    }

    /// Starts the service on what is there.
    fn start(&self) -> Muster {
        let own = [
            ("MUSTER_WEBHOOKS__BASE_URL", self.receiver.base.as_str()),
            ("MUSTER_GATEWAY__RULES", "business=cloud_api"),
            ("MUSTER_GATEWAY__CLOUD_API__BASE_URL", self.graph.base.as_str()),
            ("MUSTER_GATEWAY__CLOUD_API__WABA_ID", WABA),
            ("MUSTER_GATEWAY__CLOUD_API__TOKEN", TOKEN),
            ("MUSTER_GATEWAY__CLOUD_API__APP_SECRET", APP_SECRET),
            ("MUSTER_GATEWAY__CLOUD_API__VERIFY_TOKEN", VERIFY_TOKEN),
            ("MUSTER_GATEWAY__CLOUD_API__VERIFIED_NAME", "Lucky Shrub"),
            ("MUSTER_GATEWAY__CLOUD_API__CALLS_PER_SECOND", "1000"),
        ];
        let more = self.more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Muster::start(self.data.path(), &own.into_iter().chain(more).collect::<Vec<_>>())
    }

    /// Waits until the last thing that is told of an account is this.
    async fn told(&self, account: &str, last: &str) {
        let is_last = |all: &[Delivery]| told_about(all, account).last().is_some_and(|told| told.starts_with(last));
        self.receiver.until(&format!("{last:?} of {account}"), is_last).await;
    }

    /// How many calls to register or deregister an account are on record. Nothing runs on the data.
    fn recorded(&self, account: &str) -> usize {
        let settings = Settings::default();
        let store = Store::open(self.data.path(), &settings.store).unwrap();
        let journal = Journal::open(store, Box::new(|_| {})).unwrap();
        let stream = Stream::Account(account.parse().unwrap());
        let records = read_all(&journal);
        let of_account = records.iter().filter(|record| record.stream == stream);
        let is_counted = |event: &Event| {
            matches!(event, Event::ProviderCalled { call: ProviderCall::Register | ProviderCall::Deregister, .. })
        };
        of_account.filter(|record| record.event().is_some_and(|(_, event)| is_counted(event))).count()
    }
}

/// Business accounts in a batch.
fn batch(numbers: &[&str]) -> String {
    let account = |number: &&str| {
        json!({"whatsApp": number, "whatsappType": 2, "override": false, "name": "lee", "publicKey": "",
            "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "", "accountId": "", "nextKeyId": "",
            "registrationId": "", "deviceParams": ""})
    };
    json!({"whatsAppList": numbers.iter().map(account).collect::<Vec<_>>()}).to_string()
}

async fn online(muster: &Muster, number: &str) {
    let answer = muster.post(ONLINE, batch(&[number])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn recycle(muster: &Muster, number: &str) {
    let answer = muster.post(RECYCLE, json!({"whatsAppList": [number]}).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Submits the phone of an account of calling code 1.
async fn phone(muster: &Muster, number: &str, verify_type: u8, account_type: u8) -> Answer {
    let body = json!({"phone": &number[1..], "verifyType": verify_type, "accountType": account_type, "areaCode": "+1",
        "countryCode": "US"});
    muster.post(PHONE, body.to_string()).await
}

async fn code(muster: &Muster, number: &str, code: &str) -> Answer {
    muster.post(CODE, json!({"phone": &number[1..], "verifyCode": code, "areaCode": "+1"}).to_string()).await
}

/// What happened to an account, oldest first: the type of each event, and its reason if it has one.
async fn history(muster: &Muster, number: &str) -> Vec<String> {
    let page = muster.get(&format!("/api/v1/accounts/{number}/events?limit=1000")).await.json();
    let events = page["events"].as_array().unwrap_or_else(|| panic!("{page}")).clone();
    let words = |event: Value| {
        let (name, data) = (event["type"].as_str().unwrap().to_owned(), event["data"].clone());
        let name = muster::audit::name_in(&name).to_owned();
        [Some(name.as_str()), data["reason"].as_str().filter(|reason| !reason.is_empty())]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ")
    };
    events.into_iter().map(words).collect()
}

/// Waits until this has happened to an account.
async fn happened(muster: &Muster, number: &str, what: &str) {
    for _ in 0..2_000 {
        if history(muster, number).await.iter().any(|event| event.starts_with(what)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen to {number}; this did: {:#?}", history(muster, number).await);
}
