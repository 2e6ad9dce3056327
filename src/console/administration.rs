//! `/keys`, `/settings` and `/acts`: API keys, settings in effect, and the audit log.

use maud::{Markup, Render, html};

use super::components::{empty_note, error_note, page_links, time_element, value_text};
use super::event_filter::{filter_fields, filter_query, parse_filter};
use super::events::event_line;
use super::forms::{action_button, permission_note};
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, with_query};
use super::table::TableBuilder;
use crate::access::KeyView;
use crate::api::api_keys::{self, ApiKeyList, CreateApiKeyRequest};
use crate::api::{Problem, events, operation, overview};
use crate::domain::{AdministrativeEventType, EventType, Permission, Role};
use crate::limits::API_KEY_NAME_BYTES;

/// Administrative events on one page.
const ACTS_PER_PAGE: usize = 50;

/// `/keys`
pub(super) async fn keys_page(request: &ConsoleRequest) -> PageResult {
    let found = list_keys(request).await;
    let content = html! {
        h1 { "API keys" }
        @match &found {
            Err(error) => (error_note(error)),
            Ok(ApiKeyList { keys }) if keys.is_empty() => (empty_note("There are no keys yet, so everyone on this machine may do everything. The first key must have the role admin.")),
            Ok(ApiKeyList { keys }) => (key_table(request, keys)),
        }
        // A requester who may not list keys may not create one.
        @if found.is_ok() { (create_key_form(request)) } @else { (permission_note(request, Permission::Administer)) }
    };
    Ok(PageResponse::page("API keys", "/keys", content))
}

async fn list_keys(request: &ConsoleRequest) -> Result<ApiKeyList, Problem> {
    let call = request.call(operation::LIST_API_KEYS)?;
    api_keys::list_keys(&call).await
}

fn key_table(request: &ConsoleRequest, keys: &[KeyView]) -> impl Render {
    let is_valid = |key: &KeyView| key.state == "valid";
    TableBuilder::new("API keys", keys)
        .number("key", |it| it.id)
        .text("name", |it| html! { (it.name) @if let Some(tenant) = &it.tenant { " (tenant " code { (tenant) } ")" } })
        .text("role", |it| it.role)
        .text(
            "accounts",
            |it| html! { @if it.accounts.is_empty() { "all" } @else { code { (it.accounts.join(", ")) } } },
        )
        .text("state", |it| html! { span.badge.(if is_valid(it) { "good" } else { "calm" }) { (it.state) } })
        .text("since", |it| time_element(&it.created))
        .text("until", |it| match it.revoked.as_deref().or(it.expires.as_deref()) {
            Some(at) => time_element(at),
            None => html! { "never" },
        })
        .text("", |it| {
            html! { @if is_valid(it) {
                form method="post" action="/keys" {
                    input type="hidden" name="key" value=(it.id);
                    (action_button(request, Permission::Administer, "Revoke", Some(("do", "revoke"))))
                }
            } }
        })
}

fn create_key_form(request: &ConsoleRequest) -> Markup {
    let is_off = request.permission_error(Permission::Administer).is_some();
    // The first key must be an admin's.
    let preselected = if request.signed_in_key().is_none() { Role::Admin } else { Role::Caller };
    html! {
        form method="post" action="/keys" {
            fieldset disabled[is_off] {
                legend { "Create a key" }
                div { label for="name" { "Name" } input #name name="name" maxlength=(API_KEY_NAME_BYTES) required autocomplete="off"; }
                div {
                    label for="role" { "Role" }
                    select #role name="role" { @for role in Role::ALL { option selected[role == preselected] { (role.name()) } } }
                }
                div {
                    label for="accounts" { "Only numbers that begin with" }
                    input #accounts name="accounts" placeholder="8618 44; empty: all numbers" autocomplete="off";
                }
                div { label for="expires" { "Expires" } input #expires name="expires" placeholder="2027-01-01" autocomplete="off"; }
                (action_button(request, Permission::Administer, "Create", Some(("do", "create"))))
            }
        }
        (permission_note(request, Permission::Administer))
    }
}

/// Creates or revokes a key.
pub(super) async fn submit_key_form(request: &ConsoleRequest) -> PageResult {
    match request.form_value("do") {
        Some("create") => create_key(request).await,
        Some("revoke") => {
            let key: u64 = request
                .form_value("key")
                .and_then(|key| key.parse().ok())
                .ok_or_else(|| Problem::malformed("Name the key."))?;
            let call = request.call(operation::REVOKE_API_KEY)?;
            api_keys::revoke_key(&call, key).await?;
            Ok(PageResponse::Redirect("/keys".to_owned()))
        }
        Some(_) | None => Err(Problem::malformed("Choose an action: create or revoke.")),
    }
}

async fn create_key(request: &ConsoleRequest) -> PageResult {
    let field = |name| request.form_value(name).unwrap_or_default();
    let accounts = field("accounts").split([' ', ',']).filter(|first| !first.is_empty()).map(str::to_owned).collect();
    let wanted = CreateApiKeyRequest {
        name: field("name").to_owned(),
        role: field("role").to_owned(),
        accounts,
        expires: request.form_value("expires").map(str::to_owned),
        tenant: None,
        secret: None,
    };
    let call = request.call(operation::CREATE_API_KEY)?;
    let created = api_keys::create_key(&call, wanted).await?;
    let key = created.key.as_ref().map_or("", |key| key.as_str());
    let content = html! {
        h1 { "API key " (field("name")) }
        p { "The key is shown only now. Store it where it is used." }
        pre.lines.secret tabindex="0" role="region" aria-label="The key" { (key) }
        p { a href="/keys" { "All keys" } }
    };
    Ok(PageResponse::page("Create a key", "/keys", content))
}

/// `/settings`
pub(super) async fn settings_page(request: &ConsoleRequest) -> PageResult {
    let call = request.call(operation::LIST_SETTINGS)?;
    let settings = overview::list_settings(&call).await?.settings;
    let table = TableBuilder::new("Settings", &settings)
        .row_head("setting", |it| html! { code { (it.name) } })
        .text("value", |it| html! { code { (value_text(&it.value)) } })
        .text("from", |it| html! { @if it.source == "default" { span.note { "default" } } @else { (it.source) } });
    let content = html! {
        h1 { "Settings" }
        p { "The settings in effect, each with its source. The service reads them when it starts." }
        (table)
    };
    Ok(PageResponse::page("Settings", "/settings", content))
}

/// `/acts`
pub(super) async fn audit_log_page(request: &ConsoleRequest) -> PageResult {
    let call = request.call(operation::LIST_ACTS)?;
    let cursor = request.parameters(&["cursor"]).event_id("cursor")?;
    let found = match parse_filter(request) {
        Ok(filter) => events::list_acts(&call, cursor, filter, ACTS_PER_PAGE).await,
        Err(error) => Err(error),
    };
    let url = |cursor| with_query("/acts", filter_query(request).into_iter().chain([("cursor", cursor)]));
    let types = AdministrativeEventType::ALL.iter().copied().map(EventType::Administration);
    let content = html! {
        h1 { "Audit log" }
        p { "All administrative events: what was done to the service, by whom and from where. They are part of the log and are never deleted." }
        form.filter method="get" action="/acts" {
            (filter_fields(request, types))
            div { button.primary { "Show" } }
        }
        @match &found {
            Err(error) => (error_note(error)),
            Ok(found) => {
                @if found.acts.is_empty() { (empty_note("No event matches.")) }
                ol.feed { @for act in &found.acts { (event_line(act)) } }
                (page_links("Pages of the audit log", &[
                    ("Newest", cursor.map(|_| url(None))),
                    ("Older", found.next.as_deref().map(|next| url(Some(next)))),
                ]))
            }
        }
    };
    Ok(PageResponse::page("Audit log", "/acts", content))
}
