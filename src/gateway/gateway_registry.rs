//! All gateways that the settings set up, as one port. It routes each account to its gateway.

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

/// The gateways. Cheap to clone.
#[derive(Clone)]
pub struct GatewayRegistry {
    inner: Arc<GatewayRegistryInner>,
}

struct GatewayRegistryInner {
    simulator: Simulator,
    providers: Vec<Arc<dyn GatewayProvider>>,
    /// The reconciliation status of each provider, in the same order.
    statuses: Vec<Arc<ReconcileStatus>>,
    reports: ReportSender,
}

impl GatewayRegistry {
    /// A registry of the simulator and `others`.
    pub(crate) fn new(
        simulator: Simulator,
        others: Vec<Arc<dyn GatewayProvider>>,
        reports: ReportSender,
    ) -> GatewayRegistry {
        let statuses = others.iter().map(|_| Arc::default()).collect();
        GatewayRegistry { inner: Arc::new(GatewayRegistryInner { simulator, providers: others, statuses, reports }) }
    }

    /// Warns of each gateway that is not set up although `roster` has accounts at it.
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

    /// The providers that are set up, each with its reconciliation status.
    fn providers(&self) -> impl Iterator<Item = (&Arc<dyn GatewayProvider>, &Arc<ReconcileStatus>)> {
        self.inner.providers.iter().zip(&self.inner.statuses)
    }

    /// The provider of this kind, if it is set up.
    pub(crate) fn provider(&self, kind: GatewayKind) -> Option<&Arc<dyn GatewayProvider>> {
        self.inner.providers.iter().find(|provider| provider.kind() == kind)
    }

    /// Reconciles every gateway with the roster: at start, every `every`, and on request, until `stop`.
    pub async fn run_reconciliation(self, roster: Roster, metrics: Metrics, every: Duration, stop: CancellationToken) {
        let mut tasks = Vec::new();
        for (provider, status) in self.providers() {
            let (provider, status, reports) = (provider.clone(), status.clone(), self.inner.reports.clone());
            let (roster, metrics) = (roster.clone(), metrics.clone());
            tasks.push(Reconciler { provider, status, reports, roster, metrics, every }.run(stop.clone()));
        }
        join_all(tasks).await;
    }

    /// Reconciles one gateway now, if it is set up. For callers that have reason to doubt the reported state.
    pub fn trigger_reconciliation(&self, kind: GatewayKind) {
        self.providers().filter(|(provider, _)| provider.kind() == kind).for_each(|(_, status)| status.trigger());
    }

    /// Whether this gateway is set up and has sessions that may differ from the roster.
    pub fn is_reconcilable(&self, kind: GatewayKind) -> bool {
        self.provider(kind).is_some()
    }

    /// The figures of one gateway, if it is set up.
    pub(super) fn provider_status(&self, kind: GatewayKind) -> Option<(CallStats, &ReconcileStatus, ProviderStats)> {
        let (provider, status) = self.providers().find(|(provider, _)| provider.kind() == kind)?;
        Some((provider.bulkhead().call_stats(), status, provider.stats()))
    }

    /// The last ignored reports of one gateway, the newest first.
    pub(super) fn ignored_reports(&self, kind: GatewayKind) -> Result<Vec<IgnoredReportRow>, store::Error> {
        self.provider(kind).map_or_else(|| Ok(Vec::new()), |provider| provider.ignored_reports())
    }
}

/// Advice for accounts whose gateway is not set up.
pub(super) fn what_to_do(kind: GatewayKind) -> String {
    format!(
        "set it up again with the settings under gateway.{}, or recycle the accounts and bring them online at another gateway",
        kind.name()
    )
}

impl GatewayPort for GatewayRegistry {
    fn dispatch(&self, account: AccountNumber, state: &Account, effect: &PendingEffect, left: Duration) {
        match (state.gateway, self.provider(state.gateway)) {
            (GatewayKind::Simulator, _) => self.inner.simulator.dispatch(account, state, effect, left),
            (GatewayKind::Bridge | GatewayKind::CloudApi, Some(provider)) => {
                provider.dispatch(account, state, effect, left);
            }
            // The effect stays pending. The first start with this gateway set up dispatches it.
            (GatewayKind::Bridge | GatewayKind::CloudApi, None) => {}
        }
    }

    fn is_set_up(&self, kind: GatewayKind) -> bool {
        kind == GatewayKind::Simulator || self.is_reconcilable(kind)
    }
}
