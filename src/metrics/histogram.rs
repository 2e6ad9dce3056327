//! A histogram of atomics. The library's own histogram takes a lock for each value, and every command would have to wait
//! for that lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::metric_list::BucketBounds;

/// Counts values in buckets by size. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Histogram {
    inner: Arc<HistogramInner>,
}

#[derive(Debug)]
struct HistogramInner {
    bounds: BucketBounds,
    /// The number of values up to each bound and above the previous one; the last entry counts values above all bounds.
    counts: Box<[AtomicU64]>,
    /// The sum of all values, in parts of the unit.
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: BucketBounds) -> Histogram {
        let counts = (0..=bounds.upper_bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { inner: Arc::new(HistogramInner { bounds, counts, sum: AtomicU64::new(0) }) }
    }

    /// Counts a value. It is in parts of the exported unit: see [`BucketBounds`].
    pub fn observe(&self, value: u64) {
        let HistogramInner { bounds, counts, sum } = &*self.inner;
        let bucket = bounds.upper_bounds.partition_point(|bound| *bound < value);
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration. The histogram must have the unit seconds, in parts of nanoseconds.
    pub fn observe_duration(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let HistogramInner { bounds, counts, sum } = &*self.inner;
        let unit = |parts: u64| parts as f64 / bounds.parts_per_unit as f64;
        let upper = bounds.upper_bounds.iter().map(|bound| unit(*bound)).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = upper.zip(counts.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        // While other threads count, the sum may include values that the buckets lack. The count is that of the buckets.
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(unit(sum.load(Ordering::Relaxed)), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Histogram::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}
