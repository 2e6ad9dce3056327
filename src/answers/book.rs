//! The rows in the store, and in memory which of them is the oldest.
//!
//! | key | value |
//! |---|---|
//! | `k`, scope (32) | the row |
//! | `p`, scope (32), when it was begun (8), number (4) | a further part of the answer |
//!
//! Numbers and times are big endian.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// The rows.
pub(super) struct Book {
    store: Store,
    /// What was begun before is not in the line, and takes no room, until [`count`](Book::count) is through.
    opened: Timestamp,
    /// When each row was begun, the oldest first. Some may be gone. Those that are under way are not here.
    line: Mutex<VecDeque<(Timestamp, Scope)>>,
    /// The room that is taken.
    taken: AtomicU64,
    room: u64,
}

impl Book {
    pub(super) fn new(store: Store, opened: Timestamp) -> Book {
        Book { store, opened, line: Mutex::default(), taken: AtomicU64::new(0), room: ANSWERS_BYTES }
    }

    /// The same with less room.
    #[cfg(test)]
    pub(super) fn with_room(self, room: u64) -> Book {
        Book { room, ..self }
    }

    /// Writes a request down that is new, unless its key has a row; returns that then. To be found needs no room.
    pub(super) fn begin(&self, scope: Scope, row: &Row) -> Result<Option<Row>, Error> {
        let key = row_key(scope);
        if !self.has_room() {
            if let Some(there) = self.store.get(Table::Answers, &key)? {
                return self.whole(scope, &there).map(Some);
            }
            self.make_room(row.at)?;
        }
        match self.store.put_new(Table::Answers, &key, &row.bytes().0)? {
            Some(there) => self.whole(scope, &there).map(Some),
            None => {
                self.taken.fetch_add(row.weight(), Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// A row with all parts of its answer. One whose answer is not whole was never answered.
    fn whole(&self, scope: Scope, bytes: &[u8]) -> Result<Row, Error> {
        let (mut row, missing) = Row::read(bytes).ok_or(Error::Unreadable)?;
        let at = row.at;
        if let Some(given) = row.answer.as_mut().filter(|_| missing > 0) {
            let mut body = BytesMut::from(&given.body[..]);
            let whole = body.len() + missing;
            for key in part_keys(scope, at, missing) {
                body.extend_from_slice(&self.store.get(Table::Answers, &key)?.unwrap_or_default());
            }
            let is_whole = body.len() == whole;
            given.body = body.freeze();
            row.answer = row.answer.filter(|_| is_whole);
        }
        Ok(row)
    }

    /// Writes its answer down. The row comes last: with it everything is there.
    pub(super) fn answer(&self, scope: Scope, row: &Row) -> Result<(), store::Error> {
        let (bytes, rest) = row.bytes();
        for (part, key) in rest.chunks(ANSWER_PART_BYTES).zip(part_keys(scope, row.at, rest.len())) {
            self.store.put(Table::Answers, &key, part)?;
        }
        self.store.put(Table::Answers, &row_key(scope), &bytes)?;
        let body = row.answer.as_ref().map_or(0, |given| given.body.len() as u64);
        self.taken.fetch_add(body, Ordering::Relaxed);
        Ok(())
    }

    /// Puts a row that is no longer under way in the line of those that are forgotten one day.
    pub(super) fn line_up(&self, at: Timestamp, scope: Scope) {
        self.line().push_back((at, scope));
    }

    /// Forgets the request that was begun at this moment, if it is what the key has still.
    pub(super) fn forget(&self, at: Timestamp, scope: Scope) -> Result<(), store::Error> {
        let bytes = self.store.get(Table::Answers, &row_key(scope))?;
        let row = bytes.and_then(|bytes| Row::read(&bytes)).filter(|(row, _)| row.at == at);
        let Some((row, missing)) = row else { return Ok(()) };
        // The row goes last, so that none of its parts is left without it.
        for key in part_keys(scope, at, missing) {
            self.store.remove(Table::Answers, &key)?;
        }
        self.store.remove(Table::Answers, &row_key(scope))?;
        // What is not counted yet is not taken back below nothing.
        let less = |taken: u64| Some(taken.saturating_sub(row.weight() + missing as u64));
        let _always = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        Ok(())
    }

    /// Forgets some of what is over; says whether there may be more of it.
    pub(super) fn forget_over(&self, now: Timestamp) -> Result<bool, store::Error> {
        for _ in 0..ANSWERS_FORGOTTEN {
            let over = self.line().pop_front_if(|(at, _)| at.plus(ANSWERS_KEPT) <= now);
            let Some((at, scope)) = over else { return Ok(false) };
            self.forget(at, scope)?;
        }
        Ok(true)
    }

    /// Forgets the oldest until there is room; an error if they are too young for that.
    fn make_room(&self, now: Timestamp) -> Result<(), Error> {
        for _ in 0..ANSWERS_PUSHED_OUT {
            let oldest = self.line().front().copied();
            let Some((at, scope)) = oldest.filter(|_| !self.has_room()) else { break };
            let young = at.plus(ANSWERS_KEPT_LEAST).since(now);
            if !young.is_zero() {
                return Err(Error::Full { seconds: young.as_secs() + 1 });
            }
            // Somebody else who needs room may have been here first.
            let _mine = self.line().pop_front_if(|front| *front == (at, scope));
            self.forget(at, scope)?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < self.room
    }

    /// Counts what was there when the store was opened, and puts it in front of the line.
    pub(super) fn count(&self) -> Result<(), store::Error> {
        let mut before = Vec::new();
        for entry in self.store.scan_from(Table::Answers, ROWS) {
            let (key, value) = entry?;
            let Some(scope) = key.strip_prefix(ROWS).and_then(|scope| scope.as_array()) else { break };
            if let Some((row, missing)) = Row::read(&value).filter(|(row, _)| row.at < self.opened) {
                self.taken.fetch_add(row.weight() + missing as u64, Ordering::Relaxed);
                before.push((row.at, Scope(*scope)));
            }
        }
        before.sort_unstable_by_key(|(at, _)| *at);
        let mut line = self.line();
        before.extend(line.drain(..));
        *line = before.into();
        Ok(())
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<(Timestamp, Scope)>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row_key(scope: Scope) -> Vec<u8> {
    [ROWS, &scope.0].concat()
}

/// The keys of the further parts of an answer, which have so many bytes together.
fn part_keys(scope: Scope, at: Timestamp, bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let key = move |number: u32| [PARTS, &scope.0, &at.0.to_be_bytes(), &number.to_be_bytes()].concat();
    (0..bytes.div_ceil(ANSWER_PART_BYTES) as u32).map(key)
}
