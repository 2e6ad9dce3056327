//! The idempotency records in the store. In memory, each API key has a queue of its records by age.
//!
//! | table key | value |
//! |---|---|
//! | `k`, scope (32) | the record, with the first part of the response |
//! | `p`, scope (32), when the request was begun (8), number of the part (4) | a further part of the response |
//!
//! Sizes are in bytes. Numbers and times are big endian.
//!
//! Frozen: these keys. A request that is repeated after an upgrade must find its record.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use dashmap::DashMap;

use super::Error;
use super::idempotency_record::{IdempotencyRecord, KeyScope};
use crate::domain::Timestamp;
use crate::limits::{
    IDEMPOTENCY_BYTES, IDEMPOTENCY_EVICTIONS, IDEMPOTENCY_EXPIRY_BATCH, IDEMPOTENCY_PART_BYTES, IDEMPOTENCY_RETENTION,
    IDEMPOTENCY_RETENTION_MIN,
};
use crate::store::{self, Store, Table};

const RECORD_PREFIX: &[u8] = b"k";
const PART_PREFIX: &[u8] = b"p";

/// The stored records.
pub(super) struct IdempotencyStore {
    store: Store,
    /// When the store was opened. Older records are not queued and take no capacity until
    /// [`count_existing`](IdempotencyStore::count_existing) has ended.
    opened: Timestamp,
    /// By the number of the API key, so that no API key uses the capacity of another.
    callers: DashMap<u64, CallerRecords>,
    /// The scopes of the records since `opened`; `None` once [`count_existing`](IdempotencyStore::count_existing) has ended.
    new_scopes: Mutex<Option<HashSet<KeyScope>>>,
    /// When expired records were last removed, in microseconds as in [`Timestamp`].
    last_removal: AtomicI64,
    capacity_bytes: u64,
}

/// The records of one API key.
#[derive(Default)]
struct CallerRecords {
    /// The oldest first. A new record enters when it is no longer in flight. Some may be removed from the store already.
    queue: VecDeque<QueuedRecord>,
    /// The size of all records in bytes, including those in flight.
    used_bytes: u64,
}

/// A record in the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
struct QueuedRecord {
    /// When its retention starts: `at`, or earlier if the clock was set back after `at`.
    since: Timestamp,
    /// When the request was begun, as in the stored record.
    at: Timestamp,
    scope: KeyScope,
}

impl IdempotencyStore {
    pub(super) fn new(store: Store, opened: Timestamp) -> IdempotencyStore {
        let (new_scopes, last_removal) = (Mutex::new(Some(HashSet::new())), AtomicI64::new(opened.0));
        IdempotencyStore {
            store,
            opened,
            callers: DashMap::new(),
            new_scopes,
            last_removal,
            capacity_bytes: IDEMPOTENCY_BYTES,
        }
    }

    /// The same store with another capacity.
    #[cfg(test)]
    pub(super) fn with_capacity_bytes(self, capacity_bytes: u64) -> IdempotencyStore {
        IdempotencyStore { capacity_bytes, ..self }
    }

    /// Stores a new record. If the scope already has a record, returns that record instead; this needs no capacity.
    pub(super) fn begin(
        &self,
        scope: KeyScope,
        record: &IdempotencyRecord,
    ) -> Result<Option<IdempotencyRecord>, Error> {
        let table_key = record_key(scope);
        if !self.has_capacity(scope) {
            if let Some(existing) = self.store.get(Table::IdempotencyRecords, &table_key)? {
                return self.assemble_record(scope, &existing).map(Some);
            }
            self.evict_oldest(scope, record.at)?;
        }
        // Locked while the record is stored, so that `count_existing` finds its scope here.
        let mut new_scopes = Some(self.new_scopes()).filter(|new_scopes| new_scopes.is_some());
        match self.store.put_if_absent(Table::IdempotencyRecords, &table_key, &record.encode().0)? {
            Some(existing) => self.assemble_record(scope, &existing).map(Some),
            None => {
                new_scopes
                    .as_mut()
                    .and_then(|new_scopes| new_scopes.as_mut())
                    .map(|new_scopes| new_scopes.insert(scope));
                self.callers.entry(scope.caller()).or_default().used_bytes += record.size_bytes();
                Ok(None)
            }
        }
    }

    /// Decodes a record with all parts of its response. If a part is missing, the record has no response.
    fn assemble_record(&self, scope: KeyScope, bytes: &[u8]) -> Result<IdempotencyRecord, Error> {
        let (mut record, missing) = IdempotencyRecord::decode(bytes).ok_or(Error::Unreadable)?;
        let at = record.at;
        if let Some(response) = record.response.as_mut().filter(|_| missing > 0) {
            let mut body = BytesMut::from(&response.body[..]);
            let length = body.len() + missing;
            for table_key in part_keys(scope, at, missing) {
                body.extend_from_slice(&self.store.get(Table::IdempotencyRecords, &table_key)?.unwrap_or_default());
            }
            let is_complete = body.len() == length;
            response.body = body.freeze();
            record.response = record.response.filter(|_| is_complete);
        }
        Ok(record)
    }

    /// Stores the response of a record. The further parts are written first, so that a record with a response has them.
    pub(super) fn put_response(&self, scope: KeyScope, record: &IdempotencyRecord) -> Result<(), store::Error> {
        let (bytes, rest) = record.encode();
        for (part, table_key) in rest.chunks(IDEMPOTENCY_PART_BYTES).zip(part_keys(scope, record.at, rest.len())) {
            self.store.put(Table::IdempotencyRecords, &table_key, part)?;
        }
        self.store.put(Table::IdempotencyRecords, &record_key(scope), &bytes)?;
        let body = record.response.as_ref().map_or(0, |response| response.body.len() as u64);
        self.callers.entry(scope.caller()).or_default().used_bytes += body;
        Ok(())
    }

    /// Puts a record that is no longer in flight into the queue, where it expires.
    pub(super) fn queue_for_expiry(&self, at: Timestamp, scope: KeyScope) {
        self.callers.entry(scope.caller()).or_default().queue.push_back(QueuedRecord { since: at, at, scope });
    }

    /// Removes the record whose request was begun at `at`, if the scope still has that record.
    pub(super) fn remove(&self, at: Timestamp, scope: KeyScope) -> Result<(), store::Error> {
        let bytes = self.store.get(Table::IdempotencyRecords, &record_key(scope))?;
        let record = bytes.and_then(|bytes| IdempotencyRecord::decode(&bytes)).filter(|(record, _)| record.at == at);
        let Some((record, missing)) = record else { return Ok(()) };
        // The record is removed last, so that no part is left without its record.
        for table_key in part_keys(scope, at, missing) {
            self.store.remove(Table::IdempotencyRecords, &table_key)?;
        }
        self.store.remove(Table::IdempotencyRecords, &record_key(scope))?;
        let mut records = self.callers.entry(scope.caller()).or_default();
        // The record may not be counted yet; the difference must not be negative.
        records.used_bytes = records.used_bytes.saturating_sub(record.size_bytes() + missing as u64);
        Ok(())
    }

    /// Removes a batch of expired records. Returns whether there may be more.
    pub(super) fn remove_expired(&self, now: Timestamp) -> Result<bool, store::Error> {
        let mut expired = Vec::new();
        let clock_was_set_back = now.0 < self.last_removal.swap(now.0, Ordering::Relaxed);
        for mut records in self.callers.iter_mut() {
            if clock_was_set_back {
                records.queue.iter_mut().for_each(|record| record.since = record.since.min(now));
            }
            while expired.len() < IDEMPOTENCY_EXPIRY_BATCH {
                let Some(record) = records.queue.pop_front_if(|record| record.since.plus(IDEMPOTENCY_RETENTION) <= now)
                else {
                    break;
                };
                expired.push(record);
            }
        }
        for QueuedRecord { at, scope, .. } in &expired {
            self.remove(*at, *scope)?;
        }
        Ok(expired.len() == IDEMPOTENCY_EXPIRY_BATCH)
    }

    /// Removes the oldest records of an API key until there is capacity, at most [`IDEMPOTENCY_EVICTIONS`]. Fails if they
    /// are too young.
    fn evict_oldest(&self, scope: KeyScope, now: Timestamp) -> Result<(), Error> {
        for _ in 0..IDEMPOTENCY_EVICTIONS {
            let oldest = self.callers.get(&scope.caller()).and_then(|records| records.queue.front().copied());
            let Some(record) = oldest.filter(|_| !self.has_capacity(scope)) else { break };
            let wait = record.since.plus(IDEMPOTENCY_RETENTION_MIN).since(now);
            if !wait.is_zero() {
                return Err(Error::NoCapacity { seconds: wait.as_secs() + 1 });
            }
            // A concurrent request may have taken it from the queue first.
            if let Some(mut records) = self.callers.get_mut(&scope.caller()) {
                let _removed = records.queue.pop_front_if(|front| *front == record);
            }
            self.remove(record.at, record.scope)?;
        }
        Ok(())
    }

    fn has_capacity(&self, scope: KeyScope) -> bool {
        self.callers.get(&scope.caller()).is_none_or(|records| records.used_bytes < self.capacity_bytes)
    }

    /// Counts the records that were stored before the store was opened, and puts them at the front of the queues.
    pub(super) fn count_existing(&self) -> Result<(), store::Error> {
        let mut existing: HashMap<u64, Vec<QueuedRecord>> = HashMap::new();
        for entry in self.store.scan_from(Table::IdempotencyRecords, RECORD_PREFIX) {
            let (table_key, value) = entry?;
            let Some(scope) = table_key.strip_prefix(RECORD_PREFIX).and_then(|scope| scope.as_array()) else { break };
            let scope = KeyScope(*scope);
            let is_existing = |scope| self.new_scopes().as_ref().is_some_and(|new_scopes| !new_scopes.contains(scope));
            if let Some((record, missing)) = IdempotencyRecord::decode(&value).filter(|_| is_existing(&scope)) {
                let since = record.at.min(self.opened);
                self.callers.entry(scope.caller()).or_default().used_bytes += record.size_bytes() + missing as u64;
                existing.entry(scope.caller()).or_default().push(QueuedRecord { since, at: record.at, scope });
            }
        }
        for (caller, mut queued) in existing {
            queued.sort_unstable_by_key(|record| record.since);
            let mut records = self.callers.entry(caller).or_default();
            queued.extend(records.queue.drain(..));
            records.queue = queued.into();
        }
        *self.new_scopes() = None;
        Ok(())
    }

    /// Poisoning is ignored: no panic can leave the set half changed.
    fn new_scopes(&self) -> MutexGuard<'_, Option<HashSet<KeyScope>>> {
        self.new_scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The table key of a record.
fn record_key(scope: KeyScope) -> Vec<u8> {
    [RECORD_PREFIX, &scope.0].concat()
}

/// The table keys of the further parts of a response. Together the parts have `bytes` bytes.
fn part_keys(scope: KeyScope, at: Timestamp, bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let table_key = move |number: u32| [PART_PREFIX, &scope.0, &at.0.to_be_bytes(), &number.to_be_bytes()].concat();
    (0..bytes.div_ceil(IDEMPOTENCY_PART_BYTES) as u32).map(table_key)
}
