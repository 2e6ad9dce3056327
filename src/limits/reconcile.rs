//! Bounds of reconciliation: comparing gateways' sessions with the roster.

use std::time::Duration;

/// Most differences that are repaired a second: a gateway that lost everything affects a million accounts, and callers
/// come first.
pub const RECONCILE_PER_SECOND: u32 = 200;
/// Most differences under repair at once; each waits for a commit.
pub const RECONCILE_IN_FLIGHT: usize = 32;
/// One deadline for listing all sessions of a gateway: a million in pages of a thousand, each within the deadline of a
/// slow call.
pub const RECONCILE_LISTING_TIMEOUT: Duration = Duration::from_secs(600);
/// The shortest time between the starts of two reconciliations, however often they are requested.
pub const RECONCILE_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The wait after a failed reconciliation; it doubles with each further failure, up to `gateway.reconcile_every`.
pub const RECONCILE_RETRY_WAIT: Duration = Duration::from_secs(5);
/// Waits of reconciliations and reconnects are shortened by up to this many percent, so that they spread out.
pub const JITTER_PERCENT: u64 = 10;
