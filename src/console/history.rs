//! An account's history as a feed, as groups of related events, or as CloudEvents; and the page of one event.

use maud::{Markup, html};
use serde::Serialize;

use super::account_state::show_account;
use super::components::{
    account_link, empty_note, error_note, event_label, format_count, online_status_badge, page_link, status_badge,
    time_element,
};
use super::event_filter::{filter_fields, filter_query, parse_filter};
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, no_such_page, parse_segment, with_query};
use super::timeline::{TimelineEvent, draw_timeline};
use crate::api::accounts::{self, HistoryQuery, HistoryStart};
use crate::api::events::EventPage;
use crate::api::{AccountSelection, Problem, operation};
use crate::audit::{AccountWithCauses, AsOf, CloudEvent, EventFilter, EventView, HistoryOrder, label_origin};
use crate::domain::{AccountEventType, AccountNumber, EventGroup, EventType, GroupStep, OnlineStatus, Status};

/// The views of a history.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HistoryView {
    Feed,
    Compact,
    Json,
}

impl HistoryView {
    const ALL: [HistoryView; 3] = [HistoryView::Feed, HistoryView::Compact, HistoryView::Json];

    fn name(self) -> &'static str {
        match self {
            HistoryView::Feed => "feed",
            HistoryView::Compact => "compact",
            HistoryView::Json => "json",
        }
    }

    fn from_request(request: &ConsoleRequest) -> HistoryView {
        let name = request.query_value("view");
        HistoryView::ALL.into_iter().find(|view| Some(view.name()) == name).unwrap_or(HistoryView::Feed)
    }
}

/// Events on one page, and in its timeline.
const EVENTS_PER_PAGE: usize = 100;
/// Events on one page as JSON, where each may be long.
const JSON_EVENTS_PER_PAGE: usize = 20;
/// Characters of one detail in a list.
const DETAIL_CHARS_MAX: usize = 200;

/// The history section on the page of an account with this number of versions.
pub(super) async fn history_section(
    request: &ConsoleRequest,
    account: AccountNumber,
    versions: u64,
) -> Result<Markup, Problem> {
    let number = &account.to_string();
    let (view, cursor) = (HistoryView::from_request(request), request.query_value("cursor"));
    let is_descending = request.query_value("order") != Some("asc");
    let order = if is_descending { HistoryOrder::Descending } else { HistoryOrder::Ascending };
    let limit = if view == HistoryView::Json { JSON_EVENTS_PER_PAGE } else { EVENTS_PER_PAGE };
    let start = request.parameters(&["cursor"]).event_id("cursor")?.map_or(HistoryStart::First, HistoryStart::Cursor);
    let filter = match parse_filter(request) {
        Ok(filter) => filter,
        Err(error) => return Ok(unread_history(request, account, &error)),
    };
    let is_filtered = !filter.matches_all();
    let found = read_history(request, account, order, filter, start, limit).await?;
    let events: Vec<CloudEvent<'_>> = found.events.iter().map(EventView::cloud_event).collect();
    let page_url = |view: HistoryView, is_descending: bool, cursor: Option<&str>| {
        let view = (view != HistoryView::Feed).then(|| view.name());
        let order = (!is_descending).then_some("asc");
        let query = [("view", view), ("order", order), ("cursor", cursor)];
        with_query(&format!("/accounts/{number}"), filter_query(request).into_iter().chain(query)) + "#history"
    };
    let is_first = |descending: bool| is_descending == descending && cursor.is_none();
    let links = [
        ("Newest", (!is_first(true)).then(|| page_url(view, true, None))),
        ("Oldest", (!is_first(false)).then(|| page_url(view, false, None))),
        (
            if is_descending { "Older" } else { "Newer" },
            found.next.as_deref().map(|next| page_url(view, is_descending, Some(next))),
        ),
    ];
    let mut in_order: Vec<&CloudEvent<'_>> = events.iter().collect();
    if is_descending {
        in_order.reverse();
    }
    // A filter leaves gaps, which the line of statuses does not show.
    let timeline = match is_filtered {
        true => html! {},
        false => timeline_section(request, account, &in_order, versions).await,
    };
    Ok(html! {
        section aria-labelledby="history" {
            h2 #history { "History" }
            (timeline)
            (filter_form(request, account))
            nav.tabs aria-label="History views" {
                @for other in HistoryView::ALL {
                    a href=(page_url(other, is_descending, cursor)) aria-current=[(other == view).then_some("true")] { (other.name()) }
                }
            }
            @match view {
                HistoryView::Feed => (event_feed(number, &events)),
                HistoryView::Compact => (event_groups(number, is_descending, &in_order)),
                HistoryView::Json => pre.lines tabindex="0" role="region" aria-label="Events as JSON" {
                    @for event in &events { (serde_json::to_string(event).unwrap_or_default()) "\n" }
                },
            }
            nav.ways aria-label="Pages of the history" {
                @for (name, url) in &links { (page_link(name, url.as_deref())) }
                span.note { (format_count(versions)) " events" }
            }
        }
    })
}

/// The history section with a filter that is not allowed.
fn unread_history(request: &ConsoleRequest, account: AccountNumber, error: &Problem) -> Markup {
    html! {
        section aria-labelledby="history" {
            h2 #history { "History" }
            (filter_form(request, account))
            (error_note(error))
        }
    }
}

fn filter_form(request: &ConsoleRequest, account: AccountNumber) -> Markup {
    let types = AccountEventType::ALL.iter().copied().map(EventType::Account);
    html! {
        form.filter method="get" action=(format!("/accounts/{account}#history")) {
            @for name in ["view", "order"] {
                @if let Some(value) = request.query_value(name) { input type="hidden" name=(name) value=(value); }
            }
            (filter_fields(request, types))
            div { button { "Filter" } }
        }
    }
}

async fn read_history(
    request: &ConsoleRequest,
    account: AccountNumber,
    order: HistoryOrder,
    filter: EventFilter,
    start: HistoryStart,
    limit: usize,
) -> Result<EventPage, Problem> {
    let call = request.call_on(operation::SHOW_HISTORY, AccountSelection::One(account))?;
    let query = HistoryQuery { account, order, filter, start };
    accounts::show_history(&call, query, limit).await
}

/// The timeline of events in order.
async fn timeline_section(
    request: &ConsoleRequest,
    account: AccountNumber,
    events: &[&CloudEvent<'_>],
    versions: u64,
) -> Markup {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return html! {} };
    let before = match first.version {
        0 | 1 => None,
        first => show_account(request, account, AsOf::Version(first - 1)).await.ok(),
    };
    let before = before
        .as_ref()
        .map(AccountWithCauses::view)
        .and_then(|before| Status::from_code(before.status).zip(OnlineStatus::from_code(before.online_status)));
    let timeline: Vec<TimelineEvent<'_>> = events
        .iter()
        .map(|event| TimelineEvent { version: event.version, at: &event.time, event_type: event.event_type })
        .collect();
    draw_timeline(&account.to_string(), before, &timeline, last.version == versions)
}

fn event_feed(number: &str, events: &[CloudEvent<'_>]) -> Markup {
    html! {
        @if events.is_empty() { (empty_note("No event matches.")) }
        ol.feed {
            @for event in events {
                li id=(format!("v{}", event.version)) {
                    a.number href=(format!("/accounts/{number}/events/{}", event.version)) { "v" (event.version) }
                    " " (time_element(&event.time)) " " strong { (event_label(&event.kind)) } " " (event_details(&event.data))
                    " " span.note { "by " (label_origin(&event.origin, event.keyname)) }
                }
            }
        }
    }
}

/// The data of an event: names and values, without the empty ones.
pub(super) fn event_details(data: &impl Serialize) -> Markup {
    let data = serde_json::to_value(data).unwrap_or_default();
    let fields = data.as_object().into_iter().flatten();
    let fields = fields.filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    html! {
        @for (name, value) in fields {
            span.detail { (name) "=" code { @match value.as_str() { Some(text) => (truncate(text)), None => (truncate(&value.to_string())) } } } " "
        }
    }
}

/// Cuts a text to the length that a list shows; the event's own page shows all of it.
fn truncate(text: &str) -> String {
    let mut letters = text.chars();
    let cut: String = letters.by_ref().take(DETAIL_CHARS_MAX).collect();
    if letters.next().is_some() { cut + "…" } else { cut }
}

/// Events that belong together; an event that stands alone has no group.
#[derive(Debug, PartialEq, Eq)]
struct GroupedEvents {
    group: Option<EventGroup>,
    /// The range of events, by index.
    from: usize,
    to: usize,
}

/// Puts events in order into groups. A group ends with its last event, or where another begins.
fn group_events(types: impl Iterator<Item = Option<EventType>>) -> Vec<GroupedEvents> {
    let mut groups: Vec<GroupedEvents> = Vec::new();
    let mut open = None;
    for (at, event_type) in types.enumerate() {
        let (group, step) = event_type.and_then(|event_type| event_type.definition().group).unzip();
        match groups.last_mut() {
            Some(last) if open.is_some() && open == group && step != Some(GroupStep::First) => last.to = at,
            Some(_) | None => groups.push(GroupedEvents { group, from: at, to: at }),
        }
        open = group.filter(|_| step != Some(GroupStep::Last));
    }
    groups
}

/// The groups of events in order. `is_descending` shows the last group first.
fn event_groups(number: &str, is_descending: bool, events: &[&CloudEvent<'_>]) -> Markup {
    let mut groups = group_events(events.iter().map(|event| event.event_type));
    if is_descending {
        groups.reverse();
    }
    html! {
        ol.feed {
            @for &GroupedEvents { group, from, to } in &groups {
                @let members = &events[from..=to];
                li {
                    strong {
                        @match group {
                            Some(group) if from < to => (group.title()),
                            Some(_) | None => (event_label(&members[0].kind)),
                        }
                    }
                    @for (at, event) in members.iter().enumerate() {
                        @if at > 0 { " → " } @else { " " }
                        a href=(format!("/accounts/{number}/events/{}", event.version)) title=(event.time) {
                            @if from == to { "v" (event.version) } @else { (event_label(&event.kind)) }
                        }
                    }
                    @if let (Some(first), Some(last)) = (members.first(), members.last()) {
                        span.note { " " (time_element(&first.time)) @if from != to { " to " (time_element(&last.time)) } }
                    }
                }
            }
        }
    }
}

/// `/accounts/{n}/events/{version}`
pub(super) async fn event_page(request: &ConsoleRequest, number: &str, version: &str) -> PageResult {
    let account: AccountNumber = parse_segment(number)?;
    let version: u64 = parse_segment(version)?;
    let before = version.checked_sub(1).ok_or_else(no_such_page)?;
    let start = HistoryStart::Behind(before);
    let found = read_history(request, account, HistoryOrder::Ascending, EventFilter::default(), start, 1).await?;
    let event = found.events.first().ok_or_else(no_such_page)?.cloud_event();
    let then = show_account(request, account, AsOf::Version(version)).await?;
    let then = then.view();
    let pretty = serde_json::to_value(&event).and_then(|value| serde_json::to_string_pretty(&value));
    let link = |name: &str, version: Option<u64>| {
        let url = version.map(|version| format!("/accounts/{account}/events/{version}"));
        page_link(name, url.as_deref())
    };
    let content = html! {
        h1 { (event_label(&event.kind)) " · version " (version) " of " (account_link(number)) }
        dl.facts {
            div { dt { "Time" } dd { (time_element(&event.time)) } }
            div { dt { "By" } dd { (label_origin(&event.origin, event.keyname)) } }
            div { dt { "Request" } dd { @match &event.requestid { Some(id) => code { (id) }, None => "none" } } }
            div { dt { "Position" } dd { (event.id) } }
            div { dt { "Previous event" } dd { @if event.prev == "0" { "none" } @else { "position " (event.prev) } } }
            div { dt { "Data" } dd { (event_details(&event.data)) } }
            div { dt { "State after the event" } dd { (status_badge(then.status)) " " (online_status_badge(then.online_status)) } }
        }
        nav.ways aria-label="Neighbouring events" {
            (link("Previous", (before > 0).then_some(before)))
            (link("Next", found.next.is_some().then_some(version + 1)))
            a href=(format!("/accounts/{account}?version={version}#then")) { "State of the account then" }
        }
        h2 { "As JSON" }
        pre.lines tabindex="0" role="region" aria-label="The event as JSON" { (pretty.unwrap_or_default()) }
        p.note { "Request it: " code { "GET /api/v1/accounts/" (account) "/events?order=asc&cursor=" (before) "&limit=1" } }
    };
    let title = format!("{} {account} v{version}", event_label(&event.kind));
    Ok(PageResponse::page(title, "/accounts", content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_together_is_a_group() {
        let names = [
            "account_imported",
            "online_requested",
            "came_online",
            "went_offline",
            "online_requested",
            "banned",
            "ban_lifted",
            "registration_requested",
            "code_sent",
            "content_replaced",
            "registered",
            "went_offline",
        ];
        let groups = group_events(names.into_iter().map(EventType::from_name));
        let shown: Vec<String> = groups
            .iter()
            .map(|it| format!("{} {}-{}", it.group.map_or("event", EventGroup::title), it.from, it.to))
            .collect();
        let expected = [
            "event 0-0",
            "online 1-3",
            "online 4-4",
            "ban 5-6",
            "registration 7-8",
            "event 9-9",
            "registration 10-10",
            "online 11-11",
        ];
        assert_eq!(shown, expected);
    }
}
