//! How long after a failed attempt the next one is due, and what is left of a wait after a start. Pure.
//!
//! What waits does so by elapsed time: nobody who sets the wall clock ends a wait or makes it longer.

use std::time::Duration;

pub(super) use crate::clock::Moment;
use crate::domain::{Timestamp, deterministic_random};
use crate::limits::{RETRY_AFTER_MAX, RETRY_JITTER_PERCENT, SETTABLE_DURATION};

/// A wait as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryWait {
    /// When it ends by the wall clock.
    pub(super) end: Timestamp,
    /// How long it is; the longest duration there is where that was not stored.
    pub(super) length: Duration,
}

impl RetryWait {
    /// No wait at all.
    pub(super) const NONE: RetryWait = RetryWait { end: Timestamp(0), length: Duration::ZERO };
}

impl Moment {
    /// What is stored of a wait until `until`, which is by elapsed time.
    pub(super) fn wait_until(self, until: Timestamp) -> RetryWait {
        let length = until.since(self.steady);
        RetryWait { end: self.wall.plus(length), length }
    }

    /// When a stored wait ends by elapsed time: what is left is at most its length, wherever the wall clock is by now.
    pub(super) fn end_of_wait(self, wait: RetryWait) -> Timestamp {
        self.steady.plus(wait.end.since(self.wall).min(wait.length).min(2 * *SETTABLE_DURATION.end()))
    }
}

/// The longest wait that there can be.
pub(super) fn longest_wait(retry_waits: &[Duration]) -> Duration {
    let longest = retry_waits.iter().max().copied().unwrap_or_default();
    add_jitter(longest, 2 * RETRY_JITTER_PERCENT * 10_000).max(RETRY_AFTER_MAX)
}

/// The wait after the attempt that failed when `failed` had failed before, of the delivery at `position`; none if it
/// was the last. A receiver's own wish counts if it is longer, up to [`RETRY_AFTER_MAX`].
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

/// `wait`, up to [`RETRY_JITTER_PERCENT`] shorter or longer as `chance` has it.
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
            asked in prop::option::of(0..10_000_u64),
        ) {
            let base = Duration::from_secs(seconds);
            let wait = retry_wait(&[base], position, 0, asked.map(Duration::from_secs)).unwrap();
            let asked = Duration::from_secs(asked.unwrap_or(0)).min(RETRY_AFTER_MAX);
            prop_assert!(wait >= (base * 8 / 10).max(asked), "{wait:?}");
            prop_assert!(wait <= (base * 12 / 10).max(asked), "{wait:?}");
            prop_assert!(wait <= longest_wait(&[base]), "{wait:?}");
            prop_assert_eq!(retry_wait(&[base], position, 1, None), None, "the last one");
        }
    }

    proptest! {
        /// Wherever the wall clock was set meanwhile, no wait gets longer by a start, and none has a negative rest.
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
    fn what_fails_together_is_not_tried_together() {
        let waits: std::collections::BTreeSet<_> =
            (0..1_000).map(|position| retry_wait(&[Duration::from_secs(10)], position, 0, None)).collect();
        assert!(waits.len() > 990, "{}", waits.len());
    }
}
