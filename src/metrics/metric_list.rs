//! Every metric once: its name, kind, labels and help.
//!
//! Names follow Prometheus' conventions: units are seconds and bytes, and counters end with `_total`. The label values are
//! a fixed set: accounts, keys, addresses and positions are never label values.

use std::fmt::{self, Display};

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The exported name.
    pub name: &'static str,
    /// The kind of instrument.
    pub kind: MetricKind,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// The help: a sentence without the final full stop.
    pub help: &'static str,
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug)]
pub enum MetricKind {
    /// Only grows, from 0 at each start.
    Counter,
    /// A current value.
    Gauge,
    /// Counts observed values in buckets by size.
    Histogram(BucketBounds),
}

/// The upper bounds of a histogram's buckets.
#[derive(Clone, Copy, Debug)]
pub struct BucketBounds {
    /// Ascending and inclusive, in parts of the exported unit.
    pub upper_bounds: &'static [u64],
    /// The number of these parts in one unit.
    pub parts_per_unit: u64,
}

/// From 100 microseconds to 15 seconds, in nanoseconds: fast operations take microseconds, failing ones seconds.
const DURATION_HISTOGRAM: MetricKind = MetricKind::Histogram(BucketBounds {
    upper_bounds: &[
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
        15_000_000_000,
    ],
    parts_per_unit: 1_000_000_000,
});
/// Events up to [`BLOCK_RECORDS`](crate::limits::BLOCK_RECORDS).
const EVENT_COUNT_HISTOGRAM: MetricKind = MetricKind::Histogram(BucketBounds {
    upper_bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024],
    parts_per_unit: 1,
});
/// Bytes up to [`BLOCK_BYTES`](crate::limits::BLOCK_BYTES).
const SIZE_HISTOGRAM: MetricKind = MetricKind::Histogram(BucketBounds {
    upper_bounds: &[256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 114_688],
    parts_per_unit: 1,
});

macro_rules! metrics {
    ($($id:ident = $kind:expr, $name:literal, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = concat!($help, ".")]
        pub const $id: Metric = Metric { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)*

        /// All metrics.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

// Frozen: names, kinds, labels and bounds. Dashboards, alerts and recorded series depend on them.
metrics! {
    BUILD_INFO = MetricKind::Gauge, "muster_build_info", ["version"],
        "1, with the version of the program";
    READY = MetricKind::Gauge, "muster_ready", [],
        "1 while requests are accepted, 0 while the service stops";

    HTTP_REQUESTS = MetricKind::Counter, "muster_http_requests_total", ["route", "status"],
        "Requests that got a response, by the class of the HTTP status";
    HTTP_SECONDS = DURATION_HISTOGRAM, "muster_http_request_duration_seconds", ["route"],
        "Time from a request's head to its response's head";
    HTTP_IN_FLIGHT = MetricKind::Gauge, "muster_http_requests_in_flight", [],
        "Requests that wait for their response's head";
    CONNECTIONS = MetricKind::Gauge, "muster_http_connections", [],
        "Open connections";
    CONNECTIONS_REFUSED = MetricKind::Counter, "muster_http_connections_refused_total", [],
        "Connections that were closed at once because their address had too many";
    AUTH_FAILURES = MetricKind::Counter, "muster_http_auth_failures_total", ["reason"],
        "Requests that failed authentication";
    RATE_LIMITED = MetricKind::Counter, "muster_http_rate_limited_total", [],
        "Requests that were rejected by the rate limit of their key or address";

    COMMANDS = MetricKind::Counter, "muster_commands_total", ["command", "outcome"],
        "Commands to accounts; a retry after a conflict or a failed actor counts again";
    COMMAND_SECONDS = DURATION_HISTOGRAM, "muster_command_duration_seconds", ["command"],
        "Time from a command's entry into its account's mailbox to its durable outcome";
    COMMAND_WAIT = DURATION_HISTOGRAM, "muster_command_wait_seconds", [],
        "Time that commands waited in their account's mailbox";
    ACTORS = MetricKind::Gauge, "muster_actors_active", [],
        "Accounts in memory";
    ACTORS_STARTED = MetricKind::Counter, "muster_actors_started_total", [],
        "Actors that were started";
    ACTORS_RETIRED = MetricKind::Counter, "muster_actors_retired_total", [],
        "Actors that were retired because they were idle, or to free memory";
    RECOVERIES = MetricKind::Counter, "muster_actors_recovered_total", [],
        "Accounts that were read from the journal into memory";
    SNAPSHOTS = MetricKind::Counter, "muster_snapshots_written_total", [],
        "Account snapshots that were saved";

    COMMIT_SECONDS = DURATION_HISTOGRAM, "muster_journal_commit_duration_seconds", [],
        "Time until a commit's events were durable and in the account list";
    SYNC_SECONDS = DURATION_HISTOGRAM, "muster_store_sync_duration_seconds", [],
        "Time the disk needed to make writes durable (fdatasync)";
    BLOCK_EVENTS = EVENT_COUNT_HISTOGRAM, "muster_journal_block_events", [],
        "Events per block, which is written atomically";
    BLOCK_BYTES = SIZE_HISTOGRAM, "muster_journal_block_bytes", [],
        "Bytes per block";
    EVENTS_APPENDED = MetricKind::Counter, "muster_journal_events_total", ["type"],
        "Events that were made durable";
    POSITION = MetricKind::Gauge, "muster_journal_position", [],
        "Position of the last durable event, which is also the total number of events";
    STORE_BYTES = MetricKind::Gauge, "muster_store_size_bytes", [],
        "Bytes of the journal and the tables on disk";
    CACHE_FAILURES = MetricKind::Counter, "muster_store_cache_failures_total", [],
        "Caches and snapshots that could not be saved; the service continues, and its next start takes longer";

    ACCOUNTS = MetricKind::Gauge, "muster_accounts", ["state"],
        "Accounts in the list";
    PROJECTION_LAG = MetricKind::Gauge, "muster_projection_lag_events", ["projection"],
        "Durable events that the projection has not applied yet";

    WEBHOOK_LAG = MetricKind::Gauge, "muster_webhook_lag_events", ["channel"],
        "Events from the oldest undelivered one on";
    WEBHOOK_LAG_SECONDS = MetricKind::Gauge, "muster_webhook_lag_seconds", ["channel"],
        "Age of the oldest undelivered event";
    WEBHOOK_LANES = MetricKind::Gauge, "muster_webhook_lanes", ["channel", "state"],
        "Accounts that wait for a retry, are blocked by a dead letter, or have redeliveries";
    WEBHOOK_ATTEMPTS = MetricKind::Counter, "muster_webhook_attempts_total", ["channel", "outcome"],
        "Completed attempts: accepted, or the class of failure";
    WEBHOOK_SECONDS = DURATION_HISTOGRAM, "muster_webhook_attempt_duration_seconds", ["channel"],
        "Time from the start of an attempt to its outcome";
    WEBHOOK_IN_FLIGHT = MetricKind::Gauge, "muster_webhook_attempts_in_flight", ["channel"],
        "Attempts in flight";
    WEBHOOK_RETRIES = MetricKind::Counter, "muster_webhook_retries_total", ["channel"],
        "Completed attempts after the first of their delivery";
    WEBHOOK_DEAD = MetricKind::Counter, "muster_webhook_deliveries_dead_total", ["channel"],
        "Deliveries that became dead letters";
    WEBHOOK_DEAD_LETTERS = MetricKind::Gauge, "muster_webhook_dead_letters", ["channel"],
        "Dead letters that are neither replayed nor dropped";
    WEBHOOK_BREAKER = MetricKind::Gauge, "muster_webhook_breaker", ["channel", "state"],
        "1 for the current state of the circuit breaker";
    WEBHOOK_PAUSED = MetricKind::Gauge, "muster_webhook_paused", ["channel"],
        "1 while an operator, or HTTP 410, has paused the webhook";
    WEBHOOK_RECEIVER = MetricKind::Gauge, "muster_webhook_receiver", ["channel"],
        "1 while the webhook has a receiver; without one, its deliveries wait";
    WEBHOOK_REDELIVERIES = MetricKind::Counter, "muster_webhook_redeliveries_total", ["channel"],
        "Redeliveries that operators requested";

    GATEWAY_CALLS = MetricKind::Counter, "muster_gateway_calls_total", ["call"],
        "Pending effects that were sent to the gateway";
    GATEWAY_REPORTS = MetricKind::Counter, "muster_gateway_reports_total", ["report"],
        "Reports from the gateway";
    META_UPDATES = MetricKind::Counter, "muster_cloud_api_updates_total", ["outcome"],
        "Updates in Meta's webhooks: processed, duplicate, of an unknown kind or of another account; or webhooks that \
         were rejected";
    META_TOKEN_REFUSED = MetricKind::Gauge, "muster_cloud_api_token_refused", [],
        "1 while Meta rejects the token, and no calls are made";
    BRIDGE_REPORTS = MetricKind::Counter, "muster_bridge_reports_total", ["outcome"],
        "Bridge reports that were ingested: recorded, ignored for a reason, or duplicate";
    BRIDGE_REFUSED = MetricKind::Counter, "muster_bridge_refused_total", ["reason"],
        "Bridge requests that were rejected, with nothing stored";
    BRIDGE_COMMANDS = MetricKind::Counter, "muster_bridge_commands_total", ["event"],
        "Outcomes of bridge commands; one that is handed out again counts again";
    BRIDGE_QUEUE = MetricKind::Gauge, "muster_bridge_queue", ["state"],
        "Bridge commands that wait, or are leased and not acknowledged";
    GATEWAY_SET_UP = MetricKind::Gauge, "muster_gateway_set_up", ["gateway"],
        "1 if the settings set the gateway up";
    GATEWAY_UP = MetricKind::Gauge, "muster_gateway_up", ["gateway"],
        "1 while the gateway is up, 0 while it is away or not set up";
    GATEWAY_BREAKER = MetricKind::Gauge, "muster_gateway_breaker", ["gateway", "state"],
        "1 for the current state of the gateway's circuit breaker";
    GATEWAY_IN_FLIGHT = MetricKind::Gauge, "muster_gateway_calls_in_flight", ["gateway"],
        "Calls to the gateway in flight";
    GATEWAY_ACCOUNTS = MetricKind::Gauge, "muster_gateway_accounts", ["gateway", "state"],
        "Accounts that are routed to the gateway";
    GATEWAY_LAST_ERROR = MetricKind::Gauge, "muster_gateway_last_error_time_seconds", ["gateway"],
        "Time of the gateway's last error, in seconds since 1970; 0 if there was none since the start";
    RECONCILIATIONS = MetricKind::Counter, "muster_gateway_reconciliations_total", ["gateway", "outcome"],
        "Reconciliations of the gateway's sessions with the account list";
    DIFFERENCES = MetricKind::Counter, "muster_gateway_differences_total", ["gateway", "difference"],
        "Accounts whose state at the gateway differed from the account list";
    UNKNOWN_SESSIONS = MetricKind::Gauge, "muster_gateway_strangers", ["gateway"],
        "Unknown sessions at the last reconciliation: sessions of accounts that are not routed to the gateway";

    ROTATING = MetricKind::Gauge, "muster_vault_rotation_under_way", [],
        "1 while a rotation of the master key is running";
    ROTATED = MetricKind::Gauge, "muster_vault_rotation_keys_done", [],
        "Keys that the running or last rotation has processed";
    TO_ROTATE = MetricKind::Gauge, "muster_vault_rotation_keys", [],
        "Keys that this rotation has to process in all";

    LOG_LINES_LOST = MetricKind::Counter, "muster_log_lines_lost_total", [],
        "Log lines that were lost, because standard error was not read in time or could not be written";

    CLOCK_LEAPS = MetricKind::Counter, "muster_clock_leaps_total", [],
        "Jumps of the wall clock that elapsed time does not explain; nothing expires early because of one";

    CPU_SECONDS = MetricKind::Counter, "process_cpu_seconds_total", [],
        "CPU time of the process, in user and system mode";
    RESIDENT = MetricKind::Gauge, "process_resident_memory_bytes", [],
        "Resident memory of the process";
    VIRTUAL = MetricKind::Gauge, "process_virtual_memory_bytes", [],
        "Virtual memory of the process";
    OPEN_FDS = MetricKind::Gauge, "process_open_fds", [],
        "Open files and connections of the process";
    MAX_FDS = MetricKind::Gauge, "process_max_fds", [],
        "Limit of open files and connections";
    START_TIME = MetricKind::Gauge, "process_start_time_seconds", [],
        "Start time of the process, in seconds since 1970";
    THREADS = MetricKind::Gauge, "process_threads", [],
        "Threads of the process";
}

impl Metric {
    /// The name without the suffix that the library adds: `_total` for counters, `_info` for the version of the program.
    pub(super) fn base_name(&self) -> &'static str {
        ["_total", "_info"].iter().find_map(|suffix| self.name.strip_suffix(suffix)).unwrap_or(self.name)
    }
}

impl Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl MetricKind {
    /// The kind's name in Prometheus, as in `counter`.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram(_) => "histogram",
        }
    }
}
