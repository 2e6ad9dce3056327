//! How long after a failed attempt the next one is due. Pure.

use std::time::Duration;

use crate::domain::drawn;
use crate::limits::{RETRY_AFTER_MAX, RETRY_JITTER_PERCENT};

/// The wait after the attempt that failed when `failed` had failed before, of the delivery at `position`; none if it
/// was the last. A receiver's own wish counts if it is longer, up to [`RETRY_AFTER_MAX`].
pub(super) fn after(
    retry_waits: &[Duration],
    position: u64,
    failed: u32,
    retry_after: Option<Duration>,
) -> Option<Duration> {
    let wait = jittered(*retry_waits.get(failed as usize)?, drawn(position ^ u64::from(failed) << 56, 1));
    Some(wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)))
}

/// `wait`, up to [`RETRY_JITTER_PERCENT`] shorter or longer as `chance` has it.
fn jittered(wait: Duration, chance: u64) -> Duration {
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
            let wait = after(&[base], position, 0, asked.map(Duration::from_secs)).unwrap();
            let asked = Duration::from_secs(asked.unwrap_or(0)).min(RETRY_AFTER_MAX);
            prop_assert!(wait >= (base * 8 / 10).max(asked), "{wait:?}");
            prop_assert!(wait <= (base * 12 / 10).max(asked), "{wait:?}");
            prop_assert_eq!(after(&[base], position, 1, None), None, "the last one");
        }
    }

    #[test]
    fn what_fails_together_is_not_tried_together() {
        let waits: std::collections::BTreeSet<_> =
            (0..1_000).map(|position| after(&[Duration::from_secs(10)], position, 0, None)).collect();
        assert!(waits.len() > 990, "{}", waits.len());
    }
}
