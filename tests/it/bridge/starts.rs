//! One start without the bridge's settings: pending commands are still there afterwards, and are carried out.

use serde_json::json;

use super::scripted_gateway::{ScriptedFault, ScriptedGatewayState};
use super::{ACCOUNT, IS_ONLINE, bring_online, happened, phone, pushing, recycle};
use crate::service_process::ServiceProcess;
use crate::testkit::requests::LIST;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_bridge_loses_nothing() {
    let fixture = pushing().await;
    let (coming, reported, going, registering) = (ACCOUNT, "861821726233", "861821726234", "861821726235");
    let muster = fixture.start();
    bring_online(&muster, going).await;
    fixture.wait_for_payload(going, IS_ONLINE).await;
    // The gateway has connected one account and cannot report it yet; two commands did not reach it.
    fixture.gateway.set_silent(true);
    bring_online(&muster, reported).await;
    fixture.gateway.wait_until("the connect", |state| state.sessions.contains_key(reported)).await;
    fixture.gateway.fault("connect", &[ScriptedFault::HangBefore]);
    fixture.gateway.fault("request_code", &[ScriptedFault::HangBefore]);
    bring_online(&muster, coming).await;
    recycle(&muster, going).await;
    phone(&muster, registering).await;
    let is_asked = |state: &ScriptedGatewayState, kind: &str, account: &str| {
        state.arrived.iter().any(|it| it["type"] == kind && it["account"] == account)
    };
    let are_asked = |state: &ScriptedGatewayState| {
        is_asked(state, "connect", coming)
            && is_asked(state, "disconnect", going)
            && is_asked(state, "request_code", registering)
    };
    fixture.gateway.wait_until("the commands", are_asked).await;
    assert!(!muster.kill().contains("panicked"));

    let settings =
        [("MUSTER_WEBHOOKS__BASE_URL", fixture.receiver.base.as_str()), ("MUSTER_ACTORS__COMING_TIMEOUT", "300ms")];
    let muster = ServiceProcess::start(&fixture.data(), &settings);
    fixture.gateway.set_report_target(&muster.url(""));
    fixture.gateway.set_silent(false);
    // The account that should go offline ends offline. A session that is left is closed once the bridge is set up
    // again.
    fixture.wait_for_payload(going, "1/4 1002").await;
    // A second online request changes nothing: the account stays with its gateway.
    bring_online(&muster, coming).await;
    let listed = muster.get(LIST).await.json();
    let status = |account: &str| {
        let all = listed["data"].as_array().unwrap().iter();
        all.clone().find(|it| it["whatsApp"] == account).unwrap_or_else(|| panic!("{listed}"))["onlineStatus"].clone()
    };
    assert_eq!([status(coming), status(reported)], [json!(1), json!(1)], "{listed}");
    let gateways = muster.get("/api/v1/gateways").await.json();
    let bridge = gateways["gateways"].as_array().unwrap().iter().find(|it| it["name"] == "bridge").unwrap();
    let says = bridge["says"].as_str().unwrap();
    assert!(bridge["state"] == "not_set_up" && says.contains("pending effects wait"), "{bridge}");
    assert!(muster.get("/gateways").await.text.contains("pending effects wait"));
    let history = muster.get(&format!("/api/v1/accounts/{registering}/events?limit=1000")).await.text;
    assert!(!history.contains("registration_failed"), "{history}");
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0));
    let warnings = log.lines().filter(|line| line.contains("routed to a gateway that is not set up"));
    assert_eq!(warnings.count(), 1, "{log}");

    let muster = fixture.start();
    for account in [coming, reported] {
        fixture.wait_for_payload(account, IS_ONLINE).await;
        assert_eq!(fixture.receiver.accepted_payloads(account), ["1/1 ", "1/2 "], "{account}");
    }
    happened(&muster, registering, "code_sent").await;
    assert_eq!(fixture.receiver.accepted_payloads(registering), Vec::<String>::new());
    fixture.gateway.wait_until("the end of the session", |state| !state.sessions.contains_key(going)).await;
}
