//! The roster as bytes: a cache, so that a start need not read the whole journal.
//!
//! | words | content: 64-bit words, little endian |
//! |---|---|
//! | 1 | format |
//! | 1 | store id |
//! | 1 | position of the last event |
//! | 2 | position and time of the last change of a row |
//! | 1 | largest task id |
//! | 1 | R, the number of accounts with a registration in progress |
//! | 1 | D, the number of dropped accounts |
//! | 1 | G, the number of accounts at another gateway than `UNASSIGNED` |
//! | R | account numbers |
//! | D | account numbers |
//! | 2 G | account number × 256 + gateway; version of the account |
//! | 1 for each row | account number × 256 + status × 16 + online status, in the order of the list |

use std::sync::Arc;

use super::roster_rows::{RosterRow, RosterRows, RowChunk};
use super::roster_state::{GatewayAssignment, RosterProgress, RosterState};
use crate::domain::{AccountNumber, GatewayKind, OnlineStatus, Status};
use crate::store::StoreId;

/// A roster at one moment, to be encoded later. It shares the rows instead of copying them.
pub(super) struct RosterCheckpoint {
    progress: RosterProgress,
    registering: Vec<AccountNumber>,
    dropped: Vec<AccountNumber>,
    assignments: Vec<(AccountNumber, GatewayAssignment)>,
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
            registering: state.registering.iter().copied().collect(),
            dropped: state.dropped.iter().copied().collect(),
            assignments: state.gateways.iter().map(|(account, assignment)| (*account, *assignment)).collect(),
            chunks: state.rows.chunks(),
            rows: state.rows.len(),
        }
    }

    /// The checkpoint as bytes.
    pub(super) fn encode(&self, store: StoreId) -> Vec<u8> {
        let RosterProgress { position, changed: (changed, at), last_task } = self.progress;
        let [registering, dropped] = [&self.registering, &self.dropped].map(|accounts| accounts.len() as u64);
        let assignments = self.assignments.len() as u64;
        let header: [u64; HEADER_WORDS] = [
            FORMAT,
            store.0,
            position,
            changed,
            at.cast_unsigned(),
            u64::from(last_task),
            registering,
            dropped,
            assignments,
        ];
        let registering_and_dropped = self.registering.iter().chain(&self.dropped).map(|account| account.get());
        let assignments = self.assignments.iter().flat_map(|(account, assignment)| {
            [account.get() << 8 | u64::from(assignment.gateway.code()), assignment.version]
        });
        let rows = self.chunks.iter().flat_map(|chunk| chunk.rows()).map(pack);
        let words = HEADER_WORDS + self.registering.len() + self.dropped.len() + 2 * self.assignments.len() + self.rows;
        let mut bytes = Vec::with_capacity(words * size_of::<u64>());
        for word in header.into_iter().chain(registering_and_dropped).chain(assignments).chain(rows) {
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
        let registering = usize::try_from(words.next()?).ok()?;
        let dropped = usize::try_from(words.next()?).ok()?;
        let assignments = usize::try_from(words.next()?).ok()?;
        let row_count =
            words.len().checked_sub(registering)?.checked_sub(dropped)?.checked_sub(assignments.checked_mul(2)?)?;
        let registering = words.by_ref().take(registering).map(AccountNumber::from_stored).collect::<Option<_>>()?;
        let dropped = words.by_ref().take(dropped).map(AccountNumber::from_stored).collect::<Option<_>>()?;
        let assignments = (0..assignments).map(|_| {
            let (word, version) = (words.next()?, words.next()?);
            let gateway = GatewayKind::from_code(word as u8).filter(|gateway| *gateway != GatewayKind::UNASSIGNED)?;
            Some((AccountNumber::from_stored(word >> 8)?, GatewayAssignment { gateway, version }))
        });
        let gateways = assignments.collect::<Option<_>>()?;
        let mut rows = RosterRows::with_capacity(row_count);
        for word in words {
            if !rows.upsert(unpack(word)?) {
                return None;
            }
        }
        let progress = RosterProgress { position, changed, last_task };
        let is_complete = rows.len() == row_count;
        let mut state = RosterState { rows, progress, registering, dropped, gateways, ..RosterState::default() };
        state.recount();
        is_complete.then_some(state)
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
