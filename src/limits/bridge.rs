//! Bounds of the bridge to an operator's own gateway.

use std::time::Duration;

// --- Reports ---

/// Bytes in the body of a batch of reports (the protocol): a thousand reports with a sentence each.
pub const REPORT_BATCH_BYTES: usize = 1024 * 1024;
/// Reports in a batch (the protocol).
pub const REPORT_BATCH_SIZE: usize = 1_000;
/// Batches that are ingested concurrently, or wait for one of the same stream: at most 64 MiB. The next batch is told
/// to retry.
pub const REPORT_BATCHES_IN_FLIGHT: usize = 64;
/// Characters in a stream's name (the protocol).
pub const STREAM_NAME_BYTES: usize = 64;
/// Most streams whose last sequence is remembered, the most recently used. A gateway begins a stream each time it loses
/// its memory; each takes about 200 bytes.
pub const REPORT_STREAMS: usize = 1_024;
/// Most ignored reports that are kept, the latest; about 100 bytes each.
pub const IGNORED_REPORTS_KEPT: u64 = 1_000;
/// Most ignored reports that operators are shown: what fits a page at a glance.
pub const IGNORED_REPORTS_LISTED: usize = 20;
/// Bytes that are read of a gateway's text; the rest is cut. A reason is then cut to
/// [`REASON_BYTES`](super::REASON_BYTES).
pub const BRIDGE_TEXT_BYTES: usize = 4_096;
/// Bytes in the name of an unknown type, as operators are shown it: the longest known name has 19.
pub const UNKNOWN_WORD_BYTES: usize = 32;
/// Signatures remembered against replays. Enough for the whole time in which a signature is valid, at about 400
/// requests a second; about 60 bytes each. Beyond it, signatures as old as the oldest remembered one are rejected.
pub const SIGNATURES_REMEMBERED: usize = 262_144;

// --- Commands ---

/// Commands that wait for a gateway or are being sent; beyond it the next one fails at once. Each takes about 500
/// bytes, besides its account's content, which it shares.
pub const COMMANDS_QUEUED: usize = 100_000;
/// The wait after a command's first failed send attempt; it doubles with each further one.
pub const COMMAND_RETRY_WAIT: Duration = Duration::from_millis(250);
/// The longest such wait, and the longest `Retry-After` of a gateway that is followed for a command.
pub const COMMAND_RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long closing an unwanted session may take; the next reconciliation finds it again.
pub const CLOSE_SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a gateway that fetches its commands may take to return one page of its sessions.
pub const SESSIONS_PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time to connect to a gateway.
pub const BRIDGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are read of a gateway's response to a command.
pub const BRIDGE_RESPONSE_BYTES: usize = 64 * 1024;

// --- Sessions ---

/// Sessions requested per page.
pub const SESSIONS_PAGE_SIZE: u32 = 1_000;
/// Most sessions accepted per page: a gateway may round up.
pub const SESSIONS_PAGE_SIZE_MAX: usize = 10_000;
/// Bytes of such a page: 400 for each session.
pub const SESSIONS_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Most pages of one list.
pub const SESSIONS_PAGES: usize = 10_000;
/// Most sessions in one list: twice the accounts of a large register; about 100 bytes each.
pub const SESSIONS_LISTED: usize = 2_000_000;

// --- Work that the gateway fetches ---

/// The longest wait for work that a gateway may ask for, in seconds (the protocol).
pub const WORK_WAIT_SECONDS: u64 = 30;
/// The wait in seconds if the gateway names none (the protocol).
pub const WORK_WAIT_SECONDS_DEFAULT: u64 = 25;
/// Most commands that a gateway may fetch at once (the protocol).
pub const WORK_ITEMS: usize = 64;
/// Commands in one fetch if the gateway names no number (the protocol).
pub const WORK_ITEMS_DEFAULT: usize = 16;
/// Requests that wait for work concurrently: each holds a connection.
pub const WORK_REQUESTS_WAITING: usize = 256;
/// Acknowledgements in one request.
pub const WORK_ACKS: usize = 1_000;
