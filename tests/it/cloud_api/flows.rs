//! Registrations and online status, in the normal case and with lost responses.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    ACCOUNT, ASKED, CODE, IS_ONLINE, ONLINE, PHONE, accounts, code, fixture, happened, history, online, phone, post,
    recorded, recycle,
};
use crate::fake_graph::{self, FakeGraphFault, FakeNumber};
use crate::testkit::requests;

/// The body that requests a code with this verify type, for an account of this type.
fn phone_as(verify_type: u8, account_type: u8) -> String {
    let mut body = requests::phone(ACCOUNT);
    (body["verifyType"], body["accountType"]) = (verify_type.into(), account_type.into());
    body.to_string()
}

/// By SMS and by voice, from a number that Meta has never seen to one that is online. Its secrets stay secret.
#[tokio::test]
async fn from_the_phone_to_online() {
    for (verify_type, method) in [(0, "SMS"), (1, "VOICE")] {
        let fixture = fixture().await.with("MUSTER_LOG__FILTER", "debug");
        let muster = fixture.start();
        post(&muster, PHONE, phone_as(verify_type, 2)).await;
        happened(&muster, ACCOUNT, "code_sent").await;
        // In the form in which the text message has it.
        code(&muster, ACCOUNT, "123-830").await;
        fixture.wait_for_payload(ACCOUNT, "register 1").await;
        online(&muster, ACCOUNT).await;
        fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
        assert_eq!(fixture.receiver.accepted_payloads(ACCOUNT), ["register 1", ASKED, IS_ONLINE]);
        assert_eq!(fixture.graph.changing_calls(ACCOUNT), ["add", "request_code", "verify_code", "register"]);
        let parameters = |name: &str| {
            let state = fixture.graph.state();
            state.calls.iter().find(|call| call.name == name).unwrap().parameters.clone()
        };
        let added = parameters("add");
        let added = ["cc", "phone_number", "verified_name"].map(|name| added[name].clone());
        assert_eq!(added, ["1", "5550783881", "Lucky Shrub"]);
        assert_eq!(parameters("request_code")["code_method"], method);
        assert_eq!(parameters("request_code")["language"], "en_US");
        assert_eq!(parameters("verify_code")["code"], fake_graph::CODE);
        let pin = parameters("register")["pin"].clone();
        let events = history(&muster, ACCOUNT).await;
        let kept = events.iter().position(|event| event == "pin_kept").unwrap();
        let registering = events.iter().rposition(|event| event == "provider_called").unwrap();
        assert!(kept < registering, "the PIN is kept before it is used: {events:?}");
        let log = muster.stop("TERM").1;
        let token = fake_graph::TOKEN;
        let is_told = |secret: &str| log.contains(secret) || log.contains(&format!("Bearer {secret}"));
        assert!(!is_told(&pin) && !is_told(token) && !is_told("123830"), "a secret is in the log: {log}");
        for file in crate::service_process::list_files(&fixture.data()) {
            let bytes = std::fs::read(&file).unwrap();
            let has = |secret: &str| memchr::memmem::find(&bytes, secret.as_bytes()).is_some();
            assert!(!has(token) && !has(&format!("\"{pin}\"")), "a secret is in {}", file.display());
        }
        assert_eq!(recorded(&fixture, ACCOUNT), 1);
    }
}

/// Variants by settings: a form body, the PIN and region, a calling code with its area.
#[tokio::test]
async fn variants_by_settings() {
    let fixture = fixture()
        .await
        .with("MUSTER_GATEWAY__CLOUD_API__CODE_REQUEST", "form")
        .with("MUSTER_GATEWAY__CLOUD_API__PIN", "212834")
        .with("MUSTER_GATEWAY__CLOUD_API__REGION", "DE");
    let muster = fixture.start();
    let island = "12425550123";
    let body = r#"{"phone":"5550123","verifyType":0,"accountType":2,"areaCode":"+1242","countryCode":"BS"}"#;
    post(&muster, PHONE, body).await;
    happened(&muster, island, "code_sent").await;
    let body = r#"{"phone":"5550123","verifyCode":"123830","areaCode":"+1242"}"#;
    post(&muster, CODE, body).await;
    fixture.wait_for_payload(island, "register 1").await;
    let state = fixture.graph.state();
    let parameters = |name: &str| &state.calls.iter().find(|call| call.name == name).unwrap().parameters;
    assert_eq!((&*parameters("add")["cc"], &*parameters("add")["phone_number"]), ("1", "2425550123"));
    let register = parameters("register");
    assert_eq!((&*register["pin"], &*register["data_localization_region"]), ("212834", "DE"));
}

#[tokio::test]
async fn a_wrong_code_is_asked_for_again() {
    let fixture = fixture().await;
    let muster = fixture.start();
    phone(&muster, ACCOUNT).await;
    happened(&muster, ACCOUNT, "code_sent").await;
    code(&muster, ACCOUNT, "000000").await;
    fixture.wait_for_payload(ACCOUNT, "register 0").await;
    code(&muster, ACCOUNT, "none").await;
    happened(&muster, ACCOUNT, "registration_failed: the code has no digits").await;
    code(&muster, ACCOUNT, fake_graph::CODE).await;
    fixture.wait_for_payload(ACCOUNT, "register 1").await;
    assert_eq!((fixture.graph.count("verify_code"), fixture.graph.count("request_code")), (2, 1));
}

/// An option that Meta does not have is rejected at the API, and no call is made.
#[tokio::test]
async fn what_meta_does_not_have_is_refused() {
    let fixture = fixture().await.with("MUSTER_GATEWAY__DEFAULT", "cloud_api");
    let muster = fixture.start();
    let mut said = String::new();
    for (verify_type, account_type) in [(0, 1), (2, 2), (3, 2)] {
        let answer = muster.post(PHONE, phone_as(verify_type, account_type)).await;
        said += &format!("verifyType {verify_type}, accountType {account_type}: {} {}\n", answer.status, answer.text);
    }
    let personal = requests::account_with(ACCOUNT, &json!({"whatsappType": 1}));
    let answer = muster.post(ONLINE, requests::list([personal])).await;
    said += &format!("batchOnline, whatsappType 1: {} {}\n", answer.status, answer.text);
    // Sessions are listed at the start, independent of callers.
    assert!(fixture.graph.state().calls.iter().all(|call| call.name == "list"), "{:?}", fixture.graph.state().calls);
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("cloud_api_refused", said);
    });
}

/// Each response is lost after Meta has carried out the call; nothing is done twice.
#[tokio::test]
async fn lost_answers() {
    let fixture = fixture().await.with("MUSTER_GATEWAY__CLOUD_API__DEREGISTER_ON_RECYCLE", "true");
    fixture.graph.set_fault("list", 1, FakeGraphFault::ResetBefore);
    for name in ["add", "request_code", "verify_code", "register", "deregister"] {
        fixture.graph.set_fault(name, 1, FakeGraphFault::ResetAfter);
    }
    let muster = fixture.start();
    phone(&muster, ACCOUNT).await;
    happened(&muster, ACCOUNT, "code_sent").await;
    code(&muster, ACCOUNT, fake_graph::CODE).await;
    fixture.wait_for_payload(ACCOUNT, "register 1").await;
    online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    recycle(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, "1/4 ").await;
    let changing = ["add", "request_code", "verify_code", "register", "deregister"];
    assert_eq!(fixture.graph.changing_calls(ACCOUNT), changing);
    let _log = muster.stop("TERM");
    assert_eq!(recorded(&fixture, ACCOUNT), 2);
}

/// Going offline is local: the number stays registered, and comes back without a call that Meta counts.
#[tokio::test]
async fn offline_and_back_costs_nothing() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber::verified(ACCOUNT));
    fixture.graph.state().switches.pending_for = 3;
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    for _ in 0..3 {
        recycle(&muster, ACCOUNT).await;
        fixture.wait_for_payload(ACCOUNT, "1/4 ").await;
        online(&muster, ACCOUNT).await;
        fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    }
    assert_eq!(fixture.graph.changing_calls(ACCOUNT), ["register"], "once, and PENDING three times");
    assert!(fixture.graph.count_of("look", ACCOUNT) >= 3);
}

/// States in which a number cannot come online, or is online already. The unit test's golden file has the rest of the
/// table.
#[tokio::test]
async fn states() {
    let fixture = fixture().await.with("MUSTER_ACTORS__COMING_TIMEOUT", "1500ms");
    let cases = [
        ("FLAGGED", "VERIFIED", IS_ONLINE),
        ("RESTRICTED", "VERIFIED", IS_ONLINE),
        ("LINKED", "", IS_ONLINE),
        ("BANNED", "VERIFIED", "2/4 the number is banned (BANNED)"),
        ("MIGRATED", "VERIFIED", "1/4 the number was moved to another WhatsApp Business account (MIGRATED)"),
        ("PENDING", "NOT_VERIFIED", "1/4 the number must be verified first"),
        ("SOMETHING_NEW", "VERIFIED", "1/4 the number has a status that Muster does not know (SOMETHING_NEW)"),
        (
            "UNLINKED",
            "EXPIRED",
            "1/4 the number must be verified first; register it again and submit its code (code 133006)",
        ),
    ];
    let number = |index: usize| format!("1555078{index:04}");
    for (index, (status, verification, _)) in cases.iter().enumerate() {
        fixture.graph.add(FakeNumber::new(&number(index), status, verification));
    }
    let muster = fixture.start();
    let absent = number(cases.len());
    post(&muster, ONLINE, accounts((0..=cases.len()).map(number))).await;
    for (index, (.., payload)) in cases.iter().enumerate() {
        fixture.wait_for_payload(&number(index), payload).await;
    }
    fixture
        .wait_for_payload(&absent, "1/4 the number is not in the WhatsApp Business account; register it first")
        .await;
}

/// The list in pages of two, without `paging`, and never by a URL that it contains.
#[tokio::test]
async fn pages() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for no_paging in [false, true] {
        let fixture = fixture().await;
        let numbers: Vec<String> = (0..5).map(|index| format!("1555078{index:04}")).collect();
        numbers.iter().for_each(|number| fixture.graph.add(FakeNumber::connected(number)));
        {
            let mut state = fixture.graph.state();
            state.switches.no_paging = no_paging;
            state.switches.page = if no_paging { 100 } else { 2 };
            state.switches.elsewhere = format!("http://{}", elsewhere.local_addr().unwrap());
        }
        let muster = fixture.start();
        post(&muster, ONLINE, accounts(&numbers)).await;
        for number in &numbers {
            fixture.wait_for_payload(number, IS_ONLINE).await;
        }
        assert!(fixture.graph.count("list") >= if no_paging { 1 } else { 3 });
        assert!(elsewhere.accept().now_or_never().is_none(), "the token would go there");
        let state = fixture.graph.state();
        assert!(state.calls.iter().all(|call| !call.parameters.contains_key("access_token")));
    }
}

/// A Graph that hangs delays no other request: commands are answered, and the service stops in time.
#[tokio::test]
async fn a_hanging_graph_delays_no_other_request() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber::connected(ACCOUNT));
    fixture.graph.set_fault("list", 1_000, FakeGraphFault::Hang);
    let muster = fixture.start();
    let numbers: Vec<String> = (0..100).map(|index| format!("1555078{index:04}")).collect();
    post(&muster, ONLINE, accounts(&numbers)).await;
    fixture.graph.wait_until("the list is asked for", |state| state.calls.iter().any(|call| call.name == "list")).await;
    let begun = std::time::Instant::now();
    recycle(&muster, &numbers[0]).await;
    fixture.wait_for_payload(&numbers[0], "1/4 ").await;
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("some running work did not finish in time"), "{log}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}
