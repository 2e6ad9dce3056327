//! What actors need of a gateway.

use std::time::Duration;

use crate::domain::{Account, AccountNumber, GatewayKind, PendingEffect};

/// The way to WhatsApp, as actors see it.
pub trait GatewayPort: Send + Sync + 'static {
    /// Takes up what an account in this state waits for, and returns at once; what comes of it is reported through
    /// [`Reports`](super::Reports).
    ///
    /// The same may be asked again, after a crash or a restart: sessions, tasks and attempts are numbered, so that a
    /// gateway can tell. After `left` the account waits for it no more, wherever the wall clock is then.
    fn dispatch(&self, account: AccountNumber, state: &Account, owed: &PendingEffect, left: Duration);

    /// Whether the settings of this start set the gateway up. One that is not set up does nothing and reports nothing.
    fn is_set_up(&self, _: GatewayKind) -> bool {
        true
    }
}
