//! The rows in the store: by key, and by time so that the oldest go first.
//!
//! | key | value |
//! |---|---|
//! | `k`, scope (32) | the row |
//! | `p`, scope (32), when (8), number (4) | a further part of the answer |
//! | `t`, when (8), scope (32) | nothing |
//!
//! Numbers and times are big endian. What is under `t` is written first and removed last, so that nothing is kept that is
//! not found there; what is named there may be gone, or newer.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;

use super::Error;
use super::row::{Row, Scope};
use crate::domain::Timestamp;
use crate::limits::{
    ANSWER_PART_BYTES, ANSWERS_BYTES, ANSWERS_FORGOTTEN, ANSWERS_KEPT, ANSWERS_KEPT_LEAST, ANSWERS_PUSHED_OUT,
};
use crate::store::{self, Store, Table};

const ROWS: &[u8] = b"k";
const PARTS: &[u8] = b"p";
const TIMES: &[u8] = b"t";

/// The rows.
pub(super) struct Book {
    store: Store,
    /// Rows that were begun before are not counted until [`count`](Book::count) is through.
    opened: Timestamp,
    /// The room that is taken.
    taken: AtomicU64,
    room: u64,
}

impl Book {
    pub(super) fn new(store: Store, opened: Timestamp) -> Book {
        Book { store, opened, taken: AtomicU64::new(0), room: ANSWERS_BYTES }
    }

    /// The same with less room.
    #[cfg(test)]
    pub(super) fn with_room(self, room: u64) -> Book {
        Book { room, ..self }
    }

    /// The row of a key. One whose answer is not whole was never answered.
    pub(super) fn row(&self, scope: Scope) -> Result<Option<Row>, store::Error> {
        let Some(bytes) = self.store.get(Table::Answers, &row_key(scope))? else { return Ok(None) };
        let Some((mut row, missing)) = Row::read(&bytes) else { return Ok(None) };
        let at = row.at;
        if let Some(given) = row.answer.as_mut().filter(|_| missing > 0) {
            let mut body = BytesMut::from(&given.body[..]);
            let whole = body.len() + missing;
            for number in 0..missing.div_ceil(ANSWER_PART_BYTES) {
                let part = self.store.get(Table::Answers, &part_key(scope, at, number as u32))?;
                body.extend_from_slice(&part.unwrap_or_default());
            }
            let is_whole = body.len() == whole;
            given.body = body.freeze();
            row.answer = row.answer.filter(|_| is_whole);
        }
        Ok(Some(row))
    }

    /// Writes a request down that is new.
    pub(super) fn begin(&self, scope: Scope, row: &Row) -> Result<(), store::Error> {
        self.store.put(Table::Answers, &time_key(row.at, scope), b"")?;
        self.store.put(Table::Answers, &row_key(scope), &row.bytes().0)?;
        self.taken.fetch_add(row.weight(), Ordering::Relaxed);
        Ok(())
    }

    /// Writes its answer down.
    pub(super) fn answer(&self, scope: Scope, row: &Row) -> Result<(), store::Error> {
        let (bytes, rest) = row.bytes();
        for (part, number) in rest.chunks(ANSWER_PART_BYTES).zip(0..) {
            self.store.put(Table::Answers, &part_key(scope, row.at, number), part)?;
        }
        self.store.put(Table::Answers, &row_key(scope), &bytes)?;
        let body = row.answer.as_ref().map_or(0, |given| given.body.len() as u64);
        self.taken.fetch_add(body, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets the request that was begun at this moment, if it is what the key has still.
    pub(super) fn forget(&self, at: Timestamp, scope: Scope) -> Result<(), store::Error> {
        let bytes = self.store.get(Table::Answers, &row_key(scope))?;
        if let Some((row, missing)) = bytes.and_then(|bytes| Row::read(&bytes)).filter(|(row, _)| row.at == at) {
            self.store.remove(Table::Answers, &row_key(scope))?;
            let weight = row.weight() + missing as u64;
            // What is not counted yet is not taken back below nothing.
            let less = |taken: u64| Some(taken.saturating_sub(weight));
            let _always = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        for entry in self.store.scan_from(Table::Answers, &part_key(scope, at, 0)) {
            let (key, _) = entry?;
            if !key.starts_with(&part_keys(scope, at)) {
                break;
            }
            self.store.remove(Table::Answers, &key)?;
        }
        self.store.remove(Table::Answers, &time_key(at, scope))
    }

    /// Forgets some of what is over; says whether there may be more of it.
    pub(super) fn forget_over(&self, now: Timestamp) -> Result<bool, store::Error> {
        for entry in self.store.scan_from(Table::Answers, TIMES).take(ANSWERS_FORGOTTEN) {
            let Some((at, scope)) = read_time_key(&entry?.0) else { return Ok(false) };
            if at.plus(ANSWERS_KEPT) > now {
                return Ok(false);
            }
            self.forget(at, scope)?;
        }
        Ok(true)
    }

    /// Forgets the oldest if there is no room; an error if they are too young for that.
    pub(super) fn make_room(&self, now: Timestamp) -> Result<(), Error> {
        let has_room = || self.taken.load(Ordering::Relaxed) < self.room;
        if has_room() {
            return Ok(());
        }
        for entry in self.store.scan_from(Table::Answers, TIMES).take(ANSWERS_PUSHED_OUT) {
            let Some((at, scope)) = read_time_key(&entry?.0) else { break };
            let young = at.plus(ANSWERS_KEPT_LEAST).since(now);
            if !young.is_zero() {
                return Err(Error::Full { seconds: young.as_secs() + 1 });
            }
            self.forget(at, scope)?;
            if has_room() {
                break;
            }
        }
        Ok(())
    }

    /// Counts the room that is taken by what was there when the store was opened. What is over of it is forgotten, also
    /// where no time names it: a backup may have been taken while it was being forgotten.
    pub(super) fn count(&self, now: Timestamp) -> Result<(), store::Error> {
        for entry in self.store.scan_from(Table::Answers, ROWS) {
            let (key, value) = entry?;
            let Some(scope) = key.strip_prefix(ROWS).and_then(|scope| scope.as_array()) else { break };
            let Some((row, missing)) = Row::read(&value).filter(|(row, _)| row.at < self.opened) else { continue };
            self.taken.fetch_add(row.weight() + missing as u64, Ordering::Relaxed);
            if row.is_over(now) {
                self.forget(row.at, Scope(*scope))?;
            }
        }
        Ok(())
    }
}

fn row_key(scope: Scope) -> Vec<u8> {
    [ROWS, &scope.0].concat()
}

fn part_keys(scope: Scope, at: Timestamp) -> Vec<u8> {
    [PARTS, &scope.0, &at.0.to_be_bytes()].concat()
}

fn part_key(scope: Scope, at: Timestamp, number: u32) -> Vec<u8> {
    [&part_keys(scope, at)[..], &number.to_be_bytes()].concat()
}

fn time_key(at: Timestamp, scope: Scope) -> Vec<u8> {
    [TIMES, &at.0.to_be_bytes(), &scope.0].concat()
}

fn read_time_key(key: &[u8]) -> Option<(Timestamp, Scope)> {
    let (at, scope) = key.strip_prefix(TIMES)?.split_first_chunk()?;
    Some((Timestamp(i64::from_be_bytes(*at)), Scope(*scope.as_array()?)))
}
