//! What is kept under a key: for whom, for how long, and what follows for whoever asks again.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::book::Book;
use super::*;
use crate::clock;
use crate::config::{self, Settings};
use crate::domain::Timestamp;
use crate::journal::RequestId;
use crate::limits::{ANSWER_PART_BYTES, ANSWERS_KEPT, ANSWERS_KEPT_LEAST};
use crate::store::Table;
use crate::vault::Vault;

const INTENT: Intent = Intent { request: RequestId(7 << 100), position: 41 };

fn print(hash: u8) -> RequestFingerprint {
    RequestFingerprint { key: [1; 8], hash: [hash; 32] }
}

fn scope(key: &str) -> Scope {
    Scope::of(1, "batchOnline", key.as_bytes())
}

fn given(bytes: usize) -> Given {
    Given { code: 207, body: (0..bytes).map(|at| at as u8).collect() }
}

fn store_at(path: &Path) -> Store {
    Store::open(path, &Settings::default().store).unwrap()
}

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = store_at(directory.path());
    (directory, store)
}

/// How many rows there are, of whatever kind.
fn rows(store: &Store) -> usize {
    store.scan_from(Table::Answers, b"").count()
}

async fn begun(answers: &Answers, key: &str, hash: u8) -> Begun {
    match answers.ask(scope(key), print(hash), INTENT).await.unwrap() {
        Asked::Begun(begun) => begun,
        Asked::Answered(given) => panic!("answered: {given:?}"),
    }
}

async fn answered(answers: &Answers, key: &str, hash: u8) -> Given {
    match answers.ask(scope(key), print(hash), INTENT).await.unwrap() {
        Asked::Begun(begun) => panic!("begun, old: {}", begun.is_old),
        Asked::Answered(given) => given,
    }
}

#[test]
fn what_follows_from_a_row() {
    let at = Timestamp(1_000_000);
    let row = |answer: Option<Given>| Some(Row { at, print: print(1), intent: INTENT, answer });
    let last = Timestamp(at.plus(ANSWERS_KEPT).0 - 1);
    let unknown = RequestFingerprint { key: [2; 8], ..print(9) };
    for (row, print, now, expected) in [
        (None, print(1), at, Follows::Begin),
        (row(None), print(1), last, Follows::GoOn(row(None).unwrap())),
        (row(None), print(2), last, Follows::Other),
        (row(Some(given(3))), print(1), last, Follows::Answered(given(3))),
        (row(Some(given(3))), print(2), last, Follows::Other),
        // The key of the fingerprint is gone: nobody can tell, so nothing is done twice.
        (row(Some(given(3))), unknown, last, Follows::Answered(given(3))),
        (row(Some(given(3))), print(1), at.plus(ANSWERS_KEPT), Follows::Begin),
        (row(None), print(2), at.plus(ANSWERS_KEPT), Follows::Begin),
    ] {
        assert_eq!(follows(row.clone(), &print, now), expected, "{row:?} {print:?} {now:?}");
    }
}

proptest! {
    #[test]
    fn rows_come_back_as_they_were_written(
        at in 0_i64.., request: u128, position: u64, key: [u8; 8], hash: [u8; 32],
        answer in prop::option::of((1_u16.., prop::sample::select(vec![
            0, 1, ANSWER_PART_BYTES - 1, ANSWER_PART_BYTES, ANSWER_PART_BYTES + 1, 3 * ANSWER_PART_BYTES + 7,
        ]))),
    ) {
        let answer = answer.map(|(code, bytes)| Given { code, ..given(bytes) });
        let intent = Intent { request: RequestId(request), position };
        let row = Row { at: Timestamp(at), print: RequestFingerprint { key, hash }, intent, answer };
        let (bytes, rest) = row.bytes();
        let (mut read, missing) = Row::read(&bytes).unwrap();
        prop_assert_eq!(missing, rest.len());
        if let Some(given) = &mut read.answer {
            given.body = [&given.body[..], &rest].concat().into();
        }
        prop_assert_eq!(read, row);
        prop_assert!(Row::read(&bytes[..bytes.len().min(79)]).is_none());
        prop_assert!(Row::read(&[&[2], &bytes[1..]].concat()).is_none(), "of another format");
    }

    #[test]
    fn no_two_scopes_are_the_same(
        callers in prop::array::uniform2(0_u64..3),
        endpoints in prop::array::uniform2("[ab]{0,2}"),
        keys in prop::array::uniform2("[ab]{0,2}"),
    ) {
        let [one, other] = [0, 1].map(|at| Scope::of(callers[at], &endpoints[at], keys[at].as_bytes()));
        let is_same = callers[0] == callers[1] && endpoints[0] == endpoints[1] && keys[0] == keys[1];
        prop_assert_eq!(one == other, is_same);
    }
}

#[tokio::test]
async fn an_answer_outlasts_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = [0, 42, ANSWER_PART_BYTES + 1, 5 * ANSWER_PART_BYTES];
    {
        let answers = Answers::open(&store_at(directory.path()), clock::now).unwrap();
        for bytes in sizes {
            begun(&answers, &bytes.to_string(), 1).await.answer(given(bytes)).await.unwrap();
        }
        drop(begun(&answers, "begun", 1).await);
        begun(&answers, "withdrawn", 1).await.withdraw().unwrap();
    }
    let store = store_at(directory.path());
    let answers = Answers::open(&store, clock::now).unwrap();
    for bytes in sizes {
        assert_eq!(answered(&answers, &bytes.to_string(), 1).await, given(bytes));
        let other = answers.ask(scope(&bytes.to_string()), print(2), INTENT).await;
        assert!(matches!(other, Err(Error::OtherRequest)));
    }
    let old = begun(&answers, "begun", 1).await;
    assert!(old.is_old && old.intent() == INTENT);
    assert!(!begun(&answers, "withdrawn", 2).await.is_old, "for another request too");
    // A part of an answer is not there: a backup was taken while it was being forgotten.
    let part = store.scan_from(Table::Answers, b"p").next().unwrap().unwrap().0;
    store.remove(Table::Answers, &part).unwrap();
    let large = [sizes[2], sizes[3]].map(|bytes| answers.inner.book.row(scope(&bytes.to_string())).unwrap().unwrap());
    assert_eq!(large.iter().filter(|row| row.answer.is_none()).count(), 1, "it is one that was never answered");
}

#[tokio::test]
async fn the_same_key_waits_for_its_turn() {
    let (_directory, store) = store();
    let answers = Answers::open(&store, clock::now).unwrap();
    let first = begun(&answers, "k", 1).await;
    drop(begun(&answers, "another", 1).await);
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let answers = answers.clone();
            tokio::spawn(async move { answered(&answers, "k", 1).await })
        })
        .collect();
    let mut gone = Box::pin(answers.ask(scope("k"), print(1), INTENT));
    assert!(futures_util::poll!(&mut gone).is_pending());
    drop(gone);
    first.answer(given(5)).await.unwrap();
    for answered in waiting {
        assert_eq!(answered.await.unwrap(), given(5));
    }
    assert_eq!(answers.inner.turns.count(), 0, "nothing is left of those who waited");
    let many = futures_util::future::join_all((0..KEYED_UNDER_WAY).map(|key| {
        let answers = answers.clone();
        async move { begun(&answers, &key.to_string(), 1).await }
    }));
    let many = many.await;
    assert!(matches!(answers.ask(scope("one more"), print(1), INTENT).await, Err(Error::UnderWay)));
    drop(many);
    assert!(!begun(&answers, "one more", 1).await.is_old);
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
    let answers = Answers::open(&store, now).unwrap();
    begun(&answers, "k", 1).await.answer(given(2 * ANSWER_PART_BYTES)).await.unwrap();
    begun(&answers, "idle", 1).await.answer(given(2)).await.unwrap();
    later(ANSWERS_KEPT - Duration::from_micros(1));
    assert_eq!(answered(&answers, "k", 1).await, given(2 * ANSWER_PART_BYTES));
    assert!(!answers.forget().await);
    assert_eq!(rows(&store), 5);
    later(Duration::from_micros(1));
    begun(&answers, "k", 2).await.answer(given(1)).await.unwrap();
    assert_eq!(answered(&answers, "k", 2).await, given(1));
    while answers.forget().await {}
    assert_eq!(rows(&store), 2, "of what is over nothing is left");
    assert_eq!(answered(&answers, "k", 2).await, given(1));
    later(ANSWERS_KEPT);
    drop(answers);
    // Nothing names its time: it is found when all is counted.
    let time = store.scan_from(Table::Answers, b"t").next().unwrap().unwrap().0;
    store.remove(Table::Answers, &time).unwrap();
    let answers = Answers::open(&store, now).unwrap();
    answers.inner.book.count(now()).unwrap();
    assert_eq!(rows(&store), 0);
}

#[test]
fn the_oldest_go_first_and_none_that_is_young() {
    let (_directory, store) = store();
    let begin = Timestamp(1_000_000_000);
    let row = |number: i64| Row {
        at: begin.plus(Duration::from_secs(number as u64)),
        print: print(1),
        intent: INTENT,
        answer: None,
    };
    let room = 10 * row(0).weight();
    let book = Book::new(store.clone(), begin).with_room(room);
    for number in 0..10 {
        book.make_room(begin).unwrap();
        book.begin(scope(&number.to_string()), &row(number)).unwrap();
    }
    let young = Timestamp(begin.plus(ANSWERS_KEPT_LEAST).0 - 2_000_000);
    assert!(matches!(book.make_room(young), Err(Error::Full { seconds: 3 })));
    book.make_room(begin.plus(ANSWERS_KEPT_LEAST)).unwrap();
    let is_there = |number: i64| book.row(scope(&number.to_string())).unwrap().is_some();
    assert_eq!((0..10).map(is_there).collect::<Vec<_>>(), [&[false][..], &[true; 9]].concat());
    // A new start counts what is there.
    let book = Book::new(store, begin.plus(ANSWERS_KEPT_LEAST)).with_room(room);
    book.count(begin).unwrap();
    book.make_room(begin).unwrap();
    book.begin(scope("10"), &Row { at: begin.plus(ANSWERS_KEPT_LEAST), ..row(0) }).unwrap();
    assert!(matches!(book.make_room(begin), Err(Error::Full { .. })));
}

/// Once an account's key is destroyed nobody can tell by a fingerprint what its request held.
#[tokio::test]
async fn an_erasure_leaves_nothing_to_compare() {
    let (_directory, store) = store();
    let vault = Vault::open(store.clone(), &config::Vault::default()).unwrap();
    let print = |body: &[u8]| vault.fingerprint_request(&[b"\0", body]).unwrap();
    let (first, other) = (print(b"123456"), print(b"123457"));
    assert!(first == print(b"123456") && first.is_other_than(&other));
    assert_ne!(vault.fingerprint_request(&[b"\x001", b"23456"]).unwrap(), first, "parts are told apart");
    let account = "861821726232".parse().unwrap();
    vault.enrol(account).unwrap();
    vault.erasing().await.destroy(account).unwrap();
    let now = print(b"123456");
    assert!(now.key != first.key && now.hash != first.hash && !now.is_other_than(&first));
    assert!(store.scan_from(Table::Keys, b"request key").next().is_some(), "there is a new one");
}
