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

use muster::domain::{Event, ProviderCall};
use muster::journal::StreamId;

use crate::calls::{code, happened, history, online, phone, post, recycle};
use crate::fixture::Fixture;
use crate::service_process::read_all_records;
use crate::testkit::requests::{CODE, ONLINE, PHONE, accounts};

/// The account of most tests, and how it is shown online and registered.
const ACCOUNT: &str = "15550783881";
const ASKED: &str = "1/1 ";
const IS_ONLINE: &str = "1/2 ";

/// Business accounts are those of the Cloud API.
async fn fixture() -> Fixture {
    Fixture::new().await.with_cloud_api().with("MUSTER_GATEWAY__RULES", "business=cloud_api")
}

/// How many calls to register or deregister an account are on record. Nothing runs on the data.
fn recorded(fixture: &Fixture, account: &str) -> usize {
    let stream = StreamId::Account(account.parse().unwrap());
    let records = read_all_records(&fixture.journal());
    let of_account = records.iter().filter(|record| record.stream == stream);
    let is_counted = |event: &Event| {
        matches!(event, Event::ProviderCalled { call: ProviderCall::Register | ProviderCall::Deregister, .. })
    };
    of_account.filter(|record| record.account_event().is_some_and(|(_, event)| is_counted(event))).count()
}
