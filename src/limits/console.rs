//! Bounds of the console pages.

use std::time::Duration;

/// Most signed-in sessions; beyond it the least recently used one ends. Each takes about 100 bytes.
pub const CONSOLE_SESSIONS: usize = 1_000;
/// Most sessions of one key; beyond it the key's least recently used one ends.
pub const CONSOLE_SESSIONS_PER_KEY: usize = 20;
/// How long a session lasts without a request.
pub const CONSOLE_SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
/// The longest lifetime of a session: a working day.
pub const CONSOLE_SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Bytes of a form: the longest list of accounts that a page shows, selected, takes about 16 KiB.
pub const PAGE_FORM_BYTES: usize = 64 * 1024;
/// Bytes of a bundle that a page verifies: that of an account with about 10,000 events.
pub const PAGE_BUNDLE_BYTES: usize = 32 * 1024 * 1024;
/// How often events are counted for the charts.
pub const CHART_INTERVAL: Duration = Duration::from_secs(1);
/// Points of a chart: two minutes.
pub const CHART_POINTS: usize = 120;
