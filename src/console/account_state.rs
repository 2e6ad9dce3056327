//! The state of one account: now, at an earlier version or time, and the difference between two versions.

use maud::{Markup, html};
use serde::Serialize;
use serde_json::Value;

use super::components::{
    empty_note, error_note, label_badges, live_part, online_status_badge, status_badge, time_element, value_text,
};
use super::page_request::ConsoleRequest;
use super::table::TableBuilder;
use crate::api::accounts::{self, AccountDiff};
use crate::api::{AccountSelection, Parameters, Problem, operation};
use crate::audit::{AccountStateView, AccountWithCauses, AsOf};
use crate::domain::AccountNumber;

/// The account at a version or time.
pub(super) async fn show_account(
    request: &ConsoleRequest,
    account: AccountNumber,
    as_of: AsOf,
) -> Result<AccountWithCauses, Problem> {
    let call = request.call_on(operation::SHOW_ACCOUNT, AccountSelection::One(account))?;
    accounts::show_account(&call, account, as_of).await
}

/// The current state, which the page refreshes.
pub(super) fn current_state(now: &AccountStateView<'_>) -> Markup {
    let state = html! {
        p.state {
            (status_badge(now.status)) " " (online_status_badge(now.online_status))
            " version " (now.version) ", since " (time_element(now.updated))
            @if !now.reason.is_empty() { ", reason " code { (now.reason) } }
            @if !now.labels.0.is_empty() { " " (label_badges(&now.labels)) }
        }
    };
    live_part("now", &format!("/accounts/{}?part=now", now.whats_app), state)
}

/// The account at an earlier version or time.
pub(super) async fn past_state_section(
    request: &ConsoleRequest,
    account: AccountNumber,
    now: &AccountStateView<'_>,
) -> Markup {
    let at = request.query_value("at");
    let version = request.query_value("version").filter(|_| at.is_none());
    let page_url = format!("/accounts/{}", now.whats_app);
    let then = match Parameters::from_fields([("at", at), ("version", version)]).as_of() {
        Ok(as_of) => show_account(request, account, as_of).await,
        Err(problem) => Err(problem),
    };
    let then = then.as_ref().map(AccountWithCauses::view);
    let shown_version = then.as_ref().map_or(now.version, |then| then.version);
    html! {
        section #past aria-labelledby="then" {
            h2 #then { "Past state" }
            form.slider method="get" action=(page_url) hx-get=(page_url) hx-trigger="input delay:80ms from:#version" hx-select="#then-state"
                hx-target="#then-state" hx-swap="outerHTML" {
                label for="version" { "Version" }
                input #version type="range" name="version" min="1" max=(now.version) value=(shown_version)
                    aria-describedby="then-state";
                output #shown-version for="version" { (shown_version) }
                button { "Show" }
            }
            form.slider method="get" action=(page_url) {
                label for="at" { "or the state at" }
                input #at name="at" value=[at] placeholder="2026-11-25T09:30:00Z" spellcheck="false";
                button { "Show" }
            }
            div #then-state aria-live="polite" {
                @match &then {
                    Ok(then) => {
                        p {
                            "Version " a href=(format!("{page_url}/events/{}", then.version)) { (then.version) }
                            ", recorded " (time_element(then.updated)) " at position " (then.position) ":"
                        }
                        (state_fields(then))
                    }
                    Err(error) => (error_note(error)),
                }
            }
        }
    }
}

fn state_fields(state: &AccountStateView<'_>) -> Markup {
    let code_or_none = |text: &str| html! { @if text.is_empty() { "none" } @else { code { (text) } } };
    let parts = [("registration", fields(&state.registration)), ("content", fields(&state.content))];
    html! {
        dl.facts {
            div { dt { "Status" } dd { (status_badge(state.status)) } }
            div { dt { "Online status" } dd { (online_status_badge(state.online_status)) } }
            div { dt { "Reason" } dd { (code_or_none(state.reason)) } }
            div { dt { "Instance" } dd { (code_or_none(state.instance_code)) } }
            div { dt { "Gateway" } dd { (state.gateway.replace('_', " ")) } }
            div { dt { "Labels" } dd { @if state.labels.0.is_empty() { "none" } @else { (label_badges(&state.labels)) } } }
            @for (part, fields) in parts {
                @match fields {
                    Some(fields) => @for (name, text) in fields { div { dt { (part) " · " (name) } dd { code { (text) } } } },
                    None => div { dt { (part) } dd { "none" } },
                }
            }
        }
    }
}

/// The fields of a part of the state that have a value: name and text. `None` if the state has no such part.
fn fields(part: &Option<impl Serialize>) -> Option<Vec<(String, String)>> {
    let value = serde_json::to_value(part.as_ref()?).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    Some(fields.map(|(name, value)| (name.clone(), value_text(value))).collect())
}

/// The difference between two versions.
pub(super) async fn diff_section(
    request: &ConsoleRequest,
    account: AccountNumber,
    now: &AccountStateView<'_>,
) -> Markup {
    let page_url = format!("/accounts/{}", now.whats_app);
    let (from, to) = (request.query_value("from"), request.query_value("to"));
    let found = match from.zip(to) {
        None => None,
        Some(_) => Some(diff(request, account).await),
    };
    let last = now.version.to_string();
    html! {
        section #diff aria-labelledby="different" {
            h2 #different { "Compare two versions" }
            form.slider method="get" action={ (page_url) "#diff" } hx-get=(page_url) hx-select="#diff" hx-target="#diff"
                hx-swap="outerHTML" {
                label for="from" { "from" }
                input #from type="number" name="from" min="1" max=(last) value=(from.unwrap_or("1")) required;
                label for="to" { "to" }
                input #to type="number" name="to" min="1" max=(last) value=(to.unwrap_or(&last)) required;
                button { "Compare" }
            }
            @match &found {
                None => {}
                Some(Err(error)) => (error_note(error)),
                Some(Ok(AccountDiff { changes, .. })) if changes.is_empty() => (empty_note("They are equal.")),
                Some(Ok(AccountDiff { changes, .. })) => {
                    (TableBuilder::new("Differences", changes)
                        .row_head("field", |it| &it.field)
                        .text("from", |it| html! { del { (field_value(&it.field, &it.from)) } })
                        .text("to", |it| html! { ins { (field_value(&it.field, &it.to)) } }))
                }
            }
        }
    }
}

async fn diff(request: &ConsoleRequest, account: AccountNumber) -> Result<AccountDiff, Problem> {
    let parameters = request.parameters(&["from", "to"]);
    let (from, to) = (parameters.required_number("from")?, parameters.required_number("to")?);
    let call = request.call_on(operation::DIFF_ACCOUNT, AccountSelection::One(account))?;
    accounts::diff_account(&call, account, from, to).await
}

/// The value of an account's field as HTML.
fn field_value(field: &str, value: &Value) -> Markup {
    let code = value.as_u64().and_then(|code| u8::try_from(code).ok());
    match (field, code) {
        ("status", Some(code)) => status_badge(code),
        ("onlineStatus", Some(code)) => online_status_badge(code),
        _ => html! { code { (value_text(value)) } },
    }
}
