//! The shared command queue: accounts queue commands, and push or pull leases them and waits for more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::queue_state::{LeasedCommand, PushOutcome, QueueState};
use super::queued_command::QueuedCommand;
use crate::clock::{Moment, Moments};
use crate::domain::AccountNumber;
use crate::limits::COMMANDS_QUEUED;
use crate::metrics::{BridgeCommand, CommandState, Metrics};

/// The shared command queue.
pub(super) struct CommandQueue {
    state: Mutex<QueueState>,
    /// Signals that another command may be due.
    changed: Notify,
    metrics: Metrics,
    now: Moments,
}

impl CommandQueue {
    pub(super) fn new(metrics: Metrics, now: Moments) -> CommandQueue {
        CommandQueue { state: Mutex::new(QueueState::new(COMMANDS_QUEUED)), changed: Notify::new(), metrics, now }
    }

    /// Queues a command.
    pub(super) fn push(&self, command: QueuedCommand) -> PushOutcome {
        let queued = self.with_state(|queue, now| queue.push(command, now.steady));
        match queued {
            PushOutcome::Added => self.count(BridgeCommand::Queued, 1),
            PushOutcome::Replaced => {
                self.count(BridgeCommand::Queued, 1);
                self.count(BridgeCommand::Superseded, 1);
            }
            PushOutcome::Superseded => self.count(BridgeCommand::Superseded, 1),
            PushOutcome::Full => self.count(BridgeCommand::Full, 1),
            PushOutcome::Duplicate => {}
        }
        self.changed.notify_waiters();
        queued
    }

    /// Leases at most `most` commands. `until` computes the end of each lease.
    pub(super) fn lease_commands(
        &self,
        most: usize,
        until: impl Fn(Moment, &QueuedCommand) -> Moment,
    ) -> Vec<LeasedCommand> {
        let leased: Vec<LeasedCommand> = self.with_state(|queue, now| {
            let next = || queue.lease_next(now.steady, |command| until(now, command));
            std::iter::from_fn(next).take(most).collect()
        });
        self.count(BridgeCommand::Leased, leased.len());
        self.count(BridgeCommand::LeasedAgain, leased.iter().filter(|leased| leased.delivery > 1).count());
        leased
    }

    /// The command of a lease that has not expired.
    pub(super) fn leased_command(&self, lease: u64) -> Option<QueuedCommand> {
        self.with_state(|queue, now| queue.leased_command(lease, now.steady).cloned())
    }

    /// Completes the command of a lease, and counts it as `outcome`. `None` if the lease has ended.
    pub(super) fn complete(&self, lease: u64, outcome: BridgeCommand) -> Option<QueuedCommand> {
        let completed = self.with_state(|queue, now| queue.complete(lease, now.steady));
        self.count(outcome, usize::from(completed.is_some()));
        self.changed.notify_waiters();
        completed
    }

    /// Ends a lease. Its command is delivered again after `wait`.
    pub(super) fn requeue(&self, lease: u64, wait: Duration) {
        self.with_state(|queue, now| queue.requeue(lease, now.steady, now.steady.plus(wait)));
        self.changed.notify_waiters();
    }

    /// Removes a command whose requester no longer waits.
    pub(super) fn withdraw(&self, id: &str, account: Option<AccountNumber>) {
        self.with_state(|queue, now| queue.withdraw(id, account, now.steady));
    }

    /// Calls `look` at once and after each change of the queue, and returns what it finds. No change is missed in between.
    pub(super) async fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            match self.next_wakeup() {
                Some(wait) => tokio::select! {
                    () = changed => {}
                    () = sleep(wait) => {}
                },
                None => changed.await,
            }
        }
    }

    /// How long until a command is due or something expires.
    fn next_wakeup(&self) -> Option<Duration> {
        // A due command that was not taken is blocked by something else. The minimum wait keeps the loop from spinning.
        self.with_state(|queue, now| queue.next_wakeup(now.steady).map(|next| next.since(now.steady).max(MIN_WAIT)))
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut QueueState, Moment) -> T) -> T {
        // The queue is consistent between its methods, and no method panics.
        let mut queue: MutexGuard<'_, QueueState> = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut queue, (self.now)());
        let (expired, leased) = (queue.take_expired_counts(), queue.leases());
        let waiting = queue.len() - leased;
        drop(queue);
        self.count(BridgeCommand::Expired, expired.leases);
        self.count(BridgeCommand::Late, expired.commands);
        self.metrics.bridge_queue.with(CommandState::Waiting).set(waiting as u64);
        self.metrics.bridge_queue.with(CommandState::Leased).set(leased as u64);
        result
    }

    fn count(&self, what: BridgeCommand, many: usize) {
        if many > 0 {
            self.metrics.bridge_commands.with(what).inc_by(many as u64);
        }
    }
}

/// The minimum wait, which keeps `wait_for` from spinning.
const MIN_WAIT: Duration = Duration::from_millis(5);
