//! Bounds of the suite that a gateway is held to.

use std::time::Duration;

/// How long a gateway has for each thing that a check waits for.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request or an answer of a gateway, most.
pub const CHECK_BODY_BYTES: usize = 1024 * 1024;
/// Pages of sessions that are asked for before a list is taken to have no end.
pub const CHECK_PAGES: usize = 10_000;
/// How long a fetch for work is kept waiting.
pub const CHECK_WORK_WAIT: Duration = Duration::from_secs(2);
