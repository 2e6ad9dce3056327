//! What the benches share: rooms of the house in a directory on the disk that the build is on.

use muster::audit::{Audit, Log};
use muster::config::Settings;
use muster::domain::{AccountNumber, Event, Reason};
use muster::journal::{Append, Journal, Origin, Stream};
use muster::projections::Roster;
use muster::store::Store;
use muster::vault::Vault;
use tempfile::TempDir;

use crate::cost::{Cost, Meter};

pub use crate::testkit::fixture::directory;

/// A store in `directory`.
pub fn store(directory: &TempDir) -> Store {
    Store::open(&directory.path().join("data"), &Settings::default().store).unwrap()
}

/// What auditors see of a store that nobody else has open.
pub fn audit(store: &Store) -> Audit {
    let roster = Roster::open(store);
    let following = roster.clone();
    let journal = Journal::open(store.clone(), Box::new(move |records| following.apply(records))).unwrap();
    roster.catch_up(&journal).unwrap();
    let vault = Vault::open(store.clone(), &Settings::default().vault).unwrap();
    let log = Log::open(store, &journal, vault.log_key().unwrap()).unwrap();
    Audit::new(store.clone(), journal, roster, Some(log))
}

/// The `index`th made-up account.
pub fn account(index: u64) -> AccountNumber {
    AccountNumber::from_stored(861_821_700_000 + index).unwrap()
}

/// What an account does that nobody waits for: somebody who starts a service on it finds nothing to do.
pub fn at_rest() -> [Event; 2] {
    [Event::RecycleRequested, Event::WentOffline { reason: Reason::none(), instance_code: String::new() }]
}

/// Appends `events` online requests and recycle requests, by as many appenders as `appenders`, each with an account of
/// its own. Returns what it cost.
pub fn append(journal: &Journal, appenders: u64, events: u64) -> Cost {
    append_these(journal, appenders, events, &[Event::OnlineRequested, Event::RecycleRequested])
}

/// Likewise, the two in turn.
pub fn append_these(journal: &Journal, appenders: u64, events: u64, turns: &[Event; 2]) -> Cost {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let meter = Meter::start();
        let tasks = (0..appenders).map(|index| {
            let (journal, turns) = (journal.clone(), turns.clone());
            tokio::spawn(async move {
                let account = account(index);
                let from = journal.head_of(Stream::Account(account)).version;
                for expected_version in from..from + events / appenders {
                    let event = turns[(expected_version - from) as usize % 2].clone();
                    let at = muster::clock::now();
                    let append = Append { account, expected_version, events: vec![event], origin: Origin::SERVICE, at };
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
