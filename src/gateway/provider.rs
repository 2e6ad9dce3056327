//! The trait that every gateway implements, its description, and the dependencies that it is built from.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::remote_gateway::RemoteGateway;
use crate::actors::ReportSender;
use crate::clock::Moments;
use crate::config::Settings;
use crate::domain::{Account, AccountNumber, GatewayOffer, PendingEffect};
use crate::projections::Roster;
use crate::store::Store;
use crate::vault::Vault;

/// What a gateway offers, and how to open it. Other modules learn the rules of a gateway only from this.
pub(crate) struct GatewayDescription {
    /// What it offers to accounts, and its name in sentences.
    pub(crate) offer: GatewayOffer,
    /// Whether it closes sessions that no account needs. If not, a session outlives its recycled account.
    pub(crate) closes_sessions: bool,
    /// Opens it. A gateway that is set up runs even if no routing rule names it: its accounts stay until they move.
    pub(crate) open: fn(&Settings, &GatewayDependencies) -> Result<OpenedGateway, GatewaySetupError>,
}

/// A gateway that is ready; `None` if the settings do not set it up.
pub(crate) type OpenedGateway = Option<Arc<dyn GatewayProvider>>;

/// A gateway: it carries out pending effects, and reports what it sees.
pub(crate) trait GatewayProvider: Any + Send + Sync {
    /// Starts a pending effect of an account in this state, and returns at once. The outcome arrives as a report.
    /// The same effect may be dispatched again. After `left` the account no longer waits for it.
    fn dispatch(&self, account: AccountNumber, state: &Account, effect: &PendingEffect, left: Duration);

    /// The gateway as a remote one; `None` if it is built in, and so always available.
    fn as_remote(self: Arc<Self>) -> Option<Arc<dyn RemoteGateway>> {
        None
    }
}

/// What gateways are built from. Each gateway takes what it needs.
pub struct GatewayDependencies {
    /// Keeps what a gateway must remember.
    pub store: Store,
    /// Makes writes to the store durable.
    pub sync_store: StoreSync,
    /// Seals and opens secrets.
    pub vault: Vault,
    /// The reported state of all accounts, and which gateway serves each.
    pub roster: Roster,
    /// The number of an account's latest session.
    pub latest_session: LatestSession,
    /// Sends reports to the accounts.
    pub reports: ReportSender,
    /// The clock.
    pub now: Moments,
    /// Ends all tasks when it is cancelled.
    pub stop: CancellationToken,
    /// Tracks all tasks, so that the service can wait for them.
    pub tasks: TaskTracker,
}

/// Makes writes to the store's tables durable, in a commit shared with other waiters. The error is a sentence.
pub type StoreSync = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Returns the number of an account's latest session.
pub type LatestSession = Arc<dyn Fn(AccountNumber) -> u32 + Send + Sync>;

/// Why a gateway cannot be opened. The text is that of the gateway's own error.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct GatewaySetupError(Box<dyn std::error::Error + Send + Sync>);

impl GatewaySetupError {
    /// Wraps the gateway's own error.
    pub(crate) fn new(error: impl std::error::Error + Send + Sync + 'static) -> GatewaySetupError {
        GatewaySetupError(Box::new(error))
    }
}
