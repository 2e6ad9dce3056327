//! What every way to WhatsApp can do, whichever it is. The simulator needs less: it is always there.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::bridge::IgnoredReportRow;
use super::bulkhead::Bulkhead;
use crate::domain::{Account, AccountNumber, GatewayKind, PendingEffect, Reason};
use crate::store;

/// A way to WhatsApp through somebody else.
pub(crate) trait GatewayProvider: Send + Sync + 'static {
    /// Which one it is.
    fn kind(&self) -> GatewayKind;

    /// Takes up what an account in this state waits for, and returns at once; what comes of it is settled with the
    /// account. The same may be asked again. After `left` the account waits for it no more.
    fn dispatch(&self, account: AccountNumber, state: &Account, owed: &PendingEffect, left: Duration);

    /// All sessions that it has, or why they cannot be told; never a part of them.
    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<GatewaySession>, GatewayUnavailable>>;

    /// Ends a session that nobody wants, and returns at once; does nothing where sessions outlive a recycled account.
    fn close_session(&self, account: AccountNumber, session: Option<u32>);

    /// What keeps its calls apart from everything else.
    fn bulkhead(&self) -> &Bulkhead;

    /// What else operators are shown of it.
    fn stats(&self) -> ProviderStats {
        ProviderStats::default()
    }

    /// The last reports that came of it and changed nothing, the last one first.
    fn ignored_reports(&self) -> Result<Vec<IgnoredReportRow>, store::Error> {
        Ok(Vec::new())
    }
}

/// What only some gateways have to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ProviderStats {
    /// Commands that wait to be sent or fetched.
    pub(crate) work_queued: Option<u64>,
    /// From the making of the report that was taken in last to its taking in.
    pub(crate) report_lag: Option<Duration>,
}

/// A session as a gateway sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GatewaySession {
    /// Whose.
    pub(crate) account: AccountNumber,
    /// Which, where the gateway knows.
    pub(crate) session: Option<u32>,
    /// How it stands.
    pub(crate) state: GatewaySessionState,
    /// The gateway's scan or pairing id; empty where there is none.
    pub(crate) instance_code: String,
}

/// How a session stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum GatewaySessionState {
    /// On its way.
    Connecting,
    /// Open.
    Connected,
    /// WhatsApp banned the account.
    Banned {
        /// Why.
        reason: Reason,
    },
}

/// Why a gateway cannot be asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct GatewayUnavailable {
    /// In words, without secrets.
    pub(crate) reason: String,
}
