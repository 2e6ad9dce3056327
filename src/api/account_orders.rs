//! An operator's orders to bring accounts online or to recycle them. Each is recorded in the audit log before it runs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Call, ItemError, Problem, ServiceHandles, item_outcomes, parse_reason};
use crate::domain::{AccountNumber, AccountOrder, AdministrativeEvent, Command, CommandRejection, Reason};
use crate::limits::BATCH_ACCOUNTS;

/// The accounts and the reason.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountsOrder, example = json!({"accounts": ["861821726232"], "reason": "maintenance"}))]
pub struct AccountOrderRequest {
    /// Account numbers, each once.
    #[schema(min_items = 1, max_items = 10_000)]
    pub accounts: Vec<String>,
    /// The reason, on one line.
    #[schema(min_length = 1)]
    pub reason: String,
}

/// The result of a request for accounts.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountsOrdered)]
pub struct AccountOrderResponse {
    /// `online` or `recycle`.
    pub order: &'static str,
    /// The number of accepted accounts.
    pub accepted: usize,
    /// The number of rejected accounts.
    pub refused: usize,
    /// One result for each account, in the order of the request.
    pub(crate) results: Vec<AccountOrderItem>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderedAccount)]
pub(crate) struct AccountOrderItem {
    /// The account number.
    pub(crate) whats_app: String,
    /// The reason of the rejection; null if the account was accepted.
    #[schema(required)]
    pub(crate) refused: Option<String>,
}

/// Brings accounts online, or recycles them.
pub async fn order_accounts(
    call: &Call,
    order: AccountOrder,
    request: AccountOrderRequest,
) -> Result<AccountOrderResponse, Problem> {
    let accounts = parse_accounts(&request.accounts)?;
    let reason = parse_reason(&request.reason)?.to_owned();
    let service = call.api().service()?;
    let authorization = call.authorize()?;
    accounts.iter().try_for_each(|account| authorization.context().require_account(*account))?;
    let commands = accounts.iter().map(|account| (*account, service.order_command(order, &reason))).collect();
    // Reserve first: without capacity the order is rejected, and must not be recorded.
    let reserved = service.accounts.reserve(commands)?;
    let requester = authorization.into_requester_identity();
    let origin = requester.origin;
    let event = AdministrativeEvent::AccountsOrdered { order, accounts: accounts.len() as u64, reason };
    call.api().record(event, requester).await.map_err(|error| {
        tracing::error!(%error, "a request for accounts was not recorded, and not carried out");
        Problem::internal()
    })?;
    let outcomes = item_outcomes(reserved.execute(origin).await, origin);

    let results: Vec<AccountOrderItem> = accounts
        .iter()
        .zip(outcomes)
        .map(|(account, outcome)| AccountOrderItem {
            whats_app: account.to_string(),
            refused: outcome.as_ref().err().map(item_error_message),
        })
        .collect();
    let refused = results.iter().filter(|result| result.refused.is_some()).count();
    Ok(AccountOrderResponse { order: order.name(), accepted: results.len() - refused, refused, results })
}

/// Parses the account numbers. Each must be unique, and there must be 1 to [`BATCH_ACCOUNTS`].
pub(super) fn parse_accounts(texts: &[String]) -> Result<Vec<AccountNumber>, Problem> {
    if !(1..=BATCH_ACCOUNTS).contains(&texts.len()) {
        let words = format!("must list 1 to {BATCH_ACCOUNTS} account numbers, not {}", texts.len());
        return Err(Problem::invalid_parameter("accounts", words));
    }
    let mut seen = HashMap::with_capacity(texts.len());
    let parse = |(index, text): (usize, &String)| {
        let account: AccountNumber =
            text.parse().map_err(|malformed| Problem::invalid_parameter(&format!("accounts[{index}]"), malformed))?;
        match seen.insert(account, index) {
            None => Ok(account),
            Some(first) => {
                let words = format!("repeats {account}, as in accounts[{first}]; list each account once");
                Err(Problem::invalid_parameter(&format!("accounts[{index}]"), words))
            }
        }
    };
    texts.iter().enumerate().map(parse).collect()
}

/// Why an account was rejected. An order carries no content, so an account without stored content must be imported
/// first.
fn item_error_message(error: &ItemError) -> String {
    match error {
        ItemError::Rejected(CommandRejection::NoContent) => "has no content yet; import it first".to_owned(),
        ItemError::Rejected(_) | ItemError::Failed(_) | ItemError::Auth(_) => error.reason().into_owned(),
    }
}

impl ServiceHandles {
    fn order_command(&self, order: AccountOrder, reason: &str) -> Command {
        let reason = Reason::new(reason);
        match order {
            AccountOrder::Online => Command::BringOnline { content: None, replace: false, reason, labels: None },
            AccountOrder::Recycle => Command::Recycle { comes_back: self.rules.auto_reconnect, reason },
        }
    }
}
