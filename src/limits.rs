//! Every bound of the product, with its unit and the reason for its size.
//!
//! A bound that an operator may change is the *default* of a setting (see `config`); the rest are fixed. How far it may be
//! changed is in `settable`; the bounds of the pages are in `console`, of the ways to WhatsApp in `channels`, of comparing
//! their sessions in `reconcile`, of the way to servers of others in `client`, of service managers, the log and traces in
//! `around`, of the demonstration and its receiver in `demo`, of the suite for gateways in `conformance`.
//! What people are shown, and the files that they name, are in `display`; webhooks, and the orders of operators, in `webhooks`.

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
mod setting_ranges;
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
pub use setting_ranges::*;
pub use webhooks::*;

// --- Account numbers and requests (the contract) ---

/// Digits in an account number, fewest: the shortest international numbers in use.
pub const ACCOUNT_DIGITS_MIN: usize = 7;
/// Digits in an account number, most: ITU-T E.164 allows 15.
pub const ACCOUNT_DIGITS_MAX: usize = 15;
/// Digits in a calling code, most: `+1242` and its like carry the area too.
pub const CALLING_CODE_DIGITS_MAX: usize = 4;
/// Accounts in one request (the contract). Setting `http.max_batch`.
pub const BATCH_ACCOUNTS: usize = 10_000;
/// Bytes in a request body (the contract). Setting `http.max_body_bytes`.
pub const BODY_BYTES: usize = 16 * 1024 * 1024;
/// Bytes in one text of an account (a key, a name): far above any real key, far below a block.
pub const TEXT_BYTES: usize = 16 * 1024;
/// Bytes in all texts of one account together, so that its event always fits a commit block.
pub const CONTENT_BYTES: usize = 64 * 1024;
/// Bytes in a reason or an instance code; a longer one is cut, because a gateway's words never stop an event.
pub const REASON_BYTES: usize = 1024;
/// Characters in a verification code: real ones have 6; the bound only keeps essays out.
pub const VERIFY_CODE_BYTES: usize = 64;
/// Refused accounts that a 207 or 409 message names before it says "and N more".
pub const NAMED_REJECTIONS: usize = 3;

// --- Registration (the contract) ---

/// Codes that may be submitted for one registration.
pub const REGISTRATION_ATTEMPTS: u32 = 5;
/// How long a registration waits for its code. Setting `accounts.registration_lifetime`.
pub const REGISTRATION_LIFETIME: Duration = Duration::from_secs(600);
/// The largest task id: typed clients read it as a signed 32-bit integer.
pub const TASK_ID_MAX: u32 = i32::MAX as u32;

// --- Reconnecting (the contract's `accounts.auto_reconnect`) ---

/// How long after a drop an account is brought back; twice as long after the next drop in a row, and so on. Setting
/// `accounts.reconnect_wait`.
pub const RECONNECT_WAIT: Duration = Duration::from_secs(5);
/// The longest such wait.
pub const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(300);

// --- Actors ---

/// How long a `-coming` state may last (the contract). Setting `actors.coming_timeout`.
pub const COMING_TIMEOUT: Duration = Duration::from_secs(60);
/// An actor without work for this long is retired. Setting `actors.idle_after`.
pub const ACTOR_IDLE: Duration = Duration::from_secs(120);
/// Active actors, most; at about 2 KiB each this is 100 MiB. Setting `actors.max_active`.
pub const ACTORS_ACTIVE: usize = 50_000;
/// Commands under way, most; beyond it callers get a quick 503. Six whole batches. Setting `actors.max_in_flight`.
pub const COMMANDS_IN_FLIGHT: usize = 65_536;
/// Events after which an account's snapshot is written again.
pub const SNAPSHOT_EVERY: u64 = 64;
/// Events after which a retiring account's snapshot is written: fewer are read again as quickly as a snapshot.
pub const SNAPSHOT_ON_RETIRE_EVENTS: u64 = 8;
/// Part of the active actors, as a divisor, that is retired at once when their bound is reached: the oldest 1/8, so
/// that the search for the oldest is paid for by thousands of starts.
pub const RETIRE_DIVISOR: usize = 8;
/// How long actors are not looked through again for room after a look that found all of them at work.
pub const RETIRE_PAUSE: Duration = Duration::from_millis(50);
/// How often the registry looks for idle actors.
pub const RETIRE_SWEEP: Duration = Duration::from_secs(1);
/// How long after a failure a deadline is put to its account again.
pub const DEADLINE_RETRY_WAIT: Duration = Duration::from_secs(1);
/// Gateway reports and deadlines that wait for their actors' answers, most; beyond it gateways wait in turn.
pub const INBOX_CAPACITY: usize = 4_096;
/// Reports that are taken from a gateway in one go.
pub const REPORTS_PER_TURN: usize = 64;
/// Accounts taken up again a second after a restart, so that a restart is no stampede on the gateway.
pub const REDISPATCH_PER_SECOND: u32 = 2_000;

// --- Journal ---

/// Bytes in one commit block, most. sled packs up to 17 values in a leaf and moves leaves above a quarter of its
/// segment into blob files, which it never syncs: 17 × 112 KiB stays below a quarter of [`STORE_SEGMENT_BYTES`].
pub const BLOCK_BYTES: usize = 112 * 1024;
/// Bytes above which a commit block is closed, though more could be packed into it. sled gives each of the 256 parts of
/// its cache an equal share, and a leaf that is larger than this share (256 KiB of the default) is dropped from it and
/// read from the disk again for each block that is added to it: 17 × 15 KiB stays below.
pub const BLOCK_FILL_BYTES: usize = 15 * 1024;
/// Appends of one request that go to the writer together, while more of it is decided.
pub const APPEND_BATCH_CHUNK: usize = 128;
/// Bytes of blocks that are made durable together, at least, while more waits: enough that the disk is asked rarely, few
/// enough that nobody waits long for others.
pub const COMMIT_MIN_BYTES: usize = 512 * 1024;
/// Records in one commit block, most: bounds the scan for one record.
pub const BLOCK_RECORDS: usize = 1_024;
/// Bytes in one record's payload, most: above any content, and an event beside it still fits the block.
pub const PAYLOAD_BYTES: usize = 96 * 1024;
/// Events after which the journal's heads and the roster are saved again, so that a start reads no more than this.
/// Setting `store.checkpoint_every`.
pub const CHECKPOINT_EVERY: u64 = 200_000;
/// Records that one read from a position returns, most.
pub const READ_RECORDS: usize = 1_024;

// --- Audit ---

/// Facts that one page of events looks at, most: about a tenth of a second of reading.
pub const EVENTS_SCANNED: u64 = 1_000_000;
/// Events in one page, most.
pub const PAGE_EVENTS: usize = 1_000;
/// Events in one page where the caller does not say.
pub const PAGE_EVENTS_DEFAULT: usize = 100;
/// Lines of an export that have a digest of their own, so that a changed one is found without the original.
pub const EXPORT_CHUNK_LINES: u64 = 1_000;
/// Bytes in one line of an export, most: above any event, far below any memory.
pub const EXPORT_LINE_BYTES: u64 = 16 * 1024 * 1024;
/// How often a checkpoint is signed and saved while events happen.
pub const LOG_CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// Differences that a replay names, most.
pub const NAMED_DIFFERENCES: usize = 10;
/// Bytes that are gathered before they are passed on, in exports and backups.
pub const STREAM_CHUNK_BYTES: usize = 64 * 1024;

/// Time for a service to take the connection of a verb that asks it.
pub const CLI_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Blocks that wait to be hashed while a journal is verified, most: a few MiB.
pub const VERIFY_QUEUED_BLOCKS: usize = 256;

// --- Store ---

/// sled's segment size, fixed at creation: large enough for [`BLOCK_BYTES`]; sled takes a buffer of this size for each.
pub const STORE_SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// sled's page cache. Real memory use is a multiple of it. Setting `store.cache_bytes`.
pub const STORE_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// How often sled flushes by itself; durability never waits for it.
pub const STORE_FLUSH_EVERY: Duration = Duration::from_millis(500);
/// How long a start waits for the lock of a data directory that another holds: longer than a killed process takes to go,
/// and short enough for somebody who started a second one by mistake.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How often it looks.
pub const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(5);

// --- Roster ---

/// Rows in one chunk of the account list: about 64 KiB, the unit that is shared and copied on write.
pub const ROSTER_CHUNK_ROWS: usize = 1_024;

// --- HTTP ---

/// Open connections, most; further ones wait in the listen queue. Setting `http.max_connections`.
pub const CONNECTIONS: usize = 10_000;
/// Open connections of one address, most; further ones are closed. Half of all, because a reverse proxy is one address
/// and may carry nearly everybody, while no address alone keeps all others out. Setting
/// `http.max_connections_per_address`.
pub const CONNECTIONS_PER_ADDRESS: usize = CONNECTIONS / 2;
/// How often the log says, most, that connections wait or are closed because there are too many.
pub const CROWDED_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Time for a client to agree on TLS: as long as for a request head, which is a matter of the same few packets.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = HEADER_TIMEOUT;
/// How often the files of TLS are looked at. What is in them is taken up once two looks in a row find the same, so that
/// nothing is taken that is half written.
pub const TLS_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Bytes in one of them, most: all public CAs together are below 250 KB.
pub const TLS_FILE_BYTES: usize = 256 * 1024;
/// Time from the head of a request to the head of its answer: above [`BODY_TIMEOUT`] and the largest batch, far below the
/// patience of a caller that waits for ever. Setting `http.request_timeout`.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for a client to send its request head; slow ones are cut off.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a client to send its body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes in a body that is read and sealed where it arrives: fewer than 300 accounts, below a millisecond or two of
/// work. A larger one goes to the threads for blocking work, so that small requests never wait behind it.
pub const INLINE_BODY_BYTES: usize = 32 * 1024;
/// Accounts of one batch that are sealed on one core before another is asked to help: about a millisecond of work.
pub const SEALED_PER_CORE: usize = 128;
/// Bytes in all bodies above [`INLINE_BODY_BYTES`] that are read at once, in KiB: 32 of the largest. Beyond it callers
/// get a quick 503, because ten thousand connections with such bodies would fill any memory.
pub const LARGE_BODIES_KIB: usize = 32 * BODY_BYTES / 1024;
/// Time for a client to take any of an answer; one that takes nothing for so long is cut off.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Readers that follow the live tail at once, most.
pub const LIVE_TAIL_READERS: usize = 1_000;
/// Events that are read ahead for each of them, most: all readers together hold little, however large the events are.
pub const LIVE_TAIL_READ_AHEAD: usize = 8;
/// Answers that are made while they are sent (exports, backups, whole histories) at once, most. Each has a thread for
/// blocking work, of which there are 512, and callers' large requests need some too.
pub const STREAMED_RESPONSES: usize = 64;
/// How often a reader of the live tail hears that the service is still there, while nothing happens.
pub const LIVE_TAIL_HEARTBEAT: Duration = Duration::from_secs(15);
/// Bytes of a refused body that are read and thrown away, so that the client reads the answer instead of a reset.
pub const LINGER_BYTES: usize = 4 * BODY_BYTES;
/// Bytes of an `x-request-id` that are taken over from a caller; real ones (UUIDs, trace ids) have 16 to 55.
pub const REQUEST_ID_BYTES: usize = 64;
/// Bytes of a field's path in a message: a caller's own field name may be as long as the body.
pub const FIELD_PATH_BYTES: usize = 128;
/// Pause after the operating system refused a new connection for want of files or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for requests under way to finish at shutdown, and after them for webhook attempts.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);
/// Time for everything under way to end at shutdown: twice [`DRAIN`].
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);
/// Time from the signal to the end of the process, whatever the disk does: a little less than the promised ten seconds.
pub const STOP_TIMEOUT: Duration = Duration::from_millis(9_500);
/// Time for threads that are blocked, as by the disk, at the very end.
pub const BLOCKING_THREADS_TIMEOUT: Duration = Duration::from_secs(1);

// --- Access ---

/// Bits of an IPv6 address that say whose it is: a customer is given a /64 at least, and may take any address in it.
pub const IPV6_CLIENT_BITS: u32 = 64;
/// Requests a second that one key, or one address, may make; as many at once. Some times what one back-end needs, and a
/// third of what two cores carry. Setting `http.requests_per_second`.
pub const REQUESTS_PER_SECOND: usize = 10_000;
/// Keys and addresses whose requests are counted before those are forgotten that are quiet.
pub const RATE_SUBJECTS: usize = 100_000;

/// API keys there may ever be, revoked ones included: each is a few hundred bytes in memory.
pub const API_KEYS: usize = 10_000;
/// Bytes in the name of an API key.
pub const API_KEY_NAME_BYTES: usize = 64;
/// Beginnings of account numbers that one API key is bound to, most.
pub const API_KEY_PREFIXES: usize = 100;
/// Characters in the secret with which a tenant makes tokens: what the family's have is 32. A shorter one than the least
/// can be found by whoever saw one token.
pub const TENANT_SECRET_BYTES: RangeInclusive<usize> = 16..=128;
/// How far a token's timestamp may be from now, either side: what the family allows.
pub const TOKEN_WINDOW: Duration = Duration::from_secs(5 * 60);
/// How often it is looked whether the key of somebody who reads a stream is over: a revocation is told at once, but the
/// clock may be set.
pub const API_KEY_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes in an answer that is not watched while it is sent, most: it is in the buffers of the connection at once.
pub const UNWATCHED_RESPONSE_BYTES: u64 = 64 * 1024;
/// Bytes of a longer answer that are sent before its reader's key is looked at again.
pub const WATCHED_CHUNK_BYTES: usize = 64 * 1024;
/// How much later each further key that is none is answered, and how late at most.
pub const FAILED_KEY_DELAY: Duration = Duration::from_millis(50);
/// See [`FAILED_KEY_WAIT`].
pub const FAILED_KEY_DELAY_MAX: Duration = Duration::from_secs(2);
/// How long an address is remembered after its last such key.
pub const FAILED_KEYS_MEMORY: Duration = Duration::from_secs(60);
/// Addresses remembered so, most; beyond it every such key is answered as late as any.
pub const FAILED_KEYS_ADDRESSES: usize = 10_000;

// --- Answers that are kept for those who ask again ---

/// Characters in an `Idempotency-Key`, most: as many as the APIs that have it take. Real ones (UUIDs) have 36.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long an answer is kept under its key, as long as Stripe keeps it.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of all that are kept: about a million usual ones. Beyond it the oldest are forgotten.
pub const IDEMPOTENCY_BYTES: u64 = 256 * 1024 * 1024;
/// None is forgotten before this for want of room: whoever sends again after a timeout has done so by then.
pub const IDEMPOTENCY_RETENTION_MIN: Duration = Duration::from_secs(10 * 60);
/// Bytes of an answer in one row of the store, for the reason of [`BLOCK_FILL_BYTES`].
pub const IDEMPOTENCY_ROW_BYTES: usize = BLOCK_FILL_BYTES;
/// Bytes that a kept answer takes beside itself: its key in the store, and its place in memory by which the oldest is found.
pub const IDEMPOTENCY_OVERHEAD_BYTES: u64 = 128;
/// Answers that one new one may push out: it is larger than they, but nobody is to wait long for room.
pub const IDEMPOTENCY_EVICTIONS: usize = 64;
/// How often those are looked for that are over.
pub const IDEMPOTENCY_EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How many of them are forgotten in one go.
pub const IDEMPOTENCY_EXPIRY_BATCH: usize = 10_000;
/// Requests with a key that are under way, or wait for one with the same key: more than there are connections, because
/// one goes on though its caller has gone.
pub const IDEMPOTENT_REQUESTS_IN_FLIGHT: usize = 16_384;

// --- Simulator ---

/// How long the simulated channel takes for an answer. Setting `simulator.delay_ms`.
pub const SIMULATOR_DELAY: Duration = Duration::from_millis(50);
