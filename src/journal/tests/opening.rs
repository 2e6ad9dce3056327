//! Starts with and without a checkpoint, with a damaged checkpoint, with a damaged journal.

use std::fs;

use super::*;

/// The state that a start must recover.
#[derive(Debug, PartialEq)]
struct ReopenedState {
    root: (u64, Root),
    accounts: usize,
    heads: Vec<StreamHead>,
    records: Vec<JournalRecord>,
}

fn read_state(fixture: &JournalFixture) -> ReopenedState {
    ReopenedState {
        root: fixture.journal.root(),
        accounts: fixture.journal.account_count(),
        heads: (0..6).map(|number| fixture.journal.stream_head(account_stream(number))).collect(),
        records: fixture.all(),
    }
}

#[tokio::test]
async fn a_start_recovers_the_state() {
    let fixture = JournalFixture::new();
    assert_eq!(
        fixture.journal.root().1.to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    fixture.fill(5, 21).await;
    let before = read_state(&fixture);
    let fixture = fixture.reopened();
    assert_eq!(read_state(&fixture), before, "without a checkpoint");
    fixture.journal.save_startup_checkpoint().unwrap();
    let fixture = fixture.reopened();
    assert_eq!(read_state(&fixture), before, "with one");
    let samples = sample_events();
    fixture.append(5, 0, &samples).await.unwrap();
    let before = read_state(&fixture);
    let fixture = fixture.reopened();
    assert_eq!(read_state(&fixture), before, "with one, and events after it");
    let appended = fixture.append(5, samples.len() as u64, &[Event::BanLifted]).await.unwrap();
    assert_eq!(appended[0].position, 22 + samples.len() as u64, "it continues where it was");
    fixture.journal.verify().unwrap();
}

/// The heads of a checkpoint may be newer than its tree, because they are collected while the writer goes on.
#[tokio::test]
async fn a_checkpoint_with_newer_heads_is_brought_to_one_point() {
    let fixture = JournalFixture::new();
    fixture.fill(2, 4).await;
    let (position, tree) = fixture.journal.shared.tree.lock().unwrap().clone();
    fixture.fill_on(2, 4, 9).await;
    let checkpoint = StartupCheckpoint::encode(
        fixture.store.id(),
        position,
        &tree,
        &[],
        &Generations::default(),
        &fixture.journal.shared.heads,
    );
    fixture.store.save_cache(STARTUP_CHECKPOINT, &checkpoint).unwrap();
    let before = read_state(&fixture);
    assert_eq!(read_state(&fixture.reopened()), before);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_ignored() {
    let fixture = JournalFixture::new();
    fixture.fill(5, 21).await;
    fixture.journal.save_startup_checkpoint().unwrap();
    let before = read_state(&fixture);
    let mut directory = fixture.close();
    let path = directory.path().join("cache").join(STARTUP_CHECKPOINT);
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    for damaged in [vec![], flipped, whole[..whole.len() - 1].to_vec()] {
        fs::write(&path, damaged).unwrap();
        let fixture = JournalFixture::open(directory).unwrap();
        assert_eq!(read_state(&fixture), before);
        directory = fixture.close();
    }
}

/// Simulates a directory of format 1 on a disk that lost durable data, or whose log was damaged in a crash: sled treats a
/// damaged byte as the end of its log.
#[tokio::test]
async fn a_journal_that_came_back_shorter_is_refused() {
    let fixture = JournalFixture::new();
    fixture.fill(1, 3).await;
    let directory = fixture.close();
    let marker = fs::read_to_string(directory.path().join("MUSTER")).unwrap();
    fs::write(directory.path().join("MUSTER"), marker.replace("format 3", "format 1")).unwrap();
    fs::write(directory.path().join("log/durable"), [5_u64.to_le_bytes(), (!5_u64).to_le_bytes()].concat()).unwrap();
    let refused = JournalFixture::open(directory).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("it ends at position 3, but position 5 existed before"), "{refused}");
}

/// Simulates a restored store next to the caches of another one.
#[tokio::test]
async fn another_journals_checkpoint_is_ignored() {
    let (long, short) = (JournalFixture::new(), JournalFixture::new());
    long.fill(1, 5).await;
    long.journal.save_startup_checkpoint().unwrap();
    short.fill(1, 3).await;
    let before = read_state(&short);
    let (long, short) = (long.close(), short.close());
    let cache = |directory: &TempDir| directory.path().join("cache").join(STARTUP_CHECKPOINT);
    fs::copy(cache(&long), cache(&short)).unwrap();
    assert_eq!(read_state(&JournalFixture::open(short).unwrap()), before);
}

#[tokio::test]
async fn a_damaged_block_is_refused_at_the_start() {
    let fixture = JournalFixture::new();
    fixture.fill(1, 3).await;
    let mut directory = fixture.close();
    for first in 1..=3 {
        let store = open_store(directory.path());
        let (_, whole) = store.block_at(first).unwrap().unwrap();
        let mut flipped = whole.to_vec();
        flipped[60] ^= 1;
        store.append(&[(first, &flipped)]).unwrap();
        drop(store);
        let path = directory.path().to_owned();
        let refused = Journal::open(open_store(&path), Box::new(|_| {})).err();
        assert!(matches!(refused, Some(Error::Damaged { position, .. }) if position == first), "{refused:?}");
        let store = open_store(&path);
        store.append(&[(first, &whole)]).unwrap();
        drop(store);
        directory = JournalFixture::open(directory).unwrap().close();
    }
}
