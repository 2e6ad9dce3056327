//! The rows in the store, and in memory which of each API key is the oldest.
//!
//! | key | value |
//! |---|---|
//! | `k`, scope (32) | the row |
//! | `p`, scope (32), when it was begun (8), number (4) | a further part of the answer |
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

/// The rows.
pub(super) struct IdempotencyStore {
    store: Store,
    /// What was begun before is not in the line, and takes no room, until [`count`](Book::count) is through.
    opened: Timestamp,
    /// By API key: none takes the room of another.
    callers: DashMap<u64, CallerRecords>,
    /// The rows that were begun since then, until [`count`](Book::count) is through.
    fresh: Mutex<Option<HashSet<KeyScope>>>,
    /// When was looked for what is over last.
    looked: AtomicI64,
    capacity_bytes: u64,
}

/// The rows of one API key.
#[derive(Default)]
struct CallerRecords {
    /// The oldest first. Some may be gone. Those that are under way are not here.
    rows: VecDeque<CompletedRecord>,
    /// The room that they take, and those that are under way.
    used_bytes: u64,
}

/// A row that is no longer under way.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CompletedRecord {
    /// From when its age counts: from when it was begun. A clock that turns out to have been ahead makes it no younger.
    since: Timestamp,
    /// When it was begun, as the row has it.
    at: Timestamp,
    scope: KeyScope,
}

impl IdempotencyStore {
    pub(super) fn new(store: Store, opened: Timestamp) -> IdempotencyStore {
        let (fresh, looked) = (Mutex::new(Some(HashSet::new())), AtomicI64::new(opened.0));
        IdempotencyStore { store, opened, callers: DashMap::new(), fresh, looked, capacity_bytes: IDEMPOTENCY_BYTES }
    }

    /// The same with less room.
    #[cfg(test)]
    pub(super) fn with_capacity_bytes(self, room: u64) -> IdempotencyStore {
        IdempotencyStore { capacity_bytes: room, ..self }
    }

    /// Writes a request down that is new, unless its key has a row; returns that then. To be found needs no room.
    pub(super) fn begin(&self, scope: KeyScope, row: &IdempotencyRecord) -> Result<Option<IdempotencyRecord>, Error> {
        let key = record_key(scope);
        if !self.has_capacity(scope) {
            if let Some(there) = self.store.get(Table::IdempotencyRecords, &key)? {
                return self.assemble_record(scope, &there).map(Some);
            }
            self.evict_oldest(scope, row.at)?;
        }
        // Held, so that whoever counts finds each row in it that is new.
        let mut fresh = Some(self.fresh()).filter(|fresh| fresh.is_some());
        match self.store.put_if_absent(Table::IdempotencyRecords, &key, &row.encode().0)? {
            Some(there) => self.assemble_record(scope, &there).map(Some),
            None => {
                fresh.as_mut().and_then(|fresh| fresh.as_mut()).map(|fresh| fresh.insert(scope));
                self.callers.entry(scope.caller()).or_default().used_bytes += row.size_bytes();
                Ok(None)
            }
        }
    }

    /// A row with all parts of its answer. One whose answer is not whole was never answered.
    fn assemble_record(&self, scope: KeyScope, bytes: &[u8]) -> Result<IdempotencyRecord, Error> {
        let (mut row, missing) = IdempotencyRecord::decode(bytes).ok_or(Error::Unreadable)?;
        let at = row.at;
        if let Some(given) = row.response.as_mut().filter(|_| missing > 0) {
            let mut body = BytesMut::from(&given.body[..]);
            let whole = body.len() + missing;
            for key in part_keys(scope, at, missing) {
                body.extend_from_slice(&self.store.get(Table::IdempotencyRecords, &key)?.unwrap_or_default());
            }
            let is_whole = body.len() == whole;
            given.body = body.freeze();
            row.response = row.response.filter(|_| is_whole);
        }
        Ok(row)
    }

    /// Writes its answer down. The row comes last: with it everything is there.
    pub(super) fn put_response(&self, scope: KeyScope, row: &IdempotencyRecord) -> Result<(), store::Error> {
        let (bytes, rest) = row.encode();
        for (part, key) in rest.chunks(IDEMPOTENCY_ROW_BYTES).zip(part_keys(scope, row.at, rest.len())) {
            self.store.put(Table::IdempotencyRecords, &key, part)?;
        }
        self.store.put(Table::IdempotencyRecords, &record_key(scope), &bytes)?;
        let body = row.response.as_ref().map_or(0, |given| given.body.len() as u64);
        self.callers.entry(scope.caller()).or_default().used_bytes += body;
        Ok(())
    }

    /// Puts a row that is no longer under way in the line of those that are forgotten one day.
    pub(super) fn queue_for_expiry(&self, at: Timestamp, scope: KeyScope) {
        self.callers.entry(scope.caller()).or_default().rows.push_back(CompletedRecord { since: at, at, scope });
    }

    /// Forgets the request that was begun at this moment, if it is what the key has still.
    pub(super) fn remove(&self, at: Timestamp, scope: KeyScope) -> Result<(), store::Error> {
        let bytes = self.store.get(Table::IdempotencyRecords, &record_key(scope))?;
        let row = bytes.and_then(|bytes| IdempotencyRecord::decode(&bytes)).filter(|(row, _)| row.at == at);
        let Some((row, missing)) = row else { return Ok(()) };
        // The row goes last, so that none of its parts is left without it.
        for key in part_keys(scope, at, missing) {
            self.store.remove(Table::IdempotencyRecords, &key)?;
        }
        self.store.remove(Table::IdempotencyRecords, &record_key(scope))?;
        let mut line = self.callers.entry(scope.caller()).or_default();
        // What is not counted yet is not taken back below nothing.
        line.used_bytes = line.used_bytes.saturating_sub(row.size_bytes() + missing as u64);
        Ok(())
    }

    /// Forgets some of what is over; says whether there may be more of it.
    pub(super) fn remove_expired(&self, now: Timestamp) -> Result<bool, store::Error> {
        let mut over = Vec::new();
        let was_set_back = now.0 < self.looked.swap(now.0, Ordering::Relaxed);
        for mut line in self.callers.iter_mut() {
            if was_set_back {
                line.rows.iter_mut().for_each(|row| row.since = row.since.min(now));
            }
            while over.len() < IDEMPOTENCY_EXPIRY_BATCH {
                let Some(row) = line.rows.pop_front_if(|row| row.since.plus(IDEMPOTENCY_RETENTION) <= now) else {
                    break;
                };
                over.push(row);
            }
        }
        for CompletedRecord { at, scope, .. } in &over {
            self.remove(*at, *scope)?;
        }
        Ok(over.len() == IDEMPOTENCY_EXPIRY_BATCH)
    }

    /// Forgets the oldest of an API key until there is room; an error if they are too young for that.
    fn evict_oldest(&self, wanted: KeyScope, now: Timestamp) -> Result<(), Error> {
        for _ in 0..IDEMPOTENCY_EVICTIONS {
            let oldest = self.callers.get(&wanted.caller()).and_then(|line| line.rows.front().copied());
            let Some(row) = oldest.filter(|_| !self.has_capacity(wanted)) else { break };
            let young = row.since.plus(IDEMPOTENCY_RETENTION_MIN).since(now);
            if !young.is_zero() {
                return Err(Error::NoCapacity { seconds: young.as_secs() + 1 });
            }
            // Somebody else who needs room may have been here first.
            if let Some(mut line) = self.callers.get_mut(&wanted.caller()) {
                let _mine = line.rows.pop_front_if(|front| *front == row);
            }
            self.remove(row.at, row.scope)?;
        }
        Ok(())
    }

    fn has_capacity(&self, scope: KeyScope) -> bool {
        self.callers.get(&scope.caller()).is_none_or(|line| line.used_bytes < self.capacity_bytes)
    }

    /// Counts what was there when the store was opened, and puts it in front of the lines.
    pub(super) fn count_existing(&self) -> Result<(), store::Error> {
        let mut before: HashMap<u64, Vec<CompletedRecord>> = HashMap::new();
        for entry in self.store.scan_from(Table::IdempotencyRecords, ROWS) {
            let (key, value) = entry?;
            let Some(scope) = key.strip_prefix(ROWS).and_then(|scope| scope.as_array()) else { break };
            let scope = KeyScope(*scope);
            let is_old = |scope| self.fresh().as_ref().is_some_and(|fresh| !fresh.contains(scope));
            if let Some((row, missing)) = IdempotencyRecord::decode(&value).filter(|_| is_old(&scope)) {
                let since = row.at.min(self.opened);
                self.callers.entry(scope.caller()).or_default().used_bytes += row.size_bytes() + missing as u64;
                before.entry(scope.caller()).or_default().push(CompletedRecord { since, at: row.at, scope });
            }
        }
        for (caller, mut rows) in before {
            rows.sort_unstable_by_key(|row| row.since);
            let mut line = self.callers.entry(caller).or_default();
            rows.extend(line.rows.drain(..));
            line.rows = rows.into();
        }
        *self.fresh() = None;
        Ok(())
    }

    /// What is in it is whole between any two lines.
    fn fresh(&self) -> MutexGuard<'_, Option<HashSet<KeyScope>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record_key(scope: KeyScope) -> Vec<u8> {
    [ROWS, &scope.0].concat()
}

/// The keys of the further parts of an answer, which have so many bytes together.
fn part_keys(scope: KeyScope, at: Timestamp, bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let key = move |number: u32| [PARTS, &scope.0, &at.0.to_be_bytes(), &number.to_be_bytes()].concat();
    (0..bytes.div_ceil(IDEMPOTENCY_ROW_BYTES) as u32).map(key)
}
