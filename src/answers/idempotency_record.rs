//! A request and its answer as bytes, and what follows for whoever asks again. Pure.
//!
//! | offset | bytes | what, little endian |
//! |---|---|---|
//! | 0 | 1 | format, 1 |
//! | 1 | 1 | reserved, 0 |
//! | 2 | 2 | code of the answer; 0 while there is none |
//! | 4 | 8 | when it was begun, microseconds since 1970-01-01T00:00:00Z |
//! | 12 | 8 | which key the fingerprint was made with |
//! | 20 | 32 | fingerprint |
//! | 52 | 16 | request id |
//! | 68 | 8 | how long the journal was |
//! | 76 | 4 | bytes in the body of the answer |
//! | 80 | | the body, or its beginning; the rest is in rows of its own |
//!
//! Nothing in it is secret: answers hold numbers, codes and sentences, and of the request only the fingerprint is here.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::domain::Timestamp;
use crate::journal::RequestId;
use crate::limits::{IDEMPOTENCY_OVERHEAD_BYTES, IDEMPOTENCY_RETENTION, IDEMPOTENCY_ROW_BYTES};
use crate::vault::RequestFingerprint;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 80;

/// Whose key it is, and what for. Another caller's, or another endpoint's, is another key. It begins with the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyScope(pub(super) [u8; 32]);

/// Under which request id a request was begun, and how long the journal was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestIntent {
    /// Its events have it.
    pub request: RequestId,
    /// Its events are behind it.
    pub position: u64,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// The contract's code.
    pub code: u16,
    /// The body, as it was sent.
    pub body: Bytes,
}

/// A request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdempotencyRecord {
    /// When it was begun.
    pub(super) at: Timestamp,
    pub(super) fingerprint: RequestFingerprint,
    pub(super) intent: RequestIntent,
    pub(super) response: Option<StoredResponse>,
}

/// What follows for a request whose key has this row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyDecision {
    /// It is new.
    Begin,
    /// What is there was begun at this moment, and its time is over.
    Expired(Timestamp),
    /// It was begun, and nobody was answered.
    Resume(IdempotencyRecord),
    /// It was answered so.
    Replay(StoredResponse),
    /// Its key was used for another.
    Mismatch,
}

/// What follows for a request of this fingerprint whose key has this row. A fingerprint that can no longer be compared
/// is taken for the same: not to act twice is what the key is for.
pub(super) fn decide_key(row: Option<IdempotencyRecord>, print: &RequestFingerprint, now: Timestamp) -> KeyDecision {
    match row {
        None => KeyDecision::Begin,
        Some(row) if row.at.plus(IDEMPOTENCY_RETENTION) <= now => KeyDecision::Expired(row.at),
        Some(row) if row.fingerprint.differs_from(print) => KeyDecision::Mismatch,
        Some(IdempotencyRecord { response: Some(given), .. }) => KeyDecision::Replay(given),
        Some(row) => KeyDecision::Resume(row),
    }
}

impl KeyScope {
    /// That of a caller's key at an endpoint. Each part stands behind its length, so that no two scopes are the same.
    pub fn of(caller: u64, endpoint: &str, key: &[u8]) -> KeyScope {
        let mut hash = Sha256::new_with_prefix(b"muster idempotency scope 1");
        for part in [&caller.to_le_bytes()[..], endpoint.as_bytes(), key] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut scope: [u8; 32] = hash.finalize().into();
        scope[..8].copy_from_slice(&caller.to_be_bytes());
        KeyScope(scope)
    }

    /// The number of the caller's API key; 0 where there are none.
    pub(super) fn caller(self) -> u64 {
        self.0.first_chunk().map_or(0, |caller| u64::from_be_bytes(*caller))
    }
}

impl IdempotencyRecord {
    /// The row in bytes, and what of the body has no room in it.
    pub(super) fn encode(&self) -> (Vec<u8>, Bytes) {
        let IdempotencyRecord { at, fingerprint: print, intent, response: answer } = self;
        let (code, mut body) = answer.as_ref().map_or((0, Bytes::new()), |given| (given.code, given.body.clone()));
        let length = body.len() as u32;
        let rest = body.split_off(body.len().min(IDEMPOTENCY_ROW_BYTES));
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&[FORMAT, 0]);
        bytes.extend_from_slice(&code.to_le_bytes());
        bytes.extend_from_slice(&at.0.to_le_bytes());
        bytes.extend_from_slice(&print.key);
        bytes.extend_from_slice(&print.hash);
        bytes.extend_from_slice(&intent.request.0.to_le_bytes());
        bytes.extend_from_slice(&intent.position.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&body);
        (bytes, rest)
    }

    /// The row in bytes; of the body only what is there. Says how many bytes are missing from it. None if another program
    /// wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<(IdempotencyRecord, usize)> {
        let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let word = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if header[..2] != [FORMAT, 0] {
            return None;
        }
        let code = u16::from_le_bytes([header[2], header[3]]);
        let length = u32::from_le_bytes(*header.last_chunk()?) as usize;
        let given = StoredResponse { code, body: Bytes::copy_from_slice(body) };
        let row = IdempotencyRecord {
            at: Timestamp(word(4).cast_signed()),
            fingerprint: RequestFingerprint { key: *header[12..].first_chunk()?, hash: *header[20..].first_chunk()? },
            intent: RequestIntent {
                request: RequestId(u128::from(word(52)) | u128::from(word(60)) << 64),
                position: word(68),
            },
            response: (code > 0).then_some(given),
        };
        Some((row, length.checked_sub(body.len())?))
    }

    /// What it takes of the room that there is.
    pub(super) fn size_bytes(&self) -> u64 {
        let body = self.response.as_ref().map_or(0, |given| given.body.len());
        IDEMPOTENCY_OVERHEAD_BYTES + (HEADER_BYTES + body) as u64
    }
}
