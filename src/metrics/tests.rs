//! Tests of the exported text.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

/// The names and kinds in the exported text.
fn families(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

/// The value of a series in the exported text.
fn value<'t>(text: &'t str, series: &str) -> &'t str {
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("there is no {series} in {text}"))
}

#[test]
fn all_listed_metrics_are_exported() {
    let text = Metrics::default().to_prometheus_text();
    let listed: Vec<(&str, &str)> = metric_list::ALL.iter().map(|metric| (metric.name, metric.kind.name())).collect();
    let exported = families(&text);
    assert_eq!(exported.iter().collect::<BTreeSet<_>>(), listed.iter().collect::<BTreeSet<_>>());
    assert_eq!(exported.len(), listed.len(), "each once");
    for metric in metric_list::ALL {
        let help = format!("# HELP {} {}.", metric.name, metric.help);
        assert!(text.lines().any(|line| line == help), "{help}");
        assert_eq!(
            metric.name.ends_with("_total"),
            matches!(metric.kind, metric_list::MetricKind::Counter),
            "{}",
            metric.name
        );
        if let metric_list::MetricKind::Histogram(bounds) = metric.kind {
            assert!(bounds.upper_bounds.is_sorted(), "{}", metric.name);
        }
    }
}

#[test]
fn each_label_value_has_its_own_series() {
    let metrics = Metrics::default();
    metrics.commands.with((CommandKind::Recycle, CommandOutcome::Refused)).inc();
    metrics.http_requests.with((Route::Other, StatusClass::ServerError)).inc();
    metrics.webhook_lanes.with((crate::domain::Channel::RegisterStatus, LaneState::Blocked)).set(7);
    let text = metrics.to_prometheus_text();
    assert_eq!(value(&text, r#"muster_commands_total{command="recycle",outcome="refused"}"#), "1");
    assert_eq!(value(&text, r#"muster_commands_total{command="recycle",outcome="accepted"}"#), "0");
    assert_eq!(value(&text, r#"muster_http_requests_total{route="other",status="5xx"}"#), "1");
    assert_eq!(value(&text, r#"muster_webhook_lanes{channel="register",state="blocked"}"#), "7");
    let counted = text.lines().filter(|line| line.starts_with("muster_") && line.ends_with(" 1"));
    assert_eq!(counted.count(), 3, "these two, and the version");
}

#[test]
fn a_histogram_counts_up_to_each_bound() {
    let metrics = Metrics::default();
    for nanoseconds in [100_000, 100_001, 15_000_000_000, 15_000_000_001] {
        metrics.sync_seconds.observe_duration(Duration::from_nanos(nanoseconds));
    }
    metrics.block_events.observe(1_024);
    let text = metrics.to_prometheus_text();
    let name = "muster_store_sync_duration_seconds";
    for (bound, count) in [("0.0001", "1"), ("0.00025", "2"), ("10", "2"), ("15", "3"), ("+Inf", "4")] {
        assert_eq!(value(&text, &format!("{name}_bucket{{le=\"{bound}\"}}")), count, "{bound}");
    }
    assert_eq!((value(&text, &format!("{name}_count")), value(&text, &format!("{name}_sum"))), ("4", "30.000200002"));
    assert_eq!(value(&text, "muster_journal_block_events_bucket{le=\"512\"}"), "0");
    assert_eq!(value(&text, "muster_journal_block_events_bucket{le=\"1024\"}"), "1");
}

#[test]
fn clones_count_together() {
    let metrics = Metrics::default();
    metrics.clone().recoveries.inc();
    assert_eq!(value(&metrics.to_prometheus_text(), "muster_actors_recovered_total"), "1");
}
