//! What came of the last comparison, for those who look, and the bell for those who want another one.

use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::domain::Timestamp;
use crate::metrics::Difference;

/// The comparisons of one gateway.
#[derive(Default)]
pub(crate) struct ReconcileStatus {
    trigger_requested: Notify,
    state: watch::Sender<ReconcileState>,
}

#[derive(Clone, Default)]
struct ReconcileState {
    is_running: bool,
    last_completed: Option<CompletedReconciliation>,
    failure: Option<ReconcileFailure>,
}

/// The last comparison that came to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CompletedReconciliation {
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// How long it took, with all that was mended.
    pub(crate) duration: Duration,
    /// Sessions that the gateway has.
    pub(crate) sessions: u64,
    /// What differed, and how many accounts; nothing that is 0.
    pub(crate) differences: Vec<(Difference, u64)>,
    /// Accounts with a session at the gateway that it does not serve.
    pub(crate) unknown_sessions: u64,
}

/// Why none comes to its end any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ReconcileFailure {
    /// When the first one failed.
    pub(crate) since: Timestamp,
    /// Why the last one did, without secrets.
    pub(crate) reason: String,
    /// How many did, one after the other.
    pub(crate) consecutive_failures: u32,
}

impl ReconcileStatus {
    /// Has another comparison made at once.
    pub(crate) fn trigger(&self) {
        self.trigger_requested.notify_one();
    }

    /// Returns when one is asked for.
    pub(super) async fn wait_for_trigger(&self) {
        self.trigger_requested.notified().await;
    }

    /// Whether one is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.state.borrow().is_running
    }

    /// The last one that came to its end.
    pub(crate) fn last_completed(&self) -> Option<CompletedReconciliation> {
        self.state.borrow().last_completed.clone()
    }

    /// Why none does any more, if that is so.
    pub(crate) fn failure(&self) -> Option<ReconcileFailure> {
        self.state.borrow().failure.clone()
    }

    /// One has begun.
    pub(super) fn mark_started(&self) {
        self.state.send_modify(|state| state.is_running = true);
    }

    /// It came to its end. Returns the failure that is over with it.
    pub(super) fn mark_completed(&self, last: CompletedReconciliation) -> Option<ReconcileFailure> {
        let before =
            self.state.send_replace(ReconcileState { is_running: false, last_completed: Some(last), failure: None });
        before.failure
    }

    /// It failed. Returns how many did, one after the other.
    pub(super) fn mark_failed(&self, at: Timestamp, why: String) -> u32 {
        let (since, before) = self.failure().map_or((at, 0), |failure| (failure.since, failure.consecutive_failures));
        let failed = before.saturating_add(1);
        self.state.send_modify(|state| {
            state.is_running = false;
            state.failure = Some(ReconcileFailure { since, reason: why, consecutive_failures: failed });
        });
        failed
    }

    /// Returns once what is known is so.
    #[cfg(test)]
    pub(crate) async fn wait_until(&self, is_so: impl Fn(&ReconcileStatus) -> bool) {
        let mut changed = self.state.subscribe();
        while !is_so(self) {
            changed.changed().await.unwrap();
        }
    }
}
