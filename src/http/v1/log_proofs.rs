//! Checkpoints and proofs.

use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::request_context::RequestContext;
use super::response_body::{JSON, bytes_response, json_response};
use crate::api::{ApiState, Problem, log_proofs, parse_account};

const TEXT_PLAIN: &str = "text/plain; charset=utf-8";

/// `GET /log/checkpoint`
pub(super) async fn show_checkpoint(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(bytes_response(TEXT_PLAIN, log_proofs::show_checkpoint(api, &context.call).await?.into_bytes()))
}

/// `GET /log/public-key`
pub(super) async fn show_public_key(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    Ok(bytes_response(TEXT_PLAIN, log_proofs::show_public_key(api, &context.call).await?.into_bytes()))
}

/// `GET /log/proof/inclusion`
pub(super) async fn prove_inclusion(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["seq", "size"])?;
    let (position, size) = (parameters.required_number("seq")?, parameters.number("size")?);
    Ok(json_response(&log_proofs::prove_inclusion(api, &context.call, position, size).await?))
}

/// `GET /log/proof/consistency`
pub(super) async fn prove_consistency(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["from", "to"])?;
    let (from, to) = (parameters.required_number("from")?, parameters.number("to")?);
    Ok(json_response(&log_proofs::prove_consistency(api, &context.call, from, to).await?))
}

/// `GET /log/proof/account/{n}`
pub(super) async fn prove_account(api: &ApiState, number: &str, context: &RequestContext) -> Result<Response, Problem> {
    context.parameters(&[])?;
    let account = parse_account("account", number)?;
    let mut response = bytes_response(JSON, log_proofs::prove_account(api, &context.call, account).await?);
    let name = format!("attachment; filename=\"muster-{account}.bundle.json\"");
    response.headers_mut().extend(HeaderValue::from_str(&name).ok().map(|name| (header::CONTENT_DISPOSITION, name)));
    Ok(response)
}
