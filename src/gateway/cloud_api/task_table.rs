//! The tasks of one account that are under way.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::{PendingEffect, TaskId};

/// The tasks of one account.
#[derive(Default)]
pub(super) struct AccountTasks {
    /// Held by the task that runs.
    lock: Arc<tokio::sync::Mutex<()>>,
    tasks: Vec<(TaskKey, CancellationToken)>,
}

/// Identifies a pending effect, so that it is not started twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TaskKey {
    Connect(u32),
    Disconnect(u32),
    RequestCode(TaskId),
    SubmitCode(TaskId, u32),
}

impl AccountTasks {
    /// Adds a task, and cancels those that it makes obsolete. Returns the lock that a running task holds; `None` if the
    /// task is under way already.
    pub(super) fn add(&mut self, key: TaskKey, cancel: CancellationToken) -> Option<Arc<tokio::sync::Mutex<()>>> {
        if self.tasks.iter().any(|(known, _)| *known == key) {
            return None;
        }
        let superseded = self.tasks.iter().filter(|(known, _)| known.is_superseded_by(key));
        superseded.for_each(|(_, cancel)| cancel.cancel());
        self.tasks.push((key, cancel));
        Some(self.lock.clone())
    }

    /// Removes a task. Returns whether it was the last one.
    pub(super) fn remove(&mut self, key: TaskKey) -> bool {
        self.tasks.retain(|(known, _)| *known != key);
        self.tasks.is_empty()
    }
}

impl TaskKey {
    /// The key of an effect.
    pub(super) fn for_effect(effect: &PendingEffect) -> TaskKey {
        match effect {
            PendingEffect::Connect { session } => TaskKey::Connect(*session),
            PendingEffect::Disconnect { session } => TaskKey::Disconnect(*session),
            PendingEffect::RequestCode { task, .. } => TaskKey::RequestCode(*task),
            PendingEffect::SubmitCode { task, attempt, .. } => TaskKey::SubmitCode(*task, *attempt),
        }
    }

    /// Whether the effect `later` makes `self` obsolete.
    fn is_superseded_by(self, later: TaskKey) -> bool {
        match (self, later) {
            (TaskKey::Connect(_) | TaskKey::Disconnect(_), TaskKey::Connect(_) | TaskKey::Disconnect(_)) => true,
            (
                TaskKey::RequestCode(task) | TaskKey::SubmitCode(task, _),
                TaskKey::RequestCode(later) | TaskKey::SubmitCode(later, _),
            ) => task != later,
            (TaskKey::Connect(_) | TaskKey::Disconnect(_), TaskKey::RequestCode(_) | TaskKey::SubmitCode(..))
            | (TaskKey::RequestCode(_) | TaskKey::SubmitCode(..), TaskKey::Connect(_) | TaskKey::Disconnect(_)) => {
                false
            }
        }
    }
}
