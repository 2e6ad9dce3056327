//! `/events`: all events, newest first, and the live tail.

use maud::{Markup, html};

use super::components::{empty_note, error_note, event_label, page_links, time_element};
use super::event_filter::{filter_fields, filter_query, parse_filter};
use super::history::event_details;
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, with_query};
use crate::api::events::{self, EventPage, EventQuery, ReadStart};
use crate::api::{AccountSelection, Problem, maintenance, operation};
use crate::audit::{EventFilter, EventView, label_origin};
use crate::domain::EventType;
use crate::http::{event_stream_response, last_event_id};

/// Events on one page.
const EVENTS_PER_PAGE: usize = 50;

pub(super) async fn page(request: &ConsoleRequest) -> PageResult {
    let (before, after) = (request.query_value("before"), request.query_value("after"));
    let url = |path: &str, name: &'static str, position: Option<&str>| {
        let more = [("account", request.query_value("account")), (name, position)];
        with_query(path, filter_query(request).into_iter().chain(more))
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
                    @let newest = events.first().map_or_else(|| head.clone(), |event| event.id().to_string());
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
    let parameters = request.parameters(&["after", "before"]);
    let start = match (parameters.event_id("after")?, parameters.event_id("before")?) {
        (Some(after), _) => ReadStart::After(Some(after)),
        (None, before) => ReadStart::Before(before),
    };
    let filter = event_filter(request)?;
    let call = request.call_on(operation::LIST_EVENTS, AccountSelection::of(filter.account))?;
    events::list_events(&call, EventQuery { start, filter }, EVENTS_PER_PAGE).await
}

/// The filter of the page, which may also select an account.
fn event_filter(request: &ConsoleRequest) -> Result<EventFilter, Problem> {
    Ok(EventFilter { account: request.parameters(&["account"]).account()?, ..parse_filter(request)? })
}

fn filter_form(request: &ConsoleRequest) -> Markup {
    let account = request.query_value("account");
    html! {
        form.filter method="get" action="/events" {
            div { label for="account" { "Account" } input #account name="account" inputmode="numeric" value=[account]; }
            (filter_fields(request, EventType::all()))
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
    let (after, filter) = (request.parameters(&["after"]).event_id("after")?, event_filter(request)?);
    let call = request.call_on(operation::LIST_EVENTS, AccountSelection::of(filter.account))?;
    let after = last_event_id(&request.head.headers)?.or(after);
    let tail = events::follow_events(&call, after, filter)?;
    Ok(PageResponse::stream(event_stream_response(tail), &call))
}
