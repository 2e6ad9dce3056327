//! The queue as it is shared: those who wish put commands in, those who send or fetch take them out, and wait for more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::orders::Order;
use super::queue::{Given, Queue, Queued};
use crate::clock::{Moment, Moments};
use crate::domain::AccountNumber;
use crate::limits::COMMANDS_QUEUED;
use crate::metrics::{BridgeCommand, CommandState, Metrics};

/// The line of commands.
pub(super) struct Line {
    queue: Mutex<Queue>,
    /// Something may be given out that could not before.
    changed: Notify,
    metrics: Metrics,
    now: Moments,
}

impl Line {
    pub(super) fn new(metrics: Metrics, now: Moments) -> Line {
        Line { queue: Mutex::new(Queue::new(COMMANDS_QUEUED)), changed: Notify::new(), metrics, now }
    }

    /// Puts a command in.
    pub(super) fn push(&self, order: Order) -> Queued {
        let queued = self.with(|queue, now| queue.push(order, now.steady));
        match queued {
            Queued::Added => self.count(BridgeCommand::Queued, 1),
            Queued::Replaced => {
                self.count(BridgeCommand::Queued, 1);
                self.count(BridgeCommand::Superseded, 1);
            }
            Queued::Outdated => self.count(BridgeCommand::Superseded, 1),
            Queued::Full => self.count(BridgeCommand::Full, 1),
            Queued::Known => {}
        }
        self.changed.notify_waiters();
        queued
    }

    /// Takes out so many commands, most, each until the time that `until` says for it.
    pub(super) fn give(&self, most: usize, until: impl Fn(Moment, &Order) -> Moment) -> Vec<Given> {
        let given: Vec<Given> = self.with(|queue, now| {
            let next = || queue.give(now.steady, |order| until(now, order));
            std::iter::from_fn(next).take(most).collect()
        });
        self.count(BridgeCommand::Given, given.len());
        self.count(BridgeCommand::GivenAgain, given.iter().filter(|given| given.delivery > 1).count());
        given
    }

    /// The command that is leased so.
    pub(super) fn leased(&self, lease: u64) -> Option<Order> {
        self.with(|queue, now| queue.leased(lease, now.steady).cloned())
    }

    /// Settles the command that is leased so.
    pub(super) fn settle(&self, lease: u64, outcome: BridgeCommand) -> Option<Order> {
        let settled = self.with(|queue, now| queue.settle(lease, now.steady));
        self.count(outcome, usize::from(settled.is_some()));
        self.changed.notify_waiters();
        settled
    }

    /// Puts a command back, to be given out again after `wait`.
    pub(super) fn put_back(&self, lease: u64, wait: Duration) {
        self.with(|queue, now| queue.put_back(lease, now.steady, now.steady.plus(wait)));
        self.changed.notify_waiters();
    }

    /// Takes a command out that nobody waits for any more.
    pub(super) fn withdraw(&self, id: &str, account: Option<AccountNumber>) {
        self.with(|queue, now| queue.withdraw(id, account, now.steady));
    }

    /// Waits until there may be something that was not there when `look` last looked; what it finds is returned. Nothing
    /// that comes in between is missed.
    pub(super) async fn when<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            match self.next() {
                Some(wait) => tokio::select! {
                    () = changed => {}
                    () = sleep(wait) => {}
                },
                None => changed.await,
            }
        }
    }

    /// How long until something may be given out, or is over.
    fn next(&self) -> Option<Duration> {
        // What is due but not taken is not taken for another reason; whoever does not take it need not be woken for it.
        self.with(|queue, now| queue.next(now.steady).map(|next| next.since(now.steady).max(LEAST_WAIT)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Queue, Moment) -> T) -> T {
        // A queue is whole between any two of its methods, none of which panics.
        let mut queue: MutexGuard<'_, Queue> = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut queue, (self.now)());
        let (swept, leased) = (queue.swept(), queue.leases());
        let waiting = queue.len() - leased;
        drop(queue);
        self.count(BridgeCommand::Expired, swept.expired);
        self.count(BridgeCommand::Late, swept.late);
        self.metrics.bridge_queue.at(CommandState::Waiting).set(waiting as u64);
        self.metrics.bridge_queue.at(CommandState::Leased).set(leased as u64);
        done
    }

    fn count(&self, what: BridgeCommand, many: usize) {
        if many > 0 {
            self.metrics.bridge_commands.at(what).inc_by(many as u64);
        }
    }
}

/// Whoever looks again does not do so in a tight loop.
const LEAST_WAIT: Duration = Duration::from_millis(5);
