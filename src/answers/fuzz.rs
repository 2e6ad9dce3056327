//! The rows of what was answered, under any bytes.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;

use super::row::{Given, Intent, Row};
use crate::domain::Timestamp;
use crate::journal::RequestId;
use crate::limits::ANSWER_PART_BYTES;
use crate::vault::RequestFingerprint;

pub(crate) fn rows() -> Vec<Vec<u8>> {
    let of = |body: Option<usize>| {
        let answer = body.map(|bytes| Given { code: 207, body: vec![b'{'; bytes].into() });
        let (print, intent) =
            (RequestFingerprint { key: [1; 8], hash: [2; 32] }, Intent { request: RequestId(7 << 100), position: 41 });
        Row { at: Timestamp(1_666_942_813_620_000), print, intent, answer }.bytes().0
    };
    [None, Some(0), Some(40), Some(ANSWER_PART_BYTES + 9)].map(of).into()
}

/// A row that is read whole is written again as it was; of another, what is missing is behind what is there.
pub(crate) fn row(bytes: &[u8]) -> Option<String> {
    let (row, missing) = Row::read(bytes)?;
    if missing == 0 && row.answer.is_some() && bytes.len() <= ANSWER_PART_BYTES {
        assert_eq!(row.bytes(), (bytes.to_vec(), Bytes::new()));
    }
    None
}
