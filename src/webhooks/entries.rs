//! The bytes of what a book keeps. Pure.

use std::time::Duration;

use bytes::Bytes;

use super::lane::Row;
use super::trail::Letter;
use super::waits::{Moment, Wait};
use crate::domain::{AccountNumber, Timestamp};

const FORMAT: u64 = 1;
/// Of rows.
const WITH_TRIED: u64 = 2;
/// Of rows.
const WITH_LENGTH: u64 = 3;
/// Of what is sent again.
const AGAIN_WITH_LENGTH: u64 = 2;
/// Of dead letters.
const WITH_BODY: u64 = 2;
/// The time of a row that waits for an operator.
const NEVER: u64 = i64::MAX.cast_unsigned();

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The bytes of a row that is written now.
pub(super) fn row_bytes(row: &Row, now: Moment) -> Vec<u8> {
    let wait = row.until.map(|until| now.wait_until(until));
    let end = wait.map_or(NEVER, |wait| wait.end.0.cast_unsigned());
    let length = wait.map_or(0, |wait| micros(wait.length));
    bytes(&[WITH_LENGTH, row.next, u64::from(row.failed), end, u64::from(row.tried), length])
}

/// A row that is read now.
pub(super) fn read_row(bytes: &[u8], now: Moment) -> Option<Row> {
    let (words, []) = bytes.as_chunks::<8>() else { return None };
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let (next, failed, end, tried, length) = match *words {
        [FORMAT, next, failed, end] => (next, failed, end, failed, Duration::MAX),
        [WITH_TRIED, next, failed, end, tried] => (next, failed, end, tried, Duration::MAX),
        [WITH_LENGTH, next, failed, end, tried, length] => (next, failed, end, tried, Duration::from_micros(length)),
        _ => return None,
    };
    let wait = (end != NEVER).then_some(Wait { end: Timestamp(end.cast_signed()), length });
    let until = wait.map(|wait| now.end_of(wait));
    Some(Row { next, failed: u32::try_from(failed).ok()?, tried: u32::try_from(tried).ok()?, until })
}

pub(super) fn again_bytes(failed: u32, wait: Wait) -> Vec<u8> {
    bytes(&[AGAIN_WITH_LENGTH, u64::from(failed), wait.end.0.cast_unsigned(), micros(wait.length)])
}

/// One that cannot be read is due at once.
pub(super) fn read_again(bytes: &[u8]) -> (u32, Wait) {
    let (words, _) = bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let (failed, end, length) = match *words {
        [FORMAT, failed, end] => (failed, end, Duration::MAX),
        [AGAIN_WITH_LENGTH, failed, end, length] => (failed, end, Duration::from_micros(length)),
        _ => return (0, Wait::NONE),
    };
    (u32::try_from(failed).unwrap_or(0), Wait { end: Timestamp(end.cast_signed()), length })
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn letter_bytes(letter: &Letter) -> Vec<u8> {
    let Letter { account, attempts, at, failure, body } = letter;
    let words = [WITH_BODY, account.get(), *attempts, at.0.cast_unsigned(), failure.len() as u64];
    [&bytes(&words)[..], failure.as_bytes(), body.as_deref().unwrap_or_default()].concat()
}

pub(super) fn read_letter(bytes: &[u8]) -> Option<Letter> {
    let (head, rest) = bytes.split_first_chunk::<32>()?;
    let ([format, account, attempts, at], []) = head.as_chunks::<8>() else { return None };
    let [format, account, attempts, at] = [*format, *account, *attempts, *at].map(u64::from_le_bytes);
    let (failure, body) = match format {
        FORMAT => (rest, None),
        WITH_BODY => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            let (failure, body) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            (failure, Some(Bytes::copy_from_slice(body)))
        }
        _ => return None,
    };
    let account = AccountNumber::from_stored(account)?;
    let failure = String::from_utf8_lossy(failure).into_owned();
    Some(Letter { account, attempts, at: Timestamp(at.cast_signed()), failure, body })
}
