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

use super::compare::{Action, Finding, compare};
use super::record::{Last, Record};
use crate::actors::{Effect, Reports};
use crate::clock;
use crate::domain::{AccountNumber, Command, GatewayKind, Report, Timestamp, printable, sooner};
use crate::gateway::way::{Seen, Way};
use crate::limits::{RECONCILE_AGAIN, RECONCILE_APART, RECONCILE_IN_FLIGHT, RECONCILE_LISTING, RECONCILE_PER_SECOND};
use crate::metrics::{Difference, Metrics, ReconcileOutcome};
use crate::projections::{Roster, ServedAccount};

/// What compares the sessions of one gateway with what is shown.
pub(crate) struct Reconciliation {
    /// Whose sessions.
    pub(crate) way: Arc<dyn Way>,
    /// Where it stands what came of it.
    pub(crate) record: Arc<Record>,
    /// Where accounts are told of it.
    pub(crate) reports: Reports,
    /// What is shown.
    pub(crate) roster: Roster,
    /// What counts it.
    pub(crate) metrics: Metrics,
    /// How often, if nobody asks.
    pub(crate) every: Duration,
}

impl Reconciliation {
    /// Compares at once, and again and again, until `stop`; what is under way then is left as it is.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let _stopped = stop.run_until_cancelled(self.go_on()).await;
    }

    async fn go_on(&self) {
        let mut is_there = self.way.bulkhead().is_there();
        for round in 0.. {
            let begun = Instant::now();
            // Whoever has asked by now is asked for.
            let _served = self.record.asked().now_or_never();
            let wait = match self.listed(&mut is_there).await {
                Ok(listed) => {
                    self.bring_together(listed).await;
                    self.every
                }
                Err(why) => self.failed(&why),
            };
            tokio::select! {
                () = sleep(sooner(wait, u64::from(self.kind().code()), round)) => {}
                () = self.record.asked() => {}
                () = is_back(&mut is_there) => {}
            }
            sleep_until(begun + RECONCILE_APART).await;
        }
    }

    fn kind(&self) -> GatewayKind {
        self.way.kind()
    }

    /// The accounts as they are shown, and then the sessions: what happens to an account in between is not meant, and is
    /// told apart by its version.
    async fn listed(&self, is_there: &mut watch::Receiver<bool>) -> Result<Listed, String> {
        self.record.begins();
        let (at, begun) = (clock::now(), Instant::now());
        let (roster, kind) = (self.roster.clone(), self.kind());
        let shown = spawn_blocking(move || roster.served_by(kind)).await.map_err(|error| error.to_string())?;
        let seen = timeout(RECONCILE_LISTING, self.way.sessions()).await;
        // That this very list has shown it to be back is no reason for another one.
        is_there.mark_unchanged();
        let late = |_| format!("its sessions were not listed within {} s", RECONCILE_LISTING.as_secs());
        let seen: Vec<Seen> = seen.map_err(late)?.map_err(|away| away.why)?;
        let sessions = seen.len() as u64;
        let compared = spawn_blocking(move || compare(kind, &shown, &seen)).await.map_err(|error| error.to_string())?;
        let is_strange = |account: &&AccountNumber| self.roster.served(**account).is_none_or(|(by, _)| by != kind);
        let strangers = compared.strangers.iter().filter(is_strange).count() as u64;
        Ok(Listed { at, begun, sessions, findings: compared.findings, strangers })
    }

    /// Mends what differs, at a pace that callers do not feel.
    async fn bring_together(&self, Listed { at, begun, sessions, findings, strangers }: Listed) {
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
                        self.metrics.differences.at((self.kind(), difference)).inc();
                        counted.entry(difference.word()).or_insert((difference, 0)).1 += 1;
                    }
                }
                _ = turns.tick(), if is_next => under_way.extend(findings.next().map(|finding| self.mend(finding))),
                else => break,
            }
        }
        let differences: Vec<(Difference, u64)> = counted.into_values().collect();
        let gateway = self.kind().name();
        let accounts: u64 = differences.iter().map(|(_, accounts)| accounts).sum();
        if accounts > 0 {
            tracing::info!(gateway, sessions, accounts, "the gateway's sessions differed from what was shown");
        }
        self.metrics.reconciliations.at((self.kind(), ReconcileOutcome::Done)).inc();
        self.metrics.strangers.at(self.kind()).set(strangers);
        let last = Last { at, took: begun.elapsed(), sessions, differences, strangers };
        if let Some(over) = self.record.is_done(last) {
            tracing::info!(gateway, failed = over.failed, "the gateway's sessions are compared again");
        }
    }

    /// Says so, if it is news. Returns when to try again.
    fn failed(&self, why: &str) -> Duration {
        self.metrics.reconciliations.at((self.kind(), ReconcileOutcome::Failed)).inc();
        // A gateway's own words may be among them.
        let why = printable(why);
        let (gateway, error) = (self.kind().name(), why.clone());
        let failed = self.record.has_failed(clock::now(), why);
        if failed == 1 {
            tracing::warn!(
                gateway,
                error,
                "the gateway's sessions cannot be compared with what is shown; accounts stay as they are, and it is tried \
                 again"
            );
        }
        RECONCILE_AGAIN.saturating_mul(1 << (failed - 1).min(16)).min(self.every)
    }

    /// Mends one difference; none if something has happened to the account since it was compared.
    async fn mend(&self, finding: Finding) -> Option<Difference> {
        let Finding { account, mut as_of, difference, actions } = finding;
        for action in actions {
            match action {
                Action::Report(report) => {
                    let session = if let Report::Connected { session, .. } = &report { Some(*session) } else { None };
                    let command = Command::Reconcile { report, as_of };
                    // An error stands in the log already; the next comparison finds the difference again.
                    match (self.reports.settle(self.kind(), account, command).await.ok()?.ok()?, session) {
                        (Effect::Happened, _) => as_of += 1,
                        // The gateway has the session before, and not the one that is wanted.
                        (Effect::Nothing, Some(session)) if self.is_still(account, as_of) => {
                            self.way.close(account, session);
                            self.reports.offer_again(account).await.ok()?;
                        }
                        (Effect::Nothing, _) => return None,
                    }
                }
                Action::Close { session } if self.is_still(account, as_of) => self.way.close(account, session),
                Action::OfferAgain if self.is_still(account, as_of) => self.reports.offer_again(account).await.ok()?,
                Action::Close { .. } | Action::OfferAgain => return None,
            }
        }
        Some(difference)
    }

    /// Whether nothing has happened to the account since then.
    fn is_still(&self, account: AccountNumber, as_of: u64) -> bool {
        let is_it = |(by, now): (GatewayKind, ServedAccount)| by == self.kind() && now.version == as_of;
        self.roster.served(account).is_some_and(is_it)
    }
}

/// What a gateway listed, compared.
struct Listed {
    at: Timestamp,
    begun: Instant,
    sessions: u64,
    findings: Vec<Finding>,
    strangers: u64,
}

/// Returns once the gateway is back that was away.
async fn is_back(is_there: &mut watch::Receiver<bool>) {
    while is_there.changed().await.is_ok() {
        if *is_there.borrow_and_update() {
            return;
        }
    }
    pending::<()>().await;
}
