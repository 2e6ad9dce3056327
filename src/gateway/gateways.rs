//! All ways to WhatsApp that the settings have set up, as one: each account's own is asked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::bridge::Ignored;
use super::bulkhead::Figures;
use super::reconcile::{Reconciliation, Record};
use super::simulator::Simulator;
use super::way::{Extra, Way};
use crate::actors::{Gateway, Reports};
use crate::domain::{Account, AccountNumber, GatewayKind, Outstanding};
use crate::metrics::{AccountState, Metrics};
use crate::projections::Roster;
use crate::store;

/// The ways to WhatsApp. Cheap to clone.
#[derive(Clone)]
pub struct Gateways {
    inner: Arc<Inner>,
}

struct Inner {
    simulator: Simulator,
    others: Vec<Arc<dyn Way>>,
    /// What came of comparing their sessions, in the same order.
    records: Vec<Arc<Record>>,
    reports: Reports,
}

impl Gateways {
    /// The simulator and `others`.
    pub(crate) fn new(simulator: Simulator, others: Vec<Arc<dyn Way>>, reports: Reports) -> Gateways {
        let records = others.iter().map(|_| Arc::default()).collect();
        Gateways { inner: Arc::new(Inner { simulator, others, records, reports }) }
    }

    /// Warns of each gateway that is not set up and that `roster` has accounts of.
    pub fn warn_of_missing(&self, roster: &Roster) {
        for kind in GatewayKind::ALL.into_iter().filter(|kind| !self.is_set_up(*kind)) {
            let counts = roster.counts_of(kind);
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
    fn others(&self) -> impl Iterator<Item = (&Arc<dyn Way>, &Arc<Record>)> {
        self.inner.others.iter().zip(&self.inner.records)
    }

    /// One of them, if it is set up.
    pub(crate) fn other(&self, kind: GatewayKind) -> Option<&Arc<dyn Way>> {
        self.inner.others.iter().find(|way| way.kind() == kind)
    }

    /// Brings their sessions and what `roster` shows together, at once, each time that so long has passed, and when it is
    /// asked for, until `stop`.
    pub async fn keep_reconciled(self, roster: Roster, metrics: Metrics, every: Duration, stop: CancellationToken) {
        let mut tasks = Vec::new();
        for (way, record) in self.others() {
            let (way, record, reports) = (way.clone(), record.clone(), self.inner.reports.clone());
            let (roster, metrics) = (roster.clone(), metrics.clone());
            tasks.push(Reconciliation { way, record, reports, roster, metrics, every }.run(stop.clone()));
        }
        join_all(tasks).await;
    }

    /// Has that done at once for one of them, if it is set up: there is reason to doubt what is shown.
    pub fn look_again(&self, kind: GatewayKind) {
        self.others().filter(|(way, _)| way.kind() == kind).for_each(|(_, record)| record.ask());
    }

    /// Whether it is set up, and has sessions that may differ from what is shown.
    pub fn has_sessions(&self, kind: GatewayKind) -> bool {
        self.other(kind).is_some()
    }

    /// What is known of one of them, if it is set up.
    pub(super) fn figures(&self, kind: GatewayKind) -> Option<(Figures, &Record, Extra)> {
        let (way, record) = self.others().find(|(way, _)| way.kind() == kind)?;
        Some((way.bulkhead().figures(), record, way.extra()))
    }

    /// The last reports of one that were ignored, the last one first.
    pub(super) fn ignored(&self, kind: GatewayKind) -> Result<Vec<Ignored>, store::Error> {
        self.other(kind).map_or_else(|| Ok(Vec::new()), |way| way.ignored())
    }
}

/// What an operator does about accounts whose gateway is not set up.
pub(super) fn what_to_do(kind: GatewayKind) -> String {
    format!(
        "set it up again with the settings under gateway.{}, or recycle the accounts and bring them online at another gateway",
        kind.name()
    )
}

impl Gateway for Gateways {
    fn take_up(&self, account: AccountNumber, state: &Account, owed: &Outstanding, left: Duration) {
        match (state.gateway, self.other(state.gateway)) {
            (GatewayKind::Simulator, _) => self.inner.simulator.take_up(account, state, owed, left),
            (GatewayKind::Bridge | GatewayKind::CloudApi, Some(way)) => way.take_up(account, state, owed, left),
            // It stays outstanding, and is taken up by the start that sets the gateway up again.
            (GatewayKind::Bridge | GatewayKind::CloudApi, None) => {}
        }
    }

    fn is_set_up(&self, kind: GatewayKind) -> bool {
        kind == GatewayKind::Simulator || self.has_sessions(kind)
    }
}
