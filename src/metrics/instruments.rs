//! The counters, gauges and histograms that modules update. Each is created once, for its entry in the metric list.
//! Instruments consist of atomics, so counting does not wait, allocate memory, or look up a name.

use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use super::histogram::Histogram;
use super::labels::{
    AccountState, AttemptOutcome, AuthFailure, BreakerState, BridgeCommand, BridgeRefusal, BridgeReport, CommandKind,
    CommandOutcome, CommandState, Difference, GatewayCall, GatewayReport, LabelValues, LaneState, MetaUpdate,
    Projection, ReconcileOutcome, Route, StatusClass,
};
use super::metric_list::{self, Metric, MetricKind};
use super::process_stats::ProcessStats;
use crate::domain::{Channel, EventType, GatewayKind};

/// A current number of things.
pub type IntGauge = Gauge<u64, AtomicU64>;
/// A current amount.
pub type FloatGauge = Gauge<f64, AtomicU64>;
/// A sum of seconds that only grows.
pub type SecondsCounter = Counter<f64, AtomicU64>;

/// An instrument, which is exported under one name. Cheap to clone.
pub(super) trait Instrument: EncodeMetric + TypedMetric + Clone + Debug + Send + Sync + 'static {
    fn new(metric: &'static Metric) -> Self;
}

/// One instrument for each value of the labels `V`, which may be a pair of labels.
#[derive(Debug)]
pub struct MetricFamily<V, I> {
    labels: &'static [&'static str],
    instruments: Arc<[I]>,
    label_type: PhantomData<V>,
}

macro_rules! instruments {
    ($($(#[doc = $about:literal])? $field:ident: $kind:ty = $metric:ident;)*) => {
        /// All instruments.
        #[allow(missing_docs)] // The metric list describes each one.
        #[derive(Debug)]
        pub struct Instruments { $(pub $field: $kind),* }

        impl Instruments {
            /// Creates the instruments, and registers them in `registry`.
            pub(super) fn new(registry: &mut Registry) -> Instruments {
                Instruments { $($field: register(registry, &metric_list::$metric)),* }
            }
        }
    };
}

instruments! {
    ready: IntGauge = READY;

    http_requests: MetricFamily<(Route, StatusClass), Counter> = HTTP_REQUESTS;
    http_seconds: MetricFamily<Route, Histogram> = HTTP_SECONDS;
    http_in_flight: IntGauge = HTTP_IN_FLIGHT;
    connections: IntGauge = CONNECTIONS;
    connections_refused: Counter = CONNECTIONS_REFUSED;
    auth_failures: MetricFamily<AuthFailure, Counter> = AUTH_FAILURES;
    rate_limited: Counter = RATE_LIMITED;

    commands: MetricFamily<(CommandKind, CommandOutcome), Counter> = COMMANDS;
    command_seconds: MetricFamily<CommandKind, Histogram> = COMMAND_SECONDS;
    command_wait: Histogram = COMMAND_WAIT;
    actors: IntGauge = ACTORS;
    actors_started: Counter = ACTORS_STARTED;
    actors_retired: Counter = ACTORS_RETIRED;
    recoveries: Counter = RECOVERIES;
    snapshots: Counter = SNAPSHOTS;

    commit_seconds: Histogram = COMMIT_SECONDS;
    sync_seconds: Histogram = SYNC_SECONDS;
    block_events: Histogram = BLOCK_EVENTS;
    block_bytes: Histogram = BLOCK_BYTES;
    events: MetricFamily<EventType, Counter> = EVENTS_APPENDED;
    position: IntGauge = POSITION;
    store_bytes: IntGauge = STORE_BYTES;
    cache_failures: Counter = CACHE_FAILURES;

    accounts: MetricFamily<AccountState, IntGauge> = ACCOUNTS;
    projection_lag: MetricFamily<Projection, IntGauge> = PROJECTION_LAG;

    webhook_lag: MetricFamily<Channel, IntGauge> = WEBHOOK_LAG;
    webhook_lag_seconds: MetricFamily<Channel, FloatGauge> = WEBHOOK_LAG_SECONDS;
    webhook_lanes: MetricFamily<(Channel, LaneState), IntGauge> = WEBHOOK_LANES;
    webhook_attempts: MetricFamily<(Channel, AttemptOutcome), Counter> = WEBHOOK_ATTEMPTS;
    webhook_seconds: MetricFamily<Channel, Histogram> = WEBHOOK_SECONDS;
    webhook_in_flight: MetricFamily<Channel, IntGauge> = WEBHOOK_IN_FLIGHT;
    webhook_retries: MetricFamily<Channel, Counter> = WEBHOOK_RETRIES;
    webhook_dead: MetricFamily<Channel, Counter> = WEBHOOK_DEAD;
    dead_letters: MetricFamily<Channel, IntGauge> = WEBHOOK_DEAD_LETTERS;
    webhook_breaker: MetricFamily<(Channel, BreakerState), IntGauge> = WEBHOOK_BREAKER;
    webhook_paused: MetricFamily<Channel, IntGauge> = WEBHOOK_PAUSED;
    webhook_receiver: MetricFamily<Channel, IntGauge> = WEBHOOK_RECEIVER;
    webhook_redeliveries: MetricFamily<Channel, Counter> = WEBHOOK_REDELIVERIES;

    gateway_calls: MetricFamily<GatewayCall, Counter> = GATEWAY_CALLS;
    gateway_reports: MetricFamily<GatewayReport, Counter> = GATEWAY_REPORTS;
    meta_updates: MetricFamily<MetaUpdate, Counter> = META_UPDATES;
    meta_token_refused: IntGauge = META_TOKEN_REFUSED;
    bridge_reports: MetricFamily<BridgeReport, Counter> = BRIDGE_REPORTS;
    bridge_refused: MetricFamily<BridgeRefusal, Counter> = BRIDGE_REFUSED;
    bridge_commands: MetricFamily<BridgeCommand, Counter> = BRIDGE_COMMANDS;
    bridge_queue: MetricFamily<CommandState, IntGauge> = BRIDGE_QUEUE;
    gateway_set_up: MetricFamily<GatewayKind, IntGauge> = GATEWAY_SET_UP;
    gateway_up: MetricFamily<GatewayKind, IntGauge> = GATEWAY_UP;
    gateway_breaker: MetricFamily<(GatewayKind, BreakerState), IntGauge> = GATEWAY_BREAKER;
    gateway_in_flight: MetricFamily<GatewayKind, IntGauge> = GATEWAY_IN_FLIGHT;
    gateway_accounts: MetricFamily<(GatewayKind, AccountState), IntGauge> = GATEWAY_ACCOUNTS;
    gateway_last_error: MetricFamily<GatewayKind, FloatGauge> = GATEWAY_LAST_ERROR;
    reconciliations: MetricFamily<(GatewayKind, ReconcileOutcome), Counter> = RECONCILIATIONS;
    differences: MetricFamily<(GatewayKind, Difference), Counter> = DIFFERENCES;
    unknown_sessions: MetricFamily<GatewayKind, IntGauge> = UNKNOWN_SESSIONS;

    rotating: IntGauge = ROTATING;
    rotated: IntGauge = ROTATED;
    to_rotate: IntGauge = TO_ROTATE;

    log_lines_lost: Counter = LOG_LINES_LOST;
    clock_leaps: Counter = CLOCK_LEAPS;

    cpu_seconds: SecondsCounter = CPU_SECONDS;
    resident: IntGauge = RESIDENT;
    virtual_bytes: IntGauge = VIRTUAL;
    open_fds: IntGauge = OPEN_FDS;
    max_fds: IntGauge = MAX_FDS;
    start_time: FloatGauge = START_TIME;
    threads: IntGauge = THREADS;
}

impl Instruments {
    /// Updates the metrics of the process.
    pub(super) fn update_process(&self, process: &ProcessStats) {
        let ProcessStats {
            cpu_seconds,
            resident_bytes: resident,
            virtual_bytes,
            open_fds,
            max_fds,
            start_time,
            threads,
            ..
        } = process;
        self.log_lines_lost.inner().store(process.log_lines_lost, Ordering::Relaxed);
        self.clock_leaps.inner().store(process.clock_leaps, Ordering::Relaxed);
        // The system keeps this sum, so it is stored, not added.
        self.cpu_seconds.inner().store(cpu_seconds.to_bits(), Ordering::Relaxed);
        self.start_time.set(*start_time);
        let gauges = [
            (&self.resident, resident),
            (&self.virtual_bytes, virtual_bytes),
            (&self.open_fds, open_fds),
            (&self.max_fds, max_fds),
            (&self.threads, threads),
        ];
        for (gauge, value) in gauges {
            gauge.set(*value);
        }
    }
}

/// Creates an instrument, and registers it in `registry`.
fn register<I: Instrument>(registry: &mut Registry, metric: &'static Metric) -> I {
    let instrument = I::new(metric);
    registry.register(metric.base_name(), metric.help, instrument.clone());
    instrument
}

impl<V: LabelValues, I> MetricFamily<V, I> {
    /// The instrument for these label values.
    pub fn with(&self, values: V) -> &I {
        &self.instruments[values.index()]
    }
}

impl<V, I> Clone for MetricFamily<V, I> {
    fn clone(&self) -> MetricFamily<V, I> {
        MetricFamily { labels: self.labels, instruments: self.instruments.clone(), label_type: PhantomData }
    }
}

impl<V: LabelValues + Debug, I: Instrument> Instrument for MetricFamily<V, I> {
    fn new(metric: &'static Metric) -> MetricFamily<V, I> {
        MetricFamily {
            labels: metric.labels,
            instruments: (0..V::COUNT).map(|_| I::new(metric)).collect(),
            label_type: PhantomData,
        }
    }
}

impl<V: LabelValues, I: Instrument> EncodeMetric for MetricFamily<V, I> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (index, instrument) in self.instruments.iter().enumerate() {
            let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(V::label_values(index)).collect();
            instrument.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        I::TYPE
    }
}

impl<V: LabelValues, I: Instrument> TypedMetric for MetricFamily<V, I> {
    const TYPE: MetricType = I::TYPE;
}

impl Instrument for Counter {
    fn new(_: &'static Metric) -> Counter {
        Counter::default()
    }
}

impl Instrument for SecondsCounter {
    fn new(_: &'static Metric) -> SecondsCounter {
        SecondsCounter::default()
    }
}

impl Instrument for IntGauge {
    fn new(_: &'static Metric) -> IntGauge {
        IntGauge::default()
    }
}

impl Instrument for FloatGauge {
    fn new(_: &'static Metric) -> FloatGauge {
        FloatGauge::default()
    }
}

impl Instrument for Histogram {
    fn new(metric: &'static Metric) -> Histogram {
        match metric.kind {
            MetricKind::Histogram(bounds) => Histogram::new(bounds),
            // Not reached: a test checks that the kinds in the list are those of the instruments.
            MetricKind::Counter | MetricKind::Gauge => {
                Histogram::new(metric_list::BucketBounds { upper_bounds: &[], parts_per_unit: 1 })
            }
        }
    }
}
