//! The trace that a request belongs to: its caller's, or one with the request's id.

use tracing::{Instrument, Span};
use warp::http::{HeaderMap, Method};
use warp::reply::Response;

use crate::journal::RequestId;
use crate::traces::{SPAN_TARGET, TraceContext, TraceOrigin, remember, start_span};

/// A request, in its trace.
pub(super) struct RequestTrace {
    /// The span of the log: whatever is logged in it has the trace's id.
    log_span: Span,
    /// The span for a collector.
    collector_span: Span,
}

impl RequestTrace {
    /// Begins the spans of a request to `route`, which is the path as it is documented; empty if there is no such path.
    pub(super) fn start(method: &Method, route: &str, headers: &HeaderMap, id: RequestId) -> RequestTrace {
        let parent = TraceContext::from_headers(headers);
        let trace = parent.as_ref().map_or(id.0, |parent| parent.trace);
        // As an error, so that it is there whatever is logged.
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
        // Without a collector nobody knows this span: what comes of the request is below its caller's.
        let context = start_span(&collector_span, parent.as_ref(), Some(trace)).or(parent);
        if let Some(context) = context.filter(|_| !only_reads) {
            remember(TraceOrigin::Request(id), context);
        }
        RequestTrace { log_span, collector_span }
    }

    /// Answers the request in its spans.
    pub(super) async fn run(self, answering: impl Future<Output = Response>) -> Response {
        let response = answering.instrument(self.collector_span.clone()).instrument(self.log_span).await;
        let status = response.status();
        self.collector_span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.collector_span.record("otel.status_code", "ERROR");
        }
        response
    }
}

/// The method, if it is one that anybody knows: callers may send any word.
fn known_method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH") => known,
        _ => "_OTHER",
    }
}
