//! Where the log goes, and in which form.

use std::io;
use std::panic;

use tracing_subscriber::EnvFilter;

use super::masking::{Fields, Lines};
use super::output;
use crate::config::{Log, LogFormat};

/// Logs to standard error from here on, panics too.
pub(super) fn start(settings: &Log) {
    // The settings were checked; a filter that is no filter does not come this far.
    let filter = EnvFilter::builder().parse_lossy(&settings.filter);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(output::is_colourful(&io::stderr()));
    // Fails only if something logs already, and then the log is there.
    let _started = match (settings.format, settings.full_numbers) {
        (LogFormat::Text, true) => log.try_init(),
        (LogFormat::Text, false) => log.fmt_fields(Fields).try_init(),
        (LogFormat::Json, true) => log.json().flatten_event(true).try_init(),
        (LogFormat::Json, false) => log.json().flatten_event(true).with_writer(|| Lines(io::stderr())).try_init(),
    };
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {message}");
    }));
}
