//! Every bound of the product, with its unit and the reason for its size.
//!
//! If an operator may change a bound, its constant is the *default* of a setting (see `config`). The range of the setting
//! follows as `SETTABLE_…`: values outside it can only be typing errors. All other bounds are fixed.
//!
//! | file | what it bounds |
//! |---|---|
//! | `bridge` | the bridge to an operator's own gateway |
//! | `client` | requests to external servers |
//! | `cloud_api` | calls to Meta's Graph API, and Meta's webhooks |
//! | `conformance` | the gateway test suite |
//! | `console` | the console pages |
//! | `demo` | the demonstration and its receiver |
//! | `display` | what people are shown, and the files that they name |
//! | `gateways` | all gateways |
//! | `operations` | settings, service managers, the log, traces and the clock |
//! | `reconcile` | reconciliation |
//! | `webhooks` | webhooks, operators' orders and the master key |

mod bridge;
mod client;
mod cloud_api;
mod conformance;
mod console;
mod demo;
mod display;
mod gateways;
mod operations;
mod reconcile;
mod webhooks;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use bridge::*;
pub use client::*;
pub use cloud_api::*;
pub use conformance::*;
pub use console::*;
pub use demo::*;
pub use display::*;
pub use gateways::*;
pub use operations::*;
pub use reconcile::*;
pub use webhooks::*;

// --- Account numbers and requests (the contract) ---

/// Fewest digits in an account number: the shortest international numbers in use.
pub const ACCOUNT_DIGITS_MIN: usize = 7;
/// Most digits in an account number: ITU-T E.164 allows 15.
pub const ACCOUNT_DIGITS_MAX: usize = 15;
/// Bits of an account's version in the integer that receivers see; the generation is above them. One account has fewer
/// than four billion events.
pub const ACCOUNT_VERSION_BITS: u32 = 32;
/// The highest generation of a log, of six digits. With a version of 32 bits it stays below 2^53, the largest integer that
/// every JSON parser keeps exactly.
pub const GENERATIONS: u32 = 999_999;
/// Most digits in a calling code: `+1242` and similar codes include the area.
pub const CALLING_CODE_DIGITS_MAX: usize = 4;
/// Accounts in one request (the contract). Setting `http.max_batch`.
pub const BATCH_ACCOUNTS: usize = 10_000;
/// `http.max_batch`: ten times the contract; all accounts of a batch are in memory at once.
pub const SETTABLE_BATCH_ACCOUNTS: RangeInclusive<u64> = 1..=100_000;
/// Bytes in a request body (the contract). Setting `http.max_body_bytes`.
pub const BODY_BYTES: usize = 16 * 1024 * 1024;
/// `http.max_body_bytes`: from one account to half of the budget for large bodies ([`LARGE_BODIES_KIB`]).
pub const SETTABLE_BODY_BYTES: RangeInclusive<u64> = 1_024..=(LARGE_BODIES_KIB as u64 * 1024 / 2);
/// Bytes in one text of an account (a key, a name): far above any real key, far below a block.
pub const TEXT_BYTES: usize = 16 * 1024;
/// Bytes in all texts of one account together, so that its event always fits a commit block.
pub const CONTENT_BYTES: usize = 64 * 1024;
/// Bytes in a reason or an instance code. A longer one is cut, because a gateway's text never prevents an event.
pub const REASON_BYTES: usize = 1024;
/// Characters in the reason of an order: one sentence. Four bytes each at most, so that [`REASON_BYTES`] never cuts it.
pub const ORDER_REASON_CHARS: usize = 200;
/// Bytes in a verification code: real ones have 6 digits, and the bound only excludes long texts.
pub const VERIFY_CODE_BYTES: usize = 64;
/// Labels of one account: enough for every team, shift and contract, and a row of the account list stays readable.
pub const ACCOUNT_LABELS: usize = 16;
/// Bytes in the name of a label, and in its value.
pub const LABEL_BYTES: usize = 64;
/// Rejected accounts that a 207 or 409 message names before it says "and N more".
pub const NAMED_REJECTIONS: usize = 3;

// --- Registration (the contract) ---

/// Codes that may be submitted for one registration.
pub const REGISTRATION_ATTEMPTS: u32 = 5;
/// How long a registration waits for its code. Setting `accounts.registration_lifetime`.
pub const REGISTRATION_LIFETIME: Duration = Duration::from_secs(600);
/// The largest task id: typed clients read it as a signed 32-bit integer.
pub const TASK_ID_MAX: u32 = i32::MAX as u32;
/// 2026-01-01T00:00:00Z, in seconds since 1970. After a restore, numbers of sessions and tasks continue after the seconds
/// from here to the restore: a log gives fewer than one a second on average, so these are above all that were lost.
pub const NUMBERS_EPOCH: i64 = 1_767_225_600;
/// The highest number that a restore leaves out. A clock that is far ahead leaves as many task ids as it takes.
pub const LOST_NUMBERS_MAX: u32 = TASK_ID_MAX / 2;

// --- Reconnecting (the contract's `accounts.auto_reconnect`) ---

/// The reconnect wait after the first drop; it doubles with each further drop in a row. Setting
/// `accounts.reconnect_wait`.
pub const RECONNECT_WAIT: Duration = Duration::from_secs(5);
/// The longest such wait.
pub const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(300);

// --- Actors ---

/// How long a `-coming` state may last (the contract). Setting `actors.coming_timeout`.
pub const COMING_TIMEOUT: Duration = Duration::from_secs(60);
/// An actor without work for this long is retired. Setting `actors.idle_after`.
pub const ACTOR_IDLE: Duration = Duration::from_secs(120);
/// Most active actors; at about 2 KiB each this is 100 MiB. Setting `actors.max_active`.
pub const ACTORS_ACTIVE: usize = 50_000;
/// `actors.max_active`: at about 2 KiB each the maximum is 20 GiB.
pub const SETTABLE_ACTORS: RangeInclusive<u64> = 1..=10_000_000;
/// Most commands in flight, six whole batches; beyond it callers get a quick 503. Setting `actors.max_in_flight`.
pub const COMMANDS_IN_FLIGHT: usize = 65_536;
/// `actors.max_in_flight`: ten of the largest batches.
pub const SETTABLE_COMMANDS: RangeInclusive<u64> = 1..=1_000_000;
/// Events after which an account's snapshot is saved again.
pub const SNAPSHOT_EVERY: u64 = 64;
/// Events after which a retiring account's snapshot is saved: fewer are read as quickly as a snapshot.
pub const SNAPSHOT_ON_RETIRE_EVENTS: u64 = 8;
/// When the bound of active actors is reached, this part of them is retired: one eighth. So thousands of starts share the
/// cost of one search.
pub const RETIRE_DIVISOR: usize = 8;
/// How long the registry waits before it looks for actors to retire again, after it found all of them busy.
pub const RETIRE_PAUSE: Duration = Duration::from_millis(50);
/// How often the registry looks for idle actors.
pub const RETIRE_SWEEP: Duration = Duration::from_secs(1);
/// How long after a failure a deadline is sent to its account again.
pub const DEADLINE_RETRY_WAIT: Duration = Duration::from_secs(1);
/// Most gateway reports and deadlines that wait for their actors' replies; beyond it gateways wait too.
pub const INBOX_CAPACITY: usize = 4_096;
/// Reports taken from a gateway in one turn.
pub const REPORTS_PER_TURN: usize = 64;
/// Accounts dispatched again per second after a restart, so that a restart does not overload the gateway.
pub const REDISPATCH_PER_SECOND: u32 = 2_000;

// --- Journal ---

/// Most bytes in one commit block. sled packs up to 17 values in a leaf, and moves leaves above a quarter of its
/// segment into blob files, which it never syncs. 17 × 112 KiB stays below a quarter of [`STORE_SEGMENT_BYTES`].
pub const BLOCK_BYTES: usize = 112 * 1024;
/// Bytes above which a commit block is closed, although more would fit. sled gives each of the 256 parts of its cache an
/// equal share (256 KiB by default). It drops a larger leaf from the cache, and reads it from the disk again for each
/// added block. 17 × 15 KiB stays below that share.
pub const BLOCK_FILL_BYTES: usize = 15 * 1024;
/// Appends of one request that go to the writer together, while the rest is still being decided.
pub const APPEND_BATCH_CHUNK: usize = 128;
/// While more blocks wait, at least this many bytes are made durable together. Fewer would need more disk syncs, and more
/// would mean longer waits.
pub const COMMIT_MIN_BYTES: usize = 512 * 1024;
/// Most records in one commit block. It bounds the scan for one record.
pub const BLOCK_RECORDS: usize = 1_024;
/// Most bytes in one record's payload: above any content, and the whole record still fits a block.
pub const PAYLOAD_BYTES: usize = 96 * 1024;
/// Events after which the journal's heads and the roster are saved again, so that a start reads no more than this.
/// Setting `store.checkpoint_every`.
pub const CHECKPOINT_EVERY: u64 = 200_000;
/// `store.checkpoint_every`: the start reads this many events, and a thousand million take an hour.
pub const SETTABLE_CHECKPOINT: RangeInclusive<u64> = 1..=1_000_000_000;
/// Most records that one read from a position returns.
pub const READ_RECORDS: usize = 1_024;

// --- Audit ---

/// Most records that one page of events scans: about 0.1 s of reading.
pub const EVENTS_SCANNED: u64 = 1_000_000;
/// Most events in one page.
pub const PAGE_EVENTS: usize = 1_000;
/// Events in one page if the caller does not say.
pub const PAGE_EVENTS_DEFAULT: usize = 100;
/// Lines of an export per digest, so that a changed line is found without the original.
pub const EXPORT_CHUNK_LINES: u64 = 1_000;
/// Most bytes in one line of an export: above any event, far below any memory.
pub const EXPORT_LINE_BYTES: u64 = 16 * 1024 * 1024;
/// How often a checkpoint is signed and saved while events arrive.
pub const LOG_CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// Most differences that a replay names.
pub const NAMED_DIFFERENCES: usize = 10;
/// Bytes collected before they are passed on, in exports and backups.
pub const STREAM_CHUNK_BYTES: usize = 64 * 1024;

/// Time for a service to accept the connection of a CLI verb.
pub const CLI_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Most blocks that wait to be hashed during a verification of the journal: a few MiB.
pub const VERIFY_QUEUED_BLOCKS: usize = 256;

// --- Store ---

/// sled's segment size, fixed at creation: large enough for [`BLOCK_BYTES`]. sled takes a buffer of this size for each
/// segment.
pub const STORE_SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// sled's page cache. Real memory use is a multiple of it. Setting `store.cache_bytes`.
pub const STORE_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// `store.cache_bytes`: 1 MiB, below which sled mostly reads, to 1 TiB.
pub const SETTABLE_CACHE_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
/// Most bytes of a table's value. Values are far smaller; a file of the write-ahead log holds several of this size.
pub const STORE_VALUE_BYTES: usize = 1024 * 1024;
/// Bytes of changes that wait for a commit. Beyond it, a put commits: a restore puts millions.
pub const STORE_UNLOGGED_BYTES: usize = 4 * 1024 * 1024;
/// How long a change waits at most for a commit, if no caller asks for one. As long as sled's own flusher took.
pub const STORE_COMMIT_WITHIN: Duration = Duration::from_millis(500);
/// Bytes of committed changes that wait for the engine in memory; commits wait beyond it.
pub const STORE_QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// How often the engine is synced while it changes. A start reads at most twice as much of the write-ahead log.
pub const STORE_SYNC_EVERY: Duration = Duration::from_secs(1);
/// Bytes after which the engine is synced earlier. Larger syncs would disturb commits longer.
pub const STORE_SYNC_BYTES: usize = 8 * 1024 * 1024;
/// Rows of pending changes that a scan copies at once.
pub const SCAN_PENDING_ROWS: usize = 64;
/// Bytes of a write-ahead log entry with more than one change. It is the largest entry of a store that several machines share.
pub const WAL_ENTRY_BYTES: usize = 448 * 1024;
/// Bytes of a file of the write-ahead log: [`STORE_SYNC_BYTES`], so that a sync of the engine usually frees one. Small in
/// unit tests, so that these use files again.
pub const WAL_FILE_BYTES: usize = if cfg!(test) { 64 * 1024 } else { 8 * 1024 * 1024 };
/// Bytes of a new file that are written ahead at once: about a thousand small commits.
pub const WAL_PREPARED_BYTES: usize = 256 * 1024;
/// Most files of the write-ahead log: 64 MiB. Commits wait for the engine beyond it.
pub const WAL_FILES: usize = 8;
/// How long a start waits for the lock of a data directory that another process holds. It is longer than a killed
/// process takes to exit, and short enough for a second service started by mistake.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How often the start checks that lock.
pub const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(5);

// --- Roster ---

/// Rows in one chunk of the account list: about 64 KiB, the unit that is shared and copied on write.
pub const ROSTER_CHUNK_ROWS: usize = 1_024;

// --- HTTP ---

/// Most open connections; further ones wait in the listen queue. Setting `http.max_connections`.
pub const CONNECTIONS: usize = 10_000;
/// Most open connections of one address; further ones are closed. Half of all: a reverse proxy is one address and may
/// carry almost all callers, but no single address can exclude the others. Setting `http.max_connections_per_address`.
pub const CONNECTIONS_PER_ADDRESS: usize = CONNECTIONS / 2;
/// `http.max_connections` and `http.max_connections_per_address`: a process can rarely open more files.
pub const SETTABLE_CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// The shortest time between log lines about connections that wait or are closed because there are too many.
pub const CROWDED_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Time for a client to complete the TLS handshake: as long as for a request head, which also takes a few packets.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = HEADER_TIMEOUT;
/// How often the TLS files are checked. New content is used once two checks in a row find the same, so that a
/// half-written file is not used.
pub const TLS_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Most bytes in a TLS file: all public CAs together are below 250 KB.
pub const TLS_FILE_BYTES: usize = 256 * 1024;
/// Time from the request head to the response head: above [`BODY_TIMEOUT`] and the largest batch, far below the
/// patience of a caller. Setting `http.request_timeout`.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for a client to send its request head; slower clients are disconnected.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a client to send its body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes in a body that is read and sealed on the connection's own task: fewer than 300 accounts, at most 2 ms of work.
/// A larger body goes to the threads for blocking work, so that small requests never wait behind it.
pub const INLINE_BODY_BYTES: usize = 32 * 1024;
/// Accounts of one batch that one core seals before another helps: about 1 ms of work.
pub const SEALED_PER_CORE: usize = 128;
/// Bytes in all bodies above [`INLINE_BODY_BYTES`] that are read at once, in KiB: 32 of the largest. Beyond it callers
/// get a quick 503, because ten thousand connections with such bodies would fill any memory.
pub const LARGE_BODIES_KIB: usize = 32 * BODY_BYTES / 1024;
/// Time for a client to take any bytes of a response; a client that takes none for this long is disconnected.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most concurrent readers of the live tail.
pub const LIVE_TAIL_READERS: usize = 1_000;
/// Most events that are read ahead for each of them, so that all readers together hold little, even with large events.
pub const LIVE_TAIL_READ_AHEAD: usize = 8;
/// Most concurrent streamed responses (exports, backups, whole histories). Each uses one of the 512 threads for blocking
/// work, and large requests of callers need some of them too.
pub const STREAMED_RESPONSES: usize = 64;
/// How often a reader of the live tail gets a heartbeat while no events arrive.
pub const LIVE_TAIL_HEARTBEAT: Duration = Duration::from_secs(15);
/// Bytes of a rejected body that are read and discarded, so that the client reads the response instead of a reset.
pub const LINGER_BYTES: usize = 4 * BODY_BYTES;
/// Bytes of a caller's `x-request-id` that are kept; real ones (UUIDs, trace ids) have 16 to 55.
pub const REQUEST_ID_BYTES: usize = 64;
/// Bytes of a field's path in a message: the field name comes from the caller, and may be as long as the body.
pub const FIELD_PATH_BYTES: usize = 128;
/// Bytes in `http.base_path`: each link of a page contains it.
pub const BASE_PATH_BYTES: usize = 128;
/// Bytes in `Forwarded`, and in each `X-Forwarded-*`, of a trusted proxy: above a hundred proxies in a row.
pub const FORWARDED_BYTES: usize = 8 * 1024;
/// Pause after the operating system refused a new connection for lack of files or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for requests in flight to finish at shutdown, and then for webhook attempts.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);
/// Time for all work in flight to end at shutdown: twice [`DRAIN_TIMEOUT`].
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);
/// Time from the signal to the end of the process, even if the disk hangs: slightly less than the promised ten seconds.
pub const STOP_TIMEOUT: Duration = Duration::from_millis(9_500);
/// Time for blocked threads, for example on the disk, at the very end.
pub const BLOCKING_THREADS_TIMEOUT: Duration = Duration::from_secs(1);

// --- Access ---

/// Bits of an IPv6 address that identify a client: a customer gets a /64 at least, and may use any address in it.
pub const IPV6_CLIENT_BITS: u32 = 64;
/// Requests a second of one key, or without a valid key from one address, and the burst. Several times what one back-end
/// needs, and a third of the capacity of two cores. Setting `http.requests_per_second`.
pub const REQUESTS_PER_SECOND: usize = 10_000;
/// `http.requests_per_second`: above it, it would limit nothing.
pub const SETTABLE_REQUESTS: RangeInclusive<u64> = 1..=10_000_000;
/// Keys and addresses with a request count; beyond it the inactive ones are forgotten.
pub const RATE_SUBJECTS: usize = 100_000;

/// Most API keys that may ever exist, revoked ones included: each takes a few hundred bytes in memory.
pub const API_KEYS: usize = 10_000;
/// Bytes in the name of an API key.
pub const API_KEY_NAME_BYTES: usize = 64;
/// Most prefixes of account numbers that one API key is bound to.
pub const API_KEY_PREFIXES: usize = 100;
/// Characters in the secret with which a tenant signs tokens; those of the contract's family have 32. A shorter secret
/// than the minimum can be found from one token.
pub const TENANT_SECRET_BYTES: RangeInclusive<usize> = 16..=128;
/// Most difference between a token's timestamp and now, in either direction: as the contract's family allows.
pub const TOKEN_WINDOW: Duration = Duration::from_secs(5 * 60);
/// How often a stream checks whether its reader's key has expired. A revocation is notified at once, but the clock may
/// be set.
pub const API_KEY_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Most bytes in a response that is not checked while it is sent: it fits the connection's buffers.
pub const UNWATCHED_RESPONSE_BYTES: u64 = 64 * 1024;
/// Bytes of a longer response that are sent between checks of its reader's key.
pub const WATCHED_CHUNK_BYTES: usize = 64 * 1024;
/// The additional delay of each further response to an invalid key.
pub const FAILED_KEY_DELAY: Duration = Duration::from_millis(50);
/// The longest such delay. See [`FAILED_KEY_DELAY`].
pub const FAILED_KEY_DELAY_MAX: Duration = Duration::from_secs(2);
/// How long an address is remembered after its last invalid key.
pub const FAILED_KEYS_MEMORY: Duration = Duration::from_secs(60);
/// Most addresses remembered for invalid keys; beyond it every invalid key gets the longest delay.
pub const FAILED_KEYS_ADDRESSES: usize = 10_000;

// --- Responses kept for repeated requests (idempotency) ---

/// Most characters in an `Idempotency-Key`, as in other APIs. Real ones (UUIDs) have 36.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long a response is kept under its key, as long as Stripe keeps it.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of all kept responses: about a million usual ones. Beyond it the oldest are evicted.
pub const IDEMPOTENCY_BYTES: u64 = 256 * 1024 * 1024;
/// No response is evicted before this age for lack of space: a caller that retries after a timeout has done so by then.
pub const IDEMPOTENCY_RETENTION_MIN: Duration = Duration::from_secs(10 * 60);
/// Bytes of a response in one row of the store, for the reason of [`BLOCK_FILL_BYTES`].
pub const IDEMPOTENCY_PART_BYTES: usize = BLOCK_FILL_BYTES;
/// Bytes that a kept response takes besides itself: its key in the store, and its entry in the in-memory order by age.
pub const IDEMPOTENCY_OVERHEAD_BYTES: u64 = 128;
/// Most responses that one new response may evict. The new one may be larger than they are, but eviction must stay
/// short.
pub const IDEMPOTENCY_EVICTIONS: usize = 64;
/// How often expired responses are looked for.
pub const IDEMPOTENCY_EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How many of them are deleted in one batch.
pub const IDEMPOTENCY_EXPIRY_BATCH: usize = 10_000;
/// Requests with a key that are in flight, or wait for one with the same key. More than there are connections, because
/// a request continues after its caller disconnects.
pub const IDEMPOTENT_REQUESTS_IN_FLIGHT: usize = 16_384;

// --- Simulator ---

/// How long the simulated channel takes to answer. Setting `simulator.delay_ms`.
pub const SIMULATOR_DELAY: Duration = Duration::from_millis(50);
/// `simulator.delay_ms`: from 0, which tests may use, to an hour.
pub const SETTABLE_SIMULATOR_DELAY_MS: RangeInclusive<u64> = 0..=60 * 60 * 1000;
