//! What is done to secrets: an account's are erased.

use serde::Deserialize;
use serde_json::json;
use warp::http::StatusCode;
use warp::reply::Response;

use super::Desk;
use super::parameters::{Parameters, account};
use super::problem::{INSIDE, Problem};
use super::streams::json;
use super::webhooks::read;
use crate::actors::{Accounts, NotErased};
use crate::domain::{Reason, Refusal, is_line};
use crate::http::requests::Query;
use crate::journal::Asker;
use crate::limits::REMARK_BYTES;
use crate::vault::Vault;

/// What works on secrets. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    /// The accounts whose they are.
    pub accounts: Accounts,
    /// What seals them.
    pub vault: Vault,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    reason: String,
}

/// `DELETE /accounts/{n}/secrets`. It goes on to its end though its caller has gone.
pub(super) async fn erase(
    desk: &Desk,
    number: &str,
    query: &Query,
    body: &[u8],
    asker: Asker,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let account = account("account", number)?;
    let Body { reason } = read(body, r#"{"reason":"the customer asked for it"}"#)?;
    let reason = reason.trim();
    if !is_line(reason, REMARK_BYTES) {
        let words = format!("must be 1 to {REMARK_BYTES} bytes of text on one line: it stands in the history for ever");
        return Err(Problem::parameter("reason", words));
    }
    let (Secrets { accounts, vault }, reason) = (desk.secrets()?.clone(), Reason::new(reason));
    let erasing = tokio::spawn(async move { accounts.erase(&vault, account, reason, asker.origin).await });
    match erasing.await.map_err(|error| Problem::work(&error))?? {
        Ok(()) => Ok(json(&json!({"whatsApp": account.to_string(), "erased": true}))),
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
