//! Operator orders to accounts, with a reason, and their results.

use maud::{Markup, html};

use super::components::{account_link, format_count};
use super::forms::{action_button, permission_note, reason_field};
use super::layout::{PageResponse, PageResult};
use super::page_request::ConsoleRequest;
use super::table::TableBuilder;
use crate::api::account_orders::{self, AccountOrderRequest};
use crate::api::{Problem, operation};
use crate::domain::{AccountOrder, Permission};

/// The form fields of an order. `accounts` names the accounts that it affects.
pub(super) fn order_fields(request: &ConsoleRequest, accounts: &str) -> Markup {
    html! {
        fieldset.order {
            legend { "Actions for " (accounts) }
            (reason_field(request, "reason", "recorded for good", true))
            (action_button(request, Permission::Operate, "Bring online", Some(("order", "online"))))
            (action_button(request, Permission::Operate, "Recycle", Some(("order", "recycle"))))
            (permission_note(request, Permission::Operate))
        }
    }
}

/// Brings selected accounts online or recycles them.
pub(super) async fn submit_order(request: &ConsoleRequest) -> PageResult {
    let accounts = request.form_values("account");
    let named = AccountOrder::ALL.into_iter().find(|order| request.form_value("order") == Some(order.name()));
    let (order, operation, what) = match named {
        Some(order @ AccountOrder::Online) => (order, operation::ORDER_ONLINE, "will come online"),
        Some(order @ AccountOrder::Recycle) => (order, operation::ORDER_RECYCLE, "will be recycled"),
        None => return Err(Problem::malformed("Choose an action: online or recycle.")),
    };
    if accounts.is_empty() {
        return Err(Problem::malformed("Select at least one account: go back and select it."));
    }
    let accounts = accounts.into_iter().map(str::to_owned).collect();
    let call = request.call(operation)?;
    let wanted = AccountOrderRequest { accounts, reason: request.reason() };
    let ordered = account_orders::order_accounts(&call, order, wanted).await?;
    let table = TableBuilder::new("Outcomes", &ordered.results).text("account", |it| account_link(&it.whats_app)).text(
        "outcome",
        |it| match &it.refused {
            None => html! { "accepted" },
            Some(why) => html! { strong.bad { "refused: " (why) } },
        },
    );
    let content = html! {
        h1 { (format_count(ordered.accepted as u64)) " of " (format_count(ordered.results.len() as u64)) " accounts " (what) }
        p { a href="/accounts" { "All accounts" } }
        (table)
    };
    Ok(PageResponse::page("Result", "/accounts", content))
}
