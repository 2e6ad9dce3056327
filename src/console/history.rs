//! An account's history: as a feed, as groups of what belongs together, as the lines that others read; and one event.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::frame::{Answer, Page};
use super::parts::{self, kind, nothing, presence, status, time};
use super::timeline::{self, Moment};
use super::visit::{Trouble, Visit, with_query};
use crate::audit::name_in;
use crate::domain::{OnlineStatus, Status};

/// `GET /accounts/{n}/events`, and `GET /events`
#[derive(Deserialize)]
pub(super) struct Events {
    pub(super) events: Vec<Box<RawValue>>,
    pub(super) next: Option<String>,
}

/// An event, as others read it.
#[derive(Deserialize)]
pub(super) struct Event {
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

/// `GET /accounts/{n}?version=`, as far as it is looked at here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stood {
    status: u8,
    online_status: u8,
}

/// The ways in which a history is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Feed,
    Groups,
    Lines,
}

impl View {
    const ALL: [View; 3] = [View::Feed, View::Groups, View::Lines];

    fn name(self) -> &'static str {
        match self {
            View::Feed => "feed",
            View::Groups => "compact",
            View::Lines => "json",
        }
    }

    fn asked(visit: &Visit) -> View {
        let asked = visit.asked("view");
        View::ALL.into_iter().find(|view| Some(view.name()) == asked).unwrap_or(View::Feed)
    }
}

/// How many events one page shows, and how many are drawn; as whole lines there are fewer, since each may be long.
const EVENTS: &str = "100";
const LINES: &str = "20";
/// Letters of one detail in a line of a list.
const DETAIL_LETTERS: usize = 200;

/// The section with it on the page of an account that has so many versions.
pub(super) async fn section(visit: &Visit, number: &str, versions: u64) -> Result<Markup, Trouble> {
    let (view, cursor) = (View::asked(visit), visit.asked("cursor"));
    let order = visit.asked("order").filter(|order| *order == "asc").unwrap_or("desc");
    let path = format!("accounts/{number}/events");
    let asked =
        [("order", Some(order)), ("cursor", cursor), ("limit", Some(if view == View::Lines { LINES } else { EVENTS }))];
    let found: Events = visit.get(&with_query(&path, &asked)).await?;
    let lines = &found.events;
    let events = read(lines)?;
    let here = |view: View, order: &str, cursor: Option<&str>| {
        let path = format!("/accounts/{number}");
        let view = (view != View::Feed).then(|| view.name());
        let order = (order != "desc").then_some(order);
        with_query(&path, &[("view", view), ("order", order), ("cursor", cursor)]) + "#history"
    };
    let ways = [
        ("Newest", here(view, "desc", None), order == "desc" && cursor.is_none()),
        ("Oldest", here(view, "asc", None), order == "asc" && cursor.is_none()),
    ];
    let drawing = drawing(visit, number, order, &events, versions).await;
    Ok(html! {
        section aria-labelledby="history" {
            h2 #history { "History" }
            (drawing)
            nav.tabs aria-label="Views of the history" {
                @for other in View::ALL {
                    a href=(here(other, order, cursor)) aria-current=[(other == view).then_some("true")] { (other.name()) }
                }
            }
            @match view {
                View::Feed => (feed(number, &events)),
                View::Groups => (groups(number, order, &events)),
                View::Lines => pre.lines tabindex="0" role="region" aria-label="Events as JSON" {
                    @for line in lines { (line.get()) "\n" }
                },
            }
            nav.ways aria-label="Parts of the history" {
                @for (name, path, is_here) in ways {
                    @if is_here { span aria-disabled="true" { (name) } } @else { a href=(path) { (name) } }
                }
                @let on = if order == "desc" { "Older" } else { "Newer" };
                @match found.next.as_deref() {
                    Some(next) => a href=(here(view, order, Some(next))) { (on) },
                    None => span aria-disabled="true" { (on) },
                }
                span.note { (parts::count(versions)) " events in all" }
            }
        }
    })
}

/// The events in lines.
pub(super) fn read(lines: &[Box<RawValue>]) -> Result<Vec<Event>, Trouble> {
    let read = lines.iter().map(|line| serde_json::from_str(line.get()));
    read.collect::<Result<_, _>>().map_err(|error| Trouble::inside(&error))
}

async fn drawing(visit: &Visit, number: &str, order: &str, events: &[Event], versions: u64) -> Markup {
    let mut moments: Vec<Moment<'_>> = Vec::with_capacity(events.len());
    moments.extend(events.iter().map(|Event { version, time, kind, .. }| Moment {
        version: *version,
        at: time,
        name: name_in(kind),
    }));
    if order == "desc" {
        moments.reverse();
    }
    let Some((first, last)) = moments.first().zip(moments.last()) else { return html! {} };
    let before: Option<Stood> = match first.version {
        0 | 1 => None,
        first => visit.get(&format!("accounts/{number}?version={}", first - 1)).await.ok(),
    };
    let before =
        before.and_then(|stood| Status::from_code(stood.status).zip(OnlineStatus::from_code(stood.online_status)));
    timeline::drawn(number, before, &moments, last.version == versions)
}

fn feed(number: &str, events: &[Event]) -> Markup {
    html! {
        @if events.is_empty() { (nothing("There are no events here.")) }
        ol.feed {
            @for event in events {
                li id=(format!("v{}", event.version)) {
                    a.number href=(format!("/accounts/{number}/events/{}", event.version)) { "v" (event.version) }
                    " " (time(&event.time)) " " strong { (kind(&event.kind)) } " " (details(&event.data))
                    " " span.note { "by " (event.origin) }
                }
            }
        }
    }
}

/// What came with an event, in words, without what is nothing.
pub(super) fn details(data: &Value) -> Markup {
    let fields = data.as_object().into_iter().flatten();
    let fields = fields.filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    html! {
        @for (name, value) in fields {
            span.detail { (name) "=" code { @match value.as_str() { Some(text) => (cut(text)), None => (cut(&value.to_string())) } } } " "
        }
    }
}

/// A text as far as a line has room for it; the event's own page has all of it.
fn cut(text: &str) -> String {
    let mut letters = text.chars();
    let shown: String = letters.by_ref().take(DETAIL_LETTERS).collect();
    if letters.next().is_some() { shown + "…" } else { shown }
}

/// What belongs together: a time online, a registration, a ban.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    title: &'static str,
    /// Which events, by their places.
    from: usize,
    to: usize,
}

/// Which group an event of this name begins or goes on with; none if it stands for itself.
fn belongs(name: &str) -> Option<&'static str> {
    match name {
        "online requested" | "came online" | "recycle requested" | "went offline" => Some("online"),
        "registration requested" | "code sent" | "code submitted" | "registered" | "registration failed" => {
            Some("registration")
        }
        "banned" | "ban lifted" => Some("ban"),
        _ => None,
    }
}

/// Events in their order, put into groups: one ends with what ends it, or where something else begins.
fn grouped(names: &[String]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut is_open = false;
    for (at, name) in names.iter().enumerate() {
        let title = belongs(name);
        let begins = matches!(name.as_str(), "online requested" | "registration requested" | "banned");
        match groups.last_mut() {
            Some(last) if is_open && title == Some(last.title) && !begins => last.to = at,
            Some(_) | None => groups.push(Group { title: title.unwrap_or("event"), from: at, to: at }),
        }
        is_open = title.is_some() && !matches!(name.as_str(), "went offline" | "registered" | "ban lifted");
    }
    groups
}

fn groups(number: &str, order: &str, events: &[Event]) -> Markup {
    let mut events: Vec<&Event> = events.iter().collect();
    if order == "desc" {
        events.reverse();
    }
    let names: Vec<String> = events.iter().map(|event| kind(&event.kind)).collect();
    let mut groups = grouped(&names);
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
                            @if group.from == group.to { "v" (event.version) } @else { (kind(&event.kind)) }
                        }
                    }
                    @if let (Some(first), Some(last)) = (within.first(), within.last()) {
                        span.note { " " (time(&first.time)) @if group.from != group.to { " to " (time(&last.time)) } }
                    }
                }
            }
        }
    }
}

/// `/accounts/{n}/events/{version}`
pub(super) async fn event(visit: &Visit, number: &str, version: &str) -> Result<Answer, Trouble> {
    let account = parts::number(number).ok_or_else(Trouble::no_page)?;
    let version: u64 = version.parse().map_err(|_| Trouble::no_page())?;
    let before = version.checked_sub(1).ok_or_else(Trouble::no_page)?.to_string();
    let path = format!("accounts/{account}/events");
    let asked = [("order", Some("asc")), ("cursor", Some(before.as_str())), ("limit", Some("1"))];
    let found: Events = visit.get(&with_query(&path, &asked)).await?;
    let line = found.events.first().ok_or_else(Trouble::no_page)?;
    let event: Event = serde_json::from_str(line.get()).map_err(|error| Trouble::inside(&error))?;
    let then: Stood = visit.get(&format!("accounts/{account}?version={version}")).await?;
    let pretty = serde_json::from_str::<Value>(line.get()).and_then(|value| serde_json::to_string_pretty(&value));
    let way = |version: u64, name: &str| {
        html! { a href=(format!("/accounts/{account}/events/{version}")) { (name) } }
    };
    let content = html! {
        h1 { (kind(&event.kind)) " · version " (version) " of " (parts::account(number)) }
        dl.facts {
            div { dt { "When" } dd { (time(&event.time)) } }
            div { dt { "By" } dd { (event.origin) } }
            div { dt { "In the request" } dd { @match &event.requestid { Some(id) => code { (id) }, None => "none" } } }
            div { dt { "Position" } dd { (event.id) } }
            div { dt { "The account's event before" } dd { @if event.prev == "0" { "none" } @else { "position " (event.prev) } } }
            div { dt { "What came with it" } dd { (details(&event.data)) } }
            div { dt { "How the account stood then" } dd { (status(then.status)) " " (presence(then.online_status)) } }
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
    let title = format!("{} {account} v{version}", kind(&event.kind));
    Ok(Answer::Page(Page { title, at: "/accounts", content }))
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
            grouped(&names).iter().map(|group| format!("{} {}-{}", group.title, group.from, group.to)).collect();
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
