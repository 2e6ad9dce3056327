//! The only reader of the clocks: the wall clock, which may be set, and elapsed time.
//!
//! | time | what it is for | when the wall clock is set |
//! |---|---|---|
//! | [`now`] | what is recorded, shown or signed | follows at once |
//! | [`trusted`] | expiry dates, and ages of stored data | follows after the change has lasted for an hour |
//! | [`Moment::steady`] | waits, leases and deadlines of this process | does not follow |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::domain::Timestamp;
use crate::limits::{CLOCK_CHECK_INTERVAL, CLOCK_STEP, CLOCK_TRUSTED_AFTER};

/// A source of the time: [`now`], [`trusted`], or a clock that a test moves.
pub type Clock = fn() -> Timestamp;

/// A source of a moment by two clocks: [`moment`], or a test's function.
pub type Moments = fn() -> Moment;

/// One moment by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the wall clock, which may be set: for what is stored, shown or sent.
    pub wall: Timestamp,
    /// By elapsed time: the wall clock at this process's first reading, plus the time elapsed since. Timers use it.
    pub steady: Timestamp,
}

impl Moment {
    /// The moment `later` after this one, by both clocks.
    #[must_use]
    pub fn plus(self, later: Duration) -> Moment {
        Moment { wall: self.wall.plus(later), steady: self.steady.plus(later) }
    }
}

/// The current time by the wall clock.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// The current time by the wall clock and by elapsed time.
pub fn moment() -> Moment {
    Moment { wall: now(), steady: Timestamp(since_boot().saturating_add(CLOCKS.started)) }
}

/// The wall clock without its leaps: it follows elapsed time until a leap has lasted for [`CLOCK_TRUSTED_AFTER`].
///
/// Until then it neither leaps nor runs backwards. The reading that finds a leap logs and counts it.
pub fn trusted() -> Timestamp {
    let (before, wall, after) = (since_boot(), now(), since_boot());
    let mut clock = CLOCKS.trusted.lock().unwrap_or_else(PoisonError::into_inner);
    if after - before > STEP {
        // The process was suspended between the two readings, so they do not belong together.
        return clock.advance(after);
    }
    let (time, change) = clock.read(wall, after);
    drop(clock);
    if let Some(change) = change {
        change.log();
    }
    time
}

/// How often the wall clock has leapt since this process started.
pub fn leaps() -> u64 {
    LEAPS.load(Ordering::Relaxed)
}

/// Reads the clocks until `stop`, so that a leap is logged even when no code reads the time.
pub async fn watch(stop: CancellationToken) {
    trusted();
    while stop.run_until_cancelled(sleep(CLOCK_CHECK_INTERVAL)).await.is_some() {
        trusted();
    }
}

/// The clocks of this process.
struct Clocks {
    /// The wall clock minus [`since_boot`], at the first reading.
    started: i64,
    trusted: Mutex<TrustedClock>,
}

static CLOCKS: LazyLock<Clocks> = LazyLock::new(|| {
    let (wall, elapsed) = (now(), since_boot());
    Clocks { started: wall.0.saturating_sub(elapsed), trusted: Mutex::new(TrustedClock::new(wall, elapsed)) }
});

static LEAPS: AtomicU64 = AtomicU64::new(0);

const STEP: i64 = CLOCK_STEP.as_micros() as i64;
const TRUSTED_AFTER: i64 = CLOCK_TRUSTED_AFTER.as_micros() as i64;

/// Microseconds since this machine started. It cannot be set, and includes the time that the machine sleeps.
fn since_boot() -> i64 {
    #[cfg(target_os = "linux")]
    const SINCE_BOOT: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const SINCE_BOOT: ClockId = ClockId::Monotonic;
    let time = clock_gettime(SINCE_BOOT);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// The wall clock without its leaps. Pure: both clocks are arguments. Differences are in microseconds.
#[derive(Debug)]
struct TrustedClock {
    /// The trusted time minus elapsed time.
    offset: i64,
    /// The wall clock minus elapsed time, at the last reading.
    wall_offset: i64,
    /// When the wall clock last leapt, by elapsed time.
    leapt: i64,
    /// The last time that was returned.
    latest: i64,
}

/// What a reading found out about the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The wall clock leapt by this time, compared with elapsed time.
    Leapt { by: i64 },
    /// A leap has lasted long enough, and the trusted time has moved by this time.
    Trusted { by: i64 },
}

impl TrustedClock {
    fn new(wall: Timestamp, elapsed: i64) -> TrustedClock {
        let offset = wall.0.saturating_sub(elapsed);
        TrustedClock { offset, wall_offset: offset, leapt: elapsed, latest: wall.0 }
    }

    fn read(&mut self, wall: Timestamp, elapsed: i64) -> (Timestamp, Option<Change>) {
        let mut change = None;
        let wall_offset = wall.0.saturating_sub(elapsed);
        let by = wall_offset.saturating_sub(self.wall_offset);
        if is_leap(by) {
            change = Some(Change::Leapt { by });
            self.leapt = elapsed;
        }
        self.wall_offset = wall_offset;
        let difference = wall_offset.saturating_sub(self.offset);
        if !is_leap(difference) {
            self.offset = wall_offset;
        } else if elapsed.saturating_sub(self.leapt) >= TRUSTED_AFTER {
            change = Some(Change::Trusted { by: difference });
            self.offset = wall_offset;
            // Only here the trusted time may run backwards. Otherwise it would stand still for as long as the wall clock
            // was ahead.
            self.latest = wall.0;
        }
        (self.advance(elapsed), change)
    }

    /// The time after `elapsed`, independent of the wall clock.
    fn advance(&mut self, elapsed: i64) -> Timestamp {
        self.latest = self.latest.max(elapsed.saturating_add(self.offset));
        Timestamp(self.latest)
    }
}

/// Whether the wall clock was set, rather than just corrected.
fn is_leap(difference: i64) -> bool {
    difference.unsigned_abs() > STEP.unsigned_abs()
}

/// Microseconds as seconds, rounded.
fn to_seconds(microseconds: i64) -> i64 {
    (microseconds + 500_000 * microseconds.signum()) / 1_000_000
}

impl Change {
    fn log(self) {
        match self {
            Change::Leapt { by } => {
                LEAPS.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    seconds = to_seconds(by),
                    "the wall clock jumped by this many seconds; nothing expires early because of it. Find what set \
                     the clock of this machine (timedatectl, chronyc tracking). If it stays, API keys expire by the \
                     new time after {} min",
                    CLOCK_TRUSTED_AFTER.as_secs() / 60
                );
            }
            Change::Trusted { by } => tracing::warn!(
                seconds = to_seconds(by),
                "the wall clock has kept this offset in seconds for {} min and is trusted again; API keys and \
                 idempotency keys now expire by it",
                CLOCK_TRUSTED_AFTER.as_secs() / 60
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3_600 * SECOND;
    const WALL: Timestamp = Timestamp(1_764_046_168_934_966);

    /// Steps of elapsed time and of the wall clock.
    fn steps() -> impl Strategy<Value = Vec<(i64, i64)>> {
        let elapsed = prop_oneof![0..10 * SECOND, 0..2 * HOUR];
        let set = prop_oneof![4 => Just(0), 2 => -STEP..STEP, 2 => -400 * 24 * HOUR..400 * 24 * HOUR];
        prop::collection::vec((elapsed, set), 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

        /// A recent leap changes nothing, and only a lasting one moves time back.
        #[test]
        fn a_recent_leap_changes_nothing(steps in steps()) {
            let (mut clock, mut wall, mut elapsed, mut last) = (TrustedClock::new(WALL, 7), WALL, 7, WALL);
            let mut leapt = 7;
            for (by, set) in steps {
                elapsed += by;
                wall = Timestamp(wall.0 + by + set);
                let (time, change) = clock.read(wall, elapsed);
                leapt = if is_leap(set) { elapsed } else { leapt };
                if let Some(Change::Trusted { .. }) = change {
                    prop_assert!(elapsed - leapt >= TRUSTED_AFTER, "{:?}", clock);
                    prop_assert_eq!(time, wall);
                } else {
                    prop_assert!((last.0..=last.0 + by + STEP).contains(&time.0), "{:?} {} {:?} {:?}", last, by, time, clock);
                    prop_assert_eq!(matches!(change, Some(Change::Leapt { .. })), is_leap(set), "{:?}", clock);
                }
                last = time;
            }
        }

        /// Any setting of the wall clock is trusted once it has lasted long enough.
        #[test]
        fn a_lasting_leap_is_trusted(steps in steps()) {
            let (mut clock, mut wall, mut elapsed) = (TrustedClock::new(WALL, 7), WALL, 7);
            for (by, set) in steps.into_iter().chain([(0, 0), (TRUSTED_AFTER, 0), (STEP, 0)]) {
                elapsed += by;
                wall = Timestamp(wall.0 + by + set);
                clock.read(wall, elapsed);
            }
            prop_assert_eq!(clock.read(wall, elapsed), (wall, None));
        }
    }

    #[test]
    fn a_reverted_leap_changes_nothing() {
        for leap in [365 * 24 * HOUR, -HOUR, STEP + 1, -STEP - 1] {
            let mut clock = TrustedClock::new(WALL, 0);
            let mut read = |elapsed: i64, set: i64| {
                let (time, change) = clock.read(Timestamp(WALL.0 + elapsed + set), elapsed);
                (time.0 - WALL.0, change)
            };
            assert_eq!(read(SECOND, 0), (SECOND, None));
            assert_eq!(read(2 * SECOND, leap), (2 * SECOND, Some(Change::Leapt { by: leap })));
            assert_eq!(read(HOUR, leap), (HOUR, None), "a leap is reported once");
            assert_eq!(read(HOUR + SECOND, 0), (HOUR + SECOND, Some(Change::Leapt { by: -leap })));
            assert_eq!(read(9 * HOUR, 0), (9 * HOUR, None));
        }
    }

    /// The machine slept: both clocks advanced.
    #[test]
    fn sleep_is_not_a_leap() {
        let mut clock = TrustedClock::new(WALL, 0);
        let later = Timestamp(WALL.0 + 100 * HOUR);
        assert_eq!(clock.read(later, 100 * HOUR), (later, None));
    }

    #[test]
    fn the_clocks_of_this_process() {
        let (moment, time) = (moment(), trusted());
        assert!(time.since(moment.steady) < CLOCK_STEP && moment.steady.since(time) < CLOCK_STEP);
        assert!(trusted() >= time && since_boot() > 0);
    }
}
