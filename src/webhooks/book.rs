//! What a channel remembers over a restart: its cursor, the accounts that wait for a retry, and the dead letters.
//!
//! | table | key | value, little endian |
//! |---|---|---|
//! | cursors | channel | position |
//! | lanes | channel, account (8, big endian) | format 1 (8), next position (8), failed attempts (8), next attempt in µs since 1970 (8) |
//! | dead letters | channel, position (8, big endian) | format 1 (8), account (8), attempts (8), time in µs since 1970 (8), the last failure in words |

use super::delivery::Delivery;
use super::lanes::{Note, Row};
use crate::domain::{AccountNumber, Channel, Timestamp};
use crate::store::{self, Store, Table};

const FORMAT: u64 = 1;

/// The book of one channel.
#[derive(Clone)]
pub(super) struct Book {
    store: Store,
    channel: Channel,
}

impl Book {
    pub(super) fn open(store: Store, channel: Channel) -> Book {
        Book { store, channel }
    }

    /// The position up to which everything is settled or has a row; none if the channel never had a receiver.
    pub(super) fn cursor(&self) -> Result<Option<u64>, store::Error> {
        let stored = self.store.get(Table::Cursors, self.name())?;
        Ok(stored.map(|bytes| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))))
    }

    /// Moves the cursor. What was noted before is in the store before it.
    pub(super) fn set_cursor(&self, position: u64) -> Result<(), store::Error> {
        self.store.put(Table::Cursors, self.name(), &position.to_le_bytes())?;
        self.store.flush()
    }

    /// The rows of the accounts that wait.
    pub(super) fn rows(&self) -> Result<Vec<(AccountNumber, Row)>, store::Error> {
        let mut rows = Vec::new();
        for entry in self.store.scan_from(Table::Lanes, self.name()) {
            let (key, value) = entry?;
            let Some(account) = key.strip_prefix(self.name()) else { break };
            let account = account.first_chunk().and_then(|key| AccountNumber::from_stored(u64::from_be_bytes(*key)));
            // A row that cannot be read is worth a duplicate at most: its account goes on with the next event.
            match (account, read_row(&value)) {
                (Some(account), Some(row)) => rows.push((account, row)),
                (account, _) => tracing::error!(?account, "the row of an account that waits for a retry is damaged"),
            }
        }
        Ok(rows)
    }

    /// Writes a note down.
    pub(super) fn write(&self, note: &Note) -> Result<(), store::Error> {
        match note {
            Note::Hold { account, row } => {
                let words = [FORMAT, row.next, u64::from(row.failed), row.until.0.cast_unsigned()];
                self.store.put(Table::Lanes, &self.key(account.get()), &bytes(words))
            }
            Note::Release { account } => self.store.remove(Table::Lanes, &self.key(account.get())),
            Note::Bury { delivery, attempts, failure, at } => {
                let Delivery { account, position, .. } = delivery;
                let mut letter = bytes([FORMAT, account.get(), u64::from(*attempts), at.0.cast_unsigned()]);
                letter.extend_from_slice(failure.to_string().as_bytes());
                self.store.put(Table::DeadLetters, &self.key(*position), &letter)
            }
        }
    }

    /// Forgets cursor and rows, because the channel has no receiver any more; says whether there were any. Dead letters
    /// stay.
    pub(super) fn close(&self) -> Result<bool, store::Error> {
        if self.cursor()?.is_none() {
            return Ok(false);
        }
        for (account, _) in self.rows()? {
            self.write(&Note::Release { account })?;
        }
        self.store.remove(Table::Cursors, self.name())?;
        self.store.flush()?;
        Ok(true)
    }

    fn name(&self) -> &'static [u8] {
        self.channel.short_name().as_bytes()
    }

    fn key(&self, number: u64) -> Vec<u8> {
        [self.name(), &number.to_be_bytes()].concat()
    }
}

fn bytes(words: [u64; 4]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn read_row(bytes: &[u8]) -> Option<Row> {
    let (words, []) = bytes.as_chunks::<8>() else { return None };
    let [format, next, failed, until] = *words else { return None };
    let [format, next, failed, until] = [format, next, failed, until].map(u64::from_le_bytes);
    let row = Row { next, failed: u32::try_from(failed).ok()?, until: Timestamp(until.cast_signed()) };
    (format == FORMAT).then_some(row)
}
