//! Traces: which trace work belongs to (W3C Trace Context), and its spans on the way to a collector (OTLP).
//!
//! | file | what it knows |
//! |---|---|
//! | `trace_context` | the headers `traceparent` and `tracestate` |
//! | `trace_memory` | where in a trace events came about, for those who tell of them later |
//! | `otlp_export` | spans to a collector. Only it and `collector` know OpenTelemetry |
//! | `collector_client` | the way to it |
//! | `fuzz` | the headers under any bytes: for tests alone |
//!
//! Spans for a collector have the target [`TARGET`], which the log leaves out; while there is no collector nobody asks
//! for them, and they cost next to nothing. What the log says of a trace is its id, in a span of the log's own.

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

/// The target of spans that are for a collector.
pub const SPAN_TARGET: &str = "muster::traces::span";
