//! What is done to secrets: an account's are erased.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::context::Context;
use super::parameters::{Parameters, account, remark};
use super::problem::{INSIDE, Problem};
use super::streams::json;
use super::webhooks::read;
use super::{Desk, Running};
use crate::actors::NotErased;
use crate::domain::{Reason, Refusal};

/// Why an account's secrets are erased.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Erasure, example = json!({"reason": "the customer asked for it"}))]
pub(in crate::http) struct Body {
    /// 1 to 256 bytes of text on one line, which stands in the history for ever.
    #[schema(min_length = 1, max_length = 256)]
    reason: String,
}

/// That an account's secrets are erased.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Erased {
    /// The account number.
    whats_app: String,
    /// Always true.
    erased: bool,
}

/// `DELETE /accounts/{n}/secrets`. It goes on to its end though its caller has gone.
pub(super) async fn erase(desk: &Desk, number: &str, context: &Context, body: &[u8]) -> Result<Response, Problem> {
    Parameters::new(&context.query, &[])?;
    let account = account("account", number)?;
    let Body { reason } = read(body, r#"{"reason":"the customer asked for it"}"#)?;
    let reason = Reason::new(remark(&reason)?);
    let Running { accounts, vault, .. } = desk.running()?.clone();
    let origin = context.authorize()?.origin();
    let erasing = tokio::spawn(async move { accounts.erase(&vault, account, reason, origin).await });
    match erasing.await.map_err(|error| Problem::work(&error))?? {
        Ok(_) => Ok(json(&Erased { whats_app: account.to_string(), erased: true })),
        Err(refusal @ Refusal::Unknown) => Err(Problem::new(StatusCode::NOT_FOUND, format!("{account} {refusal}"))),
        Err(refusal) => Err(Problem::new(StatusCode::CONFLICT, format!("{account} {refusal}"))),
    }
}

impl From<NotErased> for Problem {
    fn from(error: NotErased) -> Problem {
        if let NotErased::Accounts(busy @ (crate::actors::Error::Overloaded { .. } | crate::actors::Error::Stopping)) =
            &error
        {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, busy.to_string());
        }
        tracing::error!(%error, "secrets were not erased");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INSIDE)
    }
}
