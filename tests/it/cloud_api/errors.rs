//! Each error of Meta's on its most likely call, and the webhooks that follow: texts in, a golden file out.

use futures_util::StreamExt;

use super::{ACCOUNT, code, fixture, happened, history, online, phone, recycle};
use crate::calls::any_happened;
use crate::fake_graph::{CODE, FakeGraphFault, FakeNumber};
use crate::service_process::accepted_payloads;

/// A fault: call; HTTP status, code, subcode (a dash if absent); how often.
const SCENARIOS: &str = "
list 401 190 463 always
look 401 0 - always
register 401 104 - always
register 500 3 - always
add 403 10 - always
add 403 200 1349175 always
register 403 299 - always
register 403 368 - always
register 403 131031 - always
register 403 130497 - always
register 400 1 - once
register 503 2 - once
list 503 2 - once
register 503 2 - always
list 429 4 2446079 always
register 400 17 - always
look 400 80007 - always
register 400 130429 - always
register 400 131048 - always
register 400 131056 - always
look 400 33 - once
look 400 100 33 once
register 400 100 - always
register 422 100 - always
add 409 100 - always
add 400 2388012 - always
register 500 131000 - once
register 500 131016 - once
register 500 131045 - once
register 500 131057 - once
register 500 2494100 - once
register 403 131005 - always
register 400 131008 - always
register 400 131009 - always
register 500 133000 - once
register 500 133000 - always
register 503 133004 - once
register 400 133005 - always
register 400 133008 - always
register 400 133009 - always
register 400 133006 - always
deregister 400 133010 - always
deregister 400 100 2207051 always
deregister 500 133000 - once
deregister 400 133016 - always
register 400 133015 - always
register 400 133016 - always
request_code 400 136024 2388091 always
request_code 400 136024 2388367 always
request_code 400 136024 - always
request_code 503 2 - once
verify_code 400 136025 2388093 always
verify_code 400 136025 - always
verify_code 503 2 - once
register 400 135000 - always
request_code 400 2388103 - always
register 400 999999 - always
register 502 page - once
request_code 502 page - always
";

#[tokio::test]
async fn errors() {
    let scenarios: Vec<&str> = SCENARIOS.lines().filter(|line| !line.is_empty()).collect();
    // Each scenario has its own service and Graph.
    let outcomes: Vec<String> = futures_util::stream::iter(scenarios).map(run_scenario).buffered(4).collect().await;
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("cloud_api_errors", outcomes.join("\n"));
    });
}

async fn run_scenario(scenario: &str) -> String {
    let words: Vec<&str> = scenario.split(' ').collect();
    let [name, status, error, subcode, often] = words[..] else { panic!("{scenario}") };
    let name = ["list", "look", "add", "register", "deregister", "request_code", "verify_code"]
        .into_iter()
        .find(|known| *known == name)
        .unwrap();
    let fault = match error {
        "page" => FakeGraphFault::page(),
        code => FakeGraphFault::error(status.parse().unwrap(), code.parse().unwrap(), subcode.parse().ok()),
    };
    let fixture = fixture()
        .await
        .with("MUSTER_ACTORS__COMING_TIMEOUT", "6s")
        .with("MUSTER_ACCOUNTS__REGISTRATION_LIFETIME", "20s")
        .with("MUSTER_GATEWAY__CLOUD_API__DEREGISTER_ON_RECYCLE", "true");
    let is_registration = ["add", "request_code", "verify_code"].contains(&name);
    if !is_registration {
        fixture.graph.add(if name == "deregister" {
            FakeNumber::connected(ACCOUNT)
        } else {
            FakeNumber::verified(ACCOUNT)
        });
    }
    let muster = fixture.start();
    let times = if often == "once" { 1 } else { 1_000 };
    if status == "401" {
        // The probe of the token fails likewise.
        fixture.graph.set_fault("probe", times, fault.clone());
    }
    let fail = || fixture.graph.set_fault(name, times, fault);
    match name {
        "deregister" => {
            online(&muster, ACCOUNT).await;
            fixture.wait_for_payload(ACCOUNT, "1/2").await;
            fail();
            recycle(&muster, ACCOUNT).await;
            fixture.wait_for_payload(ACCOUNT, "1/4").await;
        }
        "add" | "request_code" => {
            fail();
            phone(&muster, ACCOUNT).await;
            any_happened(&muster, ACCOUNT, &["code_sent", "registration_failed", "banned"]).await;
        }
        "verify_code" => {
            phone(&muster, ACCOUNT).await;
            happened(&muster, ACCOUNT, "code_sent").await;
            fail();
            code(&muster, ACCOUNT, CODE).await;
            any_happened(&muster, ACCOUNT, &["registered", "registration_failed", "banned"]).await;
        }
        "look" => {
            // The id is known by then, so only this number is read.
            let other = "15550783882";
            fixture.graph.add(FakeNumber::connected(other));
            online(&muster, other).await;
            fixture.wait_for_payload(other, "1/2").await;
            fail();
            online(&muster, ACCOUNT).await;
            any_happened(&muster, ACCOUNT, &["came_online", "went_offline", "banned"]).await;
        }
        _ => {
            fail();
            online(&muster, ACCOUNT).await;
            any_happened(&muster, ACCOUNT, &["came_online", "went_offline", "banned"]).await;
        }
    }
    let calls = fixture.graph.changing_calls(ACCOUNT).join(", ");
    let mut text = format!("{scenario}\n  calls: {calls}\n");
    let events = history(&muster, ACCOUNT).await;
    let enough = count_expected_payloads(&events);
    for event in events {
        let is_everyday = ["account_imported", "gateway_assigned", "online_requested", "pin_kept"];
        if !is_everyday.contains(&event.as_str()) {
            text += &format!("  {event}\n");
        }
    }
    fixture.receiver.wait_until("all is told", |all| accepted_payloads(all, ACCOUNT).len() >= enough).await;
    for payload in fixture.receiver.accepted_payloads(ACCOUNT) {
        text += &format!("  told: {}\n", payload.trim());
    }
    text
}

/// How many of these events lead to a webhook.
fn count_expected_payloads(events: &[String]) -> usize {
    let delivered = ["online_requested", "came_online", "went_offline", "banned", "recycle_requested", "registered"];
    let is_told =
        |event: &&String| event.starts_with("registration_failed") || delivered.iter().any(|it| event.starts_with(it));
    events.iter().filter(is_told).count()
}
