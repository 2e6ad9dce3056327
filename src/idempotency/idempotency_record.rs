//! The idempotency record of a request, and its encoding. Pure.
//!
//! | offset | bytes | what, little endian |
//! |---|---|---|
//! | 0 | 1 | format, 1 |
//! | 1 | 1 | reserved, 0 |
//! | 2 | 2 | code of the response; 0 while there is no response |
//! | 4 | 8 | when the request was begun, microseconds since 1970-01-01T00:00:00Z |
//! | 12 | 8 | id of the vault's request key, which made the fingerprint |
//! | 20 | 32 | fingerprint |
//! | 52 | 16 | request id |
//! | 68 | 8 | last position of the journal when the request was begun |
//! | 76 | 4 | length of the response's body, in bytes |
//! | 80 | | the body, or its first part; the further parts have table keys of their own |
//!
//! The record has no secrets in clear text. Responses of the documented calls contain only numbers, codes and sentences, all others
//! are sealed, and the request itself is not stored.
//!
//! Frozen: this layout and the hash of a scope. A request that is repeated after an upgrade must find its record.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::domain::Timestamp;
use crate::journal::RequestId;
use crate::limits::{IDEMPOTENCY_OVERHEAD_BYTES, IDEMPOTENCY_PART_BYTES};
use crate::vault::RequestFingerprint;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 80;

/// Identifies an `Idempotency-Key` of one caller at one endpoint. It begins with the number of the caller's API key; the
/// rest is a hash. The same `Idempotency-Key` of another caller, or at another endpoint, has another scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyScope(pub(super) [u8; 32]);

/// The request id, and the journal position when the request was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStart {
    /// The id in the request's events.
    pub request: RequestId,
    /// The last position of the journal. The request's events come after it.
    pub position: u64,
}

/// The response to a request, as it is stored and repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// The contract's code.
    pub code: u16,
    /// The body, as it was sent.
    pub body: Bytes,
}

/// The record of a request with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdempotencyRecord {
    /// When the request was begun.
    pub(super) at: Timestamp,
    pub(super) fingerprint: RequestFingerprint,
    pub(super) intent: RequestStart,
    pub(super) response: Option<StoredResponse>,
}

impl KeyScope {
    /// The scope of an `Idempotency-Key`. `caller` is the number of the caller's API key. Each part is hashed after its
    /// length, so that scopes do not collide.
    pub fn of(caller: u64, endpoint: &str, idempotency_key: &[u8]) -> KeyScope {
        let mut hash = Sha256::new_with_prefix(b"muster idempotency scope 1");
        for part in [&caller.to_le_bytes()[..], endpoint.as_bytes(), idempotency_key] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut scope: [u8; 32] = hash.finalize().into();
        scope[..8].copy_from_slice(&caller.to_be_bytes());
        KeyScope(scope)
    }

    /// Its bytes, which bind a sealed response to it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of the caller's API key; 0 without one.
    pub(super) fn caller(self) -> u64 {
        self.0.first_chunk().map_or(0, |caller| u64::from_be_bytes(*caller))
    }
}

impl IdempotencyRecord {
    /// Encodes the record with the first part of the body. The second value is the rest of the body.
    pub(super) fn encode(&self) -> (Vec<u8>, Bytes) {
        let IdempotencyRecord { at, fingerprint, intent, response } = self;
        let (code, mut body) =
            response.as_ref().map_or((0, Bytes::new()), |response| (response.code, response.body.clone()));
        let length = body.len() as u32;
        let rest = body.split_off(body.len().min(IDEMPOTENCY_PART_BYTES));
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&[FORMAT, 0]);
        bytes.extend_from_slice(&code.to_le_bytes());
        bytes.extend_from_slice(&at.0.to_le_bytes());
        bytes.extend_from_slice(&fingerprint.key);
        bytes.extend_from_slice(&fingerprint.hash);
        bytes.extend_from_slice(&intent.request.0.to_le_bytes());
        bytes.extend_from_slice(&intent.position.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&body);
        (bytes, rest)
    }

    /// Decodes a record with the first part of the body. The second value is the number of body bytes in further parts.
    /// `None` if the format is unknown.
    pub(super) fn decode(bytes: &[u8]) -> Option<(IdempotencyRecord, usize)> {
        let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let u64_at = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if header[..2] != [FORMAT, 0] {
            return None;
        }
        let code = u16::from_le_bytes([header[2], header[3]]);
        let length = u32::from_le_bytes(*header.last_chunk()?) as usize;
        let response = StoredResponse { code, body: Bytes::copy_from_slice(body) };
        let record = IdempotencyRecord {
            at: Timestamp(u64_at(4).cast_signed()),
            fingerprint: RequestFingerprint { key: *header[12..].first_chunk()?, hash: *header[20..].first_chunk()? },
            intent: RequestStart {
                request: RequestId(u128::from(u64_at(52)) | u128::from(u64_at(60)) << 64),
                position: u64_at(68),
            },
            response: (code > 0).then_some(response),
        };
        Some((record, length.checked_sub(body.len())?))
    }

    /// The size that counts against the capacity, in bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        let body = self.response.as_ref().map_or(0, |response| response.body.len());
        IDEMPOTENCY_OVERHEAD_BYTES + (HEADER_BYTES + body) as u64
    }
}
