//! An operator's orders to bring accounts online or to recycle them. Each is recorded in the audit log before it runs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::problem::{INTERNAL_ERROR_DETAIL, Problem};
use super::query_parameters::{QueryParameters, parse_reason};
use super::request_context::RequestContext;
use super::response_body::json_response;
use super::webhooks::parse_body;
use super::{ApiState, ServiceHandles};
use crate::clock;
use crate::domain::{AccountNumber, AccountOrder, AdministrativeEvent, AuditLogEntry, Command, CommandRejection};
use crate::http::contract_handlers::item_outcomes;
use crate::http::error::{Error, ItemError};
use crate::journal::RequesterIdentity;
use crate::limits::BATCH_ACCOUNTS;

/// Which accounts, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountsOrder, example = json!({"accounts": ["861821726232"], "reason": "maintenance"}))]
pub(in crate::http) struct AccountOrderRequest {
    /// Account numbers, each once.
    #[schema(min_items = 1, max_items = 10_000)]
    accounts: Vec<String>,
    /// Why, on one line.
    #[schema(min_length = 1)]
    reason: String,
}

const BODY_EXAMPLE: &str = r#"{"accounts":["861821726232"],"reason":"maintenance"}"#;

/// What became of an order.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountsOrdered)]
pub(in crate::http) struct AccountOrderResponse {
    /// `online` or `recycle`.
    order: &'static str,
    /// How many accounts will be so.
    accepted: usize,
    /// How many are refused.
    refused: usize,
    /// One for each account, in the order in which they were named.
    results: Vec<AccountOrderItem>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderedAccount)]
struct AccountOrderItem {
    /// The account number.
    whats_app: String,
    /// Why it was not done; null if it was.
    #[schema(required)]
    refused: Option<String>,
}

/// `POST /accounts/online` and `POST /accounts/recycle`
pub(super) async fn handle(
    state: &ApiState,
    order: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    let order = AccountOrder::ALL.into_iter().find(|known| known.name() == order).ok_or_else(Problem::no_such_path)?;
    let AccountOrderRequest { accounts, reason } = parse_body(body, BODY_EXAMPLE)?;
    let accounts = parse_accounts(&accounts)?;
    let reason = parse_reason(&reason)?.to_owned();

    let running = state.service()?;
    let authorized = context.authorize()?;
    accounts.iter().try_for_each(|account| authorized.context().require_account(*account))?;
    let commands = accounts.iter().map(|account| (*account, running.order_command(order))).collect();
    // Without capacity the order is rejected, so nothing is recorded.
    let reserved = running.accounts.reserve(commands).map_err(Error::from)?;
    let RequesterIdentity { origin, from } = authorized.into_requester_identity();
    let event = AdministrativeEvent::AccountsOrdered { order, accounts: accounts.len() as u64, reason };
    state
        .audit()
        .journal()
        .append_administrative_event(AuditLogEntry { event, source: from }, origin, clock::now())
        .await
        .map_err(|error| {
            tracing::error!(%error, "an order to accounts was not recorded, and so not carried out");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR_DETAIL)
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
    Ok(json_response(&AccountOrderResponse {
        order: order.name(),
        accepted: results.len() - refused,
        refused,
        results,
    }))
}

/// Parses the account numbers: at most as many as in one batch of the contract, without duplicates.
fn parse_accounts(named: &[String]) -> Result<Vec<AccountNumber>, Problem> {
    if !(1..=BATCH_ACCOUNTS).contains(&named.len()) {
        let words = format!("must list 1 to {BATCH_ACCOUNTS} account numbers, not {}", named.len());
        return Err(Problem::invalid_parameter("accounts", words));
    }
    let mut seen = HashMap::with_capacity(named.len());
    let check = |(index, text): (usize, &String)| {
        let account: AccountNumber =
            text.parse().map_err(|malformed| Problem::invalid_parameter(&format!("accounts[{index}]"), malformed))?;
        match seen.insert(account, index) {
            None => Ok(account),
            Some(first) => {
                let words = format!("is {account} again, as in accounts[{first}]; list each account once");
                Err(Problem::invalid_parameter(&format!("accounts[{index}]"), words))
            }
        }
    };
    named.iter().enumerate().map(check).collect()
}

/// Why an account was rejected. An order carries no content, so an account without it must be imported first.
fn item_error_message(error: &ItemError) -> String {
    match error {
        ItemError::Rejected(CommandRejection::NoContent) => "has no content yet; import it first".to_owned(),
        ItemError::Rejected(_) | ItemError::Failed(_) | ItemError::Auth(_) => error.reason().into_owned(),
    }
}

impl ServiceHandles {
    fn order_command(&self, order: AccountOrder) -> Command {
        match order {
            AccountOrder::Online => Command::BringOnline { content: None, replace: false },
            AccountOrder::Recycle => Command::Recycle { comes_back: self.rules.auto_reconnect },
        }
    }
}
