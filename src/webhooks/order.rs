//! What the task of a channel is asked while it runs, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::breaker::{Rates, State};
use super::client::Receiver;
use super::lane::Counts;
use super::waits::Moment;
use crate::domain::{AccountNumber, Timestamp};

/// A delivery: whose, and at which position.
pub(super) type Which = (AccountNumber, u64);

/// What is asked.
pub(super) enum Order {
    /// The receiver is another from now on, or none; nothing is sent while it is paused. Done when no attempt is under
    /// way that would not be started now.
    Configure { receiver: Option<Arc<dyn Receiver>>, is_paused: bool, done: oneshot::Sender<()> },
    /// These are sent again; those that wait for a retry, or block their lane, are tried at once.
    Again { which: Vec<Which>, done: oneshot::Sender<()> },
    /// Lanes that these block go on behind them.
    Skip { which: Vec<Which>, done: oneshot::Sender<()> },
    /// The cursor and everything that waits are dropped. The channel has no receiver.
    Close { done: oneshot::Sender<()> },
    /// How the channel is.
    Look { done: oneshot::Sender<Live> },
}

/// How a channel is at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) now: Moment,
    pub(super) has_receiver: bool,
    /// The position up to which everything is settled or has a row; none if there never was a receiver.
    pub(super) cursor: Option<u64>,
    pub(super) counts: Counts,
    /// How long its oldest delivery has been seen to be the oldest that is not settled.
    pub(super) oldest_for: Duration,
    pub(super) in_flight: usize,
    pub(super) breaker: State,
    pub(super) rates: Rates,
}

impl Live {
    /// A channel that never had a receiver.
    pub(super) fn idle(now: Moment) -> Live {
        Live {
            now,
            has_receiver: false,
            cursor: None,
            counts: Counts::default(),
            oldest_for: Duration::ZERO,
            in_flight: 0,
            breaker: State::default(),
            rates: Rates::default(),
        }
    }

    /// How old the oldest delivery is, whose event happened at `at`: by elapsed time since the channel was opened, so that
    /// no wall clock that is set hides it.
    pub(super) fn age(&self, at: Timestamp) -> Duration {
        self.now.steady.since(at).max(self.oldest_for)
    }
}

/// Answers an order. Whoever asked may have gone.
pub(super) fn told<T>(done: oneshot::Sender<T>, answer: T) {
    let _gone = done.send(answer);
}
