//! Which reports are accepted, and how often: signatures, sequence numbers, streams.

use muster::domain::Timestamp;
use muster::store::Table;
use muster::webhooks::signature::WebhookSecret;
use serde_json::{Value, json};

use super::scripted_gateway::{now, signature_headers};
use super::{ACCOUNT, IS_OFFLINE, IS_ONLINE, bring_online, metric, pulling, pushing};
use crate::fixture::Fixture;
use crate::gateway_check::SECRET;
use crate::service_process::ServiceProcess;
use crate::testkit::fixture::open_store;

const REPORTS: &str = "/gateway/v1/reports";

/// A batch of these reports, from this sequence number on.
fn batch(stream: &str, from: u64, reports: &[Value]) -> String {
    let report = |(report, sequence): (&Value, u64)| {
        let mut report = report.clone();
        report["sequence"] = sequence.into();
        report["time"] = "2026-11-25T03:41:00Z".into();
        report
    };
    json!({"stream": stream, "reports": reports.iter().zip(from..).map(report).collect::<Vec<_>>()}).to_string()
}

fn dropped(account: &str) -> Value {
    json!({"account": account, "type": "disconnected", "reason": "1002"})
}

async fn send(fixture: &Fixture, body: &str) -> (u16, Value) {
    let answer = fixture.gateway.send_signed("POST", REPORTS, body).await.unwrap();
    (answer.status, answer.json())
}

async fn position(muster: &ServiceProcess) -> u64 {
    metric(muster, "muster_journal_position").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_signed_now_and_once_is_taken() {
    let fixture = pushing().await;
    let muster = fixture.start();
    bring_online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    let before = position(&muster).await;
    let body = batch("s", 1, &[dropped(ACCOUNT)]);
    let (ours, other) = (WebhookSecret::parse(SECRET).unwrap(), WebhookSecret::from_bytes(&[1; 24]));
    let at = |seconds: i64| Timestamp(now().0 + seconds * 1_000_000);
    let good = signature_headers(&ours, "a", at(0), REPORTS, &body);
    let without = |name: &str| good.iter().filter(|(it, _)| *it != name).cloned().collect::<Vec<_>>();
    let altered = body.replace("1002", "1001");
    let huge = body.replace("1002", &"x".repeat(1_100_000));
    let malformed = body.replace("\"disconnected\"", "7");
    for (headers, body, status, refused) in [
        (vec![], &body, 401, "unsigned"),
        (without("webhook-id"), &body, 401, "unsigned"),
        (without("webhook-timestamp"), &body, 401, "unsigned"),
        (without("webhook-signature"), &body, 401, "unsigned"),
        (signature_headers(&other, "a", at(0), REPORTS, &body), &body, 401, "forged"),
        (good.clone(), &altered, 401, "forged"),
        (signature_headers(&ours, "a", at(0), REPORTS, ""), &body, 401, "forged"),
        (signature_headers(&ours, "a", at(-301), REPORTS, &body), &body, 401, "stale"),
        (signature_headers(&ours, "a", at(302), REPORTS, &body), &body, 401, "stale"),
        (signature_headers(&ours, "a", at(0), REPORTS, &huge), &huge, 413, "oversized"),
        (signature_headers(&ours, "b", at(0), REPORTS, &malformed), &malformed, 400, "malformed"),
    ] {
        let answer = fixture.gateway.send_with_headers("POST", REPORTS, body, &headers).await.unwrap();
        let said = answer.json()["error"]["code"].clone();
        assert_eq!((answer.status, said.as_str()), (status, Some(refused)), "{}", answer.text);
    }
    assert_eq!(position(&muster).await, before, "nothing was stored");
    let answer = fixture.gateway.send_with_headers("POST", REPORTS, &body, &good).await.unwrap();
    assert_eq!((answer.status, answer.json()["recorded"].as_u64()), (200, Some(1)), "{}", answer.text);
    let again = fixture.gateway.send_with_headers("POST", REPORTS, &body, &good).await.unwrap();
    assert_eq!((again.status, again.json()["error"]["code"].as_str()), (401, Some("replayed")));
    fixture.wait_for_payload(ACCOUNT, "1/4 1002").await;
    for (reason, many) in
        [("unsigned", 4), ("forged", 3), ("stale", 2), ("oversized", 1), ("malformed", 1), ("replayed", 1), ("gap", 0)]
    {
        let series = format!("muster_bridge_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(metric(&muster, &series).await, many, "{reason}");
    }
    for (method, path, status) in
        [("GET", REPORTS, 405), ("POST", "/gateway/v1/work", 405), ("GET", "/gateway/v1/x", 404)]
    {
        assert_eq!(fixture.gateway.send_signed(method, path, "").await.unwrap().status, status, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_report_counts_once_and_in_order() {
    let fixture = pushing().await;
    let muster = fixture.start();
    let served = ["861821726241", "861821726242", "861821726243"];
    for account in served {
        bring_online(&muster, account).await;
        fixture.wait_for_payload(account, IS_ONLINE).await;
    }
    let [one, two, three] = served.map(dropped);
    let taken = |acknowledged: u64, recorded: u64, duplicates: u64, ignored: Value| {
        let answer = json!({"stream": "s", "acknowledged": acknowledged, "recorded": recorded,
            "duplicates": duplicates, "ignored": ignored});
        (200, answer)
    };
    // The second batch came first.
    let (status, gap) = send(&fixture, &batch("s", 2, std::slice::from_ref(&two))).await;
    assert_eq!((status, &gap["error"]["code"], &gap["error"]["expected"]), (409, &json!("gap"), &json!(1)));
    assert_eq!(send(&fixture, &batch("s", 1, std::slice::from_ref(&one))).await, taken(1, 1, 0, json!([])));
    assert_eq!(send(&fixture, &batch("s", 1, &[one.clone(), two.clone()])).await, taken(2, 1, 1, json!([])));
    assert_eq!(send(&fixture, &batch("s", 1, &[one.clone(), two.clone()])).await, taken(2, 0, 2, json!([])));
    let (status, gap) = send(&fixture, &batch("s", 4, std::slice::from_ref(&three))).await;
    assert_eq!((status, &gap["error"]["expected"]), (409, &json!(3)));
    let odd =
        [dropped("861821726299"), one.clone(), json!({"account": served[2], "type": "ban_lifted"}), three.clone()];
    let ignored = json!([{"sequence": 3, "why": "unknown_account"}, {"sequence": 4, "why": "does_not_fit"},
        {"sequence": 5, "why": "does_not_fit"}]);
    assert_eq!(send(&fixture, &batch("s", 3, &odd)).await, taken(6, 1, 0, ignored));
    for account in served {
        fixture.wait_for_payload(account, IS_OFFLINE).await;
        assert_eq!(fixture.receiver.accepted_payloads(account), ["1/1 ", "1/2 ", "1/4 1002"]);
    }
    // Operators see them, newest first, with masked numbers.
    let shown = muster.get("/api/v1/gateways").await.json();
    let bridge = shown["gateways"].as_array().unwrap().iter().find(|it| it["name"] == "bridge").unwrap();
    let ours = bridge["ignoredReports"].as_array().unwrap().iter().filter(|report| report["stream"] == "s");
    let seen: Vec<_> = ours.map(|it| (&it["sequence"], &it["account"], &it["type"], &it["why"])).collect();
    let masked = |account: &str| json!(format!("{}******{}", &account[..3], &account[9..]));
    let (stranger, first, third) = (masked("861821726299"), masked(served[0]), masked(served[2]));
    assert_eq!(
        seen,
        [
            (&json!(5), &third, &json!("ban_lifted"), &json!("does_not_fit")),
            (&json!(4), &first, &json!("disconnected"), &json!("does_not_fit")),
            (&json!(3), &stranger, &json!("disconnected"), &json!("unknown_account")),
        ]
    );
    let page = muster.get("/gateways").await.text;
    assert!(page.contains("Last ignored reports") && page.contains("unknown account"), "{page}");
    // Several reports of one account are decided in order, even if the batch is sent twice at once.
    let order: Vec<Value> = (0..20)
        .flat_map(|_| {
            let account = served[0];
            [
                json!({"account": account, "type": "banned", "reason": "spam"}),
                json!({"account": account, "type": "ban_lifted"}),
            ]
        })
        .collect();
    let body = batch("s", 7, &order);
    let ((first, second), _) =
        tokio::join!(async { tokio::join!(send(&fixture, &body), send(&fixture, &body)) }, async {});
    let recorded = |(_, answer): &(u16, Value)| answer["recorded"].as_u64().unwrap();
    assert_eq!((first.0, second.0, recorded(&first) + recorded(&second)), (200, 200, 40), "{first:?} {second:?}");
    // Streams are independent, and a kill forgets no stream.
    assert_eq!(send(&fixture, &batch("other", 1, std::slice::from_ref(&one))).await.0, 200);
    assert!(!muster.kill().contains("panicked"));
    let muster = fixture.start();
    let (_, again) = send(&fixture, &batch("s", 46, &[one.clone(), two])).await;
    let expected = json!({"stream": "s", "acknowledged": 47, "recorded": 0, "duplicates": 1,
        "ignored": [{"sequence": 47, "why": "does_not_fit"}]});
    assert_eq!(again, expected);
    assert_eq!(send(&fixture, &batch("other", 3, &[one])).await.1["error"]["expected"], 2);
    let counted = ["does_not_fit", "unknown_account", "duplicate"];
    let mut values = Vec::new();
    for outcome in counted {
        values.push(metric(&muster, &format!("muster_bridge_reports_total{{outcome=\"{outcome}\"}}")).await);
    }
    // The reconciliation at the start closes the sessions that this test invented; the gateway reports that, too.
    assert!(values[0] >= 1 && values[1..] == [0, 1], "since the start: {values:?}");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let store = open_store(&fixture.data());
    // Two streams of this test, the stream of the gateway's own reports, and five ignored reports.
    assert_eq!(store.scan_from(Table::ReportOffsets, b"bs").count(), 3);
    let ignored =
        store.scan_from(Table::ReportOffsets, b"bi").take_while(|it| it.as_ref().unwrap().0.starts_with(b"bi"));
    assert!(ignored.count() >= 5);
}

/// Reports of a later gateway version, and very long ones, are read as far as possible: the stream continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_is_ignored() {
    let fixture = pushing().await;
    let muster = fixture.start();
    bring_online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    let long = "\u{1f511}".repeat(2_000);
    let reports = [
        json!({"type": "gateway_moved", "to": "another host"}),
        json!({"account": ACCOUNT, "type": "typing", "session": 1}),
        json!({"account": ACCOUNT, "type": "disconnected", "reason": long}),
    ];
    // Half of a surrogate pair, as a program leaves it that cuts a text by its UTF-16 units.
    let body = batch("s", 1, &reports).replace("another host", "\\ud83d");
    let ignored = json!([{"sequence": 1, "why": "unknown_type"}, {"sequence": 2, "why": "unknown_type"}]);
    let taken = json!({"stream": "s", "acknowledged": 3, "recorded": 1, "duplicates": 0, "ignored": ignored});
    assert_eq!(send(&fixture, &body).await, (200, taken));
    fixture.wait_for_payload(ACCOUNT, &format!("1/4 {}", &long[..1024])).await;
    assert_eq!(metric(&muster, "muster_bridge_reports_total{outcome=\"unknown_type\"}").await, 2);
    assert!(!muster.kill().contains("panicked"));
    let muster = fixture.start();
    let shown = muster.get("/api/v1/gateways").await.json();
    let bridge = shown["gateways"].as_array().unwrap().iter().find(|it| it["name"] == "bridge").unwrap();
    let seen: Vec<_> = bridge["ignoredReports"].as_array().unwrap().iter().filter(|it| it["stream"] == "s").collect();
    let seen: Vec<_> = seen.iter().map(|it| json!([it["sequence"], it["account"], it["type"], it["why"]])).collect();
    assert_eq!(
        seen,
        [json!([2, "861******232", "typing", "unknown_type"]), json!([1, "", "gateway_moved", "unknown_type"])]
    );
    assert!(muster.get("/gateways").await.text.contains("gateway_moved"));
}

/// A report about another gateway's account has no effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_about_accounts_of_other_gateways_are_ignored() {
    let fixture = pushing().await.with("MUSTER_GATEWAY__RULES", "8618=simulator");
    let muster = fixture.start();
    bring_online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    let (status, answer) = send(&fixture, &batch("s", 1, &[dropped(ACCOUNT)])).await;
    assert_eq!((status, &answer["ignored"]), (200, &json!([{"sequence": 1, "why": "other_gateway"}])));
    assert_eq!(fixture.receiver.accepted_payloads(ACCOUNT), ["1/1 ", "1/2 "]);
}

/// Without its settings there is no bridge. The gateway's reports wait, and the gateway sends them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_settings_there_is_no_bridge() {
    let fixture = pulling().await;
    let muster = ServiceProcess::start(&fixture.data(), &[]);
    fixture.gateway.set_report_target(&muster.url(""));
    for (method, path) in [("POST", REPORTS), ("GET", "/gateway/v1/work"), ("POST", "/gateway/v1/work/acks")] {
        let answer = fixture.gateway.send_signed(method, path, "").await.unwrap();
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (503, Some("not_set_up")), "{path}");
        assert_eq!(answer.header("retry-after"), "30", "{path}");
    }
    let meta = muster.post("/gateway/cloud-api/webhook", "{}").await;
    assert_eq!((meta.status, meta.header("retry-after")), (503, "30"), "{}", meta.text);
}
