//! Bounds of comparing gateways' sessions with what is shown.

use std::time::Duration;

/// Differences that are mended a second, most: a gateway that lost everything gives a million accounts something to do,
/// and callers come first.
pub const RECONCILE_PER_SECOND: u32 = 200;
/// Differences that are being mended at once, most; each waits for a commit.
pub const RECONCILE_IN_FLIGHT: usize = 32;
/// One deadline over the whole listing of a gateway's sessions: a million in pages of a thousand, each within the
/// deadline of a call when it is slow.
pub const RECONCILE_LISTING_TIMEOUT: Duration = Duration::from_secs(600);
/// How long after one comparison has begun the next one may begin, however often it is asked for.
pub const RECONCILE_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How long after a comparison that failed the next one begins; twice as long after each that fails again, up to
/// `gateway.reconcile_every`.
pub const RECONCILE_RETRY_WAIT: Duration = Duration::from_secs(5);
/// Waits of comparisons, and of accounts that come back, are up to so many parts of a hundred shorter: what began together
/// does not end together.
pub const JITTER_PERCENT: u64 = 10;
