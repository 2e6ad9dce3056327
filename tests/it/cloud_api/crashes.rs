//! The service is killed at each step of a registration and of going online, before and after Meta has carried out the
//! call. The outcome is as without a kill, no code is requested twice, and no call that Meta counts is made without a
//! record.

use super::{ACCOUNT, IS_ONLINE, code, fixture, happened, online, phone, recorded, recycle};
use crate::fake_graph::{CODE, FakeGraphFault, FakeNumber};
use crate::fixture::Fixture;
use crate::service_process::ServiceProcess;

/// The calls of a registration, in order.
const STEPS: [&str; 5] = ["list", "add", "request_code", "verify_code", "register"];

#[tokio::test]
async fn killed_at_each_step_of_a_registration() {
    for step in STEPS {
        for is_done in [false, true] {
            println!("killed at {step}, done: {is_done}");
            register_with_kill(step, is_done).await;
        }
    }
}

async fn register_with_kill(step: &'static str, is_done: bool) {
    let fixture = fixture().await;
    fixture.graph.set_fault(step, 1, if is_done { FakeGraphFault::Hang } else { FakeGraphFault::HangBefore });
    let mut muster = fixture.start();
    let is_of_request = ["list", "add", "request_code"].contains(&step);
    phone(&muster, ACCOUNT).await;
    if is_of_request {
        muster = kill_and_restart(&fixture, muster, step).await;
    }
    happened(&muster, ACCOUNT, "code_sent").await;
    if step == "request_code" && !is_done {
        // It is unknown whether the code is on its way, so no other is requested. The registration times out, and its
        // owner submits the phone once more.
        assert_eq!(fixture.graph.count("request_code"), 1);
        phone(&muster, ACCOUNT).await;
        fixture
            .graph
            .wait_until("the second request", |state| state.calls.iter().filter(|it| it.name == step).count() == 2)
            .await;
    }
    code(&muster, ACCOUNT, CODE).await;
    if !is_of_request {
        muster = kill_and_restart(&fixture, muster, step).await;
    }
    fixture.wait_for_payload(ACCOUNT, "register 1").await;
    let submits = 1 + usize::from(step == "request_code" && !is_done);
    assert_eq!(fixture.graph.count("request_code"), submits, "killed at {step}, done: {is_done}");
    assert_eq!(fixture.graph.state().numbers.len(), 1);
    assert_eq!(fixture.graph.number(ACCOUNT).status, "CONNECTED");
    let registered = fixture.graph.count("register");
    assert_eq!(registered, 1 + usize::from(step == "register" && !is_done), "killed at {step}, done: {is_done}");
    drop(muster);
    assert!(registered <= recorded(&fixture, ACCOUNT), "killed at {step}, done: {is_done}");
}

#[tokio::test]
async fn killed_at_each_step_of_coming_online_and_going_offline() {
    for (step, is_done) in
        [("list", false), ("register", false), ("register", true), ("deregister", false), ("deregister", true)]
    {
        println!("killed at {step}, done: {is_done}");
        let fixture = fixture().await.with("MUSTER_GATEWAY__CLOUD_API__DEREGISTER_ON_RECYCLE", "true");
        fixture.graph.add(FakeNumber::verified(ACCOUNT));
        fixture.graph.set_fault(step, 1, if is_done { FakeGraphFault::Hang } else { FakeGraphFault::HangBefore });
        // Meta shows the result with a delay.
        fixture.graph.state().switches.pending_for = 2;
        let mut muster = fixture.start();
        online(&muster, ACCOUNT).await;
        if step != "deregister" {
            muster = kill_and_restart(&fixture, muster, step).await;
        }
        fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
        recycle(&muster, ACCOUNT).await;
        if step == "deregister" {
            muster = kill_and_restart(&fixture, muster, step).await;
        }
        fixture.wait_for_payload(ACCOUNT, "1/4 ").await;
        let again = |name: &str| usize::from(step == name && !is_done);
        let made = (fixture.graph.count("register"), fixture.graph.count("deregister"));
        assert_eq!(made, (1 + again("register"), 1 + again("deregister")), "killed at {step}, done: {is_done}");
        drop(muster);
        assert!(made.0 + made.1 <= recorded(&fixture, ACCOUNT), "killed at {step}, done: {is_done}");
    }
}

/// Kills the service once the Graph has received the call, and starts another.
async fn kill_and_restart(fixture: &Fixture, muster: ServiceProcess, step: &'static str) -> ServiceProcess {
    fixture.graph.wait_until(step, |state| state.calls.iter().any(|call| call.name == step)).await;
    let log = muster.kill();
    assert!(!log.contains("panicked"), "{log}");
    fixture.start()
}
