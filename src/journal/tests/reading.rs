//! Pages, single records, and accounts with and without snapshots.

use std::ops::ControlFlow;

use super::*;
use crate::domain::Account;
use crate::store::Table;

#[tokio::test]
async fn pages_of_any_size_cover_all_records() {
    let fixture = JournalFixture::new();
    fixture.fill(3, 40).await;
    let several = vec![Event::CodeSent; 30];
    fixture.append(9, 0, &several).await.unwrap();
    let all = fixture.all();
    assert_eq!(all.iter().map(|record| record.position).collect::<Vec<_>>(), (1..=70).collect::<Vec<_>>());
    for size in [1, 2, 7, 69, 70, 71] {
        let mut paged = Vec::new();
        loop {
            let page = fixture.journal.read_after(paged.len() as u64, size).unwrap();
            assert!(page.len() <= size);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all, "pages of {size}");
    }
    for position in [70, 71, u64::MAX] {
        assert_eq!(fixture.journal.read_after(position, 10).unwrap(), vec![], "nothing is after {position}");
    }
    for record in &all {
        assert_eq!(fixture.journal.read_at(record.position).unwrap().as_ref(), Some(record));
    }
    for position in [0, 71, u64::MAX] {
        assert_eq!(fixture.journal.read_at(position).unwrap(), None, "nothing is at {position}");
    }
}

#[tokio::test]
async fn a_backward_scan_examines_at_most_the_limit() {
    let fixture = JournalFixture::new();
    fixture.fill(3, 40).await;
    // A block with several records in the middle.
    fixture.append(9, 0, &vec![Event::CodeSent; 30]).await.unwrap();
    fixture.append(9, 30, &[Event::CodeSent]).await.unwrap();
    let head = fixture.journal.head();
    for position in [0, 1, 2, 41, 55, 71, head, head + 1, u64::MAX] {
        for most in [1, 7, 30, head, u64::MAX] {
            let mut seen = Vec::new();
            let take = |record: JournalRecord| {
                seen.push(record.position);
                ControlFlow::Continue(())
            };
            let end = fixture.journal.scan_back(position, most, |glance| glance.position % 2 == 0, take).unwrap();
            let last = head.min(position.saturating_sub(1));
            assert_eq!(end, last.saturating_sub(most) + 1, "before {position}, at most {most}");
            let expected: Vec<u64> = (end..=last).rev().filter(|at| at % 2 == 0).collect();
            assert_eq!(seen, expected, "before {position}, at most {most}");
        }
    }
    let broken_off = fixture.journal.scan_back(56, u64::MAX, |_| true, |_| ControlFlow::Break(()));
    assert_eq!(broken_off.unwrap(), 55);
}

#[tokio::test]
async fn an_account_is_the_fold_of_its_events() {
    let fixture = JournalFixture::new();
    fixture.fill(3, 40).await;
    for number in 0..3 {
        assert_eq!(
            fixture.journal.load_account(account(number)).unwrap(),
            (replay_account(&fixture, number, u64::MAX), 40 / 3 + u64::from(number < 1))
        );
    }
    assert_eq!(
        fixture.journal.load_account(account(9)).unwrap(),
        (Account::initial(), 0),
        "nothing ever happened to this one"
    );
}

#[tokio::test]
async fn a_snapshot_spares_the_events_before_it() {
    let fixture = JournalFixture::new();
    fixture.fill(1, 13).await;
    // Test every version, because different parts of the state are set in each: content, registration, code, reason.
    for version in 0..=13 {
        fixture.journal.save_snapshot(account(0), &replay_account(&fixture, 0, version)).unwrap();
        assert_eq!(
            fixture.journal.load_account(account(0)).unwrap(),
            (replay_account(&fixture, 0, u64::MAX), 13 - version)
        );
    }
}

/// A snapshot is a cache. If a byte of the snapshot is changed or missing, the history is read instead.
#[tokio::test]
async fn a_damaged_snapshot_is_ignored() {
    let fixture = JournalFixture::new();
    fixture.fill(1, 11).await;
    let state = replay_account(&fixture, 0, 11);
    fixture.journal.save_snapshot(account(0), &state).unwrap();
    assert_eq!(fixture.journal.load_account(account(0)).unwrap(), (state.clone(), 0), "a whole one is the state");
    let key = account(0).get().to_be_bytes();
    let whole = fixture.store.get(Table::Snapshots, &key).unwrap().unwrap();
    let flipped = (0..whole.len()).map(|at| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1;
        bytes
    });
    let cut = (0..whole.len()).map(|end| whole[..end].to_vec());
    for damaged in flipped.chain(cut) {
        fixture.store.put(Table::Snapshots, &key, &damaged).unwrap();
        assert_eq!(fixture.journal.load_account(account(0)).unwrap(), (state.clone(), 11), "{damaged:02x?}");
    }
}

/// Simulates a restored store whose snapshots are newer than its journal.
#[tokio::test]
async fn a_snapshot_ahead_of_the_history_is_ignored() {
    let fixture = JournalFixture::new();
    fixture.fill(1, 3).await;
    let state = replay_account(&fixture, 0, 3);
    fixture.journal.save_snapshot(account(0), &Account { version: 4, latest_session: 9, ..state.clone() }).unwrap();
    assert_eq!(fixture.journal.load_account(account(0)).unwrap(), (state, 3));
}

#[tokio::test]
async fn an_event_of_a_newer_program_is_named() {
    let fixture = JournalFixture::new();
    fixture.fill(1, 1).await;
    let directory = fixture.close();
    append_unknown_event(&open_store(directory.path()), 2, 99);
    let fixture = JournalFixture::open(directory).unwrap();
    let expected = "position 2 has event type 99 version 1, which this program does not know; \
                    use the program that wrote it, or a newer one";
    assert_eq!(fixture.journal.load_account(account(0)).unwrap_err().to_string(), expected, "nobody acts on it");
    // Readers see the event as stored, and it can be proved like any other.
    let unknown = JournalEvent::Unknown(UnknownEvent { event_type: 99, schema: 1, payload: Box::default() });
    assert_eq!(fixture.journal.read_at(2).unwrap().unwrap().event, unknown);
    assert_eq!(fixture.all()[1].event, unknown);
    assert_eq!(fixture.journal.verify().unwrap().events, 2);
}

/// Puts a block at position 2 whose only record has this type.
fn append_unknown_event(store: &Store, position: u64, event_type: u16) {
    let (_, first) = store.block_at(1).unwrap().unwrap();
    let (mut tree, mut block) = (MerkleTree::default(), block::BlockBuilder::default());
    for record in Block::decode(&first).unwrap().records() {
        tree.push(record);
    }
    let sequence = record::SequenceInfo {
        stream: account_stream(0),
        position,
        version: position,
        previous: position - 1,
        at: Timestamp(0),
        origin: Origin::SERVICE,
    };
    let draft = record::UnsequencedRecord { event_type, schema: 1, payload: vec![] };
    block.push(&mut tree, |out| draft.encode_into(&sequence, out));
    store.append(&[(position, block.finish(tree.root()))]).unwrap();
}

/// The account after its first `versions` events, replayed from reads by position.
fn replay_account(fixture: &JournalFixture, number: u64, versions: u64) -> Account {
    let mut state = Account::initial();
    fixture
        .all()
        .iter()
        .filter(|record| record.stream == account_stream(number) && record.version <= versions)
        .for_each(|record| state.evolve(require_account_event(record).unwrap()));
    state
}
