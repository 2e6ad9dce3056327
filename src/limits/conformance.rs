//! Bounds of the gateway test suite.

use std::time::Duration;

/// How long a gateway has for each step that a check waits for.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a gateway's request or response.
pub const CHECK_BODY_BYTES: usize = 1024 * 1024;
/// Pages of sessions that are requested before a list counts as endless.
pub const CHECK_PAGES: usize = 10_000;
/// How long a fetch for work is held open.
pub const CHECK_WORK_WAIT: Duration = Duration::from_secs(2);
