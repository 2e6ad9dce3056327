//! API keys: list, create, revoke.

use warp::reply::Response;

use super::json_body::parse_body;
use super::request_context::RequestContext;
use super::response_body::json_response;
use crate::api::{ApiState, Problem, api_keys};

const BODY_EXAMPLE: &str = r#"{"name":"dispatch","role":"caller","accounts":["8618"],"expires":"2027-01-01"}; the last two may be left out; or add "tenant":"500975", and "secret":"…" if it has one"#;

/// `GET /keys`
pub(super) async fn list_keys(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(json_response(&api_keys::list_keys(api, &context.call).await?))
}

/// `POST /keys`
pub(super) async fn create_key(api: &ApiState, context: &RequestContext, body: &[u8]) -> Result<Response, Problem> {
    context.parameters(&[])?;
    let request = parse_body(body, BODY_EXAMPLE)?;
    Ok(json_response(&api_keys::create_key(api, &context.call, request).await?))
}

/// `DELETE /keys/{key}`
pub(super) async fn revoke_key(api: &ApiState, key: &str, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    let id = key.parse().map_err(|_| Problem::invalid_parameter("key", "must be the number of a key"))?;
    Ok(json_response(&api_keys::revoke_key(api, &context.call, id).await?))
}
