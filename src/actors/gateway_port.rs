//! The interface that actors need from a gateway.

use std::time::Duration;

use crate::domain::{Account, AccountNumber, GatewayKind, GatewayOffer, GatewayOffers, PendingEffect};

/// The gateway, as actors see it.
pub trait GatewayPort: Send + Sync + 'static {
    /// Dispatches one pending effect of an account in this state, and returns at once. The gateway reports the results
    /// through [`ReportSender`](super::ReportSender).
    ///
    /// The same effect may come again after a crash or a restart. Sessions, tasks and attempts have numbers, so that
    /// the gateway can recognise a repeated effect. The account stops waiting after `left`, in elapsed time.
    fn dispatch(&self, account: AccountNumber, state: &Account, effect: &PendingEffect, left: Duration);

    /// The features that each gateway offers to accounts.
    fn offers(&self) -> GatewayOffers {
        GatewayOffers::new(|_| &GatewayOffer::EVERYTHING)
    }

    /// Whether the current settings set up this gateway. A gateway that is not set up does nothing and reports nothing.
    fn is_set_up(&self, _: GatewayKind) -> bool {
        true
    }
}
