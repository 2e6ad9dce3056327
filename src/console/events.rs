//! `/events`: everything that happens, the newest first, and as it happens.

use maud::{Markup, html};
use serde::Deserialize;
use warp::http::HeaderValue;

use super::frame::{Answer, Page, secure};
use super::history::{Event, Events, details, read};
use super::parts::{kind, nothing, time};
use super::visit::{Trouble, Visit, with_query};
use crate::journal;

/// `GET /projections`, as far as it says how long the journal is.
#[derive(Deserialize)]
struct Followed {
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    position: String,
}

/// How many events one page shows.
const EVENTS: &str = "50";

/// What the events are looked through for, as the API has it.
const FILTERS: [&str; 4] = ["type", "account", "since", "until"];

pub(super) async fn page(visit: &Visit) -> Result<Answer, Trouble> {
    let asked = FILTERS.map(|name| (name, visit.asked(name)));
    let (before, after) = (visit.asked("before"), visit.asked("after"));
    let with = |path: &str, more: &[(&str, Option<&str>)]| with_query(path, &[&asked[..], more].concat());
    let order = if after.is_some() { "asc" } else { "desc" };
    // The live tail goes on behind what the page shows, or, where that is nothing, behind what there was before it was made.
    let head = visit.get::<Followed>("projections").await.map_or_else(|_| String::new(), |found| found.head.position);
    let more = [("order", Some(order)), ("before", before), ("after", after), ("limit", Some(EVENTS))];
    let found: Result<Events, Trouble> = visit.get(&with("events", &more)).await;
    let content = html! {
        h1 { "Events" }
        (filter(visit))
        @match &found {
            Err(trouble) => p.error role="alert" { (trouble.words) },
            Ok(found) => {
                @let events = read(&found.events)?;
                @let is_newest = before.is_none() && after.is_none();
                @if is_newest {
                    @let newest = events.first().map_or(head.as_str(), |event| event.id.as_str());
                    p.live-tail data-tail=(with("/events/live", &[("after", Some(newest))])) hidden {
                        button type="button" data-pause aria-pressed="false" { "Pause" }
                        " " span data-tail-state role="status" { "What happens appears here at once." }
                    }
                }
                @if events.is_empty() { (nothing("Nothing is so here.")) }
                ol.feed data-tail-list[is_newest] { @for event in shown(&events, order) { (line(event)) } }
                nav.ways aria-label="Parts of the events" {
                    @let ways = [("Newest", with("/events", &[]), is_newest), ("Oldest", with("/events", &[("after", Some("0"))]), after == Some("0"))];
                    @for (name, path, is_here) in ways {
                        @if is_here { span aria-disabled="true" { (name) } } @else { a href=(path) { (name) } }
                    }
                    @let on = if order == "desc" { ("Older", "before") } else { ("Newer", "after") };
                    @match found.next.as_deref() {
                        Some(next) => a href=(with("/events", &[(on.1, Some(next))])) { (on.0) },
                        None => span aria-disabled="true" { (on.0) },
                    }
                }
            }
        }
    };
    Ok(Answer::Page(Page { title: "Events".to_owned(), at: "/events", content }))
}

/// The newest first, whichever way they were found.
fn shown<'e>(events: &'e [Event], order: &str) -> Vec<&'e Event> {
    if order == "desc" { events.iter().collect() } else { events.iter().rev().collect() }
}

fn filter(visit: &Visit) -> Markup {
    html! {
        form.filter method="get" action="/events" {
            div {
                label for="type" { "Type" }
                select #type name="type" {
                    option value="" { "any" }
                    @for name in journal::names() {
                        option value=(name) selected[visit.asked("type") == Some(name)] { (kind(name)) }
                    }
                }
            }
            div { label for="account" { "Account" } input #account name="account" inputmode="numeric" value=[visit.asked("account")]; }
            div { label for="since" { "Since" } input #since name="since" value=[visit.asked("since")] placeholder="2026-11-25"; }
            div { label for="until" { "Until" } input #until name="until" value=[visit.asked("until")] placeholder="2026-11-26"; }
            div { button.primary { "Show" } }
        }
    }
}

/// One event, as a line of a list of all. The script of the live tail makes the same of an event that comes.
pub(super) fn line(event: &Event) -> Markup {
    html! {
        li {
            span.number { (event.id) } " " (time(&event.time)) " "
            @if event.subject.bytes().all(|byte| byte.is_ascii_digit()) {
                a.number href=(format!("/accounts/{}/events/{}", event.subject, event.version)) { (event.subject) }
            } @else {
                a href="/acts" { (event.subject) }
            }
            " " strong { (kind(&event.kind)) } " " (details(&event.data)) span.note { "by " (event.origin) }
        }
    }
}

/// `/events/live`: what happens from now on, for the script of the page.
pub(super) async fn live(visit: &Visit) -> Result<Answer, Trouble> {
    let asked = FILTERS.map(|name| (name, visit.asked(name)));
    let asked = [&asked[..], &[("after", visit.asked("after"))]].concat();
    let mut answer = visit.open(&with_query("events", &asked), "text/event-stream").await?;
    let is_stream = answer.headers().get("content-type") == Some(&HeaderValue::from_static("text/event-stream"));
    if is_stream {
        secure(&mut answer);
    }
    Ok(Answer::Other(answer))
}
