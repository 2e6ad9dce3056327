//! The data that a channel keeps on disk. The deliveries themselves are in the journal.
//!
//! | table | key | value, integers in little endian |
//! |---|---|---|
//! | cursors | channel | position |
//! | cursors | `keep_attempts/`, channel | format 1 (1), in µs: how long attempts are kept (8), the setting (8), running time with a shorter setting (8) (`retention`) |
//! | lanes | channel, account (8, big endian) | format 3 (8), next position (8), failed attempts (8), next attempt in µs since 1970 (8; `i64::MAX` if the lane is blocked), attempts (8), the wait before the next attempt in µs (8); format 2 lacks the last field, format 1 the last two |
//! | dead letters | channel, position (8, big endian) | format 2 (8), account (8), attempts (8), time in µs since 1970 (8), length of the failure text in bytes (8), the text of the last failure, the payload; format 1 has no length and no payload |
//! | deliveries | channel, position (8, big endian) | JSON (`attempt_log`) |
//! | taken | channel, first position of the row (8, big endian) | deliveries that succeeded at the first attempt (`success_log`) |
//! | again | channel, account, position (8 and 8, big endian) | format 2 (8), failed attempts (8), next attempt in µs since 1970 (8), the wait before it in µs (8); format 1 lacks the last field |
//! | endpoints | channel | JSON (`receiver_endpoint`), sealed |
//!
//! Frozen: these keys. Rows of a stopped service say what receivers still have to get.

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

/// The delivery store of one channel. Cheap to clone.
#[derive(Clone)]
pub(super) struct DeliveryStore {
    store: Store,
    channel: Channel,
    /// Successes at the first attempt since the last flush, by position.
    unwritten_successes: Arc<Mutex<BTreeMap<u64, DeliveryAttempt>>>,
    /// The number of dead letters; `None` until the first count. Locked while a dead letter is added or removed.
    dead_letter_count: Arc<Mutex<Option<u64>>>,
}

impl DeliveryStore {
    pub(super) fn open(store: Store, channel: Channel) -> DeliveryStore {
        DeliveryStore { store, channel, unwritten_successes: Arc::default(), dead_letter_count: Arc::default() }
    }

    /// Every delivery up to this position is completed, or its lane has a row in the delivery store. `None` if the
    /// channel never had a receiver or was closed.
    pub(super) fn cursor(&self) -> Result<Option<u64>, store::Error> {
        let stored = self.store.get(Table::Cursors, self.name())?;
        Ok(stored.map(|bytes| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))))
    }

    /// Writes the collected successes, moves the cursor, then flushes all changes.
    pub(super) fn set_cursor(&self, position: u64) -> Result<(), store::Error> {
        self.write_successes()?;
        self.store.put(Table::Cursors, self.name(), &position.to_le_bytes())?;
        self.store.flush()
    }

    /// The retention of attempts at a start with the setting `set`.
    pub(super) fn retention(&self, set: Duration) -> Result<Retention, store::Error> {
        Ok(Retention::at_start(self.store.get(Table::Cursors, &self.retention_key())?.as_deref(), set))
    }

    pub(super) fn put_retention(&self, retention: Retention) -> Result<(), store::Error> {
        self.store.put(Table::Cursors, &self.retention_key(), &retention.bytes())
    }

    /// Flushes all changes to the operating system.
    pub(super) fn flush(&self) -> Result<(), store::Error> {
        self.write_successes()?;
        self.store.flush()
    }

    /// The rows of all stored lanes. Waits are converted to elapsed time at `now`.
    pub(super) fn lane_rows(&self, now: Moment) -> Result<Vec<(AccountNumber, LaneRow)>, store::Error> {
        let mut rows = Vec::new();
        for entry in self.scan(Table::Lanes) {
            let (key, value) = entry?;
            let account = key.first_chunk().and_then(parse_account);
            // Skip a damaged row: its account continues with its next event.
            match (account, decode_lane_row(&value, now)) {
                (Some(account), Some(row)) => rows.push((account, row)),
                (account, _) => tracing::error!(?account, "the row of an account that waits for a retry is damaged"),
            }
        }
        Ok(rows)
    }

    /// The row of one account, if its lane is stored.
    pub(super) fn lane_row(&self, account: AccountNumber, now: Moment) -> Result<Option<LaneRow>, store::Error> {
        Ok(self.store.get(Table::Lanes, &self.key(account.get()))?.and_then(|bytes| decode_lane_row(&bytes, now)))
    }

    /// Applies a change of the scheduler.
    pub(super) fn apply_change(&self, change: &LaneChange, now: Moment) -> Result<(), store::Error> {
        match change {
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
                let mut log = AttemptLog::new(DeliveryState::Superseded, now.wall);
                log.superseded_by = Some(*by);
                self.put_attempt_log(delivery.position, &log)
            }
        }
    }

    /// The attempt log of the delivery at a position, if one is kept.
    pub(super) fn attempt_log(&self, position: u64) -> Result<Option<AttemptLog>, store::Error> {
        if let Some(bytes) = self.store.get(Table::AttemptLog, &self.key(position))? {
            return Ok(AttemptLog::decode(&bytes));
        }
        if let Some(attempt) = self.unwritten_successes().get(&position) {
            return Ok(Some(attempt.clone().into_log()));
        }
        Ok(self.success_log(first_position(position))?.0.remove(&position).map(DeliveryAttempt::into_log))
    }

    pub(super) fn put_attempt_log(&self, position: u64, log: &AttemptLog) -> Result<(), store::Error> {
        self.store.put(Table::AttemptLog, &self.key(position), &log.encode())
    }

    /// Records a delivery that succeeded at its first attempt. It is written with the next flush, many at once.
    pub(super) fn put_success(&self, position: u64, attempt: DeliveryAttempt) {
        self.unwritten_successes().insert(position, attempt);
    }

    /// The last position with a log entry; 0 if there is none.
    pub(super) fn last_logged_position(&self) -> Result<u64, store::Error> {
        let last = |table| -> Result<Option<u64>, store::Error> {
            let last = self.store.scan_back(table, &self.key(u64::MAX)).next().transpose()?;
            Ok(last.and_then(|(key, _)| self.parse_key(&key)))
        };
        let taken = last(Table::SuccessLog)?.map(|first| first + SUCCESS_LOG_POSITIONS_PER_ROW - 1);
        Ok(last(Table::AttemptLog)?.max(taken).unwrap_or(0))
    }

    /// Removes the attempt logs of deliveries that were completed before `time`. Reads at most `most` logs, starting at
    /// the position `from`. Returns the position to continue at, or `None` at the end.
    ///
    /// It stops after several young logs in a row. One young log is not enough, because a redelivery has a young log at
    /// an old position.
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
                Some(log) if log.is_younger_than(time) => young_in_a_row += 1,
                Some(log) if !log.is_over() => young_in_a_row = 0,
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

    /// Like [`prune_attempt_logs`](DeliveryStore::prune_attempt_logs), but for the success log.
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
            // Locked, so that the row is not written meanwhile.
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
        let (store, start) = (self.clone(), self.key(from));
        let entries = self.store.scan_from(Table::DeadLetters, &start);
        let ours = move |entry: Result<(StoredValue, StoredValue), store::Error>| match entry {
            Ok((key, value)) => store.parse_key(&key).map(|position| Ok((position, decode_dead_letter(&value)))),
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

    /// The number of dead letters. The first call counts them; later calls return the stored number.
    pub(super) fn count_dead_letters(&self) -> Result<u64, store::Error> {
        let mut letters = lock(&self.dead_letter_count);
        let count = letters.map_or_else(|| self.count_entries(Table::DeadLetters), Ok)?;
        *letters = Some(count);
        Ok(count)
    }

    /// Queues a delivery for redelivery.
    pub(super) fn put_redelivery(
        &self,
        account: AccountNumber,
        position: u64,
        failed: u32,
        wait: RetryWait,
    ) -> Result<(), store::Error> {
        self.store.put(Table::Redeliveries, &self.redelivery_key(account, position), &encode_redelivery(failed, wait))
    }

    /// Whether a delivery is queued for redelivery.
    pub(super) fn has_redelivery(&self, account: AccountNumber, position: u64) -> Result<bool, store::Error> {
        Ok(self.store.get(Table::Redeliveries, &self.redelivery_key(account, position))?.is_some())
    }

    /// The first redelivery of an account: its position and its number of failed attempts.
    pub(super) fn first_redelivery(&self, account: AccountNumber) -> Result<Option<(u64, u32)>, store::Error> {
        let prefix = self.key(account.get());
        let Some((key, value)) = self.store.scan_from(Table::Redeliveries, &prefix).next().transpose()? else {
            return Ok(None);
        };
        let position = key.strip_prefix(&prefix[..]).and_then(|key| key.first_chunk().copied());
        Ok(position.map(|position| (u64::from_be_bytes(position), decode_redelivery(&value).0)))
    }

    /// The accounts with redeliveries, each with the time when its first redelivery is due, in elapsed time.
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

    /// All redeliveries: account and position.
    pub(super) fn redeliveries(&self) -> Result<Vec<(AccountNumber, u64)>, store::Error> {
        let mut all = Vec::new();
        for entry in self.scan(Table::Redeliveries) {
            let (key, _) = entry?;
            let ([account, position], []) = key.as_chunks::<8>() else { continue };
            all.extend(parse_account(account).map(|account| (account, u64::from_be_bytes(*position))));
        }
        Ok(all)
    }

    /// The number of redeliveries.
    pub(super) fn count_redeliveries(&self) -> Result<u64, store::Error> {
        self.count_entries(Table::Redeliveries)
    }

    /// Removes the cursor and all pending deliveries. Attempt logs and dead letters stay.
    pub(super) fn close(&self) -> Result<(), store::Error> {
        self.flush()?;
        for table in [Table::Lanes, Table::Redeliveries] {
            for entry in self.scan(table) {
                self.store.remove(table, &[self.name(), &entry?.0].concat())?;
            }
        }
        // The cursor is removed last: if the service is killed before, the channel can be closed again.
        self.store.remove(Table::Cursors, self.name())?;
        self.store.flush()
    }

    /// Writes the unwritten successes, row by row.
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

    /// The row of the success log that begins at the position `first`.
    fn success_log(&self, first: u64) -> Result<SuccessLog, store::Error> {
        let row = self.store.get(Table::SuccessLog, &self.key(first))?;
        Ok(row.map(|bytes| SuccessLog::decode(first, &bytes)).unwrap_or_default())
    }

    fn unwritten_successes(&self) -> MutexGuard<'_, BTreeMap<u64, DeliveryAttempt>> {
        lock(&self.unwritten_successes)
    }

    /// The number of the channel's entries in a table.
    fn count_entries(&self, table: Table) -> Result<u64, store::Error> {
        self.scan(table).try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    /// The channel's entries in a table. The keys come without the channel's name.
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

/// Ignores poisoning: no panic can leave the contents half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse_account(key: &[u8; 8]) -> Option<AccountNumber> {
    AccountNumber::from_stored(u64::from_be_bytes(*key))
}
