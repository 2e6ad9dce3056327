//! Where the log goes, and in which form; and where spans go that are for a collector.

use std::io;
use std::panic;

use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::masking::{Fields, Lines};
use super::output;
use crate::config::{Log, LogFormat};
use crate::traces::{Exporter, TARGET};

/// Logs to standard error from here on, panics too, and hands spans to the `exporter`, if there is one.
pub(super) fn start(settings: &Log, exporter: Option<&Exporter>) {
    // The settings were checked; a filter that is no filter does not come this far.
    let filter = EnvFilter::builder().parse_lossy(&settings.filter);
    // Whatever it says, what is for a collector is not for the log.
    let others = filter_fn(|of| of.target() != TARGET).with_max_level_hint(LevelFilter::TRACE);
    let text = fmt::layer().with_writer(io::stderr).with_ansi(output::is_colourful(&io::stderr()));
    // The span that an event is in says which trace; those around it would say it again.
    let json = fmt::layer().json().flatten_event(true).with_span_list(false);
    let log: Box<dyn Layer<Registry> + Send + Sync> = match (settings.format, settings.full_numbers) {
        (LogFormat::Text, true) => text.boxed(),
        (LogFormat::Text, false) => text.fmt_fields(Fields).boxed(),
        (LogFormat::Json, true) => json.with_writer(io::stderr).boxed(),
        (LogFormat::Json, false) => json.with_writer(|| Lines(io::stderr())).boxed(),
    };
    let log = log.with_filter(filter.and(others)).boxed();
    let spans = exporter.map(|exporter| exporter.layer().boxed());
    // Fails only if something logs already, and then the log is there.
    let _started = tracing_subscriber::registry().with([log].into_iter().chain(spans).collect::<Vec<_>>()).try_init();
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {message}");
    }));
}
