//! The bridge: any gateway process that speaks the protocol, over signed HTTP. Commands are pushed to it, or it fetches
//! them; what it sees comes in as reports.
//!
//! | file | what it knows |
//! |---|---|
//! | `protocol` | commands, work, acknowledgements, answers, as they are written |
//! | `reports` | reports, and what they are answered |
//! | `sessions` | the sessions that a gateway says it has |
//! | `values` | JSON from a gateway, strictly typed, and the sentence that names the field at fault |
//! | `orders` | what is to be asked of a gateway: from an account's state to a command |
//! | `queue` | commands that wait, and those that were given out. Pure |
//! | `line` | the queue as it is shared, and who waits at it |
//! | `push` | commands are posted, again and again |
//! | `pull` | commands are fetched |
//! | `verdict` | what an answer to a command means. Pure |
//! | `listing` | all sessions, page by page |
//! | `signed` | whether a request is a gateway's |
//! | `intake` | reports come in |
//! | `marks` | how far each stream of reports was taken in, and what was ignored |
//! | `fuzz` | its parsers under any bytes: for tests alone |

mod intake;
mod line;
mod listing;
mod marks;
mod orders;
mod protocol;
mod pull;
mod push;
mod queue;
mod reports;
mod sessions;
mod signed;
mod values;
mod verdict;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use intake::NotTaken;
pub use intake::Settle;
pub use marks::Ignored;
pub(crate) use protocol::{Acknowledged, Command, GatewayAccepted, GatewayAcks, GatewayRefusal, Work, read_acks};
pub(crate) use pull::NoWork;
pub(crate) use reports::{Batch, GatewayReports, Taken, read_batch};
pub use reports::{ReportType, Why};
pub(crate) use sessions::GatewaySessions;
pub(crate) use signed::{Headers, Unsigned};

use super::bulkhead::{Bulkhead, Refused};
use super::way::{Away, Extra, Seen, Way};
use crate::actors::Reports;
use crate::client::SetupError;
use crate::clock::Moments;
use crate::config;
use crate::domain::{Account, AccountNumber, Command as Asked, GatewayKind, Outstanding, Report};
use crate::limits::{CLOSE_WITHIN, IGNORED_SHOWN, SESSIONS_WITHIN, WORK_WAITING};
use crate::metrics::{CommandState, Metrics};
use crate::projections::Roster;
use crate::store::{self, Store};
use crate::vault::{self, Vault};
use crate::webhooks::signature::{NoSecret, Secret};
use intake::Intake;
use line::Line;
use listing::{Listing, Waiters, question};
use marks::Marks;
use orders::Order;
use push::Pusher;
use queue::Queued;
use sessions::SessionPage;
use signed::Signatures;
use verdict::{Failure, Verdict};

/// The bridge. Cheap to clone.
#[derive(Clone)]
pub struct Bridge {
    inner: Arc<Inner>,
}

struct Inner {
    line: Arc<Line>,
    bulkhead: Arc<Bulkhead>,
    signatures: Signatures,
    intake: Intake,
    reports: Reports,
    vault: Vault,
    /// None where the gateway fetches its commands.
    pusher: Option<Arc<Pusher>>,
    /// Who waits for the answers of a gateway that fetches its commands.
    waiters: Waiters,
    /// Places for those who wait for work.
    waiting: Semaphore,
    /// Begins the leases of this process, so that none of another is taken for one.
    life: u64,
    lease: Duration,
    runtime: tokio::runtime::Handle,
    metrics: Metrics,
    now: Moments,
}

/// What the bridge works with.
pub struct Around {
    /// Where marks are kept.
    pub store: Store,
    /// Makes what was put there durable.
    pub settle: Settle,
    /// Where reports go.
    pub reports: Reports,
    /// Who serves which account.
    pub roster: Roster,
    /// What opens secrets.
    pub vault: Vault,
    /// What tells the time.
    pub now: Moments,
}

/// Why there is no bridge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to sign with.
    #[error("gateway.bridge.secret is not set; set it to whsec_ and the base64 of 24 to 64 random bytes")]
    NoSecret,
    /// What is to be signed with is no secret.
    #[error("gateway.bridge.secret {0}")]
    Secret(#[from] NoSecret),
    /// What is sent there could be read on the way.
    #[error("gateway.bridge.url must begin with https://, because secrets go there; http:// is for this machine alone")]
    Open,
    /// The client cannot be made.
    #[error("the client for the bridge's gateway cannot be made: {0}")]
    Client(#[from] SetupError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no randomness.
    #[error(transparent)]
    Vault(#[from] vault::Error),
}

impl Bridge {
    /// The bridge of these settings. Tasks are run by the runtime that this is called in.
    pub fn new(settings: &config::Bridge, around: Around) -> Result<Bridge, Error> {
        let Around { store, settle, reports, roster, vault, now } = around;
        let secret = Secret::parse(settings.secret.as_ref().ok_or(Error::NoSecret)?.text())?;
        let metrics = store.metrics().clone();
        let line = Arc::new(Line::new(metrics.clone(), now));
        let &config::Bridge { timeout, max_in_flight, calls_per_second, lease, .. } = settings;
        let bulkhead = Bulkhead::new(GatewayKind::Bridge, timeout, max_in_flight, calls_per_second);
        let bulkhead = Arc::new(bulkhead);
        let pusher = match &settings.url {
            None => None,
            Some(url) => {
                let (http, url) = push::client(url, settings)?.ok_or(Error::Open)?;
                Some(Arc::new(Pusher {
                    http,
                    url,
                    secret: secret.clone(),
                    vault: vault.clone(),
                    line: line.clone(),
                    bulkhead: bulkhead.clone(),
                    reports: reports.clone(),
                    max_in_flight,
                    now,
                }))
            }
        };
        let marks = Marks::open(store)?;
        let intake = Intake::new(marks, settle, reports.clone(), roster, metrics.clone(), now);
        let life = vault::draw_secret()?.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let inner = Inner {
            line,
            bulkhead,
            signatures: Signatures::new(secret),
            intake,
            reports,
            vault,
            pusher,
            waiters: Waiters::default(),
            waiting: Semaphore::new(WORK_WAITING),
            life,
            lease,
            runtime: tokio::runtime::Handle::current(),
            metrics,
            now,
        };
        Ok(Bridge { inner: Arc::new(inner) })
    }

    /// Sends commands until `stop`, if there is anywhere to send them.
    pub async fn run(self, stop: CancellationToken) {
        if let Some(pusher) = &self.inner.pusher {
            pusher.clone().run(stop).await;
        }
    }

    /// Whether a request is the gateway's; `signed` is its body, or its target if it has none.
    pub(crate) fn verify(&self, headers: Headers<'_>, signed: &[u8]) -> Result<(), Unsigned> {
        self.inner.signatures.verify(headers, signed, (self.inner.now)())
    }

    /// Takes a batch of reports in. All of it is durable when it returns.
    pub(crate) async fn take(&self, batch: &Batch) -> Result<Taken, NotTaken> {
        self.inner.intake.take(batch).await
    }

    /// How many streams of reports were begun since the start; it changes with each. A gateway that begins one may have lost
    /// sessions.
    pub fn streams_begun(&self) -> watch::Receiver<u64> {
        self.inner.intake.begun()
    }

    /// Where what happens here is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Puts a command into the line; what has no room there fails.
    fn wish(&self, order: &Order) {
        let failed = match self.inner.line.push(order.clone()) {
            Queued::Full => order.refused("too many commands wait for the gateway; try again when it has caught up"),
            Queued::Added | Queued::Replaced | Queued::Known | Queued::Outdated => None,
        };
        if let (Some(account), Some(report)) = (order.account, failed) {
            self.fail(account, report);
        }
    }

    /// Reports what failed here, from wherever this is called.
    fn fail(&self, account: AccountNumber, report: Report) {
        let reports = self.inner.reports.clone();
        self.inner.runtime.spawn(async move {
            // Whoever stops takes it up again at the next start.
            let _stopping = reports.settle(GatewayKind::Bridge, account, Asked::Report(report)).await;
        });
    }

    /// One page of sessions, by the way that the settings have.
    async fn page(&self, after: Option<AccountNumber>) -> Result<SessionPage, Away> {
        let inner = &self.inner;
        let order = question(after, (inner.now)().plus(SESSIONS_WITHIN))?;
        let Some(pusher) = &inner.pusher else { return inner.waiters.ask(&inner.line, order).await };
        let away = |why: String| Err(Away { why });
        match inner.bulkhead.call(pusher.post(&order), Failure::is_away).await {
            Ok(Verdict::Sessions(page)) => Ok(page),
            Ok(Verdict::Refused(why)) => away(why),
            Ok(Verdict::Taken | Verdict::Over) => away("the gateway did not tell its sessions".to_owned()),
            Err(refused @ (Refused::Open { .. } | Refused::Late { .. } | Refused::Failed(_))) => {
                away(refused.to_string())
            }
        }
    }
}

impl Way for Bridge {
    fn kind(&self) -> GatewayKind {
        GatewayKind::Bridge
    }

    fn take_up(&self, account: AccountNumber, state: &Account, owed: &Outstanding, left: Duration) {
        match Order::of(account, state, owed, (self.inner.now)().plus(left)) {
            Ok(order) => self.wish(&order),
            Err(report) => self.fail(account, report),
        }
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<Seen>, Away>> {
        async move {
            let mut listing = Listing::default();
            while !listing.take(self.page(listing.after()).await?)? {}
            Ok(listing.all())
        }
        .boxed()
    }

    fn close(&self, account: AccountNumber, session: Option<u32>) {
        let deadline = (self.inner.now)().plus(CLOSE_WITHIN);
        self.wish(&Order::close(account, session, deadline));
    }

    fn bulkhead(&self) -> &Bulkhead {
        &self.inner.bulkhead
    }

    fn extra(&self) -> Extra {
        let work_queued = self.inner.metrics.bridge_queue.at(CommandState::Waiting).get();
        Extra { work_queued: Some(work_queued), report_lag: self.inner.intake.lag() }
    }

    fn ignored(&self) -> Result<Vec<Ignored>, store::Error> {
        self.inner.intake.marks.ignored(IGNORED_SHOWN)
    }
}
