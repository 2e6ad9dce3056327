//! Bounds of Meta's WhatsApp Business Cloud API: calls to its Graph API, and its webhooks.

use std::time::Duration;

// --- Calls ---

/// Time to connect to the Graph API; a whole call has `gateway.cloud_api.timeout`.
pub const GRAPH_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a response that are read: a page of 100 numbers takes about 40 KiB.
pub const GRAPH_RESPONSE_BYTES: usize = 1024 * 1024;
/// Numbers on one page of the list: Meta's maximum.
pub const GRAPH_PAGE_SIZE: usize = 100;
/// Most pages of one list: a WABA has 20 numbers after verification, and more by agreement. A longer list is an error,
/// because a partial list would be wrong.
pub const GRAPH_PAGES: usize = 200;
/// Bytes of a Meta id or cursor: ids have up to 20 digits, cursors about 200 characters.
pub const GRAPH_ID_BYTES: usize = 1024;
/// If more accounts than this wait for a status check, the whole list is requested: one call returns 100 numbers.
pub const GRAPH_LIST_THRESHOLD: usize = 8;
/// The first wait before a call that failed for a transient reason is repeated; it doubles each time.
pub const GRAPH_RETRY_WAIT: Duration = Duration::from_millis(250);
/// The longest such wait.
pub const GRAPH_RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Most calls for one step of one command that gets transient errors.
pub const GRAPH_ATTEMPTS_MAX: u32 = 6;
/// How long calls pause after Meta's rate limit error without a duration.
pub const GRAPH_RATE_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that is taken from Meta's response: its limits count by the hour.
pub const GRAPH_RATE_PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long after Meta rejected the token one call probes it; it doubles after each further rejection.
pub const GRAPH_PROBE_WAIT: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const GRAPH_PROBE_WAIT_MAX: Duration = Duration::from_secs(60);

// --- Registering a number ---

/// Digits of the PIN that registers a number.
pub const META_PIN_DIGITS: usize = 6;
/// Most register calls for one command if each fails for a transient reason. Meta accepts ten in 72 hours, and the next
/// command needs some of them.
pub const META_REGISTER_ATTEMPTS_MAX: u32 = 3;
/// How long a number may be PENDING after a recorded register call. After it the call is assumed not made: a crash may have
/// come between the record and the call. Meta does not say how long.
pub const META_PENDING_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after error 133015: the number was recently deleted (Meta says five minutes).
pub const META_DELETED_WAIT: Duration = Duration::from_secs(5 * 60);
/// Wait after error 136024: a code was requested too often, or the number is verified (Meta says an hour).
pub const META_CODE_WAIT: Duration = Duration::from_secs(3600);
/// Wait after error 136024 with subcode 2388367: a code was requested far too often (Meta says up to 48 hours).
pub const META_CODE_WAIT_LONG: Duration = Duration::from_secs(48 * 3600);
/// Wait after error 133009: PINs were tried too quickly. Meta does not say how long.
pub const META_PIN_WAIT: Duration = Duration::from_secs(5 * 60);
/// Wait after error 133008: too many wrong PINs. Meta does not say how long.
pub const META_PIN_WAIT_LONG: Duration = Duration::from_secs(24 * 3600);
/// How often a command tries to complete an earlier, incomplete deregistration (error 133000): each call counts at Meta.
pub const META_DEREGISTER_RETRIES: u32 = 2;

// --- Webhooks ---

/// Most bytes of a Meta webhook: it sends up to 3 MB.
pub const META_WEBHOOK_BYTES: usize = 3 * 1024 * 1024;
/// Updates remembered to recognise redeliveries: ten batches of a thousand, at 40 bytes each.
pub const META_UPDATES_REMEMBERED: usize = 10_000;
/// Time for the status checks that a webhook causes. After it Meta is asked to send the webhook again: Meta has been seen
/// to wait for six seconds.
pub const META_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of a challenge that is echoed to Meta: it sends ten digits.
pub const META_CHALLENGE_BYTES: usize = 256;
/// How long the sync after a webhook is retried: by then Meta has sent the webhook again.
pub const META_SYNC_TIMEOUT: Duration = Duration::from_secs(60);
/// Most concurrent syncs after webhooks; each holds a list and waits for the Graph API.
pub const META_SYNCS_IN_FLIGHT: usize = 4;
/// Accounts that one sync updates concurrently.
pub const META_SYNC_ACCOUNTS_IN_FLIGHT: usize = 64;
