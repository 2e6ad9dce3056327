//! `/events`: all events, newest first, and the live tail.

use maud::{Markup, html};

use super::components::{empty_note, error_note, event_label, page_links, time_element};
use super::forms::select;
use super::history::event_details;
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, with_query};
use crate::api::events::{self, EventPage, EventQuery, ReadStart};
use crate::api::{AccountSelection, Problem, maintenance, operation};
use crate::audit::{EventView, label_origin};
use crate::domain::EventType;
use crate::http::{event_stream_response, last_event_id};

/// Events on one page.
const EVENTS_PER_PAGE: usize = 50;

/// Query parameters of the filter, as in the API.
const FILTERS: [&str; 4] = ["type", "account", "since", "until"];

/// Query parameters of the page and its live tail: the position where it starts, and the filter.
const PARAMETERS: [&str; 6] = ["after", "before", "type", "account", "since", "until"];

pub(super) async fn page(request: &ConsoleRequest) -> PageResult {
    let (before, after) = (request.query_value("before"), request.query_value("after"));
    let url = |path: &str, name: &'static str, position: Option<&str>| {
        let filters = FILTERS.map(|name| (name, request.query_value(name)));
        with_query(path, filters.into_iter().chain([(name, position)]))
    };
    let is_newest = before.is_none() && after.is_none();
    // The live tail continues after the newest event shown. On an empty page it continues after this head, which is read
    // before the events so that it misses none.
    let head = journal_head(request).await.unwrap_or_default();
    let found = list_events(request).await.map(|found| match after {
        None => found,
        Some(_) => EventPage { events: found.events.into_iter().rev().collect(), ..found },
    });
    let content = html! {
        h1 { "Events" }
        (filter_form(request))
        @match &found {
            Err(error) => (error_note(error)),
            Ok(EventPage { events, next }) => {
                @if is_newest {
                    @let newest = events.first().map_or_else(|| head.clone(), |event| event.record.position.to_string());
                    p.live-tail data-tail=(url("/events/live", "after", Some(&newest))) hidden {
                        button type="button" data-pause aria-pressed="false" { "Pause" }
                        " " span data-tail-state role="status" { "New events appear here at once." }
                    }
                }
                @if events.is_empty() { (empty_note("No event matches.")) }
                ol.feed data-tail-list[is_newest] { @for event in events { (event_line(event)) } }
                @let (further, from) = if after.is_some() { ("Newer", "after") } else { ("Older", "before") };
                (page_links("Pages of the events", &[
                    ("Newest", (!is_newest).then(|| url("/events", "after", None))),
                    ("Oldest", (after != Some("0")).then(|| url("/events", "after", Some("0")))),
                    (further, next.as_deref().map(|next| url("/events", from, Some(next)))),
                ]))
            }
        }
    };
    Ok(PageResponse::page("Events", "/events", content))
}

/// The position of the newest event.
async fn journal_head(request: &ConsoleRequest) -> Result<String, Problem> {
    let call = request.call(operation::SHOW_PROJECTIONS)?;
    Ok(maintenance::show_projections(&call).await?.head.position)
}

/// The events that the query selects: the next ones after a position, oldest first, or the last ones before a position,
/// newest first.
async fn list_events(request: &ConsoleRequest) -> Result<EventPage, Problem> {
    let parameters = request.parameters(&PARAMETERS);
    let start = match (parameters.number("after")?, parameters.number("before")?) {
        (Some(after), _) => ReadStart::After(after),
        (None, before) => ReadStart::Before(before.unwrap_or(u64::MAX)),
    };
    let filter = parameters.event_filter()?;
    let call = request.call_on(operation::LIST_EVENTS, AccountSelection::of(filter.account))?;
    events::list_events(&call, EventQuery { start, filter }, EVENTS_PER_PAGE).await
}

fn filter_form(request: &ConsoleRequest) -> Markup {
    let value = |name: &str| request.query_value(name);
    let types = EventType::all().map(|event_type| (event_type.name(), event_type.label()));
    html! {
        form.filter method="get" action="/events" {
            div { label for="type" { "Type" } (select("type", "type", types, value("type"))) }
            div { label for="account" { "Account" } input #account name="account" inputmode="numeric" value=[value("account")]; }
            div { label for="since" { "Since" } input #since name="since" value=[value("since")] placeholder="2026-11-25"; }
            div { label for="until" { "Until" } input #until name="until" value=[value("until")] placeholder="2026-11-26"; }
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
            " " strong { (event_label(&event.kind)) } " " (event_details(&event.data)) span.note { "by " (label_origin(&event.origin, event.keyname)) }
        }
    }
}

/// `/events/live`: the event stream for the page's script.
pub(super) fn live_stream(request: &ConsoleRequest) -> PageResult {
    let parameters = request.parameters(&PARAMETERS);
    let (after, filter) = (parameters.number("after")?, parameters.event_filter()?);
    let call = request.call_on(operation::LIST_EVENTS, AccountSelection::of(filter.account))?;
    let after = last_event_id(&request.head.headers)?.or(after);
    let tail = events::follow_events(&call, after, filter)?;
    Ok(PageResponse::stream(event_stream_response(tail), &call))
}
