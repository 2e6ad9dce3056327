//! Erasure of an account's secrets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Call, Problem, ServiceHandles, parse_reason, run_to_completion};
use crate::domain::{AccountNumber, CommandRejection, Reason};

/// The reason of an erasure.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Erasure, example = json!({"reason": "the customer asked for it"}))]
pub struct EraseSecretsRequest {
    /// 1 to 256 bytes of text on one line. It cannot be changed later.
    #[schema(min_length = 1, max_length = 256)]
    pub reason: String,
}

/// The result of an erasure.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Erased)]
pub struct EraseSecretsResponse {
    /// The account number.
    pub whats_app: String,
    /// Always true.
    pub erased: bool,
}

/// Erases the secrets of an account. The erasure completes even if the client disconnects.
pub async fn erase_secrets(
    call: &Call,
    account: AccountNumber,
    request: EraseSecretsRequest,
) -> Result<EraseSecretsResponse, Problem> {
    let reason = Reason::new(parse_reason(&request.reason)?);
    let ServiceHandles { accounts, vault, .. } = call.api().service()?.clone();
    let origin = call.authorize()?.origin();
    let erasure = run_to_completion(async move { Ok(accounts.erase_secrets(&vault, account, reason, origin).await?) });
    match erasure.await? {
        Ok(_) => Ok(EraseSecretsResponse { whats_app: account.to_string(), erased: true }),
        Err(rejection @ CommandRejection::Unknown) => Err(Problem::not_found(format!("{account} {rejection}"))),
        Err(rejection) => Err(Problem::conflict(format!("{account} {rejection}"))),
    }
}
