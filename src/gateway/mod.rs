//! The ways to WhatsApp, behind the port that the actors define ([`actors::Gateway`](crate::actors::Gateway)).
//!
//! | file | what it is |
//! |---|---|
//! | `gateway_registry` | all of them as one: each account's own is asked |
//! | `provider` | what each of them can do |
//! | `bridge` | a gateway of an operator's own, over the bridge's protocol |
//! | `bulkhead` | what keeps the calls to one apart from everything else |
//! | `cloud_api` | Meta's WhatsApp Business Cloud API |
//! | `reconcile` | its sessions, brought together with what is shown |
//! | `status_view` | how each of them is, as operators see it |
//! | `simulator` | the default: everything can be tried with no WhatsApp account |
//!
//! A gateway is asked what the accounts wait for, and reports what it sees. It never touches the journal.

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
