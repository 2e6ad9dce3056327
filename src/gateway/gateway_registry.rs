//! All ways to WhatsApp that the settings have set up, as one: each account's own is asked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::bridge::IgnoredReportRow;
use super::bulkhead::CallStats;
use super::provider::{GatewayProvider, ProviderStats};
use super::reconcile::{ReconcileStatus, Reconciler};
use super::simulator::Simulator;
use crate::actors::{GatewayPort, ReportSender};
use crate::domain::{Account, AccountNumber, GatewayKind, PendingEffect};
use crate::metrics::{AccountState, Metrics};
use crate::projections::Roster;
use crate::store;

/// The ways to WhatsApp. Cheap to clone.
#[derive(Clone)]
pub struct GatewayRegistry {
    inner: Arc<GatewayRegistryInner>,
}

struct GatewayRegistryInner {
    simulator: Simulator,
    providers: Vec<Arc<dyn GatewayProvider>>,
    /// What came of comparing their sessions, in the same order.
    statuses: Vec<Arc<ReconcileStatus>>,
    reports: ReportSender,
}

impl GatewayRegistry {
    /// The simulator and `others`.
    pub(crate) fn new(
        simulator: Simulator,
        others: Vec<Arc<dyn GatewayProvider>>,
        reports: ReportSender,
    ) -> GatewayRegistry {
        let records = others.iter().map(|_| Arc::default()).collect();
        GatewayRegistry {
            inner: Arc::new(GatewayRegistryInner { simulator, providers: others, statuses: records, reports }),
        }
    }

    /// Warns of each gateway that is not set up and that `roster` has accounts of.
    pub fn warn_of_missing(&self, roster: &Roster) {
        for kind in GatewayKind::ALL.into_iter().filter(|kind| !self.is_set_up(*kind)) {
            let counts = roster.counts_of_gateway(kind);
            if counts.total() > 0 {
                tracing::warn!(
                    gateway = kind.name(),
                    accounts = counts.total(),
                    online_coming = counts.of_state(AccountState::OnlineComing),
                    "accounts are served by a gateway that is not set up: what they wait for is kept; {}",
                    what_to_do(kind)
                );
            }
        }
    }

    /// The ways that are set up, beside the simulator, with what came of comparing their sessions.
    fn providers(&self) -> impl Iterator<Item = (&Arc<dyn GatewayProvider>, &Arc<ReconcileStatus>)> {
        self.inner.providers.iter().zip(&self.inner.statuses)
    }

    /// One of them, if it is set up.
    pub(crate) fn provider(&self, kind: GatewayKind) -> Option<&Arc<dyn GatewayProvider>> {
        self.inner.providers.iter().find(|way| way.kind() == kind)
    }

    /// Brings their sessions and what `roster` shows together, at once, each time that so long has passed, and when it is
    /// asked for, until `stop`.
    pub async fn run_reconciliation(self, roster: Roster, metrics: Metrics, every: Duration, stop: CancellationToken) {
        let mut tasks = Vec::new();
        for (way, record) in self.providers() {
            let (way, record, reports) = (way.clone(), record.clone(), self.inner.reports.clone());
            let (roster, metrics) = (roster.clone(), metrics.clone());
            tasks.push(Reconciler { provider: way, status: record, reports, roster, metrics, every }.run(stop.clone()));
        }
        join_all(tasks).await;
    }

    /// Has that done at once for one of them, if it is set up: there is reason to doubt what is shown.
    pub fn trigger_reconciliation(&self, kind: GatewayKind) {
        self.providers().filter(|(way, _)| way.kind() == kind).for_each(|(_, record)| record.trigger());
    }

    /// Whether it is set up, and has sessions that may differ from what is shown.
    pub fn is_reconcilable(&self, kind: GatewayKind) -> bool {
        self.provider(kind).is_some()
    }

    /// What is known of one of them, if it is set up.
    pub(super) fn provider_status(&self, kind: GatewayKind) -> Option<(CallStats, &ReconcileStatus, ProviderStats)> {
        let (way, record) = self.providers().find(|(way, _)| way.kind() == kind)?;
        Some((way.bulkhead().call_stats(), record, way.stats()))
    }

    /// The last reports of one that were ignored, the last one first.
    pub(super) fn ignored_reports(&self, kind: GatewayKind) -> Result<Vec<IgnoredReportRow>, store::Error> {
        self.provider(kind).map_or_else(|| Ok(Vec::new()), |way| way.ignored_reports())
    }
}

/// What an operator does about accounts whose gateway is not set up.
pub(super) fn what_to_do(kind: GatewayKind) -> String {
    format!(
        "set it up again with the settings under gateway.{}, or recycle the accounts and bring them online at another gateway",
        kind.name()
    )
}

impl GatewayPort for GatewayRegistry {
    fn dispatch(&self, account: AccountNumber, state: &Account, owed: &PendingEffect, left: Duration) {
        match (state.gateway, self.provider(state.gateway)) {
            (GatewayKind::Simulator, _) => self.inner.simulator.dispatch(account, state, owed, left),
            (GatewayKind::Bridge | GatewayKind::CloudApi, Some(way)) => way.dispatch(account, state, owed, left),
            // It stays outstanding, and is taken up by the start that sets the gateway up again.
            (GatewayKind::Bridge | GatewayKind::CloudApi, None) => {}
        }
    }

    fn is_set_up(&self, kind: GatewayKind) -> bool {
        kind == GatewayKind::Simulator || self.is_reconcilable(kind)
    }
}
