//! The queue as it is shared: those who wish put commands in, those who send or fetch take them out, and wait for more.

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

/// The line of commands.
pub(super) struct CommandQueue {
    state: Mutex<QueueState>,
    /// Something may be given out that could not before.
    changed: Notify,
    metrics: Metrics,
    now: Moments,
}

impl CommandQueue {
    pub(super) fn new(metrics: Metrics, now: Moments) -> CommandQueue {
        CommandQueue { state: Mutex::new(QueueState::new(COMMANDS_QUEUED)), changed: Notify::new(), metrics, now }
    }

    /// Puts a command in.
    pub(super) fn push(&self, order: QueuedCommand) -> PushOutcome {
        let queued = self.with_state(|queue, now| queue.push(order, now.steady));
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

    /// Takes out so many commands, most, each until the time that `until` says for it.
    pub(super) fn lease_commands(
        &self,
        most: usize,
        until: impl Fn(Moment, &QueuedCommand) -> Moment,
    ) -> Vec<LeasedCommand> {
        let given: Vec<LeasedCommand> = self.with_state(|queue, now| {
            let next = || queue.lease_next(now.steady, |order| until(now, order));
            std::iter::from_fn(next).take(most).collect()
        });
        self.count(BridgeCommand::Given, given.len());
        self.count(BridgeCommand::GivenAgain, given.iter().filter(|given| given.delivery > 1).count());
        given
    }

    /// The command that is leased so.
    pub(super) fn leased_command(&self, lease: u64) -> Option<QueuedCommand> {
        self.with_state(|queue, now| queue.leased_command(lease, now.steady).cloned())
    }

    /// Settles the command that is leased so.
    pub(super) fn complete(&self, lease: u64, outcome: BridgeCommand) -> Option<QueuedCommand> {
        let settled = self.with_state(|queue, now| queue.complete(lease, now.steady));
        self.count(outcome, usize::from(settled.is_some()));
        self.changed.notify_waiters();
        settled
    }

    /// Puts a command back, to be given out again after `wait`.
    pub(super) fn requeue(&self, lease: u64, wait: Duration) {
        self.with_state(|queue, now| queue.requeue(lease, now.steady, now.steady.plus(wait)));
        self.changed.notify_waiters();
    }

    /// Takes a command out that nobody waits for any more.
    pub(super) fn withdraw(&self, id: &str, account: Option<AccountNumber>) {
        self.with_state(|queue, now| queue.withdraw(id, account, now.steady));
    }

    /// Waits until there may be something that was not there when `look` last looked; what it finds is returned. Nothing
    /// that comes in between is missed.
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

    /// How long until something may be given out, or is over.
    fn next_wakeup(&self) -> Option<Duration> {
        // What is due but not taken is not taken for another reason; whoever does not take it need not be woken for it.
        self.with_state(|queue, now| queue.next_wakeup(now.steady).map(|next| next.since(now.steady).max(MIN_WAIT)))
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut QueueState, Moment) -> T) -> T {
        // A queue is whole between any two of its methods, none of which panics.
        let mut queue: MutexGuard<'_, QueueState> = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut queue, (self.now)());
        let (swept, leased) = (queue.take_expired_counts(), queue.leases());
        let waiting = queue.len() - leased;
        drop(queue);
        self.count(BridgeCommand::Expired, swept.leases);
        self.count(BridgeCommand::Late, swept.commands);
        self.metrics.bridge_queue.with(CommandState::Waiting).set(waiting as u64);
        self.metrics.bridge_queue.with(CommandState::Leased).set(leased as u64);
        done
    }

    fn count(&self, what: BridgeCommand, many: usize) {
        if many > 0 {
            self.metrics.bridge_commands.with(what).inc_by(many as u64);
        }
    }
}

/// Whoever looks again does not do so in a tight loop.
const MIN_WAIT: Duration = Duration::from_millis(5);
