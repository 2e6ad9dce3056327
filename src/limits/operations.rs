//! What stands around the service: service managers, who reads its log, and where traces are collected.

use std::time::Duration;

// --- Service managers ---

/// How long a service manager waits for the service to end before it kills it: three times the promised ten seconds, for a
/// disk that is slow.
pub const SERVICE_MANAGER_STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long after the first signal the service ends whatever hangs, but for the last lines of the log ([`LOG_FLUSH`]):
/// together the promised ten seconds.
pub const SIGNAL_EXIT_TIMEOUT: Duration = Duration::from_millis(9_500);
/// Files that it lets the service have open: several times [`CONNECTIONS`](super::CONNECTIONS), since an operator may
/// raise those, and webhooks and the store have files too.
pub const SERVICE_OPEN_FILES: usize = 65_536;

// --- The log ---

/// Bytes of the log that wait for whoever reads standard error, most; as many again are being written. Some thousands of
/// lines: several seconds of a busy service, while a log collector restarts.
pub const LOG_BUFFER_BYTES: usize = 1024 * 1024;
/// How long the end of the process waits for the last lines to be read.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

// --- Traces ---

/// Bytes in a `tracestate` that is passed on (W3C Trace Context asks for 512 at least); a longer one is left out.
pub const TRACE_STATE_BYTES: usize = 512;
/// Members in it, most (W3C Trace Context).
pub const TRACE_STATE_MEMBERS: usize = 32;
/// Requests and events whose places in a trace are remembered for their webhooks: at some 150 bytes each, and 512 more
/// where callers send a `tracestate` as long as it may be, 30 MiB at the worst.
pub const TRACE_CONTEXTS_REMEMBERED: usize = 50_000;
/// Commands of one request that have spans of their own; of more of them the request's span tells, because nobody looks
/// at ten thousand.
pub const COMMAND_SPANS_PER_REQUEST: usize = 64;
/// Spans that wait to be sent, most; beyond it they are lost, and nobody waits. About 8 MiB.
pub const SPANS_QUEUED: usize = 8_192;
/// Spans that are sent in one request.
pub const SPANS_PER_EXPORT: usize = 512;
/// How often spans are sent that do not fill one.
pub const SPANS_EXPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Time for a collector to take them: sending waits for nothing else, and the queue holds what comes meanwhile.
pub const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a collector's answer that are read; it says little or nothing.
pub const COLLECTOR_RESPONSE_BYTES: usize = 64 * 1024;
/// Connections to a collector that are kept: one queue sends, one batch after the other.
pub const COLLECTOR_CONNECTIONS: usize = 1;
/// How long the end of the service waits for a collector to take the last spans.
pub const SPANS_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Headers for a collector, most.
pub const COLLECTOR_HEADERS: usize = 16;

// --- The clock ---

/// How far the wall clock may be set at once without being told: a leap second, and what a time service corrects. More is a
/// leap.
pub const CLOCK_STEP: Duration = Duration::from_secs(2);
/// How long a leap of the wall clock must last until API keys and idempotency keys end by the new time. A mistake is taken
/// back sooner; a clock that was wrong at the start must not stay so for long.
pub const CLOCK_TRUSTED_AFTER: Duration = Duration::from_secs(60 * 60);
/// How often it is looked whether the wall clock has leapt, when nobody asks for the time.
pub const CLOCK_LOOK: Duration = Duration::from_secs(5);
