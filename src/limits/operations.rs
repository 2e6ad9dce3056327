//! Bounds of the service's environment: settings, service managers, log readers, trace collectors and the clock.

use std::ops::RangeInclusive;
use std::time::Duration;

// --- Settings ---

/// Deadlines and lifetimes: not zero, which would end things before they begin, and at most a year.
pub const SETTABLE_DURATION: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(365 * 24 * 60 * 60);

// --- Service managers ---

/// How long a service manager waits for the service to end before it kills it: three times the promised ten seconds,
/// for a slow disk.
pub const SERVICE_MANAGER_STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long after the first signal the process ends, even if something hangs. With the time to write the last log lines
/// ([`LOG_FLUSH_TIMEOUT`]) it is the promised ten seconds.
pub const SIGNAL_EXIT_TIMEOUT: Duration = Duration::from_millis(9_500);
/// The limit of open files that a service manager gives the service: several times
/// [`CONNECTIONS`](super::CONNECTIONS), because an operator may raise those. Webhooks and the store use files too.
pub const SERVICE_OPEN_FILES: usize = 65_536;

// --- The log ---

/// Most bytes of the log that wait for the reader of standard error; as many again are being written. Some thousands of
/// lines: several seconds of a busy service, while a log collector restarts.
pub const LOG_BUFFER_BYTES: usize = 1024 * 1024;
/// How long the end of the process waits for the last log lines to be read.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

// --- Traces ---

/// Bytes in a `tracestate` that is passed on (W3C Trace Context requires at least 512); a longer one is omitted.
pub const TRACE_STATE_BYTES: usize = 512;
/// Most members in it (W3C Trace Context).
pub const TRACE_STATE_MEMBERS: usize = 32;
/// Requests and events whose trace contexts are remembered for their webhooks. About 150 bytes each, plus 512 for a
/// `tracestate` of full length: about 32 MiB at most.
pub const TRACE_CONTEXTS_REMEMBERED: usize = 50_000;
/// Commands of one request with their own spans. For more, the request's span has only the sum, because ten thousand
/// spans are of no use.
pub const COMMAND_SPANS_PER_REQUEST: usize = 64;
/// Most spans that wait to be sent; further ones are lost, and no work waits for them. About 8 MiB.
pub const SPANS_QUEUED: usize = 8_192;
/// Spans that are sent in one request.
pub const SPANS_PER_EXPORT: usize = 512;
/// `telemetry.service_name`, in bytes: collectors show it beside each span.
pub const SETTABLE_NAME_BYTES: usize = 64;
/// How often spans that do not fill a request are sent.
pub const SPANS_EXPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Time for a collector to accept spans. Nothing else waits for it, and the queue holds new spans meanwhile.
pub const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a collector's response that are read; it has few or none.
pub const COLLECTOR_RESPONSE_BYTES: usize = 64 * 1024;
/// Idle connections to a collector that stay open: one, because the queue sends one batch after the other.
pub const COLLECTOR_CONNECTIONS: usize = 1;
/// How long the end of the service waits for a collector to accept the last spans.
pub const SPANS_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Most headers for a collector.
pub const COLLECTOR_HEADERS: usize = 16;

// --- The clock ---

/// The largest step of the wall clock that is not reported: a leap second, or a correction by a time service. A larger
/// one is a leap.
pub const CLOCK_STEP: Duration = Duration::from_secs(2);
/// How long a leap of the wall clock must last before API keys and idempotency keys expire by the new time. A wrong setting
/// is usually corrected sooner. If the clock was wrong at the start, the corrected time must count soon.
pub const CLOCK_TRUSTED_AFTER: Duration = Duration::from_secs(60 * 60);
/// How often the wall clock is checked for leaps when no code reads the time.
pub const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(5);
