//! Compares a gateway's sessions with the roster, periodically and on request, and repairs the differences.
//!
//! If the gateway is away or its list is incomplete, no account changes. The failure is logged once and retried.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::compare::{Discrepancy, RepairAction, compare};
use super::status::{CompletedReconciliation, ReconcileStatus};
use crate::actors::{CommandSuccess, ReportSender};
use crate::clock;
use crate::domain::{AccountNumber, Command, GatewayKind, Report, Timestamp, apply_jitter, escape_controls};
use crate::gateway::remote_gateway::{GatewaySession, RemoteGateway};
use crate::limits::{
    RECONCILE_IN_FLIGHT, RECONCILE_INTERVAL_MIN, RECONCILE_LISTING_TIMEOUT, RECONCILE_PER_SECOND, RECONCILE_RETRY_WAIT,
};
use crate::metrics::{Difference, Metrics, ReconcileOutcome};
use crate::projections::{Roster, ServedAccount};

/// Reconciles one gateway with the roster.
pub(crate) struct Reconciler {
    /// The kind of the gateway.
    pub(crate) kind: GatewayKind,
    /// Whether it closes sessions that no account needs.
    pub(crate) closes_sessions: bool,
    /// The gateway.
    pub(crate) remote: Arc<dyn RemoteGateway>,
    /// Receives the result of each run.
    pub(crate) status: Arc<ReconcileStatus>,
    /// Sends reports to the accounts.
    pub(crate) reports: ReportSender,
    /// The reported state of all accounts.
    pub(crate) roster: Roster,
    /// Counts runs and differences.
    pub(crate) metrics: Metrics,
    /// The interval between scheduled runs.
    pub(crate) every: Duration,
}

impl Reconciler {
    /// Reconciles at once and then repeatedly until `stop`, which aborts a run under way.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let _stopped = stop.run_until_cancelled(join(self.run_loop(), self.trigger_after_restarts())).await;
    }

    async fn trigger_after_restarts(&self) {
        let Some(mut restarts) = self.remote.restarts() else { return };
        while restarts.changed().await.is_ok() {
            self.status.trigger();
        }
    }

    async fn run_loop(&self) {
        let mut availability = self.remote.bulkhead().availability();
        for round in 0.. {
            let started = Instant::now();
            // This run serves all requests made so far.
            let _served = self.status.wait_for_trigger().now_or_never();
            let wait = match self.list_and_compare(&mut availability).await {
                Ok(listed) => {
                    self.reconcile(listed).await;
                    self.every
                }
                Err(why) => self.record_failure(&why),
            };
            tokio::select! {
                () = sleep(apply_jitter(wait, u64::from(self.kind.code()), round)) => {}
                () = self.status.wait_for_trigger() => {}
                () = wait_until_available(&mut availability) => {}
            }
            sleep_until(started + RECONCILE_INTERVAL_MIN).await;
        }
    }

    /// Reads the roster first, then lists the sessions. The version reveals an account that changed in between.
    async fn list_and_compare(&self, availability: &mut watch::Receiver<bool>) -> Result<ListedSessions, String> {
        self.status.mark_started();
        let (at, started) = (clock::now(), Instant::now());
        let (roster, kind, closes_sessions) = (self.roster.clone(), self.kind, self.closes_sessions);
        let accounts =
            spawn_blocking(move || roster.accounts_of_gateway(kind)).await.map_err(|error| error.to_string())?;
        let listing = timeout(RECONCILE_LISTING_TIMEOUT, self.remote.list_sessions()).await;
        // This listing may itself have closed the breaker; that must not start another run.
        availability.mark_unchanged();
        let timed_out = |_| format!("its sessions were not listed within {} s", RECONCILE_LISTING_TIMEOUT.as_secs());
        let sessions: Vec<GatewaySession> = listing.map_err(timed_out)?.map_err(|unavailable| unavailable.reason)?;
        let session_count = sessions.len() as u64;
        let comparison = spawn_blocking(move || compare(closes_sessions, &accounts, &sessions))
            .await
            .map_err(|error| error.to_string())?;
        let is_unknown =
            |account: &&AccountNumber| self.roster.account_at_gateway(**account).is_none_or(|(by, _)| by != kind);
        let unknown_sessions = comparison.unknown_sessions.iter().filter(is_unknown).count() as u64;
        let discrepancies = comparison.discrepancies;
        Ok(ListedSessions { at, started, sessions: session_count, discrepancies, unknown_sessions })
    }

    /// Repairs the differences, at a pace that does not disturb callers.
    async fn reconcile(
        &self,
        ListedSessions { at, started, sessions, discrepancies, unknown_sessions }: ListedSessions,
    ) {
        let mut ticks = interval(Duration::from_secs(1) / RECONCILE_PER_SECOND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut discrepancies = discrepancies.into_iter().peekable();
        let mut repairs = FuturesUnordered::new();
        let mut counts: BTreeMap<&'static str, (Difference, u64)> = BTreeMap::new();
        loop {
            let may_start = repairs.len() < RECONCILE_IN_FLIGHT && discrepancies.peek().is_some();
            tokio::select! {
                Some(repaired) = repairs.next() => {
                    if let Some(difference) = repaired {
                        self.metrics.differences.with((self.kind, difference)).inc();
                        counts.entry(difference.label()).or_insert((difference, 0)).1 += 1;
                    }
                }
                _ = ticks.tick(), if may_start => {
                    repairs.extend(discrepancies.next().map(|discrepancy| self.repair(discrepancy)));
                }
                else => break,
            }
        }
        let differences: Vec<(Difference, u64)> = counts.into_values().collect();
        let gateway = self.kind.name();
        let accounts: u64 = differences.iter().map(|(_, accounts)| accounts).sum();
        if accounts > 0 {
            tracing::info!(
                gateway,
                sessions,
                accounts,
                "reconciled: the gateway's sessions differed from the account list"
            );
        }
        self.metrics.reconciliations.with((self.kind, ReconcileOutcome::Done)).inc();
        self.metrics.unknown_sessions.with(self.kind).set(unknown_sessions);
        let last = CompletedReconciliation {
            started_at: at,
            duration: started.elapsed(),
            sessions,
            differences,
            unknown_sessions,
        };
        if let Some(failure) = self.status.mark_completed(last) {
            tracing::info!(
                gateway,
                failed = failure.consecutive_failures,
                "reconciliation with the gateway works again"
            );
        }
    }

    /// Records a failed run, and logs the first of several in a row. Returns how long to wait before the next run.
    fn record_failure(&self, why: &str) -> Duration {
        self.metrics.reconciliations.with((self.kind, ReconcileOutcome::Failed)).inc();
        // The reason may contain text from the gateway.
        let why = escape_controls(why);
        let (gateway, error) = (self.kind.name(), why.clone());
        let failed = self.status.mark_failed(clock::now(), why);
        if failed == 1 {
            tracing::warn!(
                gateway,
                error,
                "reconciliation with the gateway failed and will be retried; its accounts keep their last state"
            );
        }
        RECONCILE_RETRY_WAIT.saturating_mul(1 << (failed - 1).min(16)).min(self.every)
    }

    /// Repairs one difference. `None` if the account changed after the comparison, or if an action failed.
    async fn repair(&self, discrepancy: Discrepancy) -> Option<Difference> {
        let Discrepancy { account, mut as_of, difference, actions } = discrepancy;
        for action in actions {
            match action {
                RepairAction::Report(report) => {
                    let session = if let Report::Connected { session, .. } = &report { Some(*session) } else { None };
                    let command = Command::Reconcile { report, as_of };
                    // An error is in the log already; the next run finds the difference again.
                    match (self.reports.execute(self.kind, account, command).await.ok()?.ok()?, session) {
                        (CommandSuccess::Recorded, _) => as_of += 1,
                        // The gateway has the previous session, not the wanted one.
                        (CommandSuccess::Unchanged, Some(session)) if self.is_unchanged(account, as_of) => {
                            self.remote.close_session(account, session);
                            self.reports.redispatch(account).await.ok()?;
                        }
                        (CommandSuccess::Unchanged, _) => return None,
                    }
                }
                RepairAction::CloseSession { session } if self.is_unchanged(account, as_of) => {
                    self.remote.close_session(account, session);
                }
                RepairAction::Redispatch if self.is_unchanged(account, as_of) => {
                    self.reports.redispatch(account).await.ok()?;
                }
                RepairAction::CloseSession { .. } | RepairAction::Redispatch => return None,
            }
        }
        Some(difference)
    }

    /// Whether the account is still at version `as_of`.
    fn is_unchanged(&self, account: AccountNumber, as_of: u64) -> bool {
        let matches =
            |(gateway, current): (GatewayKind, ServedAccount)| gateway == self.kind && current.version == as_of;
        self.roster.account_at_gateway(account).is_some_and(matches)
    }
}

/// A gateway's listed sessions, compared with the roster.
struct ListedSessions {
    at: Timestamp,
    started: Instant,
    sessions: u64,
    discrepancies: Vec<Discrepancy>,
    unknown_sessions: u64,
}

/// Waits until a gateway that was away is available again.
async fn wait_until_available(availability: &mut watch::Receiver<bool>) {
    while availability.changed().await.is_ok() {
        if *availability.borrow_and_update() {
            return;
        }
    }
    pending::<()>().await;
}
