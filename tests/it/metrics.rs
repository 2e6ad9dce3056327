//! Metrics: names and values of a running service, compared with what it did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster::metrics::metric_list;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use yaml_rust2::YamlLoader;

use crate::service_process::{ServiceProcess, TEST_TIMEOUT, WebhookReceiver, run_muster, temp_directory};
use crate::testkit::requests::{self, INSERT, ONLINE, PHONE, RECYCLE};

const README: &str = include_str!("../../README.md");

/// A parsed scrape.
struct Scrape {
    /// Metric types by name.
    kinds: BTreeMap<String, String>,
    /// Name, labels, value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Scrape {
    async fn of(muster: &ServiceProcess) -> Scrape {
        let answer = muster.get("/metrics").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
        let mut scrape = Scrape { kinds: BTreeMap::new(), samples: Vec::new() };
        for line in answer.text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert_eq!(scrape.kinds.insert(name.to_owned(), kind.to_owned()), None, "{name} twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty());
                let label = |label: &str| {
                    let (name, value) = label.split_once('=').unwrap();
                    (name.to_owned(), value.trim_matches('"').to_owned())
                };
                scrape.samples.push((name.to_owned(), labels.map(label).collect(), value.parse().unwrap()));
            }
        }
        scrape
    }

    /// The sum of the series with these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is_meant = |of: &BTreeMap<String, String>| {
            labels.iter().all(|(label, word)| of.get(*label).is_some_and(|it| it == word))
        };
        let values: Vec<f64> =
            self.samples.iter().filter(|(it, of, _)| it == name && is_meant(of)).map(|sample| sample.2).collect();
        assert!(!values.is_empty(), "there is no {name} with {labels:?}");
        values.iter().sum()
    }

    /// One line for each metric: name, kind, labels.
    fn names(&self) -> String {
        let suffixes = ["_bucket", "_sum", "_count"];
        let line = |(name, kind): (&String, &String)| {
            let is_own = |sample: &str| match kind.as_str() {
                "histogram" => suffixes.iter().any(|suffix| sample.strip_suffix(suffix) == Some(name)),
                _ => sample == name,
            };
            let labels: BTreeSet<&str> = self
                .samples
                .iter()
                .filter(|(sample, ..)| is_own(sample))
                .flat_map(|(_, labels, _)| labels.keys().map(String::as_str).filter(|label| *label != "le"))
                .collect();
            format!("{name} {kind} {}", labels.into_iter().collect::<Vec<_>>().join(" ")).trim_end().to_owned() + "\n"
        };
        self.kinds.iter().map(line).collect()
    }
}

/// Scrapes until `enough` holds.
async fn scrape_until(muster: &ServiceProcess, what: &str, enough: impl Fn(&Scrape) -> bool) -> Scrape {
    let scraping = async {
        loop {
            let scrape = Scrape::of(muster).await;
            if enough(&scrape) {
                return scrape;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TEST_TIMEOUT, scraping).await.unwrap_or_else(|_| panic!("no scrape has {what}"))
}

/// The list, README, the golden file and a running service have the same metrics.
#[tokio::test]
async fn every_metric_is_listed() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let names = Scrape::of(&muster).await.names();
    let sorted = |metric: &metric_list::Metric| {
        let labels: BTreeSet<&str> = metric.labels.iter().copied().collect();
        let labels: Vec<&str> = labels.into_iter().collect();
        format!("{} {} {}", metric.name, metric.kind.name(), labels.join(" ")).trim_end().to_owned()
    };
    let listed: BTreeSet<String> = metric_list::ALL.iter().map(sorted).collect();
    assert_eq!(names.lines().map(str::to_owned).collect::<BTreeSet<_>>(), listed);
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("metrics", names);
    });
    let rows: Vec<&str> =
        README.lines().filter(|line| line.starts_with("| `muster_") || line.starts_with("| `process_")).collect();
    let row = |metric: &metric_list::Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |", metric.name, metric.kind.name(), labels.join(", "), metric.help)
    };
    let expected: Vec<String> = metric_list::ALL.iter().map(row).collect();
    assert_eq!(rows, expected, "the table in README.md");
}

/// Every value that can be known from outside is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_what_was_done() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start_failing(|attempt| attempt < 4).await);
    let settings = [
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_WEBHOOKS__RETRY_WAITS", "10ms,10ms,10ms,10ms,10ms,10ms,10ms,10ms"),
        ("MUSTER_SIMULATOR__DELAY_MS", "1"),
        ("MUSTER_HTTP__ALWAYS_200", "true"),
    ];
    let muster = ServiceProcess::start(data.path(), &settings);
    let accounts = 861_821_726_100..861_821_726_107_u64;
    assert_eq!(muster.post(INSERT, requests::accounts(accounts.clone())).await.json()["code"], 200);
    // A repeated import succeeds and makes no event.
    assert_eq!(muster.post(INSERT, requests::accounts(["861821726100"])).await.json()["code"], 200);
    assert_eq!(muster.post(ONLINE, requests::accounts(accounts)).await.json()["code"], 200);
    assert_eq!(muster.post(RECYCLE, json!({"whatsAppList": ["861821720000"]}).to_string()).await.json()["code"], 409);
    assert_eq!(muster.post(PHONE, "{}").await.json()["code"], 400);
    // Two events of each: online-coming and online.
    let settled = |scrape: &Scrape| {
        let sync = [("channel", "sync")];
        scrape.sum("muster_webhook_attempts_total", &[("channel", "sync"), ("outcome", "taken")]) == 14.0
            && scrape.sum("muster_webhook_lag_events", &sync) == 0.0
    };
    let scrape = scrape_until(&muster, "all webhooks", settled).await;
    let command = |kind, outcome| scrape.sum("muster_commands_total", &[("command", kind), ("outcome", outcome)]);
    assert_eq!((command("import", "accepted"), command("import", "refused")), (8.0, 0.0));
    assert_eq!((command("bring_online", "accepted"), command("recycle", "refused")), (7.0, 1.0));
    assert_eq!(scrape.sum("muster_command_duration_seconds_count", &[("command", "import")]), 8.0);
    assert_eq!(scrape.sum("muster_accounts", &[("state", "online")]), 7.0);
    assert_eq!(scrape.sum("muster_accounts", &[]), 7.0);

    // Three events of each: imported, online requested, came online.
    let position = scrape.sum("muster_journal_position", &[]);
    assert_eq!((position, scrape.sum("muster_journal_events_total", &[])), (21.0, 21.0));
    assert_eq!(scrape.sum("muster_journal_events_total", &[("type", "came_online")]), 7.0);
    assert_eq!(scrape.sum("muster_journal_block_events_sum", &[]), position);
    let commits = scrape.sum("muster_journal_commit_duration_seconds_count", &[]);
    assert!((3.0..=position).contains(&commits), "{commits}");
    assert!(scrape.sum("muster_store_sync_duration_seconds_count", &[]) >= commits);
    assert!(scrape.sum("muster_store_size_bytes", &[]) >= scrape.sum("muster_journal_block_bytes_sum", &[]));
    assert_eq!(scrape.sum("muster_projection_lag_events", &[("projection", "roster")]), 0.0);
    // Those seven, and the unknown one.
    assert_eq!(scrape.sum("muster_actors_active", &[]), 8.0);
    assert_eq!(
        (scrape.sum("muster_actors_started_total", &[]), scrape.sum("muster_actors_recovered_total", &[])),
        (8.0, 8.0)
    );
    assert_eq!(scrape.sum("muster_gateway_calls_total", &[("call", "connect")]), 7.0);
    assert_eq!(scrape.sum("muster_gateway_reports_total", &[("report", "connected")]), 7.0);

    let arrived = receiver.deliveries().clone();
    let attempts = |outcome| scrape.sum("muster_webhook_attempts_total", &[("channel", "sync"), ("outcome", outcome)]);
    let taken = arrived.iter().filter(|it| it.was_accepted).count();
    assert_eq!((attempts("taken"), attempts("status")), (taken as f64, (arrived.len() - taken) as f64));
    assert_eq!(scrape.sum("muster_webhook_attempts_total", &[]), arrived.len() as f64, "and no others");
    assert_eq!(scrape.sum("muster_webhook_retries_total", &[("channel", "sync")]), 4.0);
    assert_eq!(scrape.sum("muster_webhook_attempt_duration_seconds_count", &[]), arrived.len() as f64);
    assert_eq!(scrape.sum("muster_webhook_breaker", &[("channel", "sync"), ("state", "closed")]), 1.0);
    assert_eq!(scrape.sum("muster_webhook_breaker", &[]), 2.0, "one for each channel");

    // The contract sends HTTP 200 with an error code; the metric has the code.
    let requests = |route, status| scrape.sum("muster_http_requests_total", &[("route", route), ("status", status)]);
    assert_eq!((requests(INSERT, "2xx"), requests(INSERT, "4xx")), (2.0, 0.0));
    assert_eq!((requests(ONLINE, "2xx"), requests(RECYCLE, "4xx"), requests(PHONE, "4xx")), (1.0, 1.0, 1.0));
    assert_eq!(scrape.sum("muster_http_request_duration_seconds_count", &[("route", INSERT)]), 2.0);
    assert_eq!(scrape.sum("muster_http_requests_in_flight", &[]), 1.0, "this one");
    assert_eq!(scrape.sum("muster_ready", &[]), 1.0);
}

/// Failed authentications are counted, at this endpoint too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_authentications_are_counted() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_HTTP__REQUESTS_PER_SECOND", "1000")]);
    let server = muster.url("");
    let words = ["keys", "create", "--name", "first", "--role", "admin", "-o", "json", "--server", &server];
    let (code, made, stderr) = run_muster(&words, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let key = serde_json::from_str::<Value>(&made).unwrap()["key"].as_str().unwrap().to_owned();
    let ask = async |key: &str| {
        let request = muster.client().get(muster.url("/metrics"));
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        muster.send(request).await.unwrap()
    };
    for refused in ["", "", "secret"] {
        assert_eq!(ask(refused).await.status, 401, "{refused:?}");
    }
    let text = ask(&key).await.text;
    for line in [
        r#"muster_http_auth_failures_total{reason="missing"} 2"#,
        r#"muster_http_auth_failures_total{reason="unknown"} 1"#,
        r#"muster_http_auth_failures_total{reason="foreign"} 0"#,
        "muster_http_rate_limited_total 0",
        r#"muster_http_requests_total{route="/metrics",status="4xx"} 3"#,
        r#"muster_journal_events_total{type="api_key_created"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
}

/// The metrics in a PromQL expression, without labels and functions.
fn names_in(expression: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = expression.split(|letter| !is_part(letter));
    words.filter(|word| word.starts_with("muster_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// All texts under this key, at any depth.
fn texts<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|value| texts(value, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Panels and rules use only metrics that a service exports after some work, and the dashboard shows all metrics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboard_and_alerts_ask_for_what_there_is() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_WEBHOOKS__BASE_URL", &receiver.base)]);
    assert_eq!(muster.post(ONLINE, requests::accounts(["861821726232"])).await.status, 200);
    receiver.wait_until("a webhook", |deliveries| !deliveries.is_empty()).await;
    let exported: BTreeSet<String> = Scrape::of(&muster).await.samples.into_iter().map(|sample| sample.0).collect();
    let printed = |verb| {
        let (code, stdout, stderr) = run_muster(&[verb], &[]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        stdout
    };

    let dashboard: Value = serde_json::from_str(&printed("dashboard")).unwrap();
    let mut asked = Vec::new();
    texts(&dashboard, "expr", &mut asked);
    texts(&dashboard, "definition", &mut asked);
    let shown: BTreeSet<String> = asked.iter().flat_map(|expression| names_in(expression)).collect();
    assert!(asked.iter().all(|expression| !names_in(expression).is_empty()), "{asked:?}");
    assert_eq!(shown.difference(&exported).collect::<Vec<_>>(), Vec::<&String>::new(), "in the dashboard");
    let stem = |name: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|it| name.strip_suffix(it)).unwrap_or(name).to_owned()
    };
    let shown: BTreeSet<String> = shown.iter().map(|name| stem(name)).collect();
    let missing = metric_list::ALL.iter().filter(|metric| !shown.contains(metric.name)).map(|metric| metric.name);
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new(), "in no panel");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let rows: Vec<&str> =
        panels.iter().filter(|it| it["type"] == "row").map(|it| it["title"].as_str().unwrap()).collect();
    assert_eq!(
        rows,
        ["Traffic", "Commands", "Journal", "Actors", "Projections", "Webhooks", "Gateways", "Access", "Process"]
    );

    let file = YamlLoader::load_from_str(&printed("alerts")).unwrap();
    let rules = file[0]["groups"][0]["rules"].as_vec().unwrap();
    assert_eq!(rules.len(), 18);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let names = names_in(rule["expr"].as_str().unwrap());
        assert!(!names.is_empty(), "{name} asks for nothing");
        assert_eq!(names.difference(&exported).collect::<Vec<_>>(), Vec::<&String>::new(), "in {name}");
        assert!(rule["for"].as_str().is_some_and(|holds| holds.ends_with(['m', 'h'])), "{name}");
        assert!(rule["labels"]["severity"].as_str().is_some_and(|it| ["critical", "warning"].contains(&it)), "{name}");
        for key in ["summary", "description", "runbook"] {
            let words = rule["annotations"][key].as_str().unwrap_or_default();
            assert!(words.len() > 10 && !words.contains("  "), "{name} has a {key} of {words:?}");
        }
    }
}
