//! Limits the requests per second of each key and each address, by token bucket (GCRA). Pure: the time is an argument.

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

/// The token buckets of all subjects.
pub(super) struct RateLimiter {
    /// The time after which a bucket has space for one more request: a second divided by the limit.
    request_interval: Duration,
    /// When each bucket is full again.
    full: DashMap<RateSubject, Instant>,
}

/// The size of a bucket: as many requests as this time allows may come at once.
const BURST: Duration = Duration::from_secs(1);

impl RateLimiter {
    pub(super) fn new(per_second: usize) -> RateLimiter {
        RateLimiter { request_interval: BURST / u32::try_from(per_second).unwrap_or(u32::MAX), full: DashMap::new() }
    }

    /// Takes one request from a bucket. Fails with the time until the next one is available.
    pub(super) fn acquire(&self, subject: RateSubject, now: Instant) -> Result<(), Duration> {
        if self.full.len() >= RATE_SUBJECTS {
            self.full.retain(|_, full| *full > now);
        }
        let mut full = self.full.entry(subject).or_insert(now);
        let next = (*full).max(now) + self.request_interval;
        match next.checked_duration_since(now + BURST).filter(|over| !over.is_zero()) {
            Some(wait) => Err(wait),
            None => {
                *full = next;
                Ok(())
            }
        }
    }
}
