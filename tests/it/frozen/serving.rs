//! Frozen directories and backups are served, and their pending work is carried out.

use std::fs;
use std::path::Path;

use md5::{Digest, Md5};
use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{FrozenFixture, directory_of, unpack};
use super::{ACCOUNTS, TENANT, TENANT_SECRET, VERSIONS, frozen, json_file, recipe};
use crate::bridge::scripted_gateway::ScriptedGatewayState;
use crate::fake_graph::FakeNumber;
use crate::service_process::{ReceivedDelivery, ServiceProcess, WebhookReceiver, accepted_payloads, run_muster};
use crate::testkit::requests::{INSERT, LIST, ONLINE, account};

async fn status(muster: &ServiceProcess, key: &str, method: Method, path: &str) -> u16 {
    let request = muster.client().request(method, muster.url(path)).header("content-type", "application/json");
    let request = if key.is_empty() { request } else { request.header("x-api-key", key) };
    muster.send(request.body("{}")).await.unwrap().status
}

/// Each key still works, with the same permissions.
async fn check_keys(muster: &ServiceProcess, keys: &Value) {
    let key = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
    for (name, method, path, expected) in [
        ("", Method::GET, LIST, 401),
        ("admin", Method::GET, "/api/v1/keys", 200),
        ("operator", Method::GET, "/api/v1/webhooks", 200),
        ("operator", Method::GET, "/api/v1/keys", 403),
        ("auditor", Method::GET, "/api/v1/events", 200),
        ("auditor", Method::POST, "/api/v1/replay", 403),
        ("caller", Method::GET, LIST, 200),
        ("caller", Method::GET, "/api/v1/events", 403),
        ("revoked", Method::GET, "/api/v1/events", 401),
    ] {
        assert_eq!(status(muster, &key(name), method, path).await, expected, "{name:?}: {path}");
    }
    let now = (::muster::clock::now().0 / 1_000).to_string();
    let token = Md5::digest(format!("{TENANT}{now}{TENANT_SECRET}"));
    let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let get = muster.client().get(muster.url(LIST)).header("tenant_id", TENANT).header("timestamp", &now);
    assert_eq!(muster.send(get.header("token", token)).await.unwrap().status, 200);
}

pub(super) async fn check_directory(frozen: &Path) {
    let mut fixture = FrozenFixture::new(WebhookReceiver::start().await).await;
    unpack(frozen, &fixture.data());
    let keys = json_file(&frozen.join("keys.json"));
    keys["admin"].as_str().unwrap().clone_into(&mut fixture.admin);
    fixture.graph.add(FakeNumber::connected("15550783881"));
    let reported = json_file(&frozen.join("reports.json"));
    fixture.gateway.state().sequence = reported["sequence"].as_u64().unwrap();
    let muster = fixture.start("10m,10m");
    check_keys(&muster, &keys).await;

    // Pending deliveries, redeliveries and replayed dead letters are sent with the same ids and bodies.
    fixture.set(&muster, Method::POST, "webhooks/register/resume", json!({})).await;
    fixture.set(&muster, Method::POST, "webhooks/sync/dead-letters/replay", json!({"all": true})).await;
    fixture.set(&muster, Method::POST, "webhooks/sync/redeliver", json!({"from": "1"})).await;
    // They are due by now, unless this machine's clock is behind.
    let waiting = fixture.get(&muster, "webhooks/sync/deliveries?state=waiting").await;
    let waiting: Value = serde_json::from_str(&waiting).unwrap();
    for delivery in waiting["deliveries"].as_array().unwrap() {
        let resend = format!("webhooks/sync/deliveries/{}/resend", delivery["position"].as_str().unwrap());
        fixture.set(&muster, Method::POST, &resend, json!({})).await;
    }
    for number in ["8618210031", "8618210032"] {
        let are_told = |all: &[ReceivedDelivery]| accepted_payloads(all, number) == ["1/1 ", "1/2 "];
        fixture.receiver.wait_until(&format!("what waits of {number}"), are_told).await;
    }
    let webhooks = json_file(&frozen.join("webhooks.json"));
    for expected in webhooks.as_array().unwrap() {
        let is_same = |it: &ReceivedDelivery| {
            it.id == expected["id"] && it.path == expected["path"] && it.body == expected["body"]
        };
        fixture.receiver.wait_until(&expected.to_string(), |all| all.iter().any(is_same)).await;
    }
    fixture.wait_until_delivered(&muster).await;

    // The gateway receives its unanswered commands again; they contain secrets that were sealed.
    let connect = |state: &ScriptedGatewayState| {
        let command = state.arrived.iter().find(|it| it["type"] == "connect" && it["account"] == "8618310002");
        command.is_some_and(|command| command["private_key"] == "private")
    };
    fixture.gateway.wait_until("the connect with its private key", connect).await;
    fixture.wait_for_event(&muster, "8618310002", "came_online").await;

    // Imported content is recognised, with an empty text in place of a missing one, too.
    let number = "8618210013";
    let events = fixture.get(&muster, &format!("accounts/{number}/events")).await;
    let mut same = recipe::account(number);
    same["avatar"] = "".into();
    fixture.post(&muster, INSERT, json!({"whatsAppList": [recipe::account(number)]})).await;
    fixture.post(&muster, INSERT, json!({"whatsAppList": [same]})).await;
    assert_eq!(fixture.get(&muster, &format!("accounts/{number}/events")).await, events);

    // An erased secret stays erased, and everything else can be sealed with a new key.
    let erased: Value = serde_json::from_str(&fixture.get(&muster, "accounts/8618210014").await).unwrap();
    assert!(erased["content"].is_null(), "{erased}");
    let again = json!({"accounts": ["8618210014", "8618210013"], "reason": "again"});
    let ordered = fixture.set(&muster, Method::POST, "accounts/online", again).await;
    assert!(ordered["results"][0]["refused"].is_string() && ordered["results"][1]["refused"].is_null(), "{ordered}");
    fixture.set(&muster, Method::POST, "vault/rotate", json!({})).await;
    fixture.wait_for_text(&muster, "vault", r#""rotation":"none""#).await;

    for check in ["verify", "replay"] {
        fixture.set(&muster, Method::POST, check, json!({})).await;
    }
    fixture.set(&muster, Method::POST, "webhooks/sync/test", json!({})).await;
    fixture.post(&muster, ONLINE, json!({"whatsAppList": [account("8618210099")]})).await;
    fixture.wait_for_event(&muster, "8618210099", "came_online").await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let muster = fixture.start("10m,10m");
    check_keys(&muster, &keys).await;
    let metrics = fixture.send(&muster, Method::GET, "/metrics", String::new()).await;
    let was = fs::read_to_string(frozen.join("metrics.txt")).unwrap();
    for kind in was.lines().filter(|line| line.starts_with("# TYPE ")) {
        assert!(metrics.contains(kind), "{kind} is gone");
    }
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
}

pub(super) async fn check_backup(frozen: &Path) {
    let mut fixture = FrozenFixture::new(WebhookReceiver::start().await).await;
    let (backup, key) = (frozen.join("backup"), frozen.join("public-key"));
    let data = fixture.path("data");
    let (backup, key) = (backup.to_str().unwrap(), key.to_str().unwrap());
    let (code, _, stderr) = run_muster(&["backup", "verify", backup, "--public-key", key], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let killed = directory_of(frozen);
    let master_key = killed.path().join("keys/master.key");
    let master_key = ["--public-key", key, "--master-key-file", master_key.to_str().unwrap()];
    let restore = ["restore", backup, "--data-dir", &data];
    let (code, _, stderr) = run_muster(&[&restore[..], &master_key].concat(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    json_file(&frozen.join("keys.json"))["admin"].as_str().unwrap().clone_into(&mut fixture.admin);
    let muster = fixture.start("10m,10m");
    for number in ACCOUNTS {
        let events: Value =
            serde_json::from_str(&fixture.get(&muster, &format!("accounts/{number}/events?limit=1000")).await).unwrap();
        let was = &json_file(&frozen.join("shown.json"))[format!("history {number}")];
        assert!(events["events"].as_array().unwrap().len() >= was.as_array().unwrap().len(), "{number}");
    }
    fixture.set(&muster, Method::POST, "verify", json!({})).await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_are_still_served() {
    for (version, _) in VERSIONS {
        check_directory(&frozen(version)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_still_restored() {
    for (version, _) in VERSIONS {
        check_backup(&frozen(version)).await;
    }
}
