//! Alerting rules for Prometheus, with the names in the metric list. The thresholds suit a service of medium size.
//! Operators of smaller or larger services edit the file.

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
    /// How long the condition must hold before the alert fires.
    hold_for: &'static str,
    severity: &'static str,
    summary: &'static str,
    description: &'static str,
    /// What the operator should do.
    runbook: &'static str,
}

/// The rules as a YAML file.
pub fn alert_rules_yaml() -> String {
    let mut file = "groups:\n  - name: muster\n    rules:\n".to_owned();
    for AlertRule { name, expression, hold_for, severity, summary, description, runbook } in alert_rules() {
        let expression = quote_yaml(&expression);
        // Writing to memory always succeeds.
        let _written = write!(
            file,
            "      - alert: {name}\n        expr: {expression}\n        for: {hold_for}\n        labels:\n          severity: \
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
            summary: "Muster cannot be scraped",
            description: "No instance has responded to a scrape for 2 minutes.",
            runbook: "Check that the process runs, what its log said last, and that the scrape's API key is valid: \
                curl /healthz needs none.",
        },
        AlertRule {
            name: "MusterNotReady",
            expression: format!("{READY} == 0"),
            hold_for: "1m",
            severity: "critical",
            summary: "{{ $labels.instance }} accepts no requests",
            description: "It has been stopping for a minute; a normal stop takes ten seconds.",
            runbook: "Find in the log why it stops: a failing disk ends the process. Correct the cause, then start it \
                again.",
        },
        AlertRule {
            name: "MusterErrors",
            expression: format!(
                r#"sum by (instance) (rate({HTTP_REQUESTS}{{status="5xx"}}[5m])) / sum by (instance) (rate({HTTP_REQUESTS}[5m])) > 0.02"#
            ),
            hold_for: "5m",
            severity: "critical",
            summary: "{{ $labels.instance }} fails requests",
            description: "{{ $value | humanizePercentage }} of the responses are 5xx.",
            runbook: "Find \"a request failed with an internal error\" in the log, with its cause. 503 alone means \
                overload or a slow disk.",
        },
        AlertRule {
            name: "MusterCommandsFail",
            expression: format!(r#"sum by (instance, command) (increase({COMMANDS}{{outcome="failed"}}[5m])) > 0"#),
            hold_for: "5m",
            severity: "warning",
            summary: "{{ $labels.instance }} fails {{ $labels.command }} commands",
            description: "{{ $value | humanize }} commands failed with an internal error within 5 minutes.",
            runbook: "Find the account and the error in the log; then check with muster verify that the journal is not \
                damaged.",
        },
        AlertRule {
            name: "MusterOverloaded",
            expression: format!(r#"sum by (instance) (rate({COMMANDS}{{outcome="overloaded"}}[5m])) > 0"#),
            hold_for: "5m",
            severity: "warning",
            summary: "{{ $labels.instance }} rejects commands because of overload",
            description: "{{ $value | humanize }} commands a second get 503, because actors.max_in_flight are in \
                progress.",
            runbook: "Check whether commits are slow. If not, the load is too high for one instance: send smaller \
                batches, or raise actors.max_in_flight.",
        },
        AlertRule {
            name: "MusterCommitsSlow",
            expression: format!(
                "histogram_quantile(0.99, sum by (le, instance) (rate({COMMIT_SECONDS}_bucket[5m]))) > 0.25"
            ),
            hold_for: "10m",
            severity: "warning",
            summary: "{{ $labels.instance }} commits slowly",
            description: "One commit in a hundred takes {{ $value | humanizeDuration }}, and every caller waits for \
                one.",
            runbook: "Compare with the disk's own time (MusterDiskSlow). If that is short, the machine has too few \
                cores.",
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
            runbook: "Check what else writes to the disk of data_dir, its free space and its health.",
        },
        AlertRule {
            name: "MusterProjectionBehind",
            expression: format!("{PROJECTION_LAG} > 1000"),
            hold_for: "2m",
            severity: "critical",
            summary: "The account list of {{ $labels.instance }} is behind its journal",
            description: "{{ $labels.projection }} lacks {{ $value }} durable events.",
            runbook: "Restart the service: a start brings the list up to date. Then rebuild it with POST \
                /api/v1/projections/roster/rebuild, and keep the log.",
        },
        AlertRule {
            name: "MusterWebhooksBehind",
            expression: format!("{WEBHOOK_LAG_SECONDS} > 600 unless on (instance, channel) {WEBHOOK_PAUSED} == 1"),
            hold_for: "10m",
            severity: "warning",
            summary: "The receiver of {{ $labels.channel }} is behind",
            description: "The oldest undelivered event is {{ $value | humanizeDuration }} old.",
            runbook: "muster webhooks show lists pending deliveries; muster webhooks deliveries shows why attempts \
                fail. Without a receiver, set one, or drop the pending deliveries with muster webhooks close.",
        },
        AlertRule {
            name: "MusterWebhookLanesBlocked",
            expression: format!(r#"{WEBHOOK_LANES}{{state="blocked"}} > 0"#),
            hold_for: "5m",
            severity: "warning",
            summary: "Accounts are blocked in the webhook {{ $labels.channel }}",
            description: "{{ $value }} accounts wait behind a dead letter.",
            runbook: "muster webhooks dead-letters lists the dead letters; replay or drop each when the receiver works \
                again.",
        },
        AlertRule {
            name: "MusterDeadLetters",
            expression: format!("increase({WEBHOOK_DEAD}[15m]) > 0"),
            hold_for: "0m",
            severity: "warning",
            summary: "Deliveries of the webhook {{ $labels.channel }} become dead letters",
            description: "{{ $value | humanize }} deliveries used all their attempts within 15 minutes.",
            runbook: "muster webhooks dead-letters shows the receiver's responses. Correct the receiver, then run \
                muster webhooks replay.",
        },
        AlertRule {
            name: "MusterBreakerOpen",
            expression: format!(r#"{WEBHOOK_BREAKER}{{state="closed"}} == 0"#),
            hold_for: "5m",
            severity: "critical",
            summary: "Nothing is sent to the receiver of {{ $labels.channel }}",
            description: "Most first attempts failed, so the circuit breaker has been open for 5 minutes; only single \
                test deliveries are sent.",
            runbook: "Check that the receiver runs; the circuit breaker closes by itself when a test delivery is \
                accepted.",
        },
        AlertRule {
            name: "MusterWebhookPaused",
            expression: format!("{WEBHOOK_PAUSED} == 1"),
            hold_for: "1h",
            severity: "warning",
            summary: "The webhook {{ $labels.channel }} is paused",
            description: "Nothing has been sent for an hour. Nothing is lost.",
            runbook: "muster webhooks show tells who paused it and why; muster webhooks resume resumes it.",
        },
        AlertRule {
            name: "MusterGatewayAway",
            expression: format!("{GATEWAY_UP} == 0 and on (instance, gateway) {GATEWAY_SET_UP} == 1"),
            hold_for: "5m",
            severity: "critical",
            summary: "The gateway {{ $labels.gateway }} of {{ $labels.instance }} is away",
            description: "It has not responded for 5 minutes. Its accounts keep their last state, and pending effects \
                wait.",
            runbook: "muster gateways shows the last errors and the next try. When the gateway is back, it is \
                reconciled automatically.",
        },
        AlertRule {
            name: "MusterAuthFailures",
            expression: format!("sum by (instance, reason) (rate({AUTH_FAILURES}[5m])) > 1"),
            hold_for: "5m",
            severity: "warning",
            summary: "{{ $labels.instance }} rejects many unauthenticated requests",
            description: "{{ $value | humanize }} requests a second are rejected: {{ $labels.reason }}.",
            runbook: "The log has their addresses. A revoked or expired key belongs to a caller that was not updated. \
                Unknown keys are guesses: block their address before it reaches the service.",
        },
        AlertRule {
            name: "MusterFilesNearLimit",
            expression: format!("{OPEN_FDS} / {MAX_FDS} > 0.8 and on (instance, job) {BUILD_INFO}"),
            hold_for: "5m",
            severity: "warning",
            summary: "{{ $labels.instance }} is near its limit of open files",
            description: "{{ $value | humanizePercentage }} of its limit is in use.",
            runbook: "Raise the limit on open files (LimitNOFILE, ulimit -n), or lower http.max_connections.",
        },
        AlertRule {
            name: "MusterLogLost",
            expression: format!("increase({LOG_LINES_LOST}[15m]) > 0"),
            hold_for: "0m",
            severity: "warning",
            summary: "{{ $labels.instance }} loses log lines",
            description: "{{ $value | humanize }} lines were lost within 15 minutes. The service handles requests as \
                before.",
            runbook: "The reader of the service's standard error is too slow or stuck. Check the log collector and its \
                disk, or log less (log.filter, which SIGHUP reloads).",
        },
        AlertRule {
            name: "MusterClockLeapt",
            expression: format!("increase({CLOCK_LEAPS}[15m]) > 0"),
            hold_for: "0m",
            severity: "warning",
            summary: "The clock of {{ $labels.instance }} jumped",
            description: "{{ $value | humanize }} jumps within 15 minutes. Nothing expired early because of them.",
            runbook: "Find what set the clock (timedatectl, chronyc tracking), and correct it within an hour. After \
                that, API keys and idempotency keys expire by the new time.",
        },
    ]
}
