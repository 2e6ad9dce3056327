//! Accounts that a gateway serves over the bridge, end to end: the real binary, a scripted gateway that counts what it
//! does, and a webhook receiver.
//!
//! | file | content |
//! |---|---|
//! | `scripted_gateway` | the scripted gateway |
//! | `flows` | sessions and registrations, by push and by pull |
//! | `reports` | which reports are accepted, and how often |
//! | `crashes` | kills at each step |
//! | `restores` | a gateway that knows what a restore lost |
//! | `starts` | a start without the bridge's settings |

mod crashes;
mod flows;
mod reports;
mod restores;
pub mod scripted_gateway;
mod starts;

use serde_json::json;

use crate::calls::{code, happened, metric, phone, post, recycle};
use crate::fixture::Fixture;
use crate::service_process::ServiceProcess;
use crate::testkit::requests::{ONLINE, account_with, list};

/// The account of most tests, and how the API shows it.
const ACCOUNT: &str = "861821726232";
const IS_ONLINE: &str = "1/2 ";
const IS_OFFLINE: &str = "1/4 ";

/// All accounts are served by a gateway that commands are pushed to.
async fn pushing() -> Fixture {
    Fixture::new().await.with_push().with("MUSTER_GATEWAY__DEFAULT", "bridge")
}

/// All accounts are served by a gateway that fetches its commands.
async fn pulling() -> Fixture {
    Fixture::new().await.with_pull().with("MUSTER_GATEWAY__DEFAULT", "bridge")
}

fn batch(numbers: &[String]) -> String {
    let fields = json!({"publicKey": "public", "privateKey": "private", "deviceParams": "parameters"});
    list(numbers.iter().map(|number| account_with(number, &fields)))
}

async fn bring_online(muster: &ServiceProcess, number: &str) {
    post(muster, ONLINE, batch(&[number.to_owned()])).await;
}
