//! The only reader of the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// What tells the time: [`now`], or a clock that a test moves.
pub type Clock = fn() -> Timestamp;

/// The moment it is now.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
