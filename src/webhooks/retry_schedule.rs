//! How long to wait after a failed attempt, and how much of a wait is left after a restart. Pure.
//!
//! The default schedule is `limits::RETRY_WAITS`.
//! Waits use elapsed time, so a change of the wall clock neither ends nor extends them.

use std::time::Duration;

pub(super) use crate::clock::Moment;
use crate::domain::{Timestamp, deterministic_random};
use crate::limits::{RETRY_AFTER_MAX, RETRY_JITTER_PERCENT, SETTABLE_DURATION};

/// A wait, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryWait {
    /// When it ends by the wall clock.
    pub(super) end: Timestamp,
    /// Its length; [`Duration::MAX`] if an old format did not store it.
    pub(super) length: Duration,
}

impl RetryWait {
    /// No wait at all.
    pub(super) const NONE: RetryWait = RetryWait { end: Timestamp(0), length: Duration::ZERO };
}

impl Moment {
    /// The stored form of a wait until `until`, in elapsed time.
    pub(super) fn wait_until(self, until: Timestamp) -> RetryWait {
        let length = until.since(self.steady);
        RetryWait { end: self.wall.plus(length), length }
    }

    /// When a stored wait ends, in elapsed time. The time left is never longer than the stored length, even if the wall
    /// clock is wrong.
    pub(super) fn end_of_wait(self, wait: RetryWait) -> Timestamp {
        self.steady.plus(wait.end.since(self.wall).min(wait.length).min(2 * *SETTABLE_DURATION.end()))
    }
}

/// The longest wait that these settings allow, jitter included.
pub(super) fn longest_wait(retry_waits: &[Duration]) -> Duration {
    let longest = retry_waits.iter().max().copied().unwrap_or_default();
    add_jitter(longest, 2 * RETRY_JITTER_PERCENT * 10_000).max(RETRY_AFTER_MAX)
}

/// The wait after a failed attempt of the delivery at `position`. `failed` is the number of failed attempts before this
/// one. `None` means that this was the last attempt. If the receiver's `Retry-After` is longer, it is used, up to
/// [`RETRY_AFTER_MAX`].
pub(super) fn retry_wait(
    retry_waits: &[Duration],
    position: u64,
    failed: u32,
    retry_after: Option<Duration>,
) -> Option<Duration> {
    let wait =
        add_jitter(*retry_waits.get(failed as usize)?, deterministic_random(position ^ u64::from(failed) << 56, 1));
    Some(wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)))
}

/// Makes `wait` up to [`RETRY_JITTER_PERCENT`] shorter or longer. `chance` is a random number.
fn add_jitter(wait: Duration, chance: u64) -> Duration {
    // In millionths: from 800,000 to 1,200,000.
    let spread = RETRY_JITTER_PERCENT * 20_000;
    let millionths = 1_000_000 - RETRY_JITTER_PERCENT * 10_000 + chance % (spread + 1);
    let micros = wait.as_micros() * u128::from(millionths) / 1_000_000;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_are_about_as_long_as_they_are_set(
            position in any::<u64>(),
            seconds in 0..100_000_u64,
            retry_after in prop::option::of(0..10_000_u64),
        ) {
            let base = Duration::from_secs(seconds);
            let wait = retry_wait(&[base], position, 0, retry_after.map(Duration::from_secs)).unwrap();
            let retry_after = Duration::from_secs(retry_after.unwrap_or(0)).min(RETRY_AFTER_MAX);
            prop_assert!(wait >= (base * 8 / 10).max(retry_after), "{wait:?}");
            prop_assert!(wait <= (base * 12 / 10).max(retry_after), "{wait:?}");
            prop_assert!(wait <= longest_wait(&[base]), "{wait:?}");
            prop_assert_eq!(retry_wait(&[base], position, 1, None), None, "the last one");
        }
    }

    proptest! {
        /// A restart makes no wait longer and no remaining time negative, even if the wall clock was changed meanwhile.
        #[test]
        fn a_stored_wait_never_gets_longer(
            begun in any::<u32>(), elapsed in any::<u32>(), wall_at_start in any::<u32>(), length in any::<u32>(),
        ) {
            let at = |micros: u32| Timestamp(i64::from(micros));
            let length = Duration::from_micros(length.into());
            let wait = Moment { wall: at(begun), steady: at(elapsed) }.wait_until(at(elapsed).plus(length));
            let start = Moment { wall: at(wall_at_start), steady: Timestamp(7) };
            let left = start.end_of_wait(wait).since(start.steady);
            prop_assert_eq!(left, length.min(at(begun).plus(length).since(start.wall)));
        }
    }

    #[test]
    fn deliveries_that_fail_together_are_retried_apart() {
        let waits: std::collections::BTreeSet<_> =
            (0..1_000).map(|position| retry_wait(&[Duration::from_secs(10)], position, 0, None)).collect();
        assert!(waits.len() > 990, "{}", waits.len());
    }
}
