//! All ways to WhatsApp that the settings have set up, as one: each account's own is asked.

use std::sync::Arc;

use super::simulator::Simulator;
use super::way::Way;
use crate::actors::{Gateway, Reports};
use crate::domain::{Account, AccountNumber, Command, GatewayKind, Outstanding, Reason, Report};

/// The ways to WhatsApp. Cheap to clone.
#[derive(Clone)]
pub struct Gateways {
    inner: Arc<Inner>,
}

struct Inner {
    simulator: Simulator,
    others: Vec<Arc<dyn Way>>,
    reports: Reports,
    runtime: tokio::runtime::Handle,
}

impl Gateways {
    /// The simulator and `others`. Tasks are run by the runtime that this is called in.
    pub(crate) fn new(simulator: Simulator, others: Vec<Arc<dyn Way>>, reports: Reports) -> Gateways {
        let runtime = tokio::runtime::Handle::current();
        Gateways { inner: Arc::new(Inner { simulator, others, reports, runtime }) }
    }

    /// The ways that are set up, beside the simulator.
    pub(crate) fn others(&self) -> &[Arc<dyn Way>] {
        &self.inner.others
    }

    /// One of them, if it is set up.
    pub(crate) fn other(&self, kind: GatewayKind) -> Option<&Arc<dyn Way>> {
        self.inner.others.iter().find(|way| way.kind() == kind)
    }

    /// What cannot be asked of a gateway that is not set up any more has failed.
    fn fail(&self, kind: GatewayKind, account: AccountNumber, owed: &Outstanding) {
        let reason = || Reason::new(format!("the gateway {} of this account is not set up", kind.name()));
        let report = match owed {
            Outstanding::Connect { session } | Outstanding::Disconnect { session } => {
                Report::Disconnected { session: Some(*session), reason: reason(), instance_code: String::new() }
            }
            Outstanding::RequestCode { task, .. } => Report::RegistrationFailed { task: *task, reason: reason() },
            Outstanding::SubmitCode { task, .. } => Report::RegistrationFailed { task: *task, reason: reason() },
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
