//! `/webhooks`: status of the channels, dead letters, and actions of operators.

use maud::{Markup, Render, html};
use serde::Serialize;

use super::components::{account_link, bad_if, empty_note, format_count, live_part, time_element, value_text};
use super::deliveries::{self, DELIVERIES_PER_PAGE, delivery_link, state_select};
use super::forms::{action_button, permission_note, reason_field};
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, parse_channel};
use super::table::TableBuilder;
use super::webhook_resync::{resync_form, submit_resync};
use crate::api::webhook_requests::{CloseRequest, DeadLetterRequest, PauseRequest, Position, RedeliverRequest};
use crate::api::webhooks::{self, ChannelList};
use crate::api::{Parameters, Problem, operation};
use crate::domain::{Channel, Permission};
use crate::webhooks::{ChannelView, DeadLetterView, LagView, PausedView};

/// `/webhooks`
pub(super) async fn page(request: &ConsoleRequest) -> PageResult {
    let call = request.call(operation::SHOW_WEBHOOKS)?;
    let ChannelList { channels } = webhooks::show_webhooks(&call).await?;
    let content = html! {
        h1 { "Webhooks" }
        section aria-label="State of the webhooks" { (live_part("live", "/webhooks", channel_table(&channels))) }
    };
    Ok(PageResponse::page("Webhooks", "/webhooks", content))
}

/// The channels with their state.
pub(super) fn channel_table(channels: &[ChannelView]) -> impl Render {
    TableBuilder::new("Webhooks", channels)
        .text("webhook", |it| html! { a href=(format!("/webhooks/{}", it.channel)) { (it.configuration_id) } })
        .text("state", |it| it.state)
        .number("lag", lag_text)
        .number("in flight", |it| format_count(it.in_flight as u64))
        .number("waiting", |it| format_count(it.waiting))
        .number("blocked", |it| bad_if(it.blocked > 0, format_count(it.blocked)))
        .number("dead", |it| bad_if(it.dead_letters > 0, format_count(it.dead_letters)))
        .text("breaker", |it| bad_if(it.breaker.state != "closed", it.breaker.state))
}

/// The number of deliveries or accounts in each state.
fn state_counts(channel: &ChannelView) -> [(&'static str, u64); 5] {
    [
        ("Attempts in flight", channel.in_flight as u64),
        ("Accounts waiting for a retry", channel.waiting),
        ("Accounts blocked", channel.blocked),
        ("Dead letters", channel.dead_letters),
        ("Redeliveries", channel.again),
    ]
}

/// The number of events that wait for a receiver; `None` if there is one, or if the channel keeps no events.
pub(super) fn events_without_receiver(channel: &ChannelView) -> Option<u64> {
    (channel.url.is_none() && channel.cursor.is_some()).then_some(channel.lag.events)
}

fn lag_text(channel: &ChannelView) -> String {
    let LagView { events, seconds } = channel.lag;
    if events == 0 { "none".to_owned() } else { format!("{} events, {seconds:.1} s", format_count(events)) }
}

/// `/webhooks/{channel}`
pub(super) async fn channel_page(request: &ConsoleRequest, name: &str) -> PageResult {
    let channel = parse_channel(name)?;
    let call = request.call(operation::SHOW_WEBHOOK)?;
    let view = webhooks::show_webhook(&call, channel).await?;
    let page_url = format!("/webhooks/{name}");
    let content = html! {
        h1 { (view.configuration_id) }
        section aria-label="State" { (live_part("live", &page_url, channel_fields(&view))) }
        section aria-labelledby="act" {
            h2 #act { "Actions" }
            (permission_note(request, Permission::Operate))
            (channel_actions(request, &page_url, &view))
            (redelivery_form(request, &page_url))
            (resync_form(request, &page_url))
        }
        (dead_letters_section(request, &page_url, channel).await?)
        (deliveries::deliveries_section(request, channel).await)
    };
    Ok(PageResponse::page(view.configuration_id, "/webhooks", content))
}

fn channel_fields(channel: &ChannelView) -> Markup {
    html! {
        dl.facts {
            div { dt { "State" } dd {
                (channel.state)
                @if let Some(PausedView { since, reason }) = &channel.paused { " since " (time_element(since)) ": " (reason) }
            } }
            div { dt { "Receiver" } dd {
                @match (&channel.url, events_without_receiver(channel)) {
                    (Some(url), _) => code { (url) },
                    (None, Some(_)) => "none: events wait for one",
                    (None, None) => "none: events are not sent",
                }
                @if let Some(from) = &channel.url_from { " (from the " (from) ")" }
            } }
            @if let Some(cursor) = &channel.cursor { div { dt { "Delivered up to position" } dd { (cursor) } } }
            div { dt { "Lag" } dd { (lag_text(channel)) } }
            div { dt { "Oldest pending delivery" } dd { @match &channel.oldest_pending {
                Some(oldest) => {
                    a href=(format!("/webhooks/{}/deliveries/{}", channel.channel, oldest.position)) { (oldest.position) }
                    " of " (account_link(&oldest.whats_app)) ", " (time_element(&oldest.time))
                    @if oldest.attempts > 0 { ", after attempt " (oldest.attempts) }
                    @if let Some(next) = &oldest.next { ", next " (time_element(next)) }
                },
                None => "none",
            } } }
            @for (name, number) in state_counts(channel) { div { dt { (name) } dd { (format_count(number)) } } }
            div { dt { "Circuit breaker" } dd {
                (channel.breaker.state) @if let Some(until) = &channel.breaker.until { " until " (time_element(until)) }
            } }
            div { dt { "Attempts in the last five minutes" } dd {
                (format_count(channel.attempts)) ", " (format_count(channel.failed)) " failed"
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

/// A button that submits an action of the form.
fn operate_button(request: &ConsoleRequest, name: &str, action: &str) -> Markup {
    action_button(request, Permission::Operate, name, Some(("do", action)))
}

fn channel_actions(request: &ConsoleRequest, page_url: &str, channel: &ChannelView) -> Markup {
    html! {
        form method="post" action=(page_url) {
            fieldset {
                legend { "Sending" }
                @if channel.paused.is_none() {
                    (reason_field(request, "why", "nothing is lost", true))
                    (operate_button(request, "Pause", "pause"))
                } @else {
                    (operate_button(request, "Resume", "resume"))
                }
            }
        }
        @if events_without_receiver(channel).is_some() {
            form method="post" action=(page_url) {
                fieldset {
                    legend { "Drop all pending events" }
                    (operate_button(request, "Count", "count-waiting"))
                    (reason_field(request, "close-reason", "why they are dropped for good", false))
                    (operate_button(request, "Close", "close"))
                }
            }
        }
        form method="post" action=(page_url) {
            fieldset {
                legend { "Test with the document's example" }
                (operate_button(request, "Send test", "test"))
            }
        }
    }
}

fn redelivery_form(request: &ConsoleRequest, page_url: &str) -> Markup {
    let is_off = request.permission_error(Permission::Operate).is_some();
    html! {
        form method="post" action=(page_url) {
            fieldset disabled[is_off] {
                legend { "Redeliver, with the same webhook ids" }
                div { label for="again-account" { "Account" } input #again-account name="account" inputmode="numeric"; }
                div { label for="again-state" { "State" } (state_select("again-state", None)) }
                div { label for="again-since" { "Since" } input #again-since name="since" placeholder="2026-11-25"; }
                div { label for="again-until" { "Until" } input #again-until name="until" placeholder="2026-11-26"; }
                div { label for="again-from" { "From position" } input #again-from name="from" inputmode="numeric"; }
                div { label for="again-to" { "To position" } input #again-to name="to" inputmode="numeric"; }
                (operate_button(request, "Count", "count"))
                (operate_button(request, "Redeliver", "redeliver"))
            }
        }
    }
}

async fn dead_letters_section(request: &ConsoleRequest, page_url: &str, channel: Channel) -> Result<Markup, Problem> {
    let cursor = Parameters::from_fields([("cursor", request.query_value("letters"))]).event_id("cursor")?;
    let call = request.call(operation::LIST_DEAD_LETTERS)?;
    let found = webhooks::list_dead_letters(&call, channel, cursor, DELIVERIES_PER_PAGE).await?;
    Ok(html! {
        section aria-labelledby="dead" {
            h2 #dead { "Dead letters" }
            @if found.dead_letters.is_empty() { (empty_note("There are none.")) } @else {
                form method="post" action=(page_url) {
                    fieldset {
                        legend { "Selected dead letters" }
                        (operate_button(request, "Replay", "replay"))
                        (reason_field(request, "drop-reason", "why they are dropped", false))
                        (operate_button(request, "Drop", "drop"))
                    }
                    (dead_letter_table(page_url, &found.dead_letters))
                }
                @if let Some(next) = &found.next {
                    nav.ways aria-label="More dead letters" { a href=(format!("{page_url}?letters={next}#dead")) { "Next" } }
                }
            }
        }
    })
}

fn dead_letter_table(page_url: &str, letters: &[DeadLetterView]) -> impl Render {
    TableBuilder::new("Dead letters", letters)
        .select_boxes("Select all on this page", "position", |it| &it.position)
        .number("position", |it| delivery_link(page_url, &it.position))
        .text("account", |it| account_link(&it.whats_app))
        .text("since", |it| time_element(&it.time))
        .number("attempts", |it| it.attempts)
        .text("last failure", |it| &it.failure)
}

/// Carries out the action of a channel's form.
pub(super) async fn submit_action(request: &ConsoleRequest, name: &str) -> PageResult {
    let (channel, back) = (parse_channel(name)?, format!("/webhooks/{name}"));
    let call = |operation| request.call(operation);
    let action = request.form_value("do");
    if let Some(resynced) = submit_resync(request, channel, action, &back).await {
        return resynced;
    }
    Ok(match action {
        Some("pause") => {
            let wanted = PauseRequest { reason: request.reason() };
            webhooks::pause_webhook(&call(operation::PAUSE_WEBHOOK)?, channel, wanted).await?;
            PageResponse::Redirect(back)
        }
        Some("resume") => {
            webhooks::resume_webhook(&call(operation::RESUME_WEBHOOK)?, channel).await?;
            PageResponse::Redirect(back)
        }
        Some("test") => {
            let attempt = webhooks::test_receiver(&call(operation::TEST_RECEIVER)?, channel).await?;
            action_result("Tested", &attempt, &back)
        }
        Some(action @ ("count-waiting" | "close")) => {
            let dry_run = action == "count-waiting";
            let wanted = CloseRequest { reason: Some(request.reason()), dry_run };
            let closed = webhooks::close_webhook(&call(operation::CLOSE_WEBHOOK)?, channel, wanted).await?;
            action_result(if dry_run { "Would be dropped" } else { "Dropped" }, &closed, &back)
        }
        Some(action @ ("count" | "redeliver")) => {
            let wanted = redelivery_request(request, action == "count")?;
            let title = if wanted.dry_run { "Would be redelivered" } else { "Redelivery started" };
            let sent = webhooks::redeliver(&call(operation::REDELIVER)?, channel, wanted).await?;
            action_result(title, &sent, &back)
        }
        Some("replay") => {
            let (call, letters) = (call(operation::REPLAY_DEAD_LETTERS)?, selected_letters(request, None)?);
            let replayed = webhooks::replay_dead_letters(&call, channel, letters).await?;
            action_result("Replay started", &replayed, &back)
        }
        Some("drop") => {
            let (call, reason) = (call(operation::DROP_DEAD_LETTERS)?, request.reason());
            let letters = selected_letters(request, Some(reason))?;
            let dropped = webhooks::drop_dead_letters(&call, channel, letters).await?;
            action_result("Dropped", &dropped, &back)
        }
        Some(_) | None => return Err(Problem::malformed("Choose an action.")),
    })
}

/// The result page of an action: the API's answer, field by field.
fn action_result(title: &str, answer: &impl Serialize, back: &str) -> PageResponse {
    let answer = serde_json::to_value(answer).unwrap_or_default();
    let content = html! {
        h1 { (title) }
        dl.facts {
            @for (name, value) in answer.as_object().into_iter().flatten() {
                div { dt { (name) } dd { (value_text(value)) } }
            }
        }
        p { a href=(back) { "Back" } }
    };
    PageResponse::page(title, "/webhooks", content)
}

/// The dead letters that the form selects.
fn selected_letters(request: &ConsoleRequest, reason: Option<String>) -> Result<DeadLetterRequest, Problem> {
    let parse = |text: &str| text.parse().map(Position);
    let positions: Result<Vec<Position>, _> = request.form_values("position").into_iter().map(parse).collect();
    match positions {
        Ok(positions) if !positions.is_empty() => Ok(DeadLetterRequest { positions, up_to: None, all: false, reason }),
        Ok(_) | Err(_) => Err(Problem::malformed("Select at least one dead letter: go back and select it.")),
    }
}

/// The deliveries that the form describes.
fn redelivery_request(request: &ConsoleRequest, dry_run: bool) -> Result<RedeliverRequest, Problem> {
    let positions = Parameters::from_fields(["from", "to"].map(|name| (name, request.form_value(name))));
    let text = |name| request.form_value(name).map(str::to_owned);
    Ok(RedeliverRequest {
        account: text("account"),
        state: text("state"),
        since: text("since"),
        until: text("until"),
        from: positions.event_id("from")?.map(Position),
        to: positions.event_id("to")?.map(Position),
        dry_run,
    })
}
