//! The ways to WhatsApp, behind the port that the actors define ([`actors::Gateway`](crate::actors::Gateway)).
//!
//! | file | what it is |
//! |---|---|
//! | `gateways` | all of them as one: each account's own is asked |
//! | `way` | what each of them can do |
//! | `bridge` | a gateway of an operator's own, over the bridge's protocol |
//! | `bulkhead` | what keeps the calls to one apart from everything else |
//! | `cloud_api` | Meta's WhatsApp Business Cloud API |
//! | `reconcile` | its sessions, brought together with what is shown |
//! | `view` | how each of them is, as operators see it |
//! | `simulator` | the default: everything can be tried with no WhatsApp account |
//!
//! A gateway is asked what the accounts wait for, and reports what it sees. It never touches the journal.

pub mod bridge;
mod bulkhead;
pub mod cloud_api;
mod gateways;
mod reconcile;
mod simulator;
mod view;
mod way;

#[cfg(test)]
mod tests;

pub use bridge::Bridge;
pub use cloud_api::CloudApi;
pub use gateways::Gateways;
pub use simulator::Simulator;
pub use view::GatewayView;
pub(crate) use way::Way;
