//! The result of the last reconciliation, and the trigger for another one.

use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::domain::Timestamp;
use crate::metrics::Difference;

/// The reconciliation status of one gateway.
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

/// The last reconciliation that completed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CompletedReconciliation {
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// How long it took, repairs included.
    pub(crate) duration: Duration,
    /// The number of sessions at the gateway.
    pub(crate) sessions: u64,
    /// The number of accounts for each kind of difference; kinds without accounts are left out.
    pub(crate) differences: Vec<(Difference, u64)>,
    /// The number of accounts that have a session at this gateway, but are not routed to it.
    pub(crate) unknown_sessions: u64,
}

/// Why the latest reconciliations failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ReconcileFailure {
    /// When the first of them failed.
    pub(crate) since: Timestamp,
    /// Why the last one failed, without secrets.
    pub(crate) reason: String,
    /// How many failed in a row.
    pub(crate) consecutive_failures: u32,
}

impl ReconcileStatus {
    /// Requests a reconciliation.
    pub(crate) fn trigger(&self) {
        self.trigger_requested.notify_one();
    }

    /// Waits until a reconciliation is requested.
    pub(super) async fn wait_for_trigger(&self) {
        self.trigger_requested.notified().await;
    }

    /// Whether a reconciliation is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.state.borrow().is_running
    }

    /// The last reconciliation that completed.
    pub(crate) fn last_completed(&self) -> Option<CompletedReconciliation> {
        self.state.borrow().last_completed.clone()
    }

    /// The current failure, if the last reconciliation failed.
    pub(crate) fn failure(&self) -> Option<ReconcileFailure> {
        self.state.borrow().failure.clone()
    }

    /// Records that a reconciliation began.
    pub(super) fn mark_started(&self) {
        self.state.send_modify(|state| state.is_running = true);
    }

    /// Records a completed reconciliation. Returns the failure that it ends.
    pub(super) fn mark_completed(&self, last: CompletedReconciliation) -> Option<ReconcileFailure> {
        let before =
            self.state.send_replace(ReconcileState { is_running: false, last_completed: Some(last), failure: None });
        before.failure
    }

    /// Records a failed reconciliation. Returns how many failed in a row.
    pub(super) fn mark_failed(&self, at: Timestamp, why: String) -> u32 {
        let (since, before) = self.failure().map_or((at, 0), |failure| (failure.since, failure.consecutive_failures));
        let failed = before.saturating_add(1);
        self.state.send_modify(|state| {
            state.is_running = false;
            state.failure = Some(ReconcileFailure { since, reason: why, consecutive_failures: failed });
        });
        failed
    }

    /// Waits until the status satisfies `condition`.
    #[cfg(test)]
    pub(crate) async fn wait_until(&self, condition: impl Fn(&ReconcileStatus) -> bool) {
        let mut changed = self.state.subscribe();
        while !condition(self) {
            changed.changed().await.unwrap();
        }
    }
}
