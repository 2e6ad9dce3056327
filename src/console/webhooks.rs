//! `/webhooks`: how each of them is, what no attempt was left for, and what operators do about it.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::deliveries::{self, PAGE, states};
use super::frame::{Answer, Page};
use super::orders;
use super::parts::{account, action, count, nothing, time, why_not};
use super::visit::{Trouble, Visit, with_query};
use crate::domain::{Channel, Need};
use crate::limits::REMARK_BYTES;

/// A webhook: `GET /webhooks/{channel}`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    pub(super) channel: String,
    pub(super) configuration_id: String,
    pub(super) state: String,
    url: Option<String>,
    url_from: Option<String>,
    pub(super) paused: Option<Paused>,
    deliver: String,
    signing: Signing,
    cursor: Option<String>,
    lag: Lag,
    oldest_pending: Option<Oldest>,
    in_flight: u64,
    waiting: u64,
    pub(super) blocked: u64,
    pub(super) dead_letters: u64,
    again: u64,
    pub(super) breaker: Breaker,
    attempts: u64,
    failed: u64,
}

#[derive(Deserialize)]
pub(super) struct Paused {
    since: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signing {
    standard: Vec<Secret>,
    tenant_id: Option<String>,
}

#[derive(Deserialize)]
struct Secret {
    fingerprint: String,
    until: Option<String>,
}

#[derive(Deserialize)]
struct Lag {
    events: u64,
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Oldest {
    position: String,
    whats_app: String,
    time: String,
    attempts: u64,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Breaker {
    pub(super) state: String,
    until: Option<String>,
}

/// `GET /webhooks`
#[derive(Deserialize)]
struct Channels {
    channels: Vec<Shown>,
}

/// `GET /webhooks/{channel}/dead-letters`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Letters {
    dead_letters: Vec<Letter>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    position: String,
    whats_app: String,
    time: String,
    attempts: u64,
    failure: String,
}

/// `/webhooks`
pub(super) async fn page(visit: &Visit) -> Result<Answer, Trouble> {
    let Channels { channels } = visit.get("webhooks").await?;
    let content = html! {
        h1 { "Webhooks" }
        section #live hx-get="/webhooks" hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live
            aria-label="How the webhooks are" { (table(&channels)) }
    };
    Ok(Answer::Page(Page { title: "Webhooks".to_owned(), at: "/webhooks", content }))
}

/// All of them, a line each.
pub(super) fn table(channels: &[Shown]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Webhooks" {
            table {
                thead { tr {
                    th scope="col" { "webhook" } th scope="col" { "state" } th.number scope="col" { "lag" }
                    th.number scope="col" { "in flight" } th.number scope="col" { "waiting" }
                    th.number scope="col" { "blocked" } th.number scope="col" { "dead" } th scope="col" { "breaker" }
                } }
                tbody {
                    @for shown in channels {
                        tr {
                            td { a href=(format!("/webhooks/{}", shown.channel)) { (shown.configuration_id) } }
                            td { (shown.state) }
                            td.number { (shown.lag()) }
                            td.number { (count(shown.in_flight)) }
                            td.number { (count(shown.waiting)) }
                            td.number.bad[shown.blocked > 0] { (count(shown.blocked)) }
                            td.number.bad[shown.dead_letters > 0] { (count(shown.dead_letters)) }
                            td.bad[shown.breaker.state != "closed"] { (shown.breaker.state) }
                        }
                    }
                }
            }
        }
    }
}

impl Shown {
    /// How many deliveries, or accounts, are where.
    fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("Attempts under way", self.in_flight),
            ("Accounts that wait for a retry", self.waiting),
            ("Accounts that are blocked", self.blocked),
            ("Dead letters", self.dead_letters),
            ("To be sent again", self.again),
        ]
    }

    /// How many events wait for a receiver, if there is none.
    pub(super) fn unreceived(&self) -> Option<u64> {
        (self.url.is_none() && self.cursor.is_some()).then_some(self.lag.events)
    }

    fn lag(&self) -> String {
        let Lag { events, seconds } = self.lag;
        if events == 0 { "none".to_owned() } else { format!("{} events, {seconds:.1} s", count(events)) }
    }
}

/// `/webhooks/{channel}`
pub(super) async fn channel(visit: &Visit, name: &str) -> Result<Answer, Trouble> {
    let name = known(name)?;
    let shown: Shown = visit.get(&format!("webhooks/{name}")).await?;
    let here = format!("/webhooks/{name}");
    let content = html! {
        h1 { (shown.configuration_id) }
        section #live hx-get=(here) hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live
            aria-label="How it is" { (facts(&shown)) }
        section aria-labelledby="act" {
            h2 #act { "Act" }
            (why_not(visit, Need::Operate))
            (switches(visit, &here, &shown))
            (redelivery(visit, &here))
        }
        (letters(visit, &here, name).await?)
        (deliveries::section(visit, name).await)
    };
    Ok(Answer::Page(Page { title: shown.configuration_id, at: "/webhooks", content }))
}

fn facts(shown: &Shown) -> Markup {
    html! {
        dl.facts {
            div { dt { "State" } dd {
                (shown.state)
                @if let Some(Paused { since, reason }) = &shown.paused { " since " (time(since)) ": " (reason) }
            } }
            div { dt { "Receiver" } dd {
                @match (&shown.url, shown.unreceived()) {
                    (Some(url), _) => code { (url) },
                    (None, Some(_)) => "none: what happens waits for one",
                    (None, None) => "none: nothing is sent",
                }
                @if let Some(from) = &shown.url_from { " (from the " (from) ")" }
            } }
            @if let Some(cursor) = &shown.cursor { div { dt { "Told up to position" } dd { (cursor) } } }
            div { dt { "Lag" } dd { (shown.lag()) } }
            div { dt { "The oldest that waits" } dd { @match &shown.oldest_pending {
                Some(oldest) => {
                    a href=(format!("/webhooks/{}/deliveries/{}", shown.channel, oldest.position)) { (oldest.position) }
                    " of " (account(&oldest.whats_app)) ", " (time(&oldest.time))
                    @if oldest.attempts > 0 { ", after attempt " (oldest.attempts) }
                    @if let Some(next) = &oldest.next { ", next " (time(next)) }
                },
                None => "none",
            } } }
            @for (name, number) in shown.counts() { div { dt { (name) } dd { (count(number)) } } }
            div { dt { "Breaker" } dd {
                (shown.breaker.state) @if let Some(until) = &shown.breaker.until { " until " (time(until)) }
            } }
            div { dt { "Attempts of the last five minutes" } dd {
                (count(shown.attempts)) ", of which " (count(shown.failed)) " failed"
            } }
            div { dt { "Sends" } dd { (shown.deliver) " states of an account" } }
            div { dt { "Signed" } dd {
                @for secret in &shown.signing.standard {
                    "with the secret " code { (secret.fingerprint) }
                    @if let Some(until) = &secret.until { " until " (time(until)) } "; "
                }
                @if let Some(tenant) = &shown.signing.tenant_id { "for the tenant " code { (tenant) } }
                @if shown.signing.standard.is_empty() && shown.signing.tenant_id.is_none() { "not" }
            } }
        }
    }
}

/// A button that sends an operator's order.
fn order(visit: &Visit, name: &str, what: &str) -> Markup {
    action(visit, Need::Operate, name, Some(("do", what)))
}

/// Two orders to choose from. The reason, a field with this id and placeholder, is for the second.
fn with_reason(visit: &Visit, legend: &str, first: &Markup, id: &str, placeholder: &str, second: &Markup) -> Markup {
    html! {
        fieldset disabled[visit.forbids(Need::Operate).is_some()] {
            legend { (legend) }
            (first)
            label for=(id) { "Reason" }
            input id=(id) name="reason" maxlength=(REMARK_BYTES) placeholder=(placeholder);
            (second)
        }
    }
}

fn switches(visit: &Visit, here: &str, shown: &Shown) -> Markup {
    html! {
        form method="post" action=(here) {
            fieldset {
                legend { "Sending" }
                @if shown.paused.is_none() {
                    label for="why" { "Reason" }
                    input #why name="reason" maxlength=(REMARK_BYTES) required placeholder="nothing is lost meanwhile"
                        disabled[visit.forbids(Need::Operate).is_some()];
                    (order(visit, "Pause", "pause"))
                } @else {
                    (order(visit, "Resume", "resume"))
                }
            }
        }
        @if shown.unreceived().is_some() {
            form method="post" action=(here) {
                (with_reason(visit, "Drop everything that waits for a receiver", &order(visit, "Count it", "count-waiting"),
                    "close-reason", "why it is dropped for good", &order(visit, "Close", "close")))
            }
        }
        form method="post" action=(here) {
            fieldset {
                legend { "The document's example, once" }
                (order(visit, "Send a test", "test"))
            }
        }
    }
}

fn redelivery(visit: &Visit, here: &str) -> Markup {
    let is_off = visit.forbids(Need::Operate).is_some();
    html! {
        form method="post" action=(here) {
            fieldset disabled[is_off] {
                legend { "Send again, under the same ids" }
                div { label for="again-account" { "Account" } input #again-account name="account" inputmode="numeric"; }
                div { label for="again-state" { "State" } (states("again-state", None)) }
                div { label for="again-since" { "Since" } input #again-since name="since" placeholder="2026-11-25"; }
                div { label for="again-until" { "Until" } input #again-until name="until" placeholder="2026-11-26"; }
                div { label for="again-from" { "From position" } input #again-from name="from" type="number" min="1"; }
                div { label for="again-to" { "To position" } input #again-to name="to" type="number" min="1"; }
                (order(visit, "Count them", "count"))
                (order(visit, "Send again", "redeliver"))
            }
        }
    }
}

async fn letters(visit: &Visit, here: &str, name: &str) -> Result<Markup, Trouble> {
    let cursor = visit.asked("letters");
    let path = format!("webhooks/{name}/dead-letters");
    let found: Letters = visit.get(&with_query(&path, &[("limit", Some(PAGE)), ("cursor", cursor)])).await?;
    Ok(html! {
        section aria-labelledby="dead" {
            h2 #dead { "Dead letters" }
            @if found.dead_letters.is_empty() { (nothing("There are none.")) } @else {
                form method="post" action=(here) {
                    (with_reason(visit, "With the selected ones", &order(visit, "Replay", "replay"), "drop-reason",
                        "why they are given up", &order(visit, "Drop", "drop")))
                    div.scroll tabindex="0" role="region" aria-label="Dead letters" {
                        table {
                            thead { tr {
                                th scope="col" {
                                    input type="checkbox" data-all aria-label="Select all of this page" hidden;
                                }
                                th.number scope="col" { "position" } th scope="col" { "account" } th scope="col" { "since" }
                                th.number scope="col" { "attempts" } th scope="col" { "the last failure" }
                            } }
                            tbody {
                                @for letter in &found.dead_letters {
                                    tr {
                                        td {
                                            input type="checkbox" name="position" value=(letter.position)
                                                aria-label=(format!("Select {}", letter.position));
                                        }
                                        td.number {
                                            a href=(format!("{here}/deliveries/{}", letter.position)) { (letter.position) }
                                        }
                                        td { (account(&letter.whats_app)) }
                                        td { (time(&letter.time)) }
                                        td.number { (letter.attempts) }
                                        td { (letter.failure) }
                                    }
                                }
                            }
                        }
                    }
                }
                @if let Some(next) = &found.next {
                    nav.ways aria-label="More dead letters" { a href=(format!("{here}?letters={next}#dead")) { "Later" } }
                }
            }
        }
    })
}

/// What a form of a webhook's page asks for.
pub(super) async fn act(visit: &Visit, name: &str) -> Result<Answer, Trouble> {
    let name = known(name)?;
    let (path, back) = (format!("webhooks/{name}"), format!("/webhooks/{name}"));
    let reason = visit.sent("reason").unwrap_or_default();
    let letters = || -> Result<Vec<&str>, Trouble> {
        let positions = visit.all_sent("position");
        if positions.is_empty() {
            Err(Trouble::wrong("No dead letter is selected; go back and select some."))
        } else {
            Ok(positions)
        }
    };
    let (title, asked, body) = match visit.sent("do") {
        Some("pause") => ("Paused", "pause", json!({"reason": reason})),
        Some("resume") => ("Resumed", "resume", Value::Null),
        Some("test") => ("Tested", "test", Value::Null),
        Some("count-waiting") => ("Would be dropped", "close", json!({"dryRun": true})),
        Some("close") => ("Dropped", "close", json!({"reason": reason})),
        Some("count") => ("Would be sent again", "redeliver", wanted(visit, true)),
        Some("redeliver") => ("Are sent again", "redeliver", wanted(visit, false)),
        Some("replay") => ("Are replayed", "dead-letters/replay", json!({"positions": letters()?})),
        Some("drop") => ("Dropped", "dead-letters/drop", json!({"positions": letters()?, "reason": reason})),
        Some(_) | None => return Err(Trouble::wrong("Say what is to be done.")),
    };
    let done = visit.send("POST", &format!("{path}/{asked}"), &body).await?;
    if matches!(asked, "pause" | "resume") {
        return Ok(Answer::To(back));
    }
    Ok(Answer::Page(orders::done(title, "/webhooks", &done, &back)))
}

/// What is to be sent again, as the form has it.
fn wanted(visit: &Visit, dry_run: bool) -> Value {
    let fields = ["account", "state", "since", "until", "from", "to"];
    let given = fields.into_iter().filter_map(|name| Some((name.to_owned(), Value::from(visit.sent(name)?))));
    let mut wanted: Map<String, Value> = given.collect();
    wanted.insert("dryRun".to_owned(), Value::from(dry_run));
    Value::Object(wanted)
}

/// The name of a webhook in a path, if it is one.
pub(super) fn known(name: &str) -> Result<&'static str, Trouble> {
    Channel::ALL.into_iter().map(Channel::short_name).find(|known| *known == name).ok_or_else(Trouble::no_page)
}
