//! The idempotency records in the store, and in memory the order of their age for each API key.
//!
//! | key | value |
//! |---|---|
//! | `k`, scope (32) | the record |
//! | `p`, scope (32), when it was begun (8), number (4) | a further part of the response |
//!
//! Numbers and times are big endian.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use dashmap::DashMap;

use super::Error;
use super::idempotency_record::{IdempotencyRecord, KeyScope};
use crate::domain::Timestamp;
use crate::limits::{
    IDEMPOTENCY_BYTES, IDEMPOTENCY_EVICTIONS, IDEMPOTENCY_EXPIRY_BATCH, IDEMPOTENCY_RETENTION,
    IDEMPOTENCY_RETENTION_MIN, IDEMPOTENCY_ROW_BYTES,
};
use crate::store::{self, Store, Table};

const ROWS: &[u8] = b"k";
const PARTS: &[u8] = b"p";

/// The stored records.
pub(super) struct IdempotencyStore {
    store: Store,
    /// When the store was opened. Older records are not queued and take no capacity until
    /// [`count_existing`](IdempotencyStore::count_existing) has ended.
    opened: Timestamp,
    /// By API key, so that no key uses the capacity of another.
    callers: DashMap<u64, CallerRecords>,
    /// The records since `opened`; `None` once [`count_existing`](IdempotencyStore::count_existing) has ended.
    fresh: Mutex<Option<HashSet<KeyScope>>>,
    /// When expired records were removed last.
    last_removal: AtomicI64,
    capacity_bytes: u64,
}

/// The records of one API key.
#[derive(Default)]
struct CallerRecords {
    /// The oldest first, without those in flight. Some may be removed already.
    rows: VecDeque<QueuedRecord>,
    /// The size of all records in bytes, with those in flight.
    used_bytes: u64,
}

/// A record that is no longer in flight.
#[derive(Clone, Copy, PartialEq, Eq)]
struct QueuedRecord {
    /// The start of its age: `at`, or earlier if the clock was set back since.
    since: Timestamp,
    /// When it was begun, as stored.
    at: Timestamp,
    scope: KeyScope,
}

impl IdempotencyStore {
    pub(super) fn new(store: Store, opened: Timestamp) -> IdempotencyStore {
        let (fresh, last_removal) = (Mutex::new(Some(HashSet::new())), AtomicI64::new(opened.0));
        IdempotencyStore {
            store,
            opened,
            callers: DashMap::new(),
            fresh,
            last_removal,
            capacity_bytes: IDEMPOTENCY_BYTES,
        }
    }

    /// The same store with another capacity.
    #[cfg(test)]
    pub(super) fn with_capacity_bytes(self, capacity_bytes: u64) -> IdempotencyStore {
        IdempotencyStore { capacity_bytes, ..self }
    }

    /// Stores a new record. If the key has a record already, returns that one instead, which needs no capacity.
    pub(super) fn begin(&self, scope: KeyScope, row: &IdempotencyRecord) -> Result<Option<IdempotencyRecord>, Error> {
        let key = record_key(scope);
        if !self.has_capacity(scope) {
            if let Some(existing) = self.store.get(Table::IdempotencyRecords, &key)? {
                return self.assemble_record(scope, &existing).map(Some);
            }
            self.evict_oldest(scope, row.at)?;
        }
        // Locked, so that `count_existing` finds each new record in `fresh`.
        let mut fresh = Some(self.fresh()).filter(|fresh| fresh.is_some());
        match self.store.put_if_absent(Table::IdempotencyRecords, &key, &row.encode().0)? {
            Some(existing) => self.assemble_record(scope, &existing).map(Some),
            None => {
                fresh.as_mut().and_then(|fresh| fresh.as_mut()).map(|fresh| fresh.insert(scope));
                self.callers.entry(scope.caller()).or_default().used_bytes += row.size_bytes();
                Ok(None)
            }
        }
    }

    /// Decodes a record with all parts of its response. A record with an incomplete response counts as not answered.
    fn assemble_record(&self, scope: KeyScope, bytes: &[u8]) -> Result<IdempotencyRecord, Error> {
        let (mut row, missing) = IdempotencyRecord::decode(bytes).ok_or(Error::Unreadable)?;
        let at = row.at;
        if let Some(response) = row.response.as_mut().filter(|_| missing > 0) {
            let mut body = BytesMut::from(&response.body[..]);
            let whole = body.len() + missing;
            for key in part_keys(scope, at, missing) {
                body.extend_from_slice(&self.store.get(Table::IdempotencyRecords, &key)?.unwrap_or_default());
            }
            let is_whole = body.len() == whole;
            response.body = body.freeze();
            row.response = row.response.filter(|_| is_whole);
        }
        Ok(row)
    }

    /// Stores the response of a record. The main row is written last: once it is there, all parts are.
    pub(super) fn put_response(&self, scope: KeyScope, row: &IdempotencyRecord) -> Result<(), store::Error> {
        let (bytes, rest) = row.encode();
        for (part, key) in rest.chunks(IDEMPOTENCY_ROW_BYTES).zip(part_keys(scope, row.at, rest.len())) {
            self.store.put(Table::IdempotencyRecords, &key, part)?;
        }
        self.store.put(Table::IdempotencyRecords, &record_key(scope), &bytes)?;
        let body = row.response.as_ref().map_or(0, |response| response.body.len() as u64);
        self.callers.entry(scope.caller()).or_default().used_bytes += body;
        Ok(())
    }

    /// Queues a record that is no longer in flight for expiry.
    pub(super) fn queue_for_expiry(&self, at: Timestamp, scope: KeyScope) {
        self.callers.entry(scope.caller()).or_default().rows.push_back(QueuedRecord { since: at, at, scope });
    }

    /// Removes the record that was begun at `at`, if the key still has that one.
    pub(super) fn remove(&self, at: Timestamp, scope: KeyScope) -> Result<(), store::Error> {
        let bytes = self.store.get(Table::IdempotencyRecords, &record_key(scope))?;
        let row = bytes.and_then(|bytes| IdempotencyRecord::decode(&bytes)).filter(|(row, _)| row.at == at);
        let Some((row, missing)) = row else { return Ok(()) };
        // The main row goes last, so that no part is left without it.
        for key in part_keys(scope, at, missing) {
            self.store.remove(Table::IdempotencyRecords, &key)?;
        }
        self.store.remove(Table::IdempotencyRecords, &record_key(scope))?;
        let mut records = self.callers.entry(scope.caller()).or_default();
        // A record that is not counted yet must not make this negative.
        records.used_bytes = records.used_bytes.saturating_sub(row.size_bytes() + missing as u64);
        Ok(())
    }

    /// Removes a batch of expired records. Returns whether there may be more.
    pub(super) fn remove_expired(&self, now: Timestamp) -> Result<bool, store::Error> {
        let mut expired = Vec::new();
        let was_set_back = now.0 < self.last_removal.swap(now.0, Ordering::Relaxed);
        for mut records in self.callers.iter_mut() {
            if was_set_back {
                records.rows.iter_mut().for_each(|row| row.since = row.since.min(now));
            }
            while expired.len() < IDEMPOTENCY_EXPIRY_BATCH {
                let Some(row) = records.rows.pop_front_if(|row| row.since.plus(IDEMPOTENCY_RETENTION) <= now) else {
                    break;
                };
                expired.push(row);
            }
        }
        for QueuedRecord { at, scope, .. } in &expired {
            self.remove(*at, *scope)?;
        }
        Ok(expired.len() == IDEMPOTENCY_EXPIRY_BATCH)
    }

    /// Removes the oldest records of an API key until there is capacity. Fails if they are too young.
    fn evict_oldest(&self, scope: KeyScope, now: Timestamp) -> Result<(), Error> {
        for _ in 0..IDEMPOTENCY_EVICTIONS {
            let oldest = self.callers.get(&scope.caller()).and_then(|records| records.rows.front().copied());
            let Some(row) = oldest.filter(|_| !self.has_capacity(scope)) else { break };
            let wait = row.since.plus(IDEMPOTENCY_RETENTION_MIN).since(now);
            if !wait.is_zero() {
                return Err(Error::NoCapacity { seconds: wait.as_secs() + 1 });
            }
            // A concurrent request may have removed it first.
            if let Some(mut records) = self.callers.get_mut(&scope.caller()) {
                let _removed = records.rows.pop_front_if(|front| *front == row);
            }
            self.remove(row.at, row.scope)?;
        }
        Ok(())
    }

    fn has_capacity(&self, scope: KeyScope) -> bool {
        self.callers.get(&scope.caller()).is_none_or(|records| records.used_bytes < self.capacity_bytes)
    }

    /// Counts the records from before the store was opened, and queues them in front of the others.
    pub(super) fn count_existing(&self) -> Result<(), store::Error> {
        let mut before: HashMap<u64, Vec<QueuedRecord>> = HashMap::new();
        for entry in self.store.scan_from(Table::IdempotencyRecords, ROWS) {
            let (key, value) = entry?;
            let Some(scope) = key.strip_prefix(ROWS).and_then(|scope| scope.as_array()) else { break };
            let scope = KeyScope(*scope);
            let is_old = |scope| self.fresh().as_ref().is_some_and(|fresh| !fresh.contains(scope));
            if let Some((row, missing)) = IdempotencyRecord::decode(&value).filter(|_| is_old(&scope)) {
                let since = row.at.min(self.opened);
                self.callers.entry(scope.caller()).or_default().used_bytes += row.size_bytes() + missing as u64;
                before.entry(scope.caller()).or_default().push(QueuedRecord { since, at: row.at, scope });
            }
        }
        for (caller, mut rows) in before {
            rows.sort_unstable_by_key(|row| row.since);
            let mut records = self.callers.entry(caller).or_default();
            rows.extend(records.rows.drain(..));
            records.rows = rows.into();
        }
        *self.fresh() = None;
        Ok(())
    }

    /// Ignores poisoning: no panic can leave the contents half changed.
    fn fresh(&self) -> MutexGuard<'_, Option<HashSet<KeyScope>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record_key(scope: KeyScope) -> Vec<u8> {
    [ROWS, &scope.0].concat()
}

/// The keys of the further parts of a response, which have `bytes` bytes together.
fn part_keys(scope: KeyScope, at: Timestamp, bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let key = move |number: u32| [PARTS, &scope.0, &at.0.to_be_bytes(), &number.to_be_bytes()].concat();
    (0..bytes.div_ceil(IDEMPOTENCY_ROW_BYTES) as u32).map(key)
}
