//! Bounds of all gateways.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Most register and deregister calls that Meta accepts for one number within [`REGISTER_CALLS_WINDOW`]; the next one
/// gets error 133016 (Cloud API, registration).
pub const REGISTER_CALLS: usize = 10;
/// The time window in which these calls count (Cloud API, registration).
pub const REGISTER_CALLS_WINDOW: Duration = Duration::from_secs(72 * 3600);

/// How often a gateway is reconciled. Setting `gateway.reconcile_every`.
pub const RECONCILE_INTERVAL: Duration = Duration::from_secs(300);
/// One deadline for a whole call to a gateway. Settings `gateway.bridge.timeout` and `gateway.cloud_api.timeout`.
pub const GATEWAY_TIMEOUT: Duration = Duration::from_secs(10);
/// The retry wait for requests to a gateway that is not set up: setting it up takes a restart.
pub const NOT_SET_UP_RETRY_WAIT: Duration = Duration::from_secs(30);
/// How long a gateway holds a command that it fetched. Setting `gateway.bridge.lease`.
pub const WORK_LEASE: Duration = Duration::from_secs(30);
/// Most commands in flight to a bridge gateway. Setting `gateway.bridge.max_in_flight`.
pub const BRIDGE_IN_FLIGHT: usize = 64;
/// Most commands sent to a bridge gateway a second. Setting `gateway.bridge.calls_per_second`.
pub const BRIDGE_CALLS_PER_SECOND: usize = 200;
/// Most Cloud API calls in flight. Setting `gateway.cloud_api.max_in_flight`.
pub const CLOUD_API_IN_FLIGHT: usize = 8;
/// Most Cloud API calls a second; Meta's own limit is some thousands an hour. Setting
/// `gateway.cloud_api.calls_per_second`.
pub const CLOUD_API_CALLS_PER_SECOND: usize = 5;
/// `gateway.*.max_in_flight`: each holds a connection.
pub const SETTABLE_CALLS_IN_FLIGHT: RangeInclusive<u64> = 1..=1_024;
/// `gateway.*.calls_per_second`: above it, it would limit nothing.
pub const SETTABLE_CALLS_PER_SECOND: RangeInclusive<u64> = 1..=100_000;
/// `gateway.rules`: each lookup of a number compares it with every rule.
pub const SETTABLE_RULES: usize = 1_000;
/// Most digits of a Meta id: ids are below 2^64 so far, but are never parsed as numbers.
pub const GRAPH_ID_DIGITS: usize = 32;
/// Most bytes of a configured token.
pub const TOKEN_BYTES: usize = 4_096;

/// Failed calls in a row after which a gateway counts as unavailable.
pub const GATEWAY_BREAKER_FAILURES: u32 = 5;
/// How long the breaker then stays open before one probe call; it doubles after each failed probe.
pub const GATEWAY_BREAKER_OPEN: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const GATEWAY_BREAKER_OPEN_MAX: Duration = Duration::from_secs(60);
/// Most gateway errors that operators are shown, the latest.
pub const GATEWAY_ERRORS_KEPT: usize = 20;
/// Bytes of each error.
pub const GATEWAY_ERROR_BYTES: usize = 500;
