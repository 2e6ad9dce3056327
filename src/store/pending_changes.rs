//! Changes that the engine does not have yet, over the rows that it has.
//!
//! A change waits here until the write-ahead log has it durably and the applier has given it to the engine. Readers see
//! it at once. So an answer never waits for the engine, and the engine never holds what a power cut could take from the
//! log.

use std::collections::{BTreeMap, VecDeque};
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::engine::{Engine, Row, Rows};
use super::keyspace::{Keyspace, Order, RowChange};
use super::{Error, StoredValue};
use crate::limits::SCAN_PENDING_ROWS;

/// The rows as readers see them: those of the engine, with the pending changes.
pub(super) struct PendingChanges {
    engine: Arc<dyn Engine>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// The latest pending change of each row, by [`Keyspace::index`].
    latest: [BTreeMap<Bytes, PendingRow>; Keyspace::COUNT],
    /// The changes that are not in the write-ahead log, in order.
    unlogged: Vec<RowChange>,
    /// Their bytes.
    unlogged_bytes: usize,
    /// The number of the last change. Changes are numbered from 1 after each start.
    last: u64,
}

struct PendingRow {
    /// The number of the change.
    number: u64,
    /// `None` if it removes the row.
    value: Option<StoredValue>,
}

/// Consecutive changes.
#[derive(Debug, Default)]
pub(super) struct NumberedChanges {
    /// The number of the first change.
    pub(super) first: u64,
    pub(super) changes: Vec<RowChange>,
}

/// How much waits after a change was added.
#[derive(Clone, Copy)]
pub(super) struct Added {
    /// The number of the last change.
    pub(super) last: u64,
    /// Bytes of changes that are not in the write-ahead log.
    pub(super) unlogged_bytes: usize,
}

impl PendingChanges {
    pub(super) fn new(engine: Arc<dyn Engine>) -> PendingChanges {
        PendingChanges { engine, state: RwLock::default() }
    }

    /// Adds changes, in order.
    pub(super) fn add(&self, changes: impl IntoIterator<Item = RowChange>) -> Added {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        changes.into_iter().for_each(|change| state.add(change));
        state.added()
    }

    /// Adds the change that `decide` makes of the row's present value, if any. The row has no other change meanwhile.
    pub(super) fn add_if(
        &self,
        keyspace: Keyspace,
        key: &[u8],
        decide: impl FnOnce(Option<&StoredValue>) -> Option<RowChange>,
    ) -> Result<(Option<StoredValue>, Option<Added>), Error> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let present = match state.latest[keyspace.index()].get(key) {
            Some(row) => row.value.clone(),
            None => self.engine.get(keyspace, key)?,
        };
        let added = decide(present.as_ref()).map(|change| {
            state.add(change);
            state.added()
        });
        Ok((present, added))
    }

    /// The value under `key`.
    pub(super) fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<StoredValue>, Error> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = state.latest[keyspace.index()].get(key) {
            return Ok(row.value.clone());
        }
        // What leaves this state is in the engine before.
        drop(state);
        self.engine.get(keyspace, key)
    }

    /// The rows from `key` on, in `order`.
    pub(super) fn scan(self: &Arc<Self>, keyspace: Keyspace, key: &[u8], order: Order) -> Scan {
        let from = Bound::Included(Bytes::copy_from_slice(key));
        Scan { pending: self.clone(), keyspace, order, from, page: None }
    }

    /// Takes the changes that are not in the write-ahead log, to write them there.
    pub(super) fn take_unlogged(&self) -> NumberedChanges {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let changes = std::mem::take(&mut state.unlogged);
        state.unlogged_bytes = 0;
        NumberedChanges { first: state.last + 1 - changes.len() as u64, changes }
    }

    /// The number of the last change.
    pub(super) fn last(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Forgets changes that the engine has.
    pub(super) fn forget_applied(&self, applied: &NumberedChanges) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (number, change) in (applied.first..).zip(&applied.changes) {
            let rows = &mut state.latest[change.keyspace.index()];
            if rows.get(&change.key).is_some_and(|row| row.number == number) {
                rows.remove(&change.key);
            }
        }
    }
}

impl State {
    fn add(&mut self, change: RowChange) {
        self.last += 1;
        self.unlogged_bytes += change.len();
        let row = PendingRow { number: self.last, value: change.value.clone() };
        self.latest[change.keyspace.index()].insert(change.key.clone(), row);
        self.unlogged.push(change);
    }

    fn added(&self) -> Added {
        Added { last: self.last, unlogged_bytes: self.unlogged_bytes }
    }

    /// The first pending rows from `from` on, at most [`SCAN_PENDING_ROWS`].
    fn rows(&self, keyspace: Keyspace, from: &Bound<Bytes>, order: Order) -> VecDeque<(Bytes, Option<StoredValue>)> {
        let (rows, from) = (&self.latest[keyspace.index()], from.clone());
        let copy = |(key, row): (&Bytes, &PendingRow)| (key.clone(), row.value.clone());
        match order {
            Order::Ascending => rows.range((from, Bound::Unbounded)).map(copy).take(SCAN_PENDING_ROWS).collect(),
            Order::Descending => rows.range((Bound::Unbounded, from)).rev().map(copy).take(SCAN_PENDING_ROWS).collect(),
        }
    }
}

impl NumberedChanges {
    /// The number of the last change.
    pub(super) fn last(&self) -> u64 {
        self.first + self.changes.len() as u64 - 1
    }

    /// Appends the changes that follow these.
    pub(super) fn append(&mut self, mut later: NumberedChanges) {
        if self.changes.is_empty() {
            *self = later;
        } else {
            self.changes.append(&mut later.changes);
        }
    }
}

/// The rows of a keyspace in order. Rows that change meanwhile are read before or after their change.
pub(super) struct Scan {
    pending: Arc<PendingChanges>,
    keyspace: Keyspace,
    order: Order,
    /// Where the next page begins.
    from: Bound<Bytes>,
    page: Option<Page>,
}

/// A part of a scan.
struct Page {
    /// Pending rows that were not returned yet. Taken before the engine is read: a row that leaves the pending ones
    /// meanwhile is in the engine.
    pending: VecDeque<(Bytes, Option<StoredValue>)>,
    /// The last key of the page; `None` if the page holds the rest.
    end: Option<Bytes>,
    engine: Peekable<Rows>,
}

impl Scan {
    fn open_page(&self) -> Page {
        let pending = {
            let state = self.pending.state.read().unwrap_or_else(PoisonError::into_inner);
            state.rows(self.keyspace, &self.from, self.order)
        };
        let end = pending.back().filter(|_| pending.len() == SCAN_PENDING_ROWS).map(|(key, _)| key.clone());
        let (Bound::Included(key) | Bound::Excluded(key)) = &self.from else { unreachable!("a scan has a first key") };
        let mut engine = self.pending.engine.scan(self.keyspace, key, self.order).peekable();
        if let Bound::Excluded(key) = &self.from {
            engine.next_if(|row| row.as_ref().is_ok_and(|(first, _)| first == key));
        }
        Page { pending, end, engine }
    }
}

impl Order {
    /// Whether a scan returns `key` before `other`.
    fn is_before(self, key: &Bytes, other: &Bytes) -> bool {
        match self {
            Order::Ascending => key < other,
            Order::Descending => key > other,
        }
    }
}

impl Page {
    /// The next row of the page.
    fn next(&mut self, order: Order) -> Option<Result<Row, Error>> {
        loop {
            let end = self.end.as_ref();
            let stored = match self.engine.peek() {
                Some(Ok((key, _))) if end.is_some_and(|end| order.is_before(end, key)) => None,
                Some(Ok((key, _))) => Some(key),
                Some(Err(_)) => return self.engine.next(),
                None => None,
            };
            match (self.pending.front(), stored) {
                (None, None) => return None,
                (Some((key, _)), Some(stored)) if order.is_before(stored, key) => return self.engine.next(),
                (None, Some(_)) => return self.engine.next(),
                (Some((key, _)), stored) => {
                    if stored == Some(key) {
                        self.engine.next();
                    }
                    if let Some((key, Some(value))) = self.pending.pop_front() {
                        return Some(Ok((key, value)));
                    }
                }
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Result<Row, Error>> {
        loop {
            let mut page = self.page.take().unwrap_or_else(|| self.open_page());
            let row = page.next(self.order);
            match (row, page.end.clone()) {
                (None, Some(end)) => self.from = Bound::Excluded(end),
                (row, _) => {
                    self.page = Some(page);
                    return row;
                }
            }
        }
    }
}
