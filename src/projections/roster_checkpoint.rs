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
//! | 1 | L, the number of bytes with labels; format 2 has neither this word nor labels |
//! | R | account numbers |
//! | D | account numbers |
//! | 2 G | account number × 256 + gateway; version of the account |
//! | 1 for each row | account number × 256 + status × 16 + online status, in the order of the list |
//!
//! L bytes with labels follow, for each account in [`RosterState::labels`]: the words account number, version of the
//! first change and version of the last one; a byte with the number of labels; names and values, each after a byte with
//! its length.

use std::collections::HashMap;
use std::sync::Arc;

use super::roster_rows::{RosterRow, RosterRows, RowChunk};
use super::roster_state::{GatewayAssignment, LabelHistory, RosterProgress, RosterState};
use crate::domain::{AccountNumber, GatewayKind, Labels, OnlineStatus, Status};
use crate::store::StoreId;

/// A roster at one moment, to be encoded later. It shares the rows instead of copying them.
pub(super) struct RosterCheckpoint {
    progress: RosterProgress,
    registering: Vec<AccountNumber>,
    dropped: Vec<AccountNumber>,
    assignments: Vec<(AccountNumber, GatewayAssignment)>,
    labels: Vec<(AccountNumber, LabelHistory)>,
    chunks: Vec<Arc<RowChunk>>,
    rows: usize,
}

const FORMAT: u64 = 3;
/// Checkpoints of this format were written before accounts had labels, so a start after an upgrade reads one.
const FORMAT_WITHOUT_LABELS: u64 = 2;
const HEADER_WORDS: usize = 10;

impl RosterCheckpoint {
    /// A copy of `state` as it is now.
    pub(super) fn of(state: &RosterState) -> RosterCheckpoint {
        RosterCheckpoint {
            progress: state.progress,
            registering: state.registering.iter().copied().collect(),
            dropped: state.dropped.iter().copied().collect(),
            assignments: state.gateways.iter().map(|(account, assignment)| (*account, *assignment)).collect(),
            labels: state.labels.iter().map(|(account, labels)| (*account, labels.clone())).collect(),
            chunks: state.rows.chunks(),
            rows: state.rows.len(),
        }
    }

    /// The checkpoint as bytes.
    pub(super) fn encode(&self, store: StoreId) -> Vec<u8> {
        let RosterProgress { position, changed: (changed, at), last_task } = self.progress;
        let [registering, dropped] = [&self.registering, &self.dropped].map(|accounts| accounts.len() as u64);
        let assignments = self.assignments.len() as u64;
        let mut labels = Vec::new();
        self.labels.iter().for_each(|(account, known)| encode_labels(*account, known, &mut labels));
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
            labels.len() as u64,
        ];
        let registering_and_dropped = self.registering.iter().chain(&self.dropped).map(|account| account.get());
        let assignments = self.assignments.iter().flat_map(|(account, assignment)| {
            [account.get() << 8 | u64::from(assignment.gateway.code()), assignment.version]
        });
        let rows = self.chunks.iter().flat_map(|chunk| chunk.rows()).map(pack);
        let words = HEADER_WORDS + self.registering.len() + self.dropped.len() + 2 * self.assignments.len() + self.rows;
        let mut bytes = Vec::with_capacity(words * size_of::<u64>() + labels.len());
        for word in header.into_iter().chain(registering_and_dropped).chain(assignments).chain(rows) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&labels);
        bytes
    }

    /// A state from bytes; `None` if they have another format or store, or are inconsistent.
    pub(super) fn decode(bytes: &[u8], store: StoreId) -> Option<RosterState> {
        let (words, labels) = bytes.split_at_checked(bytes.len().checked_sub(label_bytes(bytes)?)?)?;
        let (words, []) = words.as_chunks() else { return None };
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let has_labels = words.next()? == FORMAT;
        if words.next()? != store.0 {
            return None;
        }
        let position = words.next()?;
        let changed = (words.next()?, words.next()?.cast_signed());
        let last_task = u32::try_from(words.next()?).ok()?;
        let registering = usize::try_from(words.next()?).ok()?;
        let dropped = usize::try_from(words.next()?).ok()?;
        let assignments = usize::try_from(words.next()?).ok()?;
        if has_labels {
            words.next()?;
        }
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
        let labels = decode_labels(labels)?;
        let mut state =
            RosterState { rows, progress, registering, dropped, gateways, labels, ..RosterState::default() };
        state.recount();
        is_complete.then_some(state)
    }
}

/// The number of bytes with labels, which are the last ones of `bytes`; `None` for an unknown format.
pub(super) fn label_bytes(bytes: &[u8]) -> Option<usize> {
    let word = |index: usize| bytes.as_chunks().0.get(index).map(|word| u64::from_le_bytes(*word));
    match word(0)? {
        FORMAT => usize::try_from(word(HEADER_WORDS - 1)?).ok(),
        FORMAT_WITHOUT_LABELS => Some(0),
        _ => None,
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

fn encode_labels(account: AccountNumber, known: &LabelHistory, out: &mut Vec<u8>) {
    for word in [account.get(), known.first_version, known.version] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    // A name or a value has at most 64 bytes, and an account has at most 16 labels.
    out.push(known.labels.iter().count() as u8);
    for text in known.labels.iter().flat_map(|(name, value)| [name, value]) {
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    }
}

fn decode_labels(mut bytes: &[u8]) -> Option<HashMap<AccountNumber, LabelHistory>> {
    let mut found = HashMap::new();
    while !bytes.is_empty() {
        let mut word = || Some(u64::from_le_bytes(*bytes.split_off(..8)?.first_chunk()?));
        let (account, first_version, version) = (AccountNumber::from_stored(word()?)?, word()?, word()?);
        let count = *bytes.split_off_first()?;
        let mut text = || {
            let length = usize::from(*bytes.split_off_first()?);
            str::from_utf8(bytes.split_off(..length)?).ok()
        };
        let pairs = (0..count).map(|_| Some((text()?, text()?))).collect::<Option<Vec<_>>>()?;
        let labels = Labels::new(pairs).ok()?;
        if found.insert(account, LabelHistory { labels, first_version, version }).is_some() {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn format_2_is_read() {
        const ACCOUNT: u64 = 8_618_210_001;
        let store = StoreId(7);
        let words: [u64; 12] =
            [2, store.0, 9, 8, 1_000, 5, 1, 0, 0, ACCOUNT, ACCOUNT << 8 | 0x12, (ACCOUNT + 1) << 8 | 0x24];
        let state = RosterCheckpoint::decode(&words.map(u64::to_le_bytes).concat(), store).unwrap();
        let accounts: Vec<u64> =
            state.rows.chunks().iter().flat_map(|it| it.rows()).map(|it| it.account.get()).collect();
        assert_eq!((accounts, state.labels.len(), state.registering.len()), (vec![ACCOUNT, ACCOUNT + 1], 0, 1));
        let again = RosterCheckpoint::decode(&RosterCheckpoint::of(&state).encode(store), store).unwrap();
        assert!(again.differences(&state).is_empty() && again.progress == state.progress);
    }
}
