//! The service: which room is opened when, what runs, and how it ends. The only room that sees every other.
//!
//! | file | what it knows |
//! |---|---|
//! | `saving` | what is saved beside the log, while it runs and at its end |
//! | `offline` | a data directory that no service uses |
//! | `ways` | the ways to WhatsApp that the settings have set up |

mod offline;
mod saving;
mod ways;

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

use crate::access::Keys;
use crate::actors::{self, Accounts};
use crate::answers::Answers;
use crate::audit::{self, Audit, Log};
use crate::clock;
use crate::config::{Effective, Settings};
use crate::console::Console;
use crate::domain::Channel;
use crate::gateway::{Gateways, Simulator, bridge, cloud_api};
pub use crate::http::document as description;
use crate::http::{self, Api, Behind, Tls, TlsError, Within};
use crate::journal::{self, Journal};
use crate::limits::{BLOCKED_AT_END, SHUTDOWN, STOP};
use crate::metrics::AttemptOutcome;
use crate::projections::Roster;
use crate::store::{self, Store};
pub use crate::vault::Rotated;
use crate::vault::{self, Vault};
use crate::webhooks::{self, Webhooks};
pub use offline::Offline;
use saving::{End, keep_checkpoints, keep_signing};
use ways::Ways;

/// Why the service does not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}; choose another address with --listen")]
    Listen {
        /// The address, as it was set.
        listen: String,
        /// What went wrong.
        source: io::Error,
    },
    /// Anybody who reaches it could do everything.
    #[error(
        "there is no API key yet, so {listen} would be open to everybody; make the first one with \
         `muster keys create --name admin --role admin --data-dir {}`, or listen on 127.0.0.1", .data_dir.display()
    )]
    NoKey {
        /// The address, as it was set.
        listen: String,
        /// Where keys are kept.
        data_dir: PathBuf,
    },
    /// TLS cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is nothing to look into.
    #[error("there is no muster data directory at {path} (it has no file MUSTER); name one with --data-dir")]
    NoDataDirectory {
        /// Where there is none.
        path: PathBuf,
    },
    /// A request that is none.
    #[error("the question cannot be asked: {0}")]
    Asked(String),
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
    /// The journal is not what it was.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The actors cannot be started.
    #[error(transparent)]
    Actors(#[from] actors::Error),
    /// An erasure that was begun cannot be ended.
    #[error(transparent)]
    NotErased(#[from] actors::NotErased),
    /// The bridge cannot be set up.
    #[error(transparent)]
    Bridge(#[from] bridge::Error),
    /// The Cloud API cannot be set up.
    #[error(transparent)]
    CloudApi(#[from] cloud_api::NotSetUp),
    /// The webhooks cannot be started.
    #[error(transparent)]
    Webhooks(#[from] webhooks::Error),
    /// The webhooks failed.
    #[error("{0}")]
    WebhooksFailed(Arc<webhooks::Error>),
}

impl Error {
    /// Whether it says that what is durable is not whole.
    pub fn is_fault(&self) -> bool {
        match self {
            Error::Store(error) => matches!(error, store::Error::Damaged { .. }),
            Error::Journal(error) => is_damage(error),
            Error::JournalFailed(error) => is_damage(error),
            Error::Audit(error) => error.is_fault(),
            Error::Listen { .. }
            | Error::NoKey { .. }
            | Error::Tls(_)
            | Error::NoDataDirectory { .. }
            | Error::Asked(_)
            | Error::Threads(_)
            | Error::Vault(_)
            | Error::Actors(_)
            | Error::NotErased(_)
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

/// What is durable, open.
#[derive(Clone)]
struct Rooms {
    store: Store,
    vault: Vault,
    roster: Roster,
    journal: Journal,
    log: Log,
}

/// Runs the service until `stop`, or until it cannot go on. Calls `ready` with the address once it answers there.
/// Reads the files of TLS again when `reload_tls` is notified. Blocks; ends in at most ten seconds once it is stopped.
pub fn run(
    effective: &Effective,
    ready: impl FnOnce(SocketAddr),
    reload_tls: &Arc<Notify>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("service").build();
    let runtime = runtime.map_err(Error::Threads)?;
    let mut end = None;
    let outcome = runtime.block_on(serve(effective, ready, reload_tls, stop, &mut end));
    // A disk that does not come back must not keep the process.
    runtime.shutdown_timeout(end.as_ref().map_or(BLOCKED_AT_END, End::left).min(BLOCKED_AT_END));
    if let Some(end) = end {
        end.close();
    }
    outcome
}

/// Opens the rooms from the lowest up, runs them, and closes them from the highest down.
///
/// What is to be done when all else is gone is left in `end`, once it runs.
async fn serve(
    effective: &Effective,
    ready: impl FnOnce(SocketAddr),
    reload_tls: &Arc<Notify>,
    stop: &CancellationToken,
    end: &mut Option<End>,
) -> Result<(), Error> {
    let Effective { settings, rows, .. } = effective;
    // Before anything is made on the disk.
    let tls = Tls::open(&settings.tls, reload_tls.clone())?;
    let (listener, address) = listen(&settings.http.listen).await?;
    let opening = settings.clone();
    let opening = tokio::task::spawn_blocking(move || Rooms::open(&opening));
    // It may take minutes. Where the process ends meanwhile, it ends as by a crash; nobody was answered yet.
    let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(()) };
    let rooms = opened.map_err(|panicked| Error::Threads(panicked.into()))??;
    let Rooms { store, vault, roster, journal, log } = &rooms;
    actors::finish_erasures(vault, journal).await?;
    let keys = Keys::open(journal, Some(vault.clone()))?;
    if keys.is_open() && !address.ip().is_loopback() {
        return Err(Error::NoKey { listen: settings.http.listen.clone(), data_dir: settings.data_dir.clone() });
    }
    let tasks = TaskTracker::new();
    // Callers first, then what they left under way, then what tells others of it.
    let [callers, under_way, telling] = [(); 3].map(|()| CancellationToken::new());

    let (reports, reported) = actors::reports();
    // What cannot be read is told when the account is next asked; until then its session is as good as the first.
    let session_of = |account| journal.load(account).map_or(1, |(state, _)| state.sessions);
    let (simulator, channel) = Simulator::new(
        &settings.simulator,
        vault.clone(),
        reports.clone(),
        roster.online_at_the_simulator(),
        session_of,
    );
    let ways = Ways::open(settings, &rooms, &reports, &under_way, &tasks)?;
    let gateways = Gateways::new(simulator, ways.all(), reports);
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
    let webhooks = Webhooks::start(store, journal, vault, settings.guard(), &settings.webhooks, &telling)?;
    tasks.spawn(channel.run(under_way.clone()));
    tasks.spawn(inbox.run(roster.unsettled(), under_way.clone()));
    ways.run(&gateways, &rooms, settings.gateway.reconcile_every, &under_way, &tasks);
    tasks.spawn(keep_checkpoints(rooms.clone(), settings.store.checkpoint_every, under_way.clone()));
    tasks.spawn(keep_signing(rooms.clone(), under_way.clone()));
    tasks.spawn(clock::watch(under_way.clone()));

    let answers = Answers::open(store, journal.clone(), clock::trusted);
    tasks.spawn(answers.clone().keep_forgetting(under_way.clone()));

    go_on_rotating(vault, journal);

    let is_ready = Arc::new(AtomicBool::new(true));
    let behind = Behind {
        accounts: accounts.clone(),
        roster: roster.clone(),
        vault: vault.clone(),
        answers,
        audit: Audit::new(store.clone(), journal.clone(), roster.clone(), Some(log.clone())),
        webhooks: webhooks.clone(),
        bridge: ways.bridge,
        keys: keys.clone(),
        cloud_api: ways.cloud_api,
        gateways,
        default_gateway: settings.gateway.routing.default,
        settings: rows.clone().into(),
    };
    let api = Api::new(behind, settings.http.clone(), settings.accounts.clone(), is_ready.clone());
    let desk = api.desk(callers.clone());
    let console = Console::new(Within::new(desk.clone()), api.door().clone(), &settings.http, tls.is_some());
    let counted = journal.clone();
    let figures = move || {
        let taken = |channel| counted.metrics().webhook_attempts.at((channel, AttemptOutcome::Taken)).get();
        [counted.head(), Channel::ALL.into_iter().map(taken).sum()]
    };
    tasks.spawn(console.clone().keep_counting(figures, under_way.clone()));
    let serving = tokio::spawn(http::serve(listener, api, desk, console.pages(), tls, callers.clone()));
    tracing::info!(%address, accounts = journal.accounts(), events = journal.head(), "ready");
    if keys.is_open() {
        tracing::warn!(
            "there is no API key: everybody on this machine may do everything; `muster keys create` makes one"
        );
    }
    ready(address);

    let outcome = tokio::select! {
        biased;
        // First, because what the others say then follows from it.
        error = store.failed() => Err(Error::Store(error)),
        () = stop.cancelled() => Ok(()),
        error = journal.failed() => Err(Error::JournalFailed(error)),
        error = webhooks.failed() => Err(Error::WebhooksFailed(error)),
    };
    is_ready.store(false, Ordering::Relaxed);
    tracing::info!("stopping");
    let until = Instant::now() + STOP;
    *end = Some(End::new(store.clone(), until));
    let drain = async {
        callers.cancel();
        let _ended = serving.await;
        under_way.cancel();
        tasks.close();
        tasks.wait().await;
        accounts.drain().await;
        telling.cancel();
        webhooks.drain().await;
    };
    if timeout(SHUTDOWN, drain).await.is_err() {
        tracing::warn!(
            seconds = SHUTDOWN.as_secs(),
            "not everything under way ended in time; it is taken up again by the next start"
        );
    }
    outcome?;
    Ok(saving::save_at_end(rooms, until).await?)
}

/// A listener on this address, and the address that it has.
pub async fn listen(listen: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let bound = async {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| Error::Listen { listen: listen.to_owned(), source })
}

impl Rooms {
    fn open(settings: &Settings) -> Result<Rooms, Error> {
        let store = Store::open(&settings.data_dir, &settings.store)?;
        let vault = Vault::open(store.clone(), &settings.vault)?;
        let (roster, journal) = Roster::open_with_journal(&store)?;
        let log = Log::open(&store, &journal, vault.log_key()?)?;
        Ok(Rooms { store, vault, roster, journal, log })
    }
}

/// Goes on with a rotation of the master key that was begun, while everything is served.
fn go_on_rotating(vault: &Vault, journal: &Journal) {
    let Some(rotation) = vault.unfinished_rotation() else { return };
    let (journal, runtime) = (journal.clone(), runtime::Handle::current());
    tracing::warn!("this start goes on with a rotation of the master key that was broken off");
    tokio::task::spawn_blocking(move || match rotation.run_at_start(&journal, &runtime) {
        Ok(Rotated { rewrapped, next }) => {
            tracing::warn!(rewrapped, "this start has finished that rotation; what to do now: {next}");
        }
        Err(error) => tracing::error!(%error, "this start could not finish that rotation"),
    });
}
