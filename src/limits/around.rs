//! What stands around the service: service managers, and where traces are collected.

use std::time::Duration;

// --- Service managers ---

/// How long a service manager waits for the service to end before it kills it: three times the promised ten seconds, for a
/// disk that is slow.
pub const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// Files that it lets the service have open: several times [`CONNECTIONS`](super::CONNECTIONS), since an operator may
/// raise those, and webhooks and the store have files too.
pub const SERVICE_OPEN_FILES: usize = 65_536;
