//! Bounds of the ways to WhatsApp, whichever they are.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Calls to register or to take a registration back that Meta takes of one number in [`REGISTER_CALLS_WITHIN`]; the next
/// one is answered with error 133016 (Cloud API, registration).
pub const REGISTER_CALLS: usize = 10;
/// In what time these are counted (Cloud API, registration).
pub const REGISTER_CALLS_WINDOW: Duration = Duration::from_secs(72 * 3600);

/// How often the sessions of a gateway are compared with what is shown. Setting `gateway.reconcile_every`.
pub const RECONCILE_INTERVAL: Duration = Duration::from_secs(300);
/// One deadline over one call to a gateway. Settings `gateway.bridge.timeout` and `gateway.cloud_api.timeout`.
pub const GATEWAY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long whoever sends something to a gateway that is not set up is told to wait: setting it up takes a restart.
pub const NOT_SET_UP_AGAIN: Duration = Duration::from_secs(30);
/// How long a command that a gateway fetched is its own. Setting `gateway.bridge.lease`.
pub const WORK_LEASE: Duration = Duration::from_secs(30);
/// Commands on their way to a bridge's gateway, most. Setting `gateway.bridge.max_in_flight`.
pub const BRIDGE_IN_FLIGHT: usize = 64;
/// Commands sent to it a second, most. Setting `gateway.bridge.calls_per_second`.
pub const BRIDGE_CALLS_PER_SECOND: usize = 200;
/// Calls to the Cloud API under way, most. Setting `gateway.cloud_api.max_in_flight`.
pub const CLOUD_API_IN_FLIGHT: usize = 8;
/// Calls to the Cloud API a second, most; Meta's own limit is some thousands an hour. Setting
/// `gateway.cloud_api.calls_per_second`.
pub const CLOUD_API_CALLS_PER_SECOND: usize = 5;
/// `gateway.*.max_in_flight`: each holds a connection.
pub const SETTABLE_CALLS_IN_FLIGHT: RangeInclusive<u64> = 1..=1_024;
/// `gateway.*.calls_per_second`: beyond it, it is no limit.
pub const SETTABLE_CALLS_PER_SECOND: RangeInclusive<u64> = 1..=100_000;
/// `gateway.rules`: each number that is asked for is held against each of them.
pub const SETTABLE_RULES: usize = 1_000;
/// Digits of an id at Meta, most: they are below 2^64 so far, and are never taken for numbers.
pub const GRAPH_ID_DIGITS: usize = 32;
/// Bytes of a token that is set, most.
pub const TOKEN_BYTES: usize = 4_096;

/// Calls that fail one after the other, after which a gateway is taken to be away.
pub const GATEWAY_BREAKER_FAILURES: u32 = 5;
/// How long it is then left alone before one call tries again; twice as long after each that fails.
pub const GATEWAY_BREAKER_OPEN: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const GATEWAY_BREAKER_OPEN_MAX: Duration = Duration::from_secs(60);
/// Errors of a gateway that operators are shown, the last ones.
pub const GATEWAY_ERRORS_KEPT: usize = 20;
/// Bytes of each.
pub const GATEWAY_ERROR_BYTES: usize = 500;
