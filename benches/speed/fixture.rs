//! Shared by the benches: data directories on the disk of the build, and events to append.

use muster::domain::{AccountNumber, Event, Reason};
use muster::journal::{AppendRequest, Journal, Origin, StreamId};
use muster::store::Store;
use tempfile::TempDir;

use crate::cost::{Cost, CostMeter};

pub use crate::testkit::fixture::{open_audit, open_journal, open_store, temp_directory};

/// A store in `directory`.
pub fn store(directory: &TempDir) -> Store {
    open_store(&directory.path().join("data"))
}

/// The `index`th made-up account.
pub fn account(index: u64) -> AccountNumber {
    AccountNumber::from_stored(861_821_700_000 + index).unwrap()
}

/// Events after which an account has no pending effect: a service that starts on it has nothing to do.
pub fn at_rest() -> [Event; 2] {
    [
        Event::RecycleRequested { reason: Reason::none() },
        Event::WentOffline { reason: Reason::none(), instance_code: String::new() },
    ]
}

/// Appends `events` online and recycle requests by `appenders` tasks, each with an account of its own. Returns the
/// cost.
pub fn append(journal: &Journal, appenders: u64, events: u64) -> Cost {
    append_these(
        journal,
        appenders,
        events,
        &[Event::OnlineRequested { reason: Reason::none() }, Event::RecycleRequested { reason: Reason::none() }],
    )
}

/// Likewise, the two in turn.
pub fn append_these(journal: &Journal, appenders: u64, events: u64, turns: &[Event; 2]) -> Cost {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let meter = CostMeter::start();
        let tasks = (0..appenders).map(|index| {
            let (journal, turns) = (journal.clone(), turns.clone());
            tokio::spawn(async move {
                let account = account(index);
                let from = journal.stream_head(StreamId::Account(account)).version;
                for expected_version in from..from + events / appenders {
                    let event = turns[(expected_version - from) as usize % 2].clone();
                    let at = muster::clock::now();
                    let append =
                        AppendRequest { account, expected_version, events: vec![event], origin: Origin::SERVICE, at };
                    journal.append(append).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        meter.stop()
    })
}
