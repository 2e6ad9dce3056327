//! Events and webhooks per second: sampled each second, kept for the length of a chart.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Console;
use crate::limits::{CHART_INTERVAL, CHART_POINTS};

/// The latest samples.
#[derive(Default)]
pub(super) struct ThroughputHistory {
    samples: Mutex<ThroughputSamples>,
}

#[derive(Default)]
struct ThroughputSamples {
    /// The last totals; `None` before the first sample.
    last: Option<[u64; 2]>,
    /// The increase of each total per second, the latest last.
    points: VecDeque<[u64; 2]>,
}

impl ThroughputHistory {
    /// Events and webhooks in each of the last seconds.
    pub(super) fn points(&self) -> [Vec<u64>; 2] {
        let samples = self.lock();
        [0, 1].map(|at| samples.points.iter().map(|point| point[at]).collect())
    }

    fn add_sample(&self, totals: [u64; 2]) {
        let mut samples = self.lock();
        if let Some(last) = samples.last.replace(totals) {
            if samples.points.len() == CHART_POINTS {
                samples.points.pop_front();
            }
            samples.points.push_back([0, 1].map(|at| totals[at].saturating_sub(last[at])));
        }
    }

    // A panic cannot leave a half-written sample, so a poisoned lock is used as it is.
    fn lock(&self) -> MutexGuard<'_, ThroughputSamples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console {
    /// Samples these totals, which only grow, each second until `stop`.
    pub async fn sample_throughput(self, totals: impl Fn() -> [u64; 2], stop: CancellationToken) {
        let mut seconds = interval(CHART_INTERVAL);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(seconds.tick()).await.is_some() {
            self.inner.throughput.add_sample(totals());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_the_increase_since_the_sample_before() {
        let counting = ThroughputHistory::default();
        for totals in [[100, 7], [150, 7], [150, 9]] {
            counting.add_sample(totals);
        }
        assert_eq!(counting.points(), [vec![50, 0], vec![0, 2]]);
        (0..=CHART_POINTS as u64).for_each(|at| counting.add_sample([150 + at, 9]));
        assert_eq!(counting.points()[0].len(), CHART_POINTS);
        assert_eq!(counting.points()[0].last(), Some(&1));
    }
}
