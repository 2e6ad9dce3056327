//! What all tasks of the Cloud API share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call_error::CloudApiSetupError;
use super::graph_client::GraphClient;
use super::kept_number_ids::KeptNumberIds;
use super::meta_webhook::RecentUpdates;
use super::number_cache::NumberCache;
use super::task_table::AccountTasks;
use crate::actors::ReportSender;
use crate::config;
use crate::domain::{AccountNumber, SealedBytes};
use crate::gateway::provider::GatewayDependencies;
use crate::limits::META_SYNCS_IN_FLIGHT;
use crate::metrics::Metrics;
use crate::projections::Roster;
use crate::vault::Vault;

/// What all tasks share.
pub(super) struct CloudApiInner {
    pub(super) graph: GraphClient,
    pub(super) numbers: NumberCache,
    pub(super) settings: config::CloudApiSettings,
    pub(super) vault: Vault,
    pub(super) roster: Roster,
    pub(super) reports: ReportSender,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) runtime: Handle,
    pub(super) account_tasks: Mutex<HashMap<AccountNumber, AccountTasks>>,
    /// PINs that were stored after the current tasks of the account were dispatched.
    pub(super) pins: Mutex<HashMap<AccountNumber, SealedBytes>>,
    pub(super) recent_updates: Mutex<RecentUpdates>,
    /// Limits the syncs that webhooks trigger.
    pub(super) sync_permits: Arc<Semaphore>,
}

impl CloudApiInner {
    /// The state of a Cloud API with these settings. Its tasks run on the runtime of the caller.
    pub(super) fn new(
        settings: &config::CloudApiSettings,
        dependencies: &GatewayDependencies,
    ) -> Result<CloudApiInner, CloudApiSetupError> {
        let GatewayDependencies { store, vault, roster, reports, stop, tasks, .. } = dependencies;
        let graph = GraphClient::new(settings)?;
        let ids = KeptNumberIds::open(store.clone(), graph.waba_id())?;
        Ok(CloudApiInner {
            graph,
            numbers: NumberCache::new(ids, roster.clone()),
            settings: settings.clone(),
            vault: vault.clone(),
            roster: roster.clone(),
            reports: reports.clone(),
            metrics: store.metrics().clone(),
            stop: stop.clone(),
            tasks: tasks.clone(),
            runtime: Handle::current(),
            account_tasks: Mutex::default(),
            pins: Mutex::default(),
            recent_updates: Mutex::default(),
            sync_permits: Arc::new(Semaphore::new(META_SYNCS_IN_FLIGHT)),
        })
    }

    // Each change of these maps is one step, so a panic elsewhere leaves them consistent.

    pub(super) fn account_tasks(&self) -> MutexGuard<'_, HashMap<AccountNumber, AccountTasks>> {
        self.account_tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pins(&self) -> MutexGuard<'_, HashMap<AccountNumber, SealedBytes>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recent_updates(&self) -> MutexGuard<'_, RecentUpdates> {
        self.recent_updates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
