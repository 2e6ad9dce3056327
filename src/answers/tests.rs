//! What is kept under a key: for whom, for how long, and what follows for whoever asks again.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::idempotency_store::IdempotencyStore;
use super::*;
use crate::clock;
use crate::config::{self, Settings};
use crate::domain::Timestamp;
use crate::journal::RequestId;
use crate::limits::{IDEMPOTENCY_RETENTION, IDEMPOTENCY_RETENTION_MIN, IDEMPOTENCY_ROW_BYTES};
use crate::store::Table;
use crate::vault::Vault;

const INTENT: RequestIntent = RequestIntent { request: RequestId(7 << 100), position: 41 };

fn print(hash: u8) -> RequestFingerprint {
    RequestFingerprint { key: [1; 8], hash: [hash; 32] }
}

fn scope(key: &str) -> KeyScope {
    KeyScope::of(1, "batchOnline", key.as_bytes())
}

fn given(bytes: usize) -> StoredResponse {
    StoredResponse { code: 207, body: (0..bytes).map(|at| at as u8).collect() }
}

fn store_at(path: &Path) -> Store {
    Store::open(path, &Settings::default().store).unwrap()
}

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = store_at(directory.path());
    (directory, store)
}

fn open(store: &Store, now: Clock) -> IdempotencyRecords {
    IdempotencyRecords::open(store, Journal::open(store.clone(), Box::new(|_| {})).unwrap(), now)
}

/// How many rows there are, of whatever kind.
fn rows(store: &Store) -> usize {
    store.scan_from(Table::IdempotencyRecords, b"").count()
}

async fn begun(answers: &IdempotencyRecords, key: &str, hash: u8) -> InFlightRecord {
    match answers.begin(scope(key), print(hash), INTENT).await.unwrap() {
        KeyLookup::InFlight(begun) => begun,
        KeyLookup::Completed(given) => panic!("answered: {given:?}"),
    }
}

async fn answered(answers: &IdempotencyRecords, key: &str, hash: u8) -> StoredResponse {
    match answers.begin(scope(key), print(hash), INTENT).await.unwrap() {
        KeyLookup::InFlight(begun) => panic!("begun, old: {}", begun.is_resumed),
        KeyLookup::Completed(given) => given,
    }
}

#[test]
fn what_follows_from_a_row() {
    let at = Timestamp(1_000_000);
    let row = |answer: Option<StoredResponse>| {
        Some(IdempotencyRecord { at, fingerprint: print(1), intent: INTENT, response: answer })
    };
    let last = Timestamp(at.plus(IDEMPOTENCY_RETENTION).0 - 1);
    let unknown = RequestFingerprint { key: [2; 8], ..print(9) };
    for (row, print, now, expected) in [
        (None, print(1), at, KeyDecision::Begin),
        (row(None), print(1), last, KeyDecision::Resume(row(None).unwrap())),
        (row(None), print(2), last, KeyDecision::Mismatch),
        (row(Some(given(3))), print(1), last, KeyDecision::Replay(given(3))),
        (row(Some(given(3))), print(2), last, KeyDecision::Mismatch),
        // The key of the fingerprint is gone: nobody can tell, so nothing is done twice.
        (row(Some(given(3))), unknown, last, KeyDecision::Replay(given(3))),
        (row(Some(given(3))), print(1), at.plus(IDEMPOTENCY_RETENTION), KeyDecision::Expired(at)),
        (row(None), print(2), at.plus(IDEMPOTENCY_RETENTION), KeyDecision::Expired(at)),
    ] {
        assert_eq!(decide_key(row.clone(), &print, now), expected, "{row:?} {print:?} {now:?}");
    }
}

proptest! {
    #[test]
    fn rows_come_back_as_they_were_written(
        at in 0_i64.., request: u128, position: u64, key: [u8; 8], hash: [u8; 32],
        answer in prop::option::of((1_u16.., prop::sample::select(vec![
            0, 1, IDEMPOTENCY_ROW_BYTES - 1, IDEMPOTENCY_ROW_BYTES, IDEMPOTENCY_ROW_BYTES + 1, 3 * IDEMPOTENCY_ROW_BYTES + 7,
        ]))),
    ) {
        let answer = answer.map(|(code, bytes)| StoredResponse { code, ..given(bytes) });
        let intent = RequestIntent { request: RequestId(request), position };
        let row = IdempotencyRecord { at: Timestamp(at), fingerprint: RequestFingerprint { key, hash }, intent, response: answer };
        let (bytes, rest) = row.encode();
        let (mut read, missing) = IdempotencyRecord::decode(&bytes).unwrap();
        prop_assert_eq!(missing, rest.len());
        if let Some(given) = &mut read.response {
            given.body = [&given.body[..], &rest].concat().into();
        }
        prop_assert_eq!(read, row);
        prop_assert!(IdempotencyRecord::decode(&bytes[..bytes.len().min(79)]).is_none());
        prop_assert!(IdempotencyRecord::decode(&[&[2], &bytes[1..]].concat()).is_none(), "of another format");
    }

    #[test]
    fn no_two_scopes_are_the_same(
        callers in prop::array::uniform2(0_u64..3),
        endpoints in prop::array::uniform2("[ab]{0,2}"),
        keys in prop::array::uniform2("[ab]{0,2}"),
    ) {
        let [one, other] = [0, 1].map(|at| KeyScope::of(callers[at], &endpoints[at], keys[at].as_bytes()));
        let is_same = callers[0] == callers[1] && endpoints[0] == endpoints[1] && keys[0] == keys[1];
        prop_assert_eq!(one == other, is_same);
    }
}

#[tokio::test]
async fn an_answer_outlasts_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = [0, 42, IDEMPOTENCY_ROW_BYTES + 1, 5 * IDEMPOTENCY_ROW_BYTES];
    {
        let answers = open(&store_at(directory.path()), clock::now);
        for bytes in sizes {
            begun(&answers, &bytes.to_string(), 1).await.complete(given(bytes)).await.unwrap();
        }
        drop(begun(&answers, "begun", 1).await);
        begun(&answers, "withdrawn", 1).await.cancel().unwrap();
    }
    let store = store_at(directory.path());
    let answers = open(&store, clock::now);
    for bytes in sizes {
        assert_eq!(answered(&answers, &bytes.to_string(), 1).await, given(bytes));
        let other = answers.begin(scope(&bytes.to_string()), print(2), INTENT).await;
        assert!(matches!(other, Err(Error::KeyReused)));
    }
    let old = begun(&answers, "begun", 1).await;
    assert!(old.is_resumed && old.intent() == INTENT);
    assert!(!begun(&answers, "withdrawn", 2).await.is_resumed, "for another request too");
    // A part of an answer is not there: a backup was taken while it was being forgotten.
    let part = store.scan_from(Table::IdempotencyRecords, b"p").next().unwrap().unwrap().0;
    store.remove(Table::IdempotencyRecords, &part).unwrap();
    let is_begun = async |bytes: usize| {
        matches!(answers.begin(scope(&bytes.to_string()), print(1), INTENT).await.unwrap(), KeyLookup::InFlight(_))
    };
    assert!(is_begun(sizes[2]).await != is_begun(sizes[3]).await, "it is one that was never answered");
}

#[tokio::test]
async fn the_same_key_waits_for_its_turn() {
    let (_directory, store) = store();
    let answers = open(&store, clock::now);
    let first = begun(&answers, "k", 1).await;
    drop(begun(&answers, "another", 1).await);
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let answers = answers.clone();
            tokio::spawn(async move { answered(&answers, "k", 1).await })
        })
        .collect();
    let mut gone = Box::pin(answers.begin(scope("k"), print(1), INTENT));
    assert!(futures_util::poll!(&mut gone).is_pending());
    drop(gone);
    first.complete(given(5)).await.unwrap();
    for answered in waiting {
        assert_eq!(answered.await.unwrap(), given(5));
    }
    assert_eq!(answers.inner.key_locks.count(), 0, "nothing is left of those who waited");
    let many = futures_util::future::join_all((0..IDEMPOTENT_REQUESTS_IN_FLIGHT).map(|key| {
        let answers = answers.clone();
        async move { begun(&answers, &key.to_string(), 1).await }
    }));
    let many = many.await;
    assert!(matches!(answers.begin(scope("one more"), print(1), INTENT).await, Err(Error::TooManyInFlight)));
    drop(many);
    assert!(!begun(&answers, "one more", 1).await.is_resumed);
}

static NOW: AtomicI64 = AtomicI64::new(1_700_000_000_000_000);

fn now() -> Timestamp {
    Timestamp(NOW.load(Ordering::Relaxed))
}

fn later(by: Duration) {
    NOW.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() {
    let (_directory, store) = store();
    let answers = open(&store, now);
    begun(&answers, "k", 1).await.complete(given(2 * IDEMPOTENCY_ROW_BYTES)).await.unwrap();
    begun(&answers, "idle", 1).await.complete(given(2)).await.unwrap();
    later(IDEMPOTENCY_RETENTION - Duration::from_micros(1));
    assert_eq!(answered(&answers, "k", 1).await, given(2 * IDEMPOTENCY_ROW_BYTES));
    assert!(!answers.expire_some().await);
    assert_eq!(rows(&store), 3);
    later(Duration::from_micros(1));
    begun(&answers, "k", 2).await.complete(given(1)).await.unwrap();
    assert_eq!(answered(&answers, "k", 2).await, given(1));
    while answers.expire_some().await {}
    assert_eq!(rows(&store), 1, "of what is over nothing is left");
    assert_eq!(answered(&answers, "k", 2).await, given(1));
    later(IDEMPOTENCY_RETENTION);
    drop(answers);
    let answers = open(&store, now);
    answers.inner.store.count_existing().unwrap();
    assert!(!answers.expire_some().await);
    assert_eq!(rows(&store), 0, "a new start finds what there is");
}

/// A clock that was ahead is set back, while the service runs and before a start: what was over does not come back, and
/// nothing is kept for longer than a day from then on.
#[tokio::test]
async fn a_clock_that_was_ahead() {
    static DAYS: AtomicI64 = AtomicI64::new(20_000);
    let now = || Timestamp(DAYS.load(Ordering::Relaxed) * 86_400_000_000);
    let go = |days: i64| {
        DAYS.fetch_add(days, Ordering::Relaxed);
    };
    let (_directory, store) = store();
    let answers = open(&store, now);
    answers.inner.store.count_existing().unwrap();
    begun(&answers, "over", 1).await.complete(given(1)).await.unwrap();
    go(365);
    while answers.expire_some().await {}
    begun(&answers, "k", 1).await.complete(given(3)).await.unwrap();
    go(-365);
    assert!(!begun(&answers, "over", 2).await.is_resumed, "what was over is not back");
    while answers.expire_some().await {}
    assert_eq!(answered(&answers, "k", 1).await, given(3));
    go(1);
    while answers.expire_some().await {}
    assert_eq!(rows(&store), 0);

    go(365);
    begun(&answers, "k", 1).await.complete(given(3)).await.unwrap();
    go(-365);
    let answers = open(&store, now);
    begun(&answers, "new", 1).await.complete(given(4)).await.unwrap();
    assert_eq!(answered(&answers, "k", 1).await, given(3), "before all is counted");
    answers.inner.store.count_existing().unwrap();
    go(1);
    while answers.expire_some().await {}
    assert_eq!(rows(&store), 0);
}

#[test]
fn the_oldest_go_first_and_none_that_is_young() {
    let (_directory, store) = store();
    let first = Timestamp(1_000_000_000);
    let row = |seconds: u64| {
        let at = first.plus(Duration::from_secs(seconds));
        IdempotencyRecord { at, fingerprint: print(1), intent: INTENT, response: None }
    };
    let room = 10 * row(0).size_bytes();
    let book = IdempotencyStore::new(store.clone(), first).with_capacity_bytes(room);
    let begin = |book: &IdempotencyStore, seconds: u64, number: u64| {
        let begun = book.begin(scope(&number.to_string()), &row(seconds));
        begun
            .inspect(|there| assert!(there.is_none(), "{number}"))
            .map(|_| book.queue_for_expiry(row(seconds).at, scope(&number.to_string())))
    };
    for number in 0..10 {
        begin(&book, number, number).unwrap();
    }
    let least = IDEMPOTENCY_RETENTION_MIN.as_secs();
    assert!(matches!(begin(&book, least - 2, 10), Err(Error::NoCapacity { seconds: 3 })));
    assert_eq!(book.begin(scope("0"), &row(least - 2)).unwrap(), Some(row(0)), "what is there needs no room");
    begin(&book, least, 10).unwrap();
    assert!(matches!(begin(&book, least, 11), Err(Error::NoCapacity { seconds: 2 })), "the second is a second younger");
    let is_there = |number: u64| {
        store.get(Table::IdempotencyRecords, &[b"k", &scope(&number.to_string()).0[..]].concat()).unwrap().is_some()
    };
    assert_eq!((0..11).map(is_there).collect::<Vec<_>>(), [&[false][..], &[true; 10]].concat());
    // A new start finds them in their order.
    let book = IdempotencyStore::new(store.clone(), row(least + 1).at).with_capacity_bytes(room);
    book.count_existing().unwrap();
    assert!(matches!(begin(&book, least, 11), Err(Error::NoCapacity { seconds: 2 })));
    begin(&book, least + 1, 11).unwrap();
    assert!(!is_there(1) && is_there(2));
}

/// Once an account's key is destroyed nobody can tell by a fingerprint what its request held.
#[tokio::test]
async fn an_erasure_leaves_nothing_to_compare() {
    let (_directory, store) = store();
    let vault = Vault::open(store.clone(), &config::VaultSettings::default()).unwrap();
    let print = |body: &[u8]| vault.fingerprint_request(&[b"\0", body]).unwrap();
    let (first, other) = (print(b"123456"), print(b"123457"));
    assert!(first == print(b"123456") && first.differs_from(&other));
    assert_ne!(vault.fingerprint_request(&[b"\x001", b"23456"]).unwrap(), first, "parts are told apart");
    let account = "861821726232".parse().unwrap();
    vault.create_data_key(account).unwrap();
    vault.lock_for_erasure().await.destroy_data_key(account).unwrap();
    let now = print(b"123456");
    assert!(now.key != first.key && now.hash != first.hash && !now.differs_from(&first));
    assert!(store.scan_from(Table::Keys, b"request key").next().is_some(), "there is a new one");
}
