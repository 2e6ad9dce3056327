//! Whether a request repeats an earlier one, and what to do with it. Pure.
//!
//! `http::idempotency_key` says which parts of two requests must be equal.

use super::idempotency_record::{IdempotencyRecord, StoredResponse};
use crate::domain::Timestamp;
use crate::limits::IDEMPOTENCY_RETENTION;
use crate::vault::RequestFingerprint;

/// What to do with a request, according to the record of its scope.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyDecision {
    /// The scope has no record: the request is new.
    Begin,
    /// The record has expired: remove it. Its request was begun at this time.
    Expired(Timestamp),
    /// The request was begun but has no response: execute it again.
    Resume(IdempotencyRecord),
    /// The request has a response: repeat it.
    Replay(StoredResponse),
    /// The `Idempotency-Key` was used for another request.
    Mismatch,
}

/// Decides what to do with a request of this fingerprint, according to the record of its scope.
///
/// Fingerprints from different request keys cannot be compared. They count as equal, because a request with an
/// `Idempotency-Key` must not be executed twice.
pub(super) fn decide_key(
    record: Option<IdempotencyRecord>,
    fingerprint: &RequestFingerprint,
    now: Timestamp,
) -> KeyDecision {
    match record {
        None => KeyDecision::Begin,
        Some(record) if record.at.plus(IDEMPOTENCY_RETENTION) <= now => KeyDecision::Expired(record.at),
        Some(record) if record.fingerprint.differs_from(fingerprint) => KeyDecision::Mismatch,
        Some(IdempotencyRecord { response: Some(response), .. }) => KeyDecision::Replay(response),
        Some(record) => KeyDecision::Resume(record),
    }
}
