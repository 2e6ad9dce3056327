//! Operations of auditors and operators, beside the least that they could cost; and some figures without a floor.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use muster::audit::{Audit, EventFilter, ExportFormat, HistoryOrder};
use muster::domain::{Account, ContentField, ContentTexts, Event, Reason, SealedBytes};
use muster::journal::{AppendRequest, Journal, Origin, StreamId};
use muster::store::Store;
use tempfile::TempDir;

use crate::bench::RoundResult;
use crate::replay::hash_blocks;
use crate::testkit::sample::content_with;
use crate::{cost, fixture};

/// A journal of accounts that were imported, then asked online and offline in turn.
struct AuditFixture {
    audit: Audit,
    store: Store,
    directory: TempDir,
}

impl AuditFixture {
    fn new(accounts: u64, events: u64) -> AuditFixture {
        let directory = fixture::temp_directory();
        let store = fixture::store(&directory);
        let audit = fixture::open_audit(store.clone()).unwrap();
        import(audit.journal(), accounts);
        fixture::append(audit.journal(), accounts, (events / accounts).max(2) / 2 * 2 * accounts);
        AuditFixture { audit, store, directory }
    }
}

fn import(journal: &Journal, accounts: u64) {
    let content = content_with(7, |content| {
        let key = "k".repeat(44);
        content.texts = ContentTexts::from([
            (ContentField::Name, "lee"),
            (ContentField::PublicKey, &*key),
            (ContentField::MsgPublicKey, &*key),
            (ContentField::AccountId, "7"),
        ]);
        content.secrets = SealedBytes(vec![7; 540].into());
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let imports = (0..accounts).map(|index| {
            let events = vec![Event::AccountImported { content: content.clone(), reason: Reason::none() }];
            let at = muster::clock::now();
            let append = AppendRequest {
                account: fixture::account(index),
                expected_version: 0,
                events,
                origin: Origin::SERVICE,
                at,
            };
            journal.append(append)
        });
        for imported in futures_util::future::join_all(imports).await {
            imported.unwrap();
        }
    });
}

/// A full verification, beside hashing each byte once.
pub fn verify(events: u64) -> RoundResult {
    // Ten events an account: it is imported, then asked online and offline.
    let AuditFixture { audit, store, directory: _directory } = AuditFixture::new((events / 10).max(1), events);
    verify_store(&audit, &store)
}

/// The same of any store.
pub fn verify_store(audit: &Audit, store: &Store) -> RoundResult {
    let mut units = 0;
    let subject = cost::measure(|| units = audit.verify(|_, _| {}).unwrap().events);
    RoundResult { part: "", units, subject, floor: cost::measure(|| hash_blocks(store)) }
}

/// An export of all events as CloudEvents, beside encoding the same events from memory.
pub fn export(events: u64) -> RoundResult {
    let AuditFixture { audit, directory: _directory, .. } = AuditFixture::new(1_000.min(events), events);
    let mut bytes = 0;
    let count = |piece: Vec<u8>| {
        bytes += piece.len();
        ControlFlow::Continue(())
    };
    let subject = cost::measure(|| {
        audit
            .write_export(
                ExportFormat::CloudEvents,
                &EventFilter::default(),
                audit.export_range(None, None).unwrap(),
                |_, _| {},
                count,
            )
            .unwrap();
    });
    assert!(bytes > 0);
    let records = audit.journal().read_after(0, usize::MAX).unwrap();
    let floor = cost::measure(|| {
        for record in &records {
            black_box(audit.event_view(record.clone()).map(|event| event.to_json()).unwrap_or_default());
        }
    });
    RoundResult { part: "", units: records.len() as u64, subject, floor }
}

/// Prints how long it takes to load an account with this many events, with a snapshot and without.
pub fn print_activation(events: u64) {
    let AuditFixture { audit, directory: _directory, .. } = AuditFixture::new(1, events);
    let (account, journal) = (fixture::account(0), audit.journal());
    let took = || {
        let begin = Instant::now();
        let (state, read) = journal.load_account(account).unwrap();
        (begin.elapsed(), state, read)
    };
    let (without, state, read) = took();
    let fold: Account = state.clone();
    journal.save_snapshot(account, &state).unwrap();
    let (with, state, _) = took();
    assert_eq!(state, fold);
    println!("\nactivation of an account with {read} events");
    println!("    without snapshot {without:?}, with one {with:?}");
}

/// Prints the time for the first page of a history, in a journal of this many events.
pub fn print_first_page(events: u64) {
    let AuditFixture { audit, directory: _directory, .. } = AuditFixture::new(10_000.min(events), events);
    let head = audit.journal().head();
    let took: Vec<Duration> = (0..100)
        .map(|index| {
            let begin = Instant::now();
            let account = fixture::account(index * 97 % 10_000.min(events));
            let page = audit.history(account, HistoryOrder::Descending, None, &EventFilter::default(), 100).unwrap();
            assert_eq!(
                page.items.len() as u64,
                audit.journal().stream_head(StreamId::Account(account)).version.min(100)
            );
            begin.elapsed()
        })
        .collect();
    println!("\nthe first page of a history, 100 events, the last one first, in a journal of {head} events");
    println!("    median {:?}, longest {:?}", median(&took), took.iter().max().unwrap());
}

/// Prints the peak memory of a process that replays this many events.
pub fn print_replay_memory(events: u64) {
    let AuditFixture { audit, store, directory } = AuditFixture::new(10_000.min(events), events);
    let head = audit.journal().head();
    audit.journal().save_startup_checkpoint().unwrap();
    drop((audit, store));
    let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["replay", "-o", "jsonl", "--data-dir"])
        .arg(directory.path().join("data"))
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (begin, mut most) = (Instant::now(), 0);
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(most);
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = begin.elapsed();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    println!("\nreplay of {head} events by the command line: {took:?}, at most {} MiB resident", most / 1024);
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}
