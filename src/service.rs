//! The service: which room is opened when, what runs, and how it ends. The only file that sees every room.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actors::{self, Accounts};
use crate::config::Settings;
use crate::gateway::Simulator;
use crate::http::{self, Api};
use crate::journal::{self, Journal};
use crate::limits::SHUTDOWN;
use crate::projections::Roster;
use crate::store::{self, Store};
use crate::vault::{self, Vault};
use crate::webhooks::{self, Webhooks};

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
    /// The actors cannot be started.
    #[error(transparent)]
    Actors(#[from] actors::Error),
    /// The webhooks cannot be started.
    #[error(transparent)]
    Webhooks(#[from] webhooks::Error),
    /// The webhooks failed.
    #[error("{0}")]
    WebhooksFailed(Arc<webhooks::Error>),
}

/// What is durable, open.
#[derive(Clone)]
struct Rooms {
    store: Store,
    vault: Vault,
    roster: Roster,
    journal: Journal,
}

/// Runs the service until `stop`, or until it cannot go on. Calls `ready` with the address once it answers there.
/// Blocks; ends in at most ten seconds once it is stopped.
pub fn run(settings: &Settings, ready: impl FnOnce(SocketAddr), stop: &CancellationToken) -> Result<(), Error> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("service").build();
    let runtime = runtime.map_err(Error::Threads)?;
    let outcome = runtime.block_on(serve(settings, ready, stop));
    // A disk that does not come back must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Opens the rooms from the lowest up, runs them, and closes them from the highest down.
async fn serve(settings: &Settings, ready: impl FnOnce(SocketAddr), stop: &CancellationToken) -> Result<(), Error> {
    // Before anything is made on the disk.
    let (listener, address) = listen(&settings.http.listen).await?;
    let rooms = Rooms::open(settings)?;
    let Rooms { store, vault, roster, journal } = &rooms;
    let tasks = TaskTracker::new();
    // Callers first, then what they left under way, then what tells others of it.
    let [callers, under_way, telling] = [(); 3].map(|()| CancellationToken::new());

    let (reports, reported) = actors::reports();
    let (simulator, channel) = Simulator::new(&settings.simulator, vault.clone(), reports, roster.online());
    let (accounts, inbox) = Accounts::start(
        journal.clone(),
        &settings.actors,
        &settings.accounts,
        Arc::new(simulator),
        reported,
        roster.last_task(),
    )?;
    let webhooks = Webhooks::start(store, journal, &settings.webhooks, &telling)?;
    tasks.spawn(channel.run(under_way.clone()));
    tasks.spawn(inbox.run(roster.unsettled(), under_way.clone()));
    tasks.spawn(keep_checkpoints(rooms.clone(), settings.store.checkpoint_every, under_way.clone()));

    let is_ready = Arc::new(AtomicBool::new(true));
    let api = Api::new(
        accounts.clone(),
        roster.clone(),
        vault.clone(),
        settings.http.clone(),
        &settings.accounts,
        is_ready.clone(),
    );
    let serving = tokio::spawn(http::serve(listener, api, callers.clone()));
    tracing::info!(%address, accounts = journal.accounts(), events = journal.head(), "ready");
    ready(address);

    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        error = journal.failed() => Err(Error::JournalFailed(error)),
        error = webhooks.failed() => Err(Error::WebhooksFailed(error)),
    };
    is_ready.store(false, Ordering::Relaxed);
    tracing::info!("stopping");
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
    if tokio::time::timeout(SHUTDOWN, drain).await.is_err() {
        tracing::warn!(
            seconds = SHUTDOWN.as_secs(),
            "not everything under way ended in time; it is taken up again by the next start"
        );
    }
    outcome?;
    save_checkpoints(&rooms);
    Ok(store.flush()?)
}

async fn listen(listen: &str) -> Result<(TcpListener, SocketAddr), Error> {
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
        let roster = Roster::open(&store);
        let following = roster.clone();
        let journal = Journal::open(store.clone(), Box::new(move |records| following.apply(records)))?;
        roster.catch_up(&journal)?;
        Ok(Rooms { store, vault, roster, journal })
    }
}

/// Saves the checkpoints each time that `every` events have happened, so that the next start reads no more than these.
async fn keep_checkpoints(rooms: Rooms, every: u64, stop: CancellationToken) {
    let mut head = rooms.journal.follow();
    let mut saved = rooms.journal.head();
    loop {
        let grown = head.wait_for(|head| *head >= saved + every);
        match stop.run_until_cancelled(grown).await {
            Some(Ok(head)) => saved = *head,
            Some(Err(_)) | None => return,
        }
        let rooms = rooms.clone();
        let _panicked = tokio::task::spawn_blocking(move || save_checkpoints(&rooms)).await;
    }
}

/// Checkpoints are caches: without one the next start takes longer, and nothing else.
fn save_checkpoints(rooms: &Rooms) {
    if let Err(error) = rooms.journal.save_checkpoint() {
        tracing::warn!(%error, "the journal's checkpoint was not saved");
    }
    if let Err(error) = rooms.roster.save_checkpoint(&rooms.store) {
        tracing::warn!(%error, "the roster's checkpoint was not saved");
    }
}
