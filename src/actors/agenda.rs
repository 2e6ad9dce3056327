//! The deadlines of accounts: the watchdog of `-coming` states, the end of registrations, the return of the dropped.
//!
//! By the monotonic clock: a wall clock that is set does not end what has only begun.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::domain::{AccountNumber, Command};

/// All deadlines. It outlives the actors, which may be retired while their accounts wait.
#[derive(Default)]
pub(super) struct Agenda {
    entries: Mutex<Entries>,
    earlier: Notify,
}

/// A moment, and what is asked of the account then.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Deadline {
    at: Instant,
    command: Command,
}

/// What one account waits for.
#[derive(Default)]
pub(super) struct Deadlines {
    /// For the gateway to bring it online or offline.
    pub(super) coming: Option<Deadline>,
    /// To be brought back.
    pub(super) dropped: Option<Deadline>,
    /// For a code that is accepted.
    pub(super) registration: Option<Deadline>,
}

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    Coming,
    Dropped,
    Registration,
}

#[derive(Default)]
struct Entries {
    by_account: HashMap<(AccountNumber, Kind), Deadline>,
    by_time: BTreeSet<(Instant, AccountNumber, Kind)>,
}

impl Agenda {
    /// Sets or clears the deadlines of an account. One that is there already for the same command keeps its moment.
    pub(super) fn set(&self, account: AccountNumber, deadlines: Deadlines) {
        let Deadlines { coming, dropped, registration } = deadlines;
        let kinds = [(Kind::Coming, coming), (Kind::Dropped, dropped), (Kind::Registration, registration)];
        let mut entries = self.lock();
        let first = entries.first();
        for (kind, deadline) in kinds {
            entries.set((account, kind), deadline);
        }
        if entries.first() < first || first.is_none() {
            self.earlier.notify_one();
        }
    }

    /// Puts a deadline that was taken and could not be heeded on the agenda again.
    pub(super) fn put_back(&self, account: AccountNumber, command: Command, wait: Duration) {
        let kind = match command {
            Command::Reconnect { .. } => Kind::Dropped,
            Command::GiveUpRegistration { .. } => Kind::Registration,
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
            | Command::CallProvider { .. } => Kind::Coming,
        };
        self.lock().set((account, kind), Some(Deadline::after(wait, command)));
        self.earlier.notify_one();
    }

    /// Waits for the next deadline, and takes it.
    pub(super) async fn next(&self) -> (AccountNumber, Command) {
        loop {
            let first = {
                let mut entries = self.lock();
                if let Some(due) = entries.take_due(Instant::now()) {
                    return due;
                }
                entries.first()
            };
            match first {
                Some(first) => {
                    let _either = timeout_at(first, self.earlier.notified()).await;
                }
                None => self.earlier.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deadline {
    /// A deadline so long from now.
    pub(super) fn after(wait: Duration, command: Command) -> Deadline {
        Deadline { at: Instant::now() + wait, command }
    }
}

impl Deadlines {
    pub(super) fn is_empty(&self) -> bool {
        self.coming.is_none() && self.dropped.is_none() && self.registration.is_none()
    }
}

impl Entries {
    fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _, _)| *at)
    }

    fn set(&mut self, key: (AccountNumber, Kind), deadline: Option<Deadline>) {
        let there = self.by_account.get(&key);
        if let (Some(there), Some(new)) = (there, &deadline)
            && there.command == new.command
        {
            return;
        }
        if let Some(there) = self.by_account.remove(&key) {
            self.by_time.remove(&(there.at, key.0, key.1));
        }
        if let Some(new) = deadline {
            self.by_time.insert((new.at, key.0, key.1));
            self.by_account.insert(key, new);
        }
    }

    fn take_due(&mut self, now: Instant) -> Option<(AccountNumber, Command)> {
        let (_, account, kind) = self.by_time.first().copied().filter(|(at, _, _)| *at <= now)?;
        self.by_time.pop_first();
        self.by_account.remove(&(account, kind)).map(|deadline| (account, deadline.command))
    }
}
