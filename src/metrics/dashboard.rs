//! A dashboard for Grafana. It takes names from the metric list, so that panels query existing metrics only.

use serde_json::{Value, json};

use super::metric_list::{self, Metric};

/// A row of the dashboard: its title and panels.
type DashboardRow = (&'static str, Vec<DashboardPanel>);

/// A panel with one graph.
struct DashboardPanel {
    title: &'static str,
    /// A unit's name in Grafana.
    unit: &'static str,
    /// PromQL expressions, each with its legend.
    queries: Vec<(String, &'static str)>,
}

/// The version of Grafana's schema for dashboards. Later versions of Grafana read it too.
const GRAFANA_SCHEMA_VERSION: u64 = 41;
/// The number of panels side by side, and the size of each: a dashboard is 24 units wide.
const PANELS_PER_ROW: usize = 3;
const WIDTH: usize = 24 / PANELS_PER_ROW;
const HEIGHT: usize = 8;

/// The dashboard as JSON, to import into Grafana.
pub fn dashboard_json() -> Value {
    let (mut panels, mut y) = (Vec::new(), 0);
    for (title, row) in dashboard_rows() {
        let id = panels.len() + 1;
        panels.push(json!({"id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}));
        y += 1;
        for (index, panel) in row.iter().enumerate() {
            let position = (index % PANELS_PER_ROW * WIDTH, y + index / PANELS_PER_ROW * HEIGHT);
            panels.push(panel.to_json(panels.len() + 1, position));
        }
        y += row.len().div_ceil(PANELS_PER_ROW) * HEIGHT;
    }
    let instances = format!("label_values({}, instance)", metric_list::BUILD_INFO);
    json!({
        "title": "Muster", "uid": "muster", "tags": ["muster"], "schemaVersion": GRAFANA_SCHEMA_VERSION, "version": 1, "editable": true,
        "timezone": "browser", "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "graphTooltip": 1,
        "annotations": {"list": []}, "links": [],
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
            {"name": "instance", "label": "Instance", "type": "query", "datasource": data_source(), "definition": instances,
                "query": {"query": instances, "refId": "instance"}, "refresh": 2, "sort": 1, "multi": true,
                "includeAll": true, "current": {"text": "All", "value": ["$__all"]}},
        ]},
        "panels": panels,
    })
}

fn dashboard_rows() -> [DashboardRow; 9] {
    [
        traffic_row(),
        command_row(),
        journal_row(),
        actor_row(),
        projection_row(),
        webhook_row(),
        gateway_row(),
        access_row(),
        process_row(),
    ]
}

fn traffic_row() -> DashboardRow {
    let panels = vec![
        new_panel("Requests", "reqps", [(rate_expr(metric_list::HTTP_REQUESTS, "route"), "{{route}}")]),
        new_panel("Responses by status", "reqps", [(rate_expr(metric_list::HTTP_REQUESTS, "status"), "{{status}}")]),
        new_panel(
            "Time to respond, p99",
            "s",
            [(quantile_expr(0.99, metric_list::HTTP_SECONDS, "route"), "{{route}}")],
        ),
        new_panel("Requests in flight", "short", [(current_expr(metric_list::HTTP_IN_FLIGHT), "{{instance}}")]),
        new_panel(
            "Ready",
            "short",
            [
                (current_expr(metric_list::READY), "{{instance}}"),
                (current_expr(metric_list::BUILD_INFO), "version {{version}}"),
            ],
        ),
    ];
    ("Traffic", panels)
}

fn command_row() -> DashboardRow {
    let panels = vec![
        new_panel("Commands", "ops", [(rate_expr(metric_list::COMMANDS, "command"), "{{command}}")]),
        new_panel("Outcomes", "ops", [(rate_expr(metric_list::COMMANDS, "outcome"), "{{outcome}}")]),
        new_panel(
            "Time to outcome, p99",
            "s",
            [(quantile_expr(0.99, metric_list::COMMAND_SECONDS, "command"), "{{command}}")],
        ),
        new_panel(
            "Wait in the mailbox",
            "s",
            [
                (quantile_expr(0.5, metric_list::COMMAND_WAIT, ""), "p50"),
                (quantile_expr(0.99, metric_list::COMMAND_WAIT, ""), "p99"),
            ],
        ),
        new_panel(
            "Pending effects sent to gateways",
            "ops",
            [(rate_expr(metric_list::GATEWAY_CALLS, "call"), "{{call}}")],
        ),
        new_panel("Reports from gateways", "ops", [(rate_expr(metric_list::GATEWAY_REPORTS, "report"), "{{report}}")]),
        new_panel("Updates from Meta", "ops", [(rate_expr(metric_list::META_UPDATES, "outcome"), "{{outcome}}")]),
        new_panel("Meta rejects the token", "short", [(current_expr(metric_list::META_TOKEN_REFUSED), "{{instance}}")]),
    ];
    ("Commands", panels)
}

fn journal_row() -> DashboardRow {
    let panels = vec![
        new_panel("Events", "ops", [(rate_expr(metric_list::EVENTS_APPENDED, "type"), "{{type}}")]),
        new_panel(
            "Commit time",
            "s",
            [
                (quantile_expr(0.5, metric_list::COMMIT_SECONDS, ""), "p50"),
                (quantile_expr(0.99, metric_list::COMMIT_SECONDS, ""), "p99"),
            ],
        ),
        new_panel(
            "Disk time (fdatasync)",
            "s",
            [
                (quantile_expr(0.5, metric_list::SYNC_SECONDS, ""), "p50"),
                (quantile_expr(0.99, metric_list::SYNC_SECONDS, ""), "p99"),
            ],
        ),
        new_panel("Events per block", "short", [(mean_expr(metric_list::BLOCK_EVENTS), "mean")]),
        new_panel("Bytes per block", "bytes", [(mean_expr(metric_list::BLOCK_BYTES), "mean")]),
        new_panel("Position", "short", [(current_expr(metric_list::POSITION), "{{instance}}")]),
        new_panel("Size on disk", "bytes", [(current_expr(metric_list::STORE_BYTES), "{{instance}}")]),
    ];
    ("Journal", panels)
}

fn actor_row() -> DashboardRow {
    let panels = vec![
        new_panel("Accounts in memory", "short", [(current_expr(metric_list::ACTORS), "{{instance}}")]),
        new_panel(
            "Actors started and retired",
            "ops",
            [
                (rate_expr(metric_list::ACTORS_STARTED, ""), "started"),
                (rate_expr(metric_list::ACTORS_RETIRED, ""), "retired"),
            ],
        ),
        new_panel(
            "Recoveries and snapshots",
            "ops",
            [
                (rate_expr(metric_list::RECOVERIES, ""), "recovered"),
                (rate_expr(metric_list::SNAPSHOTS, ""), "snapshots"),
                (rate_expr(metric_list::CACHE_FAILURES, ""), "not saved"),
            ],
        ),
    ];
    ("Actors", panels)
}

fn projection_row() -> DashboardRow {
    let panels = vec![
        new_panel("Accounts by state", "short", [(sum_expr(metric_list::ACCOUNTS, "state"), "{{state}}")]),
        new_panel(
            "Events behind the journal",
            "short",
            [(current_expr(metric_list::PROJECTION_LAG), "{{projection}} {{instance}}")],
        ),
    ];
    ("Projections", panels)
}

fn webhook_row() -> DashboardRow {
    let panels = vec![
        new_panel(
            "Age of the oldest pending delivery",
            "s",
            [(current_expr(metric_list::WEBHOOK_LAG_SECONDS), "{{channel}}")],
        ),
        new_panel("Events behind the journal", "short", [(current_expr(metric_list::WEBHOOK_LAG), "{{channel}}")]),
        new_panel(
            "Accounts waiting",
            "short",
            [(sum_expr(metric_list::WEBHOOK_LANES, "channel, state"), "{{channel}} {{state}}")],
        ),
        new_panel(
            "Attempts",
            "ops",
            [(rate_expr(metric_list::WEBHOOK_ATTEMPTS, "channel, outcome"), "{{channel}} {{outcome}}")],
        ),
        new_panel(
            "Attempt time, p99",
            "s",
            [(quantile_expr(0.99, metric_list::WEBHOOK_SECONDS, "channel"), "{{channel}}")],
        ),
        new_panel("Attempts in flight", "short", [(current_expr(metric_list::WEBHOOK_IN_FLIGHT), "{{channel}}")]),
        new_panel(
            "Retries and redeliveries",
            "ops",
            [
                (rate_expr(metric_list::WEBHOOK_RETRIES, "channel"), "retries {{channel}}"),
                (rate_expr(metric_list::WEBHOOK_REDELIVERIES, "channel"), "redeliveries {{channel}}"),
            ],
        ),
        new_panel(
            "Dead letters",
            "short",
            [
                (current_expr(metric_list::WEBHOOK_DEAD_LETTERS), "{{channel}}"),
                (increase_expr(metric_list::WEBHOOK_DEAD, "channel"), "new {{channel}}"),
            ],
        ),
        new_panel(
            "Circuit breaker, pause",
            "short",
            [
                (current_expr(metric_list::WEBHOOK_BREAKER), "{{channel}} {{state}}"),
                (current_expr(metric_list::WEBHOOK_PAUSED), "{{channel}} paused"),
                (current_expr(metric_list::WEBHOOK_RECEIVER), "{{channel}} with a receiver"),
            ],
        ),
    ];
    ("Webhooks", panels)
}

fn gateway_row() -> DashboardRow {
    let panels = vec![
        new_panel(
            "Gateways up, circuit breaker",
            "short",
            [
                (current_expr(metric_list::GATEWAY_SET_UP), "{{gateway}} set up"),
                (current_expr(metric_list::GATEWAY_UP), "{{gateway}} up"),
                (current_expr(metric_list::GATEWAY_BREAKER), "{{gateway}} {{state}}"),
            ],
        ),
        new_panel(
            "Accounts by gateway",
            "short",
            [
                (current_expr(metric_list::GATEWAY_ACCOUNTS), "{{gateway}} {{state}}"),
                (current_expr(metric_list::UNKNOWN_SESSIONS), "{{gateway}} unknown sessions"),
            ],
        ),
        new_panel("Calls in flight", "short", [(current_expr(metric_list::GATEWAY_IN_FLIGHT), "{{gateway}}")]),
        new_panel(
            "Time since the last error",
            "s",
            [(format!("time() - ({} > 0)", current_expr(metric_list::GATEWAY_LAST_ERROR)), "{{gateway}}")],
        ),
        new_panel(
            "Differences found",
            "ops",
            [(rate_expr(metric_list::DIFFERENCES, "gateway, difference"), "{{gateway}} {{difference}}")],
        ),
        new_panel(
            "Reconciliations",
            "ops",
            [(rate_expr(metric_list::RECONCILIATIONS, "gateway, outcome"), "{{gateway}} {{outcome}}")],
        ),
        new_panel("Bridge reports", "ops", [(rate_expr(metric_list::BRIDGE_REPORTS, "outcome"), "{{outcome}}")]),
        new_panel(
            "Rejected bridge requests",
            "ops",
            [(rate_expr(metric_list::BRIDGE_REFUSED, "reason"), "{{reason}}")],
        ),
        new_panel("Bridge commands", "ops", [(rate_expr(metric_list::BRIDGE_COMMANDS, "event"), "{{event}}")]),
        new_panel("Bridge commands waiting", "short", [(current_expr(metric_list::BRIDGE_QUEUE), "{{state}}")]),
    ];
    ("Gateways", panels)
}

fn access_row() -> DashboardRow {
    let panels = vec![
        new_panel(
            "Unauthenticated requests",
            "reqps",
            [(rate_expr(metric_list::AUTH_FAILURES, "reason"), "{{reason}}")],
        ),
        new_panel("Rate-limited requests", "reqps", [(rate_expr(metric_list::RATE_LIMITED, ""), "requests")]),
        new_panel(
            "Connections",
            "short",
            [
                (current_expr(metric_list::CONNECTIONS), "open"),
                (increase_expr(metric_list::CONNECTIONS_REFUSED, ""), "refused"),
            ],
        ),
        new_panel(
            "Rotation of the master key",
            "short",
            [
                (current_expr(metric_list::ROTATED), "done"),
                (current_expr(metric_list::TO_ROTATE), "of"),
                (current_expr(metric_list::ROTATING), "running"),
            ],
        ),
    ];
    ("Access", panels)
}

fn process_row() -> DashboardRow {
    let uptime = format!("time() - {}", current_expr(metric_list::START_TIME));
    let panels = vec![
        new_panel("Cores in use", "short", [(rate_expr(metric_list::CPU_SECONDS, "instance"), "{{instance}}")]),
        new_panel(
            "Memory",
            "bytes",
            [(current_expr(metric_list::RESIDENT), "in RAM"), (current_expr(metric_list::VIRTUAL), "addresses")],
        ),
        new_panel(
            "Open files",
            "short",
            [(current_expr(metric_list::OPEN_FDS), "open"), (current_expr(metric_list::MAX_FDS), "limit")],
        ),
        new_panel("Threads", "short", [(current_expr(metric_list::THREADS), "{{instance}}")]),
        new_panel("Uptime", "s", [(uptime, "{{instance}}")]),
        new_panel("Lost log lines", "ops", [(rate_expr(metric_list::LOG_LINES_LOST, "instance"), "{{instance}}")]),
        new_panel(
            "Jumps of the wall clock",
            "short",
            [(increase_expr(metric_list::CLOCK_LEAPS, "instance"), "{{instance}}")],
        ),
    ];
    ("Process", panels)
}

fn new_panel<const QUERIES: usize>(
    title: &'static str,
    unit: &'static str,
    queries: [(String, &'static str); QUERIES],
) -> DashboardPanel {
    DashboardPanel { title, unit, queries: queries.into() }
}

impl DashboardPanel {
    fn to_json(&self, id: usize, (x, y): (usize, usize)) -> Value {
        let target = |(index, (expression, legend)): (usize, &(String, &str))| {
            json!({"refId": char::from(b'A' + index as u8).to_string(), "datasource": data_source(), "expr": expression,
                "legendFormat": legend, "range": true})
        };
        let targets: Vec<Value> = self.queries.iter().enumerate().map(target).collect();
        json!({
            "id": id, "type": "timeseries", "title": self.title, "datasource": data_source(), "targets": targets,
            "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"}},
        })
    }
}

/// The data source, which the user selects above the panels.
fn data_source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// The label filter for the selected instances.
const INSTANCE_FILTER: &str = r#"{instance=~"$instance"}"#;

fn current_expr(metric: Metric) -> String {
    format!("{metric}{INSTANCE_FILTER}")
}

fn sum_expr(metric: Metric, by: &str) -> String {
    format!("sum by ({by}) ({metric}{INSTANCE_FILTER})")
}

fn rate_expr(metric: Metric, by: &str) -> String {
    format!("sum by ({by}) (rate({metric}{INSTANCE_FILTER}[$__rate_interval]))")
}

fn increase_expr(metric: Metric, by: &str) -> String {
    format!("sum by ({by}) (increase({metric}{INSTANCE_FILTER}[$__rate_interval]))")
}

fn quantile_expr(quantile: f64, metric: Metric, by: &str) -> String {
    let by = ["le", by].into_iter().filter(|label| !label.is_empty()).collect::<Vec<_>>().join(", ");
    format!("histogram_quantile({quantile}, sum by ({by}) (rate({metric}_bucket{INSTANCE_FILTER}[$__rate_interval])))")
}

fn mean_expr(metric: Metric) -> String {
    let rate = |suffix| format!("sum(rate({metric}_{suffix}{INSTANCE_FILTER}[$__rate_interval]))");
    format!("{} / {}", rate("sum"), rate("count"))
}
