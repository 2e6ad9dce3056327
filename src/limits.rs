//! Every bound of the product, with its unit and the reason for its size.
//!
//! A bound that an operator may change is the *default* of a setting (see `config`); the rest are fixed.

use std::time::Duration;

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
pub const NAMED_REFUSALS: usize = 3;

// --- Registration (the contract) ---

/// Codes that may be submitted for one registration.
pub const REGISTRATION_ATTEMPTS: u32 = 5;
/// How long a registration waits for its code. Setting `accounts.registration_lifetime`.
pub const REGISTRATION_LIFETIME: Duration = Duration::from_secs(600);
/// The largest task id: typed clients read it as a signed 32-bit integer.
pub const TASK_ID_MAX: u32 = i32::MAX as u32;

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
/// How often the registry looks for idle actors.
pub const RETIRE_SWEEP: Duration = Duration::from_secs(1);
/// Accounts taken up again a second after a restart, so that a restart is no stampede on the gateway.
pub const TAKE_UP_PER_SECOND: u32 = 2_000;

// --- Journal ---

/// Bytes in one commit block, most. sled packs up to 17 values in a leaf and moves leaves above a quarter of its
/// segment into blob files, which it never syncs: 17 × 192 KiB stays below a quarter of [`STORE_SEGMENT_BYTES`].
pub const BLOCK_BYTES: usize = 192 * 1024;
/// Records in one commit block, most: bounds the scan for one record.
pub const BLOCK_RECORDS: usize = 1_024;
/// Bytes in one record's payload, most: also the decoder's limit against corrupted lengths.
pub const PAYLOAD_BYTES: usize = BLOCK_BYTES / 2;
/// Appends that wait for the writer, most; beyond it appenders wait in turn.
pub const APPEND_QUEUE: usize = 65_536;
/// Events after which the journal's heads and the roster are saved again, so that a start reads no more than this.
/// Setting `store.checkpoint_every`.
pub const CHECKPOINT_EVERY: u64 = 200_000;
/// Records that one read from a position returns, most.
pub const READ_RECORDS: usize = 1_024;

// --- Store ---

/// sled's segment size, fixed at creation; the largest it allows (see [`BLOCK_BYTES`]).
pub const STORE_SEGMENT_BYTES: usize = 16 * 1024 * 1024;
/// sled's page cache. Real memory use is a multiple of it. Setting `store.cache_bytes`.
pub const STORE_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// How often sled flushes by itself; durability never waits for it.
pub const STORE_FLUSH_EVERY: Duration = Duration::from_millis(500);

// --- Roster ---

/// Rows in one chunk of the account list: about 64 KiB, the unit that is shared and copied on write.
pub const ROSTER_CHUNK_ROWS: usize = 1_024;

// --- HTTP ---

/// Open connections, most; further ones wait in the listen queue. Setting `http.max_connections`.
pub const CONNECTIONS: usize = 10_000;
/// Time for a client to send its request head; slow ones are cut off.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a client to send its body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for requests under way to finish at shutdown; the rest of the ten seconds is for flushing.
pub const DRAIN: Duration = Duration::from_secs(6);

// --- Webhooks ---

/// Waits between the attempts of one delivery (the contract: 1 + 6 attempts). Setting `webhooks.retry_waits`.
pub const RETRY_WAITS: [Duration; 6] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(3 * 60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
];
/// Deliveries under way per channel. Setting `webhooks.max_in_flight`.
pub const WEBHOOKS_IN_FLIGHT: usize = 64;
/// Deliveries read from the journal and not yet settled, per channel: the journal is the queue, this is the window.
pub const WEBHOOK_WINDOW: usize = 4_096;
/// Deliveries that wait for a retry, or behind one, held in memory per channel; at the bound the reader pauses.
pub const WEBHOOK_PARKED: usize = 100_000;
/// One deadline over connecting, headers and body of an attempt. Setting `webhooks.timeout`.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// Connecting alone.
pub const WEBHOOK_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read of a receiver's answer; its verdict stands in the first few.
pub const WEBHOOK_ANSWER_BYTES: usize = 64 * 1024;
/// How often a channel's cursor is saved while it moves; a kill sends at most this long again.
pub const CURSOR_SAVE: Duration = Duration::from_millis(200);

// --- Simulator ---

/// How long the simulated channel takes for an answer. Setting `simulator.delay_ms`.
pub const SIMULATOR_DELAY: Duration = Duration::from_millis(50);
