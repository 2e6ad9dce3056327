//! What is measured: requests, commands, the disk, webhooks, the process.
//!
//! | file | what it knows |
//! |---|---|
//! | `list` | every metric once: name, kind, labels, what it says |
//! | `kinds` | what is counted as which word |
//! | `words` | the words that labels have for values |
//! | `instruments` | what rooms count with |
//! | `histogram` | counting by size, without a lock |
//! | `process` | how the process is, by `/proc` |
//! | `dashboard` | how it looks in Grafana |
//! | `alerts` | when Prometheus is to call somebody |
//!
//! A store brings the instruments, so all that is opened in it is handed them with it, and reports to them where things
//! happen. What follows from the state (lags, sizes) is reported by the room that has it, when somebody asks.

mod alerts;
mod dashboard;
mod histogram;
mod instruments;
mod kinds;
pub mod list;
mod process;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use alerts::alerts;
pub use dashboard::dashboard;
pub use instruments::Instruments;
pub use words::{
    AccountState, AttemptOutcome, AuthFailure, BreakerState, BridgeCommand, BridgeRefusal, BridgeReport, CommandKind,
    CommandOutcome, CommandState, Difference, EventType, GatewayCall, GatewayReport, LaneState, MetaUpdate, Projection,
    ReconcileOutcome, Route, StatusClass,
};

pub use process::count_lost_log_lines;

use process::Process;

/// All instruments. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    instruments: Instruments,
    registry: Registry,
}

/// The type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

impl Metrics {
    /// Everything in Prometheus' text format, with the figures of the process as they are now. Blocks for a look into
    /// `/proc`.
    pub fn text(&self) -> String {
        self.show(&Process::now());
        let mut text = String::new();
        // Into memory this always succeeds.
        let _written = prometheus_text::encode(&mut text, &self.inner.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::default();
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register(list::BUILD_INFO.stem(), list::BUILD_INFO.help, version);
        let instruments = Instruments::new(&mut registry);
        Metrics { inner: Arc::new(Inner { instruments, registry }) }
    }
}

impl Deref for Metrics {
    type Target = Instruments;

    fn deref(&self) -> &Instruments {
        &self.inner.instruments
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
