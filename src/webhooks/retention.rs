//! How long the attempts of completed deliveries are kept. Pure.
//!
//! One start with a wrong setting must not delete attempts. So a shorter time than before takes effect only once the
//! service has run with it for [`KEEP_SHORTER_AFTER`]. A longer one takes effect at once.

use std::time::Duration;

use crate::limits::KEEP_SHORTER_AFTER;

// Frozen: the layout of format 1. A start reads how long attempts were kept before.
const FORMAT: u8 = 1;

/// The retention time in force, and the time in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retention {
    in_force: Duration,
    set: Duration,
    /// How long the service has run with `set`. It counts only while `set` is shorter than `in_force`.
    ran: Duration,
}

impl Retention {
    /// The retention at a start: `stored` is the last stored state, `set` the present setting.
    pub(super) fn at_start(stored: Option<&[u8]>, set: Duration) -> Retention {
        match stored.and_then(read).filter(|stored| set < stored.in_force) {
            Some(stored) if stored.set == set => stored,
            // A different shorter time: its running time starts at zero.
            Some(Retention { in_force, .. }) => Retention { in_force, set, ran: Duration::ZERO },
            None => Retention { in_force: set, set, ran: Duration::ZERO },
        }
    }

    /// The time in force.
    pub(super) fn in_force(self) -> Duration {
        self.in_force
    }

    /// The running time until a shorter setting takes effect; `None` if the setting is in force.
    pub(super) fn shorter_after(self) -> Option<Duration> {
        (self.set < self.in_force).then(|| KEEP_SHORTER_AFTER.saturating_sub(self.ran))
    }

    /// The retention after the service has run for `time` more.
    pub(super) fn after(mut self, time: Duration) -> Retention {
        if self.shorter_after().is_some() {
            self.ran = self.ran.saturating_add(time);
        }
        if self.shorter_after() == Some(Duration::ZERO) {
            (self.in_force, self.ran) = (self.set, Duration::ZERO);
        }
        self
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).to_le_bytes();
        [&[FORMAT][..], &micros(self.in_force), &micros(self.set), &micros(self.ran)].concat()
    }
}

/// The stored state; `None` if the format is unknown.
fn read(bytes: &[u8]) -> Option<Retention> {
    let (times, rest) = bytes.strip_prefix(&[FORMAT])?.as_chunks();
    let [in_force, set, ran] = <[[u8; 8]; 3]>::try_from(times).ok().filter(|_| rest.is_empty())?;
    let [in_force, set, ran] = [in_force, set, ran].map(|micros| Duration::from_micros(u64::from_le_bytes(micros)));
    Some(Retention { in_force, set, ran })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// One start per row: the hours that are set, how many hours the service runs, and the hours in force after that.
    #[test]
    fn a_shorter_time_counts_after_a_while() {
        let mut stored = None;
        for (set, runs, in_force) in [
            (720, 1, 720),
            // Set by mistake, then corrected.
            (48, 23, 720),
            (720, 1, 720),
            // Another mistake after 23 h with a shorter time.
            (48, 23, 720),
            (1, 1, 720),
            // From here on the setting is intended. Its running time counts across restarts.
            (48, 23, 720),
            (48, 0, 720),
            (48, 1, 48),
            (48, 30, 48),
            (1, 5, 48),
            (96, 0, 96),
            (1, 24, 1),
        ] {
            let mut retention = Retention::at_start(stored.as_deref(), set * HOUR);
            for _ in 0..runs {
                retention = retention.after(HOUR);
            }
            assert_eq!(retention.in_force(), in_force * HOUR, "{set} h set, {runs} h run");
            let is_shorter = retention.shorter_after().is_some();
            assert_eq!(is_shorter, set < in_force, "{set} h set, {runs} h run");
            stored = Some(retention.bytes());
        }
        assert_eq!(Retention::at_start(Some(b"\x02other"), HOUR).in_force(), HOUR);
    }
}
