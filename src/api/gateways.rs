//! Gateways and their health, and an operator's order to reconcile a gateway's sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Call, Problem, parse_reason};
use crate::domain::{AdministrativeEvent, GatewayKind};
use crate::gateway::GatewayView;

/// The reason of a reconciliation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReconciliationOrder, example = json!({"reason": "the gateway was restored from a backup"}))]
pub struct ReconcileRequest {
    /// The reason, on one line.
    #[schema(min_length = 1)]
    pub reason: String,
}

/// All gateways.
#[derive(Serialize, ToSchema)]
pub struct GatewayList {
    pub(crate) gateways: Vec<GatewayView>,
}

/// The start of a reconciliation.
#[derive(Serialize, ToSchema)]
#[schema(as = ReconciliationBegun)]
pub struct ReconcileResponse {
    /// The gateway.
    pub gateway: &'static str,
}

/// Lists the gateways and their health.
pub async fn list_gateways(call: &Call) -> Result<GatewayList, Problem> {
    call.read(async {
        let service = call.api().service()?;
        let gateways =
            service.gateways.views(call.api().audit().roster(), service.default_gateway).map_err(|error| {
                tracing::error!(%error, "the store cannot be read");
                Problem::internal()
            })?;
        Ok(GatewayList { gateways })
    })
    .await
}

/// Starts the reconciliation of a gateway's sessions. The order is recorded in the audit log before.
pub async fn reconcile_gateway(
    call: &Call,
    gateway: GatewayKind,
    request: ReconcileRequest,
) -> Result<ReconcileResponse, Problem> {
    let reason = parse_reason(&request.reason)?.to_owned();
    let gateways = &call.api().service()?.gateways;
    gateways.check_reconcilable(gateway).map_err(|error| Problem::conflict(error.to_string()))?;
    let requester = call.authorize()?.into_requester_identity();
    let event = AdministrativeEvent::ReconciliationOrdered { gateway, reason };
    call.api().record(event, requester).await.map_err(|error| {
        tracing::error!(%error, "a request for a gateway was not recorded, and not carried out");
        Problem::internal()
    })?;
    gateways.trigger_reconciliation(gateway);
    Ok(ReconcileResponse { gateway: gateway.name() })
}

/// Parses the name of a gateway.
pub fn parse_gateway(name: &str) -> Result<GatewayKind, Problem> {
    GatewayKind::from_name(name).ok_or_else(|| {
        let names = GatewayKind::ALL.map(GatewayKind::name).join(", ");
        Problem::not_found(format!("there is no gateway `{name}`; there are {names}"))
    })
}
