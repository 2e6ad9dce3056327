//! Fuzz target: the encoding of idempotency records.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;

use super::idempotency_record::{IdempotencyRecord, RequestStart, StoredResponse};
use crate::domain::Timestamp;
use crate::journal::RequestId;
use crate::limits::IDEMPOTENCY_PART_BYTES;
use crate::vault::RequestFingerprint;

pub(crate) fn rows() -> Vec<Vec<u8>> {
    let encode_record = |body: Option<usize>| {
        let response = body.map(|bytes| StoredResponse { code: 207, body: vec![b'{'; bytes].into() });
        let (fingerprint, intent) = (
            RequestFingerprint { key: [1; 8], hash: [2; 32] },
            RequestStart { request: RequestId(7 << 100), position: 41 },
        );
        IdempotencyRecord { at: Timestamp(1_666_942_813_620_000), fingerprint, intent, response }.encode().0
    };
    [None, Some(0), Some(40), Some(IDEMPOTENCY_PART_BYTES + 9)].map(encode_record).into()
}

/// Checks that a record with its complete body is encoded to the bytes that it was decoded from.
pub(crate) fn row(bytes: &[u8]) -> Option<String> {
    let (record, missing) = IdempotencyRecord::decode(bytes)?;
    if missing == 0 && record.response.is_some() && bytes.len() <= IDEMPOTENCY_PART_BYTES {
        assert_eq!(record.encode(), (bytes.to_vec(), Bytes::new()));
    }
    None
}
