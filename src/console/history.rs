//! An account's history as a feed, as groups of related events, or as CloudEvents; and the page of one event.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::components::{self, empty_note, event_label, online_status_badge, status_badge, time_element};
use super::layout::{PageContent, PageResponse};
use super::page_request::{ConsolePageRequest, PageError, with_query};
use super::timeline::{self, TimelineEvent};
use crate::audit::event_name_from_type;
use crate::domain::{OnlineStatus, Status};

/// `GET /accounts/{n}/events`, and `GET /events`
#[derive(Deserialize)]
pub(super) struct EventPageJson {
    pub(super) events: Vec<Box<RawValue>>,
    pub(super) next: Option<String>,
}

/// An event as the API returns it.
#[derive(Deserialize)]
pub(super) struct EventJson {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) subject: String,
    pub(super) time: String,
    pub(super) version: u64,
    pub(super) prev: String,
    pub(super) origin: String,
    pub(super) requestid: Option<String>,
    pub(super) data: Value,
}

/// The fields of `GET /accounts/{n}?version=` that this page shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountStatusJson {
    status: u8,
    online_status: u8,
}

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

    fn from_request(request: &ConsolePageRequest) -> HistoryView {
        let name = request.query_value("view");
        HistoryView::ALL.into_iter().find(|view| Some(view.name()) == name).unwrap_or(HistoryView::Feed)
    }
}

/// Events on one page, and in one drawing. The CloudEvents view has fewer, since each may be long.
const EVENTS_PER_PAGE: &str = "100";
const JSON_EVENTS_PER_PAGE: &str = "20";
/// Characters of one detail in a list.
const DETAIL_CHARS_MAX: usize = 200;

/// The history section on the page of an account with this number of versions.
pub(super) async fn history_section(
    request: &ConsolePageRequest,
    number: &str,
    versions: u64,
) -> Result<Markup, PageError> {
    let (view, cursor) = (HistoryView::from_request(request), request.query_value("cursor"));
    let order = request.query_value("order").filter(|order| *order == "asc").unwrap_or("desc");
    let path = format!("accounts/{number}/events");
    let parameters = [
        ("order", Some(order)),
        ("cursor", cursor),
        ("limit", Some(if view == HistoryView::Json { JSON_EVENTS_PER_PAGE } else { EVENTS_PER_PAGE })),
    ];
    let found: EventPageJson = request.get_json(&with_query(&path, &parameters)).await?;
    let lines = &found.events;
    let events = parse_events(lines)?;
    let page_url = |view: HistoryView, order: &str, cursor: Option<&str>| {
        let path = format!("/accounts/{number}");
        let view = (view != HistoryView::Feed).then(|| view.name());
        let order = (order != "desc").then_some(order);
        with_query(&path, &[("view", view), ("order", order), ("cursor", cursor)]) + "#history"
    };
    let ways = [
        ("Newest", page_url(view, "desc", None), order == "desc" && cursor.is_none()),
        ("Oldest", page_url(view, "asc", None), order == "asc" && cursor.is_none()),
    ];
    let drawing = timeline_section(request, number, order, &events, versions).await;
    Ok(html! {
        section aria-labelledby="history" {
            h2 #history { "History" }
            (drawing)
            nav.tabs aria-label="Views of the history" {
                @for other in HistoryView::ALL {
                    a href=(page_url(other, order, cursor)) aria-current=[(other == view).then_some("true")] { (other.name()) }
                }
            }
            @match view {
                HistoryView::Feed => (event_feed(number, &events)),
                HistoryView::Compact => (event_groups(number, order, &events)),
                HistoryView::Json => pre.lines tabindex="0" role="region" aria-label="Events as JSON" {
                    @for line in lines { (line.get()) "\n" }
                },
            }
            nav.ways aria-label="Parts of the history" {
                @for (name, path, is_current) in ways {
                    @if is_current { span aria-disabled="true" { (name) } } @else { a href=(path) { (name) } }
                }
                @let on = if order == "desc" { "Older" } else { "Newer" };
                @match found.next.as_deref() {
                    Some(next) => a href=(page_url(view, order, Some(next))) { (on) },
                    None => span aria-disabled="true" { (on) },
                }
                span.note { (components::format_count(versions)) " events in all" }
            }
        }
    })
}

/// Parses events of the API.
pub(super) fn parse_events(lines: &[Box<RawValue>]) -> Result<Vec<EventJson>, PageError> {
    let read = lines.iter().map(|line| serde_json::from_str(line.get()));
    read.collect::<Result<_, _>>().map_err(|error| PageError::internal(&error))
}

async fn timeline_section(
    request: &ConsolePageRequest,
    number: &str,
    order: &str,
    events: &[EventJson],
    versions: u64,
) -> Markup {
    let mut moments: Vec<TimelineEvent<'_>> = Vec::with_capacity(events.len());
    moments.extend(events.iter().map(|EventJson { version, time, kind, .. }| TimelineEvent {
        version: *version,
        at: time,
        name: event_name_from_type(kind),
    }));
    if order == "desc" {
        moments.reverse();
    }
    let Some((first, last)) = moments.first().zip(moments.last()) else { return html! {} };
    let before: Option<AccountStatusJson> = match first.version {
        0 | 1 => None,
        first => request.get_json(&format!("accounts/{number}?version={}", first - 1)).await.ok(),
    };
    let before =
        before.and_then(|stood| Status::from_code(stood.status).zip(OnlineStatus::from_code(stood.online_status)));
    timeline::draw_timeline(number, before, &moments, last.version == versions)
}

fn event_feed(number: &str, events: &[EventJson]) -> Markup {
    html! {
        @if events.is_empty() { (empty_note("There are no events here.")) }
        ol.feed {
            @for event in events {
                li id=(format!("v{}", event.version)) {
                    a.number href=(format!("/accounts/{number}/events/{}", event.version)) { "v" (event.version) }
                    " " (time_element(&event.time)) " " strong { (event_label(&event.kind)) } " " (event_details(&event.data))
                    " " span.note { "by " (event.origin) }
                }
            }
        }
    }
}

/// The data of an event as labels and values, without empty values.
pub(super) fn event_details(data: &Value) -> Markup {
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

/// Related events: a time online, a registration, a ban.
#[derive(Debug, PartialEq, Eq)]
struct EventGroup {
    title: &'static str,
    /// The range of events, by index.
    from: usize,
    to: usize,
}

/// The group that an event of this name begins or continues; `None` if it stands alone.
fn group_title(name: &str) -> Option<&'static str> {
    match name {
        "online requested" | "came online" | "recycle requested" | "went offline" => Some("online"),
        "registration requested" | "code sent" | "code submitted" | "registered" | "registration failed" => {
            Some("registration")
        }
        "banned" | "ban lifted" => Some("ban"),
        _ => None,
    }
}

/// Puts events in order into groups. A group ends with its closing event, or where another begins.
fn group_events(names: &[String]) -> Vec<EventGroup> {
    let mut groups: Vec<EventGroup> = Vec::new();
    let mut is_open = false;
    for (at, name) in names.iter().enumerate() {
        let title = group_title(name);
        let begins = matches!(name.as_str(), "online requested" | "registration requested" | "banned");
        match groups.last_mut() {
            Some(last) if is_open && title == Some(last.title) && !begins => last.to = at,
            Some(_) | None => groups.push(EventGroup { title: title.unwrap_or("event"), from: at, to: at }),
        }
        is_open = title.is_some() && !matches!(name.as_str(), "went offline" | "registered" | "ban lifted");
    }
    groups
}

fn event_groups(number: &str, order: &str, events: &[EventJson]) -> Markup {
    let mut events: Vec<&EventJson> = events.iter().collect();
    if order == "desc" {
        events.reverse();
    }
    let names: Vec<String> = events.iter().map(|event| event_label(&event.kind)).collect();
    let mut groups = group_events(&names);
    if order == "desc" {
        groups.reverse();
    }
    html! {
        ol.feed {
            @for group in &groups {
                @let within = &events[group.from..=group.to];
                li {
                    strong { @if group.from == group.to { (names[group.from]) } @else { (group.title) } }
                    @for (at, event) in within.iter().enumerate() {
                        @if at > 0 { " → " } @else { " " }
                        a href=(format!("/accounts/{number}/events/{}", event.version)) title=(event.time) {
                            @if group.from == group.to { "v" (event.version) } @else { (event_label(&event.kind)) }
                        }
                    }
                    @if let (Some(first), Some(last)) = (within.first(), within.last()) {
                        span.note { " " (time_element(&first.time)) @if group.from != group.to { " to " (time_element(&last.time)) } }
                    }
                }
            }
        }
    }
}

/// `/accounts/{n}/events/{version}`
pub(super) async fn event_page(
    request: &ConsolePageRequest,
    number: &str,
    version: &str,
) -> Result<PageResponse, PageError> {
    let account = components::parse_account_number(number).ok_or_else(PageError::not_found)?;
    let version: u64 = version.parse().map_err(|_| PageError::not_found())?;
    let before = version.checked_sub(1).ok_or_else(PageError::not_found)?.to_string();
    let path = format!("accounts/{account}/events");
    let parameters = [("order", Some("asc")), ("cursor", Some(before.as_str())), ("limit", Some("1"))];
    let found: EventPageJson = request.get_json(&with_query(&path, &parameters)).await?;
    let line = found.events.first().ok_or_else(PageError::not_found)?;
    let event: EventJson = serde_json::from_str(line.get()).map_err(|error| PageError::internal(&error))?;
    let then: AccountStatusJson = request.get_json(&format!("accounts/{account}?version={version}")).await?;
    let pretty = serde_json::from_str::<Value>(line.get()).and_then(|value| serde_json::to_string_pretty(&value));
    let way = |version: u64, name: &str| {
        html! { a href=(format!("/accounts/{account}/events/{version}")) { (name) } }
    };
    let content = html! {
        h1 { (event_label(&event.kind)) " · version " (version) " of " (components::account_link(number)) }
        dl.facts {
            div { dt { "When" } dd { (time_element(&event.time)) } }
            div { dt { "By" } dd { (event.origin) } }
            div { dt { "In the request" } dd { @match &event.requestid { Some(id) => code { (id) }, None => "none" } } }
            div { dt { "Position" } dd { (event.id) } }
            div { dt { "The account's event before" } dd { @if event.prev == "0" { "none" } @else { "position " (event.prev) } } }
            div { dt { "What came with it" } dd { (event_details(&event.data)) } }
            div { dt { "How the account stood then" } dd { (status_badge(then.status)) " " (online_status_badge(then.online_status)) } }
        }
        nav.ways aria-label="Events beside it" {
            @if version > 1 { (way(version - 1, "Before")) } @else { span aria-disabled="true" { "Before" } }
            @if found.next.is_some() { (way(version + 1, "After")) } @else { span aria-disabled="true" { "After" } }
            a href=(format!("/accounts/{account}?version={version}#then")) { "The account as it was" }
        }
        h2 { "As others read it" }
        pre.lines tabindex="0" role="region" aria-label="The event as JSON" { (pretty.unwrap_or_default()) }
        p.note { "Ask for it: " code { "GET /api/v1/accounts/" (account) "/events?order=asc&cursor=" (before) "&limit=1" } }
    };
    let title = format!("{} {account} v{version}", event_label(&event.kind));
    Ok(PageResponse::Page(PageContent { title, nav_path: "/accounts", content }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_together_is_a_group() {
        let names = [
            "account imported",
            "online requested",
            "came online",
            "went offline",
            "online requested",
            "banned",
            "ban lifted",
            "registration requested",
            "code sent",
            "content replaced",
            "registered",
            "went offline",
        ];
        let names = names.map(str::to_owned);
        let shown: Vec<String> =
            group_events(&names).iter().map(|group| format!("{} {}-{}", group.title, group.from, group.to)).collect();
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
