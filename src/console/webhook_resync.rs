//! The form that sends the present state of accounts to a webhook's receiver again, and its result.

use maud::{Markup, html};

use super::components::format_count;
use super::forms::{action_button, reason_field};
use super::layout::{PageResponse, PageResult};
use super::page_request::ConsoleRequest;
use crate::api::operation;
use crate::api::webhook_resync::{self, ResyncRequest};
use crate::domain::{Channel, Permission};

/// The values of the form's buttons.
const COUNT: &str = "count-resync";
const RESYNC: &str = "resync";

/// The form.
pub(super) fn resync_form(request: &ConsoleRequest, page_url: &str) -> Markup {
    let is_off = request.permission_error(Permission::Operate).is_some();
    html! {
        form method="post" action=(page_url) {
            fieldset disabled[is_off] {
                legend { "Resync: send the present state again" }
                div {
                    label for="resync-accounts" { "Accounts" }
                    input #resync-accounts name="accounts" inputmode="numeric" placeholder="empty for all";
                }
                (reason_field(request, "resync-reason", "optional; recorded for good", false))
                (action_button(request, Permission::Operate, "Count", Some(("do", COUNT))))
                (action_button(request, Permission::Operate, "Resync", Some(("do", RESYNC))))
            }
        }
    }
}

/// Carries out the form's action; `None` if the action belongs to another form.
pub(super) async fn submit_resync(
    request: &ConsoleRequest,
    channel: Channel,
    action: Option<&str>,
    page_url: &str,
) -> Option<PageResult> {
    let action = action.filter(|action| [COUNT, RESYNC].contains(action))?;
    Some(resync(request, channel, action, page_url).await)
}

async fn resync(request: &ConsoleRequest, channel: Channel, action: &str, page_url: &str) -> PageResult {
    let field = request.form_value("accounts").unwrap_or_default();
    let numbers = field.split(|separator: char| separator == ',' || separator.is_whitespace());
    let accounts: Vec<String> = numbers.filter(|number| !number.is_empty()).map(str::to_owned).collect();
    let wanted = ResyncRequest {
        all: accounts.is_empty(),
        accounts,
        after: request.form_value("after").map(str::to_owned),
        reason: request.form_value("reason").map(str::to_owned),
        dry_run: action == COUNT,
    };
    let title = if wanted.dry_run { "Would be resynced" } else { "Resync started" };
    let sent = webhook_resync::resync(&request.call(operation::RESYNC_WEBHOOK)?, channel, wanted).await?;
    let content = html! {
        h1 { (title) }
        dl.facts {
            div { dt { "Accounts" } dd { (format_count(sent.accounts as u64)) } }
            div { dt { "Deliveries" } dd { (format_count(sent.deliveries as u64)) } }
        }
        @if let Some(next) = &sent.next {
            form method="post" action=(page_url) {
                p { "More accounts follow." }
                input type="hidden" name="after" value=(next);
                input type="hidden" name="reason" value=(request.reason());
                (action_button(request, Permission::Operate, "Continue", Some(("do", action))))
            }
        }
        p { a href=(page_url) { "Back" } }
    };
    Ok(PageResponse::page(title, "/webhooks", content))
}
