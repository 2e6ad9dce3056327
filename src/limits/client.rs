//! Bounds of what is asked of servers of others: receivers, gateways, collectors.

use std::time::Duration;

/// How long a connection is used for further requests, so that a name that moves is followed: as long as the records of
/// names that are meant to move are kept. Setting `webhooks.connection_lifetime`.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);
/// Bytes in one head of an answer, final or interim: proxies take less.
pub const RESPONSE_HEAD_BYTES: usize = 64 * 1024;
