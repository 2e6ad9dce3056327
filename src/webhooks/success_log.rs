//! Deliveries that succeeded at the first attempt, many in one small row. Most deliveries do. Pure.
//!
//! A row is the format (one byte, 1) and a [`SuccessLogRow`] in bincode. Most responses are equal, so a row stores each
//! distinct response once.

use std::collections::BTreeMap;

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bincode::{Decode, Encode};

use super::attempt_log::{AttemptLog, DeliveryAttempt, DeliveryState};
use crate::domain::Timestamp;
use crate::limits::{SUCCESS_LOG_POSITIONS_PER_ROW, SUCCESS_LOG_ROW_BYTES};

// Frozen: fields, their order and their types. Existing rows hold these bytes; a change needs format 2.
const FORMAT: u8 = 1;
/// With the limit, a damaged length cannot make the decoder allocate all memory.
const CODEC: Configuration<LittleEndian, Varint, Limit<{ SUCCESS_LOG_ROW_BYTES }>> = standard().with_limit();

/// The attempts of one row, by position. Each is the only attempt of its delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SuccessLog(pub(super) BTreeMap<u64, DeliveryAttempt>);

#[derive(Encode, Decode, Default)]
struct SuccessLogRow {
    /// The distinct responses: HTTP status and beginning of the body.
    answers: Vec<(u16, String)>,
    /// When the first attempt of the row began, µs since 1970.
    since: i64,
    attempts: Vec<SuccessLogEntry>,
}

#[derive(Encode, Decode)]
struct SuccessLogEntry {
    /// The distance from the row's first position.
    offset: u64,
    /// When the attempt began, µs after `since`.
    after: i64,
    micros: u64,
    /// The index in `answers`.
    answer: u32,
}

/// The first position of the row that contains a position.
pub(super) fn first_position(position: u64) -> u64 {
    position / SUCCESS_LOG_POSITIONS_PER_ROW * SUCCESS_LOG_POSITIONS_PER_ROW
}

impl SuccessLog {
    /// Decodes the row that begins at the position `first`. Empty if it is damaged.
    pub(super) fn decode(first: u64, bytes: &[u8]) -> SuccessLog {
        let row: SuccessLogRow = match bytes.split_first() {
            Some((&FORMAT, bytes)) => {
                bincode::decode_from_slice(bytes, CODEC).map_or_else(|_| SuccessLogRow::default(), |it| it.0)
            }
            Some(_) | None => SuccessLogRow::default(),
        };
        // An offset outside the row means damage: skip the entry.
        let own = row.attempts.into_iter().filter(|stored| stored.offset < SUCCESS_LOG_POSITIONS_PER_ROW);
        let attempt = |SuccessLogEntry { offset, after, micros, answer }: SuccessLogEntry| {
            let (status, response) = row.answers.get(answer as usize)?.clone();
            let status = (status > 0).then_some(status);
            let at = row.since.saturating_add(after);
            Some((
                first.saturating_add(offset),
                DeliveryAttempt { at, micros, status, failure: None, response, next: None },
            ))
        };
        SuccessLog(own.filter_map(attempt).collect())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = SuccessLogRow {
            since: self.0.values().map(|attempt| attempt.at).min().unwrap_or(0),
            ..SuccessLogRow::default()
        };
        for (position, DeliveryAttempt { at, micros, status, response, .. }) in &self.0 {
            let status = status.unwrap_or(0);
            let known = row.answers.iter().position(|answer| answer.0 == status && answer.1 == *response);
            let answer = known.unwrap_or_else(|| {
                row.answers.push((status, response.clone()));
                row.answers.len() - 1
            });
            row.attempts.push(SuccessLogEntry {
                offset: position % SUCCESS_LOG_POSITIONS_PER_ROW,
                after: at.saturating_sub(row.since),
                micros: *micros,
                answer: u32::try_from(answer).unwrap_or(u32::MAX),
            });
        }
        // Encoding into memory always succeeds.
        [vec![FORMAT], bincode::encode_to_vec(row, CODEC).unwrap_or_default()].concat()
    }

    /// Removes attempts that ended before `time`. Returns whether there were any.
    pub(super) fn remove_older_than(&mut self, time: Timestamp) -> bool {
        let before = self.0.len();
        self.0.retain(|_, attempt| attempt.ended_at() >= time);
        self.0.len() < before
    }
}

impl DeliveryAttempt {
    fn ended_at(&self) -> Timestamp {
        Timestamp(self.at.saturating_add_unsigned(self.micros))
    }

    /// The attempt log of a delivery that succeeded with this single attempt.
    pub(super) fn into_log(self) -> AttemptLog {
        let mut log = AttemptLog::new(DeliveryState::Delivered, self.ended_at());
        log.attempts.push(self);
        log
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A length with no data behind it, and offsets of another row.
    #[test]
    fn a_damaged_row_is_skipped() {
        let nothing = [&[FORMAT, 253][..], &[0xff; 8]].concat();
        assert_eq!(SuccessLog::decode(512, &nothing), SuccessLog::default());
        for (offset, is_own) in [
            (0, true),
            (SUCCESS_LOG_POSITIONS_PER_ROW - 1, true),
            (SUCCESS_LOG_POSITIONS_PER_ROW, false),
            (u64::MAX, false),
        ] {
            let stored = SuccessLogEntry { offset, after: 0, micros: 0, answer: 0 };
            let row = SuccessLogRow { answers: vec![(200, String::new())], since: 0, attempts: vec![stored] };
            let bytes = [vec![FORMAT], bincode::encode_to_vec(row, CODEC).unwrap()].concat();
            assert_eq!(SuccessLog::decode(512, &bytes).0.len(), usize::from(is_own), "{offset}");
        }
    }
}
