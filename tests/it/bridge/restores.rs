//! A restore to the past beside a gateway that knows the lost history.

use std::fs;

use super::scripted_gateway::ScriptedGatewayState;
use super::*;
use crate::service_process::run_muster;
use crate::testkit::requests::{self, PHONE};

/// Commands have ids that the gateway has not seen, and late reports of lost sessions do not apply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_and_tasks_after_a_restore_have_new_numbers() {
    let fixture = pushing().await;
    let muster = fixture.start();
    bring_online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    let backup = fixture.path("backup");
    assert_eq!(run_muster(&["backup", &backup, "--server", &muster.url("")], &[]).0, Some(0));

    // What the restore loses: another session, and a registration.
    recycle(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_OFFLINE).await;
    bring_online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    let lost_task = post(&muster, PHONE, requests::phone(ACCOUNT).to_string()).await.json()["data"].as_u64().unwrap();
    fixture.gateway.wait_until("the request for a code", |state| code_requests(state) == 1).await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));

    let (data, old) = (fixture.data(), fixture.path("old"));
    fs::rename(&data, &old).unwrap();
    let key = format!("{old}/keys/master.key");
    let restore = ["restore", &backup, "--data-dir", data.to_str().unwrap(), "--master-key-file", &key];
    let (code, _, stderr) = run_muster(&restore, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    // The backup does not have the last sequence of the stream.
    fixture.gateway.state().start_stream();
    // The gateway has closed session 1 in the lost history, so it does not do so again, and the timeout ends it.
    let muster = fixture.start_with(&[("MUSTER_ACTORS__COMING_TIMEOUT", "1s")]);
    recycle(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_OFFLINE).await;
    bring_online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    let task = post(&muster, PHONE, requests::phone(ACCOUNT).to_string()).await.json()["data"].as_u64().unwrap();
    fixture.gateway.wait_until("another request for a code", |state| code_requests(state) == 2).await;
    fixture.gateway.assert_executed_once();
    let sessions: Vec<u64> = {
        let state = fixture.gateway.state();
        let connects = state.arrived.iter().filter(|command| command["type"] == "connect");
        connects.map(|command| command["session"].as_u64().unwrap()).collect()
    };
    assert!(sessions[..2] == [1, 2] && sessions[2] > 2 && task > lost_task, "{sessions:?} {lost_task} {task}");

    // A report about the session of the lost history is late.
    fixture.gateway.state().report(json!({
        "type": "disconnected", "account": ACCOUNT, "session": 2, "reason": "late",
    }));
    fixture.gateway.set_silent(false);
    fixture.gateway.wait_until("the acknowledgement of the report", |state| state.outbox.is_empty()).await;
    let shown = muster.get(&format!("/api/v1/accounts/{ACCOUNT}")).await.json();
    assert_eq!(shown["onlineStatus"], 2, "{shown}");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

fn code_requests(state: &ScriptedGatewayState) -> usize {
    state.arrived.iter().filter(|command| command["type"] == "request_code").count()
}
