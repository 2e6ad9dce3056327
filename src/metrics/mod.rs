//! Metrics of requests, commands, the disk, webhooks, gateways and the process.
//!
//! | file | what it knows |
//! |---|---|
//! | `metric_list` | every metric once: name, kind, labels, help |
//! | `label_conversions` | conversions from domain values to label values |
//! | `labels` | the values of labels |
//! | `instruments` | the counters, gauges and histograms that modules update |
//! | `histogram` | a histogram without a lock |
//! | `process_stats` | statistics of the process, from `/proc` |
//! | `dashboard` | the dashboard for Grafana |
//! | `alert_rules` | the alerting rules for Prometheus |
//!
//! A store carries the instruments. Each module that is opened on the store gets them from it, and counts events where
//! they happen. Gauges that follow from a module's state (lags, sizes) are updated when the metrics are requested.

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
    CommandOutcome, CommandState, Difference, GatewayCall, GatewayReport, LaneState, MetaUpdate, Projection,
    ReconcileOutcome, Route, StatusClass,
};

pub use process_stats::count_lost_log_lines;

use process_stats::ProcessStats;

/// All instruments. Cheap to clone: all clones share the counts.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<MetricsInner>,
}

struct MetricsInner {
    instruments: Instruments,
    registry: Registry,
}

/// The content type of [`Metrics::to_prometheus_text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

impl Metrics {
    /// All metrics in Prometheus' text format, with the current statistics of the process. Blocks to read `/proc`.
    pub fn to_prometheus_text(&self) -> String {
        self.update_process(&ProcessStats::read());
        let mut text = String::new();
        // Writing to memory always succeeds.
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
