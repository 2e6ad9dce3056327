//! Bounds of webhooks, of operators' orders, and of the master key.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Waits between the attempts of one delivery (the contract: 1 + 6 attempts). Setting `webhooks.retry_waits`.
pub const RETRY_WAITS: [Duration; 6] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(3 * 60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
];
/// Waits in `webhooks.retry_waits`; each may be zero, and is at most as long as the longest deadline.
pub const SETTABLE_RETRY_WAITS: usize = 100;
/// Deliveries in flight per channel. Setting `webhooks.max_in_flight`.
pub const WEBHOOKS_IN_FLIGHT: usize = 64;
/// `webhooks.max_in_flight`: no more deliveries can be in flight than are read ([`WEBHOOK_WINDOW`]).
pub const SETTABLE_WEBHOOKS: RangeInclusive<u64> = 1..=WEBHOOK_WINDOW as u64;
/// Deliveries read from the journal and not yet completed, per channel: the journal is the queue, and this is the
/// window.
pub const WEBHOOK_WINDOW: usize = 4_096;
/// An attempt that takes longer than this gets its own row, so that the channel's cursor can advance without it.
pub const WEBHOOK_SLOW_ATTEMPT: Duration = Duration::from_secs(1);
/// Events of one account that are read again at once after one of them failed; the others stay in the journal.
pub const WEBHOOK_REFILL_EVENTS: usize = 64;
/// Accounts whose events a channel reads again before it handles results and commands. After a restart, a million resyncs
/// may wait for their turn.
pub const WEBHOOK_REFILLS_PER_TURN: usize = 256;
/// One deadline for connecting, headers and body of an attempt. Setting `webhooks.timeout`.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// Time to connect to a receiver.
pub const WEBHOOK_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read of a receiver's response; its verdict is in the first few.
pub const WEBHOOK_RESPONSE_BYTES: usize = 64 * 1024;
/// Bytes of a receiver's response that are kept with the attempt: enough for one sentence.
pub const WEBHOOK_EXCERPT_BYTES: usize = 256;
/// A wait is shortened or lengthened by up to this many percent, so that deliveries that failed together are not
/// retried together.
pub const RETRY_JITTER_PERCENT: u64 = 20;
/// The longest `Retry-After` of a receiver that is followed; a longer one is shortened to it.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// The length of one bucket of the breaker's window.
pub const BREAKER_BUCKET: Duration = Duration::from_secs(10);
/// Buckets of the breaker's window: 5 minutes (Convoy's default, like the next three).
pub const BREAKER_BUCKETS: i64 = 30;
/// Fewest first attempts in the window before the breaker opens.
pub const BREAKER_ATTEMPTS_MIN: u64 = 10;
/// The percentage of failed attempts that opens the breaker.
pub const BREAKER_FAILED_PERCENT: u64 = 70;
/// How long the breaker stays open before a probe.
pub const BREAKER_OPEN: Duration = Duration::from_secs(30);
/// Most deliveries in one redelivery request: each is a row of about fifty bytes, and all are in memory at once.
pub const REDELIVERIES_PER_REQUEST: usize = 1_000_000;
/// Redeliveries handed to a channel at once, so that the channel does not pause.
pub const REDELIVERY_CHUNK: usize = 1_000;
/// Most events that one page of deliveries scans: a page that finds few ends early, and says where to continue.
pub const DELIVERIES_SCANNED: usize = 20_000;
/// How often the attempt log is pruned.
pub const ATTEMPTS_PRUNE_INTERVAL: Duration = Duration::from_secs(60);
/// How many attempts one pruning batch checks, so that other users of the store wait only briefly.
pub const ATTEMPTS_PRUNE_BATCH: usize = 20_000;
/// This many recent attempts in a row end the pruning. Later ones are recent too, except for a few old redeliveries.
pub const ATTEMPTS_PRUNE_STOP: usize = 1_000;
/// Bytes in a receiver's URL, encoded: what common servers accept in a request line.
pub const RECEIVER_URL_BYTES: usize = 8 * 1024;
/// `webhooks.allow_networks` and `http.trusted_proxies`: each connection or request checks every network.
pub const SETTABLE_NETWORKS: usize = 100;
/// Most attempts of one delivery that are remembered individually, the latest; earlier ones are only counted.
pub const ATTEMPTS_PER_DELIVERY: usize = 100;
/// The divisor for the share of a channel's attempts in flight that redeliveries may use. A quarter leaves space for
/// new deliveries while a receiver is slow.
pub const REDELIVERY_SHARE: usize = 4;
/// Positions whose deliveries share a row if the first attempt succeeded: about twenty bytes each, so that a row is a
/// page.
pub const SUCCESS_LOG_POSITIONS_PER_ROW: u64 = 256;
/// Most bytes that are read of such a row: every response is different and of full length, with invalid text replaced,
/// plus its metadata.
pub const SUCCESS_LOG_ROW_BYTES: usize = SUCCESS_LOG_POSITIONS_PER_ROW as usize * (3 * WEBHOOK_EXCERPT_BYTES + 128);
/// Most secrets that sign at once: the newest, and those within their grace period.
pub const SIGNING_SECRETS: usize = 5;
/// How long a replaced secret signs beside the new one by default (Svix's default).
pub const SECRET_GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest grace period that may be requested.
pub const SECRET_GRACE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long the command that prints the master key may take: key services respond within seconds.
pub const MASTER_KEY_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// How often its exit is checked, once its output has ended.
pub const MASTER_KEY_COMMAND_POLL: Duration = Duration::from_millis(5);
/// Most bytes of a text that holds a master key: 84 would suffice.
pub const MASTER_KEY_TEXT_BYTES: usize = 4096;
/// Most words of the command that prints the master key.
pub const MASTER_KEY_COMMAND_WORDS: usize = 64;
/// Most backups that are listed as needing the master key: those of three months, if one is taken daily.
pub const KNOWN_BACKUPS: usize = 100;
/// Accounts after which a rotation reports its progress.
pub const ROTATION_STEP: u64 = 1_024;
/// Bytes in an operator's reason.
pub const OPERATOR_REASON_BYTES: usize = 256;
/// Most bytes of the answer to a question of the command line: a longer answer is not a yes.
pub const CONFIRMATION_BYTES: u64 = 64;
/// Bytes in the body of a webhook administration request: positions of a few thousand dead letters.
pub const WEBHOOK_REQUEST_BYTES: usize = 64 * 1024;
/// Bytes in the body of an order to accounts: [`BATCH_ACCOUNTS`](super::BATCH_ACCOUNTS) indented numbers of 15 digits,
/// and a reason.
pub const BULK_ACTION_BYTES: usize = 512 * 1024;
/// Commands to a channel worker that wait in its queue.
pub const CHANNEL_COMMANDS: usize = 16;
/// Requested redeliveries and resyncs a second and channel: what a receiver handles besides its usual load. Setting
/// `webhooks.redeliver_per_second`.
pub const REDELIVERIES_PER_SECOND: usize = 100;
/// `webhooks.redeliver_per_second`: above it, it would limit nothing.
pub const SETTABLE_REDELIVERIES: RangeInclusive<u64> = 1..=100_000;
/// How long the attempts of completed deliveries are remembered, as long as GitHub and Stripe do. Setting
/// `webhooks.keep_attempts`.
pub const ATTEMPTS_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long the service must run with a shorter `webhooks.keep_attempts` before it takes effect: a day, in which an
/// operator can read the warning.
pub const KEEP_SHORTER_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes in a Standard Webhooks secret (its specification).
pub const WEBHOOK_SECRET_BYTES: RangeInclusive<usize> = 24..=64;
/// Bytes in an app secret: as many as HMAC-SHA256 uses unhashed.
pub const APP_SECRET_BYTES: RangeInclusive<usize> = 8..=64;
/// Bytes in a tenant's id.
pub const TENANT_ID_BYTES: usize = 64;
/// Most difference between a signature's time and the receiver's clock (the Standard Webhooks libraries).
pub const SIGNATURE_TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// How often a moving channel's cursor is saved; after a kill at most this much is sent again.
pub const CURSOR_SAVE_INTERVAL: Duration = Duration::from_millis(200);
