//! `/keys`, `/settings` and `/acts`: who may do what, how the service is set, and what was done to it.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::events::line;
use super::frame::{Answer, Page};
use super::history::read;
use super::parts::{action, nothing, time, why_not, words};
use super::visit::{Trouble, Visit, with_query};
use crate::domain::{Need, Role};
use crate::limits::API_KEY_NAME_BYTES;

/// `GET /keys`
#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    id: u64,
    name: String,
    role: String,
    tenant: Option<String>,
    accounts: Vec<String>,
    state: String,
    created: String,
    expires: Option<String>,
    revoked: Option<String>,
}

/// `GET /settings`
#[derive(Deserialize)]
struct Settings {
    settings: Vec<Setting>,
}

#[derive(Deserialize)]
struct Setting {
    name: String,
    value: Value,
    source: String,
}

/// `GET /acts`
#[derive(Deserialize)]
struct Acts {
    acts: Vec<Box<RawValue>>,
    next: Option<String>,
}

/// `/keys`
pub(super) async fn keys(visit: &Visit) -> Result<Answer, Trouble> {
    let found: Result<Keys, Trouble> = visit.get("keys").await;
    let content = html! {
        h1 { "API keys" }
        @match &found {
            Err(trouble) => p.error role="alert" { (trouble.words) },
            Ok(Keys { keys }) if keys.is_empty() => (nothing("There is none: everybody on this machine may do everything. The first one must be an admin's.")),
            Ok(Keys { keys }) => (list(visit, keys)),
        }
        // Whoever may not see the keys gives none.
        @if found.is_ok() { (creation(visit)) } @else { (why_not(visit, Need::Administer)) }
    };
    Ok(Answer::Page(Page { title: "API keys".to_owned(), at: "/keys", content }))
}

fn list(visit: &Visit, keys: &[Key]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="API keys" {
            table {
                thead { tr {
                    th.number scope="col" { "key" } th scope="col" { "name" } th scope="col" { "role" } th scope="col" { "accounts" }
                    th scope="col" { "state" } th scope="col" { "since" } th scope="col" { "until" } th scope="col" { "" }
                } }
                tbody {
                    @for key in keys {
                        tr {
                            td.number { (key.id) }
                            td { (key.name) @if let Some(tenant) = &key.tenant { " (tenant " code { (tenant) } ")" } }
                            td { (key.role) }
                            td { @if key.accounts.is_empty() { "all" } @else { code { (key.accounts.join(", ")) } } }
                            td { span.badge.(if key.state == "valid" { "good" } else { "calm" }) { (key.state) } }
                            td { (time(&key.created)) }
                            td { @match (&key.revoked, &key.expires) {
                                (Some(at), _) | (None, Some(at)) => (time(at)),
                                (None, None) => "no end",
                            } }
                            td { @if key.state == "valid" {
                                form method="post" action="/keys" {
                                    input type="hidden" name="key" value=(key.id);
                                    (action(visit, Need::Administer, "Revoke", Some(("do", "revoke"))))
                                }
                            } }
                        }
                    }
                }
            }
        }
    }
}

fn creation(visit: &Visit) -> Markup {
    let is_off = visit.forbids(Need::Administer).is_some();
    // The first key must be an admin's.
    let likely = if visit.holder().is_none() { Role::Admin } else { Role::Caller };
    html! {
        form method="post" action="/keys" {
            fieldset disabled[is_off] {
                legend { "A new key" }
                div { label for="name" { "Name" } input #name name="name" maxlength=(API_KEY_NAME_BYTES) required autocomplete="off"; }
                div {
                    label for="role" { "Role" }
                    select #role name="role" { @for role in Role::ALL { option selected[role == likely] { (role.name()) } } }
                }
                div {
                    label for="accounts" { "Only numbers that begin with" }
                    input #accounts name="accounts" placeholder="8618 44; all if left empty" autocomplete="off";
                }
                div { label for="expires" { "Until" } input #expires name="expires" placeholder="2027-01-01" autocomplete="off"; }
                (action(visit, Need::Administer, "Create", Some(("do", "create"))))
            }
        }
        (why_not(visit, Need::Administer))
    }
}

/// A key is given, or taken away.
pub(super) async fn change_keys(visit: &Visit) -> Result<Answer, Trouble> {
    match visit.sent("do") {
        Some("create") => create(visit).await,
        Some("revoke") => {
            let key: u64 =
                visit.sent("key").and_then(|key| key.parse().ok()).ok_or_else(|| Trouble::wrong("Say which key."))?;
            visit.send("DELETE", &format!("keys/{key}"), &Value::Null).await?;
            Ok(Answer::To("/keys".to_owned()))
        }
        Some(_) | None => Err(Trouble::wrong("Say what is to be done: create or revoke.")),
    }
}

async fn create(visit: &Visit) -> Result<Answer, Trouble> {
    let sent = |name| visit.sent(name).unwrap_or_default();
    let accounts: Vec<&str> = sent("accounts").split([' ', ',']).filter(|first| !first.is_empty()).collect();
    let body = json!({"name": sent("name"), "role": sent("role"), "accounts": accounts});
    let Value::Object(mut body) = body else { return Err(Trouble::no_page()) };
    body.extend(
        visit.sent("expires").map(|end| ("expires".to_owned(), Value::from(end))).into_iter().collect::<Map<_, _>>(),
    );
    let made = visit.send("POST", "keys", &Value::Object(body)).await?;
    let key = made.get("key").and_then(Value::as_str).unwrap_or_default();
    let content = html! {
        h1 { "The key " (sent("name")) }
        p { "It is shown now and never again; keep it where it is used." }
        pre.lines.secret tabindex="0" role="region" aria-label="The key" { (key) }
        p { a href="/keys" { "All keys" } }
    };
    Ok(Answer::Page(Page { title: "A new key".to_owned(), at: "/keys", content }))
}

/// `/settings`
pub(super) async fn settings(visit: &Visit) -> Result<Answer, Trouble> {
    let Settings { settings } = visit.get("settings").await?;
    let content = html! {
        h1 { "Settings" }
        p { "What the service works with, and where each value comes from. They are read at the start." }
        div.scroll tabindex="0" role="region" aria-label="Settings" {
            table {
                thead { tr { th scope="col" { "setting" } th scope="col" { "value" } th scope="col" { "from" } } }
                tbody {
                    @for setting in &settings {
                        tr {
                            th scope="row" { code { (setting.name) } }
                            td { code { (words(&setting.value)) } }
                            td { @if setting.source == "default" { span.note { "default" } } @else { (setting.source) } }
                        }
                    }
                }
            }
        }
    };
    Ok(Answer::Page(Page { title: "Settings".to_owned(), at: "/settings", content }))
}

/// `/acts`
pub(super) async fn acts(visit: &Visit) -> Result<Answer, Trouble> {
    let cursor = visit.asked("cursor");
    let found: Acts = visit.get(&with_query("acts", &[("limit", Some("50")), ("cursor", cursor)])).await?;
    let acts = read(&found.acts)?;
    let content = html! {
        h1 { "Administrative acts" }
        p { "What was done to the service itself, by whom and from where: facts of the same log, for ever." }
        @if acts.is_empty() { (nothing("None yet.")) }
        ol.feed { @for act in &acts { (line(act)) } }
        nav.ways aria-label="Parts of the acts" {
            @match cursor { Some(_) => a href="/acts" { "Newest" }, None => span aria-disabled="true" { "Newest" } }
            @match found.next.as_deref() {
                Some(next) => a href=(with_query("/acts", &[("cursor", Some(next))])) { "Older" },
                None => span aria-disabled="true" { "Older" },
            }
        }
    };
    Ok(Answer::Page(Page { title: "Administrative acts".to_owned(), at: "/acts", content }))
}
