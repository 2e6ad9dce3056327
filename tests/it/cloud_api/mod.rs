//! Accounts that Meta's Cloud API serves, end to end: the real binary, a Graph with every known failure, and a webhook
//! receiver.
//!
//! | file | content |
//! |---|---|
//! | `flows` | registrations and online status, in the normal case and with lost responses |
//! | `errors` | every error of Meta's, and the webhooks that follow |
//! | `bounds` | Meta's limits |
//! | `crashes` | kills at each step |
//! | `numbers` | numbers that Meta shows otherwise than they are dialled |
//! | `webhooks` | Meta's webhooks |

mod bounds;
mod crashes;
mod errors;
mod flows;
mod numbers;
mod webhooks;

use muster::domain::{Event, ProviderCall};
use muster::journal::StreamId;

use crate::calls::{code, happened, history, online, phone, post, recycle};
use crate::fixture::Fixture;
use crate::service_process::read_all_records;
use crate::testkit::requests::{CODE, ONLINE, PHONE, accounts};

/// The account of most tests, and how the API shows it online and registered.
const ACCOUNT: &str = "15550783881";
const ASKED: &str = "1/1 ";
const IS_ONLINE: &str = "1/2 ";

/// The Cloud API serves all business accounts.
async fn fixture() -> Fixture {
    Fixture::new().await.with_cloud_api().with("MUSTER_GATEWAY__RULES", "business=cloud_api")
}

/// How many calls to register or deregister an account are on record. No service may run on the directory.
fn recorded(fixture: &Fixture, account: &str) -> usize {
    let stream = StreamId::Account(account.parse().unwrap());
    let records = read_all_records(&fixture.journal());
    let of_account = records.iter().filter(|record| record.stream == stream);
    let is_counted = |event: &Event| {
        matches!(event, Event::ProviderCalled { call: ProviderCall::Register | ProviderCall::Deregister, .. })
    };
    of_account.filter(|record| record.account_event().is_some_and(|(_, event)| is_counted(event))).count()
}
