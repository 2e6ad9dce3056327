//! The ways to WhatsApp: how they are, and an operator's order to compare their sessions with what is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::Desk;
use super::context::Context;
use super::parameters::{Parameters, remark};
use super::problem::{INSIDE, Problem};
use super::streams::json;
use super::webhooks::read;
use crate::clock;
use crate::domain::{Act, Deed, GatewayKind};
use crate::gateway::GatewayView;
use crate::http::requests::Query;
use crate::journal::Asker;

/// Why sessions are compared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReconciliationOrder, example = json!({"reason": "the gateway was restored from a backup"}))]
pub(in crate::http) struct Body {
    /// Why, on one line.
    #[schema(min_length = 1)]
    reason: String,
}

const SHAPE: &str = r#"{"reason":"the gateway was restored from a backup"}"#;

/// All gateways.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayList)]
pub(in crate::http) struct Gateways {
    gateways: Vec<GatewayView>,
}

/// That it is begun.
#[derive(Serialize, ToSchema)]
#[schema(as = ReconciliationBegun)]
pub(in crate::http) struct Begun {
    /// Which gateway's sessions.
    gateway: &'static str,
}

/// `GET /gateways`
pub(super) fn list(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let running = desk.running()?;
    let gateways = running.gateways.views(desk.audit().roster(), running.default_gateway).map_err(|error| {
        tracing::error!(%error, "the store cannot be read");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INSIDE)
    })?;
    Ok(json(&Gateways { gateways }))
}

/// `POST /gateways/{name}/reconcile`. Remembered as an act before it is done.
pub(super) async fn reconcile(desk: &Desk, name: &str, context: &Context, body: &[u8]) -> Result<Response, Problem> {
    Parameters::new(&context.query, &[])?;
    let named = GatewayKind::ALL.into_iter().find(|kind| kind.name() == name);
    let gateway = named.ok_or_else(|| {
        let names = GatewayKind::ALL.map(GatewayKind::name).join(", ");
        Problem::new(StatusCode::NOT_FOUND, format!("there is no gateway `{name}`; there are {names}"))
    })?;
    let Body { reason } = read(body, SHAPE)?;
    let reason = remark(&reason)?.to_owned();
    let gateways = &desk.running()?.gateways;
    if !gateways.has_sessions(gateway) {
        let words = match gateway {
            GatewayKind::Simulator => "the simulator has no sessions to compare",
            GatewayKind::Bridge | GatewayKind::CloudApi => {
                "this gateway is not set up, so it has no sessions to compare"
            }
        };
        return Err(Problem::new(StatusCode::CONFLICT, words));
    }
    let Asker { origin, from } = context.authorize()?.into_asker();
    let deed = Deed::ReconciliationOrdered { gateway, reason };
    desk.audit().journal().record_act(Act { deed, from }, origin, clock::now()).await.map_err(|error| {
        tracing::error!(%error, "an order to a gateway was not recorded, and so not carried out");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INSIDE)
    })?;
    gateways.look_again(gateway);
    let mut response = json(&Begun { gateway: gateway.name() });
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
