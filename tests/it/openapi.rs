//! The description of the API, compared with real responses and webhooks.

mod api_description;

use std::path::Path;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::service_process::{
    ServiceProcess, ServiceResponse, TEST_TIMEOUT, WebhookReceiver, run_muster, temp_directory,
};
use crate::testkit::requests;
use ::muster::webhooks::signature::WebhookSecret;
use api_description::ApiDescription;

/// The description is reviewed like code. `INSTA_UPDATE=always` rewrites it.
#[test]
fn the_description_is_reviewed() {
    let (code, printed, _) = run_muster(&["openapi"], &[]);
    assert_eq!(code, Some(0));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/openapi.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &printed).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = reviewed.lines().zip(printed.lines()).position(|(reviewed, printed)| reviewed != printed);
    assert!(
        reviewed == printed,
        "snapshots/openapi.json is not what `muster openapi` prints, from line {} on; if that is meant, run \
         INSTA_UPDATE=always cargo test --test it openapi",
        differs.map_or(reviewed.lines().count(), |line| line) + 1
    );
}

/// A client that checks each response against the description.
struct CheckedClient {
    muster: ServiceProcess,
    described: ApiDescription,
    /// The API key to send, if any.
    key: Option<String>,
}

impl CheckedClient {
    /// Sends a request that must have this status.
    async fn send(&mut self, method: &str, path: &str, body: impl ToString, status: u16) -> ServiceResponse {
        self.send_with(method, path, &[("content-type", "application/json")], body, status).await
    }

    async fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl ToString,
        status: u16,
    ) -> ServiceResponse {
        let body = body.to_string();
        let mut request =
            self.muster.client().request(method.parse().unwrap(), self.muster.url(path)).body(body.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let answer = self.muster.send(request).await.unwrap();
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text);
        self.described.check(method, path, &body, &answer);
        answer
    }

    /// Sends two requests under `/api/v1`: one valid, one that is rejected.
    async fn send_good_and_bad(&mut self, method: &str, path: &str, body: &str, bad: (&str, &str, u16)) {
        self.send(method, &format!("/api/v1/{path}"), body, 200).await;
        self.send(method, &format!("/api/v1/{}", bad.0), bad.1, bad.2).await;
    }

    /// Repeats a GET until the response contains `wanted`.
    async fn send_until(&mut self, path: &str, wanted: &str) {
        let asking = async {
            while !self.muster.get(path).await.text.contains(wanted) {
                tokio::task::yield_now().await;
            }
        };
        timeout(TEST_TIMEOUT, asking).await.unwrap_or_else(|_| panic!("{path} never has {wanted}"));
    }
}

const WHATSAPP: &str = "/group-dispatch-api/whatsapp";
const REGISTER: &str = "/group-dispatch-api/register";
const NUMBER: &str = "861821726232";
/// The secret that gateways sign with: made up, 24 bytes.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// The document's account, with this name.
fn account(number: &str, name: &str) -> Value {
    let mut account = requests::example(number);
    account["name"] = name.into();
    account
}

/// Every path is called, and responses and webhooks match the description.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_as_described() {
    let data = temp_directory();
    // The first attempt fails, and there is no second one: the delivery is a dead letter at once.
    let receiver = WebhookReceiver::start_failing(|attempt| attempt == 0).await;
    let settings = [
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_WEBHOOKS__RETRY_WAITS", ""),
        ("MUSTER_SIMULATOR__DELAY_MS", "1"),
        ("MUSTER_HTTP__MAX_BODY_BYTES", "100000"),
        ("MUSTER_GATEWAY__BRIDGE__SECRET", SECRET),
    ];
    let muster = ServiceProcess::start(data.path(), &settings);
    let mut talk = CheckedClient { muster, described: ApiDescription::new(), key: None };

    for path in ["/healthz", "/readyz", "/metrics"] {
        talk.send("GET", path, "", 200).await;
        talk.send("HEAD", path, "", 200).await;
    }
    call_contract(&mut talk).await;
    act_as_gateway(&mut talk).await;
    receiver.wait_until("the account's and the number's", |deliveries| deliveries.len() == 6).await;
    talk.send_until("/api/v1/webhooks/sync", r#""deadLetters":1"#).await;
    call_audit(&mut talk).await;
    manage_webhooks(&mut talk).await;
    call_maintenance(&mut talk).await;
    call_keys(&mut talk).await;

    talk.described.assert_complete();
    for delivery in receiver.deliveries().iter() {
        talk.described.check_webhook(delivery);
    }
}

/// Acts as a gateway: fetches, acknowledges, reports.
async fn act_as_gateway(talk: &mut CheckedClient) {
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let report =
        json!({"sequence": 1, "time": "2026-11-28T05:20:00Z", "account": NUMBER, "type": "connected", "session": 1});
    let acks = json!({"acks": [{"lease": "7-1"}]}).to_string();
    for (method, path, body, bad) in [
        ("GET", "/gateway/v1/work?wait=0", String::new(), "/gateway/v1/work?wait=never"),
        ("POST", "/gateway/v1/work/acks", acks, ""),
        ("POST", "/gateway/v1/reports", json!({"stream": "a", "reports": [report]}).to_string(), ""),
    ] {
        let asked = [(path, body.as_str(), 200), (if bad.is_empty() { path } else { bad }, "", 400)];
        for (at, (path, body, status)) in asked.into_iter().enumerate() {
            let now = ::muster::clock::now();
            let (id, seconds) = (format!("{method}-{at}-{}", path.len()), (now.0 / 1_000_000).to_string());
            let signature = secret.sign(&id, now, if method == "GET" { path } else { body }.as_bytes());
            let mut headers =
                vec![("webhook-id", id.as_str()), ("webhook-timestamp", &seconds), ("webhook-signature", &signature)];
            headers.extend((status == 200).then_some(("content-type", "application/json")));
            talk.send_with(method, path, &headers, body, status).await;
        }
        let unsigned = if method == "GET" { String::new() } else { "{}".to_owned() };
        talk.send(method, path, unsigned, 401).await;
    }
}

async fn call_contract(talk: &mut CheckedClient) {
    let json = ("content-type", "application/json");
    let batch = |accounts: &[Value]| json!({"whatsAppList": accounts});
    let [insert, online, recycle] =
        ["batchInsert", "batchOnline", "batchRecycle"].map(|name| format!("{WHATSAPP}/{name}"));
    let [phone, code] = ["submitPhone", "submitVerifyCode"].map(|name| format!("{REGISTER}/{name}"));
    let lee = account(NUMBER, "lee");
    let keyed = [json, ("idempotency-key", "one")];
    talk.send_with("POST", &insert, &keyed, batch(std::slice::from_ref(&lee)), 200).await;
    talk.send_with("POST", &insert, &keyed, batch(std::slice::from_ref(&lee)), 200).await;
    talk.send_with("POST", &insert, &keyed, batch(&[]), 422).await;
    talk.send("POST", &insert, batch(&[account(NUMBER, "other")]), 409).await;
    let both = batch(&[account(NUMBER, "other"), account("8618210001234", "lee")]);
    for yes in ["true", "True", "1"] {
        talk.send("POST", &format!("{insert}?details={yes}"), &both, 207).await;
    }
    talk.send("POST", &online, batch(&[lee]), 200).await;
    talk.send_until("/api/v1/events", "came_online").await;
    talk.send("POST", &recycle, json!({"whatsAppList": [NUMBER, "861821726231"]}), 207).await;
    talk.send_until("/api/v1/events", "went_offline").await;
    let registration =
        json!({"phone": "182172623211", "verifyType": 1, "accountType": 2, "areaCode": "+86", "countryCode": "CN"});
    talk.send("POST", &phone, &registration, 200).await;
    let submitted = |code: &str| json!({"phone": "182172623211", "verifyCode": code, "areaCode": "+86"});
    talk.send("POST", &code, submitted("654321"), 200).await;
    talk.send_until("/api/v1/events", "registration_failed").await;
    talk.send("POST", &code, submitted("123456"), 200).await;
    talk.send_until("/api/v1/events", ".registered.").await;
    talk.send("POST", &code, submitted("123456"), 404).await;
    for post in [&insert, &online, &recycle, &phone, &code] {
        talk.send("POST", post, r#"{"whatsAppList":1}"#, 400).await;
        talk.send_with("POST", post, &[("content-type", "text/plain")], "{}", 415).await;
        talk.send("POST", post, " ".repeat(100_001), 413).await;
    }

    let query = format!("{WHATSAPP}/queryWhatsAppStatus");
    let list = talk.send("GET", &query, "", 200).await;
    talk.send_with("GET", &query, &[("if-none-match", list.header("etag"))], "", 304).await;
    talk.send("GET", &format!("{query}?whatsApp=x"), "", 400).await;
    talk.send_with("GET", &query, &[("host", "example.com")], "", 403).await;
}

/// The calls of auditors.
async fn call_audit(talk: &mut CheckedClient) {
    let unknown = "accounts/8618210009999";
    talk.send_good_and_bad("GET", "accounts?status=1&limit=1", "", ("accounts?status=3", "", 400)).await;
    talk.send_good_and_bad("GET", &format!("accounts/{NUMBER}?version=2"), "", (unknown, "", 404)).await;
    talk.send_good_and_bad("GET", "accounts/8618210001234", "", ("accounts/1", "", 400)).await;
    talk.send_good_and_bad("GET", "accounts/86182172623211", "", (unknown, "", 404)).await;
    talk.send_good_and_bad(
        "GET",
        &format!("accounts/{NUMBER}/events?limit=2"),
        "",
        (&format!("{unknown}/events"), "", 404),
    )
    .await;
    let diff = format!("accounts/{NUMBER}/diff");
    talk.send_good_and_bad("GET", &format!("{diff}?from=1&to=5"), "", (&diff, "", 400)).await;
    talk.send_good_and_bad("GET", "events?limit=1000", "", ("events?type=none", "", 400)).await;
    let lines = [("accept", "application/x-ndjson")];
    for path in ["accounts".to_owned(), format!("accounts/{NUMBER}/events"), "events".to_owned()] {
        talk.send_with("GET", &format!("/api/v1/{path}"), &lines, "", 200).await;
    }
    for event in crate::audit::events(&talk.muster, 9).await {
        talk.described.check_live(&event);
    }
    talk.send_good_and_bad("GET", "export", "", ("export?format=xml", "", 400)).await;
    talk.send_good_and_bad("GET", &format!("export?format=csv&account={NUMBER}"), "", ("export?until=x", "", 400))
        .await;
    talk.send_good_and_bad("GET", "log/checkpoint", "", ("log/checkpoint?size=1", "", 400)).await;
    talk.send_good_and_bad("GET", "log/public-key", "", ("log/public-key?size=1", "", 400)).await;
    talk.send_good_and_bad("GET", "log/proof/inclusion?seq=1", "", ("log/proof/inclusion?seq=9999", "", 404)).await;
    talk.send_good_and_bad("GET", "log/proof/consistency?from=1", "", ("log/proof/consistency?from=9999", "", 404))
        .await;
    talk.send_good_and_bad("GET", "log/generations", "", ("log/generations?size=1", "", 400)).await;
    let note = talk.send("GET", "/api/v1/log/checkpoint", "", 200).await.text;
    let text = [("content-type", "text/plain")];
    for (note, status) in [(note.replacen('\n', "x\n", 1), 200), ("hello".to_owned(), 400), (" ".repeat(20_000), 413)] {
        talk.send_with("POST", "/api/v1/log/check", &text, note, status).await;
    }
    talk.send("POST", "/api/v1/log/check", json!({ "note": note }), 200).await;
    talk.send("POST", "/api/v1/log/check", note, 400).await;
    talk.send_with("POST", "/api/v1/log/check", &[("content-type", "text/xml")], "<note/>", 415).await;
    talk.send_good_and_bad(
        "GET",
        &format!("log/proof/account/{NUMBER}"),
        "",
        ("log/proof/account/8618210009999", "", 404),
    )
    .await;
    for path in ["overview", "settings", "projections"] {
        talk.send_good_and_bad("GET", path, "", (&format!("{path}?x=1"), "", 400)).await;
    }
    talk.send_good_and_bad("GET", "gateways", "", ("gateways?x=1", "", 400)).await;
    let (reconcile, why) = ("/api/v1/gateways/simulator/reconcile", r#"{"reason":"it was restored"}"#);
    talk.send("POST", reconcile, why, 409).await;
    talk.send("POST", &reconcile.replace("simulator", "bridge"), why, 202).await;
    talk.send("POST", &reconcile.replace("simulator", "other"), why, 404).await;
    talk.send_good_and_bad("GET", "acts?limit=1", "", ("acts?cursor=x", "", 400)).await;
    for order in ["accounts/online", "accounts/recycle"] {
        let body = json!({"accounts": [NUMBER, "8618210009999"], "reason": "maintenance"}).to_string();
        talk.send_good_and_bad("POST", order, &body, (order, "{}", 400)).await;
    }
    talk.send_good_and_bad("GET", "events?order=desc&limit=2", "", ("events?order=desc&after=1", "", 400)).await;
    talk.send_good_and_bad("POST", "verify", "", ("verify?x=1", "", 400)).await;
    talk.send_good_and_bad("POST", &format!("replay?account={NUMBER}"), "", ("replay?account=8618210009999", "", 404))
        .await;
    talk.send_good_and_bad("POST", "replay?until=3", "", ("replay?until=x", "", 400)).await;
}

async fn manage_webhooks(talk: &mut CheckedClient) {
    talk.send_good_and_bad("GET", "webhooks", "", ("webhooks?x=1", "", 400)).await;
    talk.send_good_and_bad("GET", "webhooks/sync", "", ("webhooks/other", "", 404)).await;
    talk.send_good_and_bad("GET", "webhooks/sync/deliveries", "", ("webhooks/sync/deliveries?state=x", "", 400)).await;
    let dead = talk.send("GET", "/api/v1/webhooks/sync/dead-letters", "", 200).await.json();
    let position = dead["deadLetters"][0]["position"].as_str().unwrap().to_owned();
    talk.send_good_and_bad(
        "GET",
        "webhooks/sync/dead-letters?limit=1",
        "",
        ("webhooks/sync/dead-letters?limit=0", "", 400),
    )
    .await;
    let delivery = format!("webhooks/sync/deliveries/{position}");
    talk.send_good_and_bad("GET", &delivery, "", ("webhooks/sync/deliveries/1", "", 404)).await;
    talk.send_good_and_bad("POST", "webhooks/sync/test", "", ("webhooks/sync/test?x=1", "", 400)).await;
    let pause = "webhooks/sync/pause";
    talk.send_good_and_bad("POST", pause, r#"{"reason":"maintenance"}"#, (pause, r#"{"reason":""}"#, 400)).await;
    talk.send_good_and_bad("POST", &format!("{delivery}/resend"), "", ("webhooks/sync/deliveries/1/resend", "", 404))
        .await;
    let [replay, drop] = ["replay", "drop"].map(|what| format!("webhooks/sync/dead-letters/{what}"));
    let one = json!({"positions": [position]}).to_string();
    talk.send_good_and_bad("POST", &replay, &one, (&replay, "{}", 400)).await;
    talk.send_good_and_bad("POST", &drop, r#"{"all":true,"reason":"over"}"#, (&drop, &one, 400)).await;
    talk.send_good_and_bad("POST", "webhooks/sync/resume", "", ("webhooks/sync/resume", "", 409)).await;
    let redeliver = "webhooks/sync/redeliver";
    talk.send_good_and_bad("POST", redeliver, r#"{"from":"1","to":"9","dryRun":true}"#, (redeliver, "{}", 400)).await;
    let resync = "webhooks/sync/resync";
    talk.send_good_and_bad("POST", resync, r#"{"all":true,"dryRun":true}"#, (resync, "{}", 400)).await;
    let close = "webhooks/register/close";
    talk.send_good_and_bad("POST", close, r#"{"dryRun":true}"#, (close, "{}", 400)).await;
    let url = "webhooks/register/url";
    talk.send_good_and_bad(
        "PUT",
        url,
        r#"{"url":"http://127.0.0.1:9/hook"}"#,
        (url, r#"{"url":"http://169.254.169.254/"}"#, 400),
    )
    .await;
    talk.send_good_and_bad("DELETE", url, "", ("webhooks/register/url?x=1", "", 400)).await;
    let secret = "webhooks/register/secret";
    talk.send_good_and_bad("PUT", secret, "", (secret, r#"{"secret":"x"}"#, 400)).await;
    talk.send_good_and_bad("DELETE", secret, "", ("webhooks/other/secret", "", 404)).await;
    let app = "webhooks/register/app-secret";
    let app_secret = r#"{"tenantId":"500975","secret":"f9a40a4780f5e1306c46f1c8daecee3b"}"#;
    talk.send_good_and_bad("PUT", app, app_secret, (app, "[]", 400)).await;
    talk.send("GET", "/api/v1/webhooks/register", "", 200).await;
    talk.send_good_and_bad("DELETE", app, "", ("webhooks/other/app-secret", "", 404)).await;
    talk.send("POST", &format!("/api/v1/{pause}"), " ".repeat(70_000), 413).await;
    talk.send_with("POST", &format!("/api/v1/{pause}"), &[("content-type", "text/plain")], "{}", 415).await;
}

async fn call_maintenance(talk: &mut CheckedClient) {
    let rebuild = "/api/v1/projections/roster/rebuild";
    talk.send("POST", rebuild, "", 202).await;
    talk.send("POST", "/api/v1/projections/other/rebuild", "", 404).await;
    talk.send_until("/api/v1/projections", r#""rebuilding":null,"lastRebuild":{"#).await;
    talk.send("GET", "/api/v1/projections", "", 200).await;
    let backup = talk.muster.client().post(talk.muster.url("/api/v1/backup")).send().await.unwrap();
    let (status, headers) = (backup.status().as_u16(), backup.headers().clone());
    // The backup is binary.
    let answer = ServiceResponse { status, headers, text: format!("{} bytes", backup.bytes().await.unwrap().len()) };
    talk.described.check("POST", "/api/v1/backup", "", &answer);
    talk.send("POST", "/api/v1/backup?x=1", "", 400).await;
    talk.send_good_and_bad("GET", "vault", "", ("vault?x=1", "", 400)).await;
    let none = r#"{"newKeyFile":"none"}"#;
    talk.send_good_and_bad("POST", "vault/rotate", "", ("vault/rotate", none, 400)).await;
    let labels = format!("accounts/{NUMBER}/labels");
    talk.send_good_and_bad("PUT", &labels, r#"{"labels":{"team":"care"}}"#, (&labels, "{}", 400)).await;
    let secrets = format!("accounts/{NUMBER}/secrets");
    talk.send_good_and_bad("DELETE", &secrets, r#"{"reason":"asked for"}"#, (&secrets, "{}", 400)).await;
    talk.send("DELETE", "/api/v1/accounts/8618210009999/secrets", r#"{"reason":"asked for"}"#, 404).await;
}

/// Keys come last: once the first exists, every request needs one.
async fn call_keys(talk: &mut CheckedClient) {
    let make = |role: &str| json!({"name": "a key", "role": role}).to_string();
    let made = talk.send("POST", "/api/v1/keys", make("admin"), 200).await.json();
    talk.send("GET", "/api/v1/keys", "", 401).await;
    talk.send("POST", &format!("{WHATSAPP}/batchInsert"), "{}", 401).await;
    talk.key = Some(made["key"].as_str().unwrap().to_owned());
    talk.send_good_and_bad("GET", "keys", "", ("keys?x=1", "", 400)).await;
    talk.send("POST", "/api/v1/keys", "{}", 400).await;
    let tenant = r#"{"name":"old","role":"caller","tenant":"500975","expires":"2100-01-01","accounts":["8618"]}"#;
    talk.send("POST", "/api/v1/keys", tenant, 200).await;
    talk.send("POST", "/api/v1/keys", tenant, 409).await;
    talk.send_good_and_bad("DELETE", "keys/2", "", ("keys/9", "", 404)).await;
    talk.send("DELETE", "/api/v1/keys/2", "", 409).await;
    talk.send("GET", "/api/v1/keys", "", 200).await;
    // The administrative events of this test are in the journal.
    talk.send("GET", "/api/v1/events?limit=1000", "", 200).await;
    let auditor = talk.send("POST", "/api/v1/keys", make("auditor"), 200).await.json();
    talk.key = Some(auditor["key"].as_str().unwrap().to_owned());
    talk.send("POST", "/api/v1/backup", "", 403).await;
    talk.send("POST", &format!("{WHATSAPP}/batchRecycle"), "{}", 403).await;
}

/// The pages with the description exist, and load nothing from elsewhere.
#[tokio::test]
async fn the_pages_are_all_there() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let document = muster.get("/openapi.json").await;
    assert_eq!((document.text, document.status), (run_muster(&["openapi"], &[]).1, 200));
    // The client follows the redirect to the folder of their files.
    let page = muster.get("/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("script"), "{policy}");
    let quoted = page.text.split('"').skip(1).step_by(2);
    let files: Vec<&str> = quoted.filter(|it| [".js", ".css", ".png"].iter().any(|end| it.ends_with(end))).collect();
    assert!(files.len() >= 5 && !page.text.contains("://"), "{}", page.text);
    for file in &files {
        let file = muster.get(&format!("/docs/{}", file.trim_start_matches("./"))).await;
        assert_eq!((file.status, file.header("content-security-policy")), (200, policy));
        assert!(file.header("content-type").starts_with("text/") || file.header("content-type").starts_with("image/"));
    }
    let initializer = muster.get("/docs/swagger-initializer.js").await.text;
    assert!(initializer.contains("\"/openapi.json\"") && !initializer.contains("://"), "{initializer}");
    assert_eq!(muster.get("/docs/none").await.status, 404);
    assert_eq!((muster.post("/docs/", "").await.status, muster.post("/openapi.json", "").await.status), (405, 405));
}
