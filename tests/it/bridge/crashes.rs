//! The service is killed at each step of a session and of a registration: before the gateway has carried out the
//! command, after it, and while it reports. Each command is carried out once, and the shown state becomes the true one.
//!
//! `MUSTER_BRIDGE_SEED` repeats the moments of the kills under load.

use std::time::Duration;

use serde_json::json;

use super::scripted_gateway::ScriptedFault;
use super::{
    ACCOUNT, IS_OFFLINE, IS_ONLINE, ONLINE, batch, bring_online, code, happened, phone, post, pulling, pushing, recycle,
};
use crate::service_process::{ServiceProcess, random_choices, send_signal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_step_by_push() {
    for step in ["connect", "disconnect", "request_code", "submit_code"] {
        for fault in [ScriptedFault::HangBefore, ScriptedFault::HangAfter] {
            println!("killed at {step}, {fault:?}");
            kill_at(step, fault).await;
        }
    }
}

async fn kill_at(step: &'static str, fault: ScriptedFault) {
    let fixture = pushing().await;
    fixture.gateway.fault(step, &[fault]);
    // The gateway's reports wait until the service is dead.
    let mut muster = fixture.start();
    let at = async |muster: ServiceProcess, reached: &str| {
        if reached != step {
            return muster;
        }
        fixture.gateway.set_silent(true);
        fixture.gateway.wait_until(step, |state| state.arrived.iter().any(|command| command["type"] == step)).await;
        let log = muster.kill();
        assert!(!log.contains("panicked"), "{log}");
        fixture.gateway.set_silent(false);
        fixture.start()
    };
    bring_online(&muster, ACCOUNT).await;
    muster = at(muster, "connect").await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    recycle(&muster, ACCOUNT).await;
    muster = at(muster, "disconnect").await;
    fixture.wait_for_payload(ACCOUNT, IS_OFFLINE).await;
    phone(&muster, ACCOUNT).await;
    muster = at(muster, "request_code").await;
    happened(&muster, ACCOUNT, "code_sent").await;
    code(&muster, ACCOUNT, "123456").await;
    muster = at(muster, "submit_code").await;
    fixture.wait_for_payload(ACCOUNT, "register 1").await;
    // The reconciliation at the start may come before the gateway's own report.
    let payloads: Vec<String> =
        fixture.receiver.accepted_payloads(ACCOUNT).iter().map(|it| it.replace("reconciled", "")).collect();
    assert_eq!(payloads, ["1/1 ", "1/2 ", "1/3 ", "1/4 ", "register 1"], "killed at {step}");
    fixture.gateway.assert_executed_once();
    // A session that should end, and exists at the start, is closed once more under an id of its own.
    let is_closing = |id: &String| id.starts_with("disconnect-") && id.matches('-').count() == 3;
    let done: Vec<String> = fixture.gateway.state().done.keys().filter(|id| !is_closing(id)).cloned().collect();
    assert_eq!(done.len(), 4, "killed at {step}: {done:?}");
    drop(muster);
}

/// Commands that a dead service leased are leased again by the next one. The old leases are void.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_a_gateway_has_fetched_a_command() {
    for is_done in [false, true] {
        let fixture = pulling().await;
        let muster = fixture.start();
        bring_online(&muster, ACCOUNT).await;
        let work = fixture.gateway.fetch("wait=30&limit=1").await;
        let (lease, command) = (work[0]["lease"].clone(), work[0]["command"].clone());
        assert_eq!(command["type"], "connect");
        fixture.gateway.set_silent(true);
        if is_done {
            fixture.gateway.execute(&command);
        }
        assert!(!muster.kill().contains("panicked"));
        let _muster = fixture.start();
        // The next service numbers its leases as the dead one did.
        let again = fixture.gateway.fetch("wait=30&limit=1").await;
        assert_eq!((&again[0]["command"]["id"], &again[0]["delivery"]), (&command["id"], &json!(1)));
        let answer = fixture.gateway.acknowledge(&json!([{"lease": lease}])).await;
        assert_eq!(answer, json!({"acknowledged": 0, "unknown": [lease]}));
        fixture.gateway.execute(&again[0]["command"]);
        fixture.gateway.acknowledge(&json!([{"lease": again[0]["lease"]}])).await;
        fixture.gateway.set_silent(false);
        let pulling = tokio::spawn(fixture.gateway.clone().run_pull());
        fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
        fixture.gateway.assert_executed_once();
        assert_eq!(fixture.receiver.accepted_payloads(ACCOUNT), ["1/1 ", "1/2 "]);
        pulling.abort();
    }
}

/// Killed again and again while commands go out and reports come in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load() {
    let mut random = random_choices("MUSTER_BRIDGE_SEED");
    let fixture = pushing().await.with("MUSTER_GATEWAY__BRIDGE__CALLS_PER_SECOND", "1000");
    let accounts: Vec<String> = (0..300_u64).map(|number| (861_821_700_000 + number).to_string()).collect();
    let mut muster = fixture.start();
    post(&muster, ONLINE, batch(&accounts)).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(random.u64(1..150))).await;
        send_signal(muster.pid(), "KILL");
        let log = muster.kill();
        assert!(!log.contains("panicked"), "{log}");
        muster = fixture.start();
    }
    for account in &accounts {
        fixture.wait_for_payload(account, IS_ONLINE).await;
        assert_eq!(fixture.receiver.accepted_payloads(account), ["1/1 ", "1/2 "]);
    }
    fixture.gateway.assert_executed_once();
    assert_eq!(fixture.gateway.state().done.len(), accounts.len());
    drop(muster);
}
