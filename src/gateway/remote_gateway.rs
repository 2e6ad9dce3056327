//! The trait of gateways that reach WhatsApp through another system: it has sessions of its own, and may be away.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::bulkhead::Bulkhead;
use super::ignored_report::IgnoredReportView;
use crate::domain::{AccountNumber, Reason};
use crate::store;

/// A gateway that reaches WhatsApp through another system.
pub(crate) trait RemoteGateway: Send + Sync {
    /// Lists all sessions of this gateway. The list is complete, or the call fails.
    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<GatewaySession>, GatewayUnavailable>>;

    /// Closes an unwanted session, and returns at once. Does nothing at a gateway whose sessions outlive a
    /// recycled account.
    fn close_session(&self, account: AccountNumber, session: Option<u32>);

    /// The bulkhead of its calls.
    fn bulkhead(&self) -> &Bulkhead;

    /// Changes whenever the gateway may have lost its sessions; a reconciliation follows.
    fn restarts(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// Further figures for operators.
    fn stats(&self) -> RemoteStats {
        RemoteStats::default()
    }

    /// Its last reports that changed nothing, the newest first.
    fn ignored_reports(&self) -> Result<Vec<IgnoredReportView>, store::Error> {
        Ok(Vec::new())
    }
}

/// Figures that only some gateways have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RemoteStats {
    /// Commands that wait to be sent or fetched.
    pub(crate) work_queued: Option<u64>,
    /// The time from the creation of the last ingested report to its ingestion.
    pub(crate) report_lag: Option<Duration>,
}

/// A session as a gateway sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GatewaySession {
    /// The account.
    pub(crate) account: AccountNumber,
    /// The session number, if the gateway knows it.
    pub(crate) session: Option<u32>,
    /// Its state.
    pub(crate) state: GatewaySessionState,
    /// The gateway's scan or pairing id; empty if there is none.
    pub(crate) instance_code: String,
}

/// The state of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum GatewaySessionState {
    /// Being opened.
    Connecting,
    /// Open.
    Connected,
    /// WhatsApp banned the account.
    Banned {
        /// The reason for the ban.
        reason: Reason,
    },
}

/// Why the sessions of a gateway cannot be listed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct GatewayUnavailable {
    /// The reason as a sentence, without secrets.
    pub(crate) reason: String,
}
