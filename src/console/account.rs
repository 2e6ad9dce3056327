//! `/accounts/{n}`: one account, with its orders, states, history, webhooks and proof.

use maud::html;

use super::account_state::{current_state, diff_section, past_state_section, show_account};
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, parse_segment};
use super::{account_labels, account_orders, deliveries, history};
use crate::audit::AsOf;
use crate::domain::AccountNumber;

pub(super) async fn page(request: &ConsoleRequest, number: &str) -> PageResult {
    let account: AccountNumber = parse_segment(number)?;
    let now = show_account(request, account, AsOf::Now).await?;
    let now = now.view();
    let page_url = format!("/accounts/{account}");
    let title = format!("Account {account}");
    let content = html! { h1 { "Account " span.number { (now.whats_app) } } (current_state(&now)) };
    if request.query_value("part") == Some("now") {
        return Ok(PageResponse::page(title, "/accounts", content));
    }
    let content = html! {
        (content)
        form.order method="post" action="/accounts" {
            input type="hidden" name="account" value=(now.whats_app);
            (account_orders::order_fields(request, "this account"))
        }
        (account_labels::labels_form(request, &now))
        (past_state_section(request, account, &now).await)
        (diff_section(request, account, &now).await)
        (history::history_section(request, account, now.version).await?)
        (deliveries::account_deliveries_section(request, account).await)
        section aria-labelledby="proof" {
            h2 #proof { "Proof" }
            p {
                "The log's signature proves that this history is complete and unchanged. Verify it here, or anywhere with the bundle "
                "and " code { "muster verify --bundle" } "."
            }
            p {
                a.button href=(format!("{page_url}/verify")) hx-get=(format!("{page_url}/verify")) hx-select="#steps" hx-target="#steps"
                    hx-swap="outerHTML" { "Verify" }
                " "
                a.button href=(format!("{page_url}/bundle")) { "Download the bundle" }
            }
            div #steps aria-live="polite" {}
        }
    };
    Ok(PageResponse::page(title, "/accounts", content))
}
