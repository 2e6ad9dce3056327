//! Projections, verification, replay, export and backup.

use warp::http::StatusCode;
use warp::reply::Response;

use super::request_context::RequestContext;
use super::response_body::{NDJSON, json_response, json_response_with, stream_response};
use crate::api::{ApiState, Problem, maintenance};
use crate::audit::ExportFormat;

/// `GET /projections`
pub(super) async fn show_projections(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(json_response(&maintenance::show_projections(api, &context.call).await?))
}

/// `POST /projections/{name}/rebuild`
pub(super) async fn rebuild_projection(
    api: &ApiState,
    name: &str,
    context: &RequestContext,
) -> Result<Response, Problem> {
    context.parameters(&[])?;
    let begun = maintenance::rebuild_projection(api, &context.call, name).await?;
    Ok(json_response_with(StatusCode::ACCEPTED, &begun))
}

/// `POST /verify`
pub(super) async fn verify_journal(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(json_response(&maintenance::verify_journal(api, &context.call).await?))
}

/// `POST /replay`
pub(super) async fn replay_journal(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["until", "account"])?;
    let (account, until) = (parameters.account()?, parameters.replay_end()?);
    Ok(json_response(&maintenance::replay_journal(api, &context.call, until, account).await?))
}

/// `GET /export`
pub(super) async fn export_events(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["format", "type", "account", "since", "until"])?;
    let (format, filter) = (parameters.export_format()?, parameters.event_filter()?);
    let content_type = match format {
        ExportFormat::CloudEvents => NDJSON,
        ExportFormat::Csv => "text/csv; charset=utf-8",
    };
    Ok(stream_response(content_type, maintenance::export_events(api, &context.call, format, filter).await?))
}

/// `POST /backup`
pub(super) async fn create_backup(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(stream_response("application/octet-stream", maintenance::create_backup(api, &context.call).await?))
}
