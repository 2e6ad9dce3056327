//! Verifies that a request comes from the gateway: it is signed with the secret (Standard Webhooks), recent, and not
//! replayed.
//!
//! The timestamp is compared with the wall clock, as the gateway's clock is one. Elapsed time decides how long a
//! signature is remembered.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::clock::Moment;
use crate::domain::Timestamp;
use crate::limits::{SIGNATURE_TOLERANCE, SIGNATURES_REMEMBERED};
use crate::webhooks::signature::{SignatureError, WebhookSecret};

/// The signature headers of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignatureHeaders<'h> {
    /// `webhook-id`.
    pub(crate) id: Option<&'h str>,
    /// `webhook-timestamp`.
    pub(crate) timestamp: Option<&'h str>,
    /// `webhook-signature`.
    pub(crate) signature: Option<&'h str>,
}

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestSignatureError {
    /// A header is missing or malformed.
    #[error(
        "the request is not signed; send webhook-id, webhook-timestamp in seconds and webhook-signature (Standard Webhooks)"
    )]
    Missing,
    /// The request was signed with another secret, or altered.
    #[error(
        "no signature matches; use gateway.bridge.secret to sign id, timestamp and body, or without a body the path \
         with its query"
    )]
    Forged,
    /// The timestamp is too far from the current time.
    #[error("the timestamp is more than {} s from now; sign each attempt with the current time, and correct the \
        clock", SIGNATURE_TOLERANCE.as_secs())]
    Stale,
    /// The same signature was used before.
    #[error("this signature was used before; sign each attempt with the current time")]
    Replayed,
}

/// Verifies requests, and remembers each signature for as long as it would be valid.
pub(super) struct RequestVerifier {
    secret: WebhookSecret,
    replay_cache: Mutex<ReplayCache>,
}

/// The accepted signatures of this process. After a restart the cache is empty. Then sequences and leases reveal a replayed
/// request, and work goes over TLS or loopback only.
struct ReplayCache {
    known: HashSet<TruncatedMac>,
    /// The same signatures in the order of acceptance.
    accepted: VecDeque<AcceptedSignature>,
    /// Signatures up to this second may have been forgotten.
    forgotten_until: i64,
    capacity: usize,
}

/// An accepted signature.
struct AcceptedSignature {
    mac: TruncatedMac,
    /// Its timestamp, in Unix seconds.
    seconds: i64,
    /// When it was accepted, in elapsed time.
    at: Timestamp,
}

/// Half of a message's HMAC-SHA256. 128 bits make a collision or a guess infeasible.
type TruncatedMac = [u8; 16];

impl RequestVerifier {
    pub(super) fn new(secret: WebhookSecret) -> RequestVerifier {
        RequestVerifier { secret, replay_cache: Mutex::new(ReplayCache::new(SIGNATURES_REMEMBERED)) }
    }

    /// Verifies a request. `signed` is its body, or its target if it has no body. The same request fails a second time.
    pub(super) fn verify(
        &self,
        headers: SignatureHeaders<'_>,
        signed: &[u8],
        now: Moment,
    ) -> Result<(), RequestSignatureError> {
        let (Some(id), Some(timestamp), Some(signatures)) = (headers.id, headers.timestamp, headers.signature) else {
            return Err(RequestSignatureError::Missing);
        };
        let mac =
            self.secret.matching_signature(id, timestamp, signatures, signed, now.wall).map_err(|why| match why {
                SignatureError::MissingHeader(_) | SignatureError::MalformedTimestamp => RequestSignatureError::Missing,
                SignatureError::Stale => RequestSignatureError::Stale,
                SignatureError::Mismatch => RequestSignatureError::Forged,
            })?;
        let seconds = timestamp.parse().map_err(|_| RequestSignatureError::Missing)?;
        let truncated = mac.first_chunk().copied().ok_or(RequestSignatureError::Forged)?;
        // The cache is consistent between any two statements.
        self.replay_cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .check_and_insert(truncated, seconds, now.steady)
    }
}

impl ReplayCache {
    fn new(capacity: usize) -> ReplayCache {
        ReplayCache { known: HashSet::new(), accepted: VecDeque::new(), forgotten_until: i64::MIN, capacity }
    }

    /// Remembers a signature with this timestamp. Fails if it was used before, or may have been.
    fn check_and_insert(
        &mut self,
        mac: TruncatedMac,
        seconds: i64,
        now: Timestamp,
    ) -> Result<(), RequestSignatureError> {
        // Twice the tolerance, because the timestamp may have been in the future when it was accepted.
        let is_over = |accepted: &mut AcceptedSignature| accepted.at.plus(2 * SIGNATURE_TOLERANCE) < now;
        while let Some(accepted) = self.accepted.pop_front_if(is_over) {
            self.known.remove(&accepted.mac);
        }
        if self.known.contains(&mac) {
            return Err(RequestSignatureError::Replayed);
        }
        if seconds <= self.forgotten_until {
            return Err(RequestSignatureError::Stale);
        }
        self.known.insert(mac);
        self.accepted.push_back(AcceptedSignature { mac, seconds, at: now });
        while self.known.len() > self.capacity {
            let Some(oldest) = self.accepted.pop_front() else { break };
            self.known.remove(&oldest.mac);
            self.forgotten_until = self.forgotten_until.max(oldest.seconds);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_764_046_168_934_966);

    fn after(seconds: i64) -> Timestamp {
        Timestamp(NOW.0 + seconds * 1_000_000)
    }

    /// A moment with this wall clock time; the elapsed time stands still.
    fn at(wall: Timestamp) -> Moment {
        Moment { wall, steady: NOW }
    }

    #[test]
    fn a_signature_is_accepted_once_and_only_in_time() {
        let (ours, other) = (WebhookSecret::from_bytes(&[1; 24]), WebhookSecret::from_bytes(&[2; 24]));
        let verifier = RequestVerifier::new(WebhookSecret::from_bytes(&[1; 24]));
        let body = br#"{"stream":"a"}"#;
        let signed = |secret: &WebhookSecret, id: &str, at: Timestamp| {
            (secret.sign(id, at, body), (at.0 / 1_000_000).to_string())
        };
        let verify = |id: Option<&str>, (signature, timestamp): &(String, String), body: &[u8], now| {
            let headers = SignatureHeaders { id, timestamp: Some(timestamp), signature: Some(signature) };
            verifier.verify(headers, body, at(now))
        };
        let good = signed(&ours, "a", NOW);
        assert_eq!(verify(None, &good, body, NOW), Err(RequestSignatureError::Missing));
        assert_eq!(verify(Some("b"), &good, body, NOW), Err(RequestSignatureError::Forged));
        assert_eq!(verify(Some("a"), &good, b"{}", NOW), Err(RequestSignatureError::Forged));
        assert_eq!(verify(Some("a"), &signed(&other, "a", NOW), body, NOW), Err(RequestSignatureError::Forged));
        assert_eq!(
            verify(Some("a"), &(good.0.clone(), "soon".to_owned()), body, NOW),
            Err(RequestSignatureError::Missing)
        );
        assert_eq!(verify(Some("a"), &good, body, after(301)), Err(RequestSignatureError::Stale));
        assert_eq!(verify(Some("a"), &good, body, after(-301)), Err(RequestSignatureError::Stale));
        assert_eq!(verify(Some("a"), &good, body, after(299)), Ok(()));
        assert_eq!(
            verify(Some("a"), &good, body, NOW),
            Err(RequestSignatureError::Replayed),
            "whichever way the clock goes"
        );
        // A further signature in the list does not make it a new request.
        let twice = (format!("v1,AAAA {}", good.0), good.1.clone());
        assert_eq!(verify(Some("a"), &twice, body, NOW), Err(RequestSignatureError::Replayed));
        assert_eq!(verify(Some("a"), &signed(&ours, "a", after(1)), body, NOW), Ok(()), "signed anew");
    }

    /// The wall clock jumps by a day and back. An accepted signature stays remembered and is not accepted again.
    #[test]
    fn a_clock_change_forgets_no_signature() {
        let verifier = RequestVerifier::new(WebhookSecret::from_bytes(&[1; 24]));
        let verify = |signed: Timestamp, wall: Timestamp, steady: Timestamp| {
            let signature = WebhookSecret::from_bytes(&[1; 24]).sign("a", signed, b"{}");
            let timestamp = (signed.0 / 1_000_000).to_string();
            let headers = SignatureHeaders { id: Some("a"), timestamp: Some(&timestamp), signature: Some(&signature) };
            verifier.verify(headers, b"{}", Moment { wall, steady })
        };
        assert_eq!(verify(NOW, NOW, NOW), Ok(()));
        assert_eq!(verify(after(86_400), after(86_400), after(1)), Ok(()));
        assert_eq!(verify(NOW, NOW, after(2)), Err(RequestSignatureError::Replayed));
        let count = || verifier.replay_cache.lock().unwrap().known.len();
        assert_eq!((count(), verify(after(602), after(602), after(602)), count()), (2, Ok(()), 1), "elapsed time does");
    }

    #[test]
    fn forgotten_signatures_are_stale() {
        let mut seen = ReplayCache::new(3);
        let mac = |number: u8| [number; 16];
        for number in 0..10 {
            assert_eq!(seen.check_and_insert(mac(number), i64::from(number), Timestamp(0)), Ok(()));
        }
        assert_eq!((seen.known.len(), seen.accepted.len()), (3, 3));
        for number in 0..10 {
            let again = seen.check_and_insert(mac(number), i64::from(number), Timestamp(0)).unwrap_err();
            assert_eq!(
                again,
                if number < 7 { RequestSignatureError::Stale } else { RequestSignatureError::Replayed },
                "{number}"
            );
        }
        // Signatures are forgotten after twice the tolerance.
        assert_eq!(seen.check_and_insert(mac(20), 1_000, Timestamp(1_000_000_000)), Ok(()));
        assert_eq!(seen.known.len(), 1);
    }
}
