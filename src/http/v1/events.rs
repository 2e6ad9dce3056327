//! All facts: pages, streams, the live tail.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use warp::Reply;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;
use warp::sse;

use super::Desk;
use super::form::Form;
use super::parameters::Parameters;
use super::problem::Problem;
use super::streams::{NDJSON_LINES, infallible, json, paged, raw};
use crate::audit::{self, Audit, CloudEvent, Filter, Order, Page};
use crate::http::requests::Query;
use crate::journal::Recorded;
use crate::limits::{LIVE_EVENTS, LIVE_HEARTBEAT, LIVE_READERS};

const KNOWN: [&str; 8] = ["after", "before", "order", "type", "account", "since", "until", "limit"];

/// A page of events.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct EventPage {
    /// In the order that was asked for.
    #[schema(value_type = Vec<CloudEvent>)]
    events: Vec<Box<RawValue>>,
    /// What to ask for next, as `after`, `before` or `cursor`; null at the end.
    #[schema(required)]
    next: Option<String>,
}

impl EventPage {
    pub(super) fn of(found: Page) -> EventPage {
        EventPage { events: raw(found.lines), next: found.next.map(|next| next.to_string()) }
    }
}

/// A page of administrative acts.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ActPage {
    /// The newest first.
    #[schema(value_type = Vec<CloudEvent>)]
    acts: Vec<Box<RawValue>>,
    /// What to ask for as `cursor` next; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// Where facts are read from, and in which direction.
#[derive(Clone, Copy)]
enum From {
    After(u64),
    Before(u64),
}

/// `GET /events`
pub(super) fn list(desk: &Desk, query: &Query, headers: &HeaderMap) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &KNOWN)?;
    let (after, before, filter) = (parameters.number("after")?, parameters.number("before")?, parameters.filter()?);
    let from = match (parameters.order()?, after, before) {
        (Order::Ascending, after, None) => From::After(after.unwrap_or(0)),
        (Order::Descending, None, before) => From::Before(before.unwrap_or(u64::MAX)),
        (Order::Ascending, _, Some(_)) => {
            return Err(Problem::parameter("before", "goes with order=desc; in ascending order it is after"));
        }
        (Order::Descending, Some(_), _) => {
            return Err(Problem::parameter("after", "goes with order=asc; in descending order it is before"));
        }
    };
    match (Form::among(&[Form::Page, Form::Lines, Form::Live], headers), from) {
        (Form::Page | Form::Csv, _) => {
            Ok(json(&EventPage::of(from.read(desk.audit(), &filter, parameters.limit()?)?)))
        }
        (Form::Lines, _) => {
            let (audit, most) = (desk.audit().clone(), parameters.number("limit")?.unwrap_or(u64::MAX));
            Ok(paged(desk.place()?, NDJSON_LINES, None, most, move |next, limit| {
                from.going_on(next).read(&audit, &filter, limit)
            }))
        }
        (Form::Live, From::After(_)) => live(desk, after, filter, headers),
        (Form::Live, From::Before(_)) => Err(Problem::parameter("order", "must be asc for what is yet to happen")),
    }
}

impl From {
    fn read(self, audit: &Audit, filter: &Filter, limit: usize) -> Result<Page, audit::Error> {
        match self {
            From::After(position) => audit.events(position, filter, limit),
            From::Before(position) => audit.events_back(position, filter, limit),
        }
    }

    /// In the same direction, from where a page ended.
    fn going_on(self, next: Option<u64>) -> From {
        match self {
            From::After(first) => From::After(next.unwrap_or(first)),
            From::Before(first) => From::Before(next.unwrap_or(first)),
        }
    }
}

/// `GET /acts`
pub(super) fn acts(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["cursor", "limit"])?;
    let found = desk.audit().acts(parameters.number("cursor")?, parameters.limit()?)?;
    let wrong = || Problem::parameter("cursor", "must be what the page before has as its next");
    let found = found.ok_or_else(wrong)?;
    Ok(json(&ActPage { acts: raw(found.lines), next: found.next.map(|next| next.to_string()) }))
}

/// A reader of the live tail.
struct Tail {
    audit: Audit,
    filter: Filter,
    head: watch::Receiver<u64>,
    position: u64,
    waiting: VecDeque<Recorded>,
    _place: OwnedSemaphorePermit,
}

/// What happens, as it happens: server-sent events whose ids are positions. It goes on behind `Last-Event-ID`, or behind
/// `after`, or from now.
fn live(desk: &Desk, after: Option<u64>, filter: Filter, headers: &HeaderMap) -> Result<Response, Problem> {
    let resumed = match headers.get("last-event-id").map(|id| id.to_str().ok().and_then(|id| id.trim().parse().ok())) {
        Some(Some(position)) => Some(position),
        Some(None) => return Err(Problem::parameter("Last-Event-ID", "must be the id of an event: a whole number")),
        None => None,
    };
    let place = desk.inner.readers.clone().try_acquire_owned();
    let full = format!("{LIVE_READERS} readers follow the live tail, which is the limit; try again later");
    let place = place.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, full))?;
    let audit = desk.audit().clone();
    let position = resumed.or(after).unwrap_or_else(|| audit.journal().head());
    let head = audit.journal().follow();
    let tail = Tail { audit, filter, head, position, waiting: VecDeque::new(), _place: place };
    let events = stream::unfold(tail, |mut tail| async move {
        let record = tail.next().await?;
        let line = String::from_utf8(tail.audit.line(&record)).unwrap_or_default();
        let event = sse::Event::default().id(record.position.to_string()).data(line);
        Some((infallible(event), tail))
    });
    let events = events.take_until(desk.inner.stop.clone().cancelled_owned());
    let heartbeat = sse::keep_alive().interval(Duration::from_secs(LIVE_HEARTBEAT.as_secs())).text("still here");
    Ok(sse::reply(heartbeat.stream(events)).into_response())
}

impl Tail {
    /// The next fact that is wanted, when it is durable; none if the journal cannot be read.
    async fn next(&mut self) -> Option<Recorded> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Some(record);
            }
            let position = self.position;
            self.head.wait_for(|head| *head > position).await.ok()?;
            let (audit, filter) = (self.audit.clone(), self.filter.clone());
            let found = spawn_blocking(move || audit.records(position, &filter, LIVE_EVENTS)).await.ok()?;
            match found {
                Ok((records, looked_at)) => {
                    self.waiting = records.into();
                    self.position = looked_at;
                }
                Err(error) => {
                    tracing::error!(%error, "the live tail cannot go on");
                    return None;
                }
            }
        }
    }
}
