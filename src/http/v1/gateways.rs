//! Gateways and their health, and an operator's order to reconcile a gateway's sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::ApiState;
use super::problem::{INTERNAL_ERROR_DETAIL, Problem};
use super::query_parameters::{QueryParameters, parse_reason};
use super::request_context::RequestContext;
use super::response_body::json_response;
use super::webhooks::parse_body;
use crate::clock;
use crate::domain::{AdministrativeEvent, AuditLogEntry, GatewayKind};
use crate::gateway::GatewayView;
use crate::http::contract_requests::Query;
use crate::journal::RequesterIdentity;

/// Why sessions are compared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReconciliationOrder, example = json!({"reason": "the gateway was restored from a backup"}))]
pub(in crate::http) struct ReconcileRequest {
    /// Why, on one line.
    #[schema(min_length = 1)]
    reason: String,
}

const BODY_EXAMPLE: &str = r#"{"reason":"the gateway was restored from a backup"}"#;

/// All gateways.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayList)]
pub(in crate::http) struct GatewayList {
    gateways: Vec<GatewayView>,
}

/// That it is begun.
#[derive(Serialize, ToSchema)]
#[schema(as = ReconciliationBegun)]
pub(in crate::http) struct ReconcileResponse {
    /// Which gateway's sessions.
    gateway: &'static str,
}

/// `GET /gateways`
pub(super) fn list_gateways(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    let running = state.service()?;
    let gateways = running.gateways.views(state.audit().roster(), running.default_gateway).map_err(|error| {
        tracing::error!(%error, "the store cannot be read");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR_DETAIL)
    })?;
    Ok(json_response(&GatewayList { gateways }))
}

/// `POST /gateways/{name}/reconcile`. It is recorded in the audit log before it starts.
pub(super) async fn reconcile_gateway(
    state: &ApiState,
    name: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    let named = GatewayKind::ALL.into_iter().find(|kind| kind.name() == name);
    let gateway = named.ok_or_else(|| {
        let names = GatewayKind::ALL.map(GatewayKind::name).join(", ");
        Problem::new(StatusCode::NOT_FOUND, format!("there is no gateway `{name}`; there are {names}"))
    })?;
    let ReconcileRequest { reason } = parse_body(body, BODY_EXAMPLE)?;
    let reason = parse_reason(&reason)?.to_owned();
    let gateways = &state.service()?.gateways;
    if !gateways.is_reconcilable(gateway) {
        let words = match gateway {
            GatewayKind::Simulator => "the simulator has no sessions to compare",
            GatewayKind::Bridge | GatewayKind::CloudApi => {
                "this gateway is not set up, so it has no sessions to compare"
            }
        };
        return Err(Problem::new(StatusCode::CONFLICT, words));
    }
    let RequesterIdentity { origin, from } = context.authorize()?.into_requester_identity();
    let event = AdministrativeEvent::ReconciliationOrdered { gateway, reason };
    state
        .audit()
        .journal()
        .append_administrative_event(AuditLogEntry { event, source: from }, origin, clock::now())
        .await
        .map_err(|error| {
            tracing::error!(%error, "an order to a gateway was not recorded, and so not carried out");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR_DETAIL)
        })?;
    gateways.trigger_reconciliation(gateway);
    let mut response = json_response(&ReconcileResponse { gateway: gateway.name() });
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
