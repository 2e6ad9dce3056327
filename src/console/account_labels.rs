//! The form that replaces the labels of an account.

use maud::{Markup, html};

use super::forms::{action_button, permission_note, reason_field};
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, parse_segment};
use crate::api::account_labels::{self, ChangeLabelsRequest};
use crate::api::{AccountSelection, Problem, operation};
use crate::audit::AccountStateView;
use crate::domain::{AccountNumber, Labels, Permission};
use crate::limits::ACCOUNT_LABELS;

/// The form, filled with the current labels: one `name:value` a line.
pub(super) fn labels_form(request: &ConsoleRequest, now: &AccountStateView<'_>) -> Markup {
    let lines: Vec<String> = now.labels.0.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let is_disabled = request.permission_error(Permission::Label).is_some();
    html! {
        form.order method="post" action=(format!("/accounts/{}/labels", now.whats_app)) {
            fieldset.order {
                legend { "Labels" }
                label for="labels" { "One a line, as name:value" }
                textarea #labels name="labels" rows=(lines.len().clamp(2, ACCOUNT_LABELS)) spellcheck="false"
                    disabled[is_disabled] placeholder="team:care" { (lines.join("\n")) }
                (reason_field(request, "labels-reason", "optional; recorded for good", false))
                (action_button(request, Permission::Label, "Replace labels", None))
                (permission_note(request, Permission::Label))
            }
        }
    }
}

/// Replaces the labels, and returns to the account's page.
pub(super) async fn submit_labels(request: &ConsoleRequest, number: &str) -> PageResult {
    let account: AccountNumber = parse_segment(number)?;
    let labels = parse_labels(request.form_value("labels").unwrap_or_default())?;
    let call = request.call_on(operation::CHANGE_LABELS, AccountSelection::One(account))?;
    account_labels::change_labels(&call, account, ChangeLabelsRequest { labels, reason: request.reason() }).await?;
    Ok(PageResponse::Redirect(format!("/accounts/{account}")))
}

/// Parses lines of `name:value`: names have no colon, values may. Empty lines are skipped.
fn parse_labels(text: &str) -> Result<Labels, Problem> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pairs = lines.map(|line| {
        line.split_once(':').ok_or_else(|| Problem::malformed("Write each label as name:value, such as team:care."))
    });
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    Labels::new(pairs).map_err(|invalid| Problem::invalid_parameter("labels", invalid))
}
