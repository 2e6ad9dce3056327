//! The only reader of the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// The moment it is now.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
