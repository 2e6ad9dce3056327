//! Stops all calls to Meta: for a while after a rate limit, and as long as Meta rejects the token.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::meta_codes::GraphError;

/// The throttle of all calls.
pub(super) struct Throttle {
    state: watch::Sender<ThrottleState>,
}

/// Why calls are stopped.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct ThrottleState {
    /// The end of the pause after a rate limit.
    paused_until: Option<Instant>,
    /// The error code of the rate limit, in brackets. Empty if a header set the pause.
    error_code: Arc<str>,
    /// Why Meta rejects the token, if it does.
    token_error: Option<Arc<str>>,
}

/// The deadline of some work, and its cancellation. Cheap to clone.
#[derive(Clone)]
pub(super) struct WorkDeadline {
    /// When the work must be done.
    pub(super) deadline: Instant,
    /// Cancelled once other work supersedes this, or the service stops.
    pub(super) cancel: CancellationToken,
}

/// The work was cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cancellation;

impl WorkDeadline {
    /// Sleeps for `wait`. Fails early if the work is cancelled.
    pub(super) async fn sleep(&self, wait: Duration) -> Result<(), Cancellation> {
        let over = self.cancel.run_until_cancelled(tokio::time::sleep(wait)).await;
        over.ok_or(Cancellation)
    }

    /// Whether more time than `wait` is left.
    pub(super) fn has_time_for(&self, wait: Duration) -> bool {
        Instant::now() + wait < self.deadline
    }
}

impl Throttle {
    pub(super) fn new() -> Throttle {
        Throttle { state: watch::Sender::default() }
    }

    /// Why calls are stopped now. `None` if they are not.
    pub(super) fn current_hold(&self) -> Option<ThrottleState> {
        let hold = self.state.borrow().clone();
        (hold.token_error.is_some() || hold.paused_until.is_some_and(|until| until > Instant::now())).then_some(hold)
    }

    /// Stops all calls for `wait`. A longer pause stays in effect.
    pub(super) fn pause_for(&self, wait: Duration, refused: Option<&GraphError>) {
        let until = Instant::now() + wait;
        let code = refused.map(|refused| format!(" ({refused})").into());
        self.state.send_modify(|hold| {
            if hold.paused_until <= Some(until) {
                hold.paused_until = Some(until);
                hold.error_code = code.unwrap_or_default();
            }
        });
    }

    /// Stops all calls until `accept_token`. Returns whether the token was accepted before.
    pub(super) fn reject_token(&self, why: &str) -> bool {
        self.state.send_if_modified(|hold| hold.token_error.replace(why.into()).is_none())
    }

    /// Allows calls again after Meta accepted the token.
    pub(super) fn accept_token(&self) {
        self.state.send_modify(|hold| hold.token_error = None);
    }

    /// Waits until Meta rejects the token.
    pub(super) async fn wait_for_token_rejection(&self) {
        // Fails only without a sender, and `self` holds the sender.
        let mut changes = self.state.subscribe();
        let _held = changes.wait_for(|hold| hold.token_error.is_some()).await;
    }

    /// Waits until calls are allowed. The inner error says why they stay stopped beyond the work's deadline.
    pub(super) async fn wait_for_clearance(
        &self,
        work: &WorkDeadline,
    ) -> Result<Result<(), ThrottleState>, Cancellation> {
        let mut changes = self.state.subscribe();
        while let Some(hold) = self.current_hold() {
            changes.mark_unchanged();
            let is_too_late =
                hold.token_error.is_none() && hold.paused_until.is_some_and(|until| until >= work.deadline);
            if is_too_late || Instant::now() >= work.deadline {
                return Ok(Err(hold));
            }
            let next = hold.paused_until.filter(|_| hold.token_error.is_none()).unwrap_or(work.deadline);
            tokio::select! {
                () = work.cancel.cancelled() => return Err(Cancellation),
                () = sleep_until(next) => {}
                _ = changes.changed() => {}
            }
        }
        if work.cancel.is_cancelled() { Err(Cancellation) } else { Ok(Ok(())) }
    }
}

impl ThrottleState {
    /// How long calls stay stopped; zero if it is unknown.
    pub(super) fn remaining(&self) -> Duration {
        self.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The sentence about the stop, for callers.
    pub(super) fn message(&self) -> String {
        if let Some(why) = &self.token_error {
            return why.to_string();
        }
        let minutes = self.remaining().as_secs().div_ceil(60);
        let minutes = if minutes == 1 { "1 minute".to_owned() } else { format!("{minutes} minutes") };
        format!("Meta accepts no more calls for now; try again in {minutes}{}", self.error_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(time_left: Duration) -> WorkDeadline {
        WorkDeadline { deadline: Instant::now() + time_left, cancel: CancellationToken::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_until_the_pause_is_over() {
        let throttle = Throttle::new();
        let (long, short) = (work(Duration::from_secs(100)), work(Duration::from_secs(5)));
        assert_eq!(throttle.wait_for_clearance(&long).await, Ok(Ok(())));
        let code = Some(80007);
        let refused = GraphError { http_status: 400, code, subcode: None, is_transient: false, trace_id: None };
        throttle.pause_for(Duration::from_secs(30), Some(&refused));
        throttle.pause_for(Duration::from_secs(1), None);
        let held = throttle.wait_for_clearance(&short).await.unwrap().unwrap_err();
        // At once, and with the code of the pause that stays.
        assert_eq!(held.message(), "Meta accepts no more calls for now; try again in 1 minute (code 80007)");
        let started = Instant::now();
        assert_eq!(throttle.wait_for_clearance(&long).await, Ok(Ok(())));
        assert_eq!(started.elapsed().as_secs(), 30, "the longer hold stays");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_token_stops_all_calls() {
        let throttle = Throttle::new();
        assert!(throttle.reject_token("no") && !throttle.reject_token("no"), "it is news once");
        let (waiting, cancelled) = (work(Duration::from_secs(100)), work(Duration::from_secs(100)));
        cancelled.cancel.cancel();
        assert_eq!(throttle.wait_for_clearance(&cancelled).await, Err(Cancellation));
        assert!(
            throttle.wait_for_clearance(&work(Duration::from_secs(5))).await.unwrap().unwrap_err().message() == "no"
        );
        let release = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            throttle.accept_token();
        };
        let (cleared, ()) = tokio::join!(throttle.wait_for_clearance(&waiting), release);
        assert_eq!(cleared, Ok(Ok(())));
    }
}
