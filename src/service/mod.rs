//! The service: the order in which modules are opened, what runs, and how it ends. It may use every module above it in
//! the table of `lib.rs`.
//!
//! | file | what it knows |
//! |---|---|
//! | `checkpoint_saving` | what is saved beside the log, during operation and at shutdown |
//! | `offline_directory` | a data directory without a running service |
//! | `gateway_providers` | the gateways that the settings set up |

mod checkpoint_saving;
mod gateway_providers;
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

use crate::access::ApiKeys;
use crate::actors::{self, Accounts};
use crate::audit::{self, Audit, TransparencyLog};
use crate::clock;
use crate::config::{EffectiveSettings, Settings};
use crate::console::Console;
use crate::domain::Channel;
use crate::gateway::{GatewayRegistry, Simulator, bridge, cloud_api};
pub use crate::http::render_openapi as description;
use crate::http::{self, Api, ApiDependencies, InProcessClient, TlsError, TlsReloader};
use crate::idempotency::IdempotencyRecords;
use crate::journal::{self, Journal};
use crate::limits::{BLOCKING_THREADS_TIMEOUT, SHUTDOWN_TIMEOUT, STOP_TIMEOUT};
use crate::metrics::AttemptOutcome;
use crate::projections::Roster;
use crate::store::{self, Store};
pub use crate::vault::RotationReport;
use crate::vault::{self, Vault};
use crate::webhooks::{self, Webhooks};
use checkpoint_saving::{StoreCloser, run_checkpoint_saving, run_checkpoint_signing};
use gateway_providers::GatewayProviders;
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
    /// Without an API key, anybody who reaches the address could do everything.
    #[error(
        "there is no API key yet, so {listen} would be open to everybody; make the first one with \
         `muster keys create --name admin --role admin --data-dir {}`, or listen on 127.0.0.1", .data_dir.display()
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
    #[error("the question cannot be asked: {0}")]
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
    /// The bridge cannot be set up.
    #[error(transparent)]
    Bridge(#[from] bridge::Error),
    /// The Cloud API cannot be set up.
    #[error(transparent)]
    CloudApi(#[from] cloud_api::CloudApiSetupError),
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
            | Error::Bridge(_)
            | Error::CloudApi(_)
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
/// Once it runs, `end` receives what must be done after everything else is gone.
async fn serve(
    effective: &EffectiveSettings,
    ready: impl FnOnce(SocketAddr),
    reload_tls: &Arc<Notify>,
    stop: &CancellationToken,
    end: &mut Option<StoreCloser>,
) -> Result<(), Error> {
    let EffectiveSettings { settings, rows, .. } = effective;
    // Before anything is written to the disk.
    let tls = TlsReloader::open(&settings.tls, reload_tls.clone())?;
    let (listener, address) = bind_listener(&settings.http.listen).await?;
    let opening = settings.clone();
    let opening = tokio::task::spawn_blocking(move || OpenStorage::open(&opening));
    // Opening may take minutes. Ending the process meanwhile is like a crash: no request was answered yet.
    let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(()) };
    let storage = opened.map_err(|panicked| Error::Threads(panicked.into()))??;
    let OpenStorage { store, vault, roster, journal, log } = &storage;
    actors::finish_erasures(vault, journal).await?;
    let keys = ApiKeys::open(journal, Some(vault.clone()))?;
    if keys.allows_anonymous() && !address.ip().is_loopback() {
        return Err(Error::NoApiKey { listen: settings.http.listen.clone(), data_dir: settings.data_dir.clone() });
    }
    let tasks = TaskTracker::new();
    // Callers stop first, then the work that they started, then the delivery of its results.
    let [callers, work, delivering] = [(); 3].map(|()| CancellationToken::new());

    let (reports, reported) = actors::report_channel();
    // If the account cannot be read, its next command reports the error; until then its session counts as the first.
    let session_of = |account| journal.load_account(account).map_or(1, |(state, _)| state.latest_session);
    let (simulator, channel) = Simulator::new(
        &settings.simulator,
        vault.clone(),
        reports.clone(),
        roster.online_at_the_simulator(),
        session_of,
    );
    let providers = GatewayProviders::open(settings, &storage, &reports, &work, &tasks)?;
    let gateways = GatewayRegistry::new(simulator, providers.providers(), reports);
    gateways.warn_of_missing(roster);
    let (accounts, inbox) = Accounts::start(
        journal.clone(),
        &settings.actors,
        &settings.accounts,
        settings.gateway.routing.clone(),
        Arc::new(gateways.clone()),
        reported,
        roster.last_task(),
    )?;
    let webhooks = Webhooks::start(store, journal, vault, settings.address_guard(), &settings.webhooks, &delivering)?;
    tasks.spawn(channel.run(work.clone()));
    tasks.spawn(inbox.run(roster.accounts_with_pending_effects(), work.clone()));
    providers.spawn_tasks(&gateways, &storage, settings.gateway.reconcile_every, &work, &tasks);
    tasks.spawn(run_checkpoint_saving(storage.clone(), settings.store.checkpoint_every, work.clone()));
    tasks.spawn(run_checkpoint_signing(storage.clone(), work.clone()));
    tasks.spawn(clock::watch(work.clone()));

    let idempotency = IdempotencyRecords::open(store, journal.clone(), clock::trusted);
    tasks.spawn(idempotency.clone().expire_periodically(work.clone()));

    resume_rotation(vault, journal);

    let is_ready = Arc::new(AtomicBool::new(true));
    let dependencies = ApiDependencies {
        accounts: accounts.clone(),
        roster: roster.clone(),
        vault: vault.clone(),
        idempotency,
        audit: Audit::new(store.clone(), journal.clone(), roster.clone(), Some(log.clone())),
        webhooks: webhooks.clone(),
        bridge: providers.bridge,
        keys: keys.clone(),
        cloud_api: providers.cloud_api,
        gateways,
        default_gateway: settings.gateway.routing.default,
        settings: rows.clone().into(),
    };
    let api = Api::new(dependencies, settings.http.clone(), settings.accounts.clone(), is_ready.clone());
    let api_state = api.v1_state(callers.clone());
    let console = Console::new(
        InProcessClient::new(api_state.clone()),
        api.authenticator().clone(),
        &settings.http,
        tls.is_some(),
    );
    let counted = journal.clone();
    let figures = move || {
        let successes = |channel| counted.metrics().webhook_attempts.with((channel, AttemptOutcome::Taken)).get();
        [counted.head(), Channel::ALL.into_iter().map(successes).sum()]
    };
    tasks.spawn(console.clone().sample_throughput(figures, work.clone()));
    let serving = tokio::spawn(http::serve(listener, api, api_state, console.routes(), tls, callers.clone()));
    tracing::info!(%address, accounts = journal.account_count(), events = journal.head(), "ready");
    if keys.allows_anonymous() {
        tracing::warn!(
            "there is no API key: everybody on this machine may do everything; `muster keys create` makes one"
        );
    }
    ready(address);

    let outcome = tokio::select! {
        biased;
        // First, because the other errors are then consequences of it.
        error = store.wait_for_failure() => Err(Error::Store(error)),
        () = stop.cancelled() => Ok(()),
        error = journal.wait_for_failure() => Err(Error::JournalFailed(error)),
        error = webhooks.wait_for_failure() => Err(Error::WebhooksFailed(error)),
    };
    is_ready.store(false, Ordering::Relaxed);
    tracing::info!("stopping");
    let until = Instant::now() + STOP_TIMEOUT;
    *end = Some(StoreCloser::new(store.clone(), until));
    let drain = async {
        callers.cancel();
        let _ended = serving.await;
        work.cancel();
        tasks.close();
        tasks.wait().await;
        accounts.drain().await;
        delivering.cancel();
        webhooks.drain().await;
    };
    if timeout(SHUTDOWN_TIMEOUT, drain).await.is_err() {
        tracing::warn!(
            seconds = SHUTDOWN_TIMEOUT.as_secs(),
            "not everything under way ended in time; it is taken up again by the next start"
        );
    }
    outcome?;
    Ok(checkpoint_saving::save_on_shutdown(storage, until).await?)
}

/// A listener on this address, and the address that it got.
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

/// Continues an interrupted rotation of the master key, while the service runs.
fn resume_rotation(vault: &Vault, journal: &Journal) {
    let Some(rotation) = vault.unfinished_rotation() else { return };
    let (journal, runtime) = (journal.clone(), runtime::Handle::current());
    tracing::warn!("this start goes on with a rotation of the master key that was broken off");
    tokio::task::spawn_blocking(move || match rotation.run_at_start(&journal, &runtime) {
        Ok(RotationReport { rewrapped, next }) => {
            tracing::warn!(rewrapped, "this start has finished that rotation; what to do now: {next}");
        }
        Err(error) => tracing::error!(%error, "this start could not finish that rotation"),
    });
}
