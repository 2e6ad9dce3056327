//! The span of an attempt, and what a receiver is told of it.

use tracing::Span;

use super::client::Answered;
use super::delivery::{Delivery, Form};
use crate::journal::RequestId;
use crate::traces::{Cause, TARGET, TraceContext, begin, recall};

/// An attempt, in its trace.
pub(super) struct Traced {
    pub(super) span: Span,
    pub(super) context: TraceContext,
}

impl Traced {
    /// Below the commit of its event, or the request that led to it, if either is still known; else in the trace that the
    /// delivery has of itself.
    pub(super) fn begin(form: &Form, delivery: &Delivery, attempt: u32) -> Traced {
        let of_request = || {
            let RequestId(request) = delivery.request;
            (request != 0).then(|| recall(Cause::Request(delivery.request)))?
        };
        let cause = recall(Cause::Event(delivery.account, delivery.version)).or_else(of_request);
        let own = form.trace(delivery, attempt);
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "webhook",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            http.request.method = "POST",
            http.response.status_code = tracing::field::Empty,
            error.r#type = tracing::field::Empty,
            muster.account = %delivery.account,
            muster.webhook.id = form.id(delivery),
            muster.webhook.channel = form.channel.short_name(),
            muster.webhook.attempt = attempt
        );
        let begun = begin(&span, cause.as_ref(), Some(own.trace));
        // Without a collector this span is known to nobody but the receiver.
        let own_span = own.span;
        let uncollected = cause.map_or(own, |cause| TraceContext { span: own_span, ..cause });
        Traced { span, context: begun.unwrap_or(uncollected) }
    }

    /// What came of it.
    pub(super) fn end(&self, answered: &Answered) {
        if let Some(status) = answered.status {
            self.span.record("http.response.status_code", status);
        }
        if let Err(failure) = &answered.verdict {
            self.span.record("error.type", failure.class());
            self.span.record("otel.status_code", "ERROR");
        }
    }
}
