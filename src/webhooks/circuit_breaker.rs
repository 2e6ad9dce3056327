//! The circuit breaker of a channel. Pure; its time is elapsed time (`retry_schedule`).
//!
//! While most first attempts fail, the receiver is down or broken, and more attempts would use up every account's
//! retries. So the breaker opens: nothing is sent, and no attempt is used up. After [`BREAKER_OPEN`] one attempt is
//! made as a probe. If the probe succeeds, the breaker closes. Otherwise it stays open for the same time again.
//!
//! Only the first attempt of each delivery counts. If the deliveries of one account keep failing, the receiver may
//! still be up, and the other accounts must not wait.

use std::collections::VecDeque;

use crate::domain::Timestamp;
use crate::limits::{BREAKER_ATTEMPTS_MIN, BREAKER_BUCKET, BREAKER_BUCKETS, BREAKER_FAILED_PERCENT, BREAKER_OPEN};

/// The breaker of one channel.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    state: CircuitState,
    /// The counts of the last few minutes, the newest last.
    buckets: VecDeque<Bucket>,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum CircuitState {
    /// Any attempt may start.
    #[default]
    Closed,
    /// No attempt may start; after `until`, one probe may.
    Open {
        /// The end, by elapsed time.
        until: Timestamp,
    },
    /// No attempt may start until the probe has ended.
    Probing,
}

/// Which attempt may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptPermit {
    /// Any attempt.
    Attempt,
    /// One attempt, as a probe.
    Probe,
    /// No attempt. If there is a time, a probe may start at that time.
    Wait(Option<Timestamp>),
}

/// The attempts in one part of the window.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// The index of the part: elapsed time divided by [`BREAKER_BUCKET`].
    number: i64,
    /// First attempts: succeeded, failed.
    first: [u32; 2],
    /// Further attempts: succeeded, failed.
    further: [u32; 2],
}

/// The attempts in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AttemptCounts {
    /// Attempts that ended.
    pub(super) attempts: u64,
    /// Attempts that failed.
    pub(super) failed: u64,
}

impl CircuitBreaker {
    /// Which attempt may start at `now`.
    pub(super) fn permit(&self, now: Timestamp) -> AttemptPermit {
        match self.state {
            CircuitState::Closed => AttemptPermit::Attempt,
            CircuitState::Open { until } if until <= now => AttemptPermit::Probe,
            CircuitState::Open { until } => AttemptPermit::Wait(Some(until)),
            CircuitState::Probing => AttemptPermit::Wait(None),
        }
    }

    /// Records that a probe started.
    pub(super) fn start_probe(&mut self) {
        self.state = CircuitState::Probing;
    }

    /// Records that a probe ended.
    pub(super) fn finish_probe(&mut self, is_taken: bool, now: Timestamp) {
        self.count_attempt(false, is_taken, now);
        self.state = if is_taken { CircuitState::Closed } else { CircuitState::Open { until: now.plus(BREAKER_OPEN) } };
        if is_taken {
            // Earlier failures must not open the breaker again: count them as further attempts.
            for Bucket { first, further, .. } in &mut self.buckets {
                further.iter_mut().zip(std::mem::take(first)).for_each(|(sum, count)| *sum += count);
            }
        }
    }

    /// Records that an attempt other than a probe ended. Returns whether the breaker opened.
    pub(super) fn record_attempt(&mut self, is_first: bool, is_taken: bool, now: Timestamp) -> bool {
        self.count_attempt(is_first, is_taken, now);
        let [taken, failed] = self.buckets.iter().fold([0_u64; 2], |[taken, failed], bucket| {
            [taken + u64::from(bucket.first[0]), failed + u64::from(bucket.first[1])]
        });
        let all = taken + failed;
        let is_down = all >= BREAKER_ATTEMPTS_MIN && failed * 100 >= all * BREAKER_FAILED_PERCENT;
        let opens = self.state == CircuitState::Closed && is_first && !is_taken && is_down;
        if opens {
            self.state = CircuitState::Open { until: now.plus(BREAKER_OPEN) };
        }
        opens
    }

    pub(super) fn state(&self) -> CircuitState {
        self.state
    }

    /// The attempts in the window.
    pub(super) fn recent_attempts(&self, now: Timestamp) -> AttemptCounts {
        let oldest = bucket_at(now) - BREAKER_BUCKETS;
        let recent = self.buckets.iter().filter(|bucket| bucket.number > oldest);
        recent.fold(AttemptCounts::default(), |rates, bucket| {
            let failed = u64::from(bucket.first[1]) + u64::from(bucket.further[1]);
            let taken = u64::from(bucket.first[0]) + u64::from(bucket.further[0]);
            AttemptCounts { attempts: rates.attempts + taken + failed, failed: rates.failed + failed }
        })
    }

    fn count_attempt(&mut self, is_first: bool, is_taken: bool, now: Timestamp) {
        let number = bucket_at(now);
        while self.buckets.front().is_some_and(|bucket| bucket.number <= number - BREAKER_BUCKETS) {
            self.buckets.pop_front();
        }
        if self.buckets.back().is_none_or(|bucket| bucket.number < number) {
            self.buckets.push_back(Bucket { number, first: [0; 2], further: [0; 2] });
        }
        if let Some(bucket) = self.buckets.back_mut() {
            let counts = if is_first { &mut bucket.first } else { &mut bucket.further };
            counts[usize::from(!is_taken)] += 1;
        }
    }
}

fn bucket_at(now: Timestamp) -> i64 {
    now.0.div_euclid(i64::try_from(BREAKER_BUCKET.as_micros()).unwrap_or(i64::MAX))
}
