//! The bounds of the pages.

use std::time::Duration;

/// Who may be signed in at once, most; beyond it the session that was used longest ago ends. Each is some 100 bytes.
pub const CONSOLE_SESSIONS: usize = 1_000;
/// How many of them one key may have: beyond it the key's own that was used longest ago ends.
pub const CONSOLE_SESSIONS_PER_KEY: usize = 20;
/// How long a browser stays signed in that asks for nothing.
pub const CONSOLE_SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
/// How long it stays signed in at most: a working day.
pub const CONSOLE_SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Bytes of a form: the longest list of accounts that a page shows, selected, takes about 16 KiB.
pub const PAGE_FORM_BYTES: usize = 64 * 1024;
/// Bytes of one answer of the API that a page is made from: the bundle of an account with some 10,000 events.
pub const PAGE_RESPONSE_BYTES: usize = 32 * 1024 * 1024;
/// How often it is looked how much happened, for the charts.
pub const CHART_INTERVAL: Duration = Duration::from_secs(1);
/// Points of a chart: two minutes.
pub const CHART_POINTS: usize = 120;
