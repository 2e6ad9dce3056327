//! All facts: pages, streams, the live tail.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::spawn_blocking;
use warp::Reply;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;
use warp::sse;

use super::Desk;
use super::parameters::Parameters;
use super::problem::Problem;
use super::streams::{NDJSON, Place, infallible, page, streamed};
use crate::access::Pass;
use crate::audit::{Audit, Filter};
use crate::http::requests::Query;
use crate::journal::Recorded;
use crate::limits::{LIVE_EVENTS, LIVE_HEARTBEAT, LIVE_READERS, PAGE_EVENTS};

const KNOWN: [&str; 6] = ["after", "type", "account", "since", "until", "limit"];

/// The form in which facts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Page,
    Stream,
    Live,
}

impl Form {
    /// As `Accept` says.
    pub(super) fn of(headers: &HeaderMap) -> Form {
        let accept = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
        let mut types =
            accept.flat_map(|value| value.split(',')).map(|item| item.split(';').next().unwrap_or("").trim());
        types
            .find_map(|media| match media {
                "text/event-stream" => Some(Form::Live),
                "application/x-ndjson" => Some(Form::Stream),
                "application/json" | "*/*" => Some(Form::Page),
                _ => None,
            })
            .unwrap_or(Form::Page)
    }
}

/// `GET /events`. The live tail ends with the pass, if there is one.
pub(super) fn list(desk: &Desk, query: &Query, headers: &HeaderMap, pass: Option<Pass>) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &KNOWN)?;
    let (after, filter) = (parameters.number("after")?, parameters.filter()?);
    match Form::of(headers) {
        Form::Page => {
            let found = desk.audit().events(after.unwrap_or(0), &filter, parameters.limit()?)?;
            Ok(page("events", &found))
        }
        Form::Stream => {
            let most = parameters.number("limit")?.unwrap_or(u64::MAX);
            Ok(all(desk.place()?, desk.audit().clone(), after.unwrap_or(0), filter, most))
        }
        Form::Live => live(desk, after, filter, headers, pass),
    }
}

/// `GET /acts`
pub(super) fn acts(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["cursor", "limit"])?;
    let found = desk.audit().acts(parameters.number("cursor")?, parameters.limit()?)?;
    let wrong = || Problem::parameter("cursor", "must be what the page before has as its next");
    Ok(page("acts", &found.ok_or_else(wrong)?))
}

/// Everything up to now, one event a line.
fn all(place: Place, audit: Audit, after: u64, filter: Filter, most: u64) -> Response {
    streamed(place, NDJSON, move |writer| -> Result<(), crate::audit::Error> {
        let (mut left, mut position) = (most, after);
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE_EVENTS);
            let found = audit.events(position, &filter, limit)?;
            left -= found.lines.len() as u64;
            let lines = found.lines.iter().flat_map(|line| [line, &b"\n"[..]]).collect::<Vec<_>>().concat();
            if !lines.is_empty() && writer.write(lines).is_break() {
                break;
            }
            match found.next {
                Some(next) => position = next,
                None => break,
            }
        }
        Ok(())
    })
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
fn live(
    desk: &Desk,
    after: Option<u64>,
    filter: Filter,
    headers: &HeaderMap,
    pass: Option<Pass>,
) -> Result<Response, Problem> {
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
    let (stop, keys) = (desk.inner.stop.clone(), desk.inner.door.keys().clone());
    let ended = async move {
        match pass {
            Some(pass) => drop(stop.run_until_cancelled(keys.ended(pass)).await),
            None => stop.cancelled().await,
        }
    };
    let events = events.take_until(Box::pin(ended));
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
