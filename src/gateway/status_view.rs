//! The status of each gateway, as operators see it.

use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::bulkhead::{CallStats, GatewayBreakerState};
use super::gateway_registry::{GatewayEntry, GatewayRegistry, what_to_do};
use super::ignored_report::IgnoredReportView;
use super::reconcile::{CompletedReconciliation, ReconcileFailure, ReconcileStatus};
use super::remote_gateway::RemoteGateway;
use crate::audit::write_time;
use crate::clock;
use crate::domain::{GatewayKind, Timestamp};
use crate::limits::RECONCILE_RETRY_WAIT;
use crate::metrics::{AccountState, BreakerState, Difference, Metrics};
use crate::projections::{AccountCounts, Roster};
use crate::store;

/// The state of a gateway.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Gateway)]
pub struct GatewayView {
    /// The gateway's name, as in an account's `gateway`.
    pub(crate) name: &'static str,
    /// Whether it serves the accounts that no rule names.
    pub(crate) is_default: bool,
    /// `up`, `away`, or `not_set_up`.
    pub(crate) state: &'static str,
    /// The state in a sentence, and how to correct it.
    #[serde(rename = "says")]
    pub(crate) summary: String,
    pub(crate) accounts: AccountsServed,
    /// The calls; null for the simulator, and if the gateway is not set up.
    #[schema(required)]
    pub(crate) calls: Option<CallsView>,
    /// The reconciliations; null for the simulator, and if the gateway is not set up.
    #[schema(required)]
    pub(crate) reconciliation: Option<ReconciliationView>,
    /// The last errors, newest first.
    pub(crate) errors: Vec<GatewayErrorView>,
    /// Commands that wait to be sent or fetched; null if the gateway has no such queue.
    #[schema(required)]
    pub(crate) work_queued: Option<u64>,
    /// Milliseconds between the creation and the ingestion of the last report; null if there is none.
    #[schema(required)]
    pub(crate) report_lag_ms: Option<u64>,
    /// The last reports that changed nothing, newest first, at most 20.
    pub(crate) ignored_reports: Vec<IgnoredReportView>,
}

/// The accounts that are routed to a gateway.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountsServed {
    /// The number of accounts.
    pub(crate) total: u64,
    pub(crate) online_coming: u64,
    pub(crate) online: u64,
    pub(crate) offline_coming: u64,
    pub(crate) offline: u64,
    pub(crate) banned: u64,
}

/// The calls to a gateway.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GatewayCalls)]
pub(crate) struct CallsView {
    /// Calls in flight.
    pub(crate) in_flight: usize,
    /// Calls since the start that got a response, whatever its status.
    pub(crate) answered: u64,
    /// Calls since the start that failed.
    pub(crate) failed: u64,
    /// `closed`; `open`: no calls are made; or `probing`: one test call is made.
    pub(crate) breaker: &'static str,
    /// The time of the next test call, while the circuit breaker is open.
    #[schema(required, format = DateTime)]
    pub(crate) open_until: Option<String>,
    /// The time of the last response.
    #[schema(required, format = DateTime)]
    pub(crate) last_answer: Option<String>,
}

/// The reconciliation of a gateway's sessions with the account list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reconciliation)]
pub(crate) struct ReconciliationView {
    /// Whether one is running.
    #[serde(rename = "isUnderWay")]
    pub(crate) is_running: bool,
    /// The last complete reconciliation; null if there was none since the start.
    #[schema(required)]
    pub(crate) last: Option<LastReconciliationView>,
    /// Why the last one failed; null if it did not.
    #[schema(required)]
    pub(crate) failure: Option<ReconciliationFailureView>,
}

/// A complete reconciliation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reconciled)]
pub(crate) struct LastReconciliationView {
    /// The start time.
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// The duration in milliseconds, including all repairs.
    pub(crate) took_ms: u64,
    /// The number of the gateway's sessions.
    pub(crate) sessions: u64,
    pub(crate) differences: DifferenceCounts,
    /// Accounts with a session at the gateway that are not routed to it. Nothing is done about them.
    #[serde(rename = "strangers")]
    pub(crate) unknown_sessions: u64,
}

/// The differences between the gateway's sessions and the account list, as numbers of accounts.
#[derive(Serialize, Default, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Differences)]
pub(crate) struct DifferenceCounts {
    /// Accounts that came online.
    pub(crate) connected: u64,
    /// Accounts that went offline.
    pub(crate) disconnected: u64,
    /// Accounts whose pending effects were sent to the gateway again.
    pub(crate) not_begun: u64,
    /// Sessions that no account needs. They are closed.
    pub(crate) unwanted: u64,
    /// Accounts that are banned.
    pub(crate) banned: u64,
    /// Accounts whose ban was lifted.
    pub(crate) ban_lifted: u64,
}

/// Why reconciliations fail.
#[derive(Serialize, ToSchema)]
#[schema(as = ReconciliationFailure)]
pub(crate) struct ReconciliationFailureView {
    /// The time of the first failure.
    #[schema(format = DateTime)]
    pub(crate) since: String,
    /// The reason of the last failure.
    pub(crate) why: String,
    /// The number of consecutive failures.
    pub(crate) failed: u32,
}

/// An error of a gateway.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayCallError)]
pub(crate) struct GatewayErrorView {
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// What went wrong, without secrets.
    pub(crate) what: String,
}

impl GatewayRegistry {
    /// The status of all gateways, with the account counts of `roster`. `default` serves accounts that match no rule.
    pub fn views(&self, roster: &Roster, default: GatewayKind) -> Result<Vec<GatewayView>, store::Error> {
        let view = |entry: &GatewayEntry| {
            let view = GatewayView::of(entry, entry.kind == default, &roster.counts_of_gateway(entry.kind));
            match &entry.remote {
                Some(remote) => view.with_remote(&**remote, &entry.reconciliation),
                None => Ok(view),
            }
        };
        self.entries().iter().map(view).collect()
    }

    /// Sets the metrics of all gateways.
    pub fn update_metrics(&self, metrics: &Metrics) {
        for GatewayEntry { kind, provider, remote, reconciliation, .. } in self.entries() {
            let call_stats = remote.as_ref().map(|remote| remote.bulkhead().call_stats());
            let is_away = call_stats.as_ref().is_some_and(|call_stats| !is_up(call_stats, reconciliation));
            metrics.gateway_set_up.with(*kind).set(u64::from(provider.is_some()));
            metrics.gateway_up.with(*kind).set(u64::from(provider.is_some() && !is_away));
            let Some(call_stats) = call_stats else { continue };
            metrics.gateway_in_flight.with(*kind).set(call_stats.in_flight as u64);
            for state in BreakerState::ALL {
                metrics.gateway_breaker.with((*kind, *state)).set(u64::from(*state == breaker_label(&call_stats)));
            }
            if let Some(error) = call_stats.errors.first() {
                metrics.gateway_last_error.with(*kind).set(error.at.0 as f64 / 1e6);
            }
        }
    }
}

impl GatewayView {
    /// The view without the figures of a remote gateway, which `with_remote` adds.
    fn of(entry: &GatewayEntry, is_default: bool, counts: &AccountCounts) -> GatewayView {
        let accounts = AccountsServed {
            total: counts.total(),
            online_coming: counts.of_state(AccountState::OnlineComing),
            online: counts.of_state(AccountState::Online),
            offline_coming: counts.of_state(AccountState::OfflineComing),
            offline: counts.of_state(AccountState::Offline),
            banned: counts.of_state(AccountState::Banned),
        };
        let (state, summary) = match (&entry.provider, accounts.total) {
            (Some(_), _) => ("up", "It is built in and always available.".to_owned()),
            (None, 0) => ("not_set_up", "It is not set up, and no account needs it.".to_owned()),
            (None, served) => {
                let summary = format!(
                    "It is not set up, and {served} accounts are routed to it. Their pending effects wait. To correct \
                     this: {}.",
                    what_to_do(entry.kind)
                );
                ("not_set_up", summary)
            }
        };
        GatewayView {
            name: entry.kind.name(),
            is_default,
            state,
            summary,
            accounts,
            calls: None,
            reconciliation: None,
            errors: Vec::new(),
            work_queued: None,
            report_lag_ms: None,
            ignored_reports: Vec::new(),
        }
    }

    /// Adds the figures of a remote gateway.
    fn with_remote(
        mut self,
        remote: &dyn RemoteGateway,
        status: &ReconcileStatus,
    ) -> Result<GatewayView, store::Error> {
        let (call_stats, stats) = (remote.bulkhead().call_stats(), remote.stats());
        (self.state, self.summary) = describe_state(&call_stats, status);
        let open_until = match call_stats.breaker {
            GatewayBreakerState::Open { until } => {
                Some(write_time(clock::now().plus(until.saturating_duration_since(Instant::now()))))
            }
            GatewayBreakerState::Closed | GatewayBreakerState::Probing => None,
        };
        self.calls = Some(CallsView {
            in_flight: call_stats.in_flight,
            answered: call_stats.answered,
            failed: call_stats.failed,
            breaker: breaker_label(&call_stats).label(),
            open_until,
            last_answer: call_stats.last_answer.map(write_time),
        });
        self.reconciliation = Some(ReconciliationView {
            is_running: status.is_running(),
            last: status.last_completed().map(LastReconciliationView::of),
            failure: status.failure().map(ReconciliationFailureView::of),
        });
        let error_view = |(at, what): (Timestamp, String)| GatewayErrorView { at: write_time(at), what };
        self.errors = call_stats.errors.iter().map(|error| error_view((error.at, error.message.clone()))).collect();
        self.work_queued = stats.work_queued;
        self.report_lag_ms = stats.report_lag.map(|lag| millis(lag.as_millis()));
        self.ignored_reports = remote.ignored_reports()?;
        Ok(self)
    }
}

impl LastReconciliationView {
    fn of(last: CompletedReconciliation) -> LastReconciliationView {
        let mut differences = DifferenceCounts::default();
        for (difference, accounts) in last.differences {
            *match difference {
                Difference::Connected => &mut differences.connected,
                Difference::Disconnected => &mut differences.disconnected,
                Difference::NotBegun => &mut differences.not_begun,
                Difference::Unwanted => &mut differences.unwanted,
                Difference::Banned => &mut differences.banned,
                Difference::BanLifted => &mut differences.ban_lifted,
            } = accounts;
        }
        let CompletedReconciliation { started_at, duration, sessions, unknown_sessions, .. } = last;
        LastReconciliationView {
            at: write_time(started_at),
            took_ms: millis(duration.as_millis()),
            sessions,
            differences,
            unknown_sessions,
        }
    }
}

impl ReconciliationFailureView {
    fn of(
        ReconcileFailure { since, reason: why, consecutive_failures: failed }: ReconcileFailure,
    ) -> ReconciliationFailureView {
        ReconciliationFailureView { since: write_time(since), why, failed }
    }
}

fn millis(millis: u128) -> u64 {
    u64::try_from(millis).unwrap_or(u64::MAX)
}

fn breaker_label(call_stats: &CallStats) -> BreakerState {
    match call_stats.breaker {
        GatewayBreakerState::Closed => BreakerState::Closed,
        GatewayBreakerState::Open { .. } => BreakerState::Open,
        GatewayBreakerState::Probing => BreakerState::Probing,
    }
}

/// Whether the gateway is available: its breaker is closed, and the last reconciliation did not fail.
fn is_up(call_stats: &CallStats, status: &ReconcileStatus) -> bool {
    call_stats.breaker == GatewayBreakerState::Closed && status.failure().is_none()
}

fn describe_state(call_stats: &CallStats, status: &ReconcileStatus) -> (&'static str, String) {
    if is_up(call_stats, status) {
        let summary =
            if call_stats.last_answer.is_some() { "It responds." } else { "It has not responded to any call yet." };
        return ("up", summary.to_owned());
    }
    let error = call_stats.errors.first().map(|error| error.message.clone());
    let why = error.or(status.failure().map(|failure| failure.reason)).unwrap_or_default();
    let next_call = match call_stats.breaker {
        GatewayBreakerState::Open { .. } | GatewayBreakerState::Probing => {
            "Muster makes single test calls to it only.".to_owned()
        }
        GatewayBreakerState::Closed => {
            format!("The next reconciliation is in {} s or more.", RECONCILE_RETRY_WAIT.as_secs())
        }
    };
    ("away", format!("It is away: {why}. {next_call} Its accounts keep their last state."))
}
