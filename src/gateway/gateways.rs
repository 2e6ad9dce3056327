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
use crate::domain::{Account, AccountNumber, Command, GatewayKind, Outstanding, Reason, Report};
use crate::metrics::Metrics;
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
    runtime: tokio::runtime::Handle,
}

impl Gateways {
    /// The simulator and `others`. Tasks are run by the runtime that this is called in.
    pub(crate) fn new(simulator: Simulator, others: Vec<Arc<dyn Way>>, reports: Reports) -> Gateways {
        let runtime = tokio::runtime::Handle::current();
        let records = others.iter().map(|_| Arc::default()).collect();
        Gateways { inner: Arc::new(Inner { simulator, others, records, reports, runtime }) }
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

    /// What cannot be asked of a gateway that is not set up any more has failed.
    fn fail(&self, kind: GatewayKind, account: AccountNumber, owed: &Outstanding) {
        let reason = || Reason::new(format!("the gateway {} of this account is not set up", kind.name()));
        let report = match owed {
            Outstanding::Connect { session } | Outstanding::Disconnect { session } => {
                Report::Disconnected { session: Some(*session), reason: reason(), instance_code: String::new() }
            }
            Outstanding::RequestCode { task, .. } | Outstanding::SubmitCode { task, .. } => {
                Report::RegistrationFailed { task: *task, reason: reason() }
            }
        };
        let inner = self.inner.clone();
        self.inner.runtime.spawn(async move {
            // Whoever stops takes it up again at the next start.
            let _stopping = inner.reports.settle(kind, account, Command::Report(report)).await;
        });
    }
}

impl Gateway for Gateways {
    fn take_up(&self, account: AccountNumber, state: &Account, owed: &Outstanding) {
        match (state.gateway, self.other(state.gateway)) {
            (GatewayKind::Simulator, _) => self.inner.simulator.take_up(account, state, owed),
            (GatewayKind::Bridge | GatewayKind::CloudApi, Some(way)) => way.take_up(account, state, owed),
            (kind @ (GatewayKind::Bridge | GatewayKind::CloudApi), None) => self.fail(kind, account, owed),
        }
    }
}
