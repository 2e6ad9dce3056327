//! Meta's WhatsApp Business Cloud API, which serves business accounts.
//!
//! | file | what it is |
//! |---|---|
//! | `meta_codes` | the meaning of Meta's states and error codes |
//! | `graph_response` | lenient readers of the Graph's responses |
//! | `graph_client` | the calls to the Graph |
//! | `call_error` | the errors of a call, and when to retry it |
//! | `throttle` | stops all calls while Meta limits them or rejects the token |
//! | `number_cache` | the id and last seen status of each number |
//! | `account_tasks` | runs each pending effect as a task |
//! | `code_verification` | has a code sent to a number, and verifies it |
//! | `number_registration` | registers a number within Meta's budget of such calls |
//! | `presence` | brings a number online or offline |
//! | `number_sync` | reads all numbers, for session lists and after webhooks |
//! | `meta_webhook` | verifies and parses webhooks from Meta |
//! | `fuzz` | fuzz targets of the parsers, for tests only |
//!
//! This module keeps no state that a restart needs. The account records the calls that Meta counts. All other steps
//! check the state at Meta before they act.

mod account_tasks;
mod call_error;
mod code_verification;
mod graph_client;
mod graph_response;
mod meta_codes;
mod meta_webhook;
mod number_cache;
mod number_registration;
mod number_sync;
mod presence;
mod throttle;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use graph_client::CloudApiSetupError;
pub use meta_webhook::MetaSignatureError;
pub use number_sync::MetaWebhookOutcome;

use super::bulkhead::Bulkhead;
use super::provider::{GatewayProvider, GatewaySession, GatewayUnavailable};
use crate::actors::ReportSender;
use crate::config;
use crate::domain::{Account, AccountNumber, GatewayKind, PendingEffect, SealedBytes};
use crate::limits::{GRAPH_PROBE_WAIT, GRAPH_PROBE_WAIT_MAX, META_SYNCS_IN_FLIGHT};
use crate::metrics::Metrics;
use crate::projections::Roster;
use crate::vault::Vault;
use account_tasks::AccountTasks;
use graph_client::GraphClient;
use meta_webhook::RecentUpdates;
use number_cache::NumberCache;

/// The Cloud API. Cheap to clone.
#[derive(Clone)]
pub struct CloudApi {
    inner: Arc<CloudApiInner>,
}

/// The dependencies of the Cloud API.
pub struct CloudApiDependencies {
    /// Seals PINs and opens codes.
    pub vault: Vault,
    /// The state of all accounts.
    pub roster: Roster,
    /// Sends reports to the accounts.
    pub reports: ReportSender,
    /// The metrics to count in.
    pub metrics: Metrics,
    /// Ends all tasks when it is cancelled.
    pub stop: CancellationToken,
    /// Tracks all tasks, so that the service can wait for them.
    pub tasks: TaskTracker,
}

struct CloudApiInner {
    graph: GraphClient,
    numbers: NumberCache,
    settings: config::CloudApiSettings,
    vault: Vault,
    roster: Roster,
    reports: ReportSender,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
    account_tasks: Mutex<HashMap<AccountNumber, AccountTasks>>,
    /// PINs that were stored after the current tasks of the account were dispatched.
    pins: Mutex<HashMap<AccountNumber, SealedBytes>>,
    recent_updates: Mutex<RecentUpdates>,
    /// Limits the syncs that webhooks trigger.
    sync_permits: Arc<Semaphore>,
}

impl CloudApi {
    /// Starts the Cloud API with these settings. Its tasks run on the runtime of the caller.
    pub fn start(
        settings: &config::CloudApiSettings,
        dependencies: CloudApiDependencies,
    ) -> Result<CloudApi, CloudApiSetupError> {
        let CloudApiDependencies { vault, roster, reports, metrics, stop, tasks } = dependencies;
        let inner = Arc::new(CloudApiInner {
            graph: GraphClient::new(settings)?,
            numbers: NumberCache::default(),
            settings: settings.clone(),
            vault,
            roster,
            reports,
            metrics,
            stop,
            tasks,
            runtime: Handle::current(),
            account_tasks: Mutex::default(),
            pins: Mutex::default(),
            recent_updates: Mutex::default(),
            sync_permits: Arc::new(Semaphore::new(META_SYNCS_IN_FLIGHT)),
        });
        let probing = inner.clone();
        inner.tasks.spawn(async move {
            let stop = probing.stop.clone();
            stop.run_until_cancelled(probing.probe_rejected_token()).await;
        });
        Ok(CloudApi { inner })
    }

    /// Processes a webhook from Meta. `signature` is its header `X-Hub-Signature-256`.
    pub async fn handle_webhook(&self, signature: Option<&str>, body: &[u8]) -> MetaWebhookOutcome {
        self.inner.handle_webhook(signature, body).await
    }

    /// Whether a verification request from Meta has mode `subscribe` and the configured verify token.
    pub fn accepts_verification(&self, mode: &str, token: &str) -> bool {
        let ours = self.inner.settings.verify_token.as_ref();
        ours.is_some_and(|ours| meta_webhook::secrets_equal(ours.text(), token)) && mode == "subscribe"
    }
}

impl GatewayProvider for CloudApi {
    fn kind(&self) -> GatewayKind {
        GatewayKind::CloudApi
    }

    fn dispatch(&self, account: AccountNumber, state: &Account, effect: &PendingEffect, left: Duration) {
        self.inner.dispatch(account, state, effect, left);
    }

    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<GatewaySession>, GatewayUnavailable>> {
        async { self.inner.list_sessions().await.map_err(|failure| GatewayUnavailable { reason: failure.to_string() }) }
            .boxed()
    }

    /// Does nothing: an unwanted number stays registered, because Meta counts deregistrations. Only recycling deregisters
    /// a number, if `deregister_on_recycle` is set.
    fn close_session(&self, _: AccountNumber, _: Option<u32>) {}

    fn bulkhead(&self) -> &Bulkhead {
        self.inner.graph.bulkhead()
    }
}

impl CloudApiInner {
    /// Probes the token with growing waits while Meta rejects it.
    async fn probe_rejected_token(&self) {
        let throttle = self.graph.throttle();
        loop {
            throttle.wait_for_token_rejection().await;
            self.metrics.meta_token_refused.set(1);
            let mut wait = GRAPH_PROBE_WAIT;
            loop {
                sleep(wait).await;
                if self.graph.probe().await {
                    break;
                }
                wait = (wait * 2).min(GRAPH_PROBE_WAIT_MAX);
            }
            self.metrics.meta_token_refused.set(0);
            throttle.accept_token();
            tracing::info!("Meta takes the token again");
        }
    }

    // Each change of these maps is one step, so a panic elsewhere leaves them consistent.

    fn account_tasks(&self) -> MutexGuard<'_, HashMap<AccountNumber, AccountTasks>> {
        self.account_tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<AccountNumber, SealedBytes>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent_updates(&self) -> MutexGuard<'_, RecentUpdates> {
        self.recent_updates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
