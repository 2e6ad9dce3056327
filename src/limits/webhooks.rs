//! Bounds of the webhooks, of the orders of operators, and of the master key.

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
/// Deliveries under way per channel. Setting `webhooks.max_in_flight`.
pub const WEBHOOKS_IN_FLIGHT: usize = 64;
/// Deliveries read from the journal and not yet settled, per channel: the journal is the queue, this is the window.
pub const WEBHOOK_WINDOW: usize = 4_096;
/// An attempt that takes longer than this gets a row of its own, so that the channel's cursor goes on without it.
pub const WEBHOOK_SLOW_ATTEMPT: Duration = Duration::from_secs(1);
/// Events of one account that are read again at once after one of them failed; the rest stay in the journal.
pub const WEBHOOK_REFILL_EVENTS: usize = 64;
/// One deadline over connecting, headers and body of an attempt. Setting `webhooks.timeout`.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// Connecting alone.
pub const WEBHOOK_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read of a receiver's answer; its verdict stands in the first few.
pub const WEBHOOK_RESPONSE_BYTES: usize = 64 * 1024;
/// Bytes of a receiver's answer that are kept with the attempt: enough for its sentence.
pub const WEBHOOK_EXCERPT_BYTES: usize = 256;
/// A wait is made up to so much shorter or longer, in percent, so that what failed together is not tried together.
pub const RETRY_JITTER_PERCENT: u64 = 20;
/// The longest that a receiver's `Retry-After` is heeded; beyond it the receiver is asked all the same.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// The length of one part of the breaker's window.
pub const BREAKER_BUCKET: Duration = Duration::from_secs(10);
/// Parts of the breaker's window: 5 minutes (Convoy's default, as the three below are).
pub const BREAKER_BUCKETS: i64 = 30;
/// First attempts in the window, fewest, before the breaker opens.
pub const BREAKER_ATTEMPTS_MIN: u64 = 10;
/// Percent of them that failed, least.
pub const BREAKER_FAILED_PERCENT: u64 = 70;
/// How long the breaker stays open before a probe.
pub const BREAKER_OPEN: Duration = Duration::from_secs(30);
/// Deliveries in one request to send again, most: each is a row of some fifty bytes, and all are in memory at once.
pub const REDELIVERIES_PER_REQUEST: usize = 1_000_000;
/// Deliveries handed to a channel at once to be sent again, so that it does not pause over them.
pub const REDELIVERY_CHUNK: usize = 1_000;
/// Events that one page of deliveries looks at, most: a page that finds little ends early, and says where to go on.
pub const DELIVERIES_SCANNED: usize = 20_000;
/// How often remembered attempts are looked through for those to forget.
pub const ATTEMPTS_PRUNE_INTERVAL: Duration = Duration::from_secs(60);
/// How many are looked at in one go, so that nobody waits long for the store.
pub const ATTEMPTS_PRUNE_BATCH: usize = 20_000;
/// So many young ones in a row, and what is behind them is young too: one or the other old one was sent again.
pub const ATTEMPTS_PRUNE_STOP: usize = 1_000;
/// Bytes in the URL of a receiver, encoded: what common servers take in a request line.
pub const RECEIVER_URL_BYTES: usize = 8 * 1024;
/// Attempts of one delivery that are remembered one by one, the last of them; those before are counted.
pub const ATTEMPTS_PER_DELIVERY: usize = 100;
/// The share of a channel's attempts under way that may be of what is sent again: a quarter, so that what is new finds
/// room while a receiver is slow.
pub const REDELIVERY_SHARE: usize = 4;
/// Positions whose deliveries share a row if they were taken at once: some twenty bytes each, so that a row is a page.
pub const SUCCESS_LOG_POSITIONS_PER_ROW: u64 = 256;
/// Bytes that are read of such a row, most: each answer another one, as long as it may be once what is no text in it is
/// replaced, and what is said of each.
pub const SUCCESS_LOG_ROW_BYTES: usize = SUCCESS_LOG_POSITIONS_PER_ROW as usize * (3 * WEBHOOK_EXCERPT_BYTES + 128);
/// Secrets that sign at once, most: the newest, and those whose time of grace is not over.
pub const SIGNING_SECRETS: usize = 5;
/// How long an exchanged secret signs beside the new one, unless something else is asked for (Svix's default).
pub const SECRET_GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest that may be asked for.
pub const SECRET_GRACE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long the command that prints the master key may take: key services answer within seconds.
pub const MASTER_KEY_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is looked whether it has ended, once it has said everything.
pub const MASTER_KEY_COMMAND_POLL: Duration = Duration::from_millis(5);
/// Bytes of a text that holds a master key, most: 84 would do.
pub const MASTER_KEY_TEXT_BYTES: usize = 4096;
/// Words of the command that prints the master key.
pub const MASTER_KEY_COMMAND_WORDS: usize = 64;
/// Accounts after which a rotation says how far it is.
pub const ROTATION_STEP: u64 = 1_024;
/// Bytes in the reason that an operator gives.
pub const OPERATOR_REASON_BYTES: usize = 256;
/// Bytes of the answer to a question of the command line, most: longer ones are no yes.
pub const CONFIRMATION_BYTES: u64 = 64;
/// Bytes in the body of a request about the webhooks: positions of a few thousand dead letters.
pub const WEBHOOK_REQUEST_BYTES: usize = 64 * 1024;
/// Bytes in the body of an order to accounts: [`BATCH_ACCOUNTS`](super::BATCH_ACCOUNTS) numbers of 15 digits with room to indent them, and a
/// reason.
pub const BULK_ACTION_BYTES: usize = 512 * 1024;
/// Orders to a channel that wait until it looks.
pub const CHANNEL_COMMANDS: usize = 16;
/// Deliveries sent again because somebody asked for it, a second and channel: what a receiver takes beside its usual
/// load. Setting `webhooks.redeliver_per_second`.
pub const REDELIVERIES_PER_SECOND: usize = 100;
/// How long the attempts of settled deliveries are remembered, as long as GitHub and Stripe do. Setting
/// `webhooks.keep_attempts`.
pub const ATTEMPTS_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long the service must run with a shorter `webhooks.keep_attempts` before it counts: a day, in which whoever forgot
/// the setting reads the warning.
pub const KEEP_SHORTER_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes in a secret of Standard Webhooks (its specification).
pub const WEBHOOK_SECRET_BYTES: RangeInclusive<usize> = 24..=64;
/// Bytes in an app secret: as many as HMAC-SHA256 takes as they are.
pub const APP_SECRET_BYTES: RangeInclusive<usize> = 8..=64;
/// Bytes in a tenant's id.
pub const TENANT_ID_BYTES: usize = 64;
/// How far a signature's time may be from the receiver's (the Standard Webhooks libraries).
pub const SIGNATURE_TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// How often a channel's cursor is saved while it moves; a kill sends at most this long again.
pub const CURSOR_SAVE_INTERVAL: Duration = Duration::from_millis(200);
