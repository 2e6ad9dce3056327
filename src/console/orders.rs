//! What a page asks to be done with accounts, with its reason, and what came of it.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::frame::Page;
use super::parts::{account, action, count, why_not, words};
use super::visit::{Trouble, Visit};
use crate::domain::Need;
use crate::limits::REMARK_BYTES;

/// `POST /accounts/online`, and `/recycle`
#[derive(Deserialize)]
struct Ordered {
    accepted: u64,
    refused: u64,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    whats_app: String,
    refused: Option<String>,
}

/// What a form has to say with the accounts that it names, which are called so.
pub(super) fn fields(visit: &Visit, accounts: &str) -> Markup {
    let why = visit.forbids(Need::Operate);
    html! {
        fieldset.order {
            legend { "With " (accounts) }
            label for="reason" { "Reason" }
            input #reason name="reason" maxlength=(REMARK_BYTES) required disabled[why.is_some()] autocomplete="off"
                placeholder="it stands in the history";
            (action(visit, Need::Operate, "Bring online", Some(("order", "online"))))
            (action(visit, Need::Operate, "Recycle", Some(("order", "recycle"))))
            (why_not(visit, Need::Operate))
        }
    }
}

/// Does it, and shows what came of it.
pub(super) async fn carry_out(visit: &Visit) -> Result<Markup, Trouble> {
    let accounts = visit.all_sent("account");
    let order = match visit.sent("order") {
        Some(order @ ("online" | "recycle")) => order,
        Some(_) | None => return Err(Trouble::wrong("Say what is to be done: online or recycle.")),
    };
    if accounts.is_empty() {
        return Err(Trouble::wrong("No account is selected; go back and select some."));
    }
    let body = json!({"accounts": accounts, "reason": visit.sent("reason").unwrap_or_default()});
    let ordered = visit.send("POST", &format!("accounts/{order}"), &body).await?;
    let ordered: Ordered = serde_json::from_value(ordered).map_err(|error| Trouble::inside(&error))?;
    let what = if order == "online" { "to be online" } else { "to be recycled" };
    Ok(html! {
        h1 { (count(ordered.accepted)) " of " (count(ordered.accepted + ordered.refused)) " accounts are " (what) }
        p { a href="/accounts" { "All accounts" } }
        table {
            thead { tr { th scope="col" { "account" } th scope="col" { "outcome" } } }
            tbody {
                @for outcome in &ordered.results {
                    tr {
                        td { (account(&outcome.whats_app)) }
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

/// What came of something that was asked for: what the API answered, field by field.
pub(super) fn done(title: &str, at: &'static str, answer: &Value, back: &str) -> Page {
    let content = html! {
        h1 { (title) }
        dl.facts {
            @for (name, value) in answer.as_object().into_iter().flatten() {
                div { dt { (name) } dd { (words(value)) } }
            }
        }
        p { a href=(back) { "Back" } }
    };
    Page { title: title.to_owned(), at, content }
}
