//! Alerting rules for Prometheus, generated from the metric list. The thresholds suit a service of medium size;
//! operators of others edit the file.

use std::fmt::Write;

use serde_json::Value;

use super::metric_list::{
    AUTH_FAILURES, BUILD_INFO, CLOCK_LEAPS, COMMANDS, COMMIT_SECONDS, GATEWAY_SET_UP, GATEWAY_UP, HTTP_REQUESTS,
    LOG_LINES_LOST, MAX_FDS, OPEN_FDS, PROJECTION_LAG, READY, SYNC_SECONDS, WEBHOOK_BREAKER, WEBHOOK_DEAD,
    WEBHOOK_LAG_SECONDS, WEBHOOK_LANES, WEBHOOK_PAUSED,
};

/// An alerting rule.
struct AlertRule {
    name: &'static str,
    expression: String,
    /// How long the condition must hold.
    hold_for: &'static str,
    severity: &'static str,
    summary: &'static str,
    description: &'static str,
    /// What to do.
    runbook: &'static str,
}

/// The rules as a YAML file.
pub fn alert_rules_yaml() -> String {
    let mut file = "groups:\n  - name: muster\n    rules:\n".to_owned();
    for AlertRule { name, expression, hold_for: holds, severity, summary, description, runbook } in alert_rules() {
        let expression = quote_yaml(&expression);
        // Writing to memory always succeeds.
        let _written = write!(
            file,
            "      - alert: {name}\n        expr: {expression}\n        for: {holds}\n        labels:\n          severity: \
             {severity}\n        annotations:\n          summary: {}\n          description: {}\n          runbook: {}\n",
            quote_yaml(summary),
            quote_yaml(description),
            quote_yaml(runbook),
        );
    }
    file
}

/// A text as a quoted YAML string, which has the syntax of JSON.
fn quote_yaml(text: &str) -> String {
    Value::from(text).to_string()
}

fn alert_rules() -> [AlertRule; 18] {
    [
        AlertRule {
            name: "MusterAbsent",
            expression: format!("absent({BUILD_INFO})"),
            hold_for: "2m",
            severity: "critical",
            summary: "Muster is not there",
            description: "No instance has answered a scrape for 2 minutes.",
            runbook: "Look whether the process runs, what its log said last, and whether the scrape's API key is good: \
                      curl /healthz needs none.",
        },
        AlertRule {
            name: "MusterNotReady",
            expression: format!("{READY} == 0"),
            hold_for: "1m",
            severity: "critical",
            summary: "{{ $labels.instance }} takes no requests",
            description: "It has been stopping for a minute; an end takes ten seconds.",
            runbook: "Look into the log for why it stops: a failing disk ends the process. Start it again once that is \
                      mended.",
        },
        AlertRule {
            name: "MusterErrors",
            expression: format!(
                r#"sum by (instance) (rate({HTTP_REQUESTS}{{status="5xx"}}[5m])) / sum by (instance) (rate({HTTP_REQUESTS}[5m])) > 0.02"#
            ),
            hold_for: "5m",
            severity: "critical",
            summary: "{{ $labels.instance }} fails requests",
            description: "{{ $value | humanizePercentage }} of the answers are 5xx.",
            runbook: "Find \"a request failed inside\" in the log, and the cause beside it; 503 alone is overload or a \
                      slow disk.",
        },
        AlertRule {
            name: "MusterCommandsFail",
            expression: format!(r#"sum by (instance, command) (increase({COMMANDS}{{outcome="failed"}}[5m])) > 0"#),
            hold_for: "5m",
            severity: "warning",
            summary: "{{ $labels.instance }} fails commands of the kind {{ $labels.command }}",
            description: "{{ $value | humanize }} commands failed inside within 5 minutes.",
            runbook: "Look into the log for the account and the error; then muster verify says whether the journal is \
                      whole.",
        },
        AlertRule {
            name: "MusterOverloaded",
            expression: format!(r#"sum by (instance) (rate({COMMANDS}{{outcome="overloaded"}}[5m])) > 0"#),
            hold_for: "5m",
            severity: "warning",
            summary: "{{ $labels.instance }} turns commands away",
            description: "{{ $value | humanize }} commands a second are answered 503: actors.max_in_flight are under way.",
            runbook: "See whether commits are slow; if they are not, callers send more than one instance takes: send \
                      smaller batches, or raise actors.max_in_flight.",
        },
        AlertRule {
            name: "MusterCommitsSlow",
            expression: format!(
                "histogram_quantile(0.99, sum by (le, instance) (rate({COMMIT_SECONDS}_bucket[5m]))) > 0.25"
            ),
            hold_for: "10m",
            severity: "warning",
            summary: "{{ $labels.instance }} commits slowly",
            description: "One commit in a hundred takes {{ $value | humanizeDuration }}; every caller waits for one.",
            runbook: "Compare with the disk's own time (MusterDiskSlow); if that is short, the machine has too few cores.",
        },
        AlertRule {
            name: "MusterDiskSlow",
            expression: format!(
                "histogram_quantile(0.99, sum by (le, instance) (rate({SYNC_SECONDS}_bucket[5m]))) > 0.1"
            ),
            hold_for: "10m",
            severity: "warning",
            summary: "The disk under {{ $labels.instance }} is slow",
            description: "One fdatasync in a hundred takes {{ $value | humanizeDuration }}.",
            runbook: "Look at what else writes to the disk of data_dir, and how full and how healthy it is.",
        },
        AlertRule {
            name: "MusterProjectionBehind",
            expression: format!("{PROJECTION_LAG} > 1000"),
            hold_for: "2m",
            severity: "critical",
            summary: "The list of {{ $labels.instance }} is behind its journal",
            description: "{{ $labels.projection }} lacks {{ $value }} events that are durable.",
            runbook: "Start the service again: a start brings the list level. Then make it anew with POST \
                      /api/v1/projections/roster/rebuild, and keep the log.",
        },
        AlertRule {
            name: "MusterWebhooksBehind",
            expression: format!("{WEBHOOK_LAG_SECONDS} > 600 unless on (instance, channel) {WEBHOOK_PAUSED} == 1"),
            hold_for: "10m",
            severity: "warning",
            summary: "The receiver of {{ $labels.channel }} is behind",
            description: "The oldest event that it does not have is {{ $value | humanizeDuration }} old.",
            runbook: "muster webhooks show says what waits, muster webhooks deliveries why attempts fail. Without a receiver \
                      set one; or drop what waits with muster webhooks close.",
        },
        AlertRule {
            name: "MusterWebhookLanesBlocked",
            expression: format!(r#"{WEBHOOK_LANES}{{state="blocked"}} > 0"#),
            hold_for: "5m",
            severity: "warning",
            summary: "Accounts are blocked in the webhook {{ $labels.channel }}",
            description: "{{ $value }} accounts wait behind a delivery that is dead.",
            runbook: "muster webhooks dead-letters shows them; replay or drop each once the receiver is mended.",
        },
        AlertRule {
            name: "MusterDeadLetters",
            expression: format!("increase({WEBHOOK_DEAD}[15m]) > 0"),
            hold_for: "0m",
            severity: "warning",
            summary: "Deliveries of the webhook {{ $labels.channel }} die",
            description: "No attempt was left for {{ $value | humanize }} deliveries within 15 minutes.",
            runbook: "muster webhooks dead-letters shows what the receiver said; mend it, then muster webhooks replay.",
        },
        AlertRule {
            name: "MusterBreakerOpen",
            expression: format!(r#"{WEBHOOK_BREAKER}{{state="closed"}} == 0"#),
            hold_for: "5m",
            severity: "critical",
            summary: "Nothing is sent to the receiver of {{ $labels.channel }}",
            description: "Most first attempts failed, so the breaker has been open for 5 minutes but for probes.",
            runbook: "See whether the receiver is there; the breaker closes by itself with the first probe that is taken.",
        },
        AlertRule {
            name: "MusterWebhookPaused",
            expression: format!("{WEBHOOK_PAUSED} == 1"),
            hold_for: "1h",
            severity: "warning",
            summary: "The webhook {{ $labels.channel }} is paused",
            description: "Nothing has been sent for an hour; nothing is lost.",
            runbook: "muster webhooks show says who paused it and why; muster webhooks resume goes on.",
        },
        AlertRule {
            name: "MusterGatewayAway",
            expression: format!("{GATEWAY_UP} == 0 and on (instance, gateway) {GATEWAY_SET_UP} == 1"),
            hold_for: "5m",
            severity: "critical",
            summary: "The gateway {{ $labels.gateway }} of {{ $labels.instance }} is away",
            description: "It has not answered for 5 minutes. Accounts stay as they were shown last; what is asked waits.",
            runbook: "muster gateways shows what went wrong last and when it is tried again. Once it is back its sessions \
                      are compared with what is shown by themselves.",
        },
        AlertRule {
            name: "MusterAuthFailures",
            expression: format!("sum by (instance, reason) (rate({AUTH_FAILURES}[5m])) > 1"),
            hold_for: "5m",
            severity: "warning",
            summary: "Somebody knocks at {{ $labels.instance }}",
            description: "{{ $value | humanize }} requests a second are refused: {{ $labels.reason }}.",
            runbook: "The log has their addresses. A key that was revoked or has expired means a caller that was \
                      forgotten; unknown ones are guesses: shut their address out before the service.",
        },
        AlertRule {
            name: "MusterFilesNearLimit",
            expression: format!("{OPEN_FDS} / {MAX_FDS} > 0.8 and on (instance, job) {BUILD_INFO}"),
            hold_for: "5m",
            severity: "warning",
            summary: "{{ $labels.instance }} has nearly all files open that it may",
            description: "{{ $value | humanizePercentage }} of its limit is in use.",
            runbook: "Raise the limit on open files (LimitNOFILE, ulimit -n), or lower http.max_connections.",
        },
        AlertRule {
            name: "MusterLogLost",
            expression: format!("increase({LOG_LINES_LOST}[15m]) > 0"),
            hold_for: "0m",
            severity: "warning",
            summary: "{{ $labels.instance }} loses lines of its log",
            description: "{{ $value | humanize }} lines were lost within 15 minutes. Requests are served as before.",
            runbook: "Whatever reads the service's standard error is too slow or stuck: look at the log collector and its \
                      disk, or log less (log.filter, which SIGHUP reads again).",
        },
        AlertRule {
            name: "MusterClockLeapt",
            expression: format!("increase({CLOCK_LEAPS}[15m]) > 0"),
            hold_for: "0m",
            severity: "warning",
            summary: "The clock of {{ $labels.instance }} leapt",
            description: "{{ $value | humanize }} leaps within 15 minutes. Nothing ended by them that was not due.",
            runbook: "Look what has set the clock (timedatectl, chronyc tracking), and set it right within an hour: after \
                      that API keys and idempotency keys end by the new time.",
        },
    ]
}
