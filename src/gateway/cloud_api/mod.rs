//! Meta's WhatsApp Business Cloud API, which serves business accounts.
//!
//! | file | what it knows |
//! |---|---|
//! | `meta_codes` | what Meta's states and error codes mean here |
//! | `graph_response` | what its Graph answers, read leniently |
//! | `graph_client` | the calls to it |
//! | `call_error` | why one did not do what it should, and when it is worth another try |
//! | `throttle` | when no call is made at all |
//! | `number_cache` | which number has which id, and how each stands |
//! | `account_tasks` | what accounts wait for, each a task of its own |
//! | `code_verification` | a code is sent to a number, and confirmed |
//! | `number_registration` | the call that registers a number, which Meta counts |
//! | `presence` | online and offline |
//! | `number_sync` | all numbers, and what follows from a webhook |
//! | `meta_webhook` | webhooks from Meta: who sent them, and what they say |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! Nothing is remembered here that a restart needs: what was called is on record in the account, and everything else is
//! looked at again at Meta before it is done again.

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

/// What it works with.
pub struct CloudApiDependencies {
    /// What seals PINs and opens codes.
    pub vault: Vault,
    /// How the accounts are.
    pub roster: Roster,
    /// Where it reports to.
    pub reports: ReportSender,
    /// What it counts with.
    pub metrics: Metrics,
    /// When everything under way ends.
    pub stop: CancellationToken,
    /// Where it can be waited for.
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
    /// PINs that were kept since the account was last taken up.
    pins: Mutex<HashMap<AccountNumber, SealedBytes>>,
    recent_updates: Mutex<RecentUpdates>,
    /// Places for looks that webhooks ask for.
    sync_permits: Arc<Semaphore>,
}

impl CloudApi {
    /// The Cloud API of the settings. Its tasks are run by the runtime that this is called in.
    pub fn start(
        settings: &config::CloudApiSettings,
        around: CloudApiDependencies,
    ) -> Result<CloudApi, CloudApiSetupError> {
        let CloudApiDependencies { vault, roster, reports, metrics, stop, tasks } = around;
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

    /// Takes in a webhook of Meta's, with the signature that came with it.
    pub async fn handle_webhook(&self, signature: Option<&str>, body: &[u8]) -> MetaWebhookOutcome {
        self.inner.handle_webhook(signature, body).await
    }

    /// Whether whoever says this is Meta, as it was told there.
    pub fn accepts_verification(&self, mode: &str, token: &str) -> bool {
        let ours = self.inner.settings.verify_token.as_ref();
        ours.is_some_and(|ours| meta_webhook::secrets_equal(ours.text(), token)) && mode == "subscribe"
    }
}

impl GatewayProvider for CloudApi {
    fn kind(&self) -> GatewayKind {
        GatewayKind::CloudApi
    }

    fn dispatch(&self, account: AccountNumber, state: &Account, owed: &PendingEffect, left: Duration) {
        self.inner.dispatch(account, state, owed, left);
    }

    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<GatewaySession>, GatewayUnavailable>> {
        async { self.inner.list_sessions().await.map_err(|failure| GatewayUnavailable { reason: failure.to_string() }) }
            .boxed()
    }

    /// A number that nobody wants online stays registered: Meta counts each time that this is taken back, and a number that
    /// was only registered is not online here either. Whoever recycles an account has it deregistered, if the settings say so.
    fn close_session(&self, _: AccountNumber, _: Option<u32>) {}

    fn bulkhead(&self) -> &Bulkhead {
        self.inner.graph.bulkhead()
    }
}

impl CloudApiInner {
    /// Tries the token from time to time while it is refused.
    async fn probe_rejected_token(&self) {
        let brake = self.graph.throttle();
        loop {
            brake.wait_for_token_rejection().await;
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
            brake.accept_token();
            tracing::info!("Meta takes the token again");
        }
    }

    // What these hold is changed in one step each, so a panic elsewhere leaves it whole.

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
