//! When no call is made to Meta at all: after its word that there were too many, and while it refuses the token.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::graph_response::GraphError;

/// The brake of all calls.
pub(super) struct Throttle {
    state: watch::Sender<ThrottleState>,
}

/// What holds them up.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct ThrottleState {
    /// Until when Meta takes no more calls.
    paused_until: Option<Instant>,
    /// The code with which it said so, in brackets; empty where a header did.
    error_code: Arc<str>,
    /// Why it refuses the token, if it does.
    token_error: Option<Arc<str>>,
}

/// For how long something is wanted, and whether it still is. Cheap to clone.
#[derive(Clone)]
pub(super) struct WorkDeadline {
    /// Until when.
    pub(super) deadline: Instant,
    /// Something else is wanted since, or the service stops.
    pub(super) cancel: CancellationToken,
}

/// It is not wanted any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cancellation;

impl WorkDeadline {
    /// Waits so long; ends early when it is not wanted any more.
    pub(super) async fn sleep(&self, wait: Duration) -> Result<(), Cancellation> {
        let over = self.cancel.run_until_cancelled(tokio::time::sleep(wait)).await;
        over.ok_or(Cancellation)
    }

    /// Whether there is as much time left.
    pub(super) fn has_time_for(&self, wait: Duration) -> bool {
        Instant::now() + wait < self.deadline
    }
}

impl Throttle {
    pub(super) fn new() -> Throttle {
        Throttle { state: watch::Sender::default() }
    }

    /// What holds calls up now; none if nothing does.
    pub(super) fn current_hold(&self) -> Option<ThrottleState> {
        let hold = self.state.borrow().clone();
        (hold.token_error.is_some() || hold.paused_until.is_some_and(|until| until > Instant::now())).then_some(hold)
    }

    /// No call is made for so long; a longer hold stays.
    pub(super) fn pause_for(&self, wait: Duration, refused: Option<&GraphError>) {
        let until = Instant::now() + wait;
        let code = refused.map(|refused| format!(" ({refused})").into());
        self.state.send_modify(|hold| {
            hold.paused_until = hold.paused_until.max(Some(until));
            hold.error_code = code.unwrap_or_default();
        });
    }

    /// No call is made until the token is taken again. Whether that is new.
    pub(super) fn reject_token(&self, why: &str) -> bool {
        self.state.send_if_modified(|hold| hold.token_error.replace(why.into()).is_none())
    }

    /// The token is taken again.
    pub(super) fn accept_token(&self) {
        self.state.send_modify(|hold| hold.token_error = None);
    }

    /// Waits until the token is refused.
    pub(super) async fn wait_for_token_rejection(&self) {
        // Fails only without a sender, and this is it.
        let mut changes = self.state.subscribe();
        let _held = changes.wait_for(|hold| hold.token_error.is_some()).await;
    }

    /// Waits until calls are made again, as long as `wish` is wanted. If they will not be by then, what holds them up.
    pub(super) async fn wait_for_clearance(
        &self,
        wish: &WorkDeadline,
    ) -> Result<Result<(), ThrottleState>, Cancellation> {
        let mut changes = self.state.subscribe();
        while let Some(hold) = self.current_hold() {
            changes.mark_unchanged();
            let is_too_late =
                hold.token_error.is_none() && hold.paused_until.is_some_and(|until| until >= wish.deadline);
            if is_too_late || Instant::now() >= wish.deadline {
                return Ok(Err(hold));
            }
            let next = hold.paused_until.filter(|_| hold.token_error.is_none()).unwrap_or(wish.deadline);
            tokio::select! {
                () = wish.cancel.cancelled() => return Err(Cancellation),
                () = sleep_until(next) => {}
                _ = changes.changed() => {}
            }
        }
        if wish.cancel.is_cancelled() { Err(Cancellation) } else { Ok(Ok(())) }
    }
}

impl ThrottleState {
    /// For how long calls are held up, as far as that is known.
    pub(super) fn remaining(&self) -> Duration {
        self.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The sentence for whoever waits.
    pub(super) fn message(&self) -> String {
        if let Some(why) = &self.token_error {
            return why.to_string();
        }
        let minutes = self.remaining().as_secs().div_ceil(60);
        let minutes = if minutes == 1 { "1 minute".to_owned() } else { format!("{minutes} minutes") };
        format!("Meta takes no more calls for now; try again in {minutes}{}", self.error_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(patience: Duration) -> WorkDeadline {
        WorkDeadline { deadline: Instant::now() + patience, cancel: CancellationToken::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_before_its_time() {
        let brake = Throttle::new();
        let (long, short) = (wish(Duration::from_secs(100)), wish(Duration::from_secs(5)));
        assert_eq!(brake.wait_for_clearance(&long).await, Ok(Ok(())));
        brake.pause_for(Duration::from_secs(30), None);
        brake.pause_for(Duration::from_secs(1), None);
        let held = brake.wait_for_clearance(&short).await.unwrap().unwrap_err();
        assert_eq!(held.message(), "Meta takes no more calls for now; try again in 1 minute", "told at once");
        let begun = Instant::now();
        assert_eq!(brake.wait_for_clearance(&long).await, Ok(Ok(())));
        assert_eq!(begun.elapsed().as_secs(), 30, "the longer hold stays");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_stops_everything_until_it_is_taken() {
        let brake = Throttle::new();
        assert!(brake.reject_token("no") && !brake.reject_token("no"), "it is news once");
        let (waiting, gone) = (wish(Duration::from_secs(100)), wish(Duration::from_secs(100)));
        gone.cancel.cancel();
        assert_eq!(brake.wait_for_clearance(&gone).await, Err(Cancellation));
        assert!(brake.wait_for_clearance(&wish(Duration::from_secs(5))).await.unwrap().unwrap_err().message() == "no");
        let release = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            brake.accept_token();
        };
        let (passed, ()) = tokio::join!(brake.wait_for_clearance(&waiting), release);
        assert_eq!(passed, Ok(Ok(())));
    }
}
