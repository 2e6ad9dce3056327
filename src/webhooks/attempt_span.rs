//! The span of an attempt, and what a receiver is told of it.

use tracing::Span;

use super::delivery::{Delivery, PayloadBuilder};
use super::receiver_client::AttemptResponse;
use crate::journal::RequestId;
use crate::traces::{SPAN_TARGET, TraceContext, TraceOrigin, recall, start_span};

/// An attempt, in its trace.
pub(super) struct AttemptSpan {
    pub(super) span: Span,
    pub(super) context: TraceContext,
}

impl AttemptSpan {
    /// Below the commit of its event, or the request that led to it, if either is still known; else in the trace that the
    /// delivery has of itself.
    pub(super) fn begin(form: &PayloadBuilder, delivery: &Delivery, attempt: u32) -> AttemptSpan {
        let of_request = || {
            let RequestId(request) = delivery.request;
            (request != 0).then(|| recall(TraceOrigin::Request(delivery.request)))?
        };
        let cause = recall(TraceOrigin::Event(delivery.account, delivery.version)).or_else(of_request);
        let own = form.trace_context(delivery, attempt);
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
            muster.webhook.id = form.webhook_id(delivery),
            muster.webhook.channel = form.channel.short_name(),
            muster.webhook.attempt = attempt
        );
        let begun = start_span(&span, cause.as_ref(), Some(own.trace));
        // Without a collector this span is known to nobody but the receiver.
        let own_span = own.span;
        let uncollected = cause.map_or(own, |cause| TraceContext { span: own_span, ..cause });
        AttemptSpan { span, context: begun.unwrap_or(uncollected) }
    }

    /// What came of it.
    pub(super) fn record_response(&self, answered: &AttemptResponse) {
        if let Some(status) = answered.status {
            self.span.record("http.response.status_code", status);
        }
        if let Err(failure) = &answered.verdict {
            self.span.record("error.type", failure.class());
            self.span.record("otel.status_code", "ERROR");
        }
    }
}
