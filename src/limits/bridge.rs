//! Bounds of the bridge to gateways of an operator's own.

use std::time::Duration;

// --- Reports ---

/// Bytes in the body of a batch of reports (the protocol): a thousand of them with a sentence each.
pub const REPORT_BATCH_BYTES: usize = 1024 * 1024;
/// Reports in a batch (the protocol).
pub const REPORT_BATCH_SIZE: usize = 1_000;
/// Batches that are taken in at the same time, or wait for one of the same stream: 64 MiB at the worst; the next is told to
/// come again.
pub const REPORT_BATCHES_IN_FLIGHT: usize = 64;
/// Characters in the name of a stream (the protocol).
pub const STREAM_NAME_BYTES: usize = 64;
/// Streams whose last sequence is remembered, those that were used last: a gateway begins one each time it loses its
/// memory, and each takes some 200 bytes.
pub const REPORT_STREAMS: usize = 1_024;
/// Reports that were ignored and are kept, the last ones: some 100 bytes each.
pub const IGNORED_REPORTS_KEPT: u64 = 1_000;
/// Of those, how many operators are shown: what a page holds at a glance.
pub const IGNORED_REPORTS_LISTED: usize = 20;
/// Bytes that are read of a text that a gateway sends; the rest is cut off. Of a reason [`REASON_BYTES`](super::REASON_BYTES)
/// are kept.
pub const BRIDGE_TEXT_BYTES: usize = 4_096;
/// Bytes in the name of an unknown type, as operators are shown it: the longest that is known has 19.
pub const UNKNOWN_WORD_BYTES: usize = 32;
/// Signatures that are remembered, so that none is taken twice: as many as fit into the time in which one is taken, at some
/// 400 requests a second. Each is some 60 bytes. Beyond it, those that are as old as the oldest are no longer taken.
pub const SIGNATURES_REMEMBERED: usize = 262_144;

// --- Commands ---

/// Commands that wait for a gateway or are on their way to it: beyond it the next one fails at once. Each is some 500 bytes
/// beside its account's content, which it shares.
pub const COMMANDS_QUEUED: usize = 100_000;
/// The wait after the first attempt to send a command that failed; twice as long after each further one.
pub const COMMAND_RETRY_WAIT: Duration = Duration::from_millis(250);
/// The longest such wait, and the longest that a gateway's `Retry-After` is heeded for a command.
pub const COMMAND_RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a session that nobody wants may take to be closed; it is found again when sessions are compared.
pub const CLOSE_SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a gateway that fetches its commands has to answer for one page of its sessions.
pub const SESSIONS_PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for a connection to a gateway.
pub const BRIDGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are read of a gateway's answer to a command.
pub const BRIDGE_RESPONSE_BYTES: usize = 64 * 1024;

// --- Sessions ---

/// Sessions on one page that is asked for.
pub const SESSIONS_PAGE_SIZE: u32 = 1_000;
/// Sessions on one page that are taken: a gateway may round up.
pub const SESSIONS_PAGE_SIZE_MAX: usize = 10_000;
/// Bytes of such a page: 400 for each session.
pub const SESSIONS_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Pages of one list, most.
pub const SESSIONS_PAGES: usize = 10_000;
/// Sessions in one list, most: twice as many as there may be accounts in a large register; each is some 100 bytes.
pub const SESSIONS_LISTED: usize = 2_000_000;

// --- Work that is fetched ---

/// The longest that a gateway may wait for work, in seconds (the protocol).
pub const WORK_WAIT_SECONDS: u64 = 30;
/// How long it waits if it does not say (the protocol).
pub const WORK_WAIT_SECONDS_DEFAULT: u64 = 25;
/// Commands that it may fetch at once (the protocol).
pub const WORK_ITEMS: usize = 64;
/// How many it is given if it does not say (the protocol).
pub const WORK_ITEMS_DEFAULT: usize = 16;
/// Requests that wait for work at the same time: each holds a connection.
pub const WORK_REQUESTS_WAITING: usize = 256;
/// Acknowledgements in one request.
pub const WORK_ACKS: usize = 1_000;
