//! A wall clock that follows tokio's paused clock, and that a test can set ahead or back. Each thread has its own.

use std::cell::Cell;
use std::time::Duration;

use muster::clock::Moment;
use muster::domain::Timestamp;
use tokio::time::{Instant, sleep_until};

/// The wall clock's time at the start.
pub const START_TIME: Timestamp = Timestamp(1_666_942_813_620_000);

thread_local! {
    /// The paused clock's time at the start.
    static STARTED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Microseconds by which the wall clock was set ahead or back.
    static OFFSET_MICROS: Cell<i64> = const { Cell::new(0) };
}

/// Starts the clock of this thread at [`START_TIME`].
pub fn start() {
    STARTED_AT.set(Some(Instant::now()));
    OFFSET_MICROS.set(0);
}

/// The time since this thread's clock was started.
pub fn elapsed() -> Duration {
    STARTED_AT.get().unwrap().elapsed()
}

/// The wall clock's time.
pub fn now() -> Timestamp {
    Timestamp(START_TIME.plus(elapsed()).0 + OFFSET_MICROS.get())
}

/// The wall clock's time, and the time without any offset.
pub fn moment() -> Moment {
    Moment { wall: now(), steady: START_TIME.plus(elapsed()) }
}

/// Sets the wall clock this many seconds ahead of the elapsed time, or back.
pub fn set_offset(seconds: i64) {
    OFFSET_MICROS.set(seconds * 1_000_000);
}

/// Waits until this long after the start.
pub async fn wait_until(moment: Duration) {
    sleep_until(STARTED_AT.get().unwrap() + moment).await;
}
