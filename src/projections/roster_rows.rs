//! The rows of the account list, rendered when they change rather than when they are queried.
//!
//! A row is stored only as its JSON text. Two of its digits change, at offsets that depend on the length of the account
//! number. Each row except the first has a comma before it, so the concatenated chunks are the inside of a JSON list.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::account_counts::AccountCounts;
use super::gzip::GzipPiece;
use crate::domain::{AccountNumber, OnlineStatus, Status};
use crate::limits::{ACCOUNT_DIGITS_MAX, ROSTER_CHUNK_ROWS};

/// One account in the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RosterRow {
    pub(super) account: AccountNumber,
    pub(super) status: Status,
    pub(super) online_status: OnlineStatus,
}

/// All rows, in the order of their accounts' first events.
#[derive(Default)]
pub(super) struct RosterRows {
    chunks: Vec<Arc<RowChunk>>,
    locations: HashMap<AccountNumber, RowLocation>,
    /// Kept separately, so that a query need not scan a million rows.
    counts: AccountCounts,
}

/// The text of up to [`ROSTER_CHUNK_ROWS`] rows. Responses share it; a change while a response holds it makes a copy.
#[derive(Default)]
pub(super) struct RowChunk {
    text: Vec<u8>,
    /// The same text as a piece of a gzip stream, compressed on first use.
    compressed: OnceLock<GzipPiece>,
}

/// Where a row begins, after its comma.
#[derive(Clone, Copy)]
struct RowLocation {
    chunk: u32,
    offset: u16,
}

// Frozen: the fields and their order. The API document defines them, and callers read them.
const OPENING: &str = "{\"whatsApp\":\"";
const STATUS: &str = "\",\"status\":";
const ONLINE_STATUS: &str = ",\"onlineStatus\":";
const CLOSING: &str = "}";

/// Bytes of the longest row, with its comma.
const ROW_BYTES_MAX: usize =
    1 + OPENING.len() + ACCOUNT_DIGITS_MAX + STATUS.len() + 1 + ONLINE_STATUS.len() + 1 + CLOSING.len();
/// Bytes of the largest chunk.
const CHUNK_BYTES_MAX: usize = ROSTER_CHUNK_ROWS * ROW_BYTES_MAX;
/// A row's offset in its chunk has 16 bits.
const _: () = assert!(CHUNK_BYTES_MAX <= u16::MAX as usize);

impl RosterRows {
    /// No rows, with index capacity for this many accounts.
    pub(super) fn with_capacity(accounts: usize) -> RosterRows {
        RosterRows { locations: HashMap::with_capacity(accounts), ..RosterRows::default() }
    }

    /// The number of listed accounts.
    pub(super) fn len(&self) -> usize {
        self.locations.len()
    }

    /// The row of an account, if it is listed.
    pub(super) fn get(&self, account: AccountNumber) -> Option<RosterRow> {
        let location = *self.locations.get(&account)?;
        self.chunks.get(location.chunk as usize)?.row_at(location.offset as usize)
    }

    /// Whether an account is listed.
    pub(super) fn contains(&self, account: AccountNumber) -> bool {
        self.locations.contains_key(&account)
    }

    /// Replaces the account's row, or appends it. Returns whether anything changed: an equal row is not written again,
    /// so its chunk is not copied.
    pub(super) fn upsert(&mut self, row: RosterRow) -> bool {
        let Some(location) = self.locations.get(&row.account) else {
            self.push(row);
            return true;
        };
        let offset = location.offset as usize;
        let Some(chunk) = self.chunks.get_mut(location.chunk as usize) else { return false };
        let Some(before) = chunk.row_at(offset).filter(|before| *before != row) else { return false };
        Arc::make_mut(chunk).patch(offset, row);
        self.counts.remove(before.status, before.online_status);
        self.counts.add(row.status, row.online_status);
        true
    }

    /// The counts of rows by status.
    pub(super) fn counts(&self) -> AccountCounts {
        self.counts
    }

    /// The current text, shared.
    pub(super) fn chunks(&self) -> Vec<Arc<RowChunk>> {
        self.chunks.clone()
    }

    /// The accounts whose rows differ, or are missing in one of the two lists.
    pub(super) fn differences(&self, other: &RosterRows) -> Vec<AccountNumber> {
        let rows_of = |list: &RosterRows| list.chunks.iter().flat_map(|chunk| chunk.rows()).collect::<Vec<_>>();
        let (own, others) = (rows_of(self), rows_of(other));
        let missing = others.iter().filter(|row| !self.contains(row.account)).map(|row| row.account);
        let changed = own.iter().filter(|row| other.get(row.account) != Some(**row)).map(|row| row.account);
        changed.chain(missing).collect()
    }

    fn push(&mut self, row: RosterRow) {
        let listed = self.locations.len();
        if listed.is_multiple_of(ROSTER_CHUNK_ROWS) {
            self.chunks.push(Arc::default());
        }
        if let Some(chunk) = self.chunks.last_mut() {
            let offset = Arc::make_mut(chunk).push(row, listed > 0);
            let location = RowLocation { chunk: (listed / ROSTER_CHUNK_ROWS) as u32, offset: offset as u16 };
            self.locations.insert(row.account, location);
            self.counts.add(row.status, row.online_status);
        }
    }
}

impl RowChunk {
    /// The JSON of its rows. Each row has a comma before it, except the first row of the list.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The same text, compressed for a gzip stream on the first call after a change.
    pub(super) fn compressed(&self) -> &GzipPiece {
        self.compressed.get_or_init(|| GzipPiece::compress(&self.text))
    }

    /// Its rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = RosterRow> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            offset += usize::from(self.text.get(offset) == Some(&b','));
            let row = self.row_at(offset)?;
            offset += row.text_bytes();
            Some(row)
        })
    }

    fn row_at(&self, offset: usize) -> Option<RosterRow> {
        RosterRow::read(self.text.get(offset..)?)
    }

    /// Appends a row, and returns where it begins.
    fn push(&mut self, row: RosterRow, has_row_before: bool) -> usize {
        self.compressed.take();
        // Reserves the full size in one step, so that a full chunk wastes almost nothing.
        self.text.reserve_exact(CHUNK_BYTES_MAX - self.text.len());
        if has_row_before {
            self.text.push(b',');
        }
        let offset = self.text.len();
        row.write(&mut self.text);
        offset
    }

    fn patch(&mut self, offset: usize, row: RosterRow) {
        let status = offset + row.status_offset();
        self.text[status] = b'0' + row.status.code();
        self.text[status + 1 + ONLINE_STATUS.len()] = b'0' + row.online_status.code();
        self.compressed.take();
    }
}

/// A clone is made to be changed, so it does not copy the compressed piece.
impl Clone for RowChunk {
    fn clone(&self) -> RowChunk {
        RowChunk { text: self.text.clone(), compressed: OnceLock::new() }
    }
}

impl RosterRow {
    /// The row's JSON.
    pub(super) fn text(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(ROW_BYTES_MAX);
        self.write(&mut text);
        text
    }

    /// Appends the row's JSON to `out`.
    fn write(self, out: &mut Vec<u8>) {
        let RosterRow { account, status, online_status } = self;
        for part in [OPENING, &account.to_string(), STATUS] {
            out.extend_from_slice(part.as_bytes());
        }
        out.push(b'0' + status.code());
        out.extend_from_slice(ONLINE_STATUS.as_bytes());
        out.push(b'0' + online_status.code());
        out.extend_from_slice(CLOSING.as_bytes());
    }

    /// The row at the start of `text`.
    fn read(text: &[u8]) -> Option<RosterRow> {
        let digits = text.get(OPENING.len()..)?.iter().take_while(|byte| byte.is_ascii_digit());
        let account = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        let account = AccountNumber::from_stored(account)?;
        let status = OPENING.len() + account.digits() + STATUS.len();
        let code_at = |offset: usize| text.get(offset)?.checked_sub(b'0');
        Some(RosterRow {
            account,
            status: Status::from_code(code_at(status)?)?,
            online_status: OnlineStatus::from_code(code_at(status + 1 + ONLINE_STATUS.len())?)?,
        })
    }

    fn status_offset(self) -> usize {
        OPENING.len() + self.account.digits() + STATUS.len()
    }

    fn text_bytes(self) -> usize {
        self.status_offset() + 1 + ONLINE_STATUS.len() + 1 + CLOSING.len()
    }
}
