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
    /// By API key: none takes the room of another.
    lines: DashMap<u64, Line>,
    /// The rows that were begun since then, until [`count`](Book::count) is through.
    fresh: Mutex<Option<HashSet<Scope>>>,
    /// When was looked for what is over last.
    looked: AtomicI64,
    room: u64,
}

/// The rows of one API key.
#[derive(Default)]
struct Line {
    /// The oldest first. Some may be gone. Those that are under way are not here.
    rows: VecDeque<Kept>,
    /// The room that they take, and those that are under way.
    taken: u64,
}

/// A row that is no longer under way.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kept {
    /// From when its age counts: from when it was begun. A clock that turns out to have been ahead makes it no younger.
    since: Timestamp,
    /// When it was begun, as the row has it.
    at: Timestamp,
    scope: Scope,
}

impl Book {
    pub(super) fn new(store: Store, opened: Timestamp) -> Book {
        let (fresh, looked) = (Mutex::new(Some(HashSet::new())), AtomicI64::new(opened.0));
        Book { store, opened, lines: DashMap::new(), fresh, looked, room: ANSWERS_BYTES }
    }

    /// The same with less room.
    #[cfg(test)]
    pub(super) fn with_room(self, room: u64) -> Book {
        Book { room, ..self }
    }

    /// Writes a request down that is new, unless its key has a row; returns that then. To be found needs no room.
    pub(super) fn begin(&self, scope: Scope, row: &Row) -> Result<Option<Row>, Error> {
        let key = row_key(scope);
        if !self.has_room(scope) {
            if let Some(there) = self.store.get(Table::Answers, &key)? {
                return self.whole(scope, &there).map(Some);
            }
            self.make_room(scope, row.at)?;
        }
        // Held, so that whoever counts finds each row in it that is new.
        let mut fresh = Some(self.fresh()).filter(|fresh| fresh.is_some());
        match self.store.put_new(Table::Answers, &key, &row.bytes().0)? {
            Some(there) => self.whole(scope, &there).map(Some),
            None => {
                fresh.as_mut().and_then(|fresh| fresh.as_mut()).map(|fresh| fresh.insert(scope));
                self.lines.entry(scope.caller()).or_default().taken += row.weight();
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
        self.lines.entry(scope.caller()).or_default().taken += body;
        Ok(())
    }

    /// Puts a row that is no longer under way in the line of those that are forgotten one day.
    pub(super) fn line_up(&self, at: Timestamp, scope: Scope) {
        self.lines.entry(scope.caller()).or_default().rows.push_back(Kept { since: at, at, scope });
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
        let mut line = self.lines.entry(scope.caller()).or_default();
        // What is not counted yet is not taken back below nothing.
        line.taken = line.taken.saturating_sub(row.weight() + missing as u64);
        Ok(())
    }

    /// Forgets some of what is over; says whether there may be more of it.
    pub(super) fn forget_over(&self, now: Timestamp) -> Result<bool, store::Error> {
        let mut over = Vec::new();
        let was_set_back = now.0 < self.looked.swap(now.0, Ordering::Relaxed);
        for mut line in self.lines.iter_mut() {
            if was_set_back {
                line.rows.iter_mut().for_each(|row| row.since = row.since.min(now));
            }
            while over.len() < ANSWERS_FORGOTTEN {
                let Some(row) = line.rows.pop_front_if(|row| row.since.plus(ANSWERS_KEPT) <= now) else { break };
                over.push(row);
            }
        }
        for Kept { at, scope, .. } in &over {
            self.forget(*at, *scope)?;
        }
        Ok(over.len() == ANSWERS_FORGOTTEN)
    }

    /// Forgets the oldest of an API key until there is room; an error if they are too young for that.
    fn make_room(&self, wanted: Scope, now: Timestamp) -> Result<(), Error> {
        for _ in 0..ANSWERS_PUSHED_OUT {
            let oldest = self.lines.get(&wanted.caller()).and_then(|line| line.rows.front().copied());
            let Some(row) = oldest.filter(|_| !self.has_room(wanted)) else { break };
            let young = row.since.plus(ANSWERS_KEPT_LEAST).since(now);
            if !young.is_zero() {
                return Err(Error::Full { seconds: young.as_secs() + 1 });
            }
            // Somebody else who needs room may have been here first.
            if let Some(mut line) = self.lines.get_mut(&wanted.caller()) {
                let _mine = line.rows.pop_front_if(|front| *front == row);
            }
            self.forget(row.at, row.scope)?;
        }
        Ok(())
    }

    fn has_room(&self, scope: Scope) -> bool {
        self.lines.get(&scope.caller()).is_none_or(|line| line.taken < self.room)
    }

    /// Counts what was there when the store was opened, and puts it in front of the lines.
    pub(super) fn count(&self) -> Result<(), store::Error> {
        let mut before: HashMap<u64, Vec<Kept>> = HashMap::new();
        for entry in self.store.scan_from(Table::Answers, ROWS) {
            let (key, value) = entry?;
            let Some(scope) = key.strip_prefix(ROWS).and_then(|scope| scope.as_array()) else { break };
            let scope = Scope(*scope);
            let is_old = |scope| self.fresh().as_ref().is_some_and(|fresh| !fresh.contains(scope));
            if let Some((row, missing)) = Row::read(&value).filter(|_| is_old(&scope)) {
                let since = row.at.min(self.opened);
                self.lines.entry(scope.caller()).or_default().taken += row.weight() + missing as u64;
                before.entry(scope.caller()).or_default().push(Kept { since, at: row.at, scope });
            }
        }
        for (caller, mut rows) in before {
            rows.sort_unstable_by_key(|row| row.since);
            let mut line = self.lines.entry(caller).or_default();
            rows.extend(line.rows.drain(..));
            line.rows = rows.into();
        }
        *self.fresh() = None;
        Ok(())
    }

    /// What is in it is whole between any two lines.
    fn fresh(&self) -> MutexGuard<'_, Option<HashSet<Scope>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
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
