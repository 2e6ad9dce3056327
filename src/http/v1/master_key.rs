//! The master key: status and rotation.

use warp::reply::Response;

use super::json_body::parse_body;
use super::request_context::RequestContext;
use super::response_body::{NDJSON, json_response, stream_response};
use crate::api::{ApiState, Problem, master_key};

/// `GET /vault`
pub(super) async fn show_master_key(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(json_response(&master_key::show_master_key(api, &context.call).await?))
}

/// `POST /vault/rotate`
pub(super) async fn rotate_master_key(
    api: &ApiState,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    context.parameters(&[])?;
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let request = parse_body(body, r#"nothing, {"newKeyFile":"/run/secrets/new.key"}, or {"abort":true}"#)?;
    Ok(stream_response(NDJSON, master_key::rotate_master_key(api, &context.call, request).await?))
}
