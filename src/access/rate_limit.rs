//! Limits the requests per second of each key and each address. Pure: the time is an argument.
//!
//! The algorithm is GCRA: each subject has a bucket of permits, which is refilled steadily. A request takes one permit.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use crate::limits::RATE_SUBJECTS;

/// The subject of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RateSubject {
    Key(u64),
    /// A [`client_address`](super::client_address()).
    Address(IpAddr),
}

/// The buckets of all subjects.
pub(super) struct RateLimiter {
    /// The time in which a bucket gains one permit: a second divided by the limit.
    request_interval: Duration,
    /// When each bucket will be full again.
    full_at: DashMap<RateSubject, Instant>,
}

/// The time in which an empty bucket becomes full.
const BURST: Duration = Duration::from_secs(1);

impl RateLimiter {
    pub(super) fn new(per_second: usize) -> RateLimiter {
        RateLimiter { request_interval: BURST / u32::try_from(per_second).unwrap_or(u32::MAX), full_at: DashMap::new() }
    }

    /// Takes a permit from the subject's bucket. Fails with the time until there is one.
    pub(super) fn acquire(&self, subject: RateSubject, now: Instant) -> Result<(), Duration> {
        if self.full_at.len() >= RATE_SUBJECTS {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        let mut full_at = self.full_at.entry(subject).or_insert(now);
        let next = (*full_at).max(now) + self.request_interval;
        match next.checked_duration_since(now + BURST).filter(|over| !over.is_zero()) {
            Some(wait) => Err(wait),
            None => {
                *full_at = next;
                Ok(())
            }
        }
    }
}
