//! The deadlines of accounts: the watchdog of `-coming` states, the end of registrations, the return of the dropped.
//!
//! By the monotonic clock: a wall clock that is set does not end what has only begun.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::domain::{AccountNumber, Command, PendingEffect};

/// All deadlines. It outlives the actors, which may be retired while their accounts wait.
#[derive(Default)]
pub(super) struct DeadlineQueue {
    entries: Mutex<DeadlineIndex>,
    changed: Notify,
}

/// A moment, and what is asked of the account then.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    end: Instant,
    /// When the account is asked: at the end, or later if it could not be.
    due: Instant,
    command: Command,
}

/// What one account waits for.
#[derive(Default)]
pub(super) struct AccountDeadlines {
    /// For the gateway to bring it online or offline.
    pub(super) transition: Option<Deadline>,
    /// To be brought back.
    pub(super) reconnect: Option<Deadline>,
    /// For a code that is accepted.
    pub(super) registration: Option<Deadline>,
}

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum DeadlineKind {
    Transition,
    Reconnect,
    Registration,
}

#[derive(Default)]
struct DeadlineIndex {
    /// Those that were taken too, until the account waits no more: another actor of it must not begin them anew.
    by_account: HashMap<(AccountNumber, DeadlineKind), Deadline>,
    /// Those that are still to be taken.
    by_time: BTreeSet<(Instant, AccountNumber, DeadlineKind)>,
}

impl DeadlineQueue {
    /// Sets or clears the deadlines of an account. One that is there already for the same command keeps its moment.
    pub(super) fn set(&self, account: AccountNumber, deadlines: AccountDeadlines) {
        let AccountDeadlines { transition: coming, reconnect: dropped, registration } = deadlines;
        let kinds = [
            (DeadlineKind::Transition, coming),
            (DeadlineKind::Reconnect, dropped),
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

    /// How long until a deadline of an account; none if it has none of this kind.
    pub(super) fn left(&self, account: AccountNumber, kind: DeadlineKind) -> Option<Duration> {
        let end = self.lock().by_account.get(&(account, kind)).map(|deadline| deadline.end);
        end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Has a deadline that was taken and could not be heeded taken once more, unless the account waits for it no more.
    pub(super) fn reschedule(&self, account: AccountNumber, command: &Command, wait: Duration) {
        let kind = match command {
            Command::Reconnect { .. } => DeadlineKind::Reconnect,
            Command::GiveUpRegistration { .. } => DeadlineKind::Registration,
            Command::GiveUpComing { .. }
            | Command::Import { .. }
            | Command::BringOnline { .. }
            | Command::Recycle { .. }
            | Command::Register { .. }
            | Command::SubmitCode { .. }
            | Command::EraseSecrets { .. }
            | Command::Report(_)
            | Command::Reconcile { .. }
            | Command::KeepPin { .. }
            | Command::CallProvider { .. } => DeadlineKind::Transition,
        };
        let mut entries = self.lock();
        if let Some(there) = entries.by_account.get_mut(&(account, kind)).filter(|there| there.command == *command) {
            there.due = Instant::now() + wait;
            let due = there.due;
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
    /// A deadline so long from now.
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
    /// The deadline of what a gateway owes.
    fn from(owed: &PendingEffect) -> DeadlineKind {
        match owed {
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
        let there = self.by_account.get(&key);
        if let (Some(there), Some(new)) = (there, &deadline)
            && there.command == new.command
        {
            return;
        }
        if let Some(there) = self.by_account.remove(&key) {
            self.by_time.remove(&(there.due, key.0, key.1));
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

    /// A deadline of the same command is neither moved nor begun anew, whoever sets it, until the account waits no more.
    #[tokio::test(start_paused = true)]
    async fn a_deadline_keeps_its_moment() {
        let (agenda, account) = (DeadlineQueue::default(), account(1));
        let left = || agenda.left(account, DeadlineKind::Registration);
        let begun = Instant::now();
        agenda.set(account, waiting(7, 10 * SECOND));
        for wait in [Duration::ZERO, 900 * SECOND] {
            agenda.set(account, waiting(7, wait));
            assert_eq!(left(), Some(10 * SECOND));
        }
        assert_eq!((agenda.next_due().await, begun.elapsed().as_secs()), ((account, give_up(7)), 10));
        agenda.set(account, waiting(7, 900 * SECOND));
        assert_eq!((left(), agenda.lock().earliest()), (Some(Duration::ZERO), None), "it was taken");
        agenda.reschedule(account, &give_up(7), 5 * SECOND);
        assert_eq!(left(), Some(Duration::ZERO), "it is over all the same");
        assert_eq!((agenda.next_due().await, begun.elapsed().as_secs()), ((account, give_up(7)), 15));
        agenda.set(account, waiting(8, SECOND));
        agenda.reschedule(account, &give_up(7), Duration::ZERO);
        assert_eq!((agenda.next_due().await, begun.elapsed().as_secs()), ((account, give_up(8)), 16), "task 7 is over");
        agenda.set(account, AccountDeadlines::default());
        agenda.reschedule(account, &give_up(8), Duration::ZERO);
        assert_eq!((left(), agenda.lock().earliest()), (None, None), "nothing is waited for");
    }
}
