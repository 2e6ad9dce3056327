//! What operators order of accounts: to come online, to be recycled. Remembered as an act before it is done.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;

use super::context::Context;
use super::parameters::{Parameters, remark};
use super::problem::{INSIDE, Problem};
use super::streams::json;
use super::webhooks::read;
use super::{Desk, Running};
use crate::clock;
use crate::domain::{AccountNumber, Act, Command, Deed, Order, Refusal};
use crate::http::error::{Error, Undone};
use crate::http::handlers::outcomes;
use crate::journal::Asker;
use crate::limits::BATCH_ACCOUNTS;

/// Which accounts, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountsOrder, example = json!({"accounts": ["861821726232"], "reason": "maintenance"}))]
pub(in crate::http) struct Body {
    /// Account numbers, each once.
    #[schema(min_items = 1, max_items = 10_000)]
    accounts: Vec<String>,
    /// Why, on one line.
    #[schema(min_length = 1)]
    reason: String,
}

const SHAPE: &str = r#"{"accounts":["861821726232"],"reason":"maintenance"}"#;

/// What became of an order.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountsOrdered)]
pub(in crate::http) struct Ordered {
    /// `online` or `recycle`.
    order: &'static str,
    /// How many accounts will be so.
    accepted: usize,
    /// How many are refused.
    refused: usize,
    /// One for each account, in the order in which they were named.
    results: Vec<OrderedAccount>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderedAccount {
    /// The account number.
    whats_app: String,
    /// Why it was not done; null if it was.
    #[schema(required)]
    refused: Option<String>,
}

/// `POST /accounts/online` and `POST /accounts/recycle`
pub(super) async fn answer(desk: &Desk, order: &str, context: &Context, body: &[u8]) -> Result<Response, Problem> {
    Parameters::new(&context.query, &[])?;
    let order = Order::ALL.into_iter().find(|known| known.name() == order).ok_or_else(Problem::no_such_path)?;
    let Body { accounts, reason } = read(body, SHAPE)?;
    let accounts = checked(&accounts)?;
    let reason = remark(&reason)?.to_owned();

    let running = desk.running()?;
    let authorized = context.authorize()?;
    accounts.iter().try_for_each(|account| authorized.pass().needs_account(*account))?;
    let commands = accounts.iter().map(|account| (*account, running.command(order))).collect();
    // An order that finds no room is none, so none stands in the history.
    let reserved = running.accounts.reserve(commands).map_err(Error::from)?;
    let Asker { origin, from } = authorized.into_asker();
    let deed = Deed::AccountsOrdered { order, accounts: accounts.len() as u64, reason };
    desk.audit().journal().record_act(Act { deed, from }, origin, clock::now()).await.map_err(|error| {
        tracing::error!(%error, "an order to accounts was not recorded, and so not carried out");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INSIDE)
    })?;
    let outcomes = outcomes(reserved.execute(origin).await, origin);

    let results: Vec<OrderedAccount> = accounts
        .iter()
        .zip(outcomes)
        .map(|(account, outcome)| OrderedAccount {
            whats_app: account.to_string(),
            refused: outcome.as_ref().err().map(words),
        })
        .collect();
    let refused = results.iter().filter(|result| result.refused.is_some()).count();
    Ok(json(&Ordered { order: order.name(), accepted: results.len() - refused, refused, results }))
}

/// The accounts that are named, at most as many as in one request of the contract, none twice.
fn checked(named: &[String]) -> Result<Vec<AccountNumber>, Problem> {
    if !(1..=BATCH_ACCOUNTS).contains(&named.len()) {
        let words = format!("must list 1 to {BATCH_ACCOUNTS} account numbers, not {}", named.len());
        return Err(Problem::parameter("accounts", words));
    }
    let mut seen = HashMap::with_capacity(named.len());
    let check = |(index, text): (usize, &String)| {
        let account: AccountNumber =
            text.parse().map_err(|malformed| Problem::parameter(&format!("accounts[{index}]"), malformed))?;
        match seen.insert(account, index) {
            None => Ok(account),
            Some(first) => {
                let words = format!("is {account} again, as in accounts[{first}]; list each account once");
                Err(Problem::parameter(&format!("accounts[{index}]"), words))
            }
        }
    };
    named.iter().enumerate().map(check).collect()
}

/// Why an account was not done. Content is sent by callers, and not with an order.
fn words(undone: &Undone) -> String {
    match undone {
        Undone::Refused(Refusal::NoContent) => "has no content yet; import it first".to_owned(),
        Undone::Refused(_) | Undone::Failed(_) | Undone::Denied(_) => undone.words().into_owned(),
    }
}

impl Running {
    fn command(&self, order: Order) -> Command {
        match order {
            Order::Online => Command::BringOnline { content: None, replace: false },
            Order::Recycle => Command::Recycle { comes_back: self.rules.auto_reconnect },
        }
    }
}
