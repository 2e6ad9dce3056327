//! `/events`: all events, newest first, and the live tail.

use maud::{Markup, html};
use serde::Deserialize;
use warp::http::HeaderValue;

use super::components::{empty_note, event_label, time_element};
use super::history::{EventJson, EventPageJson, event_details, parse_events};
use super::layout::{PageContent, PageResponse, set_security_headers};
use super::page_request::{ConsolePageRequest, PageError, with_query};
use crate::journal;

/// `GET /projections`, for the head of the journal.
#[derive(Deserialize)]
struct ProjectionsHeadJson {
    head: HeadPositionJson,
}

#[derive(Deserialize)]
struct HeadPositionJson {
    position: String,
}

/// Events on one page.
const EVENTS_PER_PAGE: &str = "50";

/// Query parameters of the filter, as in the API.
const FILTERS: [&str; 4] = ["type", "account", "since", "until"];

pub(super) async fn page(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let filters = FILTERS.map(|name| (name, request.query_value(name)));
    let (before, after) = (request.query_value("before"), request.query_value("after"));
    let url = |path: &str, more: &[(&str, Option<&str>)]| with_query(path, &[&filters[..], more].concat());
    let order = if after.is_some() { "asc" } else { "desc" };
    // The live tail continues after the newest event shown; on an empty page, after the head read before the query.
    let head = request
        .get_json::<ProjectionsHeadJson>("projections")
        .await
        .map_or_else(|_| String::new(), |found| found.head.position);
    let more = [("order", Some(order)), ("before", before), ("after", after), ("limit", Some(EVENTS_PER_PAGE))];
    let found: Result<EventPageJson, PageError> = request.get_json(&url("events", &more)).await;
    let content = html! {
        h1 { "Events" }
        (filter_form(request))
        @match &found {
            Err(error) => p.error role="alert" { (error.message) },
            Ok(found) => {
                @let events = parse_events(&found.events)?;
                @let is_newest = before.is_none() && after.is_none();
                @if is_newest {
                    @let newest = events.first().map_or(head.as_str(), |event| event.id.as_str());
                    p.live-tail data-tail=(url("/events/live", &[("after", Some(newest))])) hidden {
                        button type="button" data-pause aria-pressed="false" { "Pause" }
                        " " span data-tail-state role="status" { "What happens appears here at once." }
                    }
                }
                @if events.is_empty() { (empty_note("Nothing is so here.")) }
                ol.feed data-tail-list[is_newest] { @for event in newest_first(&events, order) { (event_line(event)) } }
                nav.ways aria-label="Parts of the events" {
                    @let ways = [("Newest", url("/events", &[]), is_newest), ("Oldest", url("/events", &[("after", Some("0"))]), after == Some("0"))];
                    @for (name, path, is_current) in ways {
                        @if is_current { span aria-disabled="true" { (name) } } @else { a href=(path) { (name) } }
                    }
                    @let on = if order == "desc" { ("Older", "before") } else { ("Newer", "after") };
                    @match found.next.as_deref() {
                        Some(next) => a href=(url("/events", &[(on.1, Some(next))])) { (on.0) },
                        None => span aria-disabled="true" { (on.0) },
                    }
                }
            }
        }
    };
    Ok(PageResponse::Page(PageContent { title: "Events".to_owned(), nav_path: "/events", content }))
}

/// The events newest first, in whichever order they were queried.
fn newest_first<'e>(events: &'e [EventJson], order: &str) -> Vec<&'e EventJson> {
    if order == "desc" { events.iter().collect() } else { events.iter().rev().collect() }
}

fn filter_form(request: &ConsolePageRequest) -> Markup {
    html! {
        form.filter method="get" action="/events" {
            div {
                label for="type" { "Type" }
                select #type name="type" {
                    option value="" { "any" }
                    @for name in journal::event_type_names() {
                        option value=(name) selected[request.query_value("type") == Some(name)] { (event_label(name)) }
                    }
                }
            }
            div { label for="account" { "Account" } input #account name="account" inputmode="numeric" value=[request.query_value("account")]; }
            div { label for="since" { "Since" } input #since name="since" value=[request.query_value("since")] placeholder="2026-11-25"; }
            div { label for="until" { "Until" } input #until name="until" value=[request.query_value("until")] placeholder="2026-11-26"; }
            div { button.primary { "Show" } }
        }
    }
}

/// One event as a list item. `console.js` renders events of the live tail the same way.
pub(super) fn event_line(event: &EventJson) -> Markup {
    html! {
        li {
            span.number { (event.id) } " " (time_element(&event.time)) " "
            @if event.subject.bytes().all(|byte| byte.is_ascii_digit()) {
                a.number href=(format!("/accounts/{}/events/{}", event.subject, event.version)) { (event.subject) }
            } @else {
                a href="/acts" { (event.subject) }
            }
            " " strong { (event_label(&event.kind)) } " " (event_details(&event.data)) span.note { "by " (event.origin) }
        }
    }
}

/// `/events/live`: the event stream for the page's script.
pub(super) async fn live_stream(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let filters = FILTERS.map(|name| (name, request.query_value(name)));
    let filters = [&filters[..], &[("after", request.query_value("after"))]].concat();
    let mut answer = request.get_response(&with_query("events", &filters), "text/event-stream").await?;
    let is_stream = answer.headers().get("content-type") == Some(&HeaderValue::from_static("text/event-stream"));
    if is_stream {
        set_security_headers(&mut answer);
    }
    Ok(PageResponse::Raw(answer))
}
