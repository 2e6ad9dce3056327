//! A wall clock that follows tokio's paused clock, and that a test sets ahead or back. Each thread has one of its own.

use std::cell::Cell;
use std::time::Duration;

use muster::clock::Moment;
use muster::domain::Timestamp;
use tokio::time::{Instant, sleep_until};

/// What the wall clock says at the start.
pub const BEGIN: Timestamp = Timestamp(1_666_942_813_620_000);

thread_local! {
    /// The paused clock at the start.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Microseconds by which the wall clock was set ahead since, or back.
    static SET_BY: Cell<i64> = const { Cell::new(0) };
}

/// Starts the clock of this thread at [`BEGIN`].
pub fn start() {
    BEGAN.set(Some(Instant::now()));
    SET_BY.set(0);
}

/// How long ago this thread's clock was started.
pub fn elapsed() -> Duration {
    BEGAN.get().unwrap().elapsed()
}

/// What the wall clock says.
pub fn now() -> Timestamp {
    Timestamp(BEGIN.plus(elapsed()).0 + SET_BY.get())
}

/// What the wall clock says, and what it would say had nobody set it.
pub fn moment() -> Moment {
    Moment { wall: now(), steady: BEGIN.plus(elapsed()) }
}

/// Sets the wall clock so many seconds ahead of what has elapsed, or back.
pub fn set_ahead(seconds: i64) {
    SET_BY.set(seconds * 1_000_000);
}

/// Waits until so long after the start.
pub async fn until(moment: Duration) {
    sleep_until(BEGAN.get().unwrap() + moment).await;
}
