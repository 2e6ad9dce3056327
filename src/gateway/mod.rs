//! The gateways to WhatsApp, behind the port that the actors define ([`actors::GatewayPort`](crate::actors::GatewayPort)).
//!
//! | file | what it is |
//! |---|---|
//! | `gateway_registry` | all gateways as one port; it routes each account to its gateway |
//! | `provider` | the trait that every gateway but the simulator implements |
//! | `bridge` | an operator's own gateway, over the bridge protocol |
//! | `bulkhead` | limits and circuit breaker for the calls to one gateway |
//! | `cloud_api` | Meta's WhatsApp Business Cloud API |
//! | `reconcile` | compares a gateway's sessions with the roster and repairs differences |
//! | `status_view` | the status of each gateway, for operators |
//! | `simulator` | the default gateway; it needs no WhatsApp account |
//!
//! A gateway carries out the accounts' pending effects and reports what it sees. It never touches the journal.

pub mod bridge;
mod bulkhead;
pub mod cloud_api;
mod gateway_registry;
mod provider;
mod reconcile;
mod simulator;
mod status_view;

#[cfg(test)]
mod tests;

pub use bridge::Bridge;
pub use cloud_api::CloudApi;
pub use gateway_registry::GatewayRegistry;
pub(crate) use provider::GatewayProvider;
pub use simulator::Simulator;
pub use status_view::GatewayView;
pub(crate) use status_view::{
    AccountsServed, CallsView, DifferenceCounts, IgnoredReportView, LastReconciliationView, ReconciliationFailureView,
    ReconciliationView,
};
