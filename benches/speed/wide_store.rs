//! The store of a large company: a million accounts, twenty events each, interleaved. Read, verified, started on.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use muster::config::Settings;
use muster::domain::{AccountNumber, AccountType, Content, ContentField, ContentTexts, Event, Reason};
use muster::journal::{AppendRequest, Journal, Origin};
use muster::projections::Roster;
use muster::store::Store;
use muster::vault::{PlaintextContent, Vault};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::bench::{RoundResult, Scale};
use crate::cost::{self, Cost, CostMeter};
use crate::replay::{self, hash_blocks};
use crate::service::ServiceProcess;
use crate::{audit, fixture, http};

/// Events of each account.
const EVENTS: u64 = 20;
/// Concurrent appends.
const TOGETHER: usize = 4_096;

/// The closed store. It is deleted at the end of the run.
pub struct WideStore {
    directory: TempDir,
    /// Its accounts.
    pub numbers: Vec<u64>,
}

impl WideStore {
    /// Builds it through the journal, and prints the cost.
    pub fn build(accounts: u64) -> WideStore {
        let begin = Instant::now();
        let wide = WideStore { directory: fixture::temp_directory(), numbers: http::numbers(accounts).collect() };
        let store = fixture::store(&wide.directory);
        let vault = Vault::open(store.clone(), &Settings::default().vault).unwrap();
        let (roster, journal) = Roster::open_with_journal(&store).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let mut order = wide.numbers.clone();
        for version in 0..EVENTS {
            // Another order each time: neighbours in one part of the journal are apart in the next.
            fastrand::Rng::with_seed(version).shuffle(&mut order);
            runtime.block_on(append_to_each(&journal, &vault, &order, version));
        }
        journal.save_startup_checkpoint().unwrap();
        roster.save_checkpoint(&store).unwrap();
        store.flush().unwrap();
        let (events, bytes) = (journal.head(), store.disk_bytes().unwrap());
        assert_eq!(events, accounts * EVENTS);
        println!(
            "    built a store of {accounts} accounts and {events} events in {:.1} s; it takes {} MiB of disk",
            begin.elapsed().as_secs_f64(),
            bytes >> 20
        );
        wide
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The store, open. It must be closed before a service starts on it.
    pub fn open(&self) -> Store {
        fixture::store(&self.directory)
    }
}

/// Appends to each of these accounts, in this order, the event that follows `version`.
async fn append_to_each(journal: &Journal, vault: &Vault, order: &[u64], version: u64) {
    let appenders = order.chunks(order.len().div_ceil(4)).map(|share| {
        let (journal, vault, share) = (journal.clone(), vault.clone(), share.to_vec());
        tokio::spawn(async move {
            for together in share.chunks(TOGETHER) {
                let appends = together.iter().map(|number| {
                    let account = AccountNumber::from_stored(*number).unwrap();
                    let (events, at) = (vec![event(&vault, account, version)], muster::clock::now());
                    journal.append(AppendRequest {
                        account,
                        expected_version: version,
                        events,
                        origin: Origin::SERVICE,
                        at,
                    })
                });
                for appended in join_all(appends).await {
                    appended.unwrap();
                }
            }
        })
    });
    for appender in appenders.collect::<Vec<_>>() {
        appender.await.unwrap();
    }
}

/// The event of an account at `version`: imported, online and offline four times, replaced content, banned for a while.
/// Afterwards it is offline, with no pending effect.
fn event(vault: &Vault, account: AccountNumber, version: u64) -> Event {
    let instance_code = String::new();
    match (version, version % 4) {
        (0, _) => Event::AccountImported { content: content(vault, account, "12345"), reason: Reason::none() },
        (17, _) => Event::ContentReplaced { content: content(vault, account, "12346"), reason: Reason::none() },
        (18, _) => Event::Banned { reason: Reason::none(), instance_code },
        (19, _) => Event::BanLifted,
        (_, 1) => Event::OnlineRequested { reason: Reason::none() },
        (_, 2) => Event::CameOnline { instance_code },
        (_, 3) => Event::RecycleRequested { reason: Reason::none() },
        (_, _) => Event::WentOffline { reason: Reason::none(), instance_code },
    }
}

/// Content as long as in [`batch_body`](crate::service::batch_body), sealed under the account's own key.
fn content(vault: &Vault, account: AccountNumber, registration_id: &str) -> Arc<Content> {
    let (key, parameters, number) = ("k".repeat(44), "p".repeat(400), account.to_string());
    let clear = PlaintextContent {
        account_type: AccountType::Personal,
        texts: ContentTexts::from([
            (ContentField::Name, "lee"),
            (ContentField::Avatar, "wwww.baiux.com/1.img"),
            (ContentField::PublicKey, &*key),
            (ContentField::PrivateKey, &*key),
            (ContentField::MsgPublicKey, &*key),
            (ContentField::MsgPrivateKey, &*key),
            (ContentField::AccountId, &*number),
            (ContentField::NextKeyId, "1"),
            (ContentField::RegistrationId, registration_id),
            (ContentField::DeviceParams, &*parameters),
        ]),
    };
    vault.seal_content(account, &clear).unwrap()
}

/// A full replay, beside hashing each byte once.
pub fn replay(scale: &Scale) -> Vec<RoundResult> {
    let store = scale.wide().open();
    let journal = fixture::open_journal(store.clone());
    vec![replay::replay_store(&journal, &store)]
}

/// A full verification, beside hashing each byte once.
pub fn verify(scale: &Scale) -> Vec<RoundResult> {
    let store = scale.wide().open();
    vec![audit::verify_store(&fixture::open_audit(store.clone()).unwrap(), &store)]
}

/// A start without `cache/`, beside opening the store and hashing each byte of its blocks once; and a start with it,
/// beside opening the store and hashing each byte under `cache/` once.
pub fn start(scale: &Scale) -> Vec<RoundResult> {
    let wide = scale.wide();
    start_on(&wide.data(), wide.numbers.len() as u64 * EVENTS, ["", "/cached"])
}

/// The same on any data directory with `units` units. `parts` are the names of the two.
pub fn start_on(data: &Path, units: u64, parts: [&'static str; 2]) -> Vec<RoundResult> {
    let cache = data.join("cache");
    let open = || fixture::open_store(data);
    std::fs::remove_dir_all(&cache).unwrap();
    let without = time_to_ready(data);
    let with = time_to_ready(data);
    let whole = cost::measure(|| hash_blocks(&open()));
    let cached = cost::measure(|| {
        let _store = open();
        for file in std::fs::read_dir(&cache).unwrap() {
            black_box(Sha256::digest(std::fs::read(file.unwrap().path()).unwrap()));
        }
    });
    let seconds = |cost: Cost| cost.time.as_secs_f64();
    println!("    ready after {:.2} s without cache/, after {:.2} s with it", seconds(without), seconds(with));
    let round = |part, subject, floor| RoundResult { part, units, subject, floor };
    vec![round(parts[0], without, whole), round(parts[1], with, cached)]
}

/// The cost of a start until the service is ready.
fn time_to_ready(data: &Path) -> Cost {
    let meter = CostMeter::start();
    let service = ServiceProcess::start(data, &[]);
    let cost = meter.stop();
    cost.with_process(service.cpu())
}
