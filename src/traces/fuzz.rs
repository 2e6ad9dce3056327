//! Fuzz target: the headers of a trace.

#![allow(clippy::unwrap_used, clippy::panic)]

use reqwest::header::{HeaderMap, HeaderValue};

use super::TraceContext;
use crate::limits::{TRACE_STATE_BYTES, TRACE_STATE_MEMBERS};

/// `traceparent`, followed by lines of `tracestate`.
pub(crate) fn context_seeds() -> Vec<Vec<u8>> {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    [parent.to_owned(), format!("{parent}\nrojo=00f067aa0ba902b7,congo=t61rcWkgMzE\na=b")]
        .map(String::into_bytes)
        .into()
}

/// A parsed context is within the limits, and its own headers parse to the same context.
pub(crate) fn check_context(bytes: &[u8]) -> Option<String> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    headers.append("traceparent", HeaderValue::from_bytes(lines.next()?).ok()?);
    for line in lines {
        headers.append("tracestate", HeaderValue::from_bytes(line).ok()?);
    }
    let context = TraceContext::from_headers(&headers)?;
    assert!(context.trace != 0 && context.span != 0 && context.state.len() <= TRACE_STATE_BYTES);
    assert!(context.state.split(',').count() <= TRACE_STATE_MEMBERS);
    let mut passed_on = HeaderMap::new();
    passed_on.append("traceparent", context.to_traceparent().parse().unwrap());
    passed_on.append("tracestate", context.state.parse().unwrap());
    assert_eq!(TraceContext::from_headers(&passed_on), Some(context));
    None
}
