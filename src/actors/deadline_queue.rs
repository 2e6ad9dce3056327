//! The deadlines of accounts: `-coming` states, registrations, and reconnects of dropped accounts.
//!
//! They use the monotonic clock, so a change of the wall clock ends no deadline early. `inbox` executes what is due.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::domain::{AccountNumber, Command, PendingEffect};

/// All deadlines. The actors do not hold them, because an actor may be retired while its account waits.
#[derive(Default)]
pub(super) struct DeadlineQueue {
    entries: Mutex<DeadlineIndex>,
    changed: Notify,
}

/// A point in time, and the command for the account at that time.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    end: Instant,
    /// When the command is sent: at `end`, or at a later retry if the command failed.
    due: Instant,
    command: Command,
}

/// The deadlines of one account.
#[derive(Default)]
pub(super) struct AccountDeadlines {
    /// The time by which the gateway must bring the account online or offline.
    pub(super) transition: Option<Deadline>,
    /// The time of the reconnect.
    pub(super) reconnect: Option<Deadline>,
    /// The time by which a code must be accepted.
    pub(super) registration: Option<Deadline>,
}

/// The kind of a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum DeadlineKind {
    Transition,
    Reconnect,
    Registration,
}

#[derive(Default)]
struct DeadlineIndex {
    /// All deadlines, also taken ones, until the account stops waiting. Without the taken ones, a new actor of the
    /// account would restart them.
    by_account: HashMap<(AccountNumber, DeadlineKind), Deadline>,
    /// Deadlines not yet taken.
    by_time: BTreeSet<(Instant, AccountNumber, DeadlineKind)>,
}

impl DeadlineQueue {
    /// Sets or clears the deadlines of an account. If a deadline with the same command exists, it keeps its time.
    pub(super) fn set(&self, account: AccountNumber, deadlines: AccountDeadlines) {
        let AccountDeadlines { transition, reconnect, registration } = deadlines;
        let kinds = [
            (DeadlineKind::Transition, transition),
            (DeadlineKind::Reconnect, reconnect),
            (DeadlineKind::Registration, registration),
        ];
        let mut entries = self.lock();
        let first = entries.earliest();
        for (kind, deadline) in kinds {
            entries.set((account, kind), deadline);
        }
        if entries.earliest() < first || first.is_none() {
            self.changed.notify_one();
        }
    }

    /// The time left until a deadline of an account; `None` if it has no deadline of this kind.
    pub(super) fn left(&self, account: AccountNumber, kind: DeadlineKind) -> Option<Duration> {
        let end = self.lock().by_account.get(&(account, kind)).map(|deadline| deadline.end);
        end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Schedules a taken deadline again, because its command failed. Does nothing if the account no longer waits for
    /// it.
    pub(super) fn reschedule(&self, account: AccountNumber, command: &Command, wait: Duration) {
        let kind = match command {
            Command::Reconnect { .. } => DeadlineKind::Reconnect,
            Command::GiveUpRegistration { .. } => DeadlineKind::Registration,
            Command::GiveUpComing { .. }
            | Command::Import { .. }
            | Command::BringOnline { .. }
            | Command::ChangeLabels { .. }
            | Command::Recycle { .. }
            | Command::Register { .. }
            | Command::SubmitCode { .. }
            | Command::EraseSecrets { .. }
            | Command::Resync { .. }
            | Command::Report(_)
            | Command::Reconcile { .. }
            | Command::KeepPin { .. }
            | Command::CallProvider { .. } => DeadlineKind::Transition,
        };
        let mut entries = self.lock();
        if let Some(existing) =
            entries.by_account.get_mut(&(account, kind)).filter(|existing| existing.command == *command)
        {
            existing.due = Instant::now() + wait;
            let due = existing.due;
            entries.by_time.insert((due, account, kind));
            self.changed.notify_one();
        }
    }

    /// Waits for the next deadline, and takes it.
    pub(super) async fn next_due(&self) -> (AccountNumber, Command) {
        loop {
            let first = {
                let mut entries = self.lock();
                if let Some(due) = entries.take_due(Instant::now()) {
                    return due;
                }
                entries.earliest()
            };
            match first {
                Some(first) => {
                    let _either = timeout_at(first, self.changed.notified()).await;
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, DeadlineIndex> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deadline {
    /// A deadline `wait` from now.
    pub(super) fn in_future(wait: Duration, command: Command) -> Deadline {
        let end = Instant::now() + wait;
        Deadline { end, due: end, command }
    }
}

impl AccountDeadlines {
    pub(super) fn is_empty(&self) -> bool {
        self.transition.is_none() && self.reconnect.is_none() && self.registration.is_none()
    }
}

impl From<&PendingEffect> for DeadlineKind {
    /// The deadline of a pending effect.
    fn from(effect: &PendingEffect) -> DeadlineKind {
        match effect {
            PendingEffect::Connect { .. } | PendingEffect::Disconnect { .. } => DeadlineKind::Transition,
            PendingEffect::RequestCode { .. } | PendingEffect::SubmitCode { .. } => DeadlineKind::Registration,
        }
    }
}

impl DeadlineIndex {
    fn earliest(&self) -> Option<Instant> {
        self.by_time.first().map(|(due, _, _)| *due)
    }

    fn set(&mut self, key: (AccountNumber, DeadlineKind), deadline: Option<Deadline>) {
        let existing = self.by_account.get(&key);
        if let (Some(existing), Some(new)) = (existing, &deadline)
            && existing.command == new.command
        {
            return;
        }
        if let Some(existing) = self.by_account.remove(&key) {
            self.by_time.remove(&(existing.due, key.0, key.1));
        }
        if let Some(new) = deadline {
            self.by_time.insert((new.due, key.0, key.1));
            self.by_account.insert(key, new);
        }
    }

    fn take_due(&mut self, now: Instant) -> Option<(AccountNumber, Command)> {
        let (_, account, kind) = self.by_time.first().copied().filter(|(due, _, _)| *due <= now)?;
        self.by_time.pop_first();
        self.by_account.get(&(account, kind)).map(|deadline| (account, deadline.command.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TaskId;
    use crate::testkit::sample::account;

    const SECOND: Duration = Duration::from_secs(1);

    fn give_up(task: u32) -> Command {
        Command::GiveUpRegistration { task: TaskId::new(task).unwrap() }
    }

    fn waiting(task: u32, wait: Duration) -> AccountDeadlines {
        AccountDeadlines { registration: Some(Deadline::in_future(wait, give_up(task))), ..AccountDeadlines::default() }
    }

    /// A deadline of the same command is neither moved nor restarted until the account stops waiting.
    #[tokio::test(start_paused = true)]
    async fn a_deadline_keeps_its_moment() {
        let (queue, account) = (DeadlineQueue::default(), account(1));
        let left = || queue.left(account, DeadlineKind::Registration);
        let started = Instant::now();
        queue.set(account, waiting(7, 10 * SECOND));
        for wait in [Duration::ZERO, 900 * SECOND] {
            queue.set(account, waiting(7, wait));
            assert_eq!(left(), Some(10 * SECOND));
        }
        assert_eq!((queue.next_due().await, started.elapsed().as_secs()), ((account, give_up(7)), 10));
        queue.set(account, waiting(7, 900 * SECOND));
        assert_eq!((left(), queue.lock().earliest()), (Some(Duration::ZERO), None), "it was taken");
        queue.reschedule(account, &give_up(7), 5 * SECOND);
        assert_eq!(left(), Some(Duration::ZERO), "it is over all the same");
        assert_eq!((queue.next_due().await, started.elapsed().as_secs()), ((account, give_up(7)), 15));
        queue.set(account, waiting(8, SECOND));
        queue.reschedule(account, &give_up(7), Duration::ZERO);
        assert_eq!(
            (queue.next_due().await, started.elapsed().as_secs()),
            ((account, give_up(8)), 16),
            "task 7 is over"
        );
        queue.set(account, AccountDeadlines::default());
        queue.reschedule(account, &give_up(8), Duration::ZERO);
        assert_eq!((left(), queue.lock().earliest()), (None, None), "nothing is waited for");
    }
}
