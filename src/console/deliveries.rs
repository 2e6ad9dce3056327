//! Webhook deliveries: lists, and each delivery with every attempt.

use maud::{Markup, html};

use super::components::{account_link, action_button, empty_note, permission_note, time_element};
use super::layout::{PageContent, PageResponse};
use super::page_request::{ConsolePageRequest, PageError, parse_channel, parse_segment, with_query};
use crate::api::webhooks::{self, DeliveryPage};
use crate::api::{AccountSelection, Parameters, operation};
use crate::domain::{AccountNumber, Channel, Permission};
use crate::webhooks::{AttemptView, DeliveryState, DeliveryView};

/// Deliveries on one page.
pub(super) const DELIVERIES_PER_PAGE: usize = 25;
/// Deliveries of each channel on the page of an account.
const DELIVERIES_OF_ACCOUNT: usize = 5;

/// The section of deliveries on the page of a channel.
pub(super) async fn deliveries_section(request: &ConsolePageRequest, channel: Channel) -> Markup {
    let name = channel.short_name();
    let page_url = format!("/webhooks/{name}");
    let filters = ["account", "state", "since", "until"].map(|name| (name, request.query_value(name)));
    let limit = DELIVERIES_PER_PAGE.to_string();
    let at = |path: &str, cursor: Option<&str>| {
        with_query(path, &[filters[0], filters[1], filters[2], filters[3], ("limit", Some(&limit)), ("cursor", cursor)])
    };
    let cursor = request.query_value("cursor");
    let parameters = Parameters::from_fields(filters.into_iter().chain([("cursor", cursor)]));
    let found = list_deliveries(request, channel, &parameters, DELIVERIES_PER_PAGE).await;
    let value = |name: &str| request.query_value(name);
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
                Err(error) => p.error role="alert" { (error.message) },
                Ok(found) => {
                    @if found.deliveries.is_empty() { (empty_note("No delivery matches.")) } @else { (delivery_table(&page_url, &found.deliveries)) }
                    nav.ways aria-label="Pages of the deliveries" {
                        @match cursor {
                            Some(_) => a href={ (at(&page_url, None)) "#deliveries" } { "Newest" },
                            None => span aria-disabled="true" { "Newest" },
                        }
                        @match &found.next {
                            Some(next) => a href={ (at(&page_url, Some(next))) "#deliveries" } { "Older" },
                            None => span aria-disabled="true" { "Older" },
                        }
                    }
                }
            }
        }
    }
}

async fn list_deliveries(
    request: &ConsolePageRequest,
    channel: Channel,
    parameters: &Parameters<'_>,
    limit: usize,
) -> Result<DeliveryPage, PageError> {
    let (filter, cursor) = (webhooks::parse_delivery_filter(parameters)?, parameters.number("cursor")?);
    let call = request.call_on(operation::LIST_DELIVERIES, AccountSelection::of(filter.account))?;
    Ok(webhooks::list_deliveries(request.api(), &call, channel, filter, cursor, limit).await?)
}

fn delivery_table(page_url: &str, deliveries: &[DeliveryView]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Deliveries" {
            table {
                thead { tr {
                    th.number scope="col" { "position" } th scope="col" { "account" } th.number scope="col" { "version" }
                    th scope="col" { "event" } th scope="col" { "state" } th.number scope="col" { "attempts" }
                    th scope="col" { "last failure" }
                } }
                tbody {
                    @for delivery in deliveries {
                        tr {
                            td.number { a href=(format!("{page_url}/deliveries/{}", delivery.position)) { (delivery.position) } }
                            td { (account_link(&delivery.whats_app)) }
                            td.number { (delivery.version) }
                            td { (time_element(&delivery.time)) }
                            td { (state_badge(delivery.state)) }
                            td.number { (delivery.attempts.len()) }
                            td { @if let Some(last) = delivery.attempts.last() { (attempt_outcome(last)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The deliveries of one account, on the account's page.
pub(super) async fn account_deliveries_section(request: &ConsolePageRequest, account: AccountNumber) -> Markup {
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
                    Err(error) => p.note { (error.message) },
                    Ok(found) if found.deliveries.is_empty() => (empty_note("There are none.")),
                    Ok(found) => (delivery_table(&format!("/webhooks/{name}"), &found.deliveries)),
                }
            }
        }
    }
}

/// A drop-down of the states of a delivery.
pub(super) fn state_select(id: &str, chosen: Option<&str>) -> Markup {
    html! {
        select id=(id) name="state" {
            option value="" { "any" }
            @for state in DeliveryState::ALL { option selected[chosen == Some(state.name())] { (state.name()) } }
        }
    }
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
pub(super) async fn page(request: &ConsolePageRequest, name: &str, position: &str) -> Result<PageResponse, PageError> {
    let (channel, position) = (parse_channel(name)?, parse_segment::<u64>(position)?);
    let call = request.call(operation::SHOW_DELIVERY)?;
    let delivery = webhooks::show_delivery(request.api(), &call, channel, position).await?;
    let page_url = format!("/webhooks/{name}/deliveries/{position}");
    // As a value, its fields have the order of the alphabet.
    let body = delivery.body.as_ref().and_then(|body| serde_json::to_value(body).ok()).map(|body| body.to_string());
    let content = html! {
        h1 { "Delivery " (position) " of " a href=(format!("/webhooks/{name}")) { (name) } }
        div #live hx-get=(page_url) hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live {
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
        }
        form method="post" action=(page_url) {
            p { (action_button(request, Permission::Operate, "Redeliver", None)) }
            (permission_note(request, Permission::Operate))
        }
        h2 { "Payload" }
        pre.lines tabindex="0" role="region" aria-label="Payload" { (body.as_deref().unwrap_or("It is not stored any more.")) }
    };
    Ok(PageResponse::Page(PageContent { title: format!("Delivery {position}"), nav_path: "/webhooks", content }))
}

fn attempt_table(attempts: &[AttemptView]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Attempts" {
            table {
                thead { tr {
                    th.number scope="col" { "attempt" } th scope="col" { "when" } th.number scope="col" { "took" }
                    th scope="col" { "outcome" } th scope="col" { "start of the response" } th scope="col" { "next" }
                } }
                tbody {
                    @for attempt in attempts {
                        tr {
                            td.number { (attempt.attempt) }
                            td { (time_element(&attempt.time)) }
                            td.number { (format!("{:.1} ms", attempt.duration_ms)) }
                            td.bad[attempt.outcome != "ok"] { (attempt_outcome(attempt)) }
                            td { code { (attempt.response) } }
                            td { @if let Some(next) = &attempt.next { (time_element(next)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Redelivers one delivery.
pub(super) async fn resend(
    request: &ConsolePageRequest,
    name: &str,
    position: &str,
) -> Result<PageResponse, PageError> {
    let (channel, position) = (parse_channel(name)?, parse_segment::<u64>(position)?);
    let call = request.call(operation::RESEND_DELIVERY)?;
    webhooks::resend_delivery(request.api(), &call, channel, position).await?;
    Ok(PageResponse::Redirect(format!("/webhooks/{name}/deliveries/{position}")))
}
