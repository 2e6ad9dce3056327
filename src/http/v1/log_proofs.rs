//! Checkpoints and proofs.

use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::ApiState;
use super::problem::Problem;
use super::query_parameters::{QueryParameters, parse_account};
use super::response_body::{JSON, bytes_response, json_response};
use crate::http::contract_requests::Query;

const TEXT_PLAIN: &str = "text/plain; charset=utf-8";

/// `GET /log/checkpoint`
pub(super) fn show_checkpoint(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    Ok(bytes_response(TEXT_PLAIN, state.audit().sign_checkpoint()?.into_bytes()))
}

/// `GET /log/public-key`
pub(super) fn show_public_key(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    Ok(bytes_response(TEXT_PLAIN, format!("{}\n", state.audit().signer()?).into_bytes()))
}

/// `GET /log/proof/inclusion`
pub(super) fn prove_inclusion(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["seq", "size"])?;
    Ok(json_response(&state.audit().inclusion_proof(parameters.required_number("seq")?, parameters.number("size")?)?))
}

/// `GET /log/proof/consistency`
pub(super) fn prove_consistency(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["from", "to"])?;
    Ok(json_response(&state.audit().consistency_proof(parameters.required_number("from")?, parameters.number("to")?)?))
}

/// `GET /log/proof/account/{n}`
pub(super) fn prove_account(state: &ApiState, number: &str, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    let account = parse_account("account", number)?;
    let mut response = bytes_response(JSON, state.audit().account_bundle(account)?);
    let name = format!("attachment; filename=\"muster-{account}.bundle.json\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
