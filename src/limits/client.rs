//! Bounds of requests to external servers: receivers, gateways, collectors.

use std::time::Duration;

/// How long a connection is reused, so that a changed DNS record takes effect: as long as such records are usually
/// cached. Setting `webhooks.connection_lifetime`.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);
/// Bytes in one response head, final or interim: proxies accept less.
pub const RESPONSE_HEAD_BYTES: usize = 64 * 1024;
