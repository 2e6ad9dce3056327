//! Operator orders to accounts, with a reason, and their results.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::components::{account_link, action_button, format_count, permission_note, value_text};
use super::layout::PageContent;
use super::page_request::{ConsolePageRequest, PageError};
use crate::domain::Permission;
use crate::limits::OPERATOR_REASON_BYTES;

/// `POST /accounts/online`, and `/recycle`
#[derive(Deserialize)]
struct AccountOrderJson {
    accepted: u64,
    refused: u64,
    results: Vec<AccountOrderItemJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountOrderItemJson {
    whats_app: String,
    refused: Option<String>,
}

/// The form fields of an order. `accounts` names the accounts that it affects.
pub(super) fn order_fields(request: &ConsolePageRequest, accounts: &str) -> Markup {
    let why = request.permission_error(Permission::Operate);
    html! {
        fieldset.order {
            legend { "With " (accounts) }
            label for="reason" { "Reason" }
            input #reason name="reason" maxlength=(OPERATOR_REASON_BYTES) required disabled[why.is_some()] autocomplete="off"
                placeholder="it stands in the history";
            (action_button(request, Permission::Operate, "Bring online", Some(("order", "online"))))
            (action_button(request, Permission::Operate, "Recycle", Some(("order", "recycle"))))
            (permission_note(request, Permission::Operate))
        }
    }
}

/// Sends the order to the API and renders the result.
pub(super) async fn submit_order(request: &ConsolePageRequest) -> Result<Markup, PageError> {
    let accounts = request.form_values("account");
    let order = match request.form_value("order") {
        Some(order @ ("online" | "recycle")) => order,
        Some(_) | None => return Err(PageError::bad_request("Say what is to be done: online or recycle.")),
    };
    if accounts.is_empty() {
        return Err(PageError::bad_request("No account is selected; go back and select some."));
    }
    let body = json!({"accounts": accounts, "reason": request.form_value("reason").unwrap_or_default()});
    let ordered = request.send_json("POST", &format!("accounts/{order}"), &body).await?;
    let ordered: AccountOrderJson = serde_json::from_value(ordered).map_err(|error| PageError::internal(&error))?;
    let what = if order == "online" { "to be online" } else { "to be recycled" };
    Ok(html! {
        h1 { (format_count(ordered.accepted)) " of " (format_count(ordered.accepted + ordered.refused)) " accounts are " (what) }
        p { a href="/accounts" { "All accounts" } }
        table {
            thead { tr { th scope="col" { "account" } th scope="col" { "outcome" } } }
            tbody {
                @for outcome in &ordered.results {
                    tr {
                        td { (account_link(&outcome.whats_app)) }
                        @match &outcome.refused {
                            None => td { "accepted" },
                            Some(why) => td.bad { "refused: " (why) },
                        }
                    }
                }
            }
        }
    })
}

/// The result page of an action: the API's response, field by field.
pub(super) fn result_page(title: &str, at: &'static str, answer: &Value, back: &str) -> PageContent {
    let content = html! {
        h1 { (title) }
        dl.facts {
            @for (name, value) in answer.as_object().into_iter().flatten() {
                div { dt { (name) } dd { (value_text(value)) } }
            }
        }
        p { a href=(back) { "Back" } }
    };
    PageContent { title: title.to_owned(), nav_path: at, content }
}
