//! Bounds of Meta's WhatsApp Business Cloud API: the calls to its Graph, and the webhooks from it.

use std::time::Duration;

// --- Calls ---

/// Time for the Graph to take a connection; a whole call has `gateway.cloud_api.timeout`.
pub const GRAPH_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: a page of 100 numbers takes some 40 KiB.
pub const GRAPH_RESPONSE_BYTES: usize = 1024 * 1024;
/// Numbers on one page of the list: the most that Meta gives.
pub const GRAPH_PAGE_SIZE: usize = 100;
/// Pages of one list, most: a WABA has 20 numbers after verification, and more by agreement. What is longer is an error,
/// not a part of it.
pub const GRAPH_PAGES: usize = 200;
/// Bytes of an id or a cursor of Meta's: ids have up to 20 digits, cursors some 200 letters.
pub const GRAPH_ID_BYTES: usize = 1024;
/// Accounts that wait for a look at their number, from which on the whole list is asked for: it shows 100 in one call.
pub const GRAPH_LIST_THRESHOLD: usize = 8;
/// The first wait before a call is made again that failed for a passing reason; each next one is twice as long.
pub const GRAPH_RETRY_WAIT: Duration = Duration::from_millis(250);
/// The longest such wait.
pub const GRAPH_RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Calls that may be made in all for one step of one wish that is answered by passing errors.
pub const GRAPH_ATTEMPTS_MAX: u32 = 6;
/// How long no call is made after Meta says that there were too many and does not say for how long.
pub const GRAPH_RATE_PAUSE: Duration = Duration::from_secs(60);
/// The longest time that Meta's word is taken for how long no call may be made: its counts are of hours.
pub const GRAPH_RATE_PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long after Meta refused the token it is tried again, with one call; twice as long after each further one.
pub const GRAPH_PROBE_WAIT: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const GRAPH_PROBE_WAIT_MAX: Duration = Duration::from_secs(60);

// --- Registering a number ---

/// Digits of the PIN that a number is registered with.
pub const META_PIN_DIGITS: usize = 6;
/// Calls to register a number that are made for one wish, most, where each fails for a passing reason: there are ten in 72
/// hours, and the next wish is to have some of them.
pub const META_REGISTER_ATTEMPTS_MAX: u32 = 3;
/// How long a number may be PENDING after a call to register it before it is taken for one that was never made: Meta does
/// not say, and a crash may have come between the record and the call.
pub const META_PENDING_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after error 133015: the number was deleted lately (Meta says five minutes).
pub const META_DELETED_WAIT: Duration = Duration::from_secs(5 * 60);
/// Wait after error 136024: a code was asked for too often, or the number is verified (Meta says an hour).
pub const META_CODE_WAIT: Duration = Duration::from_secs(3600);
/// Wait after error 136024 with subcode 2388367: far too often (Meta says up to 48 hours).
pub const META_CODE_WAIT_LONG: Duration = Duration::from_secs(48 * 3600);
/// Wait after error 133009: PINs were tried too quickly. Meta does not say for how long.
pub const META_PIN_WAIT: Duration = Duration::from_secs(5 * 60);
/// Wait after error 133008: too many wrong PINs. Meta does not say for how long.
pub const META_PIN_WAIT_LONG: Duration = Duration::from_secs(24 * 3600);
/// Times that an earlier, incomplete deregistration is completed (error 133000) before it is given up: each uses up one of
/// the calls that Meta counts.
pub const META_DEREGISTER_RETRIES: u32 = 2;

// --- Webhooks ---

/// Bytes of a webhook of Meta's, most: it sends up to 3 MB.
pub const META_WEBHOOK_BYTES: usize = 3 * 1024 * 1024;
/// Updates that are remembered, so that one that comes again is known: ten batches of a thousand, at 40 bytes each.
pub const META_UPDATES_REMEMBERED: usize = 10_000;
/// Time to look at what a webhook may mean before it is answered that it is to come again: Meta has been seen to wait for
/// six seconds.
pub const META_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of a challenge that is repeated to Meta: it sends ten digits.
pub const META_CHALLENGE_BYTES: usize = 256;
/// How long it is tried to look at the numbers after a webhook: by then Meta has sent it again.
pub const META_SYNC_TIMEOUT: Duration = Duration::from_secs(60);
/// Looks after webhooks that are under way at the same time, most; each holds a list and waits for the Graph.
pub const META_SYNCS_IN_FLIGHT: usize = 4;
/// Accounts that are settled side by side after a look.
pub const META_SYNC_ACCOUNTS_IN_FLIGHT: usize = 64;
