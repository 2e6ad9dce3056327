//! The instruments: what rooms count with. Each is made once, under its entry in the list, and is a few atomics: whoever
//! counts waits for nobody, allocates nothing, and looks no name up.

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
use super::list::{self, Kind, Metric};
use super::process::Process;
use super::words::{
    AccountState, AttemptOutcome, AuthFailure, BreakerState, BridgeCommand, BridgeRefusal, BridgeReport, CommandKind,
    CommandOutcome, CommandState, Difference, EventType, GatewayCall, GatewayReport, LaneState, MetaUpdate, Projection,
    ReconcileOutcome, Route, StatusClass, Words,
};
use crate::domain::{Channel, GatewayKind};

/// How many there are of something now.
pub type Level = Gauge<u64, AtomicU64>;
/// How much there is of something now.
pub type Measure = Gauge<f64, AtomicU64>;
/// Seconds that only grow.
pub type Seconds = Counter<f64, AtomicU64>;

/// What is exported under one name. Cheap to clone.
pub(super) trait Instrument: EncodeMetric + TypedMetric + Clone + Debug + Send + Sync + 'static {
    fn new(metric: &'static Metric) -> Self;
}

/// One instrument for each word, or each pair of words.
#[derive(Debug)]
pub struct By<W, I> {
    labels: &'static [&'static str],
    of: Arc<[I]>,
    words: PhantomData<W>,
}

macro_rules! instruments {
    ($($(#[doc = $about:literal])? $field:ident: $kind:ty = $metric:ident;)*) => {
        /// All of them.
        #[allow(missing_docs)] // The list says what each one is.
        #[derive(Debug)]
        pub struct Instruments { $(pub $field: $kind),* }

        impl Instruments {
            /// Makes them, and puts them into `registry`.
            pub(super) fn new(registry: &mut Registry) -> Instruments {
                Instruments { $($field: put(registry, &list::$metric)),* }
            }
        }
    };
}

instruments! {
    ready: Level = READY;

    http_requests: By<(Route, StatusClass), Counter> = HTTP_REQUESTS;
    http_seconds: By<Route, Histogram> = HTTP_SECONDS;
    http_in_flight: Level = HTTP_IN_FLIGHT;
    connections: Level = CONNECTIONS;
    connections_refused: Counter = CONNECTIONS_REFUSED;
    auth_failures: By<AuthFailure, Counter> = AUTH_FAILURES;
    rate_limited: Counter = RATE_LIMITED;

    commands: By<(CommandKind, CommandOutcome), Counter> = COMMANDS;
    command_seconds: By<CommandKind, Histogram> = COMMAND_SECONDS;
    command_wait: Histogram = COMMAND_WAIT;
    actors: Level = ACTORS;
    actors_started: Counter = ACTORS_STARTED;
    actors_retired: Counter = ACTORS_RETIRED;
    recoveries: Counter = RECOVERIES;
    snapshots: Counter = SNAPSHOTS;

    commit_seconds: Histogram = COMMIT_SECONDS;
    sync_seconds: Histogram = SYNC_SECONDS;
    block_events: Histogram = BLOCK_EVENTS;
    block_bytes: Histogram = BLOCK_BYTES;
    events: By<EventType, Counter> = EVENTS_APPENDED;
    position: Level = POSITION;
    store_bytes: Level = STORE_BYTES;
    cache_failures: Counter = CACHE_FAILURES;

    accounts: By<AccountState, Level> = ACCOUNTS;
    projection_lag: By<Projection, Level> = PROJECTION_LAG;

    webhook_lag: By<Channel, Level> = WEBHOOK_LAG;
    webhook_lag_seconds: By<Channel, Measure> = WEBHOOK_LAG_SECONDS;
    webhook_lanes: By<(Channel, LaneState), Level> = WEBHOOK_LANES;
    webhook_attempts: By<(Channel, AttemptOutcome), Counter> = WEBHOOK_ATTEMPTS;
    webhook_seconds: By<Channel, Histogram> = WEBHOOK_SECONDS;
    webhook_in_flight: By<Channel, Level> = WEBHOOK_IN_FLIGHT;
    webhook_retries: By<Channel, Counter> = WEBHOOK_RETRIES;
    webhook_dead: By<Channel, Counter> = WEBHOOK_DEAD;
    webhook_letters: By<Channel, Level> = WEBHOOK_LETTERS;
    webhook_breaker: By<(Channel, BreakerState), Level> = WEBHOOK_BREAKER;
    webhook_paused: By<Channel, Level> = WEBHOOK_PAUSED;
    webhook_receiver: By<Channel, Level> = WEBHOOK_RECEIVER;
    webhook_redeliveries: By<Channel, Counter> = WEBHOOK_REDELIVERIES;

    gateway_calls: By<GatewayCall, Counter> = GATEWAY_CALLS;
    gateway_reports: By<GatewayReport, Counter> = GATEWAY_REPORTS;
    meta_updates: By<MetaUpdate, Counter> = META_UPDATES;
    meta_token_refused: Level = META_TOKEN_REFUSED;
    bridge_reports: By<BridgeReport, Counter> = BRIDGE_REPORTS;
    bridge_refused: By<BridgeRefusal, Counter> = BRIDGE_REFUSED;
    bridge_commands: By<BridgeCommand, Counter> = BRIDGE_COMMANDS;
    bridge_queue: By<CommandState, Level> = BRIDGE_QUEUE;
    gateway_set_up: By<GatewayKind, Level> = GATEWAY_SET_UP;
    gateway_up: By<GatewayKind, Level> = GATEWAY_UP;
    gateway_breaker: By<(GatewayKind, BreakerState), Level> = GATEWAY_BREAKER;
    gateway_in_flight: By<GatewayKind, Level> = GATEWAY_IN_FLIGHT;
    gateway_accounts: By<(GatewayKind, AccountState), Level> = GATEWAY_ACCOUNTS;
    gateway_last_error: By<GatewayKind, Measure> = GATEWAY_LAST_ERROR;
    reconciliations: By<(GatewayKind, ReconcileOutcome), Counter> = RECONCILIATIONS;
    differences: By<(GatewayKind, Difference), Counter> = DIFFERENCES;
    strangers: By<GatewayKind, Level> = STRANGERS;

    rotating: Level = ROTATING;
    rotated: Level = ROTATED;
    to_rotate: Level = TO_ROTATE;

    log_lines_lost: Counter = LOG_LINES_LOST;
    clock_leaps: Counter = CLOCK_LEAPS;

    cpu_seconds: Seconds = CPU_SECONDS;
    resident: Level = RESIDENT;
    virtual_bytes: Level = VIRTUAL;
    open_fds: Level = OPEN_FDS;
    max_fds: Level = MAX_FDS;
    start_time: Measure = START_TIME;
    threads: Level = THREADS;
}

impl Instruments {
    /// Shows how the process is.
    pub(super) fn show(&self, process: &Process) {
        let Process { cpu_seconds, resident, virtual_bytes, open_fds, max_fds, start_time, threads, .. } = process;
        self.log_lines_lost.inner().store(process.log_lines_lost, Ordering::Relaxed);
        self.clock_leaps.inner().store(process.clock_leaps, Ordering::Relaxed);
        // The system counts it, so it is taken over and not added to.
        self.cpu_seconds.inner().store(cpu_seconds.to_bits(), Ordering::Relaxed);
        self.start_time.set(*start_time);
        let levels = [
            (&self.resident, resident),
            (&self.virtual_bytes, virtual_bytes),
            (&self.open_fds, open_fds),
            (&self.max_fds, max_fds),
            (&self.threads, threads),
        ];
        for (level, now) in levels {
            level.set(*now);
        }
    }
}

/// Makes an instrument, and puts it into `registry`.
fn put<I: Instrument>(registry: &mut Registry, metric: &'static Metric) -> I {
    let instrument = I::new(metric);
    registry.register(metric.stem(), metric.help, instrument.clone());
    instrument
}

impl<W: Words, I> By<W, I> {
    /// The one for these words.
    pub fn at(&self, words: W) -> &I {
        &self.of[words.index()]
    }
}

impl<W, I> Clone for By<W, I> {
    fn clone(&self) -> By<W, I> {
        By { labels: self.labels, of: self.of.clone(), words: PhantomData }
    }
}

impl<W: Words + Debug, I: Instrument> Instrument for By<W, I> {
    fn new(metric: &'static Metric) -> By<W, I> {
        By { labels: metric.labels, of: (0..W::COUNT).map(|_| I::new(metric)).collect(), words: PhantomData }
    }
}

impl<W: Words, I: Instrument> EncodeMetric for By<W, I> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (index, instrument) in self.of.iter().enumerate() {
            let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(W::words(index)).collect();
            instrument.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        I::TYPE
    }
}

impl<W: Words, I: Instrument> TypedMetric for By<W, I> {
    const TYPE: MetricType = I::TYPE;
}

impl Instrument for Counter {
    fn new(_: &'static Metric) -> Counter {
        Counter::default()
    }
}

impl Instrument for Seconds {
    fn new(_: &'static Metric) -> Seconds {
        Seconds::default()
    }
}

impl Instrument for Level {
    fn new(_: &'static Metric) -> Level {
        Level::default()
    }
}

impl Instrument for Measure {
    fn new(_: &'static Metric) -> Measure {
        Measure::default()
    }
}

impl Instrument for Histogram {
    fn new(metric: &'static Metric) -> Histogram {
        match metric.kind {
            Kind::Histogram(bounds) => Histogram::new(bounds),
            // All in one bucket; that list and instruments agree is held by a test.
            Kind::Counter | Kind::Gauge => Histogram::new(list::Bounds { at: &[], parts: 1 }),
        }
    }
}
