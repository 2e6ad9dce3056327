//! Erasure of an account's secrets.

use warp::reply::Response;

use super::json_body::parse_body;
use super::request_context::RequestContext;
use super::response_body::json_response;
use crate::api::{ApiState, Problem, account_secrets, parse_account};

/// `DELETE /accounts/{n}/secrets`
pub(super) async fn erase_secrets(
    api: &ApiState,
    number: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    context.parameters(&[])?;
    let account = parse_account("account", number)?;
    let request = parse_body(body, r#"{"reason":"the customer asked for it"}"#)?;
    Ok(json_response(&account_secrets::erase_secrets(api, &context.call, account, request).await?))
}
