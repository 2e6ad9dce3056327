//! When no call is made to Meta at all: after its word that there were too many, and while it refuses the token.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::answer::Refused;

/// The brake of all calls.
pub(super) struct Brake {
    hold: watch::Sender<Hold>,
}

/// What holds them up.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Hold {
    /// Until when Meta takes no more calls.
    until: Option<Instant>,
    /// The code with which it said so, in brackets; empty where a header did.
    code: Arc<str>,
    /// Why it refuses the token, if it does.
    token: Option<Arc<str>>,
}

/// For how long something is wanted, and whether it still is. Cheap to clone.
#[derive(Clone)]
pub(super) struct Wish {
    /// Until when.
    pub(super) until: Instant,
    /// Something else is wanted since, or the service stops.
    pub(super) is_over: CancellationToken,
}

/// It is not wanted any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Over;

impl Wish {
    /// Waits so long; ends early when it is not wanted any more.
    pub(super) async fn pause(&self, wait: Duration) -> Result<(), Over> {
        let over = self.is_over.run_until_cancelled(tokio::time::sleep(wait)).await;
        over.ok_or(Over)
    }

    /// Whether there is as much time left.
    pub(super) fn has(&self, wait: Duration) -> bool {
        Instant::now() + wait < self.until
    }
}

impl Brake {
    pub(super) fn new() -> Brake {
        Brake { hold: watch::Sender::default() }
    }

    /// What holds calls up now; none if nothing does.
    pub(super) fn held(&self) -> Option<Hold> {
        let hold = self.hold.borrow().clone();
        (hold.token.is_some() || hold.until.is_some_and(|until| until > Instant::now())).then_some(hold)
    }

    /// No call is made for so long; a longer hold stays.
    pub(super) fn hold_for(&self, wait: Duration, refused: Option<&Refused>) {
        let until = Instant::now() + wait;
        let code = refused.map(|refused| format!(" ({refused})").into());
        self.hold.send_modify(|hold| {
            hold.until = hold.until.max(Some(until));
            hold.code = code.unwrap_or_default();
        });
    }

    /// No call is made until the token is taken again. Whether that is new.
    pub(super) fn stop(&self, why: &str) -> bool {
        self.hold.send_if_modified(|hold| hold.token.replace(why.into()).is_none())
    }

    /// The token is taken again.
    pub(super) fn release(&self) {
        self.hold.send_modify(|hold| hold.token = None);
    }

    /// Waits until the token is refused.
    pub(super) async fn stopped(&self) {
        // Fails only without a sender, and this is it.
        let mut changes = self.hold.subscribe();
        let _held = changes.wait_for(|hold| hold.token.is_some()).await;
    }

    /// Waits until calls are made again, as long as `wish` is wanted. If they will not be by then, what holds them up.
    pub(super) async fn passed(&self, wish: &Wish) -> Result<Result<(), Hold>, Over> {
        let mut changes = self.hold.subscribe();
        while let Some(hold) = self.held() {
            changes.mark_unchanged();
            let is_too_late = hold.token.is_none() && hold.until.is_some_and(|until| until >= wish.until);
            if is_too_late || Instant::now() >= wish.until {
                return Ok(Err(hold));
            }
            let next = hold.until.filter(|_| hold.token.is_none()).unwrap_or(wish.until);
            tokio::select! {
                () = wish.is_over.cancelled() => return Err(Over),
                () = sleep_until(next) => {}
                _ = changes.changed() => {}
            }
        }
        if wish.is_over.is_cancelled() { Err(Over) } else { Ok(Ok(())) }
    }
}

impl Hold {
    /// For how long calls are held up, as far as that is known.
    pub(super) fn wait(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The sentence for whoever waits.
    pub(super) fn sentence(&self) -> String {
        if let Some(why) = &self.token {
            return why.to_string();
        }
        let minutes = self.wait().as_secs().div_ceil(60);
        let minutes = if minutes == 1 { "1 minute".to_owned() } else { format!("{minutes} minutes") };
        format!("Meta takes no more calls for now; try again in {minutes}{}", self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(patience: Duration) -> Wish {
        Wish { until: Instant::now() + patience, is_over: CancellationToken::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_before_its_time() {
        let brake = Brake::new();
        let (long, short) = (wish(Duration::from_secs(100)), wish(Duration::from_secs(5)));
        assert_eq!(brake.passed(&long).await, Ok(Ok(())));
        brake.hold_for(Duration::from_secs(30), None);
        brake.hold_for(Duration::from_secs(1), None);
        let held = brake.passed(&short).await.unwrap().unwrap_err();
        assert_eq!(held.sentence(), "Meta takes no more calls for now; try again in 1 minute", "told at once");
        let begun = Instant::now();
        assert_eq!(brake.passed(&long).await, Ok(Ok(())));
        assert_eq!(begun.elapsed().as_secs(), 30, "the longer hold stays");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_stops_everything_until_it_is_taken() {
        let brake = Brake::new();
        assert!(brake.stop("no") && !brake.stop("no"), "it is news once");
        let (waiting, gone) = (wish(Duration::from_secs(100)), wish(Duration::from_secs(100)));
        gone.is_over.cancel();
        assert_eq!(brake.passed(&gone).await, Err(Over));
        assert!(brake.passed(&wish(Duration::from_secs(5))).await.unwrap().unwrap_err().sentence() == "no");
        let release = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            brake.release();
        };
        let (passed, ()) = tokio::join!(brake.passed(&waiting), release);
        assert_eq!(passed, Ok(Ok(())));
    }
}
