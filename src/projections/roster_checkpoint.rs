//! The roster as bytes: a cache, so that a start need not read the whole journal.
//!
//! The format is 64-bit words, little endian. The header is: format, store id, position of the last event, position and
//! time of the last change of a row, largest task id, number of waiting registrations, number of dropped accounts, and
//! number of accounts at another gateway than `UNASSIGNED`. Then come the account numbers of the first two groups. Each
//! entry of the third group is the account number times 256 plus the gateway, followed by the account's version. The rows
//! come last, in order: account number times 256, plus status times 16, plus online status.

use std::sync::Arc;

use super::roster_rows::{RosterRow, RosterRows, RowChunk};
use super::roster_state::{GatewayAssignment, RosterProgress, RosterState};
use crate::domain::{AccountNumber, GatewayKind, OnlineStatus, Status};
use crate::store::StoreId;

/// A roster at one moment, to be encoded later. It shares the rows instead of copying them.
pub(super) struct RosterCheckpoint {
    progress: RosterProgress,
    waiting: Vec<AccountNumber>,
    dropped: Vec<AccountNumber>,
    served: Vec<(AccountNumber, GatewayAssignment)>,
    chunks: Vec<Arc<RowChunk>>,
    rows: usize,
}

const FORMAT: u64 = 2;
const HEADER_WORDS: usize = 9;

impl RosterCheckpoint {
    /// A copy of `state` as it is now.
    pub(super) fn of(state: &RosterState) -> RosterCheckpoint {
        RosterCheckpoint {
            progress: state.progress,
            waiting: state.waiting.iter().copied().collect(),
            dropped: state.dropped.iter().copied().collect(),
            served: state.gateways.iter().map(|(account, served)| (*account, *served)).collect(),
            chunks: state.rows.chunks(),
            rows: state.rows.len(),
        }
    }

    /// The checkpoint as bytes.
    pub(super) fn encode(&self, store: StoreId) -> Vec<u8> {
        let RosterProgress { position, changed: (changed, at), last_task } = self.progress;
        let [waiting, dropped] = [&self.waiting, &self.dropped].map(|accounts| accounts.len() as u64);
        let served = self.served.len() as u64;
        let header: [u64; HEADER_WORDS] =
            [FORMAT, store.0, position, changed, at.cast_unsigned(), u64::from(last_task), waiting, dropped, served];
        let named = self.waiting.iter().chain(&self.dropped).map(|account| account.get());
        let served = self
            .served
            .iter()
            .flat_map(|(account, served)| [account.get() << 8 | u64::from(served.gateway.code()), served.version]);
        let rows = self.chunks.iter().flat_map(|chunk| chunk.rows()).map(pack);
        let words = HEADER_WORDS + self.waiting.len() + self.dropped.len() + 2 * self.served.len() + self.rows;
        let mut bytes = Vec::with_capacity(words * size_of::<u64>());
        for word in header.into_iter().chain(named).chain(served).chain(rows) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// A state from bytes; `None` if they have another format or store, or are inconsistent.
    pub(super) fn decode(bytes: &[u8], store: StoreId) -> Option<RosterState> {
        let (words, []) = bytes.as_chunks() else { return None };
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        if words.next()? != FORMAT || words.next()? != store.0 {
            return None;
        }
        let position = words.next()?;
        let changed = (words.next()?, words.next()?.cast_signed());
        let last_task = u32::try_from(words.next()?).ok()?;
        let waiting = usize::try_from(words.next()?).ok()?;
        let dropped = usize::try_from(words.next()?).ok()?;
        let served = usize::try_from(words.next()?).ok()?;
        let rows_listed =
            words.len().checked_sub(waiting)?.checked_sub(dropped)?.checked_sub(served.checked_mul(2)?)?;
        let waiting = words.by_ref().take(waiting).map(AccountNumber::from_stored).collect::<Option<_>>()?;
        let dropped = words.by_ref().take(dropped).map(AccountNumber::from_stored).collect::<Option<_>>()?;
        let served = (0..served).map(|_| {
            let (word, version) = (words.next()?, words.next()?);
            let gateway = GatewayKind::from_code(word as u8).filter(|gateway| *gateway != GatewayKind::UNASSIGNED)?;
            Some((AccountNumber::from_stored(word >> 8)?, GatewayAssignment { gateway, version }))
        });
        let served = served.collect::<Option<_>>()?;
        let mut rows = RosterRows::with_capacity(rows_listed);
        for word in words {
            if !rows.upsert(unpack(word)?) {
                return None;
            }
        }
        let progress = RosterProgress { position, changed, last_task };
        let is_whole = rows.len() == rows_listed;
        let mut state = RosterState { rows, progress, waiting, dropped, gateways: served, ..RosterState::default() };
        state.recount();
        is_whole.then_some(state)
    }
}

fn pack(row: RosterRow) -> u64 {
    row.account.get() << 8 | u64::from(row.status.code()) << 4 | u64::from(row.online_status.code())
}

fn unpack(word: u64) -> Option<RosterRow> {
    Some(RosterRow {
        account: AccountNumber::from_stored(word >> 8)?,
        status: Status::from_code((word >> 4) as u8 & 0xf)?,
        online_status: OnlineStatus::from_code(word as u8 & 0xf)?,
    })
}
