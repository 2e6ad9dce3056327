//! Starts the log with its filter and format, and sends spans to a collector.

use std::io;
use std::panic;

use tracing_subscriber::filter::{FilterExt, LevelFilter, ParseError, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use super::log_writer::{self, LogWriter};
use super::number_masking::{MaskedFields, MaskedJsonWriter};
use super::{Error, output};
use crate::config::{self, LogFormat, LogSettings};
use crate::traces::{SPAN_TARGET, TraceExporter};

/// The target of log lines about the log filter itself. Every filter lets them through.
pub(super) const ALWAYS: &str = concat!(module_path!(), "::filter");

/// The log filter, which can be replaced while the log is written.
pub(super) struct LogFilterHandle(reload::Handle<EnvFilter, Registry>);

impl LogFilterHandle {
    pub(super) fn replace(&self, text: &str) -> Result<(), Error> {
        // Fails only if the log no longer exists.
        let _gone = self.0.reload(parse_filter(text)?);
        Ok(())
    }
}

/// Parses a log filter. Adds the lines that every filter lets through: about lost lines, and about the filter itself.
fn parse_filter(text: &str) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::builder()
        .parse(config::current_log_filter(text))?
        .add_directive(format!("{}=warn", log_writer::LOST_LINES_TARGET).parse()?);
    Ok(filter.add_directive(format!("{ALWAYS}=info").parse()?))
}

/// Starts logging to standard error, including panics. Sends spans to the `exporter`, if there is one.
pub(super) fn start(settings: &LogSettings, exporter: Option<&TraceExporter>) -> Result<LogFilterHandle, Error> {
    log_writer::start().map_err(Error::LogThread)?;
    let (filter, handle) = reload::Layer::new(parse_filter(&settings.filter)?);
    // Spans for a collector never go to the log, whatever the filter says.
    let is_for_log = filter_fn(|metadata| metadata.target() != SPAN_TARGET).with_max_level_hint(LevelFilter::TRACE);
    // Events that cannot be formatted are omitted. Otherwise the layer would write about them to standard error itself,
    // and could block.
    let layer = fmt::layer().with_writer(|| LogWriter).log_internal_errors(false);
    let text = layer.with_ansi(output::uses_color(&io::stderr()));
    // An event's own span has the trace id; the outer spans would repeat it.
    let json = fmt::layer().json().log_internal_errors(false).flatten_event(true).with_span_list(false);
    let log: Box<dyn Layer<Registry> + Send + Sync> = match (settings.format, settings.full_numbers) {
        (LogFormat::Text, true) => text.boxed(),
        (LogFormat::Text, false) => text.fmt_fields(MaskedFields).boxed(),
        (LogFormat::Json, true) => json.with_writer(|| LogWriter).boxed(),
        (LogFormat::Json, false) => json.with_writer(|| MaskedJsonWriter(LogWriter)).boxed(),
    };
    let log = log.with_filter(filter.and(is_for_log)).boxed();
    let spans = exporter.map(|exporter| exporter.layer().boxed());
    // Fails only if a logger was set before. That one then writes the log.
    let _started = tracing_subscriber::registry().with([log].into_iter().chain(spans).collect::<Vec<_>>()).try_init();
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {message}");
    }));
    Ok(LogFilterHandle(handle))
}
