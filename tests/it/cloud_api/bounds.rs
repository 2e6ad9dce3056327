//! Limits of Meta's: the budget of registrations, the headers that report usage, and a token that is no longer valid.

use std::time::Duration;

use super::{
    ACCOUNT, ASKED, IS_ONLINE, ONLINE, accounts, fixture, happened, history, online, phone, post, recorded, recycle,
};
use crate::fake_graph::{FakeGraphFault, FakeNumber, TOKEN};
use crate::service_process::accepted_payloads;

/// Ten calls to register and deregister in 72 hours, across restarts, and not one more.
#[tokio::test]
async fn the_budget_is_never_overrun() {
    let fixture = fixture().await.with("MUSTER_GATEWAY__CLOUD_API__DEREGISTER_ON_RECYCLE", "true");
    fixture.graph.add(FakeNumber::verified(ACCOUNT));
    let counted = || fixture.graph.count("register") + fixture.graph.count("deregister");
    let mut muster = fixture.start();
    for round in 1..=5 {
        online(&muster, ACCOUNT).await;
        fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
        recycle(&muster, ACCOUNT).await;
        fixture.wait_for_payload(ACCOUNT, "1/4 ").await;
        assert_eq!(counted(), 2 * round);
        if round == 3 {
            let _log = muster.kill();
            muster = fixture.start();
        }
    }
    for _ in 0..2 {
        let before = fixture.receiver.accepted_payloads(ACCOUNT).len();
        online(&muster, ACCOUNT).await;
        fixture.receiver.wait_until("the refusal", |all| accepted_payloads(all, ACCOUNT).len() == before + 2).await;
        let [.., asked, refused] = &fixture.receiver.accepted_payloads(ACCOUNT)[..] else { panic!("nothing was told") };
        assert_eq!(asked, ASKED);
        let words = "1/4 the number was registered or deregistered 10 times in 72 hours";
        assert!(refused.starts_with(words) && refused.contains("the next attempt is possible at 20"), "{refused}");
        let _log = muster.stop("TERM");
        muster = fixture.start();
    }
    assert_eq!((counted(), fixture.graph.number(ACCOUNT).counted), (10, 10));
    drop(muster);
    assert_eq!(recorded(&fixture, ACCOUNT), 10);
}

/// Others may use up the budget, too. Meta's error 133016 then fails the request, and there is no automatic retry.
#[tokio::test]
async fn an_exhausted_budget_fails_the_request() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber { counted: 10, ..FakeNumber::verified(ACCOUNT) });
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, "1/4 Meta rejects registrations").await;
    assert_eq!(fixture.graph.count("register"), 1);
    drop(muster);
}

/// No call is made before the time in the header.
#[tokio::test]
async fn no_call_before_the_time_in_the_header() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber::verified(ACCOUNT));
    // The unit is minutes: two seconds.
    let used = r#"{"102290129340398":[{"type":"whatsapp","call_count":100,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":0.0334}]}"#;
    let header = ("x-business-use-case-usage", used.to_owned());
    let error =
        r#"{"error":{"message":"(#80007) Rate limit issues","type":"OAuthException","code":80007,"fbtrace_id":"A"}}"#;
    fixture.graph.set_fault("list", 1, FakeGraphFault::AnswerWith(400, error.to_owned(), header));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    let calls = fixture.graph.state().calls.clone();
    assert_eq!(calls[0].name, "list");
    let gap = calls[1].at - calls[0].at;
    assert!(gap >= Duration::from_secs(2), "it was called again after {gap:?}");
    drop(muster);
}

/// An invalid token stops every call but one probe at a time and raises one alarm. Everything continues once the token
/// is valid again.
#[tokio::test]
async fn a_refused_token_stops_every_call() {
    let fixture = fixture().await;
    let numbers: Vec<String> = (0..30).map(|index| format!("1555078{index:04}")).collect();
    numbers.iter().for_each(|number| fixture.graph.add(FakeNumber::verified(number)));
    fixture.graph.state().switches.token = "another".to_owned();
    let muster = fixture.start();
    post(&muster, ONLINE, accounts(&numbers)).await;
    let probes =
        |state: &crate::fake_graph::FakeGraphState| state.calls.iter().filter(|call| call.name == "probe").count();
    fixture.graph.wait_until("two probes", |state| probes(state) == 2).await;
    assert_eq!(fixture.graph.state().calls.len() - 2, 1, "one call found it out: {:?}", fixture.graph.state().calls);
    let measured = muster.get("/metrics").await.text;
    assert!(measured.contains("muster_cloud_api_token_refused 1"), "{measured}");
    // A registration waits for it too.
    phone(&muster, ACCOUNT).await;
    fixture.graph.state().switches.token = TOKEN.to_owned();
    for number in &numbers {
        fixture.wait_for_payload(number, IS_ONLINE).await;
    }
    happened(&muster, ACCOUNT, "code_sent").await;
    let (_, log) = muster.stop("TERM");
    let alarms = log.matches("Meta rejected the token; calls stop until it accepts one").count();
    assert_eq!((alarms, log.matches("Meta accepts the token again\n").count()), (1, 1), "{log}");
    assert!(!log.contains(TOKEN));
}

/// While the token stays invalid, waiting requests fail in time, with the reason.
#[tokio::test]
async fn waiting_requests_fail_with_an_invalid_token() {
    let fixture = fixture().await.with("MUSTER_ACTORS__COMING_TIMEOUT", "10s");
    fixture.graph.state().switches.token = "another".to_owned();
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture
        .wait_for_payload(ACCOUNT, "1/4 the token has expired; set a new one in gateway.cloud_api.token (code 190")
        .await;
    let events = history(&muster, ACCOUNT).await;
    assert!(events.last().unwrap().contains("gateway.cloud_api.token"), "{events:?}");
}
