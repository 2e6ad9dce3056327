//! Whether a request is a gateway's: signed as Standard Webhooks with the one secret, now, and not seen before.
//!
//! Whether that is now, the wall clock says, as the gateway's does. How long a signature is remembered, elapsed time says.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::clock::Moment;
use crate::domain::Timestamp;
use crate::limits::{SIGNATURE_TOLERANCE, SIGNATURES_REMEMBERED};
use crate::webhooks::signature::{Secret, Unverified};

/// What a request says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headers<'h> {
    /// `webhook-id`.
    pub(crate) id: Option<&'h str>,
    /// `webhook-timestamp`.
    pub(crate) timestamp: Option<&'h str>,
    /// `webhook-signature`.
    pub(crate) signature: Option<&'h str>,
}

/// Why a request is not taken for a gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    /// A header is missing, or is none.
    #[error(
        "the request is not signed; send webhook-id, webhook-timestamp in seconds and webhook-signature (Standard Webhooks)"
    )]
    Missing,
    /// It was signed with another secret, or altered.
    #[error(
        "no signature fits; sign id, timestamp and body, or without a body the path with its query, with gateway.bridge.secret"
    )]
    Forged,
    /// It was signed at another time.
    #[error("the timestamp is more than {} s from now; sign each attempt anew, and set the clock", SIGNATURE_TOLERANCE.as_secs())]
    Stale,
    /// It was here before.
    #[error("this very signature was here before; sign each attempt anew, with the time of the attempt")]
    Replayed,
}

/// What verifies requests, and remembers them for as long as they would be taken.
pub(super) struct Signatures {
    secret: Secret,
    seen: Mutex<Seen>,
}

/// The signatures that were taken. They are of this process alone: what is played again after a restart is told by its
/// sequences and leases, and work goes over TLS or loopback only.
struct Seen {
    known: HashSet<Mac>,
    /// The same in the order in which they were taken, each with its own time in seconds.
    taken: VecDeque<Taken>,
    /// What is not later than this may have been forgotten.
    forgotten: i64,
    most: usize,
}

/// A signature that was taken.
struct Taken {
    mac: Mac,
    seconds: i64,
    /// When, by elapsed time.
    at: Timestamp,
}

/// Half of a message's HMAC-SHA256: nobody finds two messages with the same, and nobody who has no secret finds one.
type Mac = [u8; 16];

impl Signatures {
    pub(super) fn new(secret: Secret) -> Signatures {
        Signatures { secret, seen: Mutex::new(Seen::new(SIGNATURES_REMEMBERED)) }
    }

    /// Verifies a request whose body is `signed`, or whose target is if it has no body. It is not taken a second time.
    pub(super) fn verify(&self, headers: Headers<'_>, signed: &[u8], now: Moment) -> Result<(), Unsigned> {
        let (Some(id), Some(timestamp), Some(signatures)) = (headers.id, headers.timestamp, headers.signature) else {
            return Err(Unsigned::Missing);
        };
        let mac = self.secret.verified(id, timestamp, signatures, signed, now.wall).map_err(|why| match why {
            Unverified::Missing(_) | Unverified::Timestamp => Unsigned::Missing,
            Unverified::Stale => Unsigned::Stale,
            Unverified::Wrong => Unsigned::Forged,
        })?;
        let seconds = timestamp.parse().map_err(|_| Unsigned::Missing)?;
        let half = mac.first_chunk().copied().ok_or(Unsigned::Forged)?;
        // It is whole between any two lines.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take(half, seconds, now.steady)
    }
}

impl Seen {
    fn new(most: usize) -> Seen {
        Seen { known: HashSet::new(), taken: VecDeque::new(), forgotten: i64::MIN, most }
    }

    /// Remembers a signature of this second; an error if it was here before, or may have been.
    fn take(&mut self, mac: Mac, seconds: i64, now: Timestamp) -> Result<(), Unsigned> {
        // Its time may have been yet to come when it was taken.
        let is_over = |taken: &mut Taken| taken.at.plus(2 * SIGNATURE_TOLERANCE) < now;
        while let Some(taken) = self.taken.pop_front_if(is_over) {
            self.known.remove(&taken.mac);
        }
        if self.known.contains(&mac) {
            return Err(Unsigned::Replayed);
        }
        if seconds <= self.forgotten {
            return Err(Unsigned::Stale);
        }
        self.known.insert(mac);
        self.taken.push_back(Taken { mac, seconds, at: now });
        while self.known.len() > self.most {
            let Some(oldest) = self.taken.pop_front() else { break };
            self.known.remove(&oldest.mac);
            self.forgotten = self.forgotten.max(oldest.seconds);
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

    /// As the clock stands that is set so often.
    fn at(wall: Timestamp) -> Moment {
        Moment { wall, steady: NOW }
    }

    #[test]
    fn each_is_taken_once_and_only_in_its_time() {
        let (ours, other) = (Secret::of(&[1; 24]), Secret::of(&[2; 24]));
        let signatures = Signatures::new(Secret::of(&[1; 24]));
        let body = br#"{"stream":"a"}"#;
        let signed =
            |secret: &Secret, id: &str, at: Timestamp| (secret.sign(id, at, body), (at.0 / 1_000_000).to_string());
        let ask = |id: Option<&str>, (signature, timestamp): &(String, String), body: &[u8], now| {
            let headers = Headers { id, timestamp: Some(timestamp), signature: Some(signature) };
            signatures.verify(headers, body, at(now))
        };
        let good = signed(&ours, "a", NOW);
        assert_eq!(ask(None, &good, body, NOW), Err(Unsigned::Missing));
        assert_eq!(ask(Some("b"), &good, body, NOW), Err(Unsigned::Forged));
        assert_eq!(ask(Some("a"), &good, b"{}", NOW), Err(Unsigned::Forged));
        assert_eq!(ask(Some("a"), &signed(&other, "a", NOW), body, NOW), Err(Unsigned::Forged));
        assert_eq!(ask(Some("a"), &(good.0.clone(), "soon".to_owned()), body, NOW), Err(Unsigned::Missing));
        assert_eq!(ask(Some("a"), &good, body, after(301)), Err(Unsigned::Stale));
        assert_eq!(ask(Some("a"), &good, body, after(-301)), Err(Unsigned::Stale));
        assert_eq!(ask(Some("a"), &good, body, after(299)), Ok(()));
        assert_eq!(ask(Some("a"), &good, body, NOW), Err(Unsigned::Replayed), "whichever way the clock goes");
        // Another signature in the list makes it no other request.
        let twice = (format!("v1,AAAA {}", good.0), good.1.clone());
        assert_eq!(ask(Some("a"), &twice, body, NOW), Err(Unsigned::Replayed));
        assert_eq!(ask(Some("a"), &signed(&ours, "a", after(1)), body, NOW), Ok(()), "signed anew");
    }

    /// The clock leaps by a day, while something is taken, and back: what was seen is not taken again.
    #[test]
    fn a_leap_lets_no_signature_go() {
        let signatures = Signatures::new(Secret::of(&[1; 24]));
        let ask = |signed: Timestamp, wall: Timestamp, steady: Timestamp| {
            let signature = Secret::of(&[1; 24]).sign("a", signed, b"{}");
            let timestamp = (signed.0 / 1_000_000).to_string();
            let headers = Headers { id: Some("a"), timestamp: Some(&timestamp), signature: Some(&signature) };
            signatures.verify(headers, b"{}", Moment { wall, steady })
        };
        assert_eq!(ask(NOW, NOW, NOW), Ok(()));
        assert_eq!(ask(after(86_400), after(86_400), after(1)), Ok(()));
        assert_eq!(ask(NOW, NOW, after(2)), Err(Unsigned::Replayed));
        let count = || signatures.seen.lock().unwrap().known.len();
        assert_eq!((count(), ask(after(602), after(602), after(602)), count()), (2, Ok(()), 1), "elapsed time does");
    }

    #[test]
    fn what_is_forgotten_is_taken_no_more() {
        let mut seen = Seen::new(3);
        let mac = |number: u8| [number; 16];
        for number in 0..10 {
            assert_eq!(seen.take(mac(number), i64::from(number), Timestamp(0)), Ok(()));
        }
        assert_eq!((seen.known.len(), seen.taken.len()), (3, 3));
        for number in 0..10 {
            let again = seen.take(mac(number), i64::from(number), Timestamp(0)).unwrap_err();
            assert_eq!(again, if number < 7 { Unsigned::Stale } else { Unsigned::Replayed }, "{number}");
        }
        // Time lets them go.
        assert_eq!(seen.take(mac(20), 1_000, Timestamp(1_000_000_000)), Ok(()));
        assert_eq!(seen.known.len(), 1);
    }
}
