//! Starts: with and without a checkpoint, with a damaged one, with a damaged journal.

use std::fs;

use super::*;

/// What a start must find again.
#[derive(Debug, PartialEq)]
struct Found {
    root: (u64, Root),
    accounts: usize,
    heads: Vec<Head>,
    records: Vec<Recorded>,
}

fn found(house: &House) -> Found {
    Found {
        root: house.journal.root(),
        accounts: house.journal.accounts(),
        heads: (0..6).map(|number| house.journal.head_of(of_account(number))).collect(),
        records: house.all(),
    }
}

#[tokio::test]
async fn a_start_finds_what_was_there() {
    let house = House::new();
    assert_eq!(house.journal.root().1.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    house.fill(5, 21).await;
    let before = found(&house);
    let house = house.reopened();
    assert_eq!(found(&house), before, "without a checkpoint");
    house.journal.save_checkpoint().unwrap();
    let house = house.reopened();
    assert_eq!(found(&house), before, "with one");
    house.append(5, 0, &samples()).await.unwrap();
    let before = found(&house);
    let house = house.reopened();
    assert_eq!(found(&house), before, "with one, and events after it");
    assert_eq!(house.append(5, 17, &[Event::BanLifted]).await.unwrap()[0].position, 39, "it goes on where it was");
    house.journal.verify().unwrap();
}

/// The heads of a checkpoint may be newer than its tree: they are collected while the writer goes on.
#[tokio::test]
async fn a_checkpoint_with_newer_heads_is_brought_to_one_point() {
    let house = House::new();
    house.fill(2, 4).await;
    let (position, tree) = house.journal.shared.tree.lock().unwrap().clone();
    house.fill_on(2, 4, 9).await;
    let checkpoint = Checkpoint::write(house.store.id(), position, &tree, &[], &house.journal.shared.heads);
    house.store.save_cache(CHECKPOINT, &checkpoint).unwrap();
    let before = found(&house);
    assert_eq!(found(&house.reopened()), before);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_ignored() {
    let house = House::new();
    house.fill(5, 21).await;
    house.journal.save_checkpoint().unwrap();
    let before = found(&house);
    let mut directory = house.close();
    let path = directory.path().join("cache").join(CHECKPOINT);
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    for damaged in [vec![], flipped, whole[..whole.len() - 1].to_vec()] {
        fs::write(&path, damaged).unwrap();
        let house = House::open(directory).unwrap();
        assert_eq!(found(&house), before);
        directory = house.close();
    }
}

/// As after a crash of a log with a damaged byte in it, which sled takes for its end; or a disk that lost what it had
/// promised.
#[tokio::test]
async fn a_journal_that_came_back_shorter_is_refused() {
    let house = House::new();
    house.fill(1, 3).await;
    house.store.mark_durable(5).unwrap();
    let refused = House::open(house.close()).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("it ends at position 3, and position 5 was there before"), "{refused}");
}

/// As after a store was put back, and the caches of another were left in its place.
#[tokio::test]
async fn another_journals_checkpoint_is_ignored() {
    let (long, short) = (House::new(), House::new());
    long.fill(1, 5).await;
    long.journal.save_checkpoint().unwrap();
    short.fill(1, 3).await;
    let before = found(&short);
    let (long, short) = (long.close(), short.close());
    let cache = |directory: &TempDir| directory.path().join("cache").join(CHECKPOINT);
    fs::copy(cache(&long), cache(&short)).unwrap();
    assert_eq!(found(&House::open(short).unwrap()), before);
}

#[tokio::test]
async fn a_damaged_block_is_refused_at_the_start() {
    let house = House::new();
    house.fill(1, 3).await;
    let mut directory = house.close();
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
        directory = House::open(directory).unwrap().close();
    }
}
