//! Traces: which trace work belongs to (W3C Trace Context), and its spans on the way to a collector (OTLP).
//!
//! | file | what it knows |
//! |---|---|
//! | `context` | the headers `traceparent` and `tracestate` |
//! | `memory` | where in a trace events came about, for those who tell of them later |
//! | `export` | spans to a collector. Only it and `collector` know OpenTelemetry |
//! | `collector` | the way to it |
//! | `fuzz` | the headers under any bytes: for tests alone |
//!
//! Spans for a collector have the target [`TARGET`], which the log leaves out; while there is no collector nobody asks
//! for them, and they cost next to nothing. What the log says of a trace is its id, in a span of the log's own.

mod collector;
mod context;
mod export;
mod memory;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

pub use context::TraceContext;
pub use export::{Error, Exporter, Mask, begin};
pub use memory::{Cause, recall, remember, take};

/// The target of spans that are for a collector.
pub const TARGET: &str = "muster::traces::span";
