//! `/accounts/{n}`: one account as it is, as it was at any version or time, and what was different between two.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::frame::{Answer, Page};
use super::parts::{self, nothing, presence, status, time, words};
use super::visit::{Trouble, Visit, with_query};
use super::{deliveries, history, orders};

/// `GET /accounts/{n}`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    whats_app: String,
    version: u64,
    position: String,
    updated: String,
    status: u8,
    online_status: u8,
    reason: String,
    instance_code: String,
    gateway: String,
    registration: Option<Value>,
    content: Option<Value>,
}

/// `GET /accounts/{n}/diff`
#[derive(Deserialize)]
struct Diff {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    field: String,
    from: Value,
    to: Value,
}

pub(super) async fn page(visit: &Visit, number: &str) -> Result<Answer, Trouble> {
    let account = parts::number(number).ok_or_else(Trouble::no_page)?;
    let now: Standing = visit.get(&format!("accounts/{account}")).await?;
    let here = format!("/accounts/{account}");
    let title = format!("Account {account}");
    let content = html! { h1 { "Account " span.number { (now.whats_app) } } (standing(&now)) };
    if visit.asked("part") == Some("now") {
        return Ok(Answer::Page(Page { title, at: "/accounts", content }));
    }
    let content = html! {
        (content)
        form.order method="post" action="/accounts" {
            input type="hidden" name="account" value=(now.whats_app);
            (orders::fields(visit, "this account"))
        }
        (past(visit, &now).await)
        (diff(visit, &now).await)
        (history::section(visit, &now.whats_app, now.version).await?)
        (deliveries::of_account(visit, &now.whats_app).await)
        section aria-labelledby="proof" {
            h2 #proof { "Proof" }
            p {
                "The log is signed: that this history is whole and unaltered can be checked, here, or by anybody with the file "
                "and " code { "muster verify --bundle" } "."
            }
            p {
                a.button href=(format!("{here}/verify")) hx-get=(format!("{here}/verify")) hx-select="#steps" hx-target="#steps"
                    hx-swap="outerHTML" { "Verify" }
                " "
                a.button href=(format!("{here}/bundle")) { "Download the bundle" }
            }
            div #steps aria-live="polite" {}
        }
    };
    Ok(Answer::Page(Page { title, at: "/accounts", content }))
}

/// How it is now, which keeps itself fresh.
fn standing(now: &Standing) -> Markup {
    html! {
        div #now hx-get=(format!("/accounts/{}?part=now", now.whats_app)) hx-select="#now" hx-swap="outerHTML"
            hx-trigger="refresh" data-live {
            p.state {
                (status(now.status)) " " (presence(now.online_status))
                " version " (now.version) ", since " (time(&now.updated))
                @if !now.reason.is_empty() { ", reason " code { (now.reason) } }
            }
        }
    }
}

/// The account as it was: at a version, or at a time.
async fn past(visit: &Visit, now: &Standing) -> Markup {
    let at = visit.asked("at");
    let version = visit.asked("version").filter(|_| at.is_none());
    let here = format!("/accounts/{}", now.whats_app);
    let path = with_query(&format!("accounts/{}", now.whats_app), &[("at", at), ("version", version)]);
    let then: Result<Standing, Trouble> = visit.get(&path).await;
    let shown = then.as_ref().map_or(now.version, |then| then.version);
    html! {
        section #past aria-labelledby="then" {
            h2 #then { "As it was" }
            form.slider method="get" action=(here) hx-get=(here) hx-trigger="input delay:80ms from:#version" hx-select="#then-state"
                hx-target="#then-state" hx-swap="outerHTML" {
                label for="version" { "Version" }
                input #version type="range" name="version" min="1" max=(now.version) value=(shown)
                    aria-describedby="then-state";
                output #shown-version for="version" { (shown) }
                button { "Show" }
            }
            form.slider method="get" action=(here) {
                label for="at" { "or at the time" }
                input #at name="at" value=[at] placeholder="2026-11-25T09:30:00Z" spellcheck="false";
                button { "Show" }
            }
            div #then-state aria-live="polite" {
                @match &then {
                    Ok(then) => {
                        p {
                            "Version " a href=(format!("{here}/events/{}", then.version)) { (then.version) }
                            ", which happened " (time(&then.updated)) " at position " (then.position) ":"
                        }
                        (facts(then))
                    }
                    Err(trouble) => p.error role="alert" { (trouble.words) },
                }
            }
        }
    }
}

fn facts(standing: &Standing) -> Markup {
    let fields = |value: &Value| -> Vec<(String, String)> {
        let fields = value.as_object().into_iter().flatten();
        fields.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), words(value))).collect()
    };
    html! {
            dl.facts {
                div { dt { "Status" } dd { (status(standing.status)) } }
                div { dt { "Online status" } dd { (presence(standing.online_status)) } }
                div { dt { "Reason" } dd { @if standing.reason.is_empty() { "none" } @else { code { (standing.reason) } } } }
                div {
                    dt { "Instance" }
    dd { @if standing.instance_code.is_empty() { "none" } @else { code { (standing.instance_code) } } }
                }
                div { dt { "Gateway" } dd { (standing.gateway.replace('_', " ")) } }
                @for (group, value) in [("registration", &standing.registration), ("content", &standing.content)] {
                    @match value {
                        Some(value) => @for (name, text) in fields(value) { div { dt { (group) " · " (name) } dd { code { (text) } } } },
                        None => div { dt { (group) } dd { "none" } },
                    }
                }
            }
        }
}

/// What was different between two versions.
async fn diff(visit: &Visit, now: &Standing) -> Markup {
    let here = format!("/accounts/{}", now.whats_app);
    let (from, to) = (visit.asked("from"), visit.asked("to"));
    let found: Option<Result<Diff, Trouble>> = match from.zip(to) {
        None => None,
        Some((from, to)) => {
            let path = format!("accounts/{}/diff", now.whats_app);
            Some(visit.get(&with_query(&path, &[("from", Some(from)), ("to", Some(to))])).await)
        }
    };
    let last = now.version.to_string();
    html! {
        section #diff aria-labelledby="different" {
            h2 #different { "What is different between two versions" }
            form.slider method="get" action={ (here) "#diff" } hx-get=(here) hx-select="#diff" hx-target="#diff"
                hx-swap="outerHTML" {
                label for="from" { "from" }
                input #from type="number" name="from" min="1" max=(last) value=(from.unwrap_or("1")) required;
                label for="to" { "to" }
                input #to type="number" name="to" min="1" max=(last) value=(to.unwrap_or(&last)) required;
                button { "Compare" }
            }
            @match found {
                None => {}
                Some(Err(trouble)) => p.error role="alert" { (trouble.words) },
                Some(Ok(Diff { changes })) if changes.is_empty() => (nothing("Nothing is.")),
                Some(Ok(Diff { changes })) => {
                    table {
                        thead { tr { th scope="col" { "field" } th scope="col" { "from" } th scope="col" { "to" } } }
                        tbody {
                            @for change in changes {
                                tr {
                                    th scope="row" { (change.field) }
                                    td { del { (value(&change.field, &change.from)) } }
                                    td { ins { (value(&change.field, &change.to)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A value of a field of an account, as people read it.
fn value(field: &str, value: &Value) -> Markup {
    let code = value.as_u64().and_then(|code| u8::try_from(code).ok());
    match (field, code) {
        ("status", Some(code)) => status(code),
        ("onlineStatus", Some(code)) => presence(code),
        _ => html! { code { (words(value)) } },
    }
}
