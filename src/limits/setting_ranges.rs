//! Ranges of settings where a typing error would do harm.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{LARGE_BODIES_KIB, WEBHOOK_WINDOW};

/// `http.max_batch`: ten times the contract; all accounts of a batch are in memory at once.
pub const SETTABLE_BATCH_ACCOUNTS: RangeInclusive<u64> = 1..=100_000;
/// `http.max_body_bytes`: from one account to half of the budget for large bodies ([`LARGE_BODIES_KIB`]).
pub const SETTABLE_BODY_BYTES: RangeInclusive<u64> = 1_024..=(LARGE_BODIES_KIB as u64 * 1024 / 2);
/// `http.requests_per_second`.
pub const SETTABLE_REQUESTS: RangeInclusive<u64> = 1..=10_000_000;
/// `http.max_connections` and `http.max_connections_per_address`: a process can rarely open more files.
pub const SETTABLE_CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// `actors.max_active`: at about 2 KiB each the maximum is 20 GiB.
pub const SETTABLE_ACTORS: RangeInclusive<u64> = 1..=10_000_000;
/// `actors.max_in_flight`: ten of the largest batches.
pub const SETTABLE_COMMANDS: RangeInclusive<u64> = 1..=1_000_000;
/// `store.cache_bytes`: 1 MiB, below which sled mostly reads, to 1 TiB.
pub const SETTABLE_CACHE_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
/// `store.checkpoint_every`: a thousand million events take an hour to read.
pub const SETTABLE_CHECKPOINT: RangeInclusive<u64> = 1..=1_000_000_000;
/// `webhooks.max_in_flight`: no more deliveries can be in flight than are read ([`WEBHOOK_WINDOW`]).
pub const SETTABLE_WEBHOOKS: RangeInclusive<u64> = 1..=WEBHOOK_WINDOW as u64;
/// `webhooks.redeliver_per_second`: above it, it would limit nothing.
pub const SETTABLE_REDELIVERIES: RangeInclusive<u64> = 1..=100_000;
/// `webhooks.allow_networks`: each connection checks every network.
pub const SETTABLE_NETWORKS: usize = 100;
/// `simulator.delay_ms`: from 0, which tests may use, to an hour.
pub const SETTABLE_SIMULATOR_DELAY_MS: RangeInclusive<u64> = 0..=60 * 60 * 1000;
/// Deadlines and lifetimes: not zero, which would end things before they begin, and at most a year.
pub const SETTABLE_DURATION: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(365 * 24 * 60 * 60);
/// Waits in `webhooks.retry_waits`; each may be zero, and is at most as long as the longest deadline.
pub const SETTABLE_RETRY_WAITS: usize = 100;
/// `telemetry.service_name`, in bytes: collectors show it beside each span.
pub const SETTABLE_NAME_BYTES: usize = 64;
