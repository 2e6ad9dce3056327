//! Gateways and their health, and an operator's order to reconcile a gateway's sessions.

use warp::http::StatusCode;
use warp::reply::Response;

use super::json_body::parse_body;
use super::request_context::RequestContext;
use super::response_body::{json_response, json_response_with};
use crate::api::{ApiState, Problem, gateways};

/// `GET /gateways`
pub(super) async fn list_gateways(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(json_response(&gateways::list_gateways(api, &context.call).await?))
}

/// `POST /gateways/{name}/reconcile`
pub(super) async fn reconcile_gateway(
    api: &ApiState,
    name: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    context.parameters(&[])?;
    let gateway = gateways::parse_gateway(name)?;
    let request = parse_body(body, r#"{"reason":"the gateway was restored from a backup"}"#)?;
    let begun = gateways::reconcile_gateway(api, &context.call, gateway, request).await?;
    Ok(json_response_with(StatusCode::ACCEPTED, &begun))
}
