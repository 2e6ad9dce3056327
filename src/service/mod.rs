//! The service: opens the modules in order, runs them, and closes them. This module may use every module above it in
//! the table of `lib.rs`.
//!
//! | file | what it knows |
//! |---|---|
//! | `leader` | the modules that change something; they are started and stopped together |
//! | `checkpoint_saving` | saves checkpoints and startup caches, during operation and at shutdown |
//! | `offline_directory` | a data directory without a running service |

mod checkpoint_saving;
mod leader;
mod offline_directory;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{ApiKeys, Authenticator};
use crate::actors;
use crate::api::{ApiState, ServiceHandles};
use crate::audit::{self, Audit, TransparencyLog};
use crate::clock;
use crate::config::{EffectiveSettings, Settings};
use crate::console::Console;
use crate::domain::Channel;
use crate::gateway::GatewaySetupError;
pub use crate::http::render_openapi as description;
use crate::http::{self, Api, TlsError, TlsReloader};
use crate::journal::{self, Journal};
use crate::limits::{BLOCKING_THREADS_TIMEOUT, SHUTDOWN_TIMEOUT, STOP_TIMEOUT};
use crate::metrics::AttemptOutcome;
use crate::projections::Roster;
use crate::store::{self, Store};
pub use crate::vault::RotationReport;
use crate::vault::{self, Vault};
use crate::webhooks;
use checkpoint_saving::{StoreCloser, run_checkpoint_saving, run_checkpoint_signing};
use leader::Leader;
pub use offline_directory::OfflineDirectory;

/// Why the service does not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service cannot listen on the address.
    #[error("cannot listen on {listen}: {source}; choose another address with --listen")]
    Listen {
        /// The configured address.
        listen: String,
        /// What went wrong.
        source: io::Error,
    },
    /// There is no API key, so everyone who can reach the address could do everything.
    #[error(
        "there is no API key yet, so everyone could use {listen}; create the first key with `muster keys create --name \
         admin --role admin --data-dir {}`, or listen on 127.0.0.1", .data_dir.display()
    )]
    NoApiKey {
        /// The configured address.
        listen: String,
        /// The data directory, which holds the keys.
        data_dir: PathBuf,
    },
    /// TLS cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory does not exist.
    #[error("there is no muster data directory at {path} (it has no file MUSTER); name one with --data-dir")]
    NoDataDirectory {
        /// Its path.
        path: PathBuf,
    },
    /// The request is invalid.
    #[error("the request cannot be made: {0}")]
    InvalidRequest(String),
    /// The threads cannot be started.
    #[error("cannot start the service's threads: {0}")]
    Threads(io::Error),
    /// The store cannot be opened, or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The vault cannot be opened.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The journal failed.
    #[error("{0}")]
    JournalFailed(Arc<journal::Error>),
    /// The audit found that the journal was altered.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The actors cannot be started.
    #[error(transparent)]
    Actors(#[from] actors::Error),
    /// An erasure in progress cannot be completed.
    #[error(transparent)]
    UnfinishedErasure(#[from] actors::ErasureError),
    /// A gateway cannot be opened.
    #[error(transparent)]
    Gateway(#[from] GatewaySetupError),
    /// The webhooks cannot be started.
    #[error(transparent)]
    Webhooks(#[from] webhooks::Error),
    /// The webhooks failed.
    #[error("{0}")]
    WebhooksFailed(Arc<webhooks::Error>),
}

impl Error {
    /// Whether the error means that durable data is damaged.
    pub fn is_integrity_fault(&self) -> bool {
        match self {
            Error::Store(error) => matches!(error, store::Error::Damaged { .. }),
            Error::Journal(error) => is_damage(error),
            Error::JournalFailed(error) => is_damage(error),
            Error::Audit(error) => error.is_integrity_fault(),
            Error::Listen { .. }
            | Error::NoApiKey { .. }
            | Error::Tls(_)
            | Error::NoDataDirectory { .. }
            | Error::InvalidRequest(_)
            | Error::Threads(_)
            | Error::Vault(_)
            | Error::Actors(_)
            | Error::UnfinishedErasure(_)
            | Error::Gateway(_)
            | Error::Webhooks(_)
            | Error::WebhooksFailed(_) => false,
        }
    }
}

fn is_damage(error: &journal::Error) -> bool {
    matches!(error, journal::Error::Damaged { .. } | journal::Error::Store(store::Error::Damaged { .. }))
}

/// The open durable modules.
#[derive(Clone)]
struct OpenStorage {
    store: Store,
    vault: Vault,
    roster: Roster,
    journal: Journal,
    log: TransparencyLog,
}

/// Runs the service until `stop`, or until it fails. Calls `ready` with the address once the service answers there.
/// Reloads the TLS files when `reload_tls` is notified. Blocks; ends within ten seconds after `stop`.
pub fn run(
    effective: &EffectiveSettings,
    ready: impl FnOnce(SocketAddr),
    reload_tls: &Arc<Notify>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("service").build();
    let runtime = runtime.map_err(Error::Threads)?;
    let mut end = None;
    let outcome = runtime.block_on(serve(effective, ready, reload_tls, stop, &mut end));
    // A disk that hangs must not keep the process alive.
    runtime.shutdown_timeout(
        end.as_ref().map_or(BLOCKING_THREADS_TIMEOUT, StoreCloser::remaining).min(BLOCKING_THREADS_TIMEOUT),
    );
    if let Some(end) = end {
        end.close();
    }
    outcome
}

/// Opens the modules from the lowest up, runs them, and closes them from the highest down.
///
/// When the service stops, `end` receives the closer of the store. The caller closes the store after all other parts
/// are gone.
async fn serve(
    effective: &EffectiveSettings,
    ready: impl FnOnce(SocketAddr),
    reload_tls: &Arc<Notify>,
    stop: &CancellationToken,
    end: &mut Option<StoreCloser>,
) -> Result<(), Error> {
    let EffectiveSettings { settings, .. } = effective;
    // Open the TLS files first: if they are invalid, nothing is written to the disk.
    let tls = TlsReloader::open(&settings.tls, reload_tls.clone())?;
    let (listener, address) = bind_listener(&settings.http.listen).await?;
    let opening = settings.clone();
    let opening = tokio::task::spawn_blocking(move || OpenStorage::open(&opening));
    // Opening may take minutes. Ending the process during that time is like a crash: no request was answered yet.
    let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(()) };
    let storage = opened.map_err(|panicked| Error::Threads(panicked.into()))??;
    let OpenStorage { store, vault, journal, .. } = &storage;
    let keys = ApiKeys::open(journal, Some(vault.clone()))?;
    if keys.allows_anonymous() && !address.ip().is_loopback() {
        return Err(Error::NoApiKey { listen: settings.http.listen.clone(), data_dir: settings.data_dir.clone() });
    }
    let leader = Leader::start(settings, &storage).await?;

    let (is_ready, tasks) = (Arc::new(AtomicBool::new(true)), TaskTracker::new());
    let [requests, background] = [(); 2].map(|()| CancellationToken::new());
    let (state, handles) = build_api(effective, &storage, &leader, &keys, &requests);
    let console = Console::new(state.clone());
    let api = Api::new(state, handles, settings.http.clone(), is_ready.clone());
    tasks.spawn(run_checkpoint_saving(storage.clone(), settings.store.checkpoint_every, background.clone()));
    tasks.spawn(run_checkpoint_signing(storage.clone(), background.clone()));
    tasks.spawn(clock::watch(background.clone()));
    tasks.spawn(console.clone().sample_throughput(throughput_counters(journal.clone()), background.clone()));
    let serving = tokio::spawn(http::serve(listener, api, console.routes(), tls, requests.clone()));
    tracing::info!(%address, accounts = journal.account_count(), events = journal.head(), "ready");
    if keys.allows_anonymous() {
        tracing::warn!(
            "there is no API key, so everyone on this machine may do everything; `muster keys create` creates one"
        );
    }
    ready(address);

    let outcome = wait_for_end(&storage, &leader, stop).await;
    is_ready.store(false, Ordering::Relaxed);
    tracing::info!("stopping");
    let until = Instant::now() + STOP_TIMEOUT;
    *end = Some(StoreCloser::new(store.clone(), until));
    // Callers stop first, then the work that they started, then the delivery of its results.
    let drain = async {
        requests.cancel();
        let _ended = serving.await;
        background.cancel();
        tasks.close();
        tasks.wait().await;
        leader.stop().await;
    };
    if timeout(SHUTDOWN_TIMEOUT, drain).await.is_err() {
        tracing::warn!(
            seconds = SHUTDOWN_TIMEOUT.as_secs(),
            "some running work did not finish in time; the next start continues it"
        );
    }
    outcome?;
    Ok(checkpoint_saving::save_on_shutdown(storage, until).await?)
}

/// Waits until `stop`, or until a module fails.
async fn wait_for_end(storage: &OpenStorage, leader: &Leader, stop: &CancellationToken) -> Result<(), Error> {
    tokio::select! {
        biased;
        // Check the store first: if it failed, the other errors are only consequences.
        error = storage.store.wait_for_failure() => Err(Error::Store(error)),
        () = stop.cancelled() => Ok(()),
        error = storage.journal.wait_for_failure() => Err(Error::JournalFailed(error)),
        error = leader.webhooks.wait_for_failure() => Err(Error::WebhooksFailed(error)),
    }
}

/// Builds the API over the storage and the leader. `requests` ends its endless streams.
fn build_api(
    effective: &EffectiveSettings,
    storage: &OpenStorage,
    leader: &Leader,
    keys: &ApiKeys,
    requests: &CancellationToken,
) -> (ApiState, ServiceHandles) {
    let EffectiveSettings { settings, rows, .. } = effective;
    let OpenStorage { store, vault, roster, journal, log } = storage.clone();
    let service = ServiceHandles {
        accounts: leader.accounts.clone(),
        roster: roster.clone(),
        rules: settings.accounts.clone(),
        vault,
        idempotency: leader.idempotency.clone(),
        gateways: leader.gateways.clone(),
        default_gateway: settings.gateway.routing.default,
        settings: rows.clone().into(),
    };
    let state = ApiState::new(
        Audit::new(store, journal, roster, Some(log)),
        Some(leader.webhooks.clone()),
        Some(service.clone()),
        Authenticator::new(keys.clone(), settings.http.requests_per_second),
        settings.http.request_timeout,
        requests.clone(),
    );
    (state, service)
}

/// Counts all events, and all webhooks that receivers accepted, for the console's throughput chart.
fn throughput_counters(journal: Journal) -> impl Fn() -> [u64; 2] {
    move || {
        let successes = |channel| journal.metrics().webhook_attempts.with((channel, AttemptOutcome::Accepted)).get();
        [journal.head(), Channel::ALL.into_iter().map(successes).sum()]
    }
}

/// Binds a listener to `listen`. Returns it with its actual address.
pub async fn bind_listener(listen: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let bound = async {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| Error::Listen { listen: listen.to_owned(), source })
}

impl OpenStorage {
    fn open(settings: &Settings) -> Result<OpenStorage, Error> {
        let store = Store::open(&settings.data_dir, &settings.store)?;
        let vault = Vault::open(store.clone(), &settings.vault)?;
        let (roster, journal) = Roster::open_with_journal(&store)?;
        let log = TransparencyLog::open(&store, &journal, vault.load_or_create_log_key()?)?;
        Ok(OpenStorage { store, vault, roster, journal, log })
    }
}
