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

use super::attempt_log::{AttemptLog, DeadLetter, DeliveryAttempt, DeliveryState};
use super::delivery_store_encoding::{
    decode_dead_letter, decode_lane_row, decode_redelivery, encode_dead_letter, encode_lane_row, encode_redelivery,
};
use super::lane::{LaneChange, LaneRow};
use super::retention::Retention;
use super::retry_schedule::{Moment, RetryWait};
use super::success_log::{SuccessLog, first_position};
use crate::domain::{AccountNumber, Channel, Timestamp};
use crate::limits::{ATTEMPTS_PRUNE_STOP, SUCCESS_LOG_POSITIONS_PER_ROW};
use crate::store::{self, Store, StoredValue, Table};

/// The book of one channel. Cheap to clone.
#[derive(Clone)]
pub(super) struct DeliveryStore {
    store: Store,
    channel: Channel,
    /// What was taken at once since the last flush.
    unwritten_successes: Arc<Mutex<BTreeMap<u64, DeliveryAttempt>>>,
    /// How many dead letters there are, once somebody has asked. Held while one comes or goes.
    dead_letter_count: Arc<Mutex<Option<u64>>>,
}

impl DeliveryStore {
    pub(super) fn open(store: Store, channel: Channel) -> DeliveryStore {
        DeliveryStore { store, channel, unwritten_successes: Arc::default(), dead_letter_count: Arc::default() }
    }

    /// The position up to which everything is settled or has a row; none if the channel never had a receiver, or was closed.
    pub(super) fn cursor(&self) -> Result<Option<u64>, store::Error> {
        let stored = self.store.get(Table::Cursors, self.name())?;
        Ok(stored.map(|bytes| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))))
    }

    /// Moves the cursor. What was noted before is in the store before it.
    pub(super) fn set_cursor(&self, position: u64) -> Result<(), store::Error> {
        self.write_successes()?;
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
        self.write_successes()?;
        self.store.flush()
    }

    /// The rows of the accounts that wait, as they are read now.
    pub(super) fn lane_rows(&self, now: Moment) -> Result<Vec<(AccountNumber, LaneRow)>, store::Error> {
        let mut rows = Vec::new();
        for entry in self.scan(Table::Lanes) {
            let (key, value) = entry?;
            let account = key.first_chunk().and_then(parse_account);
            // A row that cannot be read is worth a duplicate at most: its account goes on with the next event.
            match (account, decode_lane_row(&value, now)) {
                (Some(account), Some(row)) => rows.push((account, row)),
                (account, _) => tracing::error!(?account, "the row of an account that waits for a retry is damaged"),
            }
        }
        Ok(rows)
    }

    /// The row of one account, if it waits, as it is read now.
    pub(super) fn lane_row(&self, account: AccountNumber, now: Moment) -> Result<Option<LaneRow>, store::Error> {
        Ok(self.store.get(Table::Lanes, &self.key(account.get()))?.and_then(|bytes| decode_lane_row(&bytes, now)))
    }

    /// Writes a note down, now.
    pub(super) fn apply_change(&self, note: &LaneChange, now: Moment) -> Result<(), store::Error> {
        match note {
            LaneChange::PutRow { account, row } => {
                self.store.put(Table::Lanes, &self.key(account.get()), &encode_lane_row(row, now))
            }
            LaneChange::RemoveRow { account } => self.store.remove(Table::Lanes, &self.key(account.get())),
            LaneChange::PutRedelivery { account, position, failed, until } => {
                self.put_redelivery(*account, *position, *failed, now.wait_until(*until))
            }
            LaneChange::RemoveRedelivery { account, position } => {
                self.store.remove(Table::Redeliveries, &self.redelivery_key(*account, *position))
            }
            LaneChange::MarkSuperseded { delivery, by } => {
                let mut trail = AttemptLog::new(DeliveryState::Superseded, now.wall);
                trail.superseded_by = Some(*by);
                self.put_attempt_log(delivery.position, &trail)
            }
        }
    }

    /// What became of the delivery at a position, as far as it is remembered.
    pub(super) fn attempt_log(&self, position: u64) -> Result<Option<AttemptLog>, store::Error> {
        if let Some(bytes) = self.store.get(Table::AttemptLog, &self.key(position))? {
            return Ok(AttemptLog::decode(&bytes));
        }
        if let Some(attempt) = self.unwritten_successes().get(&position) {
            return Ok(Some(attempt.clone().into_log()));
        }
        Ok(self.success_log(first_position(position))?.0.remove(&position).map(DeliveryAttempt::into_log))
    }

    pub(super) fn put_attempt_log(&self, position: u64, trail: &AttemptLog) -> Result<(), store::Error> {
        self.store.put(Table::AttemptLog, &self.key(position), &trail.encode())
    }

    /// A delivery of which nothing is remembered was taken in this attempt. Written with the next flush, many at once.
    pub(super) fn put_success(&self, position: u64, attempt: DeliveryAttempt) {
        self.unwritten_successes().insert(position, attempt);
    }

    /// The last position of which anything is remembered; 0 if there is none.
    pub(super) fn last_logged_position(&self) -> Result<u64, store::Error> {
        let last = |table| -> Result<Option<u64>, store::Error> {
            let last = self.store.scan_back(table, &self.key(u64::MAX)).next().transpose()?;
            Ok(last.and_then(|(key, _)| self.parse_key(&key)))
        };
        let taken = last(Table::SuccessLog)?.map(|first| first + SUCCESS_LOG_POSITIONS_PER_ROW - 1);
        Ok(last(Table::AttemptLog)?.max(taken).unwrap_or(0))
    }

    /// Forgets what is over since before `time`, looking at `most` trails from a position on. Returns where to go on; none
    /// once there are only younger ones. What was sent again is young at its old place, so a few of them say nothing.
    pub(super) fn prune_attempt_logs(
        &self,
        from: u64,
        time: Timestamp,
        most: usize,
    ) -> Result<Option<u64>, store::Error> {
        let mut young_in_a_row = 0;
        for (looked_at, entry) in self.store.scan_from(Table::AttemptLog, &self.key(from)).enumerate() {
            let (key, value) = entry?;
            let Some(position) = self.parse_key(&key) else { break };
            if looked_at == most {
                return Ok(Some(position));
            }
            match AttemptLog::decode(&value) {
                Some(trail) if trail.is_younger_than(time) => young_in_a_row += 1,
                Some(trail) if !trail.is_over() => young_in_a_row = 0,
                Some(_) | None => {
                    young_in_a_row = 0;
                    self.store.remove(Table::AttemptLog, &key)?;
                }
            }
            if young_in_a_row == ATTEMPTS_PRUNE_STOP {
                break;
            }
        }
        Ok(None)
    }

    /// Likewise what was taken at once.
    pub(super) fn prune_successes(&self, from: u64, time: Timestamp, most: usize) -> Result<Option<u64>, store::Error> {
        let (most, young) = (
            most / SUCCESS_LOG_POSITIONS_PER_ROW as usize,
            ATTEMPTS_PRUNE_STOP / SUCCESS_LOG_POSITIONS_PER_ROW as usize,
        );
        let mut young_in_a_row = 0;
        for (looked_at, entry) in self.store.scan_from(Table::SuccessLog, &self.key(from)).enumerate() {
            let Some(first) = self.parse_key(&entry?.0) else { break };
            if looked_at == most {
                return Ok(Some(first));
            }
            // Nobody writes to the row meanwhile.
            let _unwritten = self.unwritten_successes();
            let mut taken = self.success_log(first)?;
            match (taken.remove_older_than(time), taken.0.is_empty()) {
                (false, false) => young_in_a_row += 1,
                (_, true) => self.store.remove(Table::SuccessLog, &self.key(first))?,
                (true, false) => self.store.put(Table::SuccessLog, &self.key(first), &taken.encode())?,
            }
            if young_in_a_row > young {
                break;
            }
        }
        Ok(None)
    }

    /// The dead letters from a position on.
    pub(super) fn dead_letters(
        &self,
        from: u64,
    ) -> impl Iterator<Item = Result<(u64, DeadLetter), store::Error>> + use<> {
        let (book, start) = (self.clone(), self.key(from));
        let entries = self.store.scan_from(Table::DeadLetters, &start);
        let ours = move |entry: Result<(StoredValue, StoredValue), store::Error>| match entry {
            Ok((key, value)) => book.parse_key(&key).map(|position| Ok((position, decode_dead_letter(&value)))),
            Err(error) => Some(Err(error)),
        };
        entries.map_while(ours).filter_map(|entry| match entry {
            Ok((position, letter)) => letter.map(|letter| Ok((position, letter))),
            Err(error) => Some(Err(error)),
        })
    }

    /// The dead letter at a position, if there is one.
    pub(super) fn dead_letter(&self, position: u64) -> Result<Option<DeadLetter>, store::Error> {
        Ok(self.store.get(Table::DeadLetters, &self.key(position))?.and_then(|bytes| decode_dead_letter(&bytes)))
    }

    pub(super) fn put_dead_letter(&self, position: u64, letter: &DeadLetter) -> Result<(), store::Error> {
        let mut letters = lock(&self.dead_letter_count);
        let is_new = self.dead_letter(position)?.is_none();
        self.store.put(Table::DeadLetters, &self.key(position), &encode_dead_letter(letter))?;
        *letters = letters.map(|count| count + u64::from(is_new));
        Ok(())
    }

    pub(super) fn remove_dead_letter(&self, position: u64) -> Result<(), store::Error> {
        let mut letters = lock(&self.dead_letter_count);
        let is_there = self.dead_letter(position)?.is_some();
        self.store.remove(Table::DeadLetters, &self.key(position))?;
        *letters = letters.map(|count| count - u64::from(is_there));
        Ok(())
    }

    /// How many dead letters there are. Only the first to ask has them counted.
    pub(super) fn count_dead_letters(&self) -> Result<u64, store::Error> {
        let mut letters = lock(&self.dead_letter_count);
        let count = letters.map_or_else(|| self.count_entries(Table::DeadLetters), Ok)?;
        *letters = Some(count);
        Ok(count)
    }

    /// What is to be sent again is remembered.
    pub(super) fn put_redelivery(
        &self,
        account: AccountNumber,
        position: u64,
        failed: u32,
        wait: RetryWait,
    ) -> Result<(), store::Error> {
        self.store.put(Table::Redeliveries, &self.redelivery_key(account, position), &encode_redelivery(failed, wait))
    }

    /// Whether a delivery is to be sent again.
    pub(super) fn has_redelivery(&self, account: AccountNumber, position: u64) -> Result<bool, store::Error> {
        Ok(self.store.get(Table::Redeliveries, &self.redelivery_key(account, position))?.is_some())
    }

    /// The first delivery of an account that is to be sent again: its position, and how often it has failed.
    pub(super) fn first_redelivery(&self, account: AccountNumber) -> Result<Option<(u64, u32)>, store::Error> {
        let prefix = self.key(account.get());
        let Some((key, value)) = self.store.scan_from(Table::Redeliveries, &prefix).next().transpose()? else {
            return Ok(None);
        };
        let position = key.strip_prefix(&prefix[..]).and_then(|key| key.first_chunk().copied());
        Ok(position.map(|position| (u64::from_be_bytes(position), decode_redelivery(&value).0)))
    }

    /// The accounts with something to be sent again, each with the time when the first of it is due,
    /// as it is read now.
    pub(super) fn redelivery_accounts(&self, now: Moment) -> Result<Vec<(AccountNumber, Timestamp)>, store::Error> {
        let mut accounts: Vec<(AccountNumber, Timestamp)> = Vec::new();
        for entry in self.scan(Table::Redeliveries) {
            let (key, value) = entry?;
            let Some(account) = key.first_chunk().and_then(parse_account) else { continue };
            if accounts.last().is_none_or(|(last, _)| *last != account) {
                accounts.push((account, now.end_of_wait(decode_redelivery(&value).1)));
            }
        }
        Ok(accounts)
    }

    /// The deliveries that are to be sent again.
    pub(super) fn redeliveries(&self) -> Result<Vec<(AccountNumber, u64)>, store::Error> {
        let mut all = Vec::new();
        for entry in self.scan(Table::Redeliveries) {
            let (key, _) = entry?;
            let ([account, position], []) = key.as_chunks::<8>() else { continue };
            all.extend(parse_account(account).map(|account| (account, u64::from_be_bytes(*position))));
        }
        Ok(all)
    }

    /// How many deliveries are to be sent again.
    pub(super) fn count_redeliveries(&self) -> Result<u64, store::Error> {
        self.count_entries(Table::Redeliveries)
    }

    /// Forgets the cursor and everything that waits. What became of deliveries, and dead letters, stay.
    pub(super) fn close(&self) -> Result<(), store::Error> {
        self.flush()?;
        for table in [Table::Lanes, Table::Redeliveries] {
            for entry in self.scan(table) {
                self.store.remove(table, &[self.name(), &entry?.0].concat())?;
            }
        }
        // Last: a kill before it leaves a channel that can be closed again.
        self.store.remove(Table::Cursors, self.name())?;
        self.store.flush()
    }

    /// Writes what was taken at once, row by row.
    fn write_successes(&self) -> Result<(), store::Error> {
        let mut unwritten = self.unwritten_successes();
        while let Some((position, _)) = unwritten.first_key_value() {
            let first = first_position(*position);
            let mut taken = self.success_log(first)?;
            let behind = unwritten.split_off(&(first + SUCCESS_LOG_POSITIONS_PER_ROW));
            taken.0.append(&mut unwritten);
            self.store.put(Table::SuccessLog, &self.key(first), &taken.encode())?;
            *unwritten = behind;
        }
        Ok(())
    }

    /// What was taken at once, in the row that begins at a position.
    fn success_log(&self, first: u64) -> Result<SuccessLog, store::Error> {
        let row = self.store.get(Table::SuccessLog, &self.key(first))?;
        Ok(row.map(|bytes| SuccessLog::decode(first, &bytes)).unwrap_or_default())
    }

    fn unwritten_successes(&self) -> MutexGuard<'_, BTreeMap<u64, DeliveryAttempt>> {
        lock(&self.unwritten_successes)
    }

    /// How many entries the channel has in a table.
    fn count_entries(&self, table: Table) -> Result<u64, store::Error> {
        self.scan(table).try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    /// The entries of the channel in a table, their keys without its name.
    fn scan(&self, table: Table) -> impl Iterator<Item = Result<(Vec<u8>, StoredValue), store::Error>> + use<> {
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

    fn redelivery_key(&self, account: AccountNumber, position: u64) -> Vec<u8> {
        [self.name(), &account.get().to_be_bytes(), &position.to_be_bytes()].concat()
    }

    /// The number in a key of this channel.
    fn parse_key(&self, key: &[u8]) -> Option<u64> {
        key.strip_prefix(self.name())?.first_chunk().map(|number| u64::from_be_bytes(*number))
    }
}

/// What is in it is whole between any two lines.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse_account(key: &[u8; 8]) -> Option<AccountNumber> {
    AccountNumber::from_stored(u64::from_be_bytes(*key))
}
