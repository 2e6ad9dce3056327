//! Events: pages, streams, the live tail, exports; the audit log.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};
use warp::Reply;
use warp::http::{HeaderMap, HeaderValue, Method};
use warp::reply::Response;
use warp::sse;

use super::response_body::{
    JSON_LINES, NDJSON, bytes_response, into_infallible, json_response, lines_response, stream_response,
};
use super::response_format::ResponseFormat;
use super::shared_docs::{event_responses, with_streams};
use crate::api::events::{self, AuditLogPage, EventPage, EventQuery, LiveTail, ReadStart};
use crate::api::{Parameters, Problem, maintenance, operation};
use crate::audit::{CloudEvent, EventView, ExportFormat, ExportManifest, HistoryOrder};
use crate::domain::EventId;
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::operation_doc::{content, response_with_id};
use crate::http::parameter_schemas::{account_digits, binary, event_id, one_of, text};
use crate::http::v1_request::V1Request;
use crate::limits::LIVE_TAIL_HEARTBEAT;

const CSV: &str = "text/csv; charset=utf-8";

pub(in crate::http) static ENDPOINTS: [Endpoint; 3] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/events",
        operation: operation::LIST_EVENTS,
        tag: Tag::Journal,
        summary: "List the events of all accounts",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| list_events(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "The response is a page. With `Accept: application/x-ndjson` it has all events until now, one a \
                     line. With `Accept: text/event-stream` it is the live tail: new events as they happen, or those \
                     after `after` or `Last-Event-ID`. Each message's data is a CloudEvent, and its id is the \
                     event's.",
                )
                .describe(&format!(
                    "In the live tail, a comment is sent every {} s without events. A page covers a limited part of the \
                     journal, so it may be empty and still have a `next`.",
                    LIVE_TAIL_HEARTBEAT.as_secs()
                ))
                .query_parameter("order", one_of(["asc", "desc"]), "`asc` (the default): oldest first; `desc`: newest \
                    first.")
                .query_parameter("after", event_id(), "With `asc`: start after this event, the `next` of the \
                    previous page.")
                .query_parameter("before", event_id(), "With `desc`: start before this event, the `next` of the \
                    previous page.")
                .query_parameter("account", account_digits(), "Only events of this account.")
                .page_limit("The maximum number of events; a stream of lines may have any.")
                .optional_header("Last-Event-ID", event_id(), "The id of the last event that the \
                    client received.")
                .event_filters()
                .register_schema::<EventPage>()
                .register_schema::<CloudEvent<'_>>()
                .response(
                    200,
                    event_responses("The page; or one event a line; or the live tail.", [NDJSON, "text/event-stream"]),
                )
                .lost_position()
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/acts",
        operation: operation::LIST_ACTS,
        tag: Tag::Journal,
        summary: "List administrative events",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| list_acts(request).boxed()),
        document: |operation| {
            operation
                .describe("Newest first.")
                .describe(
                    "A page may be empty and still have a `next`, because it covers a limited part of the audit log.",
                )
                .event_filters()
                .query_parameter("cursor", event_id(), "The `next` of the previous page.")
                .page_limit("The maximum number of events.")
                .register_schema::<CloudEvent<'_>>()
                .json_response::<AuditLogPage>(200, "The page.")
                .lost_position()
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/export",
        operation: operation::EXPORT_EVENTS,
        tag: Tag::Journal,
        summary: "Export events to a verifiable file",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| export_events(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "CloudEvents, one a line, with a signed manifest as the last line: the file can be verified \
                     without the service. Or CSV, which cannot be verified; formulas in it get an apostrophe in front. \
                     If the export fails, the connection closes before its end.",
                )
                .describe("The audit log gets an event `events_exported` before the first byte is sent.")
                .query_parameter("format", one_of(["cloudevents", "csv"]), "The format; `cloudevents` is the default.")
                .query_parameter("account", account_digits(), "Only events of this account.")
                .query_parameter("first", event_id(), "The id of the first event. The default is the log's first.")
                .query_parameter("last", event_id(), "The id of the last event. The default is the log's last.")
                .event_filters()
                .register_schema::<CloudEvent<'_>>()
                .register_schema::<ExportManifest>()
                .response(200, export_response())
                .lost_position()
        },
    },
];

/// Returns a page, all events as JSON lines, or the live tail.
async fn list_events(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.filter_parameters(&["after", "before", "order", "account", "limit"])?;
    let (after, filter, start) = (parameters.event_id("after")?, parameters.event_filter()?, read_start(&parameters)?);
    // A malformed one is an error in every format, as its description says.
    let last_id = last_event_id(&request.head.headers)?;
    let call = &request.call;
    let formats = [ResponseFormat::JsonPage, ResponseFormat::NdJson, ResponseFormat::EventStream];
    match (ResponseFormat::negotiate(&formats, &request.head.headers), start) {
        (ResponseFormat::JsonPage | ResponseFormat::Csv, _) => {
            let query = EventQuery { start, filter };
            Ok(json_response(&events::list_events(call, query, parameters.limit()?).await?))
        }
        (ResponseFormat::NdJson, _) => {
            let most = parameters.number("limit")?.unwrap_or(u64::MAX);
            let query = EventQuery { start, filter };
            Ok(lines_response(events::read_events(call, query, most)?, JSON_LINES, EventView::to_json))
        }
        (ResponseFormat::EventStream, ReadStart::After(_)) => {
            Ok(event_stream_response(events::follow_events(call, last_id.or(after), filter)?))
        }
        (ResponseFormat::EventStream, ReadStart::Before(_)) => {
            Err(Problem::invalid_parameter("order", "must be asc for a live tail"))
        }
    }
}

fn read_start(parameters: &Parameters<'_>) -> Result<ReadStart, Problem> {
    match (parameters.order()?, parameters.event_id("after")?, parameters.event_id("before")?) {
        (HistoryOrder::Ascending, after, None) => Ok(ReadStart::After(after)),
        (HistoryOrder::Descending, None, before) => Ok(ReadStart::Before(before)),
        (HistoryOrder::Ascending, _, Some(_)) => {
            Err(Problem::invalid_parameter("before", "needs order=desc; in ascending order use after"))
        }
        (HistoryOrder::Descending, Some(_), _) => {
            Err(Problem::invalid_parameter("after", "needs order=asc; in descending order use before"))
        }
    }
}

async fn list_acts(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.filter_parameters(&["cursor", "limit"])?;
    let (cursor, filter) = (parameters.event_id("cursor")?, parameters.event_filter()?);
    Ok(json_response(&events::list_acts(&request.call, cursor, filter, parameters.limit()?).await?))
}

async fn export_events(request: V1Request) -> Result<Response, Problem> {
    let query = request.filter_parameters(&["format", "account", "first", "last"])?.export_query()?;
    let content_type = match query.format {
        ExportFormat::CloudEvents => NDJSON,
        ExportFormat::Csv => CSV,
    };
    if request.head.method == Method::HEAD {
        // Nothing is exported, so nothing is recorded.
        return Ok(bytes_response(content_type, Vec::new()));
    }
    Ok(stream_response(content_type, maintenance::export_events(&request.call, query).await?))
}

fn export_response() -> ResponseBuilder {
    let line =
        OneOfBuilder::new().item(Ref::from_schema_name("CloudEvent")).item(Ref::from_schema_name("ExportManifest"));
    let file = response_with_id("One event a line, then the manifest; or CSV with a header.");
    with_streams(
        file.content(NDJSON, content(binary())).content(CSV, content(binary())),
        [(NDJSON, RefOr::T(line.into())), (CSV, text().into())],
    )
}

/// The id of the last event that a reader of the live tail got before its connection broke; `None` without the header.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let parse = |id: &str| id.trim().parse().ok();
    match headers.get("last-event-id").map(|id| id.to_str().ok().and_then(parse)) {
        Some(None) => {
            Err(Problem::invalid_parameter("Last-Event-ID", "must be the id of an event, such as 48 or 1-48"))
        }
        id => Ok(id.flatten()),
    }
}

/// New events as server-sent events, whose ids are those of the events. A comment is sent at once, because some proxies
/// and clients wait for the first bytes of a body.
pub fn event_stream_response(tail: LiveTail) -> Response {
    let events = stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await?;
        let line = String::from_utf8(event.to_json()).unwrap_or_default();
        let event = sse::Event::default().id(event.id().to_string()).data(line);
        Some((into_infallible(event), tail))
    });
    let heartbeat = sse::keep_alive().interval(Duration::from_secs(LIVE_TAIL_HEARTBEAT.as_secs())).text("still here");
    let first = stream::iter([into_infallible(sse::Event::default().comment("connected"))]);
    let mut response = sse::reply(heartbeat.stream(first.chain(events))).into_response();
    // nginx collects the bytes of a response unless this header says otherwise.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
