//! The bridge: connects any gateway process that speaks the bridge protocol, over signed HTTP. Muster pushes commands
//! to it, or the gateway fetches them. The gateway sends reports.
//!
//! | file | what it is |
//! |---|---|
//! | `protocol` | the JSON of work, acknowledgements and replies |
//! | `gateway_command` | the JSON of commands |
//! | `reports` | the JSON of report batches and of their results |
//! | `sessions` | the JSON of session lists |
//! | `scalars` | numbers and account numbers in the JSON of gateways |
//! | `unchecked` | values that are checked only where they are used |
//! | `json_values` | strictly typed JSON readers whose errors name the field at fault |
//! | `queued_command` | builds a command from an account's state |
//! | `queue_state` | waiting and leased commands. Pure |
//! | `command_queue` | the shared queue, with waiting |
//! | `push` | posts commands until the gateway takes them over |
//! | `pull` | hands commands to a gateway that fetches them |
//! | `command_response` | interprets the reply to a command. Pure |
//! | `session_listing` | lists all sessions, page by page |
//! | `request_signature` | verifies that a request comes from the gateway |
//! | `report_ingest` | ingests batches of reports |
//! | `stream_offsets` | the stored offset of each report stream, and the ignored reports |
//! | `fuzz` | fuzz targets of the parsers, for tests only |

mod command_queue;
mod command_response;
mod gateway_command;
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
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub(crate) use gateway_command::GatewayCommand;
pub(crate) use protocol::{AcceptedSchema, AckResult, AcksSchema, RefusalSchema, WorkBatch, read_acks};
pub(crate) use pull::WorkRequestError;
pub(crate) use report_ingest::IngestError;
pub(crate) use reports::{BatchResult, ReportBatch, ReportsSchema, read_batch};
pub(crate) use request_signature::{RequestSignatureError, SignatureHeaders};
pub(crate) use sessions::SessionsSchema;

use super::bulkhead::{Bulkhead, CallError};
use super::ignored_report::IgnoredReportView;
use super::provider::{GatewayDependencies, GatewayDescription, GatewayProvider, GatewaySetupError, OpenedGateway};
use super::remote_gateway::{GatewaySession, GatewayUnavailable, RemoteGateway, RemoteStats};
use crate::actors::ReportSender;
use crate::client::TlsSetupError;
use crate::clock::Moments;
use crate::config::{self, Settings};
use crate::domain::{Account, AccountNumber, Command, GatewayKind, GatewayOffer, PendingEffect, Report};
use crate::limits::{CLOSE_SESSION_TIMEOUT, IGNORED_REPORTS_LISTED, SESSIONS_PAGE_TIMEOUT};
use crate::metrics::{CommandState, Metrics};
use crate::store;
use crate::vault;
use crate::webhooks::signature::{SecretError, WebhookSecret};
use command_queue::CommandQueue;
use command_response::{CommandFailure, CommandResponse};
use protocol::Ack;
use pull::WorkServer;
use push::Pusher;
use queue_state::PushOutcome;
use queued_command::QueuedCommand;
use report_ingest::ReportIngester;
use request_signature::RequestVerifier;
use session_listing::{SessionListing, list_sessions_command};
use sessions::SessionPage;
use stream_offsets::{IgnoredReportRow, StreamOffsets};

/// What the bridge is and offers.
pub(super) const DESCRIPTION: GatewayDescription = GatewayDescription {
    offer: GatewayOffer { title: "the bridge", ..GatewayOffer::EVERYTHING },
    closes_sessions: true,
    open,
};

/// Opens the bridge, if the settings have a signing secret.
fn open(settings: &Settings, dependencies: &GatewayDependencies) -> Result<OpenedGateway, GatewaySetupError> {
    let settings = &settings.gateway.bridge;
    if settings.secret.is_none() {
        return Ok(None);
    }
    let bridge = Bridge::new(settings, dependencies).map_err(GatewaySetupError::new)?;
    dependencies.tasks.spawn(bridge.clone().run(dependencies.stop.clone()));
    Ok(Some(Arc::new(bridge)))
}

/// The bridge. Cheap to clone.
#[derive(Clone)]
pub struct Bridge {
    inner: Arc<BridgeInner>,
}

struct BridgeInner {
    queue: Arc<CommandQueue>,
    bulkhead: Arc<Bulkhead>,
    transport: CommandTransport,
    signatures: RequestVerifier,
    ingester: ReportIngester,
    reports: ReportSender,
    runtime: tokio::runtime::Handle,
    metrics: Metrics,
    now: Moments,
}

/// How commands reach the gateway.
enum CommandTransport {
    /// They are posted to it.
    Push(Arc<Pusher>),
    /// It fetches them.
    Pull(WorkServer),
}

/// Why the bridge cannot start.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// No signing secret is set.
    #[error("gateway.bridge.secret is not set; set it to whsec_ and the base64 of 24 to 64 random bytes")]
    NoSecret,
    /// The signing secret is malformed.
    #[error("gateway.bridge.secret {0}")]
    Secret(#[from] SecretError),
    /// The URL is neither HTTPS nor loopback, so commands could be read in transit.
    #[error(
        "gateway.bridge.url must begin with https://, because it receives secrets; http:// is allowed for this \
        machine only"
    )]
    Unencrypted,
    /// The HTTP client cannot be built.
    #[error("the HTTP client for the gateway cannot be created: {0}")]
    Client(#[from] TlsSetupError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The operating system gives no random bytes.
    #[error(transparent)]
    Vault(#[from] vault::Error),
}

impl Bridge {
    /// A bridge with these settings. Its tasks run on the runtime of the caller.
    fn new(settings: &config::BridgeSettings, dependencies: &GatewayDependencies) -> Result<Bridge, Error> {
        let GatewayDependencies { store, sync_store, reports, roster, vault, now, .. } = dependencies;
        let secret = WebhookSecret::parse(settings.secret.as_ref().ok_or(Error::NoSecret)?.text())?;
        let metrics = store.metrics().clone();
        let queue = Arc::new(CommandQueue::new(metrics.clone(), *now));
        let &config::BridgeSettings { timeout, max_in_flight, calls_per_second, lease, .. } = settings;
        let bulkhead = Arc::new(Bulkhead::new(GatewayKind::Bridge, timeout, max_in_flight, calls_per_second));
        let transport = match &settings.url {
            None => CommandTransport::Pull(WorkServer::new(queue.clone(), vault.clone(), reports.clone(), lease)?),
            Some(url) => {
                let (http, url) = push::build_client(url, settings)?.ok_or(Error::Unencrypted)?;
                CommandTransport::Push(Arc::new(Pusher {
                    http,
                    url,
                    secret: secret.clone(),
                    vault: vault.clone(),
                    queue: queue.clone(),
                    bulkhead: bulkhead.clone(),
                    reports: reports.clone(),
                    max_in_flight,
                    now: *now,
                }))
            }
        };
        let offsets = StreamOffsets::open(store.clone())?;
        let (sync_store, roster) = (sync_store.clone(), roster.clone());
        let inner = BridgeInner {
            queue,
            bulkhead,
            transport,
            signatures: RequestVerifier::new(secret),
            ingester: ReportIngester::new(offsets, sync_store, reports.clone(), roster, metrics.clone(), *now),
            reports: reports.clone(),
            runtime: tokio::runtime::Handle::current(),
            metrics,
            now: *now,
        };
        Ok(Bridge { inner: Arc::new(inner) })
    }

    /// Pushes commands until `stop`. Returns at once if the gateway fetches them.
    async fn run(self, stop: CancellationToken) {
        if let CommandTransport::Push(pusher) = &self.inner.transport {
            pusher.clone().run(stop).await;
        }
    }

    /// Leases at most `most` commands, as JSON. Waits up to `wait` for the first one, or until `stop`. If the request is
    /// dropped, its commands are requeued.
    pub(crate) async fn fetch_work(
        &self,
        wait: Duration,
        most: usize,
        stop: &CancellationToken,
    ) -> Result<Zeroizing<Vec<u8>>, WorkRequestError> {
        match &self.inner.transport {
            CommandTransport::Push(_) => Err(WorkRequestError::PushConfigured),
            CommandTransport::Pull(server) => server.fetch_work(wait, most, stop).await,
        }
    }

    /// Processes acknowledgements of commands that the gateway fetched.
    pub(crate) async fn acknowledge(&self, acks: Vec<Ack>) -> AckResult {
        match &self.inner.transport {
            CommandTransport::Push(_) => {
                AckResult { acknowledged: 0, unknown: acks.into_iter().map(|ack| ack.lease).collect() }
            }
            CommandTransport::Pull(server) => server.acknowledge(acks).await,
        }
    }

    /// Verifies that a request comes from the gateway. `signed` is its body, or its target if it has no body.
    pub(crate) fn verify_request(
        &self,
        headers: SignatureHeaders<'_>,
        signed: &[u8],
    ) -> Result<(), RequestSignatureError> {
        self.inner.signatures.verify(headers, signed, (self.inner.now)())
    }

    /// Ingests a batch of reports. All of it is durable when this returns.
    pub(crate) async fn ingest_reports(&self, batch: &ReportBatch) -> Result<BatchResult, IngestError> {
        self.inner.ingester.ingest(batch).await
    }

    /// The metrics of the bridge.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Queues a command. If the queue is full, reports the failure to the account.
    fn enqueue(&self, command: &QueuedCommand) {
        let failed = match self.inner.queue.push(command.clone()) {
            PushOutcome::Full => {
                command.rejection_report("too many commands wait for the gateway; try again when it has caught up")
            }
            PushOutcome::Added | PushOutcome::Replaced | PushOutcome::Duplicate | PushOutcome::Superseded => None,
        };
        if let (Some(account), Some(report)) = (command.account, failed) {
            self.report_failure(account, report);
        }
    }

    /// Reports a failure to the account, in a separate task.
    fn report_failure(&self, account: AccountNumber, report: Report) {
        let reports = self.inner.reports.clone();
        self.inner.runtime.spawn(async move {
            // This fails only while the service stops. The next start dispatches the effect again.
            let _stopping = reports.execute(GatewayKind::Bridge, account, Command::Report(report)).await;
        });
    }

    /// Fetches one page of sessions, by push or pull as the settings say.
    async fn fetch_page(&self, after: Option<AccountNumber>) -> Result<SessionPage, GatewayUnavailable> {
        let inner = &self.inner;
        let command = list_sessions_command(after, (inner.now)().plus(SESSIONS_PAGE_TIMEOUT))?;
        let pusher = match &inner.transport {
            CommandTransport::Push(pusher) => pusher,
            CommandTransport::Pull(server) => return server.request_page(command).await,
        };
        let away = |why: String| Err(GatewayUnavailable { reason: why });
        match inner.bulkhead.call(pusher.post(&command), CommandFailure::is_unavailable).await {
            Ok(CommandResponse::Sessions(page)) => Ok(page),
            Ok(CommandResponse::Rejected(why)) => away(why),
            Ok(CommandResponse::Accepted | CommandResponse::TooLate) => {
                away("the gateway did not list its sessions".to_owned())
            }
            Err(error @ (CallError::BreakerOpen { .. } | CallError::Timeout { .. } | CallError::Failed(_))) => {
                away(error.to_string())
            }
        }
    }
}

impl GatewayProvider for Bridge {
    fn dispatch(&self, account: AccountNumber, state: &Account, effect: &PendingEffect, left: Duration) {
        match QueuedCommand::for_effect(account, state, effect, (self.inner.now)().plus(left)) {
            Ok(command) => self.enqueue(&command),
            Err(report) => self.report_failure(account, report),
        }
    }

    fn as_remote(self: Arc<Self>) -> Option<Arc<dyn RemoteGateway>> {
        Some(self)
    }
}

impl RemoteGateway for Bridge {
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

    /// A gateway that begins a new stream of reports has lost its memory, perhaps sessions too.
    fn restarts(&self) -> Option<watch::Receiver<u64>> {
        Some(self.inner.ingester.streams_started())
    }

    fn stats(&self) -> RemoteStats {
        let work_queued = self.inner.metrics.bridge_queue.with(CommandState::Waiting).get();
        RemoteStats { work_queued: Some(work_queued), report_lag: self.inner.ingester.report_lag() }
    }

    fn ignored_reports(&self) -> Result<Vec<IgnoredReportView>, store::Error> {
        let rows = self.inner.ingester.offsets.ignored_reports(IGNORED_REPORTS_LISTED)?;
        Ok(rows.into_iter().map(IgnoredReportRow::into_view).collect())
    }
}
