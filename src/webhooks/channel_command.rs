//! What the task of a channel is asked while it runs, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::circuit_breaker::{AttemptCounts, CircuitState};
use super::lane::LaneCounts;
use super::receiver_client::Receiver;
use super::retry_schedule::Moment;
use crate::domain::{AccountNumber, Timestamp};

/// A delivery: whose, and at which position.
pub(super) type DeliveryKey = (AccountNumber, u64);

/// What is asked.
pub(super) enum ChannelCommand {
    /// The receiver is another from now on, or none; nothing is sent while it is paused. Done when no attempt is under
    /// way that would not be started now.
    Configure { receiver: Option<Arc<dyn Receiver>>, is_paused: bool, done: oneshot::Sender<()> },
    /// These are sent again; those that wait for a retry, or block their lane, are tried at once.
    Redeliver { which: Vec<DeliveryKey>, done: oneshot::Sender<()> },
    /// Lanes that these block go on behind them.
    Discard { which: Vec<DeliveryKey>, done: oneshot::Sender<()> },
    /// The cursor and everything that waits are dropped. The channel has no receiver.
    Close { done: oneshot::Sender<()> },
    /// How the channel is.
    GetStatus { done: oneshot::Sender<ChannelStatus> },
}

/// How a channel is at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChannelStatus {
    pub(super) now: Moment,
    pub(super) has_receiver: bool,
    /// The position up to which everything is settled or has a row; none if there never was a receiver.
    pub(super) cursor: Option<u64>,
    pub(super) counts: LaneCounts,
    /// How long its oldest delivery has been seen to be the oldest that is not settled.
    pub(super) oldest_for: Duration,
    pub(super) in_flight: usize,
    pub(super) breaker: CircuitState,
    pub(super) recent_attempts: AttemptCounts,
}

impl ChannelStatus {
    /// A channel that never had a receiver.
    pub(super) fn without_cursor(now: Moment) -> ChannelStatus {
        ChannelStatus {
            now,
            has_receiver: false,
            cursor: None,
            counts: LaneCounts::default(),
            oldest_for: Duration::ZERO,
            in_flight: 0,
            breaker: CircuitState::default(),
            recent_attempts: AttemptCounts::default(),
        }
    }

    /// How old the oldest delivery is, whose event happened at `at`: by elapsed time since the channel was opened, so that
    /// no wall clock that is set hides it.
    pub(super) fn pending_age(&self, at: Timestamp) -> Duration {
        self.now.steady.since(at).max(self.oldest_for)
    }
}

/// Answers an order. Whoever asked may have gone.
pub(super) fn reply<T>(done: oneshot::Sender<T>, answer: T) {
    let _gone = done.send(answer);
}
