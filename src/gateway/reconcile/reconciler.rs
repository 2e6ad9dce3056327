//! When a gateway's sessions are compared with what is shown, and how what differs is mended.
//!
//! A gateway that is away, or a list that breaks off, changes nothing about any account: it is said once, and tried again.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
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
use crate::gateway::provider::{GatewayProvider, GatewaySession};
use crate::limits::{
    RECONCILE_IN_FLIGHT, RECONCILE_INTERVAL_MIN, RECONCILE_LISTING_TIMEOUT, RECONCILE_PER_SECOND, RECONCILE_RETRY_WAIT,
};
use crate::metrics::{Difference, Metrics, ReconcileOutcome};
use crate::projections::{Roster, ServedAccount};

/// What compares the sessions of one gateway with what is shown.
pub(crate) struct Reconciler {
    /// Whose sessions.
    pub(crate) provider: Arc<dyn GatewayProvider>,
    /// Where it stands what came of it.
    pub(crate) status: Arc<ReconcileStatus>,
    /// Where accounts are told of it.
    pub(crate) reports: ReportSender,
    /// What is shown.
    pub(crate) roster: Roster,
    /// What counts it.
    pub(crate) metrics: Metrics,
    /// How often, if nobody asks.
    pub(crate) every: Duration,
}

impl Reconciler {
    /// Compares at once, and again and again, until `stop`; what is under way then is left as it is.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let _stopped = stop.run_until_cancelled(self.run_loop()).await;
    }

    async fn run_loop(&self) {
        let mut is_there = self.provider.bulkhead().availability();
        for round in 0.. {
            let begun = Instant::now();
            // Whoever has asked by now is asked for.
            let _served = self.status.wait_for_trigger().now_or_never();
            let wait = match self.list_and_compare(&mut is_there).await {
                Ok(listed) => {
                    self.reconcile(listed).await;
                    self.every
                }
                Err(why) => self.record_failure(&why),
            };
            tokio::select! {
                () = sleep(apply_jitter(wait, u64::from(self.kind().code()), round)) => {}
                () = self.status.wait_for_trigger() => {}
                () = wait_until_available(&mut is_there) => {}
            }
            sleep_until(begun + RECONCILE_INTERVAL_MIN).await;
        }
    }

    fn kind(&self) -> GatewayKind {
        self.provider.kind()
    }

    /// The accounts as they are shown, and then the sessions: what happens to an account in between is not meant, and is
    /// told apart by its version.
    async fn list_and_compare(&self, is_there: &mut watch::Receiver<bool>) -> Result<ListedSessions, String> {
        self.status.mark_started();
        let (at, begun) = (clock::now(), Instant::now());
        let (roster, kind) = (self.roster.clone(), self.kind());
        let shown =
            spawn_blocking(move || roster.accounts_of_gateway(kind)).await.map_err(|error| error.to_string())?;
        let seen = timeout(RECONCILE_LISTING_TIMEOUT, self.provider.list_sessions()).await;
        // That this very list has shown it to be back is no reason for another one.
        is_there.mark_unchanged();
        let late = |_| format!("its sessions were not listed within {} s", RECONCILE_LISTING_TIMEOUT.as_secs());
        let seen: Vec<GatewaySession> = seen.map_err(late)?.map_err(|away| away.reason)?;
        let sessions = seen.len() as u64;
        let compared = spawn_blocking(move || compare(kind, &shown, &seen)).await.map_err(|error| error.to_string())?;
        let is_strange =
            |account: &&AccountNumber| self.roster.account_at_gateway(**account).is_none_or(|(by, _)| by != kind);
        let strangers = compared.unknown_sessions.iter().filter(is_strange).count() as u64;
        Ok(ListedSessions { at, begun, sessions, discrepancies: compared.discrepancies, unknown_sessions: strangers })
    }

    /// Mends what differs, at a pace that callers do not feel.
    async fn reconcile(
        &self,
        ListedSessions { at, begun, sessions, discrepancies: findings, unknown_sessions: strangers }: ListedSessions,
    ) {
        let mut turns = interval(Duration::from_secs(1) / RECONCILE_PER_SECOND);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut findings = findings.into_iter().peekable();
        let mut under_way = FuturesUnordered::new();
        let mut counted: BTreeMap<&'static str, (Difference, u64)> = BTreeMap::new();
        loop {
            let is_next = under_way.len() < RECONCILE_IN_FLIGHT && findings.peek().is_some();
            tokio::select! {
                Some(mended) = under_way.next() => {
                    if let Some(difference) = mended {
                        self.metrics.differences.with((self.kind(), difference)).inc();
                        counted.entry(difference.word()).or_insert((difference, 0)).1 += 1;
                    }
                }
                _ = turns.tick(), if is_next => under_way.extend(findings.next().map(|finding| self.repair(finding))),
                else => break,
            }
        }
        let differences: Vec<(Difference, u64)> = counted.into_values().collect();
        let gateway = self.kind().name();
        let accounts: u64 = differences.iter().map(|(_, accounts)| accounts).sum();
        if accounts > 0 {
            tracing::info!(gateway, sessions, accounts, "the gateway's sessions differed from what was shown");
        }
        self.metrics.reconciliations.with((self.kind(), ReconcileOutcome::Done)).inc();
        self.metrics.strangers.with(self.kind()).set(strangers);
        let last = CompletedReconciliation {
            started_at: at,
            duration: begun.elapsed(),
            sessions,
            differences,
            unknown_sessions: strangers,
        };
        if let Some(over) = self.status.mark_completed(last) {
            tracing::info!(gateway, failed = over.consecutive_failures, "the gateway's sessions are compared again");
        }
    }

    /// Says so, if it is news. Returns when to try again.
    fn record_failure(&self, why: &str) -> Duration {
        self.metrics.reconciliations.with((self.kind(), ReconcileOutcome::Failed)).inc();
        // A gateway's own words may be among them.
        let why = escape_controls(why);
        let (gateway, error) = (self.kind().name(), why.clone());
        let failed = self.status.mark_failed(clock::now(), why);
        if failed == 1 {
            tracing::warn!(
                gateway,
                error,
                "the gateway's sessions cannot be compared with what is shown; accounts stay as they are, and it is tried \
                 again"
            );
        }
        RECONCILE_RETRY_WAIT.saturating_mul(1 << (failed - 1).min(16)).min(self.every)
    }

    /// Mends one difference; none if something has happened to the account since it was compared.
    async fn repair(&self, finding: Discrepancy) -> Option<Difference> {
        let Discrepancy { account, mut as_of, difference, actions } = finding;
        for action in actions {
            match action {
                RepairAction::Report(report) => {
                    let session = if let Report::Connected { session, .. } = &report { Some(*session) } else { None };
                    let command = Command::Reconcile { report, as_of };
                    // An error stands in the log already; the next comparison finds the difference again.
                    match (self.reports.execute(self.kind(), account, command).await.ok()?.ok()?, session) {
                        (CommandSuccess::Recorded, _) => as_of += 1,
                        // The gateway has the session before, and not the one that is wanted.
                        (CommandSuccess::Unchanged, Some(session)) if self.is_unchanged(account, as_of) => {
                            self.provider.close_session(account, session);
                            self.reports.redispatch(account).await.ok()?;
                        }
                        (CommandSuccess::Unchanged, _) => return None,
                    }
                }
                RepairAction::CloseSession { session } if self.is_unchanged(account, as_of) => {
                    self.provider.close_session(account, session);
                }
                RepairAction::Redispatch if self.is_unchanged(account, as_of) => {
                    self.reports.redispatch(account).await.ok()?;
                }
                RepairAction::CloseSession { .. } | RepairAction::Redispatch => return None,
            }
        }
        Some(difference)
    }

    /// Whether nothing has happened to the account since then.
    fn is_unchanged(&self, account: AccountNumber, as_of: u64) -> bool {
        let is_it = |(by, now): (GatewayKind, ServedAccount)| by == self.kind() && now.version == as_of;
        self.roster.account_at_gateway(account).is_some_and(is_it)
    }
}

/// What a gateway listed, compared.
struct ListedSessions {
    at: Timestamp,
    begun: Instant,
    sessions: u64,
    discrepancies: Vec<Discrepancy>,
    unknown_sessions: u64,
}

/// Returns once the gateway is back that was away.
async fn wait_until_available(is_there: &mut watch::Receiver<bool>) {
    while is_there.changed().await.is_ok() {
        if *is_there.borrow_and_update() {
            return;
        }
    }
    pending::<()>().await;
}
