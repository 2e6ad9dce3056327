//! Replaces the labels of an account.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Call, Problem, ServiceHandles, parse_reason, run_to_completion};
use crate::audit::LabelsView;
use crate::domain::{AccountNumber, Command, CommandRejection, Labels, Reason, trim_line};

/// The new labels of an account.
pub struct ChangeLabelsRequest {
    /// All labels after the change.
    pub labels: Labels,
    /// The reason, on one line; empty without a reason.
    pub reason: String,
}

/// The labels of an account after a change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountLabels)]
pub struct AccountLabelsResponse {
    /// The account number.
    whats_app: String,
    labels: LabelsView,
}

/// Replaces all labels of an account. Equal labels succeed, and nothing is recorded. The change completes even if the
/// client disconnects.
pub async fn change_labels(
    call: &Call,
    account: AccountNumber,
    request: ChangeLabelsRequest,
) -> Result<AccountLabelsResponse, Problem> {
    let ChangeLabelsRequest { labels, reason } = request;
    let reason = if trim_line(&reason).is_empty() { Reason::none() } else { Reason::new(parse_reason(&reason)?) };
    let ServiceHandles { accounts, .. } = call.api().service()?.clone();
    let command = Command::ChangeLabels { labels: labels.clone(), reason };
    let origin = call.authorize()?.origin();
    let change = run_to_completion(async move { Ok(accounts.execute(account, command, origin).await?) });
    match change.await? {
        Ok(_) => Ok(AccountLabelsResponse { whats_app: account.to_string(), labels: LabelsView(labels) }),
        Err(rejection @ CommandRejection::Unknown) => Err(Problem::not_found(format!("{account} {rejection}"))),
        Err(rejection) => Err(Problem::conflict(format!("{account} {rejection}"))),
    }
}
