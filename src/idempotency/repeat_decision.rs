//! Whether a request repeats an earlier one, and what to do with it. Pure.
//!
//! `http::idempotency_key` says which parts of two requests must be equal.

use super::idempotency_record::{IdempotencyRecord, StoredResponse};
use crate::domain::Timestamp;
use crate::limits::IDEMPOTENCY_RETENTION;
use crate::vault::RequestFingerprint;

/// What to do with a request, by the record of its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyDecision {
    /// The key has no record: the request is new.
    Begin,
    /// The record, begun at this time, has expired: remove it.
    Expired(Timestamp),
    /// The request was begun but not answered.
    Resume(IdempotencyRecord),
    /// The request was answered: repeat the response.
    Replay(StoredResponse),
    /// The key was used for another request.
    Mismatch,
}

/// Decides what to do with a request of this fingerprint, by the record of its key.
///
/// A fingerprint that can no longer be compared, because its key is gone, counts as equal: a request with an
/// `Idempotency-Key` must not be executed twice.
pub(super) fn decide_key(
    row: Option<IdempotencyRecord>,
    fingerprint: &RequestFingerprint,
    now: Timestamp,
) -> KeyDecision {
    match row {
        None => KeyDecision::Begin,
        Some(row) if row.at.plus(IDEMPOTENCY_RETENTION) <= now => KeyDecision::Expired(row.at),
        Some(row) if row.fingerprint.differs_from(fingerprint) => KeyDecision::Mismatch,
        Some(IdempotencyRecord { response: Some(response), .. }) => KeyDecision::Replay(response),
        Some(row) => KeyDecision::Resume(row),
    }
}
