//! The commands that the task of a channel accepts, and its answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::circuit_breaker::{AttemptCounts, CircuitState};
use super::lane::LaneCounts;
use super::receiver_client::Receiver;
use super::retry_schedule::Moment;
use crate::domain::{AccountNumber, Timestamp};

/// A delivery: its account and its position in the journal.
pub(super) type DeliveryKey = (AccountNumber, u64);

/// A command to a channel's task. The task answers each command through `done`.
pub(super) enum ChannelCommand {
    /// Replaces the receiver, and pauses or resumes the channel. If the channel is then paused or has no receiver, the
    /// answer comes once no attempt is in flight.
    Configure { receiver: Option<Arc<dyn Receiver>>, is_paused: bool, done: oneshot::Sender<()> },
    /// Sends these deliveries again. Those that wait for a retry or block their lane are tried at once.
    Redeliver { which: Vec<DeliveryKey>, done: oneshot::Sender<()> },
    /// Gives up these dead deliveries and unblocks their lanes.
    Discard { which: Vec<DeliveryKey>, done: oneshot::Sender<()> },
    /// Drops the cursor and all pending deliveries. The channel must have no receiver.
    Close { done: oneshot::Sender<()> },
    /// Returns the status of the channel.
    GetStatus { done: oneshot::Sender<ChannelStatus> },
}

/// The status of a channel at the moment `now`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChannelStatus {
    pub(super) now: Moment,
    pub(super) has_receiver: bool,
    /// Every delivery up to this position is completed, or its lane has a row in the delivery store. `None` if the
    /// channel never had a receiver or was closed.
    pub(super) cursor: Option<u64>,
    pub(super) counts: LaneCounts,
    /// How long the present oldest pending delivery has been the oldest one.
    pub(super) oldest_for: Duration,
    pub(super) in_flight: usize,
    pub(super) breaker: CircuitState,
    pub(super) recent_attempts: AttemptCounts,
}

impl ChannelStatus {
    /// The status of a channel without a cursor.
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

    /// The age of the oldest pending delivery, whose event happened at `at`. It is at least the elapsed time for which
    /// this delivery has been the oldest. So a wall clock that is set back does not hide it.
    pub(super) fn pending_age(&self, at: Timestamp) -> Duration {
        self.now.steady.since(at).max(self.oldest_for)
    }
}

/// Answers a command. The answer is lost if the requester stopped waiting.
pub(super) fn reply<T>(done: oneshot::Sender<T>, answer: T) {
    let _gone = done.send(answer);
}
