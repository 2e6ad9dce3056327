//! Writes everything that this version of Muster stores and hands out, in the form in which it is frozen.
//!
//! One service is restored from a backup, runs three times, and is killed in the third run. It has accounts in every
//! state, of all three gateways, and rows in every table. All of it is made up.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster::config::Settings;
use muster::domain::EventType;
use muster::limits::SNAPSHOT_EVERY;
use muster::store::Table;
use muster::vault::Vault;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::fixture::{FrozenFixture, directory_of, tar};
use super::{ACCOUNTS, SETTINGS, SIGNING_SECRET, TENANT, TENANT_SECRET, shown, sums};
use crate::bridge::scripted_gateway::ScriptedFault;
use crate::fake_graph::CODE;
use crate::service_process::{ServiceProcess, TEST_TIMEOUT, WebhookReceiver, run_muster};
use crate::testkit::fixture::open_store;
use crate::testkit::requests::{self, INSERT, ONLINE, PHONE, RECYCLE, account_with};

pub(super) fn account(number: &str) -> Value {
    let fields = json!({"name": "lee, the \"first\"", "publicKey": "public", "privateKey": "private",
        "msgPublicKey": "message", "msgPrivateKey": "secret message", "accountId": "17", "nextKeyId": "3",
        "registrationId": "5", "deviceParams": "parameters"});
    account_with(number, &fields)
}

fn list(numbers: &[&str]) -> Value {
    json!({"whatsAppList": numbers.iter().map(|number| account(number)).collect::<Vec<_>>()})
}

/// Writes everything into `into`, an empty directory.
pub async fn write_frozen_data(into: &Path) {
    let is_broken = Arc::new(AtomicBool::new(false));
    let breaks = is_broken.clone();
    let mut fixture =
        FrozenFixture::new(WebhookReceiver::start_failing(move |_| breaks.load(Ordering::Relaxed)).await).await;
    restore_directory(&fixture).await;

    let muster = fixture.start("10s");
    let keys = keys(&mut fixture, &muster).await;
    fs::write(into.join("keys.json"), format!("{keys:#}\n")).unwrap();
    accounts(&fixture, &muster).await;
    receivers(&fixture, &muster).await;
    run_operator_actions(&fixture, &muster).await;
    fixture.wait_until_delivered(&muster).await;
    fs::write(into.join("checkpoint.early"), fixture.get(&muster, "log/checkpoint").await).unwrap();
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    // The next start finishes it.
    begin_rotation(&fixture);

    // No attempt is left after the first: these deliveries become dead letters at once.
    is_broken.store(true, Ordering::Relaxed);
    let muster = fixture.start("");
    fixture.post(&muster, ONLINE, list(&["8618210021", "8618210022"])).await;
    fixture.wait_for_text(&muster, "webhooks/sync", r#""deadLetters":4"#).await;
    let dead: Value = serde_json::from_str(&fixture.get(&muster, "webhooks/sync/dead-letters").await).unwrap();
    let dropped = json!({"positions": [dead["deadLetters"][0]["position"]], "reason": "over"});
    fixture.set(&muster, Method::POST, "webhooks/sync/dead-letters/drop", dropped).await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    begin_rotation(&fixture);
    let aborted = run_muster(&["vault", "rotate", "--abort", "--data-dir", &fixture.path("data")], &[]);
    assert_eq!(aborted.0, Some(0), "{aborted:?}");

    // The next retry is ten minutes away: enough time to kill the service.
    let muster = fixture.start("10m,10m");
    fixture.post(&muster, ONLINE, list(&["8618210031", "8618210032"])).await;
    fixture.wait_for_text(&muster, "webhooks/sync", r#""waiting":2"#).await;
    fixture.set(&muster, Method::POST, "webhooks/register/pause", json!({"reason": "maintenance"})).await;
    fixture.set(&muster, Method::POST, "webhooks/register/redeliver", json!({"from": "1"})).await;
    fixture.gateway.fault("connect", &vec![ScriptedFault::HangBefore; 100]);
    fixture.post(&muster, ONLINE, list(&["8618310002"])).await;
    fixture
        .gateway
        .wait_until("the connect", |state| state.arrived.iter().any(|it| it["account"] == "8618310002"))
        .await;
    fs::write(into.join("metrics.txt"), fixture.send(&muster, Method::GET, "/metrics", String::new()).await).unwrap();
    let backup = muster.client().post(muster.url("/api/v1/backup")).header("x-api-key", &fixture.admin);
    fs::write(into.join("backup"), backup.send().await.unwrap().bytes().await.unwrap()).unwrap();
    assert!(!muster.kill().contains("panicked"));
    let reported = {
        let state = fixture.gateway.state();
        assert!(state.outbox.is_empty(), "{:?} was not taken", state.outbox);
        json!({"stream": "7f3a", "sequence": state.sequence})
    };
    fs::write(into.join("reports.json"), format!("{reported}\n")).unwrap();

    tar(&["-czf", into.join("data.tar.gz").to_str().unwrap(), "-C", &fixture.path("data"), "."]);
    write_artifacts(&fixture, into);
    write_payloads(&fixture.receiver, into);
    fs::write(into.join("SHA256SUMS"), sums(into)).unwrap();
    assert_complete(into);
}

/// The data directory is a restored one: first in the same generation, then in a new one.
async fn restore_directory(fixture: &FrozenFixture) {
    let muster = ServiceProcess::start(&fixture.place.path().join("first"), &[]);
    fixture.post(&muster, INSERT, list(&["8618210010"])).await;
    close_webhook(fixture, &muster).await;
    restore_backup_of(fixture, muster, "second", &["--same-generation"]);
    let muster = ServiceProcess::start(&fixture.place.path().join("second"), &[]);
    restore_backup_of(fixture, muster, "data", &["--reason", "disk failed"]);
}

/// Stops a service after a backup, and restores the backup into the directory `to`.
fn restore_backup_of(fixture: &FrozenFixture, muster: ServiceProcess, to: &str, options: &[&str]) {
    let (backup, server, to) = (fixture.path("taken.backup"), muster.url(""), fixture.path(to));
    assert_eq!(run_muster(&["backup", &backup, "--server", &server], &[]).0, Some(0));
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let key = fixture.path("first/keys/master.key");
    let restore = ["restore", &backup, "--data-dir", &to, "--master-key-file", &key];
    let (code, _, stderr) = run_muster(&[&restore, options].concat(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    fs::remove_file(backup).unwrap();
}

/// A webhook whose receiver is removed, and then closed with its pending deliveries.
async fn close_webhook(fixture: &FrozenFixture, muster: &ServiceProcess) {
    let url = json!({"url": "http://127.0.0.1:9/removed"});
    fixture.set(muster, Method::PUT, "webhooks/sync/url", url).await;
    fixture.post(muster, ONLINE, list(&["8618210010"])).await;
    fixture.wait_for_event(muster, "8618210010", "came_online").await;
    fixture.set(muster, Method::DELETE, "webhooks/sync/url", json!({})).await;
    fixture.set(muster, Method::POST, "webhooks/sync/close", json!({"reason": "its receiver is gone"})).await;
}

/// A key of each role and form, a revoked one, and one that is used after its end.
async fn keys(fixture: &mut FrozenFixture, muster: &ServiceProcess) -> Value {
    let mut made = json!({});
    for (name, wanted) in [
        ("admin", json!({"name": "admin", "role": "admin"})),
        ("operator", json!({"name": "operator", "role": "operator"})),
        ("auditor", json!({"name": "auditor", "role": "auditor", "expires": "2199-01-01"})),
        ("caller", json!({"name": "caller", "role": "caller", "accounts": ["86182", "1"]})),
        ("tenant", json!({"name": "tenant", "role": "caller", "tenant": TENANT, "secret": TENANT_SECRET})),
        ("revoked", json!({"name": "revoked", "role": "admin"})),
        ("expired", json!({"name": "expired", "role": "auditor", "expires": soon()})),
    ] {
        let answer = fixture.set(muster, Method::POST, "keys", wanted).await;
        made[name] = answer["key"].clone();
        if name == "admin" {
            answer["key"].as_str().unwrap().clone_into(&mut fixture.admin);
        }
        if name == "revoked" {
            fixture.set(muster, Method::DELETE, &format!("keys/{}", answer["id"]), json!({})).await;
        }
    }
    let ended = made["expired"].as_str().unwrap();
    timeout(TEST_TIMEOUT, async {
        while muster
            .send(muster.client().get(muster.url("/api/v1/log/checkpoint")).header("x-api-key", ended))
            .await
            .unwrap()
            .status
            != 401
        {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the key never ends");
    made
}

/// One second from now.
fn soon() -> String {
    muster::audit::write_time(muster::clock::now().plus(Duration::from_secs(1)))
}

/// Causes every event of accounts, and leaves accounts in every state.
async fn accounts(fixture: &FrozenFixture, muster: &ServiceProcess) {
    // The simulator's outcomes depend on the last four digits.
    let failing = ["8618210001", "8618210002", "8618210003", "8618210004", "8618210006"];
    let others = ["8618210012", "8618210013", "8618210014", "8618310001"];
    fixture.post(muster, INSERT, list(&["8618210011"])).await;
    let mut again = list(&["8618210011"]);
    again["whatsAppList"][0]["override"] = true.into();
    again["whatsAppList"][0]["labels"] = json!({"team": "care", "tier": ""});
    // Often enough that a snapshot of the account is kept.
    for key in 0..SNAPSHOT_EVERY {
        again["whatsAppList"][0]["privateKey"] = format!("another {key}").into();
        fixture.post(muster, ONLINE, again.clone()).await;
    }
    fixture.post(muster, ONLINE, list(&failing)).await;
    fixture.post(muster, ONLINE, list(&others)).await;
    // Behind a restore, no session has number 1, in which the simulator would drop the last one.
    let events = ["went_offline", "went_offline", "banned", "online_requested", "came_online"];
    for (number, event) in failing.iter().zip(events) {
        fixture.wait_for_event(muster, number, event).await;
    }
    for number in others {
        fixture.wait_for_event(muster, number, "came_online").await;
    }
    fixture.post(muster, RECYCLE, json!({"whatsAppList": ["8618210013"]})).await;
    fixture.wait_for_event(muster, "8618210013", "went_offline").await;
    fixture.set(muster, Method::DELETE, "accounts/8618210014/secrets", json!({"reason": "asked to"})).await;

    for number in ["8618210005", "8618210015", "8618210016", "8618210017", "8618310003", "15550783881"] {
        fixture.post(muster, PHONE, requests::phone(number)).await;
        let event = if number == "8618210005" { "registration_failed" } else { "code_sent" };
        fixture.wait_for_event(muster, number, event).await;
    }
    for (number, code, event) in [
        ("8618210016", "654321", "registration_failed"),
        ("8618210017", "123456", "registered"),
        ("8618310003", "123456", "registered"),
        ("15550783881", CODE, "registered"),
    ] {
        fixture.post(muster, requests::CODE, requests::code(number, code)).await;
        fixture.wait_for_event(muster, number, event).await;
    }
    fixture.post(muster, ONLINE, list(&["15550783881"])).await;
    fixture.wait_for_event(muster, "15550783881", "came_online").await;

    for report in [
        json!({"account": "8618310001", "type": "banned", "reason": "spam"}),
        json!({"account": "8618310001", "type": "ban_lifted"}),
        json!({"account": "8618310099", "type": "ban_lifted"}),
    ] {
        fixture.gateway.state().report(report);
    }
    fixture.gateway.set_silent(false);
    fixture.wait_for_event(muster, "8618310001", "ban_lifted").await;
    fixture.wait_for_text(muster, "gateways", "unknown_account").await;
    // The response is stored under its key.
    let request = muster.client().post(muster.url(INSERT)).header("x-api-key", &fixture.admin);
    let request = request.header("content-type", "application/json").header("idempotency-key", "the-same-again");
    let answer = muster.send(request.body(list(&["8618210010"]).to_string())).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Operators' actions on webhooks.
async fn receivers(fixture: &FrozenFixture, muster: &ServiceProcess) {
    fixture.wait_until_delivered(muster).await;
    for (method, path, body) in [
        (Method::PUT, "sync/secret", json!({"secret": SIGNING_SECRET})),
        (Method::PUT, "register/app-secret", json!({"tenantId": TENANT, "secret": "app-secret-of-the-tests"})),
        (Method::PUT, "register/url", json!({"url": "http://127.0.0.1:9/elsewhere"})),
        (Method::DELETE, "register/url", json!({})),
        (Method::POST, "sync/pause", json!({"reason": "maintenance"})),
        (Method::POST, "sync/resume", json!({})),
        (Method::POST, "sync/redeliver", json!({"account": "8618210012"})),
        (Method::POST, "sync/resync", json!({"accounts": ["8618210012"], "reason": "after a restore"})),
        (Method::POST, "register/resync", json!({"all": true})),
    ] {
        fixture.set(muster, method, &format!("webhooks/{path}"), body).await;
    }
}

/// Operators' other actions.
async fn run_operator_actions(fixture: &FrozenFixture, muster: &ServiceProcess) {
    for (path, body) in [
        ("accounts/online", json!({"accounts": ["8618210013"], "reason": "after maintenance"})),
        ("accounts/recycle", json!({"accounts": ["8618210012"], "reason": "maintenance"})),
        ("gateways/bridge/reconcile", json!({"reason": "the gateway was restored"})),
        ("projections/roster/rebuild", json!({})),
        ("vault/rotate", json!({})),
    ] {
        fixture.set(muster, Method::POST, path, body).await;
    }
    for act in ["projection_rebuilt", "master_key_rotated"] {
        fixture.wait_for_text(muster, "events?limit=1000", &format!("muster.administration.{act}.v")).await;
    }
    let labels = json!({"labels": {"team": "sales"}, "reason": "another team"});
    fixture.set(muster, Method::PUT, "accounts/8618210012/labels", labels).await;
    // Both are recorded.
    fixture.get(muster, "export?type=banned&since=2026-01-01&reason~=spam").await;
    fixture.get(muster, "log/proof/account/8618210003").await;
    fixture.wait_for_event(muster, "8618210013", "came_online").await;
    fixture.wait_for_event(muster, "8618210012", "went_offline").await;
}

/// Begins a rotation of the master key on a stopped directory, as a kill leaves it.
fn begin_rotation(fixture: &FrozenFixture) {
    let vault = Vault::open(open_store(&fixture.data()), &Settings::default().vault).unwrap();
    vault.begin_rotation(None, None).unwrap();
}

/// Exports of the command line from the killed service's directory.
fn write_artifacts(fixture: &FrozenFixture, into: &Path) {
    let data = directory_of(into);
    let data = data.path().to_str().unwrap();
    let write = |name: &str, arguments: &[&str]| {
        let (code, stdout, stderr) = run_muster(&[arguments, &["--data-dir", data]].concat(), &[]);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        fs::write(into.join(name), stdout).unwrap();
    };
    write("public-key", &["checkpoint", "--public-key"]);
    write("checkpoint.late", &["checkpoint"]);
    for number in ACCOUNTS {
        write(&format!("bundle.{number}.json"), &["prove", number]);
    }
    write("export.jsonl", &["export"]);
    write("export.account.jsonl", &["export", "--account", ACCOUNTS[0]]);
    write("export.types.jsonl", &["export", "--type", "came_online,banned,api_key_created"]);
    write("export.positions.jsonl", &["export", "--first", "3", "--last", "1-9"]);
    write("export.time.jsonl", &["export", "--since", "2026-01-01"]);
    write("export.reason.jsonl", &["export", "--origin", "operator", "--reason", "maintenance"]);
    write("export.csv", &["export", "--format", "csv"]);
    write("export.account.csv", &["export", "--format", "csv", "--account", ACCOUNTS[0]]);
    let settings = fixture.place.path().join("muster.toml");
    fs::write(&settings, SETTINGS).unwrap();
    fs::copy(&settings, into.join("muster.toml")).unwrap();
    let described: Value = serde_json::from_str(&run_muster(&["openapi"], &[]).1).unwrap();
    fs::write(into.join("openapi.json"), format!("{described}\n")).unwrap();
    fs::write(into.join("help.txt"), run_muster(&["--help"], &[]).1).unwrap();
    fs::write(into.join("settings.json"), super::settings(&settings)).unwrap();
    fs::write(into.join("shown.json"), format!("{}\n", shown(data))).unwrap();
}

/// Ids and bodies of the accepted webhooks.
fn write_payloads(receiver: &WebhookReceiver, into: &Path) {
    let taken: Vec<Value> = receiver
        .deliveries()
        .iter()
        .filter(|delivery| delivery.was_accepted)
        .map(|delivery| json!({"path": delivery.path, "id": delivery.id, "body": delivery.body}))
        .collect();
    fs::write(into.join("webhooks.json"), format!("{:#}\n", Value::from(taken))).unwrap();
}

/// Each table has rows, and each type of event occurs.
fn assert_complete(frozen: &Path) {
    let data = directory_of(frozen);
    let store = open_store(data.path());
    let empty: Vec<_> = Table::ALL.into_iter().filter(|table| store.scan_from(*table, b"").next().is_none()).collect();
    assert!(empty.is_empty(), "{empty:?} have no row");
    let export = fs::read_to_string(frozen.join("export.jsonl")).unwrap();
    let missing: Vec<_> =
        EventType::all().map(EventType::name).filter(|name| !export.contains(&format!(".{name}.v"))).collect();
    assert!(missing.is_empty(), "{missing:?} did not happen");
}
