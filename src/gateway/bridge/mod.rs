//! The bridge: any gateway process that speaks the protocol, over signed HTTP. Commands are pushed to it, or it fetches
//! them; what it sees comes in as reports.
//!
//! | file | what it knows |
//! |---|---|
//! | `protocol` | commands, work, acknowledgements, answers, as they are written |
//! | `reports` | reports, and what they are answered |
//! | `sessions` | the sessions that a gateway says it has |
//! | `scalars` | numbers, and numbers of accounts, in JSON from a gateway |
//! | `unchecked` | values that are checked only where they are used |
//! | `json_values` | JSON from a gateway, strictly typed, and the sentence that names the field at fault |
//! | `queued_command` | what is to be asked of a gateway: from an account's state to a command |
//! | `queue_state` | commands that wait, and those that were given out. Pure |
//! | `command_queue` | the queue as it is shared, and who waits at it |
//! | `push` | commands are posted, again and again |
//! | `pull` | commands are fetched |
//! | `command_response` | what an answer to a command means. Pure |
//! | `session_listing` | all sessions, page by page |
//! | `request_signature` | whether a request is a gateway's |
//! | `report_ingest` | reports come in |
//! | `stream_offsets` | how far each stream of reports was taken in, and what was ignored |
//! | `fuzz` | its parsers under any bytes: for tests alone |

mod command_queue;
mod command_response;
mod json_values;
mod protocol;
mod pull;
mod push;
mod queue_state;
mod queued_command;
mod report_ingest;
mod reports;
mod request_signature;
mod scalars;
mod session_listing;
mod sessions;
mod stream_offsets;
mod unchecked;

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

pub(crate) use protocol::{AcceptedSchema, AckResult, AcksSchema, GatewayCommand, RefusalSchema, WorkBatch, read_acks};
pub(crate) use pull::WorkRequestError;
pub(crate) use report_ingest::IngestError;
pub use report_ingest::StoreSync;
pub(crate) use reports::{BatchResult, ReportBatch, ReportsSchema, read_batch};
pub use reports::{IgnoreReason, ReportType};
pub(crate) use request_signature::{RequestSignatureError, SignatureHeaders};
pub(crate) use sessions::SessionsSchema;
pub use stream_offsets::IgnoredReportRow;

use super::bulkhead::{Bulkhead, CallError};
use super::provider::{GatewayProvider, GatewaySession, GatewayUnavailable, ProviderStats};
use crate::actors::ReportSender;
use crate::client::TlsSetupError;
use crate::clock::Moments;
use crate::config;
use crate::domain::{Account, AccountNumber, Command as Asked, GatewayKind, PendingEffect, Report};
use crate::limits::{CLOSE_SESSION_TIMEOUT, IGNORED_REPORTS_LISTED, SESSIONS_PAGE_TIMEOUT, WORK_REQUESTS_WAITING};
use crate::metrics::{CommandState, Metrics};
use crate::projections::Roster;
use crate::store::{self, Store};
use crate::vault::{self, Vault};
use crate::webhooks::signature::{SecretError, WebhookSecret};
use command_queue::CommandQueue;
use command_response::{CommandFailure, CommandResponse};
use push::Pusher;
use queue_state::PushOutcome;
use queued_command::QueuedCommand;
use report_ingest::ReportIngester;
use request_signature::RequestVerifier;
use session_listing::{PendingPages, SessionListing, list_sessions_command};
use sessions::SessionPage;
use stream_offsets::StreamOffsets;

/// The bridge. Cheap to clone.
#[derive(Clone)]
pub struct Bridge {
    inner: Arc<BridgeInner>,
}

struct BridgeInner {
    queue: Arc<CommandQueue>,
    bulkhead: Arc<Bulkhead>,
    signatures: RequestVerifier,
    ingester: ReportIngester,
    reports: ReportSender,
    vault: Vault,
    /// None where the gateway fetches its commands.
    pusher: Option<Arc<Pusher>>,
    /// Who waits for the answers of a gateway that fetches its commands.
    pages: PendingPages,
    /// Places for those who wait for work.
    work_permits: Semaphore,
    /// Begins the leases of this process, so that none of another is taken for one.
    lease_prefix: u64,
    lease_duration: Duration,
    runtime: tokio::runtime::Handle,
    metrics: Metrics,
    now: Moments,
}

/// What the bridge works with.
pub struct BridgeDependencies {
    /// Where marks are kept.
    pub store: Store,
    /// Makes what was put there durable.
    pub sync_store: StoreSync,
    /// Where reports go.
    pub reports: ReportSender,
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
    Secret(#[from] SecretError),
    /// What is sent there could be read on the way.
    #[error("gateway.bridge.url must begin with https://, because secrets go there; http:// is for this machine alone")]
    Unencrypted,
    /// The client cannot be made.
    #[error("the client for the bridge's gateway cannot be made: {0}")]
    Client(#[from] TlsSetupError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no randomness.
    #[error(transparent)]
    Vault(#[from] vault::Error),
}

impl Bridge {
    /// The bridge of these settings. Tasks are run by the runtime that this is called in.
    pub fn new(settings: &config::BridgeSettings, around: BridgeDependencies) -> Result<Bridge, Error> {
        let BridgeDependencies { store, sync_store: settle, reports, roster, vault, now } = around;
        let secret = WebhookSecret::parse(settings.secret.as_ref().ok_or(Error::NoSecret)?.text())?;
        let metrics = store.metrics().clone();
        let line = Arc::new(CommandQueue::new(metrics.clone(), now));
        let &config::BridgeSettings { timeout, max_in_flight, calls_per_second, lease, .. } = settings;
        let bulkhead = Bulkhead::new(GatewayKind::Bridge, timeout, max_in_flight, calls_per_second);
        let bulkhead = Arc::new(bulkhead);
        let pusher = match &settings.url {
            None => None,
            Some(url) => {
                let (http, url) = push::build_client(url, settings)?.ok_or(Error::Unencrypted)?;
                Some(Arc::new(Pusher {
                    http,
                    url,
                    secret: secret.clone(),
                    vault: vault.clone(),
                    queue: line.clone(),
                    bulkhead: bulkhead.clone(),
                    reports: reports.clone(),
                    max_in_flight,
                    now,
                }))
            }
        };
        let marks = StreamOffsets::open(store)?;
        let intake = ReportIngester::new(marks, settle, reports.clone(), roster, metrics.clone(), now);
        let life = vault::generate_secret()?.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let inner = BridgeInner {
            queue: line,
            bulkhead,
            signatures: RequestVerifier::new(secret),
            ingester: intake,
            reports,
            vault,
            pusher,
            pages: PendingPages::default(),
            work_permits: Semaphore::new(WORK_REQUESTS_WAITING),
            lease_prefix: life,
            lease_duration: lease,
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
    pub(crate) fn verify_request(
        &self,
        headers: SignatureHeaders<'_>,
        signed: &[u8],
    ) -> Result<(), RequestSignatureError> {
        self.inner.signatures.verify(headers, signed, (self.inner.now)())
    }

    /// Takes a batch of reports in. All of it is durable when it returns.
    pub(crate) async fn ingest_reports(&self, batch: &ReportBatch) -> Result<BatchResult, IngestError> {
        self.inner.ingester.ingest(batch).await
    }

    /// How many streams of reports were begun since the start; it changes with each. A gateway that begins one may have lost
    /// sessions.
    pub fn streams_started(&self) -> watch::Receiver<u64> {
        self.inner.ingester.streams_started()
    }

    /// Where what happens here is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Puts a command into the line; what has no room there fails.
    fn enqueue(&self, order: &QueuedCommand) {
        let failed = match self.inner.queue.push(order.clone()) {
            PushOutcome::Full => {
                order.rejection_report("too many commands wait for the gateway; try again when it has caught up")
            }
            PushOutcome::Added | PushOutcome::Replaced | PushOutcome::Duplicate | PushOutcome::Superseded => None,
        };
        if let (Some(account), Some(report)) = (order.account, failed) {
            self.report_failure(account, report);
        }
    }

    /// Reports what failed here, from wherever this is called.
    fn report_failure(&self, account: AccountNumber, report: Report) {
        let reports = self.inner.reports.clone();
        self.inner.runtime.spawn(async move {
            // Whoever stops takes it up again at the next start.
            let _stopping = reports.execute(GatewayKind::Bridge, account, Asked::Report(report)).await;
        });
    }

    /// One page of sessions, by the way that the settings have.
    async fn fetch_page(&self, after: Option<AccountNumber>) -> Result<SessionPage, GatewayUnavailable> {
        let inner = &self.inner;
        let order = list_sessions_command(after, (inner.now)().plus(SESSIONS_PAGE_TIMEOUT))?;
        let Some(pusher) = &inner.pusher else { return inner.pages.request_page(&inner.queue, order).await };
        let away = |why: String| Err(GatewayUnavailable { reason: why });
        match inner.bulkhead.call(pusher.post(&order), CommandFailure::is_unavailable).await {
            Ok(CommandResponse::Sessions(page)) => Ok(page),
            Ok(CommandResponse::Rejected(why)) => away(why),
            Ok(CommandResponse::Accepted | CommandResponse::TooLate) => {
                away("the gateway did not tell its sessions".to_owned())
            }
            Err(refused @ (CallError::BreakerOpen { .. } | CallError::Timeout { .. } | CallError::Failed(_))) => {
                away(refused.to_string())
            }
        }
    }
}

impl GatewayProvider for Bridge {
    fn kind(&self) -> GatewayKind {
        GatewayKind::Bridge
    }

    fn dispatch(&self, account: AccountNumber, state: &Account, owed: &PendingEffect, left: Duration) {
        match QueuedCommand::for_effect(account, state, owed, (self.inner.now)().plus(left)) {
            Ok(order) => self.enqueue(&order),
            Err(report) => self.report_failure(account, report),
        }
    }

    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<GatewaySession>, GatewayUnavailable>> {
        async move {
            let mut listing = SessionListing::default();
            while !listing.add_page(self.fetch_page(listing.after()).await?)? {}
            Ok(listing.into_sessions())
        }
        .boxed()
    }

    fn close_session(&self, account: AccountNumber, session: Option<u32>) {
        let deadline = (self.inner.now)().plus(CLOSE_SESSION_TIMEOUT);
        self.enqueue(&QueuedCommand::close(account, session, deadline));
    }

    fn bulkhead(&self) -> &Bulkhead {
        &self.inner.bulkhead
    }

    fn stats(&self) -> ProviderStats {
        let work_queued = self.inner.metrics.bridge_queue.with(CommandState::Waiting).get();
        ProviderStats { work_queued: Some(work_queued), report_lag: self.inner.ingester.report_lag() }
    }

    fn ignored_reports(&self) -> Result<Vec<IgnoredReportRow>, store::Error> {
        self.inner.ingester.offsets.ignored_reports(IGNORED_REPORTS_LISTED)
    }
}
