//! Events: pages, streams, the live tail; the audit log.

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

use super::ApiState;
use super::problem::Problem;
use super::query_parameters::QueryParameters;
use super::response_body::{NDJSON_LINES, into_infallible, json_response, stream_pages, to_raw_json};
use super::response_format::ResponseFormat;
use crate::audit::{self, Audit, CloudEvent, EventFilter, HistoryOrder, QueryPage};
use crate::http::contract_requests::Query;
use crate::journal::JournalRecord;
use crate::limits::{LIVE_TAIL_HEARTBEAT, LIVE_TAIL_READ_AHEAD, LIVE_TAIL_READERS};

const QUERY_PARAMETERS: [&str; 8] = ["after", "before", "order", "type", "account", "since", "until", "limit"];

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
    pub(super) fn from_page(found: QueryPage) -> EventPage {
        EventPage { events: to_raw_json(found.lines), next: found.next.map(|next| next.to_string()) }
    }
}

/// A page of administrative acts.
#[derive(Serialize, ToSchema)]
#[schema(as = ActPage)]
pub(in crate::http) struct AuditLogPage {
    /// The newest first.
    #[schema(value_type = Vec<CloudEvent>)]
    acts: Vec<Box<RawValue>>,
    /// What to ask for as `cursor` next; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// Start position and direction of a read.
#[derive(Clone, Copy)]
enum ReadStart {
    After(u64),
    Before(u64),
}

/// `GET /events`
pub(super) fn list_events(state: &ApiState, query: &Query, headers: &HeaderMap) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &QUERY_PARAMETERS)?;
    let (after, before, filter) = (parameters.number("after")?, parameters.number("before")?, parameters.filter()?);
    let from = match (parameters.order()?, after, before) {
        (HistoryOrder::Ascending, after, None) => ReadStart::After(after.unwrap_or(0)),
        (HistoryOrder::Descending, None, before) => ReadStart::Before(before.unwrap_or(u64::MAX)),
        (HistoryOrder::Ascending, _, Some(_)) => {
            return Err(Problem::invalid_parameter("before", "goes with order=desc; in ascending order it is after"));
        }
        (HistoryOrder::Descending, Some(_), _) => {
            return Err(Problem::invalid_parameter("after", "goes with order=asc; in descending order it is before"));
        }
    };
    match (
        ResponseFormat::negotiate(
            &[ResponseFormat::JsonPage, ResponseFormat::NdJson, ResponseFormat::EventStream],
            headers,
        ),
        from,
    ) {
        (ResponseFormat::JsonPage | ResponseFormat::Csv, _) => {
            Ok(json_response(&EventPage::from_page(from.read(state.audit(), &filter, parameters.limit()?)?)))
        }
        (ResponseFormat::NdJson, _) => {
            let (audit, most) = (state.audit().clone(), parameters.number("limit")?.unwrap_or(u64::MAX));
            Ok(stream_pages(state.acquire_stream_permit()?, NDJSON_LINES, None, most, move |next, limit| {
                from.resume_at(next).read(&audit, &filter, limit)
            }))
        }
        (ResponseFormat::EventStream, ReadStart::After(_)) => follow_events(state, after, filter, headers),
        (ResponseFormat::EventStream, ReadStart::Before(_)) => {
            Err(Problem::invalid_parameter("order", "must be asc for what is yet to happen"))
        }
    }
}

impl ReadStart {
    fn read(self, audit: &Audit, filter: &EventFilter, limit: usize) -> Result<QueryPage, audit::Error> {
        match self {
            ReadStart::After(position) => audit.events(position, filter, limit),
            ReadStart::Before(position) => audit.events_back(position, filter, limit),
        }
    }

    /// Continues after a page, in the same direction.
    fn resume_at(self, next: Option<u64>) -> ReadStart {
        match self {
            ReadStart::After(first) => ReadStart::After(next.unwrap_or(first)),
            ReadStart::Before(first) => ReadStart::Before(next.unwrap_or(first)),
        }
    }
}

/// `GET /acts`
pub(super) fn list_audit_log(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["cursor", "limit"])?;
    let found = state.audit().administrative_events(parameters.number("cursor")?, parameters.limit()?)?;
    let wrong = || Problem::invalid_parameter("cursor", "must be what the page before has as its next");
    let found = found.ok_or_else(wrong)?;
    Ok(json_response(&AuditLogPage { acts: to_raw_json(found.lines), next: found.next.map(|next| next.to_string()) }))
}

/// A reader of the live tail.
struct LiveTail {
    audit: Audit,
    filter: EventFilter,
    head: watch::Receiver<u64>,
    position: u64,
    buffered: VecDeque<JournalRecord>,
    _permit: OwnedSemaphorePermit,
}

/// Streams new events as server-sent events, whose ids are positions. It starts after `Last-Event-ID`, or after `after`, or
/// at the end of the journal.
fn follow_events(
    state: &ApiState,
    after: Option<u64>,
    filter: EventFilter,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let resumed = match headers.get("last-event-id").map(|id| id.to_str().ok().and_then(|id| id.trim().parse().ok())) {
        Some(Some(position)) => Some(position),
        Some(None) => {
            return Err(Problem::invalid_parameter("Last-Event-ID", "must be the id of an event: a whole number"));
        }
        None => None,
    };
    let permit = state.inner.live_reader_permits.clone().try_acquire_owned();
    let full = format!("{LIVE_TAIL_READERS} readers follow the live tail, which is the limit; try again later");
    let permit = permit.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, full))?;
    let audit = state.audit().clone();
    let position = resumed.or(after).unwrap_or_else(|| audit.journal().head());
    let head = audit.journal().subscribe_head();
    let tail = LiveTail { audit, filter, head, position, buffered: VecDeque::new(), _permit: permit };
    let events = stream::unfold(tail, |mut tail| async move {
        let record = tail.next().await?;
        let line = String::from_utf8(tail.audit.to_json_line(&record)).unwrap_or_default();
        let event = sse::Event::default().id(record.position.to_string()).data(line);
        Some((into_infallible(event), tail))
    });
    let events = events.take_until(state.inner.stop.clone().cancelled_owned());
    let heartbeat = sse::keep_alive().interval(Duration::from_secs(LIVE_TAIL_HEARTBEAT.as_secs())).text("still here");
    Ok(sse::reply(heartbeat.stream(events)).into_response())
}

impl LiveTail {
    /// Waits for the next durable event that passes the filter; `None` if the journal cannot be read.
    async fn next(&mut self) -> Option<JournalRecord> {
        loop {
            if let Some(record) = self.buffered.pop_front() {
                return Some(record);
            }
            let position = self.position;
            self.head.wait_for(|head| *head > position).await.ok()?;
            let (audit, filter) = (self.audit.clone(), self.filter.clone());
            let found = spawn_blocking(move || audit.records(position, &filter, LIVE_TAIL_READ_AHEAD)).await.ok()?;
            match found {
                Ok((records, looked_at)) => {
                    self.buffered = records.into();
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
