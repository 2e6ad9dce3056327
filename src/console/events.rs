//! `/events`: all events, newest first, and the live tail.

use maud::{Markup, html};

use super::components::{empty_note, event_label, time_element};
use super::history::event_details;
use super::layout::{PageContent, PageResponse};
use super::page_request::{ConsolePageRequest, PageError, with_query};
use super::response_headers::set_security_headers;
use crate::api::events::{self, EventPage, EventQuery, ReadStart};
use crate::api::{AccountSelection, Parameters, maintenance, operation};
use crate::audit::EventView;
use crate::domain::EventType;
use crate::http::{abort_when_key_ends, event_stream_response, last_event_id};

/// Events on one page.
const EVENTS_PER_PAGE: usize = 50;

/// Query parameters of the filter, as in the API.
const FILTERS: [&str; 4] = ["type", "account", "since", "until"];

pub(super) async fn page(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let filters = FILTERS.map(|name| (name, request.query_value(name)));
    let (before, after) = (request.query_value("before"), request.query_value("after"));
    let url = |path: &str, more: &[(&str, Option<&str>)]| with_query(path, &[&filters[..], more].concat());
    let order = if after.is_some() { "asc" } else { "desc" };
    // The live tail continues after the newest event shown; on an empty page, after the head read before the query.
    let head = journal_head(request).await.unwrap_or_default();
    let found = list_events(request).await;
    let content = html! {
        h1 { "Events" }
        (filter_form(request))
        @match &found {
            Err(error) => p.error role="alert" { (error.message) },
            Ok(found) => {
                @let events = &found.events;
                @let is_newest = before.is_none() && after.is_none();
                @if is_newest {
                    @let newest = events.first().map_or_else(|| head.clone(), |event| event.record.position.to_string());
                    p.live-tail data-tail=(url("/events/live", &[("after", Some(&newest))])) hidden {
                        button type="button" data-pause aria-pressed="false" { "Pause" }
                        " " span data-tail-state role="status" { "New events appear here at once." }
                    }
                }
                @if events.is_empty() { (empty_note("No event matches.")) }
                ol.feed data-tail-list[is_newest] { @for event in newest_first(events, order) { (event_line(event)) } }
                nav.ways aria-label="Pages of the events" {
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

/// The position of the newest event.
async fn journal_head(request: &ConsolePageRequest) -> Result<String, PageError> {
    let call = request.call(operation::SHOW_PROJECTIONS)?;
    Ok(maintenance::show_projections(request.api(), &call).await?.head.position)
}

/// The events that the page's query selects: after a position in order, or else before one, the newest first.
async fn list_events(request: &ConsolePageRequest) -> Result<EventPage, PageError> {
    let fields = ["after", "before"].into_iter().chain(FILTERS).map(|name| (name, request.query_value(name)));
    let parameters = Parameters::from_fields(fields);
    let start = match (parameters.number("after")?, parameters.number("before")?) {
        (Some(after), _) => ReadStart::After(after),
        (None, before) => ReadStart::Before(before.unwrap_or(u64::MAX)),
    };
    let filter = parameters.event_filter()?;
    let call = request.call_on(operation::LIST_EVENTS, AccountSelection::of(filter.account))?;
    Ok(events::list_events(request.api(), &call, EventQuery { start, filter }, EVENTS_PER_PAGE).await?)
}

/// The events newest first, in whichever order they were queried.
fn newest_first<'e>(events: &'e [EventView], order: &str) -> Vec<&'e EventView> {
    if order == "desc" { events.iter().collect() } else { events.iter().rev().collect() }
}

fn filter_form(request: &ConsolePageRequest) -> Markup {
    html! {
        form.filter method="get" action="/events" {
            div {
                label for="type" { "Type" }
                select #type name="type" {
                    option value="" { "any" }
                    @for event_type in EventType::all() {
                        @let name = event_type.name();
                        option value=(name) selected[request.query_value("type") == Some(name)] { (event_type.label()) }
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
pub(super) fn event_line(event: &EventView) -> Markup {
    let event = event.cloud_event();
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
pub(super) fn live_stream(request: &ConsolePageRequest) -> Result<PageResponse, PageError> {
    let fields = ["after"].into_iter().chain(FILTERS).map(|name| (name, request.query_value(name)));
    let parameters = Parameters::from_fields(fields);
    let (after, filter) = (parameters.number("after")?, parameters.event_filter()?);
    let call = request.call_on(operation::LIST_EVENTS, AccountSelection::of(filter.account))?;
    let after = last_event_id(&request.headers)?.or(after);
    let tail = events::follow_events(request.api(), &call, after, filter)?;
    let mut response = abort_when_key_ends(event_stream_response(tail), call.requester().clone());
    set_security_headers(&mut response);
    Ok(PageResponse::Raw(response))
}
