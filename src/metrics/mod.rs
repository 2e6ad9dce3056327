//! What is measured: requests, commands, the disk, webhooks, the process.
//!
//! | file | what it knows |
//! |---|---|
//! | `metric_list` | every metric once: name, kind, labels, what it says |
//! | `label_conversions` | what is counted as which word |
//! | `labels` | the words that labels have for values |
//! | `instruments` | what rooms count with |
//! | `histogram` | counting by size, without a lock |
//! | `process_stats` | how the process is, by `/proc` |
//! | `dashboard` | how it looks in Grafana |
//! | `alert_rules` | when Prometheus is to call somebody |
//!
//! A store brings the instruments, so all that is opened in it is handed them with it, and reports to them where things
//! happen. What follows from the state (lags, sizes) is reported by the room that has it, when somebody asks.

mod alert_rules;
mod dashboard;
mod histogram;
mod instruments;
mod label_conversions;
mod labels;
pub mod metric_list;
mod process_stats;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use alert_rules::alert_rules_yaml;
pub use dashboard::dashboard_json;
pub use instruments::Instruments;
pub use labels::{
    AccountState, AttemptOutcome, AuthFailure, BreakerState, BridgeCommand, BridgeRefusal, BridgeReport, CommandKind,
    CommandOutcome, CommandState, Difference, EventType, GatewayCall, GatewayReport, LaneState, MetaUpdate, Projection,
    ReconcileOutcome, Route, StatusClass,
};

pub use process_stats::count_lost_log_lines;

use process_stats::ProcessStats;

/// All instruments. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<MetricsInner>,
}

struct MetricsInner {
    instruments: Instruments,
    registry: Registry,
}

/// The type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

impl Metrics {
    /// Everything in Prometheus' text format, with the figures of the process as they are now. Blocks for a look into
    /// `/proc`.
    pub fn to_prometheus_text(&self) -> String {
        self.update_process(&ProcessStats::read());
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
        registry.register(metric_list::BUILD_INFO.base_name(), metric_list::BUILD_INFO.help, version);
        let instruments = Instruments::new(&mut registry);
        Metrics { inner: Arc::new(MetricsInner { instruments, registry }) }
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
