//! `/webhooks`: how each of them is, what no attempt was left for, and what operators do about it.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::account_orders;
use super::components::{account_link, action_button, empty_note, format_count, permission_note, time_element};
use super::deliveries::{self, DELIVERIES_PER_PAGE, state_select};
use super::layout::{PageContent, PageResponse};
use super::page_request::{ConsolePageRequest, PageError, with_query};
use crate::domain::{Channel, Permission};
use crate::limits::OPERATOR_REASON_BYTES;

/// A webhook: `GET /webhooks/{channel}`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookJson {
    pub(super) channel: String,
    pub(super) configuration_id: String,
    pub(super) state: String,
    url: Option<String>,
    url_from: Option<String>,
    pub(super) paused: Option<PauseJson>,
    deliver: String,
    signing: SigningJson,
    cursor: Option<String>,
    lag: LagJson,
    oldest_pending: Option<OldestPendingJson>,
    in_flight: u64,
    waiting: u64,
    pub(super) blocked: u64,
    pub(super) dead_letters: u64,
    again: u64,
    pub(super) breaker: BreakerJson,
    attempts: u64,
    failed: u64,
}

#[derive(Deserialize)]
pub(super) struct PauseJson {
    since: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningJson {
    standard: Vec<SigningSecretJson>,
    tenant_id: Option<String>,
}

#[derive(Deserialize)]
struct SigningSecretJson {
    fingerprint: String,
    until: Option<String>,
}

#[derive(Deserialize)]
struct LagJson {
    events: u64,
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldestPendingJson {
    position: String,
    whats_app: String,
    time: String,
    attempts: u64,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct BreakerJson {
    pub(super) state: String,
    until: Option<String>,
}

/// `GET /webhooks`
#[derive(Deserialize)]
struct WebhookListJson {
    channels: Vec<WebhookJson>,
}

/// `GET /webhooks/{channel}/dead-letters`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetterPageJson {
    dead_letters: Vec<DeadLetterJson>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetterJson {
    position: String,
    whats_app: String,
    time: String,
    attempts: u64,
    failure: String,
}

/// `/webhooks`
pub(super) async fn page(visit: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let WebhookListJson { channels } = visit.get_json("webhooks").await?;
    let content = html! {
        h1 { "Webhooks" }
        section #live hx-get="/webhooks" hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live
            aria-label="How the webhooks are" { (webhook_table(&channels)) }
    };
    Ok(PageResponse::Page(PageContent { title: "Webhooks".to_owned(), nav_path: "/webhooks", content }))
}

/// All of them, a line each.
pub(super) fn webhook_table(channels: &[WebhookJson]) -> Markup {
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
                            td.number { (shown.lag_text()) }
                            td.number { (format_count(shown.in_flight)) }
                            td.number { (format_count(shown.waiting)) }
                            td.number.bad[shown.blocked > 0] { (format_count(shown.blocked)) }
                            td.number.bad[shown.dead_letters > 0] { (format_count(shown.dead_letters)) }
                            td.bad[shown.breaker.state != "closed"] { (shown.breaker.state) }
                        }
                    }
                }
            }
        }
    }
}

impl WebhookJson {
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
    pub(super) fn events_without_receiver(&self) -> Option<u64> {
        (self.url.is_none() && self.cursor.is_some()).then_some(self.lag.events)
    }

    fn lag_text(&self) -> String {
        let LagJson { events, seconds } = self.lag;
        if events == 0 { "none".to_owned() } else { format!("{} events, {seconds:.1} s", format_count(events)) }
    }
}

/// `/webhooks/{channel}`
pub(super) async fn channel_page(visit: &ConsolePageRequest, name: &str) -> Result<PageResponse, PageError> {
    let name = parse_channel_name(name)?;
    let shown: WebhookJson = visit.get_json(&format!("webhooks/{name}")).await?;
    let here = format!("/webhooks/{name}");
    let content = html! {
        h1 { (shown.configuration_id) }
        section #live hx-get=(here) hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live
            aria-label="How it is" { (channel_fields(&shown)) }
        section aria-labelledby="act" {
            h2 #act { "Act" }
            (permission_note(visit, Permission::Operate))
            (channel_actions(visit, &here, &shown))
            (redelivery_form(visit, &here))
        }
        (dead_letters_section(visit, &here, name).await?)
        (deliveries::deliveries_section(visit, name).await)
    };
    Ok(PageResponse::Page(PageContent { title: shown.configuration_id, nav_path: "/webhooks", content }))
}

fn channel_fields(shown: &WebhookJson) -> Markup {
    html! {
        dl.facts {
            div { dt { "State" } dd {
                (shown.state)
                @if let Some(PauseJson { since, reason }) = &shown.paused { " since " (time_element(since)) ": " (reason) }
            } }
            div { dt { "Receiver" } dd {
                @match (&shown.url, shown.events_without_receiver()) {
                    (Some(url), _) => code { (url) },
                    (None, Some(_)) => "none: what happens waits for one",
                    (None, None) => "none: nothing is sent",
                }
                @if let Some(from) = &shown.url_from { " (from the " (from) ")" }
            } }
            @if let Some(cursor) = &shown.cursor { div { dt { "Told up to position" } dd { (cursor) } } }
            div { dt { "Lag" } dd { (shown.lag_text()) } }
            div { dt { "The oldest that waits" } dd { @match &shown.oldest_pending {
                Some(oldest) => {
                    a href=(format!("/webhooks/{}/deliveries/{}", shown.channel, oldest.position)) { (oldest.position) }
                    " of " (account_link(&oldest.whats_app)) ", " (time_element(&oldest.time))
                    @if oldest.attempts > 0 { ", after attempt " (oldest.attempts) }
                    @if let Some(next) = &oldest.next { ", next " (time_element(next)) }
                },
                None => "none",
            } } }
            @for (name, number) in shown.counts() { div { dt { (name) } dd { (format_count(number)) } } }
            div { dt { "Breaker" } dd {
                (shown.breaker.state) @if let Some(until) = &shown.breaker.until { " until " (time_element(until)) }
            } }
            div { dt { "Attempts of the last five minutes" } dd {
                (format_count(shown.attempts)) ", of which " (format_count(shown.failed)) " failed"
            } }
            div { dt { "Sends" } dd { (shown.deliver) " states of an account" } }
            div { dt { "Signed" } dd {
                @for secret in &shown.signing.standard {
                    "with the secret " code { (secret.fingerprint) }
                    @if let Some(until) = &secret.until { " until " (time_element(until)) } "; "
                }
                @if let Some(tenant) = &shown.signing.tenant_id { "for the tenant " code { (tenant) } }
                @if shown.signing.standard.is_empty() && shown.signing.tenant_id.is_none() { "not" }
            } }
        }
    }
}

fn order(visit: &ConsolePageRequest, name: &str, what: &str) -> Markup {
    action_button(visit, Permission::Operate, name, Some(("do", what)))
}

/// Two orders to choose from. The reason, a field with this id and placeholder, is for the second.
fn with_reason(
    visit: &ConsolePageRequest,
    legend: &str,
    first: &Markup,
    (id, placeholder): (&str, &str),
    second: &Markup,
) -> Markup {
    html! {
        fieldset disabled[visit.permission_error(Permission::Operate).is_some()] {
            legend { (legend) }
            (first)
            label for=(id) { "Reason" }
            input id=(id) name="reason" maxlength=(OPERATOR_REASON_BYTES) placeholder=(placeholder);
            (second)
        }
    }
}

fn channel_actions(visit: &ConsolePageRequest, here: &str, shown: &WebhookJson) -> Markup {
    html! {
        form method="post" action=(here) {
            fieldset {
                legend { "Sending" }
                @if shown.paused.is_none() {
                    label for="why" { "Reason" }
                    input #why name="reason" maxlength=(OPERATOR_REASON_BYTES) required placeholder="nothing is lost meanwhile"
                        disabled[visit.permission_error(Permission::Operate).is_some()];
                    (order(visit, "Pause", "pause"))
                } @else {
                    (order(visit, "Resume", "resume"))
                }
            }
        }
        @if shown.events_without_receiver().is_some() {
            form method="post" action=(here) {
                (with_reason(visit, "Drop everything that waits for a receiver", &order(visit, "Count it", "count-waiting"),
                    ("close-reason", "why it is dropped for good"), &order(visit, "Close", "close")))
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

fn redelivery_form(visit: &ConsolePageRequest, here: &str) -> Markup {
    let is_off = visit.permission_error(Permission::Operate).is_some();
    html! {
        form method="post" action=(here) {
            fieldset disabled[is_off] {
                legend { "Send again, under the same ids" }
                div { label for="again-account" { "Account" } input #again-account name="account" inputmode="numeric"; }
                div { label for="again-state" { "State" } (state_select("again-state", None)) }
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

async fn dead_letters_section(visit: &ConsolePageRequest, here: &str, name: &str) -> Result<Markup, PageError> {
    let cursor = visit.query_value("letters");
    let path = format!("webhooks/{name}/dead-letters");
    let found: DeadLetterPageJson =
        visit.get_json(&with_query(&path, &[("limit", Some(DELIVERIES_PER_PAGE)), ("cursor", cursor)])).await?;
    Ok(html! {
        section aria-labelledby="dead" {
            h2 #dead { "Dead letters" }
            @if found.dead_letters.is_empty() { (empty_note("There are none.")) } @else {
                form method="post" action=(here) {
                    (with_reason(visit, "With the selected ones", &order(visit, "Replay", "replay"),
                        ("drop-reason", "why they are given up"), &order(visit, "Drop", "drop")))
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
                                        td { (account_link(&letter.whats_app)) }
                                        td { (time_element(&letter.time)) }
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
pub(super) async fn submit_action(visit: &ConsolePageRequest, name: &str) -> Result<PageResponse, PageError> {
    let name = parse_channel_name(name)?;
    let (path, back) = (format!("webhooks/{name}"), format!("/webhooks/{name}"));
    let reason = visit.form_value("reason").unwrap_or_default();
    let letters = || -> Result<Vec<&str>, PageError> {
        let positions = visit.form_values("position");
        if positions.is_empty() {
            Err(PageError::bad_request("No dead letter is selected; go back and select some."))
        } else {
            Ok(positions)
        }
    };
    let (title, asked, body) = match visit.form_value("do") {
        Some("pause") => ("Paused", "pause", json!({"reason": reason})),
        Some("resume") => ("Resumed", "resume", Value::Null),
        Some("test") => ("Tested", "test", Value::Null),
        Some("count-waiting") => ("Would be dropped", "close", json!({"dryRun": true})),
        Some("close") => ("Dropped", "close", json!({"reason": reason})),
        Some("count") => ("Would be sent again", "redeliver", redelivery_request(visit, true)),
        Some("redeliver") => ("Are sent again", "redeliver", redelivery_request(visit, false)),
        Some("replay") => ("Are replayed", "dead-letters/replay", json!({"positions": letters()?})),
        Some("drop") => ("Dropped", "dead-letters/drop", json!({"positions": letters()?, "reason": reason})),
        Some(_) | None => return Err(PageError::bad_request("Say what is to be done.")),
    };
    let done = visit.send_json("POST", &format!("{path}/{asked}"), &body).await?;
    if matches!(asked, "pause" | "resume") {
        return Ok(PageResponse::Redirect(back));
    }
    Ok(PageResponse::Page(account_orders::result_page(title, "/webhooks", &done, &back)))
}

/// What is to be sent again, as the form has it.
fn redelivery_request(visit: &ConsolePageRequest, dry_run: bool) -> Value {
    let fields = ["account", "state", "since", "until", "from", "to"];
    let given = fields.into_iter().filter_map(|name| Some((name.to_owned(), Value::from(visit.form_value(name)?))));
    let mut wanted: Map<String, Value> = given.collect();
    wanted.insert("dryRun".to_owned(), Value::from(dry_run));
    Value::Object(wanted)
}

/// The name of a webhook in a path, if it is one.
pub(super) fn parse_channel_name(name: &str) -> Result<&'static str, PageError> {
    Channel::ALL.into_iter().map(Channel::short_name).find(|known| *known == name).ok_or_else(PageError::not_found)
}
