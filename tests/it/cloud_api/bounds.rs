//! What Meta counts, and when it is left alone: the budget of registrations, the headers that say how much was used, and
//! a token that is not taken any more.

use std::time::Duration;

use super::{
    ACCOUNT, ASKED, IS_ONLINE, ONLINE, accounts, fixture, happened, history, online, phone, post, recorded, recycle,
};
use crate::fake_graph::{FakeGraphFault, FakeNumber, TOKEN};
use crate::service_process::accepted_payloads;

/// Ten calls to register and deregister in 72 hours, over restarts, and not one more.
#[tokio::test]
async fn the_budget_is_never_overrun() {
    let fixture = fixture().await.with("MUSTER_GATEWAY__CLOUD_API__DEREGISTER_ON_RECYCLE", "true");
    fixture.graph.add(FakeNumber::verified(ACCOUNT));
    let counted = || fixture.graph.count("register") + fixture.graph.count("deregister");
    let mut muster = fixture.start();
    for round in 1..=5 {
        online(&muster, ACCOUNT).await;
        fixture.told(ACCOUNT, IS_ONLINE).await;
        recycle(&muster, ACCOUNT).await;
        fixture.told(ACCOUNT, "1/4 ").await;
        assert_eq!(counted(), 2 * round);
        if round == 3 {
            let _log = muster.kill();
            muster = fixture.start();
        }
    }
    for _ in 0..2 {
        let told = fixture.receiver.accepted_payloads(ACCOUNT).len();
        online(&muster, ACCOUNT).await;
        fixture.receiver.wait_until("the refusal", |all| accepted_payloads(all, ACCOUNT).len() == told + 2).await;
        let [.., asked, refused] = &fixture.receiver.accepted_payloads(ACCOUNT)[..] else { panic!("nothing was told") };
        assert_eq!(asked, ASKED);
        let words = "1/4 the number was registered or deregistered 10 times in 72 hours";
        assert!(refused.starts_with(words) && refused.contains("the next is free at 20"), "{refused}");
        let _log = muster.stop("TERM");
        muster = fixture.start();
    }
    assert_eq!((counted(), fixture.graph.number(ACCOUNT).counted), (10, 10));
    drop(muster);
    assert_eq!(recorded(&fixture, ACCOUNT), 10);
}

/// What others have used up of it is Meta's to say: its 133016 ends the wish, and nothing asks again by itself.
#[tokio::test]
async fn what_others_used_up_ends_the_wish() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber { counted: 10, ..FakeNumber::verified(ACCOUNT) });
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.told(ACCOUNT, "1/4 Meta takes no more registrations").await;
    assert_eq!(fixture.graph.count("register"), 1);
    drop(muster);
}

/// No call is made before the time that the header says.
#[tokio::test]
async fn nothing_is_called_before_its_time() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber::verified(ACCOUNT));
    // In minutes: two seconds.
    let used = r#"{"102290129340398":[{"type":"whatsapp","call_count":100,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":0.0334}]}"#;
    let header = ("x-business-use-case-usage", used.to_owned());
    let error =
        r#"{"error":{"message":"(#80007) Rate limit issues","type":"OAuthException","code":80007,"fbtrace_id":"A"}}"#;
    fixture.graph.set_fault("list", 1, FakeGraphFault::AnswerWith(400, error.to_owned(), header));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.told(ACCOUNT, IS_ONLINE).await;
    let calls = fixture.graph.state().calls.clone();
    assert_eq!(calls[0].name, "list");
    let gap = calls[1].at - calls[0].at;
    assert!(gap >= Duration::from_secs(2), "it was called again after {gap:?}");
    drop(muster);
}

/// A token that is not taken any more stops every call but one probe at a time, raises one alarm, and everything goes on
/// when it is taken again.
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
        fixture.told(number, IS_ONLINE).await;
    }
    happened(&muster, ACCOUNT, "code_sent").await;
    let (_, log) = muster.stop("TERM");
    let alarms = log.matches("no call is made to Meta until it takes the token again").count();
    assert_eq!((alarms, log.matches("Meta takes the token again\n").count()), (1, 1), "{log}");
    assert!(!log.contains(TOKEN));
}

/// Where the token stays refused, those who wait are told why, in time.
#[tokio::test]
async fn a_refused_token_is_told() {
    let fixture = fixture().await.with("MUSTER_ACTORS__COMING_TIMEOUT", "10s");
    fixture.graph.state().switches.token = "another".to_owned();
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.told(ACCOUNT, "1/4 the token has expired; set a new one in gateway.cloud_api.token (code 190").await;
    let events = history(&muster, ACCOUNT).await;
    assert!(events.last().unwrap().contains("gateway.cloud_api.token"), "{events:?}");
}
