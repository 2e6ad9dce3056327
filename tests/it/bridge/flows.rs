//! Sessions and registrations, by push and by pull.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::scripted_gateway::ScriptedFault;
use super::{ACCOUNT, IS_OFFLINE, IS_ONLINE, bring_online, code, happened, metric, phone, pulling, pushing, recycle};
use crate::fixture::Fixture;
use crate::service_process::{ServiceProcess, TEST_TIMEOUT};

/// Goes online and offline, then registers with the second code. Returns the delivered statuses and the commands.
async fn run_scenario(fixture: &Fixture, muster: &ServiceProcess) {
    bring_online(muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    recycle(muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_OFFLINE).await;
    phone(muster, ACCOUNT).await;
    happened(muster, ACCOUNT, "code_sent").await;
    code(muster, ACCOUNT, "654321").await;
    fixture.wait_for_payload(ACCOUNT, "register 0").await;
    code(muster, ACCOUNT, "123456").await;
    fixture.wait_for_payload(ACCOUNT, "register 1").await;
    let expected = ["1/1 ", "1/2 ", "1/3 ", "1/4 ", "register 0", "register 1"];
    assert_eq!(fixture.receiver.accepted_payloads(ACCOUNT), expected);
    let kinds = ["connect", "disconnect", "request_code", "submit_code", "submit_code"];
    let arrived: Vec<Value> = fixture.gateway.state().arrived.clone();
    let arrived: Vec<&Value> = arrived.iter().filter(|command| command["type"] != "list_sessions").collect();
    assert_eq!(arrived.iter().map(|command| command["type"].as_str().unwrap()).collect::<Vec<_>>(), kinds);
    let connect = arrived[0];
    assert_eq!(connect["id"], format!("connect-{ACCOUNT}-1"));
    let secrets = [&connect["private_key"], &connect["device_params"], &arrived[4]["code"]];
    assert_eq!(secrets, ["private", "parameters", "123456"]);
    fixture.gateway.assert_executed_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_push() {
    let fixture = pushing().await;
    let muster = fixture.start();
    run_scenario(&fixture, &muster).await;
    let work = fixture.gateway.send_signed("GET", "/gateway/v1/work", "").await.unwrap();
    assert_eq!((work.status, work.json()["error"]["code"].clone()), (409, json!("pushed")));
    let log = muster.stop("TERM").1;
    assert!(!log.contains("private") && !log.contains("123456"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_pull() {
    let fixture = pulling().await;
    let muster = fixture.start();
    let pulling = tokio::spawn(fixture.gateway.clone().run_pull());
    run_scenario(&fixture, &muster).await;
    pulling.abort();
}

/// Lost responses, and a gateway that is out of order, lead to the same command again; it is carried out once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers() {
    let fixture = pushing().await;
    let muster = fixture.start();
    let faults = [
        ScriptedFault::BreakAfter,
        ScriptedFault::BreakAfter,
        ScriptedFault::Answer(500, json!({})),
        ScriptedFault::Answer(503, json!({"error": "not now"})),
    ];
    fixture.gateway.fault("connect", &faults);
    bring_online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    fixture
        .gateway
        .wait_until("the fifth attempt", |state| {
            state.arrived.iter().filter(|command| command["type"] == "connect").count() == 5
        })
        .await;
    fixture.gateway.fault("disconnect", &[ScriptedFault::BreakBefore, ScriptedFault::Answer(429, json!({}))]);
    recycle(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_OFFLINE).await;
    assert_eq!(fixture.receiver.accepted_payloads(ACCOUNT), ["1/1 ", "1/2 ", "1/3 ", "1/4 "]);
    assert_eq!(fixture.gateway.count_arrived("disconnect"), 3);
    fixture.gateway.assert_executed_once();
}

/// A command that the gateway rejects for good ends with the gateway's sentence as the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_for_good() {
    let fixture = pushing().await;
    let muster = fixture.start();
    let no = |status| ScriptedFault::Answer(status, json!({"error": "no line to the phone"}));
    fixture.gateway.fault("connect", &[no(409)]);
    bring_online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, "1/4 no line to the phone").await;
    fixture.gateway.fault("request_code", &[no(422)]);
    phone(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, "register 0").await;
    phone(&muster, ACCOUNT).await;
    happened(&muster, ACCOUNT, "code_sent").await;
    fixture.gateway.fault("submit_code", &[no(400)]);
    code(&muster, ACCOUNT, "123456").await;
    fixture.receiver.wait_until("the refusal", |all| all.len() == 4).await;
    code(&muster, ACCOUNT, "123456").await;
    fixture.wait_for_payload(ACCOUNT, "register 1").await;
    assert_eq!(fixture.receiver.accepted_payloads(ACCOUNT)[2..], ["register 0", "register 0", "register 1"]);
    assert_eq!(metric(&muster, r#"muster_bridge_commands_total{event="refused"}"#).await, 3);
}

/// A command that is fetched and not acknowledged is leased again, and its old lease acknowledges nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases() {
    let fixture = pulling().await.with("MUSTER_GATEWAY__BRIDGE__LEASE", "300ms");
    let muster = fixture.start();
    bring_online(&muster, ACCOUNT).await;
    let connect = |work: &[Value]| work.iter().find(|item| item["command"]["type"] == "connect").cloned();
    let fetch = async || loop {
        if let Some(item) = connect(&fixture.gateway.fetch("wait=5&limit=64").await) {
            return item;
        }
    };
    let (first, second) = (fetch().await, fetch().await);
    assert_eq!((&first["delivery"], &second["delivery"]), (&json!(1), &json!(2)));
    assert_eq!(first["command"], second["command"]);
    let acks = json!([{"lease": first["lease"]}, {"lease": second["lease"]}, {"lease": "never"}]);
    let answer = fixture.gateway.acknowledge(&acks).await;
    assert_eq!(answer, json!({"acknowledged": 1, "unknown": [first["lease"], "never"]}));
    // No command of this account is leased any more; another account's command is, and is rejected.
    bring_online(&muster, "861821726233").await;
    let third = fetch().await;
    assert_eq!(third["command"]["account"], "861821726233");
    fixture.gateway.acknowledge(&json!([{"lease": third["lease"], "error": "no line"}])).await;
    fixture.wait_for_payload("861821726233", "1/4 no line").await;
    assert_eq!(metric(&muster, r#"muster_bridge_commands_total{event="given_again"}"#).await, 1);
    // A wait that is too long is an invalid request.
    let bad = fixture.gateway.send_signed("GET", "/gateway/v1/work?wait=31", "").await.unwrap();
    assert_eq!((bad.status, bad.json()["error"]["code"].clone()), (400, json!("malformed")));
}

/// A gateway that waits for commands is answered when the service stops. Hanging up loses no command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_work_ends() {
    let fixture = pulling().await;
    let muster = fixture.start();
    fixture.gateway.answer_listing().await;
    // The wait is broken off long before there is a command.
    let broken =
        timeout(Duration::from_millis(200), fixture.gateway.send_signed("GET", "/gateway/v1/work?wait=30", ""));
    assert!(broken.await.is_err());
    let waiting = tokio::spawn({
        let gateway = fixture.gateway.clone();
        async move { gateway.fetch("wait=30").await }
    });
    bring_online(&muster, ACCOUNT).await;
    let work = waiting.await.unwrap();
    assert_eq!((work[0]["command"]["type"].as_str(), &work[0]["delivery"]), (Some("connect"), &json!(1)));
    let waiting = tokio::spawn({
        let gateway = fixture.gateway.clone();
        async move { gateway.fetch("wait=30").await }
    });
    let stopping = tokio::task::spawn_blocking(move || muster.stop("TERM"));
    let (status, _) = timeout(TEST_TIMEOUT, stopping).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    // The request may have come too late to be accepted.
    if let Ok(work) = waiting.await {
        assert_eq!(work, Vec::<Value>::new());
    }
}
