//! Idempotency records: their scope, their retention, and repeated requests.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::idempotency_store::IdempotencyStore;
use super::*;
use crate::audit::encode_hex;
use crate::clock;
use crate::config::{self, Settings};
use crate::domain::Timestamp;
use crate::journal::RequestId;
use crate::limits::{IDEMPOTENCY_PART_BYTES, IDEMPOTENCY_RETENTION, IDEMPOTENCY_RETENTION_MIN};
use crate::store::Table;
use crate::vault::Vault;

const INTENT: RequestStart = RequestStart { request: RequestId(7 << 100), position: 41 };

fn fingerprint(hash: u8) -> RequestFingerprint {
    RequestFingerprint { key: [1; 8], hash: [hash; 32] }
}

fn scope(key: &str) -> KeyScope {
    KeyScope::of(1, "batchOnline", key.as_bytes())
}

fn stored_response(bytes: usize) -> StoredResponse {
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

/// The number of table entries: records, and further parts of responses.
fn entries(store: &Store) -> usize {
    store.scan_from(Table::IdempotencyRecords, b"").count()
}

async fn begin_request(records: &IdempotencyRecords, key: &str, hash: u8) -> InFlightRecord {
    match records.begin(scope(key), fingerprint(hash), INTENT).await.unwrap() {
        IdempotencyLookup::InFlight(record) => record,
        IdempotencyLookup::Completed(stored_response) => panic!("answered: {stored_response:?}"),
    }
}

async fn find_response(records: &IdempotencyRecords, key: &str, hash: u8) -> StoredResponse {
    match records.begin(scope(key), fingerprint(hash), INTENT).await.unwrap() {
        IdempotencyLookup::InFlight(record) => panic!("begun, old: {}", record.is_resumed),
        IdempotencyLookup::Completed(stored_response) => stored_response,
    }
}

#[test]
fn a_record_decides_what_happens() {
    let at = Timestamp(1_000_000);
    let record = |response: Option<StoredResponse>| {
        Some(IdempotencyRecord { at, fingerprint: fingerprint(1), intent: INTENT, response })
    };
    let last = Timestamp(at.plus(IDEMPOTENCY_RETENTION).0 - 1);
    let incomparable = RequestFingerprint { key: [2; 8], ..fingerprint(9) };
    for (record, fingerprint, now, expected) in [
        (None, fingerprint(1), at, KeyDecision::Begin),
        (record(None), fingerprint(1), last, KeyDecision::Resume(record(None).unwrap())),
        (record(None), fingerprint(2), last, KeyDecision::Mismatch),
        (record(Some(stored_response(3))), fingerprint(1), last, KeyDecision::Replay(stored_response(3))),
        (record(Some(stored_response(3))), fingerprint(2), last, KeyDecision::Mismatch),
        // Made with another request key: it cannot be compared, so nothing is executed twice.
        (record(Some(stored_response(3))), incomparable, last, KeyDecision::Replay(stored_response(3))),
        (record(Some(stored_response(3))), fingerprint(1), at.plus(IDEMPOTENCY_RETENTION), KeyDecision::Expired(at)),
        (record(None), fingerprint(2), at.plus(IDEMPOTENCY_RETENTION), KeyDecision::Expired(at)),
    ] {
        assert_eq!(decide_key(record.clone(), &fingerprint, now), expected, "{record:?} {fingerprint:?} {now:?}");
    }
}

/// The bytes of format 1.
#[test]
fn scopes_and_records_have_their_bytes() {
    let scope = "00000000000000014df488e747796af3c03fc915f080df0769966beca3cdde51";
    assert_eq!(encode_hex(&KeyScope::of(1, "batchOnline", b"order 7").0), scope);
    let at = Timestamp(1_666_942_813_620_000);
    let fingerprint = RequestFingerprint { key: [1; 8], hash: [2; 32] };
    let record = IdempotencyRecord { at, fingerprint, intent: INTENT, response: Some(stored_response(3)) };
    let parts = [
        "0100cf002047445e13ec0500",
        &"01".repeat(8),
        &"02".repeat(32),
        "00000000000000000000000070000000",
        "2900000000000000",
        "03000000",
        "000102",
    ];
    assert_eq!(encode_hex(&record.encode().0), parts.concat());
}

proptest! {
    #[test]
    fn records_are_decoded_as_they_were_encoded(
        at in 0_i64.., request: u128, position: u64, key: [u8; 8], hash: [u8; 32],
        response in prop::option::of((1_u16.., prop::sample::select(vec![
            0, 1, IDEMPOTENCY_PART_BYTES - 1, IDEMPOTENCY_PART_BYTES, IDEMPOTENCY_PART_BYTES + 1, 3 * IDEMPOTENCY_PART_BYTES + 7,
        ]))),
    ) {
        let response = response.map(|(code, bytes)| StoredResponse { code, ..stored_response(bytes) });
        let intent = RequestStart { request: RequestId(request), position };
        let fingerprint = RequestFingerprint { key, hash };
        let record = IdempotencyRecord { at: Timestamp(at), fingerprint, intent, response };
        let (bytes, rest) = record.encode();
        let (mut read, missing) = IdempotencyRecord::decode(&bytes).unwrap();
        prop_assert_eq!(missing, rest.len());
        if let Some(stored_response) = &mut read.response {
            stored_response.body = [&stored_response.body[..], &rest].concat().into();
        }
        prop_assert_eq!(read, record);
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
async fn a_response_survives_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = [0, 42, IDEMPOTENCY_PART_BYTES + 1, 5 * IDEMPOTENCY_PART_BYTES];
    {
        let records = open(&store_at(directory.path()), clock::now);
        for bytes in sizes {
            begin_request(&records, &bytes.to_string(), 1).await.complete(stored_response(bytes)).await.unwrap();
        }
        drop(begin_request(&records, "begun", 1).await);
        begin_request(&records, "withdrawn", 1).await.cancel().unwrap();
    }
    let store = store_at(directory.path());
    let records = open(&store, clock::now);
    for bytes in sizes {
        assert_eq!(find_response(&records, &bytes.to_string(), 1).await, stored_response(bytes));
        let other = records.begin(scope(&bytes.to_string()), fingerprint(2), INTENT).await;
        assert!(matches!(other, Err(Error::KeyReused)));
    }
    let old = begin_request(&records, "begun", 1).await;
    assert!(old.is_resumed && old.intent() == INTENT);
    assert!(!begin_request(&records, "withdrawn", 2).await.is_resumed, "for another request too");
    // A part of a response is missing: a backup was taken while it was being removed.
    let part = store.scan_from(Table::IdempotencyRecords, b"p").next().unwrap().unwrap().0;
    store.remove(Table::IdempotencyRecords, &part).unwrap();
    let is_in_flight = async |bytes: usize| {
        matches!(
            records.begin(scope(&bytes.to_string()), fingerprint(1), INTENT).await.unwrap(),
            IdempotencyLookup::InFlight(_)
        )
    };
    assert!(
        is_in_flight(sizes[2]).await != is_in_flight(sizes[3]).await,
        "the record with the missing part has no response"
    );
}

#[tokio::test]
async fn requests_of_the_same_scope_run_one_after_the_other() {
    let (_directory, store) = store();
    let records = open(&store, clock::now);
    let first = begin_request(&records, "k", 1).await;
    drop(begin_request(&records, "another", 1).await);
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let records = records.clone();
            tokio::spawn(async move { find_response(&records, "k", 1).await })
        })
        .collect();
    let mut cancelled = Box::pin(records.begin(scope("k"), fingerprint(1), INTENT));
    assert!(futures_util::poll!(&mut cancelled).is_pending());
    drop(cancelled);
    first.complete(stored_response(5)).await.unwrap();
    for request in waiting {
        assert_eq!(request.await.unwrap(), stored_response(5));
    }
    assert_eq!(records.inner.key_locks.count(), 0, "no lock is left");
    let many = futures_util::future::join_all((0..IDEMPOTENT_REQUESTS_IN_FLIGHT).map(|key| {
        let records = records.clone();
        async move { begin_request(&records, &key.to_string(), 1).await }
    }));
    let many = many.await;
    assert!(matches!(records.begin(scope("one more"), fingerprint(1), INTENT).await, Err(Error::TooManyInFlight)));
    drop(many);
    assert!(!begin_request(&records, "one more", 1).await.is_resumed);
}

static NOW: AtomicI64 = AtomicI64::new(1_700_000_000_000_000);

fn now() -> Timestamp {
    Timestamp(NOW.load(Ordering::Relaxed))
}

fn advance_clock(by: Duration) {
    NOW.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
}

#[tokio::test]
async fn an_idempotency_key_is_free_again_after_a_day() {
    let (_directory, store) = store();
    let records = open(&store, now);
    begin_request(&records, "k", 1).await.complete(stored_response(2 * IDEMPOTENCY_PART_BYTES)).await.unwrap();
    begin_request(&records, "idle", 1).await.complete(stored_response(2)).await.unwrap();
    advance_clock(IDEMPOTENCY_RETENTION - Duration::from_micros(1));
    assert_eq!(find_response(&records, "k", 1).await, stored_response(2 * IDEMPOTENCY_PART_BYTES));
    assert!(!records.expire_some().await);
    assert_eq!(entries(&store), 3);
    advance_clock(Duration::from_micros(1));
    begin_request(&records, "k", 2).await.complete(stored_response(1)).await.unwrap();
    assert_eq!(find_response(&records, "k", 2).await, stored_response(1));
    while records.expire_some().await {}
    assert_eq!(entries(&store), 1, "no part of an expired record is left");
    assert_eq!(find_response(&records, "k", 2).await, stored_response(1));
    advance_clock(IDEMPOTENCY_RETENTION);
    drop(records);
    let records = open(&store, now);
    records.inner.store.count_existing().unwrap();
    assert!(!records.expire_some().await);
    assert_eq!(entries(&store), 0, "a new start finds the existing records");
}

/// The clock is ahead and is set back, first during a run and then before a start. Expired records do not come back, and no
/// record is kept for more than another day.
#[tokio::test]
async fn a_clock_that_was_ahead() {
    static DAYS: AtomicI64 = AtomicI64::new(20_000);
    let now = || Timestamp(DAYS.load(Ordering::Relaxed) * 86_400_000_000);
    let shift_clock = |days: i64| {
        DAYS.fetch_add(days, Ordering::Relaxed);
    };
    let (_directory, store) = store();
    let records = open(&store, now);
    records.inner.store.count_existing().unwrap();
    begin_request(&records, "over", 1).await.complete(stored_response(1)).await.unwrap();
    shift_clock(365);
    while records.expire_some().await {}
    begin_request(&records, "k", 1).await.complete(stored_response(3)).await.unwrap();
    shift_clock(-365);
    assert!(!begin_request(&records, "over", 2).await.is_resumed, "an expired record does not come back");
    while records.expire_some().await {}
    assert_eq!(find_response(&records, "k", 1).await, stored_response(3));
    shift_clock(1);
    while records.expire_some().await {}
    assert_eq!(entries(&store), 0);

    shift_clock(365);
    begin_request(&records, "k", 1).await.complete(stored_response(3)).await.unwrap();
    shift_clock(-365);
    let records = open(&store, now);
    begin_request(&records, "new", 1).await.complete(stored_response(4)).await.unwrap();
    assert_eq!(find_response(&records, "k", 1).await, stored_response(3), "before the existing records are counted");
    records.inner.store.count_existing().unwrap();
    shift_clock(1);
    while records.expire_some().await {}
    assert_eq!(entries(&store), 0);
}

#[test]
fn the_oldest_records_are_evicted_but_no_young_ones() {
    let (_directory, store) = store();
    let first = Timestamp(1_000_000_000);
    let record = |seconds: u64| {
        let at = first.plus(Duration::from_secs(seconds));
        IdempotencyRecord { at, fingerprint: fingerprint(1), intent: INTENT, response: None }
    };
    let capacity = 10 * record(0).size_bytes();
    let record_store = IdempotencyStore::new(store.clone(), first).with_capacity_bytes(capacity);
    let begin = |record_store: &IdempotencyStore, seconds: u64, number: u64| {
        let outcome = record_store.begin(scope(&number.to_string()), &record(seconds));
        outcome
            .inspect(|existing| assert!(existing.is_none(), "{number}"))
            .map(|_| record_store.queue_for_expiry(record(seconds).at, scope(&number.to_string())))
    };
    for number in 0..10 {
        begin(&record_store, number, number).unwrap();
    }
    let retention_min = IDEMPOTENCY_RETENTION_MIN.as_secs();
    assert!(matches!(begin(&record_store, retention_min - 2, 10), Err(Error::NoCapacity { seconds: 3 })));
    assert_eq!(
        record_store.begin(scope("0"), &record(retention_min - 2)).unwrap(),
        Some(record(0)),
        "an existing record needs no capacity"
    );
    begin(&record_store, retention_min, 10).unwrap();
    assert!(
        matches!(begin(&record_store, retention_min, 11), Err(Error::NoCapacity { seconds: 2 })),
        "the next record is a second younger"
    );
    let is_there = |number: u64| {
        store.get(Table::IdempotencyRecords, &[b"k", &scope(&number.to_string()).0[..]].concat()).unwrap().is_some()
    };
    assert_eq!((0..11).map(is_there).collect::<Vec<_>>(), [&[false][..], &[true; 10]].concat());
    // After a restart the records are in the same order.
    let record_store = IdempotencyStore::new(store.clone(), record(retention_min + 1).at).with_capacity_bytes(capacity);
    record_store.count_existing().unwrap();
    assert!(matches!(begin(&record_store, retention_min, 11), Err(Error::NoCapacity { seconds: 2 })));
    begin(&record_store, retention_min + 1, 11).unwrap();
    assert!(!is_there(1) && is_there(2));
}

/// After an account's data key is destroyed, earlier fingerprints reveal nothing about their requests.
#[tokio::test]
async fn an_erasure_leaves_nothing_to_compare() {
    let (_directory, store) = store();
    let vault = Vault::open(store.clone(), &config::VaultSettings::default()).unwrap();
    let fingerprint = |body: &[u8]| vault.fingerprint_request(&[b"\0", body]).unwrap();
    let (first, other) = (fingerprint(b"123456"), fingerprint(b"123457"));
    assert!(first == fingerprint(b"123456") && first.differs_from(&other));
    assert_ne!(vault.fingerprint_request(&[b"\x001", b"23456"]).unwrap(), first, "the boundaries of parts matter");
    let account = "861821726232".parse().unwrap();
    vault.create_data_key(account).unwrap();
    vault.lock_for_erasure().await.destroy_data_key(account).unwrap();
    let now = fingerprint(b"123456");
    assert!(now.key != first.key && now.hash != first.hash && !now.differs_from(&first));
    assert!(store.scan_from(Table::Keys, b"request key").next().is_some(), "there is a new request key");
}
