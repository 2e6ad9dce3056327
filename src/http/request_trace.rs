//! The trace that a request belongs to: the caller's, or a new one with the request's id.

use tracing::{Instrument, Span};
use warp::http::{HeaderMap, Method};
use warp::reply::Response;

use crate::journal::RequestId;
use crate::traces::{SPAN_TARGET, TraceContext, TraceOrigin, remember, start_span};

/// The two spans of a request.
pub(super) struct RequestTrace {
    /// The span for the log: it adds the trace id to each log line.
    log_span: Span,
    /// The span for the collector.
    collector_span: Span,
}

impl RequestTrace {
    /// Starts the spans of a request. `route` is the endpoint's path; empty if the path is unknown.
    pub(super) fn start(method: &Method, route: &str, headers: &HeaderMap, id: RequestId) -> RequestTrace {
        let parent = TraceContext::from_headers(headers);
        let trace = parent.as_ref().map_or(id.0, |parent| parent.trace);
        // Level error, so that every log filter keeps the span.
        let log_span = tracing::error_span!("request", trace_id = %RequestId(trace));
        let (only_reads, method) = (method.is_safe(), known_method(method));
        let collector_span = tracing::info_span!(
            target: SPAN_TARGET,
            parent: &log_span,
            "request",
            otel.kind = "server",
            otel.name = format_args!("{method} {route}"),
            otel.status_code = tracing::field::Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = tracing::field::Empty,
            muster.request = %id
        );
        // Without a collector this span is not exported, so the caller's span is the parent of later work.
        let context = start_span(&collector_span, parent.as_ref(), Some(trace)).or(parent);
        if let Some(context) = context.filter(|_| !only_reads) {
            remember(TraceOrigin::Request(id), context);
        }
        RequestTrace { log_span, collector_span }
    }

    /// Runs `handling` inside the spans.
    pub(super) async fn run(self, handling: impl Future<Output = Response>) -> Response {
        let response = handling.instrument(self.collector_span.clone()).instrument(self.log_span).await;
        let status = response.status();
        self.collector_span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.collector_span.record("otel.status_code", "ERROR");
        }
        response
    }
}

/// The method if it is a standard one. Callers may send any word, which must not become a span attribute.
fn known_method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH") => known,
        _ => "_OTHER",
    }
}
