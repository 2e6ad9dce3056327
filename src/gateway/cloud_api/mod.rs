//! Meta's WhatsApp Business Cloud API, which serves business accounts.
//!
//! | file | what it is |
//! |---|---|
//! | `meta_codes` | the meaning of Meta's states and error codes |
//! | `graph_response` | lenient readers of the Graph's responses |
//! | `graph_client` | the calls to the Graph |
//! | `call_error` | the errors of the setup and of calls, and when to retry a call |
//! | `throttle` | stops all calls while Meta limits them or rejects the token |
//! | `kept_number_ids` | keeps the id of each number, across restarts |
//! | `number_matching` | which of Meta's numbers belongs to which account |
//! | `number_cache` | looks numbers up, by kept id or in the list |
//! | `task_table` | the tasks of one account that are under way |
//! | `shared_state` | what all tasks share |
//! | `account_tasks` | runs each pending effect as a task |
//! | `code_verification` | has a code sent to a number, and verifies it |
//! | `number_registration` | registers a number within Meta's budget of such calls |
//! | `presence` | brings a number online or offline |
//! | `number_sync` | reads all numbers, for session lists and after webhooks |
//! | `meta_webhook` | verifies and parses webhooks from Meta |
//! | `fuzz` | fuzz targets of the parsers, for tests only |
//!
//! The account records the calls that Meta counts, and the store keeps the ids of numbers. All other steps check the state at
//! Meta before they act.

mod account_tasks;
mod call_error;
mod code_verification;
mod graph_client;
mod graph_response;
mod kept_number_ids;
mod meta_codes;
mod meta_webhook;
mod number_cache;
mod number_matching;
mod number_registration;
mod number_sync;
mod presence;
mod shared_state;
mod task_table;
mod throttle;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

pub use meta_webhook::MetaSignatureError;
pub use number_sync::MetaWebhookOutcome;

use super::bulkhead::Bulkhead;
use super::provider::{GatewayDependencies, GatewayDescription, GatewayProvider, GatewaySetupError, OpenedGateway};
use super::remote_gateway::{GatewaySession, GatewayUnavailable, RemoteGateway};
use crate::config::Settings;
use crate::domain::{Account, AccountNumber, GatewayOffer, PendingEffect, VerifyType};
use crate::limits::{GRAPH_PROBE_WAIT, GRAPH_PROBE_WAIT_MAX};
use shared_state::CloudApiInner;

/// What the Cloud API is and offers.
pub(super) const DESCRIPTION: GatewayDescription = GatewayDescription {
    offer: GatewayOffer {
        title: "the Cloud API",
        serves_personal_accounts: false,
        verify_types: &[VerifyType::Sms, VerifyType::Voice],
    },
    closes_sessions: false,
    open,
};

/// Opens the Cloud API, if the settings name a WhatsApp Business Account and a token.
fn open(settings: &Settings, dependencies: &GatewayDependencies) -> Result<OpenedGateway, GatewaySetupError> {
    let settings = &settings.gateway.cloud_api;
    if settings.waba_id.is_none() || settings.token.is_none() {
        return Ok(None);
    }
    let inner = Arc::new(CloudApiInner::new(settings, dependencies).map_err(GatewaySetupError::new)?);
    let probing = inner.clone();
    inner.tasks.spawn(async move {
        let stop = probing.stop.clone();
        stop.run_until_cancelled(probing.probe_rejected_token()).await;
    });
    Ok(Some(Arc::new(CloudApi { inner })))
}

/// The Cloud API. Cheap to clone.
#[derive(Clone)]
pub struct CloudApi {
    inner: Arc<CloudApiInner>,
}

impl CloudApi {
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
    fn dispatch(&self, account: AccountNumber, state: &Account, effect: &PendingEffect, left: Duration) {
        self.inner.dispatch(account, state, effect, left);
    }

    fn as_remote(self: Arc<Self>) -> Option<Arc<dyn RemoteGateway>> {
        Some(self)
    }
}

impl RemoteGateway for CloudApi {
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
            tracing::info!("Meta accepts the token again");
        }
    }
}
