//! What webhooks delivered: lists of deliveries, and each with every attempt.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::frame::{Answer, Page};
use super::parts::{account, action, nothing, time, why_not};
use super::visit::{Trouble, Visit, with_query};
use super::webhooks::known;
use crate::domain::{Channel, Need};
use crate::webhooks::State;

/// `GET /webhooks/{channel}/deliveries`
#[derive(Deserialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
    next: Option<String>,
}

/// A delivery, with every attempt.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    id: String,
    position: String,
    whats_app: String,
    version: u64,
    time: String,
    state: String,
    attempts: Vec<Attempt>,
    next: Option<String>,
    superseded_by: Option<String>,
    reason: Option<String>,
    body: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    attempt: u64,
    time: String,
    duration_ms: f64,
    outcome: String,
    status: Option<u16>,
    failure: Option<String>,
    response: String,
    next: Option<String>,
}

/// How many deliveries one page shows.
pub(super) const PAGE: &str = "25";

/// The section with them on the page of a webhook.
pub(super) async fn section(visit: &Visit, name: &str) -> Markup {
    let here = format!("/webhooks/{name}");
    let asked = ["account", "state", "since", "until"].map(|name| (name, visit.asked(name)));
    let at = |path: &str, cursor: Option<&str>| {
        with_query(path, &[asked[0], asked[1], asked[2], asked[3], ("limit", Some(PAGE)), ("cursor", cursor)])
    };
    let cursor = visit.asked("cursor");
    let found: Result<Deliveries, Trouble> = visit.get(&at(&format!("webhooks/{name}/deliveries"), cursor)).await;
    let value = |name: &str| visit.asked(name);
    html! {
        section aria-labelledby="deliveries" {
            h2 #deliveries { "Deliveries" }
            form.filter method="get" action={ (here) "#deliveries" } {
                div { label for="account" { "Account" } input #account name="account" inputmode="numeric" value=[value("account")]; }
                div { label for="state" { "State" } (states("state", value("state"))) }
                div { label for="since" { "Since" } input #since name="since" value=[value("since")] placeholder="2026-11-25"; }
                div { label for="until" { "Until" } input #until name="until" value=[value("until")] placeholder="2026-11-26"; }
                div { button { "Show" } }
            }
            @match &found {
                Err(trouble) => p.error role="alert" { (trouble.words) },
                Ok(found) => {
                    @if found.deliveries.is_empty() { (nothing("There are none here.")) } @else { (rows(&here, &found.deliveries)) }
                    nav.ways aria-label="Parts of the deliveries" {
                        @match cursor {
                            Some(_) => a href={ (at(&here, None)) "#deliveries" } { "Newest" },
                            None => span aria-disabled="true" { "Newest" },
                        }
                        @match &found.next {
                            Some(next) => a href={ (at(&here, Some(next))) "#deliveries" } { "Older" },
                            None => span aria-disabled="true" { "Older" },
                        }
                    }
                }
            }
        }
    }
}

fn rows(here: &str, deliveries: &[Delivery]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Deliveries" {
            table {
                thead { tr {
                    th.number scope="col" { "position" } th scope="col" { "account" } th.number scope="col" { "version" }
                    th scope="col" { "event" } th scope="col" { "state" } th.number scope="col" { "attempts" }
                    th scope="col" { "the last attempt" }
                } }
                tbody {
                    @for delivery in deliveries {
                        tr {
                            td.number { a href=(format!("{here}/deliveries/{}", delivery.position)) { (delivery.position) } }
                            td { (account(&delivery.whats_app)) }
                            td.number { (delivery.version) }
                            td { (time(&delivery.time)) }
                            td { (state(&delivery.state)) }
                            td.number { (delivery.attempts.len()) }
                            td { @if let Some(last) = delivery.attempts.last() { (outcome(last)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The deliveries of one account, on its own page.
pub(super) async fn of_account(visit: &Visit, number: &str) -> Markup {
    let mut parts = Vec::new();
    for channel in Channel::ALL {
        let name = channel.short_name();
        let path = format!("webhooks/{name}/deliveries");
        let asked = with_query(&path, &[("account", Some(number)), ("limit", Some("5"))]);
        let found: Result<Deliveries, Trouble> = visit.get(&asked).await;
        parts.push((name, channel.configuration_id(), found));
    }
    html! {
        section aria-labelledby="caused" {
            h2 #caused { "Webhooks that it caused" }
            @for (name, id, found) in &parts {
                h3 { a href=(format!("/webhooks/{name}?account={number}#deliveries")) { (id) } }
                @match found {
                    Err(trouble) => p.note { (trouble.words) },
                    Ok(found) if found.deliveries.is_empty() => (nothing("None.")),
                    Ok(found) => (rows(&format!("/webhooks/{name}"), &found.deliveries)),
                }
            }
        }
    }
}

/// A choice of the states that a delivery may have.
pub(super) fn states(id: &str, chosen: Option<&str>) -> Markup {
    html! {
        select id=(id) name="state" {
            option value="" { "any" }
            @for state in State::ALL { option selected[chosen == Some(state.name())] { (state.name()) } }
        }
    }
}

fn state(name: &str) -> Markup {
    let state = State::ALL.into_iter().find(|state| state.name() == name);
    let class = match state {
        Some(State::Delivered) => "good",
        Some(State::Pending | State::Waiting) => "coming",
        Some(State::Dead) => "bad",
        Some(State::Dropped | State::Superseded | State::Forgotten) | None => "calm",
    };
    html! { span.badge.(class) { (name) } }
}

fn outcome(attempt: &Attempt) -> Markup {
    html! {
        (attempt.outcome) @if let Some(status) = attempt.status { ", HTTP " (status) }
        @if let Some(failure) = &attempt.failure { ": " (failure) }
    }
}

/// `/webhooks/{channel}/deliveries/{position}`
pub(super) async fn page(visit: &Visit, name: &str, position: &str) -> Result<Answer, Trouble> {
    let (name, position) = (known(name)?, at(position)?);
    let path = format!("webhooks/{name}/deliveries/{position}");
    let delivery: Delivery = visit.get(&path).await?;
    let here = format!("/{path}");
    let body = delivery.body.as_ref().map(Value::to_string);
    let content = html! {
        h1 { "Delivery " (position) " of " a href=(format!("/webhooks/{name}")) { (name) } }
        div #live hx-get=(here) hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live {
            dl.facts {
                div { dt { "State" } dd {
                    (state(&delivery.state))
                    @if let Some(reason) = &delivery.reason { " " (reason) }
                    @if let Some(by) = &delivery.superseded_by { " by " a href=(format!("/webhooks/{name}/deliveries/{by}")) { (by) } }
                } }
                div { dt { "Event" } dd {
                    a href=(format!("/accounts/{}/events/{}", delivery.whats_app, delivery.version)) {
                        "version " (delivery.version) " of " (delivery.whats_app)
                    }
                    ", " (time(&delivery.time))
                } }
                div { dt { "webhook-id" } dd { code { (delivery.id) } } }
                div { dt { "Next attempt" } dd { @match &delivery.next { Some(next) => (time(next)), None => "none" } } }
            }
            h2 { "Attempts" }
            @if delivery.attempts.is_empty() { (nothing("None is remembered.")) } @else { (attempts(&delivery.attempts)) }
        }
        form method="post" action=(here) {
            p { (action(visit, Need::Operate, "Send again", None)) }
            (why_not(visit, Need::Operate))
        }
        h2 { "What is sent" }
        pre.lines tabindex="0" role="region" aria-label="The body" { (body.as_deref().unwrap_or("It is not kept any more.")) }
    };
    Ok(Answer::Page(Page { title: format!("Delivery {position}"), at: "/webhooks", content }))
}

fn attempts(attempts: &[Attempt]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Attempts" {
            table {
                thead { tr {
                    th.number scope="col" { "attempt" } th scope="col" { "when" } th.number scope="col" { "took" }
                    th scope="col" { "outcome" } th scope="col" { "the answer's beginning" } th scope="col" { "next" }
                } }
                tbody {
                    @for attempt in attempts {
                        tr {
                            td.number { (attempt.attempt) }
                            td { (time(&attempt.time)) }
                            td.number { (format!("{:.1} ms", attempt.duration_ms)) }
                            td.bad[attempt.outcome != "ok"] { (outcome(attempt)) }
                            td { code { (attempt.response) } }
                            td { @if let Some(next) = &attempt.next { (time(next)) } }
                        }
                    }
                }
            }
        }
    }
}

/// A delivery is sent again.
pub(super) async fn resend(visit: &Visit, name: &str, position: &str) -> Result<Answer, Trouble> {
    let path = format!("webhooks/{}/deliveries/{}", known(name)?, at(position)?);
    visit.send("POST", &format!("{path}/resend"), &Value::Null).await?;
    Ok(Answer::To(format!("/{path}")))
}

fn at(position: &str) -> Result<u64, Trouble> {
    position.parse().map_err(|_| Trouble::no_page())
}
