//! What the task of a channel is asked while it runs, and what it answers.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::breaker::{Rates, State};
use super::client::Receiver;
use super::lane::Counts;
use crate::domain::AccountNumber;

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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Live {
    pub(super) has_receiver: bool,
    /// The position up to which everything is settled or has a row; none if there never was a receiver.
    pub(super) cursor: Option<u64>,
    pub(super) counts: Counts,
    pub(super) in_flight: usize,
    pub(super) breaker: State,
    pub(super) rates: Rates,
}

/// Answers an order. Whoever asked may have gone.
pub(super) fn told<T>(done: oneshot::Sender<T>, answer: T) {
    let _gone = done.send(answer);
}
