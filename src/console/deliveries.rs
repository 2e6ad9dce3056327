//! Webhook deliveries: lists, and each delivery with every attempt.

use maud::{Markup, Render, html};

use super::components::{account_link, bad_if, empty_note, error_note, live_part, page_links, time_element};
use super::forms::{action_button, permission_note, select};
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, parse_channel, parse_segment, with_query};
use super::table::TableBuilder;
use crate::api::webhooks::{self, DeliveryPage};
use crate::api::{AccountSelection, Parameters, Problem, operation};
use crate::domain::{AccountNumber, Channel, EventId, Permission};
use crate::webhooks::{AttemptView, DeliveryState, DeliveryView};

/// Deliveries on one page.
pub(super) const DELIVERIES_PER_PAGE: usize = 25;
/// Deliveries of each channel on the page of an account.
const DELIVERIES_OF_ACCOUNT: usize = 5;

/// The section of deliveries on the page of a channel.
pub(super) async fn deliveries_section(request: &ConsoleRequest, channel: Channel) -> Markup {
    let parameters = request.parameters(&["account", "state", "since", "until", "cursor"]);
    let found = list_deliveries(request, channel, &parameters, DELIVERIES_PER_PAGE).await;
    let value = |name: &str| request.query_value(name);
    let (page_url, limit) = (format!("/webhooks/{}", channel.short_name()), DELIVERIES_PER_PAGE.to_string());
    let url = |cursor: Option<&str>| {
        let filters = ["account", "state", "since", "until"].map(|name| (name, value(name)));
        let page = [("limit", Some(limit.as_str())), ("cursor", cursor)];
        with_query(&page_url, filters.into_iter().chain(page)) + "#deliveries"
    };
    html! {
        section aria-labelledby="deliveries" {
            h2 #deliveries { "Deliveries" }
            form.filter method="get" action={ (page_url) "#deliveries" } {
                div { label for="account" { "Account" } input #account name="account" inputmode="numeric" value=[value("account")]; }
                div { label for="state" { "State" } (state_select("state", value("state"))) }
                div { label for="since" { "Since" } input #since name="since" value=[value("since")] placeholder="2026-11-25"; }
                div { label for="until" { "Until" } input #until name="until" value=[value("until")] placeholder="2026-11-26"; }
                div { button { "Show" } }
            }
            @match &found {
                Err(error) => (error_note(error)),
                Ok(found) => {
                    @if found.deliveries.is_empty() { (empty_note("No delivery matches.")) } @else { (delivery_table(&page_url, &found.deliveries)) }
                    (page_links("Pages of the deliveries", &[
                        ("Newest", value("cursor").map(|_| url(None))),
                        ("Older", found.next.as_deref().map(|next| url(Some(next)))),
                    ]))
                }
            }
        }
    }
}

async fn list_deliveries(
    request: &ConsoleRequest,
    channel: Channel,
    parameters: &Parameters<'_>,
    limit: usize,
) -> Result<DeliveryPage, Problem> {
    let (filter, cursor) = (webhooks::parse_delivery_filter(parameters)?, parameters.event_id("cursor")?);
    let call = request.call_on(operation::LIST_DELIVERIES, AccountSelection::of(filter.account))?;
    webhooks::list_deliveries(&call, channel, filter, cursor, limit).await
}

fn delivery_table(page_url: &str, deliveries: &[DeliveryView]) -> impl Render {
    TableBuilder::new("Deliveries", deliveries)
        .number("position", |it| delivery_link(page_url, &it.position))
        .text("account", |it| account_link(&it.whats_app))
        .number("version", |it| it.version)
        .text("event", |it| time_element(&it.time))
        .text("state", |it| state_badge(it.state))
        .number("attempts", |it| it.attempts.len())
        .text("last failure", |it| it.attempts.last().map(attempt_outcome).unwrap_or_default())
}

/// A link to the page of a delivery. `page_url` is the page of its channel.
pub(super) fn delivery_link(page_url: &str, position: &str) -> Markup {
    html! { a href=(format!("{page_url}/deliveries/{position}")) { (position) } }
}

/// The deliveries of one account, on the account's page.
pub(super) async fn account_deliveries_section(request: &ConsoleRequest, account: AccountNumber) -> Markup {
    let number = &account.to_string();
    let mut parts = Vec::new();
    for channel in Channel::ALL {
        let parameters = Parameters::from_fields([("account", Some(number.as_str()))]);
        let found = list_deliveries(request, channel, &parameters, DELIVERIES_OF_ACCOUNT).await;
        parts.push((channel.short_name(), channel.configuration_id(), found));
    }
    html! {
        section aria-labelledby="caused" {
            h2 #caused { "Webhooks of this event" }
            @for (name, id, found) in &parts {
                h3 { a href=(format!("/webhooks/{name}?account={number}#deliveries")) { (id) } }
                @match found {
                    Err(error) => p.note { (error.detail) },
                    Ok(found) if found.deliveries.is_empty() => (empty_note("There are none.")),
                    Ok(found) => (delivery_table(&format!("/webhooks/{name}"), &found.deliveries)),
                }
            }
        }
    }
}

/// A drop-down of the states of a delivery.
pub(super) fn state_select(id: &str, chosen: Option<&str>) -> Markup {
    select(id, "state", DeliveryState::ALL.map(|state| (state.name(), state.name())), chosen)
}

fn state_badge(state: DeliveryState) -> Markup {
    let class = match state {
        DeliveryState::Delivered => "good",
        DeliveryState::Pending | DeliveryState::Waiting => "coming",
        DeliveryState::Dead => "bad",
        DeliveryState::Dropped | DeliveryState::Superseded | DeliveryState::Forgotten => "calm",
    };
    html! { span.badge.(class) { (state.name()) } }
}

fn attempt_outcome(attempt: &AttemptView) -> Markup {
    html! {
        (attempt.outcome) @if let Some(status) = attempt.status { ", HTTP " (status) }
        @if let Some(failure) = &attempt.failure { ": " (failure) }
    }
}

/// `/webhooks/{channel}/deliveries/{position}`
pub(super) async fn page(request: &ConsoleRequest, name: &str, position: &str) -> PageResult {
    let (channel, position) = (parse_channel(name)?, parse_segment::<EventId>(position)?);
    let call = request.call(operation::SHOW_DELIVERY)?;
    let delivery = webhooks::show_delivery(&call, channel, position).await?;
    let page_url = format!("/webhooks/{name}/deliveries/{position}");
    // A JSON value sorts its fields by name.
    let body = delivery.body.as_ref().and_then(|body| serde_json::to_value(body).ok()).map(|body| body.to_string());
    let content = html! {
        h1 { "Delivery " (position) " of " a href=(format!("/webhooks/{name}")) { (name) } }
        (live_part("live", &page_url, html! {
            dl.facts {
                div { dt { "State" } dd {
                    (state_badge(delivery.state))
                    @if let Some(reason) = &delivery.reason { " " (reason) }
                    @if let Some(by) = &delivery.superseded_by { " by " a href=(format!("/webhooks/{name}/deliveries/{by}")) { (by) } }
                } }
                div { dt { "Event" } dd {
                    a href=(format!("/accounts/{}/events/{}", delivery.whats_app, delivery.version)) {
                        "version " (delivery.version) " of " (delivery.whats_app)
                    }
                    ", " (time_element(&delivery.time))
                } }
                div { dt { "webhook-id" } dd { code { (delivery.id) } } }
                div { dt { "Next attempt" } dd { @match &delivery.next { Some(next) => (time_element(next)), None => "none" } } }
            }
            h2 { "Attempts" }
            @if delivery.attempts.is_empty() { (empty_note("No attempts are stored.")) } @else { (attempt_table(&delivery.attempts)) }
        }))
        form method="post" action=(page_url) {
            p { (action_button(request, Permission::Operate, "Redeliver", None)) }
            (permission_note(request, Permission::Operate))
        }
        h2 { "Payload" }
        pre.lines tabindex="0" role="region" aria-label="Payload" { (body.as_deref().unwrap_or("It is not stored any more.")) }
    };
    Ok(PageResponse::page(format!("Delivery {position}"), "/webhooks", content))
}

fn attempt_table(attempts: &[AttemptView]) -> impl Render {
    TableBuilder::new("Attempts", attempts)
        .number("attempt", |it| it.attempt)
        .text("when", |it| time_element(&it.time))
        .number("took", |it| format!("{:.1} ms", it.duration_ms))
        .text("outcome", |it| bad_if(it.outcome != "ok", attempt_outcome(it)))
        .text("start of the response", |it| html! { code { (it.response) } })
        .text("next", |it| it.next.as_deref().map(time_element).unwrap_or_default())
}

/// Redelivers one delivery.
pub(super) async fn resend(request: &ConsoleRequest, name: &str, position: &str) -> PageResult {
    let (channel, position) = (parse_channel(name)?, parse_segment::<EventId>(position)?);
    let call = request.call(operation::RESEND_DELIVERY)?;
    webhooks::resend_delivery(&call, channel, position).await?;
    Ok(PageResponse::Redirect(format!("/webhooks/{name}/deliveries/{position}")))
}
