//! What actors need of a gateway.

use std::time::Duration;

use crate::domain::{Account, AccountNumber, GatewayKind, GatewayOffer, GatewayOffers, PendingEffect};

/// The gateway, as actors see it.
pub trait GatewayPort: Send + Sync + 'static {
    /// Dispatches the pending effects of an account in this state, and returns at once. The gateway reports the results
    /// through [`ReportSender`](super::ReportSender).
    ///
    /// The same effect may come again after a crash or a restart. Sessions, tasks and attempts are numbered, so that
    /// the gateway can recognise it. After `left` the account stops waiting, whatever the wall clock says.
    fn dispatch(&self, account: AccountNumber, state: &Account, effect: &PendingEffect, left: Duration);

    /// What each gateway offers to accounts.
    fn offers(&self) -> GatewayOffers {
        GatewayOffers::new(|_| &GatewayOffer::EVERYTHING)
    }

    /// Whether this start's settings set the gateway up. A gateway that is not set up does nothing and reports nothing.
    fn is_set_up(&self, _: GatewayKind) -> bool {
        true
    }
}
