//! The state of the service in one response, and its settings.

use warp::reply::Response;

use super::request_context::RequestContext;
use super::response_body::json_response;
use crate::api::{ApiState, Problem, overview};

/// `GET /overview`
pub(super) async fn show_overview(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(json_response(&overview::show_overview(api, &context.call).await?))
}

/// `GET /settings`
pub(super) async fn list_settings(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(json_response(&overview::list_settings(api, &context.call).await?))
}
