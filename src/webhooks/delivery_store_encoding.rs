//! The encoding of the rows of the delivery store. Pure.

use std::time::Duration;

use bytes::Bytes;

use super::attempt_log::DeadLetter;
use super::lane::LaneRow;
use super::retry_schedule::{Moment, RetryWait};
use crate::domain::{AccountNumber, Timestamp};

// Frozen: each format by its number. Rows of older formats stay until their delivery ends.
const FORMAT: u64 = 1;
/// Format 2 of lane rows.
const LANE_ROW_WITH_ATTEMPTS: u64 = 2;
/// Format 3 of lane rows.
const LANE_ROW_WITH_WAIT: u64 = 3;
/// Format 2 of redeliveries.
const REDELIVERY_WITH_WAIT: u64 = 2;
/// Format 2 of dead letters.
const DEAD_LETTER_WITH_BODY: u64 = 2;
/// The due time in the row of a blocked lane.
const NO_DUE_TIME: u64 = i64::MAX.cast_unsigned();

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Encodes a lane row. Its due time, in elapsed time, is stored as the end by the wall clock and the length of the
/// wait.
pub(super) fn encode_lane_row(row: &LaneRow, now: Moment) -> Vec<u8> {
    let wait = row.due_at.map(|until| now.wait_until(until));
    let end = wait.map_or(NO_DUE_TIME, |wait| wait.end.0.cast_unsigned());
    let length = wait.map_or(0, |wait| micros(wait.length));
    bytes(&[LANE_ROW_WITH_WAIT, row.next_position, u64::from(row.failed), end, u64::from(row.attempts), length])
}

/// Decodes a lane row. Its wait is converted to elapsed time at `now`. `None` if the format is unknown.
pub(super) fn decode_lane_row(bytes: &[u8], now: Moment) -> Option<LaneRow> {
    let (words, []) = bytes.as_chunks::<8>() else { return None };
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let (next, failed, end, tried, length) = match *words {
        [FORMAT, next, failed, end] => (next, failed, end, failed, Duration::MAX),
        [LANE_ROW_WITH_ATTEMPTS, next, failed, end, tried] => (next, failed, end, tried, Duration::MAX),
        [LANE_ROW_WITH_WAIT, next, failed, end, tried, length] => {
            (next, failed, end, tried, Duration::from_micros(length))
        }
        _ => return None,
    };
    let wait = (end != NO_DUE_TIME).then_some(RetryWait { end: Timestamp(end.cast_signed()), length });
    let until = wait.map(|wait| now.end_of_wait(wait));
    Some(LaneRow {
        next_position: next,
        failed: u32::try_from(failed).ok()?,
        attempts: u32::try_from(tried).ok()?,
        due_at: until,
    })
}

pub(super) fn encode_redelivery(failed: u32, wait: RetryWait) -> Vec<u8> {
    bytes(&[REDELIVERY_WITH_WAIT, u64::from(failed), wait.end.0.cast_unsigned(), micros(wait.length)])
}

/// Decodes the failed attempts and the wait of a redelivery. A damaged one is due at once.
pub(super) fn decode_redelivery(bytes: &[u8]) -> (u32, RetryWait) {
    let (words, _) = bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let (failed, end, length) = match *words {
        [FORMAT, failed, end] => (failed, end, Duration::MAX),
        [REDELIVERY_WITH_WAIT, failed, end, length] => (failed, end, Duration::from_micros(length)),
        _ => return (0, RetryWait::NONE),
    };
    (u32::try_from(failed).unwrap_or(0), RetryWait { end: Timestamp(end.cast_signed()), length })
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn encode_dead_letter(letter: &DeadLetter) -> Vec<u8> {
    let DeadLetter { account, attempts, at, failure, body } = letter;
    let words = [DEAD_LETTER_WITH_BODY, account.get(), *attempts, at.0.cast_unsigned(), failure.len() as u64];
    [&bytes(&words)[..], failure.as_bytes(), body.as_deref().unwrap_or_default()].concat()
}

pub(super) fn decode_dead_letter(bytes: &[u8]) -> Option<DeadLetter> {
    let (head, rest) = bytes.split_first_chunk::<32>()?;
    let ([format, account, attempts, at], []) = head.as_chunks::<8>() else { return None };
    let [format, account, attempts, at] = [*format, *account, *attempts, *at].map(u64::from_le_bytes);
    let (failure, body) = match format {
        FORMAT => (rest, None),
        DEAD_LETTER_WITH_BODY => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            let (failure, body) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            (failure, Some(Bytes::copy_from_slice(body)))
        }
        _ => return None,
    };
    let account = AccountNumber::from_stored(account)?;
    let failure = String::from_utf8_lossy(failure).into_owned();
    Some(DeadLetter { account, attempts, at: Timestamp(at.cast_signed()), failure, body })
}
