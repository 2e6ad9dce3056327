//! A data directory, and what a start opens on it: the store, its journal, the projections, and the services on top.

use std::path::Path;
use std::sync::Arc;

use muster::actors::{Accounts, GatewayPort, Inbox, ReportReceiver, ReportSender};
use muster::audit::{self, Audit, TransparencyLog};
use muster::clock;
use muster::config::Settings;
use muster::gateway::GatewayDependencies;
use muster::journal::Journal;
use muster::projections::Roster;
use muster::store::Store;
use muster::vault::Vault;
use muster::webhooks::Webhooks;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A store with its journal, roster and vault. The directory is deleted with it.
pub struct StorageFixture {
    pub settings: Settings,
    pub store: Store,
    pub journal: Journal,
    pub roster: Roster,
    pub vault: Vault,
    pub directory: TempDir,
}

impl StorageFixture {
    /// On a new directory.
    pub fn new() -> StorageFixture {
        StorageFixture::with_settings(|_| {})
    }

    /// On a new directory, with these settings changed.
    pub fn with_settings(change: impl FnOnce(&mut Settings)) -> StorageFixture {
        let (mut settings, directory) = (Settings::default(), temp_directory());
        change(&mut settings);
        let store = Store::open(&directory.path().join("data"), &settings.store).unwrap();
        let vault = Vault::open(store.clone(), &settings.vault).unwrap();
        let (roster, journal) = Roster::open_with_journal(&store).unwrap();
        StorageFixture { settings, store, journal, roster, vault, directory }
    }

    /// Starts the accounts, served by `gateway`, and the task that brings in its reports.
    pub fn start_accounts(&self, gateway: Arc<dyn GatewayPort>, reported: ReportReceiver) -> (Accounts, Inbox) {
        let (journal, vault) = (self.journal.clone(), self.vault.clone());
        Accounts::start(journal, vault, &self.settings, gateway, reported, 0).unwrap()
    }

    /// What gateways are built from. Their reports go to `reports`.
    pub fn gateway_dependencies(&self, reports: ReportSender) -> GatewayDependencies {
        GatewayDependencies {
            store: self.store.clone(),
            sync_store: Arc::new(|| Box::pin(async { Ok(()) })),
            vault: self.vault.clone(),
            roster: self.roster.clone(),
            latest_session: Arc::new(|_| 1),
            reports,
            now: clock::moment,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Starts the webhooks, which run until `stop`. Call it within a runtime.
    pub fn start_webhooks(&self, stop: &CancellationToken) -> Webhooks {
        let (guard, settings) = (self.settings.address_guard(), &self.settings.webhooks);
        Webhooks::start(&self.store, &self.journal, &self.roster, &self.vault, guard, settings, stop).unwrap()
    }
}

/// A new directory. For tests and benches of the binary it is on the disk of the build: in memory a sync would cost
/// nothing.
pub fn temp_directory() -> TempDir {
    match option_env!("CARGO_TARGET_TMPDIR") {
        Some(disk) => TempDir::new_in(disk),
        None => TempDir::new(),
    }
    .unwrap()
}

/// Opens the store at `path`, and creates it if needed.
pub fn open_store(path: &Path) -> Store {
    Store::open(path, &Settings::default().store).unwrap()
}

/// Opens a store's journal without projections.
pub fn open_journal(store: Store) -> Journal {
    Journal::open(store, Box::new(|_| {})).unwrap()
}

/// Opens the audit view of a store.
pub fn open_audit(store: Store) -> Result<Audit, audit::Error> {
    let vault = Vault::open(store.clone(), &Settings::default().vault)?;
    let (roster, journal) = Roster::open_with_journal(&store)?;
    let log = TransparencyLog::open(&store, &journal, vault.load_or_create_log_key()?)?;
    Ok(Audit::new(store, journal, roster, Some(log)))
}
