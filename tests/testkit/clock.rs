//! A wall clock that follows tokio's paused clock, and that a test sets ahead or back. Each thread has one of its own.

use std::cell::Cell;
use std::time::Duration;

use muster::clock::Moment;
use muster::domain::Timestamp;
use tokio::time::{Instant, sleep_until};

/// What the wall clock says at the start.
pub const START_TIME: Timestamp = Timestamp(1_666_942_813_620_000);

thread_local! {
    /// The paused clock at the start.
    static STARTED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Microseconds by which the wall clock was set ahead since, or back.
    static OFFSET_MICROS: Cell<i64> = const { Cell::new(0) };
}

/// Starts the clock of this thread at [`BEGIN`].
pub fn start() {
    STARTED_AT.set(Some(Instant::now()));
    OFFSET_MICROS.set(0);
}

/// How long ago this thread's clock was started.
pub fn elapsed() -> Duration {
    STARTED_AT.get().unwrap().elapsed()
}

/// What the wall clock says.
pub fn now() -> Timestamp {
    Timestamp(START_TIME.plus(elapsed()).0 + OFFSET_MICROS.get())
}

/// What the wall clock says, and what it would say had nobody set it.
pub fn moment() -> Moment {
    Moment { wall: now(), steady: START_TIME.plus(elapsed()) }
}

/// Sets the wall clock so many seconds ahead of what has elapsed, or back.
pub fn set_offset(seconds: i64) {
    OFFSET_MICROS.set(seconds * 1_000_000);
}

/// Waits until so long after the start.
pub async fn wait_until(moment: Duration) {
    sleep_until(STARTED_AT.get().unwrap() + moment).await;
}
