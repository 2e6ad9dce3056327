//! Erasure of an account's secrets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::problem::{INTERNAL_ERROR_DETAIL, Problem};
use super::query_parameters::{QueryParameters, parse_account, parse_reason};
use super::request_context::RequestContext;
use super::response_body::json_response;
use super::webhooks::parse_body;
use super::{ApiState, ServiceHandles};
use crate::actors::ErasureError;
use crate::domain::{CommandRejection, Reason};

/// Why an account's secrets are erased.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Erasure, example = json!({"reason": "the customer asked for it"}))]
pub(in crate::http) struct EraseSecretsRequest {
    /// 1 to 256 bytes of text on one line, which stands in the history for ever.
    #[schema(min_length = 1, max_length = 256)]
    reason: String,
}

/// That an account's secrets are erased.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Erased)]
pub(in crate::http) struct EraseSecretsResponse {
    /// The account number.
    whats_app: String,
    /// Always true.
    erased: bool,
}

/// `DELETE /accounts/{n}/secrets`. It completes even if the caller disconnects.
pub(super) async fn erase_secrets(
    state: &ApiState,
    number: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    let account = parse_account("account", number)?;
    let EraseSecretsRequest { reason } = parse_body(body, r#"{"reason":"the customer asked for it"}"#)?;
    let reason = Reason::new(parse_reason(&reason)?);
    let ServiceHandles { accounts, vault, .. } = state.service()?.clone();
    let origin = context.authorize()?.origin();
    let erasing = tokio::spawn(async move { accounts.erase_secrets(&vault, account, reason, origin).await });
    match erasing.await.map_err(|error| Problem::task_failed(&error))?? {
        Ok(_) => Ok(json_response(&EraseSecretsResponse { whats_app: account.to_string(), erased: true })),
        Err(rejection @ CommandRejection::Unknown) => {
            Err(Problem::new(StatusCode::NOT_FOUND, format!("{account} {rejection}")))
        }
        Err(rejection) => Err(Problem::new(StatusCode::CONFLICT, format!("{account} {rejection}"))),
    }
}

impl From<ErasureError> for Problem {
    fn from(error: ErasureError) -> Problem {
        if let ErasureError::Accounts(
            busy @ (crate::actors::Error::Overloaded { .. } | crate::actors::Error::Stopping),
        ) = &error
        {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, busy.to_string());
        }
        tracing::error!(%error, "secrets were not erased");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR_DETAIL)
    }
}
