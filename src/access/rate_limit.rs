//! How many requests one key, or one address, may make a second: a bucket of tokens for each (GCRA). Pure but for the
//! moments that are handed in.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use crate::limits::RATE_SUBJECTS;

/// Who makes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RateSubject {
    Key(u64),
    /// The one that stands for all that a client has.
    Address(IpAddr),
}

/// The buckets.
pub(super) struct RateLimiter {
    /// The time that one request takes out of a second.
    share: Duration,
    /// When each bucket is full again.
    full: DashMap<RateSubject, Instant>,
}

/// What a bucket holds: as many requests as are made in this time may come at once.
const BURST: Duration = Duration::from_secs(1);

impl RateLimiter {
    pub(super) fn new(per_second: usize) -> RateLimiter {
        RateLimiter { share: BURST / u32::try_from(per_second).unwrap_or(u32::MAX), full: DashMap::new() }
    }

    /// Takes one request out of a bucket; if there is none left, how long until there is.
    pub(super) fn acquire(&self, who: RateSubject, now: Instant) -> Result<(), Duration> {
        if self.full.len() >= RATE_SUBJECTS {
            self.full.retain(|_, full| *full > now);
        }
        let mut full = self.full.entry(who).or_insert(now);
        let next = (*full).max(now) + self.share;
        match next.checked_duration_since(now + BURST).filter(|over| !over.is_zero()) {
            Some(wait) => Err(wait),
            None => {
                *full = next;
                Ok(())
            }
        }
    }
}
