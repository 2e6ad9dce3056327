//! Resync: receivers are told the present state of accounts again.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::calls::{code, happened, history, online, phone, post, recycle};
use crate::service_process::{
    ReceivedDelivery, ServiceProcess, TEST_TIMEOUT, WebhookReceiver, run_muster, temp_directory,
};
use crate::testkit::requests::{INSERT, accounts};

const LEE: &str = "861821726232";
const WU: &str = "861821720017";

/// Sends a resync and returns its answer.
async fn resync(muster: &ServiceProcess, channel: &str, body: &Value) -> Value {
    post(muster, &format!("/api/v1/webhooks/{channel}/resync"), body.to_string()).await.json()
}

fn answer(accounts: u64, deliveries: u64, dry_run: bool) -> Value {
    json!({"accounts": accounts, "deliveries": deliveries, "next": null, "dryRun": dry_run})
}

fn of_account<'d>(deliveries: &'d [ReceivedDelivery], account: &str) -> Vec<&'d ReceivedDelivery> {
    let is_of = |it: &&ReceivedDelivery| it.body["whatsApp"] == account || it.body["phone"] == account;
    deliveries.iter().filter(is_of).collect()
}

/// One account comes online, and one is registered.
async fn start_with_accounts(data: &std::path::Path, receiver: &WebhookReceiver) -> ServiceProcess {
    let settings = [("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()), ("MUSTER_SIMULATOR__DELAY_MS", "1")];
    let muster = ServiceProcess::start(data, &settings);
    online(&muster, LEE).await;
    phone(&muster, WU).await;
    happened(&muster, WU, "code_sent").await;
    code(&muster, WU, "123456").await;
    receiver.wait_until("all", |all| of_account(all, LEE).len() == 2 && of_account(all, WU).len() == 1).await;
    muster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_is_a_delivery_of_its_own_and_survives_a_kill() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let muster = start_with_accounts(data.path(), &receiver).await;

    // A dry run counts, and does nothing.
    let before = muster.get("/api/v1/projections").await.json()["head"].clone();
    assert_eq!(resync(&muster, "sync", &json!({"all": true, "dryRun": true})).await, answer(2, 2, true));
    assert_eq!(resync(&muster, "register", &json!({"all": true, "dryRun": true})).await, answer(2, 1, true));
    assert_eq!(resync(&muster, "sync", &json!({"accounts": [LEE], "dryRun": true})).await, answer(1, 1, true));
    assert_eq!(resync(&muster, "sync", &json!({"all": true, "after": "1", "dryRun": true})).await, answer(1, 1, true));
    assert_eq!(muster.get("/api/v1/projections").await.json()["head"], before);

    // What was answered is not lost, although the channel is paused and the service is killed.
    post(&muster, "/api/v1/webhooks/sync/pause", json!({"reason": "why"}).to_string()).await;
    let body = json!({"accounts": [LEE], "reason": "the log was restored"});
    assert_eq!(resync(&muster, "sync", &body).await, answer(1, 1, false));
    assert_eq!(resync(&muster, "register", &json!({"all": true})).await, answer(2, 1, false));
    muster.kill();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str())]);
    post(&muster, "/api/v1/webhooks/sync/resume", "").await;
    receiver.wait_until("both", |all| of_account(all, LEE).len() >= 3 && of_account(all, WU).len() >= 2).await;
    assert_eq!(receiver.accepted_payloads(LEE), ["1/1 ", "1/2 ", "1/2 "], "the present state, under an id of its own");
    assert_eq!(receiver.accepted_payloads(WU), ["register 1", "register 1"]);
    let versions: Vec<u64> = of_account(&receiver.deliveries(), LEE).iter().map(|it| it.version).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    assert_eq!(history(&muster, LEE).await.last().unwrap(), "status_resynced");
    assert_eq!(history(&muster, WU).await.last().unwrap(), "registration_resynced");

    // The log of deliveries shows it, and the audit log has the request.
    let logged = muster.get(&format!("/api/v1/webhooks/sync/deliveries?account={LEE}&limit=1")).await.json();
    assert_eq!(logged["deliveries"][0]["version"], 4, "{logged}");
    let events = muster.get("/api/v1/events?limit=1000").await.json()["events"].clone();
    let find = |name: &str| {
        let is_type = |event: &&Value| event["type"].as_str().unwrap().ends_with(name);
        events.as_array().unwrap().iter().find(is_type).unwrap_or_else(|| panic!("no {name} in {events}")).clone()
    };
    let (act, told) = (find("webhook_resynced.v1"), find("status_resynced.v1"));
    assert_eq!((&act["data"]["accounts"], &act["data"]["reason"]), (&1.into(), &"the log was restored".into()));
    assert_eq!((&act["requestid"], &act["origin"]), (&told["requestid"], &told["origin"]));
    let told = json!({"status": 1, "onlineStatus": 2, "reason": "", "instanceCode": told["data"]["instanceCode"]});
    assert_eq!(find("status_resynced.v1")["data"], told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_that_cannot_be_sent_is_refused() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let muster = start_with_accounts(data.path(), &receiver).await;
    for (path, body, status, words) in [
        ("sync", json!({}), 400, "exactly one way"),
        ("sync", json!({"accounts": [LEE], "all": true}), 400, "exactly one way"),
        ("sync", json!({"accounts": [LEE], "after": "1"}), 400, "exactly one way"),
        ("sync", json!({"accounts": [LEE, LEE]}), 400, "list each account once"),
        ("sync", json!({"all": true, "after": "x"}), 400, "after"),
        ("sync", json!({"all": true, "reason": "two\nlines"}), 400, "reason"),
        ("sync", json!({"accounts": [LEE, "861821729999"]}), 404, "861821729999 is unknown"),
        ("other", json!({"all": true}), 404, "there is no webhook"),
    ] {
        let refused = muster.post(&format!("/api/v1/webhooks/{path}/resync"), body.to_string()).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text);
        assert!(refused.text.contains(words), "{body}: {}", refused.text);
    }
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let muster = ServiceProcess::start(data.path(), &[]);
    let refused = muster.post("/api/v1/webhooks/sync/resync", json!({"all": true}).to_string()).await;
    assert_eq!((refused.status, refused.text.contains("sync has no receiver")), (409, true), "{}", refused.text);
    let (code, _, stderr) = run_muster(&["webhooks", "resync", "--server", &muster.url("")], &[]);
    assert_eq!((code, stderr.as_str()), (Some(1), "muster: no webhook has a receiver; set a URL first\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resyncs_keep_the_order_among_concurrent_changes() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let settings = [("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()), ("MUSTER_SIMULATOR__DELAY_MS", "1")];
    let muster = ServiceProcess::start(data.path(), &settings);
    online(&muster, LEE).await;
    let changing = async {
        for _ in 0..20 {
            recycle(&muster, LEE).await;
            sleep(Duration::from_millis(7)).await;
            online(&muster, LEE).await;
            sleep(Duration::from_millis(7)).await;
        }
    };
    let resyncing = async {
        for _ in 0..40 {
            resync(&muster, "sync", &json!({"all": true})).await;
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::join!(changing, resyncing);
    let read_state = async || {
        let state = muster.get(&format!("/api/v1/accounts/{LEE}")).await.json();
        (state["version"].as_u64().unwrap(), json!([state["status"], state["onlineStatus"]]))
    };
    // The last event is a delivery, because every one of these events is sent.
    let is_told = async {
        loop {
            let last = receiver.deliveries().last().map(|it| {
                let body = &it.body;
                (it.version, json!([body["status"], body["onlineStatus"]]))
            });
            if last == Some(read_state().await) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, is_told).await.expect("the receiver never has the present state");
    let versions: Vec<u64> = receiver.deliveries().iter().map(|it| it.version).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    let resynced = history(&muster, LEE).await.iter().filter(|event| *event == "status_resynced").count();
    assert_eq!(resynced, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_asks_until_all_accounts_are_done() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_WEBHOOKS__BASE_URL", &receiver.base)]);
    let numbers = 861_821_700_000_u64..861_821_710_001;
    for batch in numbers.collect::<Vec<_>>().chunks(10_000) {
        post(&muster, INSERT, accounts(batch)).await;
    }
    let run = |arguments: &[&str]| {
        let server = ["webhooks", "resync", "-o", "csv", "--server", &muster.url("")].map(str::to_owned);
        let all: Vec<&str> = server.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let (code, stdout, stderr) = run_muster(&all, &[]);
        assert_eq!(code, Some(0), "{stderr}");
        stdout
    };
    let header = "channel,accounts,deliveries,dryRun\n";
    let counted = run(&["--dry-run"]);
    assert_eq!(counted, format!("{header}sync,10001,10001,true\nregister,10001,0,true\n"));
    assert_eq!(run(&["sync", "--after", "10000"]), format!("{header}sync,1,1,false\n"));
    let last = "861821710000";
    receiver.wait_until("the last", |all| of_account(all, last).len() == 1).await;
    assert_eq!(receiver.accepted_payloads(last), ["1/4 "]);
}
