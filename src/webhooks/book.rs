//! What a channel remembers over a restart. The journal has the deliveries themselves.
//!
//! | table | key | value, integers in little endian |
//! |---|---|---|
//! | cursors | channel | position |
//! | cursors | `keep_attempts/`, channel | format 1 (1), how long attempts are remembered in µs (8), running time with a shorter time set in µs (8) (`retention`) |
//! | lanes | channel, account (8, big endian) | format 3 (8), next position (8), failed attempts (8), next attempt in µs since 1970 (8), the largest for none, attempts (8), the wait before it in µs (8); format 2 ends before the last, format 1 before the last two |
//! | dead letters | channel, position (8, big endian) | format 2 (8), account (8), attempts (8), time in µs since 1970 (8), bytes of failure (8), the last failure in words, what was to be posted; format 1 ends after the words, and has no length of them |
//! | deliveries | channel, position (8, big endian) | JSON (`trail`) |
//! | taken | channel, first position of the row (8, big endian) | what was taken at once (`taken`) |
//! | again | channel, account, position (8 and 8, big endian) | format 2 (8), failed attempts (8), next attempt (8), the wait before it in µs (8); format 1 ends before the last |
//! | endpoints | channel | JSON (`endpoint`), sealed |

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::entries::{again_bytes, letter_bytes, read_again, read_letter, read_row, row_bytes};
use super::lane::{Note, Row};
use super::retention::Retention;
use super::taken::{Taken, first_of};
use super::trail::{Attempt, Letter, State, Trail};
use super::waits::{Moment, Wait};
use crate::domain::{AccountNumber, Channel, Timestamp};
use crate::limits::{ATTEMPTS_YOUNG, TAKEN_TOGETHER};
use crate::store::{self, Store, Table, Value};

/// The book of one channel. Cheap to clone.
#[derive(Clone)]
pub(super) struct Book {
    store: Store,
    channel: Channel,
    /// What was taken at once since the last flush.
    taken: Arc<Mutex<BTreeMap<u64, Attempt>>>,
    /// How many dead letters there are, once somebody has asked. Held while one comes or goes.
    letters: Arc<Mutex<Option<u64>>>,
}

impl Book {
    pub(super) fn open(store: Store, channel: Channel) -> Book {
        Book { store, channel, taken: Arc::default(), letters: Arc::default() }
    }

    /// The position up to which everything is settled or has a row; none if the channel never had a receiver, or was closed.
    pub(super) fn cursor(&self) -> Result<Option<u64>, store::Error> {
        let stored = self.store.get(Table::Cursors, self.name())?;
        Ok(stored.map(|bytes| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))))
    }

    /// Moves the cursor. What was noted before is in the store before it.
    pub(super) fn set_cursor(&self, position: u64) -> Result<(), store::Error> {
        self.write_taken()?;
        self.store.put(Table::Cursors, self.name(), &position.to_le_bytes())?;
        self.store.flush()
    }

    /// How long attempts are remembered, at a start with this time set.
    pub(super) fn retention(&self, set: Duration) -> Result<Retention, store::Error> {
        Ok(Retention::at_start(self.store.get(Table::Cursors, &self.retention_key())?.as_deref(), set))
    }

    pub(super) fn put_retention(&self, retention: Retention) -> Result<(), store::Error> {
        self.store.put(Table::Cursors, &self.retention_key(), &retention.bytes())
    }

    /// Hands everything noted to the operating system.
    pub(super) fn flush(&self) -> Result<(), store::Error> {
        self.write_taken()?;
        self.store.flush()
    }

    /// The rows of the accounts that wait, as they are read now.
    pub(super) fn rows(&self, now: Moment) -> Result<Vec<(AccountNumber, Row)>, store::Error> {
        let mut rows = Vec::new();
        for entry in self.scan(Table::Lanes) {
            let (key, value) = entry?;
            let account = key.first_chunk().and_then(account_of);
            // A row that cannot be read is worth a duplicate at most: its account goes on with the next event.
            match (account, read_row(&value, now)) {
                (Some(account), Some(row)) => rows.push((account, row)),
                (account, _) => tracing::error!(?account, "the row of an account that waits for a retry is damaged"),
            }
        }
        Ok(rows)
    }

    /// The row of one account, if it waits, as it is read now.
    pub(super) fn row(&self, account: AccountNumber, now: Moment) -> Result<Option<Row>, store::Error> {
        Ok(self.store.get(Table::Lanes, &self.key(account.get()))?.and_then(|bytes| read_row(&bytes, now)))
    }

    /// Writes a note down, now.
    pub(super) fn write(&self, note: &Note, now: Moment) -> Result<(), store::Error> {
        match note {
            Note::Hold { account, row } => self.store.put(Table::Lanes, &self.key(account.get()), &row_bytes(row, now)),
            Note::Release { account } => self.store.remove(Table::Lanes, &self.key(account.get())),
            Note::Postpone { account, position, failed, until } => {
                self.put_again(*account, *position, *failed, now.wait_until(*until))
            }
            Note::SentAgain { account, position } => {
                self.store.remove(Table::Again, &self.again_key(*account, *position))
            }
            Note::Supersede { delivery, by } => {
                let mut trail = Trail::new(State::Superseded, now.wall);
                trail.by = Some(*by);
                self.put_trail(delivery.position, &trail)
            }
        }
    }

    /// What became of the delivery at a position, as far as it is remembered.
    pub(super) fn trail(&self, position: u64) -> Result<Option<Trail>, store::Error> {
        if let Some(bytes) = self.store.get(Table::Deliveries, &self.key(position))? {
            return Ok(Trail::read(&bytes));
        }
        if let Some(attempt) = self.unwritten().get(&position) {
            return Ok(Some(attempt.clone().only()));
        }
        Ok(self.taken(first_of(position))?.0.remove(&position).map(Attempt::only))
    }

    pub(super) fn put_trail(&self, position: u64, trail: &Trail) -> Result<(), store::Error> {
        self.store.put(Table::Deliveries, &self.key(position), &trail.bytes())
    }

    /// A delivery of which nothing is remembered was taken in this attempt. Written with the next flush, many at once.
    pub(super) fn put_taken(&self, position: u64, attempt: Attempt) {
        self.unwritten().insert(position, attempt);
    }

    /// The last position of which anything is remembered; 0 if there is none.
    pub(super) fn last_trail(&self) -> Result<u64, store::Error> {
        let last = |table| -> Result<Option<u64>, store::Error> {
            let last = self.store.scan_back(table, &self.key(u64::MAX)).next().transpose()?;
            Ok(last.and_then(|(key, _)| self.number_in(&key)))
        };
        let taken = last(Table::Taken)?.map(|first| first + TAKEN_TOGETHER - 1);
        Ok(last(Table::Deliveries)?.max(taken).unwrap_or(0))
    }

    /// Forgets what is over since before `time`, looking at `most` trails from a position on. Returns where to go on; none
    /// once there are only younger ones. What was sent again is young at its old place, so a few of them say nothing.
    pub(super) fn prune(&self, from: u64, time: Timestamp, most: usize) -> Result<Option<u64>, store::Error> {
        let mut young_in_a_row = 0;
        for (looked_at, entry) in self.store.scan_from(Table::Deliveries, &self.key(from)).enumerate() {
            let (key, value) = entry?;
            let Some(position) = self.number_in(&key) else { break };
            if looked_at == most {
                return Ok(Some(position));
            }
            match Trail::read(&value) {
                Some(trail) if trail.is_younger_than(time) => young_in_a_row += 1,
                Some(trail) if !trail.is_over() => young_in_a_row = 0,
                Some(_) | None => {
                    young_in_a_row = 0;
                    self.store.remove(Table::Deliveries, &key)?;
                }
            }
            if young_in_a_row == ATTEMPTS_YOUNG {
                break;
            }
        }
        Ok(None)
    }

    /// Likewise what was taken at once.
    pub(super) fn prune_taken(&self, from: u64, time: Timestamp, most: usize) -> Result<Option<u64>, store::Error> {
        let (most, young) = (most / TAKEN_TOGETHER as usize, ATTEMPTS_YOUNG / TAKEN_TOGETHER as usize);
        let mut young_in_a_row = 0;
        for (looked_at, entry) in self.store.scan_from(Table::Taken, &self.key(from)).enumerate() {
            let Some(first) = self.number_in(&entry?.0) else { break };
            if looked_at == most {
                return Ok(Some(first));
            }
            // Nobody writes to the row meanwhile.
            let _unwritten = self.unwritten();
            let mut taken = self.taken(first)?;
            match (taken.forget(time), taken.0.is_empty()) {
                (false, false) => young_in_a_row += 1,
                (_, true) => self.store.remove(Table::Taken, &self.key(first))?,
                (true, false) => self.store.put(Table::Taken, &self.key(first), &taken.bytes())?,
            }
            if young_in_a_row > young {
                break;
            }
        }
        Ok(None)
    }

    /// The dead letters from a position on.
    pub(super) fn letters(&self, from: u64) -> impl Iterator<Item = Result<(u64, Letter), store::Error>> + use<> {
        let (book, start) = (self.clone(), self.key(from));
        let entries = self.store.scan_from(Table::DeadLetters, &start);
        let ours = move |entry: Result<(Value, Value), store::Error>| match entry {
            Ok((key, value)) => book.number_in(&key).map(|position| Ok((position, read_letter(&value)))),
            Err(error) => Some(Err(error)),
        };
        entries.map_while(ours).filter_map(|entry| match entry {
            Ok((position, letter)) => letter.map(|letter| Ok((position, letter))),
            Err(error) => Some(Err(error)),
        })
    }

    /// The dead letter at a position, if there is one.
    pub(super) fn letter(&self, position: u64) -> Result<Option<Letter>, store::Error> {
        Ok(self.store.get(Table::DeadLetters, &self.key(position))?.and_then(|bytes| read_letter(&bytes)))
    }

    pub(super) fn put_letter(&self, position: u64, letter: &Letter) -> Result<(), store::Error> {
        let mut letters = lock(&self.letters);
        let is_new = self.letter(position)?.is_none();
        self.store.put(Table::DeadLetters, &self.key(position), &letter_bytes(letter))?;
        *letters = letters.map(|count| count + u64::from(is_new));
        Ok(())
    }

    pub(super) fn remove_letter(&self, position: u64) -> Result<(), store::Error> {
        let mut letters = lock(&self.letters);
        let is_there = self.letter(position)?.is_some();
        self.store.remove(Table::DeadLetters, &self.key(position))?;
        *letters = letters.map(|count| count - u64::from(is_there));
        Ok(())
    }

    /// How many dead letters there are. Only the first to ask has them counted.
    pub(super) fn count_letters(&self) -> Result<u64, store::Error> {
        let mut letters = lock(&self.letters);
        let count = letters.map_or_else(|| self.count(Table::DeadLetters), Ok)?;
        *letters = Some(count);
        Ok(count)
    }

    /// What is to be sent again is remembered.
    pub(super) fn put_again(
        &self,
        account: AccountNumber,
        position: u64,
        failed: u32,
        wait: Wait,
    ) -> Result<(), store::Error> {
        self.store.put(Table::Again, &self.again_key(account, position), &again_bytes(failed, wait))
    }

    /// Whether a delivery is to be sent again.
    pub(super) fn is_again(&self, account: AccountNumber, position: u64) -> Result<bool, store::Error> {
        Ok(self.store.get(Table::Again, &self.again_key(account, position))?.is_some())
    }

    /// The first delivery of an account that is to be sent again: its position, and how often it has failed.
    pub(super) fn first_again(&self, account: AccountNumber) -> Result<Option<(u64, u32)>, store::Error> {
        let prefix = self.key(account.get());
        let Some((key, value)) = self.store.scan_from(Table::Again, &prefix).next().transpose()? else {
            return Ok(None);
        };
        let position = key.strip_prefix(&prefix[..]).and_then(|key| key.first_chunk().copied());
        Ok(position.map(|position| (u64::from_be_bytes(position), read_again(&value).0)))
    }

    /// The accounts with something to be sent again, each with the time when the first of it is due,
    /// as it is read now.
    pub(super) fn again(&self, now: Moment) -> Result<Vec<(AccountNumber, Timestamp)>, store::Error> {
        let mut accounts: Vec<(AccountNumber, Timestamp)> = Vec::new();
        for entry in self.scan(Table::Again) {
            let (key, value) = entry?;
            let Some(account) = key.first_chunk().and_then(account_of) else { continue };
            if accounts.last().is_none_or(|(last, _)| *last != account) {
                accounts.push((account, now.end_of(read_again(&value).1)));
            }
        }
        Ok(accounts)
    }

    /// The deliveries that are to be sent again.
    pub(super) fn all_again(&self) -> Result<Vec<(AccountNumber, u64)>, store::Error> {
        let mut all = Vec::new();
        for entry in self.scan(Table::Again) {
            let (key, _) = entry?;
            let ([account, position], []) = key.as_chunks::<8>() else { continue };
            all.extend(account_of(account).map(|account| (account, u64::from_be_bytes(*position))));
        }
        Ok(all)
    }

    /// How many deliveries are to be sent again.
    pub(super) fn count_again(&self) -> Result<u64, store::Error> {
        self.count(Table::Again)
    }

    /// Forgets the cursor and everything that waits. What became of deliveries, and dead letters, stay.
    pub(super) fn close(&self) -> Result<(), store::Error> {
        self.flush()?;
        for table in [Table::Lanes, Table::Again] {
            for entry in self.scan(table) {
                self.store.remove(table, &[self.name(), &entry?.0].concat())?;
            }
        }
        // Last: a kill before it leaves a channel that can be closed again.
        self.store.remove(Table::Cursors, self.name())?;
        self.store.flush()
    }

    /// Writes what was taken at once, row by row.
    fn write_taken(&self) -> Result<(), store::Error> {
        let mut unwritten = self.unwritten();
        while let Some((position, _)) = unwritten.first_key_value() {
            let first = first_of(*position);
            let mut taken = self.taken(first)?;
            let behind = unwritten.split_off(&(first + TAKEN_TOGETHER));
            taken.0.append(&mut unwritten);
            self.store.put(Table::Taken, &self.key(first), &taken.bytes())?;
            *unwritten = behind;
        }
        Ok(())
    }

    /// What was taken at once, in the row that begins at a position.
    fn taken(&self, first: u64) -> Result<Taken, store::Error> {
        let row = self.store.get(Table::Taken, &self.key(first))?;
        Ok(row.map(|bytes| Taken::read(first, &bytes)).unwrap_or_default())
    }

    fn unwritten(&self) -> MutexGuard<'_, BTreeMap<u64, Attempt>> {
        lock(&self.taken)
    }

    /// How many entries the channel has in a table.
    fn count(&self, table: Table) -> Result<u64, store::Error> {
        self.scan(table).try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    /// The entries of the channel in a table, their keys without its name.
    fn scan(&self, table: Table) -> impl Iterator<Item = Result<(Vec<u8>, Value), store::Error>> + use<> {
        let name = self.name();
        self.store.scan_from(table, name).map_while(move |entry| match entry {
            Ok((key, value)) => key.strip_prefix(name).map(|key| Ok((key.to_vec(), value))),
            Err(error) => Some(Err(error)),
        })
    }

    fn name(&self) -> &'static [u8] {
        self.channel.short_name().as_bytes()
    }

    fn retention_key(&self) -> Vec<u8> {
        [b"keep_attempts/", self.name()].concat()
    }

    fn key(&self, number: u64) -> Vec<u8> {
        [self.name(), &number.to_be_bytes()].concat()
    }

    fn again_key(&self, account: AccountNumber, position: u64) -> Vec<u8> {
        [self.name(), &account.get().to_be_bytes(), &position.to_be_bytes()].concat()
    }

    /// The number in a key of this channel.
    fn number_in(&self, key: &[u8]) -> Option<u64> {
        key.strip_prefix(self.name())?.first_chunk().map(|number| u64::from_be_bytes(*number))
    }
}

/// What is in it is whole between any two lines.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn account_of(key: &[u8; 8]) -> Option<AccountNumber> {
    AccountNumber::from_stored(u64::from_be_bytes(*key))
}
