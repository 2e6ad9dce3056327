//! The gateways to WhatsApp, behind the port that the actors define ([`actors::GatewayPort`](crate::actors::GatewayPort)).
//!
//! | file | what it is |
//! |---|---|
//! | `provider` | the trait that every gateway implements, its description, and its dependencies |
//! | `remote_gateway` | the trait of gateways that reach WhatsApp through another system |
//! | `ignored_report` | a report of a gateway that changed nothing |
//! | `gateway_registry` | all gateways as one port; it routes each account to its gateway |
//! | `simulator` | the default gateway; it needs no WhatsApp account |
//! | `bridge` | an operator's own gateway, over the bridge protocol |
//! | `cloud_api` | Meta's WhatsApp Business Cloud API |
//! | `bulkhead` | limits and circuit breaker for the calls to one gateway |
//! | `reconcile` | compares a gateway's sessions with the roster and repairs differences |
//! | `status_view` | the status of each gateway, for operators |
//!
//! A gateway carries out the accounts' pending effects and reports what it sees. It never touches the journal. The
//! manual's page `contributing` says how to add one.

pub mod bridge;
mod bulkhead;
pub mod cloud_api;
mod gateway_registry;
mod ignored_report;
mod provider;
mod reconcile;
mod remote_gateway;
mod simulator;
mod status_view;

pub use bridge::Bridge;
pub use cloud_api::CloudApi;
pub use gateway_registry::{GatewayRegistry, NotReconcilable};
pub(crate) use ignored_report::IgnoredReportView;
pub use provider::{GatewayDependencies, GatewaySetupError, LatestSession, StoreSync};
pub use status_view::GatewayView;
pub(crate) use status_view::{
    AccountsServed, CallsView, DifferenceCounts, LastReconciliationView, ReconciliationFailureView, ReconciliationView,
};

use crate::config::Settings;
use crate::domain::GatewayKind;
use provider::GatewayDescription;

/// The description of each gateway.
fn describe(kind: GatewayKind) -> &'static GatewayDescription {
    match kind {
        GatewayKind::Simulator => &simulator::DESCRIPTION,
        GatewayKind::Bridge => &bridge::DESCRIPTION,
        GatewayKind::CloudApi => &cloud_api::DESCRIPTION,
    }
}

/// Opens the gateways that the settings set up. Call it within a runtime: their tasks run there.
pub fn open(settings: &Settings, dependencies: &GatewayDependencies) -> Result<GatewayRegistry, GatewaySetupError> {
    GatewayRegistry::open(describe, settings, dependencies)
}
