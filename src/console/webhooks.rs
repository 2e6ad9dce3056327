//! `/webhooks`: status of the channels, dead letters, and actions of operators.

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

/// `GET /webhooks/{channel}`
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
pub(super) async fn page(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let WebhookListJson { channels } = request.get_json("webhooks").await?;
    let content = html! {
        h1 { "Webhooks" }
        section #live hx-get="/webhooks" hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live
            aria-label="How the webhooks are" { (webhook_table(&channels)) }
    };
    Ok(PageResponse::Page(PageContent { title: "Webhooks".to_owned(), nav_path: "/webhooks", content }))
}

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
                    @for channel in channels {
                        tr {
                            td { a href=(format!("/webhooks/{}", channel.channel)) { (channel.configuration_id) } }
                            td { (channel.state) }
                            td.number { (channel.lag_text()) }
                            td.number { (format_count(channel.in_flight)) }
                            td.number { (format_count(channel.waiting)) }
                            td.number.bad[channel.blocked > 0] { (format_count(channel.blocked)) }
                            td.number.bad[channel.dead_letters > 0] { (format_count(channel.dead_letters)) }
                            td.bad[channel.breaker.state != "closed"] { (channel.breaker.state) }
                        }
                    }
                }
            }
        }
    }
}

impl WebhookJson {
    /// The number of deliveries or accounts in each state.
    fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("Attempts under way", self.in_flight),
            ("Accounts that wait for a retry", self.waiting),
            ("Accounts that are blocked", self.blocked),
            ("Dead letters", self.dead_letters),
            ("To be sent again", self.again),
        ]
    }

    /// The number of events that wait for a receiver; `None` if there is one.
    pub(super) fn events_without_receiver(&self) -> Option<u64> {
        (self.url.is_none() && self.cursor.is_some()).then_some(self.lag.events)
    }

    fn lag_text(&self) -> String {
        let LagJson { events, seconds } = self.lag;
        if events == 0 { "none".to_owned() } else { format!("{} events, {seconds:.1} s", format_count(events)) }
    }
}

/// `/webhooks/{channel}`
pub(super) async fn channel_page(request: &ConsolePageRequest, name: &str) -> Result<PageResponse, PageError> {
    let name = parse_channel_name(name)?;
    let channel: WebhookJson = request.get_json(&format!("webhooks/{name}")).await?;
    let page_url = format!("/webhooks/{name}");
    let content = html! {
        h1 { (channel.configuration_id) }
        section #live hx-get=(page_url) hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live
            aria-label="How it is" { (channel_fields(&channel)) }
        section aria-labelledby="act" {
            h2 #act { "Act" }
            (permission_note(request, Permission::Operate))
            (channel_actions(request, &page_url, &channel))
            (redelivery_form(request, &page_url))
        }
        (dead_letters_section(request, &page_url, name).await?)
        (deliveries::deliveries_section(request, name).await)
    };
    Ok(PageResponse::Page(PageContent { title: channel.configuration_id, nav_path: "/webhooks", content }))
}

fn channel_fields(channel: &WebhookJson) -> Markup {
    html! {
        dl.facts {
            div { dt { "State" } dd {
                (channel.state)
                @if let Some(PauseJson { since, reason }) = &channel.paused { " since " (time_element(since)) ": " (reason) }
            } }
            div { dt { "Receiver" } dd {
                @match (&channel.url, channel.events_without_receiver()) {
                    (Some(url), _) => code { (url) },
                    (None, Some(_)) => "none: what happens waits for one",
                    (None, None) => "none: nothing is sent",
                }
                @if let Some(from) = &channel.url_from { " (from the " (from) ")" }
            } }
            @if let Some(cursor) = &channel.cursor { div { dt { "Told up to position" } dd { (cursor) } } }
            div { dt { "Lag" } dd { (channel.lag_text()) } }
            div { dt { "The oldest that waits" } dd { @match &channel.oldest_pending {
                Some(oldest) => {
                    a href=(format!("/webhooks/{}/deliveries/{}", channel.channel, oldest.position)) { (oldest.position) }
                    " of " (account_link(&oldest.whats_app)) ", " (time_element(&oldest.time))
                    @if oldest.attempts > 0 { ", after attempt " (oldest.attempts) }
                    @if let Some(next) = &oldest.next { ", next " (time_element(next)) }
                },
                None => "none",
            } } }
            @for (name, number) in channel.counts() { div { dt { (name) } dd { (format_count(number)) } } }
            div { dt { "Breaker" } dd {
                (channel.breaker.state) @if let Some(until) = &channel.breaker.until { " until " (time_element(until)) }
            } }
            div { dt { "Attempts of the last five minutes" } dd {
                (format_count(channel.attempts)) ", of which " (format_count(channel.failed)) " failed"
            } }
            div { dt { "Sends" } dd { (channel.deliver) " states of an account" } }
            div { dt { "Signed" } dd {
                @for secret in &channel.signing.standard {
                    "with the secret " code { (secret.fingerprint) }
                    @if let Some(until) = &secret.until { " until " (time_element(until)) } "; "
                }
                @if let Some(tenant) = &channel.signing.tenant_id { "for the tenant " code { (tenant) } }
                @if channel.signing.standard.is_empty() && channel.signing.tenant_id.is_none() { "not" }
            } }
        }
    }
}

fn order(request: &ConsolePageRequest, name: &str, what: &str) -> Markup {
    action_button(request, Permission::Operate, name, Some(("do", what)))
}

/// A choice of two actions. The reason field, with this id and placeholder, belongs to the second.
fn with_reason(
    request: &ConsolePageRequest,
    legend: &str,
    first: &Markup,
    (id, placeholder): (&str, &str),
    second: &Markup,
) -> Markup {
    html! {
        fieldset disabled[request.permission_error(Permission::Operate).is_some()] {
            legend { (legend) }
            (first)
            label for=(id) { "Reason" }
            input id=(id) name="reason" maxlength=(OPERATOR_REASON_BYTES) placeholder=(placeholder);
            (second)
        }
    }
}

fn channel_actions(request: &ConsolePageRequest, page_url: &str, channel: &WebhookJson) -> Markup {
    html! {
        form method="post" action=(page_url) {
            fieldset {
                legend { "Sending" }
                @if channel.paused.is_none() {
                    label for="why" { "Reason" }
                    input #why name="reason" maxlength=(OPERATOR_REASON_BYTES) required placeholder="nothing is lost meanwhile"
                        disabled[request.permission_error(Permission::Operate).is_some()];
                    (order(request, "Pause", "pause"))
                } @else {
                    (order(request, "Resume", "resume"))
                }
            }
        }
        @if channel.events_without_receiver().is_some() {
            form method="post" action=(page_url) {
                (with_reason(request, "Drop everything that waits for a receiver", &order(request, "Count it", "count-waiting"),
                    ("close-reason", "why it is dropped for good"), &order(request, "Close", "close")))
            }
        }
        form method="post" action=(page_url) {
            fieldset {
                legend { "The document's example, once" }
                (order(request, "Send a test", "test"))
            }
        }
    }
}

fn redelivery_form(request: &ConsolePageRequest, page_url: &str) -> Markup {
    let is_off = request.permission_error(Permission::Operate).is_some();
    html! {
        form method="post" action=(page_url) {
            fieldset disabled[is_off] {
                legend { "Send again, under the same ids" }
                div { label for="again-account" { "Account" } input #again-account name="account" inputmode="numeric"; }
                div { label for="again-state" { "State" } (state_select("again-state", None)) }
                div { label for="again-since" { "Since" } input #again-since name="since" placeholder="2026-11-25"; }
                div { label for="again-until" { "Until" } input #again-until name="until" placeholder="2026-11-26"; }
                div { label for="again-from" { "From position" } input #again-from name="from" type="number" min="1"; }
                div { label for="again-to" { "To position" } input #again-to name="to" type="number" min="1"; }
                (order(request, "Count them", "count"))
                (order(request, "Send again", "redeliver"))
            }
        }
    }
}

async fn dead_letters_section(request: &ConsolePageRequest, page_url: &str, name: &str) -> Result<Markup, PageError> {
    let cursor = request.query_value("letters");
    let path = format!("webhooks/{name}/dead-letters");
    let found: DeadLetterPageJson =
        request.get_json(&with_query(&path, &[("limit", Some(DELIVERIES_PER_PAGE)), ("cursor", cursor)])).await?;
    Ok(html! {
        section aria-labelledby="dead" {
            h2 #dead { "Dead letters" }
            @if found.dead_letters.is_empty() { (empty_note("There are none.")) } @else {
                form method="post" action=(page_url) {
                    (with_reason(request, "With the selected ones", &order(request, "Replay", "replay"),
                        ("drop-reason", "why they are given up"), &order(request, "Drop", "drop")))
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
                                            a href=(format!("{page_url}/deliveries/{}", letter.position)) { (letter.position) }
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
                    nav.ways aria-label="More dead letters" { a href=(format!("{page_url}?letters={next}#dead")) { "Later" } }
                }
            }
        }
    })
}

/// Carries out the action of a channel's form.
pub(super) async fn submit_action(request: &ConsolePageRequest, name: &str) -> Result<PageResponse, PageError> {
    let name = parse_channel_name(name)?;
    let (path, back) = (format!("webhooks/{name}"), format!("/webhooks/{name}"));
    let reason = request.form_value("reason").unwrap_or_default();
    let letters = || -> Result<Vec<&str>, PageError> {
        let positions = request.form_values("position");
        if positions.is_empty() {
            Err(PageError::bad_request("No dead letter is selected; go back and select some."))
        } else {
            Ok(positions)
        }
    };
    let (title, action, body) = match request.form_value("do") {
        Some("pause") => ("Paused", "pause", json!({"reason": reason})),
        Some("resume") => ("Resumed", "resume", Value::Null),
        Some("test") => ("Tested", "test", Value::Null),
        Some("count-waiting") => ("Would be dropped", "close", json!({"dryRun": true})),
        Some("close") => ("Dropped", "close", json!({"reason": reason})),
        Some("count") => ("Would be sent again", "redeliver", redelivery_request(request, true)),
        Some("redeliver") => ("Are sent again", "redeliver", redelivery_request(request, false)),
        Some("replay") => ("Are replayed", "dead-letters/replay", json!({"positions": letters()?})),
        Some("drop") => ("Dropped", "dead-letters/drop", json!({"positions": letters()?, "reason": reason})),
        Some(_) | None => return Err(PageError::bad_request("Say what is to be done.")),
    };
    let done = request.send_json("POST", &format!("{path}/{action}"), &body).await?;
    if matches!(action, "pause" | "resume") {
        return Ok(PageResponse::Redirect(back));
    }
    Ok(PageResponse::Page(account_orders::result_page(title, "/webhooks", &done, &back)))
}

/// The body of a redelivery request, from the form.
fn redelivery_request(request: &ConsolePageRequest, dry_run: bool) -> Value {
    let fields = ["account", "state", "since", "until", "from", "to"];
    let given = fields.into_iter().filter_map(|name| Some((name.to_owned(), Value::from(request.form_value(name)?))));
    let mut wanted: Map<String, Value> = given.collect();
    wanted.insert("dryRun".to_owned(), Value::from(dry_run));
    Value::Object(wanted)
}

/// The name of the channel in a path, if there is such a channel.
pub(super) fn parse_channel_name(name: &str) -> Result<&'static str, PageError> {
    Channel::ALL.into_iter().map(Channel::short_name).find(|known| *known == name).ok_or_else(PageError::not_found)
}
