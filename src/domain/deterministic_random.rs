//! Deterministic pseudo-random numbers, so that jitter and injected faults are repeatable.

use std::time::Duration;

use crate::limits::JITTER_PERCENT;

/// The `nth` number of SplitMix64 from this seed. The same arguments always give the same number. The numbers are good
/// enough for jitter and injected faults, not for secrets.
pub fn deterministic_random(seed: u64, nth: u64) -> u64 {
    let mut bits = seed.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Shortens `wait` by up to [`JITTER_PERCENT`] percent. The `nth` number from this seed decides how much.
pub fn apply_jitter(wait: Duration, seed: u64, nth: u64) -> Duration {
    // The factor has a million steps, so that even a million waits spread evenly.
    let millionths = 1_000_000 - deterministic_random(seed, nth) % (JITTER_PERCENT * 10_000 + 1);
    wait.mul_f64(millionths as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{Account, AccountNumber};
    use crate::limits::RECONNECT_WAIT_MAX;

    #[test]
    fn jitter_shortens_each_wait_differently() {
        let wait = Duration::from_secs(100);
        let waits: Vec<Duration> = (0..1_000).map(|seed| apply_jitter(wait, seed, 1)).collect();
        assert!(waits.iter().all(|it| (Duration::from_secs(90)..=wait).contains(it)), "{waits:?}");
        let in_second = |second| waits.iter().filter(|it| it.as_secs() == second).count();
        assert!((90..100).all(|second| (50..200).contains(&in_second(second))), "they are spread out");
        assert_eq!(apply_jitter(wait, 7, 2), apply_jitter(wait, 7, 2));
        assert_ne!(apply_jitter(wait, 7, 2), apply_jitter(wait, 7, 3));
    }

    /// A thousand accounts that dropped together return at different times, and each drop has its own wait.
    #[test]
    fn dropped_accounts_reconnect_at_different_times() {
        let first = Duration::from_secs(5);
        let wait = |number: u64, drops| {
            let account = AccountNumber::from_stored(8_618_217_000_000 + number).unwrap();
            Account { drops, ..Account::initial() }.reconnect_delay(account, first)
        };
        let waits: BTreeSet<Duration> = (0..1_000).map(|number| wait(number, 1)).collect();
        assert!(waits.len() > 990, "{} different ones", waits.len());
        for (drops, most) in [(1, first), (2, first * 2), (3, first * 4), (u32::MAX, RECONNECT_WAIT_MAX)] {
            for number in 0..100 {
                let wait = wait(number, drops);
                assert!((most * 9 / 10..=most).contains(&wait), "{number}, {drops} drops: {wait:?}");
            }
        }
        let share = |drops| wait(7, drops).as_secs_f64() / (first * (1 << (drops - 1))).as_secs_f64();
        assert!((share(1) - share(2)).abs() > 1e-6, "each drop is drawn for");
    }
}
