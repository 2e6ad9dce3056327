//! Whole journals that earlier versions of this program wrote. This version opens, verifies and replays each.
//!
//! A golden file holds the blocks of a journal, one per line: first position, bytes. When the format changes, keep
//! the old file and add a new one here.

use std::fmt::Write;
use std::fs;

use super::encoding::{golden, hex, unhex};
use super::*;

/// One journal per format, and what it holds; the current format last.
const JOURNALS: [(&str, &str); 3] = [
    ("journal_format_1", "journals_folded"),
    ("journal_format_2", "journals_folded_2"),
    ("journal_format_3", "journals_folded_3"),
];

/// Their events: every type, in histories that the rules allow.
async fn append_sample_history(fixture: &JournalFixture) {
    let [
        imported,
        replaced,
        online,
        came,
        recycle,
        offline,
        banned,
        lifted,
        requested,
        sent,
        submitted,
        registered,
        ..,
    ] = sample_events();
    let failed = Event::RegistrationFailed { reason: Reason::new("wrong code"), attempt: 1, still_waiting: true };
    fixture.append(1, 0, &[imported, online]).await.unwrap();
    fixture.append(2, 0, &[requested]).await.unwrap();
    fixture.append(1, 2, &[came]).await.unwrap();
    fixture.append(2, 1, &[sent, submitted.clone()]).await.unwrap();
    fixture.append(1, 3, &[replaced]).await.unwrap();
    fixture.append(1, 4, &[recycle]).await.unwrap();
    fixture.append(2, 3, &[failed]).await.unwrap();
    fixture.append(1, 5, &[offline]).await.unwrap();
    // The administrative events of the first release. The bytes of later ones are in `journal_payloads`.
    for event in sample_journal_events().into_iter().skip(sample_events().len()).take(3) {
        let JournalEvent::Administration(entry) = event else { continue };
        let origin = Origin { principal: Principal::Operator(2), request: RequestId(9) };
        fixture.journal.append_administrative_event(entry, origin, Timestamp(1_700_000_000_500_000)).await.unwrap();
    }
    fixture.append(1, 6, &[banned]).await.unwrap();
    fixture.append(2, 4, &[submitted, registered]).await.unwrap();
    fixture.append(1, 7, &[lifted]).await.unwrap();
}

#[tokio::test]
async fn a_journal_has_its_bytes() {
    let fixture = JournalFixture::new();
    append_sample_history(&fixture).await;
    let block = |block: Result<(u64, store::StoredValue), store::Error>| {
        block.map(|(first, it)| format!("{first} {}", hex(&it)))
    };
    let blocks: Vec<String> = fixture.store.blocks_from(0).map(|it| block(it).unwrap()).collect();
    golden("journal_format_3", &blocks.join("\n"));
}

#[tokio::test]
async fn journals_of_all_formats_are_read() {
    for (name, folded) in JOURNALS {
        let text = fs::read_to_string(format!("{}/snapshots/{name}.snap", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let (_, lines) = text.trim_start_matches("---").split_once("\n---\n").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = open_store(directory.path());
        for line in lines.lines() {
            let (first, block) = line.split_once(' ').unwrap();
            store.append(&[(first.parse().unwrap(), unhex(block))]).unwrap();
        }
        drop(store);
        let fixture = JournalFixture::open(directory).unwrap();
        let mut accounts = [Account::initial(), Account::initial()];
        let mut happened = String::new();
        let report = fixture.journal.verify_with(|record| {
            writeln!(happened, "{:>2} {:?}", record.position, record.event).unwrap();
            let Some((number, event)) = record.account_event() else { return Ok(()) };
            let state = if number == account(1) { &mut accounts[0] } else { &mut accounts[1] };
            assert!(state.is_valid_next(event), "{name}: {event:?}");
            state.evolve(event);
            Ok(())
        });
        assert_eq!(report.unwrap().events, fixture.journal.head());
        assert_eq!(accounts, [1, 2].map(|number| fixture.journal.load_account(account(number)).unwrap().0), "{name}");
        let [first, second] = accounts;
        golden(folded, &format!("{happened}\n{first:#?}\n{second:#?}"));
    }
}
