//! The trace span of an attempt, and the trace context that the receiver gets.

use tracing::Span;

use super::delivery::{Delivery, PayloadBuilder};
use super::response_check::AttemptResponse;
use crate::journal::RequestId;
use crate::traces::{SPAN_TARGET, TraceContext, TraceOrigin, recall, start_span};

/// The span of an attempt.
pub(super) struct AttemptSpan {
    pub(super) span: Span,
    pub(super) context: TraceContext,
}

impl AttemptSpan {
    /// Starts the span. Its parent is the span of the event's commit. If the service no longer remembers that span, the
    /// parent is the request's span. Without a parent, the span uses the delivery's own trace.
    pub(super) fn begin(payloads: &PayloadBuilder, delivery: &Delivery, attempt: u32) -> AttemptSpan {
        let of_request = || {
            let RequestId(request) = delivery.request;
            (request != 0).then(|| recall(TraceOrigin::Request(delivery.request)))?
        };
        let cause = recall(TraceOrigin::Event(delivery.account, delivery.version)).or_else(of_request);
        let own = payloads.trace_context(delivery, attempt);
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            parent: None,
            "webhook",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            http.request.method = "POST",
            http.response.status_code = tracing::field::Empty,
            error.r#type = tracing::field::Empty,
            muster.account = %delivery.account,
            muster.webhook.id = payloads.webhook_id(delivery),
            muster.webhook.channel = payloads.channel.short_name(),
            muster.webhook.attempt = attempt
        );
        let begun = start_span(&span, cause.as_ref(), Some(own.trace));
        // Without a collector, only the receiver learns of this span.
        let own_span = own.span;
        let uncollected = cause.map_or(own, |cause| TraceContext { span: own_span, ..cause });
        AttemptSpan { span, context: begun.unwrap_or(uncollected) }
    }

    /// Records the response in the span.
    pub(super) fn record_response(&self, response: &AttemptResponse) {
        if let Some(status) = response.status {
            self.span.record("http.response.status_code", status);
        }
        if let Err(failure) = &response.verdict {
            self.span.record("error.type", failure.class());
            self.span.record("otel.status_code", "ERROR");
        }
    }
}
