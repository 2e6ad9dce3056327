//! What every way to WhatsApp can do, whichever it is. The simulator needs less: it is always there.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::bridge::Ignored;
use super::bulkhead::Bulkhead;
use crate::domain::{Account, AccountNumber, GatewayKind, Outstanding, Reason};
use crate::store;

/// A way to WhatsApp through somebody else.
pub(crate) trait Way: Send + Sync + 'static {
    /// Which one it is.
    fn kind(&self) -> GatewayKind;

    /// Takes up what an account in this state waits for, and returns at once; what comes of it is settled with the
    /// account. The same may be asked again. After `left` the account waits for it no more.
    fn take_up(&self, account: AccountNumber, state: &Account, owed: &Outstanding, left: Duration);

    /// All sessions that it has, or why they cannot be told; never a part of them.
    fn sessions(&self) -> BoxFuture<'_, Result<Vec<Seen>, Away>>;

    /// Ends a session that nobody wants, and returns at once; does nothing where sessions outlive a recycled account.
    fn close(&self, account: AccountNumber, session: Option<u32>);

    /// What keeps its calls apart from everything else.
    fn bulkhead(&self) -> &Bulkhead;

    /// What else operators are shown of it.
    fn extra(&self) -> Extra {
        Extra::default()
    }

    /// The last reports that came of it and changed nothing, the last one first.
    fn ignored(&self) -> Result<Vec<Ignored>, store::Error> {
        Ok(Vec::new())
    }
}

/// What only some gateways have to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Extra {
    /// Commands that wait to be sent or fetched.
    pub(crate) work_queued: Option<u64>,
    /// From the making of the report that was taken in last to its taking in.
    pub(crate) report_lag: Option<Duration>,
}

/// A session as a gateway sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// Whose.
    pub(crate) account: AccountNumber,
    /// Which, where the gateway knows.
    pub(crate) session: Option<u32>,
    /// How it stands.
    pub(crate) state: SeenState,
    /// The gateway's scan or pairing id; empty where there is none.
    pub(crate) instance_code: String,
}

/// How a session stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SeenState {
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
#[error("{why}")]
pub(crate) struct Away {
    /// In words, without secrets.
    pub(crate) why: String,
}
