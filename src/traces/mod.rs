//! Traces: the trace that work belongs to (W3C Trace Context), and its spans for a collector (OTLP).
//!
//! | file | what it knows |
//! |---|---|
//! | `trace_context` | the headers `traceparent` and `tracestate` |
//! | `trace_memory` | the trace contexts of events, for their later deliveries |
//! | `otlp_export` | spans to a collector. Only it and `collector_client` know OpenTelemetry |
//! | `collector_client` | the HTTP client for the collector |
//! | `fuzz` | fuzz target of the headers; only tests compile it |
//!
//! Spans for a collector have the target [`SPAN_TARGET`], which the log excludes. Without a collector they are
//! disabled, and cost next to nothing. The log has only the trace id, in a span of its own.

mod collector_client;
mod otlp_export;
mod trace_context;
mod trace_memory;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

pub use otlp_export::{Error, MaskFn, TraceExporter, start_span};
pub use trace_context::TraceContext;
pub use trace_memory::{TraceOrigin, recall, recall_once, remember};

/// The target of spans for a collector.
pub const SPAN_TARGET: &str = "muster::traces::span";
