//! Labels of accounts: how callers and operators set them, and who sees them.

use serde_json::{Value, json};

use crate::calls::{history, online, post};
use crate::command_line::printed;
use crate::service_process::{ServiceProcess, ServiceResponse, WebhookReceiver, run_muster, temp_directory};
use crate::testkit::requests::{INSERT, ONLINE, account_with, list};

const LEE: &str = "861821726232";
const LI: &str = "861821720003";
const WU: &str = "861821720004";

/// The body of an import of one account with labels.
fn with_labels(number: &str, labels: &Value) -> String {
    list([account_with(number, &json!({"labels": labels}))])
}

async fn put(muster: &ServiceProcess, number: &str, body: &str) -> ServiceResponse {
    let request = muster.client().put(muster.url(&format!("/api/v1/accounts/{number}/labels")));
    muster.send(request.header("content-type", "application/json").body(body.to_owned())).await.unwrap()
}

/// The numbers of the accounts that match this query, from the page and from CSV.
async fn select(muster: &ServiceProcess, query: &str) -> Vec<String> {
    let path = format!("/api/v1/accounts?{query}");
    let page = muster.get(&path).await;
    assert_eq!(page.status, 200, "{query}: {}", page.text);
    let rows = page.json();
    let numbers: Vec<String> =
        rows["accounts"].as_array().unwrap().iter().map(|row| row["whatsApp"].as_str().unwrap().to_owned()).collect();
    let csv = muster.send(muster.client().get(muster.url(&path)).header("accept", "text/csv")).await.unwrap();
    let lines = csv.text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned());
    assert_eq!(lines.collect::<Vec<_>>(), numbers, "{query}");
    numbers
}

async fn labels(muster: &ServiceProcess, number: &str) -> Value {
    muster.get(&format!("/api/v1/accounts/{number}")).await.json()["labels"].clone()
}

#[tokio::test]
async fn callers_and_operators_set_labels_and_filter_by_them() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_SIMULATOR__DELAY_MS", "1")]);
    post(&muster, INSERT, with_labels(LEE, &json!({"team": "sales", "tier": "gold"}))).await;
    post(&muster, INSERT, with_labels(LI, &json!({"team": "sales"}))).await;
    post(&muster, INSERT, list([account_with(WU, &json!({}))])).await;
    assert_eq!(select(&muster, "label=team:sales").await, [LEE, LI]);
    assert_eq!(select(&muster, "label=team&label=tier:gold").await, [LEE]);
    assert_eq!(select(&muster, "label=team:care").await, [""; 0]);
    assert_eq!(muster.get("/api/v1/accounts?label=:sales").await.status, 400);

    // Other labels are no conflict of content; no labels keep those that are there.
    post(&muster, INSERT, with_labels(LEE, &json!({"team": "care"}))).await;
    assert_eq!(labels(&muster, LEE).await, json!({"team": "care"}));
    online(&muster, LEE).await;
    assert_eq!(labels(&muster, LEE).await, json!({"team": "care"}));
    post(&muster, ONLINE, with_labels(LI, &json!({}))).await;
    assert_eq!(labels(&muster, LI).await, json!({}));

    // An operator replaces all of them. Equal labels are no event.
    let body = r#"{"labels":{"tier":"gold","team":"sales"},"reason":"moved"}"#;
    for _ in 0..2 {
        let answer = put(&muster, WU, body).await;
        assert_eq!(
            (answer.status, answer.text.trim_end()),
            (200, &*format!(r#"{{"whatsApp":"{WU}","labels":{{"team":"sales","tier":"gold"}}}}"#))
        );
    }
    assert_eq!(history(&muster, WU).await, ["account_imported", "labels_changed: moved"]);
    let events = muster.get(&format!("/api/v1/accounts/{WU}/events")).await.json();
    assert_eq!(events["events"][1]["data"], json!({"labels": {"team": "sales", "tier": "gold"}, "reason": "moved"}));
    let export = muster.get("/api/v1/export").await.text;
    assert!(export.contains(r#""data":{"labels":{"team":"sales","tier":"gold"},"reason":"moved"}"#), "{export}");
    assert_eq!(put(&muster, WU, r#"{"labels":{}}"#).await.status, 200);
    assert_eq!(labels(&muster, WU).await, json!({}));
    assert_eq!(put(&muster, "861821729999", body).await.status, 404);

    // A restart finds the same labels, from the checkpoint of the list.
    put(&muster, WU, body).await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let muster = ServiceProcess::start(data.path(), &[]);
    assert_eq!(select(&muster, "label=team").await, [LEE, WU]);
}

#[tokio::test]
async fn invalid_labels_change_nothing() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let long = "x".repeat(65);
    let many: serde_json::Map<String, Value> = (0..17).map(|number| (format!("l{number}"), json!(""))).collect();
    post(&muster, INSERT, with_labels(LEE, &json!({"team": "care"}))).await;
    for (invalid, words) in [
        (Value::Object(many), "has more than 16 labels"),
        (json!({&*long: ""}), "has a name or a value with 65 bytes; the limit is 64"),
        (json!({"team": long}), "has a name or a value with 65 bytes; the limit is 64"),
        (json!({"a:b": ""}), "choose a name without a colon"),
        (json!({"": "care"}), "a label without a name"),
        (json!({"team": 1}), "labels"),
        (json!(["team"]), "labels"),
    ] {
        for (path, number) in [(INSERT, LI), (ONLINE, LEE)] {
            let answer = muster.post(path, with_labels(number, &invalid)).await;
            assert!(answer.status == 400 && answer.text.contains(words), "{path} {invalid}: {}", answer.text);
        }
        let answer = put(&muster, LEE, &json!({"labels": invalid}).to_string()).await;
        assert!(answer.status == 400 && answer.text.contains(words), "{invalid}: {}", answer.text);
    }
    for body in ["{}", r#"{"labels":{"a":"1","a":"2"}}"#, r#"{"labels":{},"reason":"two\nlines"}"#] {
        assert_eq!(put(&muster, LEE, body).await.status, 400, "{body}");
    }
    assert_eq!(history(&muster, LEE).await, ["account_imported", "labels_changed"]);
    assert_eq!(history(&muster, LI).await, [""; 0]);
}

#[tokio::test]
async fn receivers_get_labels_only_if_the_setting_says_so() {
    for include in ["false", "true"] {
        let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
        let settings = [
            ("MUSTER_WEBHOOKS__INCLUDE_LABELS", include),
            ("MUSTER_WEBHOOKS__BASE_URL", &*receiver.base),
            ("MUSTER_SIMULATOR__DELAY_MS", "1"),
        ];
        let muster = ServiceProcess::start(data.path(), &settings);
        let order = with_labels(LEE, &json!({"team": "care"}));
        post(&muster, ONLINE, order).await;
        receiver.wait_until("two deliveries", |received| received.len() >= 2).await;
        let expected = (include == "true").then(|| json!({"team": "care"}));
        for delivery in receiver.deliveries().iter() {
            assert_eq!(delivery.body.get("labels"), expected.as_ref(), "{:?}", delivery.body);
        }
        // A redelivery has the labels of the event, not those of today.
        put(&muster, LEE, r#"{"labels":{"team":"sales"}}"#).await;
        let first = receiver.deliveries()[0].clone();
        let again = ["webhooks", "redeliver", "sync", "--account", LEE, "--server", &muster.url("")];
        printed(&again, &[]);
        receiver
            .wait_until("a redelivery", |received| received.iter().filter(|it| it.id == first.id).count() == 2)
            .await;
        let bodies = receiver.deliveries().iter().filter(|it| it.id == first.id).all(|it| it.body == first.body);
        assert!(bodies, "{:?}", receiver.deliveries());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_sets_labels_and_lists_accounts() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    for number in [LEE, LI] {
        post(&muster, INSERT, with_labels(number, &json!({}))).await;
    }
    let server = muster.url("");
    let run = |arguments: &[&str]| run_muster(&[arguments, &["--server", &server]].concat(), &[]);
    assert_eq!(run(&["labels", LEE, "team:care", "note:", "--reason", "moved"]).0, Some(0));
    assert_eq!(run(&["labels", LI, "team:sales"]).0, Some(0));
    let text = format!("{LEE}    normal  offline         v2     note: team:care\n");
    assert_eq!(run(&["accounts", "--label", "team:care"]).1, text);
    let csv = format!("whatsApp,status,onlineStatus,version,labels\n{LI},1,4,2,\"{{\"\"team\"\":\"\"sales\"\"}}\"\n");
    let listing = ["accounts", "--label", "team", "--prefix", LI, "-o", "csv"];
    assert_eq!(run(&listing).1.replace('\r', ""), csv);
    assert_eq!(run(&["labels", LI, "--clear"]).0, Some(0));
    for wrong in
        [&["labels", LI][..], &["labels", LI, "team"], &["labels", LI, "a:1", "a:2"], &["labels", LI, "--clear", "a:1"]]
    {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
    assert_eq!(run(&["labels", WU, "team:care"]).0, Some(3));
    muster.stop("TERM");
    let directory = ["accounts", "--label", "team", "--data-dir", data.path().to_str().unwrap()];
    assert_eq!(printed(&directory, &[]), text);
}
