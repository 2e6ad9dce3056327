//! A dashboard for Grafana, made from the list, so that no panel asks for what is not there.

use serde_json::{Value, json};

use super::list::{self, Metric};

/// A part of the dashboard.
type Part = (&'static str, Vec<Panel>);

/// A graph.
struct Panel {
    title: &'static str,
    /// As Grafana names units.
    unit: &'static str,
    /// Expressions, each with what stands in the legend.
    queries: Vec<(String, &'static str)>,
}

/// The version of the model that this is written in; later programs know it.
const SCHEMA: u64 = 41;
/// Panels beside each other, and the size of each: a dashboard is 24 wide.
const ABREAST: usize = 3;
const WIDTH: usize = 24 / ABREAST;
const HEIGHT: usize = 8;

/// The dashboard, to be imported.
pub fn dashboard() -> Value {
    let (mut panels, mut y) = (Vec::new(), 0);
    for (title, part) in parts() {
        let id = panels.len() + 1;
        panels.push(json!({"id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}));
        y += 1;
        for (index, panel) in part.iter().enumerate() {
            let place = (index % ABREAST * WIDTH, y + index / ABREAST * HEIGHT);
            panels.push(panel.json(panels.len() + 1, place));
        }
        y += part.len().div_ceil(ABREAST) * HEIGHT;
    }
    let instances = format!("label_values({}, instance)", list::BUILD_INFO);
    json!({
        "title": "Muster", "uid": "muster", "tags": ["muster"], "schemaVersion": SCHEMA, "version": 1, "editable": true,
        "timezone": "browser", "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "graphTooltip": 1,
        "annotations": {"list": []}, "links": [],
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
            {"name": "instance", "label": "Instance", "type": "query", "datasource": source(), "definition": instances,
                "query": {"query": instances, "refId": "instance"}, "refresh": 2, "sort": 1, "multi": true,
                "includeAll": true, "current": {"text": "All", "value": ["$__all"]}},
        ]},
        "panels": panels,
    })
}

fn parts() -> [Part; 9] {
    [traffic(), commands(), journal(), actors(), projections(), webhooks(), gateways(), doors(), process()]
}

fn traffic() -> Part {
    let panels = vec![
        panel("Requests", "reqps", [(rates(list::HTTP_REQUESTS, "route"), "{{route}}")]),
        panel("Answers by status", "reqps", [(rates(list::HTTP_REQUESTS, "status"), "{{status}}")]),
        panel("Time to answer, p99", "s", [(quantile(0.99, list::HTTP_SECONDS, "route"), "{{route}}")]),
        panel("Requests under way", "short", [(now(list::HTTP_IN_FLIGHT), "{{instance}}")]),
        panel("Ready", "short", [(now(list::READY), "{{instance}}"), (now(list::BUILD_INFO), "version {{version}}")]),
    ];
    ("Traffic", panels)
}

fn commands() -> Part {
    let panels = vec![
        panel("Commands", "ops", [(rates(list::COMMANDS, "command"), "{{command}}")]),
        panel("Outcomes", "ops", [(rates(list::COMMANDS, "outcome"), "{{outcome}}")]),
        panel("Time to outcome, p99", "s", [(quantile(0.99, list::COMMAND_SECONDS, "command"), "{{command}}")]),
        panel(
            "Wait in the mailbox",
            "s",
            [(quantile(0.5, list::COMMAND_WAIT, ""), "p50"), (quantile(0.99, list::COMMAND_WAIT, ""), "p99")],
        ),
        panel("Asked of the gateway", "ops", [(rates(list::GATEWAY_CALLS, "call"), "{{call}}")]),
        panel("Reported by the gateway", "ops", [(rates(list::GATEWAY_REPORTS, "report"), "{{report}}")]),
        panel("Sent by Meta", "ops", [(rates(list::META_UPDATES, "outcome"), "{{outcome}}")]),
        panel("Meta refuses the token", "short", [(now(list::META_TOKEN_REFUSED), "{{instance}}")]),
    ];
    ("Commands", panels)
}

fn journal() -> Part {
    let panels = vec![
        panel("Events", "ops", [(rates(list::EVENTS_APPENDED, "type"), "{{type}}")]),
        panel(
            "Time of a commit",
            "s",
            [(quantile(0.5, list::COMMIT_SECONDS, ""), "p50"), (quantile(0.99, list::COMMIT_SECONDS, ""), "p99")],
        ),
        panel(
            "Time of the disk (fdatasync)",
            "s",
            [(quantile(0.5, list::SYNC_SECONDS, ""), "p50"), (quantile(0.99, list::SYNC_SECONDS, ""), "p99")],
        ),
        panel("Events in a block", "short", [(mean(list::BLOCK_EVENTS), "mean")]),
        panel("Bytes of a block", "bytes", [(mean(list::BLOCK_BYTES), "mean")]),
        panel("Position", "short", [(now(list::POSITION), "{{instance}}")]),
        panel("On the disk", "bytes", [(now(list::STORE_BYTES), "{{instance}}")]),
    ];
    ("Journal", panels)
}

fn actors() -> Part {
    let panels = vec![
        panel("Accounts in memory", "short", [(now(list::ACTORS), "{{instance}}")]),
        panel(
            "Actors started and retired",
            "ops",
            [(rates(list::ACTORS_STARTED, ""), "started"), (rates(list::ACTORS_RETIRED, ""), "retired")],
        ),
        panel(
            "Recoveries and snapshots",
            "ops",
            [
                (rates(list::RECOVERIES, ""), "recovered"),
                (rates(list::SNAPSHOTS, ""), "snapshots"),
                (rates(list::CACHE_FAILURES, ""), "not saved"),
            ],
        ),
    ];
    ("Actors", panels)
}

fn projections() -> Part {
    let panels = vec![
        panel("Accounts by state", "short", [(sum(list::ACCOUNTS, "state"), "{{state}}")]),
        panel("Events behind", "short", [(now(list::PROJECTION_LAG), "{{projection}} {{instance}}")]),
    ];
    ("Projections", panels)
}

fn webhooks() -> Part {
    let panels = vec![
        panel("Age of the oldest that waits", "s", [(now(list::WEBHOOK_LAG_SECONDS), "{{channel}}")]),
        panel("Events behind", "short", [(now(list::WEBHOOK_LAG), "{{channel}}")]),
        panel("Accounts that wait", "short", [(sum(list::WEBHOOK_LANES, "channel, state"), "{{channel}} {{state}}")]),
        panel("Attempts", "ops", [(rates(list::WEBHOOK_ATTEMPTS, "channel, outcome"), "{{channel}} {{outcome}}")]),
        panel("Time of an attempt, p99", "s", [(quantile(0.99, list::WEBHOOK_SECONDS, "channel"), "{{channel}}")]),
        panel("Attempts under way", "short", [(now(list::WEBHOOK_IN_FLIGHT), "{{channel}}")]),
        panel(
            "Retries, and sent again",
            "ops",
            [
                (rates(list::WEBHOOK_RETRIES, "channel"), "retries {{channel}}"),
                (rates(list::WEBHOOK_REDELIVERIES, "channel"), "sent again {{channel}}"),
            ],
        ),
        panel(
            "Dead letters",
            "short",
            [(now(list::WEBHOOK_LETTERS), "{{channel}}"), (increase(list::WEBHOOK_DEAD, "channel"), "new {{channel}}")],
        ),
        panel(
            "Breaker, pause",
            "short",
            [
                (now(list::WEBHOOK_BREAKER), "{{channel}} {{state}}"),
                (now(list::WEBHOOK_PAUSED), "{{channel}} paused"),
                (now(list::WEBHOOK_RECEIVER), "{{channel}} with a receiver"),
            ],
        ),
    ];
    ("Webhooks", panels)
}

fn gateways() -> Part {
    let panels = vec![
        panel(
            "Gateways that are there, breaker",
            "short",
            [
                (now(list::GATEWAY_SET_UP), "{{gateway}} set up"),
                (now(list::GATEWAY_UP), "{{gateway}} up"),
                (now(list::GATEWAY_BREAKER), "{{gateway}} {{state}}"),
            ],
        ),
        panel(
            "Accounts by gateway",
            "short",
            [
                (now(list::GATEWAY_ACCOUNTS), "{{gateway}} {{state}}"),
                (now(list::STRANGERS), "{{gateway}} served by nobody"),
            ],
        ),
        panel("Calls under way", "short", [(now(list::GATEWAY_IN_FLIGHT), "{{gateway}}")]),
        panel(
            "Since the last error",
            "s",
            [(format!("time() - ({} > 0)", now(list::GATEWAY_LAST_ERROR)), "{{gateway}}")],
        ),
        panel(
            "Differences found",
            "ops",
            [(rates(list::DIFFERENCES, "gateway, difference"), "{{gateway}} {{difference}}")],
        ),
        panel("Comparisons", "ops", [(rates(list::RECONCILIATIONS, "gateway, outcome"), "{{gateway}} {{outcome}}")]),
        panel("Reports over the bridge", "ops", [(rates(list::BRIDGE_REPORTS, "outcome"), "{{outcome}}")]),
        panel("Refused over the bridge", "ops", [(rates(list::BRIDGE_REFUSED, "reason"), "{{reason}}")]),
        panel("Commands over the bridge", "ops", [(rates(list::BRIDGE_COMMANDS, "event"), "{{event}}")]),
        panel("Commands that wait", "short", [(now(list::BRIDGE_QUEUE), "{{state}}")]),
    ];
    ("Gateways", panels)
}

fn doors() -> Part {
    let panels = vec![
        panel("Callers who are not known", "reqps", [(rates(list::AUTH_FAILURES, "reason"), "{{reason}}")]),
        panel("Refused for their rate", "reqps", [(rates(list::RATE_LIMITED, ""), "requests")]),
        panel(
            "Connections",
            "short",
            [(now(list::CONNECTIONS), "open"), (increase(list::CONNECTIONS_REFUSED, ""), "refused")],
        ),
        panel(
            "Rotation of the master key",
            "short",
            [(now(list::ROTATED), "done"), (now(list::TO_ROTATE), "of"), (now(list::ROTATING), "under way")],
        ),
    ];
    ("Doors", panels)
}

fn process() -> Part {
    let uptime = format!("time() - {}", now(list::START_TIME));
    let panels = vec![
        panel("Cores in use", "short", [(rates(list::CPU_SECONDS, "instance"), "{{instance}}")]),
        panel("Memory", "bytes", [(now(list::RESIDENT), "in RAM"), (now(list::VIRTUAL), "addresses")]),
        panel("Open files", "short", [(now(list::OPEN_FDS), "open"), (now(list::MAX_FDS), "limit")]),
        panel("Threads", "short", [(now(list::THREADS), "{{instance}}")]),
        panel("Since the start", "s", [(uptime, "{{instance}}")]),
        panel("Lost lines of the log", "ops", [(rates(list::LOG_LINES_LOST, "instance"), "{{instance}}")]),
        panel("Leaps of the wall clock", "short", [(increase(list::CLOCK_LEAPS, "instance"), "{{instance}}")]),
    ];
    ("Process", panels)
}

fn panel<const QUERIES: usize>(
    title: &'static str,
    unit: &'static str,
    queries: [(String, &'static str); QUERIES],
) -> Panel {
    Panel { title, unit, queries: queries.into() }
}

impl Panel {
    fn json(&self, id: usize, (x, y): (usize, usize)) -> Value {
        let target = |(index, (expression, legend)): (usize, &(String, &str))| {
            json!({"refId": char::from(b'A' + index as u8).to_string(), "datasource": source(), "expr": expression,
                "legendFormat": legend, "range": true})
        };
        let targets: Vec<Value> = self.queries.iter().enumerate().map(target).collect();
        json!({
            "id": id, "type": "timeseries", "title": self.title, "datasource": source(), "targets": targets,
            "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"}},
        })
    }
}

/// The data source that is chosen above the panels.
fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// What is chosen of the instances.
const CHOSEN: &str = r#"{instance=~"$instance"}"#;

fn now(metric: Metric) -> String {
    format!("{metric}{CHOSEN}")
}

fn sum(metric: Metric, by: &str) -> String {
    format!("sum by ({by}) ({metric}{CHOSEN})")
}

fn rates(metric: Metric, by: &str) -> String {
    format!("sum by ({by}) (rate({metric}{CHOSEN}[$__rate_interval]))")
}

fn increase(metric: Metric, by: &str) -> String {
    format!("sum by ({by}) (increase({metric}{CHOSEN}[$__rate_interval]))")
}

fn quantile(quantile: f64, metric: Metric, by: &str) -> String {
    let by = ["le", by].into_iter().filter(|label| !label.is_empty()).collect::<Vec<_>>().join(", ");
    format!("histogram_quantile({quantile}, sum by ({by}) (rate({metric}_bucket{CHOSEN}[$__rate_interval])))")
}

fn mean(metric: Metric) -> String {
    let rate = |suffix| format!("sum(rate({metric}_{suffix}{CHOSEN}[$__rate_interval]))");
    format!("{} / {}", rate("sum"), rate("count"))
}
