//! The bytes of what a book keeps. Pure.

use bytes::Bytes;

use super::lane::Row;
use super::trail::Letter;
use crate::domain::{AccountNumber, Timestamp};

const FORMAT: u64 = 1;
/// Of rows.
const WITH_TRIED: u64 = 2;
/// Of dead letters.
const WITH_BODY: u64 = 2;
/// The time of a row that waits for an operator.
const NEVER: u64 = i64::MAX.cast_unsigned();

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(super) fn row_bytes(row: &Row) -> Vec<u8> {
    let until = row.until.map_or(NEVER, |until| until.0.cast_unsigned());
    bytes(&[WITH_TRIED, row.next, u64::from(row.failed), until, u64::from(row.tried)])
}

pub(super) fn read_row(bytes: &[u8]) -> Option<Row> {
    let (words, []) = bytes.as_chunks::<8>() else { return None };
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let [next, failed, until, tried] = match *words {
        [FORMAT, next, failed, until] => [next, failed, until, failed],
        [WITH_TRIED, next, failed, until, tried] => [next, failed, until, tried],
        _ => return None,
    };
    let until = (until != NEVER).then_some(Timestamp(until.cast_signed()));
    Some(Row { next, failed: u32::try_from(failed).ok()?, tried: u32::try_from(tried).ok()?, until })
}

pub(super) fn again_bytes(failed: u32, until: Timestamp) -> Vec<u8> {
    bytes(&[FORMAT, u64::from(failed), until.0.cast_unsigned()])
}

/// One that cannot be read is due at once.
pub(super) fn read_again(bytes: &[u8]) -> (u32, Timestamp) {
    let (words, _) = bytes.as_chunks::<8>();
    match *words {
        [_, failed, until] => {
            (u32::try_from(u64::from_le_bytes(failed)).unwrap_or(0), Timestamp(u64::from_le_bytes(until).cast_signed()))
        }
        _ => (0, Timestamp(0)),
    }
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
