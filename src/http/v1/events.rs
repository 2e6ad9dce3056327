//! Events: pages, streams, the live tail; the audit log.

use std::time::Duration;

use futures_util::stream;
use warp::Reply;
use warp::http::HeaderMap;
use warp::reply::Response;
use warp::sse;

use super::request_context::RequestContext;
use super::response_body::{JSON_LINES, into_infallible, json_response, lines_response};
use super::response_format::ResponseFormat;
use crate::api::events::{self, EventQuery, LiveTail, ReadStart};
use crate::api::{ApiState, Parameters, Problem};
use crate::audit::{EventView, HistoryOrder};
use crate::limits::LIVE_TAIL_HEARTBEAT;

const QUERY_PARAMETERS: [&str; 8] = ["after", "before", "order", "type", "account", "since", "until", "limit"];

/// `GET /events`
pub(super) async fn list_events(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&QUERY_PARAMETERS)?;
    let (after, filter, start) = (parameters.number("after")?, parameters.event_filter()?, read_start(&parameters)?);
    let call = &context.call;
    let formats = [ResponseFormat::JsonPage, ResponseFormat::NdJson, ResponseFormat::EventStream];
    match (context.format(&formats), start) {
        (ResponseFormat::JsonPage | ResponseFormat::Csv, _) => {
            let query = EventQuery { start, filter };
            Ok(json_response(&events::list_events(api, call, query, parameters.limit()?).await?))
        }
        (ResponseFormat::NdJson, _) => {
            let most = parameters.number("limit")?.unwrap_or(u64::MAX);
            let query = EventQuery { start, filter };
            Ok(lines_response(events::read_events(api, call, query, most)?, JSON_LINES, EventView::to_json))
        }
        (ResponseFormat::EventStream, ReadStart::After(_)) => {
            let after = last_event_id(&context.headers)?.or(after);
            Ok(event_stream_response(events::follow_events(api, call, after, filter)?))
        }
        (ResponseFormat::EventStream, ReadStart::Before(_)) => {
            Err(Problem::invalid_parameter("order", "must be asc for what is yet to happen"))
        }
    }
}

fn read_start(parameters: &Parameters<'_>) -> Result<ReadStart, Problem> {
    match (parameters.order()?, parameters.number("after")?, parameters.number("before")?) {
        (HistoryOrder::Ascending, after, None) => Ok(ReadStart::After(after.unwrap_or(0))),
        (HistoryOrder::Descending, None, before) => Ok(ReadStart::Before(before.unwrap_or(u64::MAX))),
        (HistoryOrder::Ascending, _, Some(_)) => {
            Err(Problem::invalid_parameter("before", "goes with order=desc; in ascending order it is after"))
        }
        (HistoryOrder::Descending, Some(_), _) => {
            Err(Problem::invalid_parameter("after", "goes with order=asc; in descending order it is before"))
        }
    }
}

/// `GET /acts`
pub(super) async fn list_acts(api: &ApiState, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["cursor", "limit"])?;
    let (cursor, limit) = (parameters.number("cursor")?, parameters.limit()?);
    Ok(json_response(&events::list_acts(api, &context.call, cursor, limit).await?))
}

/// The id of the last event that a reader of the live tail got before its connection broke.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let parse = |id: &str| id.trim().parse().ok();
    match headers.get("last-event-id").map(|id| id.to_str().ok().and_then(parse)) {
        Some(None) => Err(Problem::invalid_parameter("Last-Event-ID", "must be the id of an event: a whole number")),
        read => Ok(read.flatten()),
    }
}

/// New events as server-sent events, whose ids are positions.
pub fn event_stream_response(tail: LiveTail) -> Response {
    let events = stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await?;
        let line = String::from_utf8(event.to_json()).unwrap_or_default();
        let event = sse::Event::default().id(event.record.position.to_string()).data(line);
        Some((into_infallible(event), tail))
    });
    let heartbeat = sse::keep_alive().interval(Duration::from_secs(LIVE_TAIL_HEARTBEAT.as_secs())).text("still here");
    sse::reply(heartbeat.stream(events)).into_response()
}
