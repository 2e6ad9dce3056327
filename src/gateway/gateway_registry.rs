//! All gateways as one port. It routes each account to its gateway.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::provider::{GatewayDependencies, GatewayDescription, GatewayProvider, GatewaySetupError};
use super::reconcile::{ReconcileStatus, Reconciler};
use super::remote_gateway::RemoteGateway;
use crate::actors::{GatewayPort, ReportSender};
use crate::config::Settings;
use crate::domain::{Account, AccountNumber, GatewayKind, GatewayOffers, PendingEffect};
use crate::metrics::{AccountState, Metrics};
use crate::projections::Roster;

/// The gateways. Cheap to clone.
#[derive(Clone)]
pub struct GatewayRegistry {
    inner: Arc<GatewayRegistryInner>,
}

struct GatewayRegistryInner {
    /// In the order of [`GatewayKind::ALL`].
    entries: [GatewayEntry; GatewayKind::ALL.len()],
    reports: ReportSender,
}

/// One gateway, whether or not the settings set it up.
pub(super) struct GatewayEntry {
    pub(super) kind: GatewayKind,
    pub(super) description: &'static GatewayDescription,
    /// `None` if it is not set up.
    pub(super) provider: Option<Arc<dyn GatewayProvider>>,
    /// `None` if it is not set up, or built in.
    pub(super) remote: Option<Arc<dyn RemoteGateway>>,
    pub(super) reconciliation: Arc<ReconcileStatus>,
}

/// Why the sessions of a gateway cannot be compared with the roster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotReconcilable {
    /// The settings do not set it up.
    #[error("this gateway is not set up, so it has no sessions to compare")]
    NotSetUp,
    /// It is built in: its sessions are those of the accounts.
    #[error("{title} has no sessions to compare")]
    BuiltIn {
        /// The gateway's name in sentences.
        title: &'static str,
    },
}

impl GatewayRegistry {
    /// Opens the gateways that the settings set up.
    pub(super) fn open(
        describe: fn(GatewayKind) -> &'static GatewayDescription,
        settings: &Settings,
        dependencies: &GatewayDependencies,
    ) -> Result<GatewayRegistry, GatewaySetupError> {
        let mut providers = Vec::new();
        for kind in GatewayKind::ALL {
            let opened = (describe(kind).open)(settings, dependencies)?;
            providers.extend(opened.map(|provider| (kind, provider)));
        }
        Ok(GatewayRegistry::new(describe, &providers, dependencies.reports.clone()))
    }

    /// A registry in which `providers` are set up.
    pub(super) fn new(
        describe: fn(GatewayKind) -> &'static GatewayDescription,
        providers: &[(GatewayKind, Arc<dyn GatewayProvider>)],
        reports: ReportSender,
    ) -> GatewayRegistry {
        let entries = GatewayKind::ALL.map(|kind| {
            let provider = providers.iter().find(|(it, _)| *it == kind).map(|(_, provider)| provider.clone());
            let remote = provider.clone().and_then(GatewayProvider::as_remote);
            GatewayEntry { kind, description: describe(kind), provider, remote, reconciliation: Arc::default() }
        });
        GatewayRegistry { inner: Arc::new(GatewayRegistryInner { entries, reports }) }
    }

    /// Warns of each gateway that is not set up although accounts are routed to it.
    pub fn warn_of_missing(&self, roster: &Roster) {
        for GatewayEntry { kind, .. } in self.entries().iter().filter(|entry| entry.provider.is_none()) {
            let counts = roster.counts_of_gateway(*kind);
            if counts.total() > 0 {
                tracing::warn!(
                    gateway = kind.name(),
                    accounts = counts.total(),
                    online_coming = counts.of_state(AccountState::OnlineComing),
                    "accounts are routed to a gateway that is not set up, and their pending effects wait; {}",
                    what_to_do(*kind)
                );
            }
        }
    }

    /// All gateways.
    pub(super) fn entries(&self) -> &[GatewayEntry] {
        &self.inner.entries
    }

    pub(super) fn entry(&self, kind: GatewayKind) -> &GatewayEntry {
        &self.inner.entries[usize::from(kind.code())]
    }

    /// The gateway of this type, for requests that only it handles; `None` if it is not set up.
    pub(crate) fn find<G: GatewayProvider>(&self) -> Option<&G> {
        let providers = self.entries().iter().filter_map(|entry| entry.provider.as_deref());
        providers.map(|provider| provider as &dyn Any).find_map(|provider| provider.downcast_ref())
    }

    /// Reconciles every gateway with the roster: at start, every `every`, and on request, until `stop`.
    pub async fn run_reconciliation(self, roster: Roster, metrics: Metrics, every: Duration, stop: CancellationToken) {
        let remotes = self.entries().iter().filter_map(|entry| Some((entry, entry.remote.clone()?)));
        let reconcilers = remotes.map(|(entry, remote)| Reconciler {
            kind: entry.kind,
            closes_sessions: entry.description.closes_sessions,
            remote,
            status: entry.reconciliation.clone(),
            reports: self.inner.reports.clone(),
            roster: roster.clone(),
            metrics: metrics.clone(),
            every,
        });
        join_all(reconcilers.map(|reconciler| reconciler.run(stop.clone()))).await;
    }

    /// Requests a reconciliation of one gateway. For callers that doubt the reported state.
    pub fn trigger_reconciliation(&self, kind: GatewayKind) {
        self.entry(kind).reconciliation.trigger();
    }

    /// Fails if this gateway has no sessions that may differ from the roster.
    pub fn check_reconcilable(&self, kind: GatewayKind) -> Result<(), NotReconcilable> {
        let GatewayEntry { description, provider, remote, .. } = self.entry(kind);
        match (provider, remote) {
            (None, _) => Err(NotReconcilable::NotSetUp),
            (Some(_), None) => Err(NotReconcilable::BuiltIn { title: description.offer.title }),
            (Some(_), Some(_)) => Ok(()),
        }
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
        // Without a provider the effect stays pending. The first start with this gateway set up dispatches it.
        if let Some(provider) = &self.entry(state.gateway).provider {
            provider.dispatch(account, state, effect, left);
        }
    }

    fn offers(&self) -> GatewayOffers {
        GatewayOffers::new(|kind| &self.entry(kind).description.offer)
    }

    fn is_set_up(&self, kind: GatewayKind) -> bool {
        self.entry(kind).provider.is_some()
    }
}
