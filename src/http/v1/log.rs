//! Checkpoints and proofs.

use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::Desk;
use super::parameters::{Parameters, account};
use super::problem::Problem;
use super::streams::{JSON, json, whole};
use crate::http::requests::Query;

const TEXT: &str = "text/plain; charset=utf-8";

/// `GET /log/checkpoint`
pub(super) fn checkpoint(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    Ok(whole(TEXT, desk.audit().checkpoint()?.into_bytes()))
}

/// `GET /log/public-key`
pub(super) fn public_key(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    Ok(whole(TEXT, format!("{}\n", desk.audit().signer()?).into_bytes()))
}

/// `GET /log/proof/inclusion`
pub(super) fn inclusion(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["seq", "size"])?;
    Ok(json(&desk.audit().inclusion(parameters.required("seq")?, parameters.number("size")?)?))
}

/// `GET /log/proof/consistency`
pub(super) fn consistency(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["from", "to"])?;
    Ok(json(&desk.audit().consistency(parameters.required("from")?, parameters.number("to")?)?))
}

/// `GET /log/proof/account/{n}`
pub(super) fn bundle(desk: &Desk, number: &str, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let account = account("account", number)?;
    let mut response = whole(JSON, desk.audit().bundle(account)?);
    let name = format!("attachment; filename=\"muster-{account}.bundle.json\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
