//! Registrations and presence, as they should go, and as they go where answers are lost.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpListener;

use super::{ACCOUNT, ASKED, House, IS_ONLINE, code, happened, history, online, phone, recycle};
use crate::graph::{CODE, Fault, Number};

/// By sms and by voice, from a number that Meta has never seen to one that is online; and the secrets of it stay secret.
#[tokio::test]
async fn from_the_phone_to_online() {
    for (verify_type, method) in [(0, "SMS"), (1, "VOICE")] {
        let house = House::new(&[("MUSTER_LOG__FILTER", "debug")]).await;
        let muster = house.start();
        assert_eq!(phone(&muster, ACCOUNT, verify_type, 2).await.status, 200);
        happened(&muster, ACCOUNT, "code_sent").await;
        // As the text message has it.
        assert_eq!(code(&muster, ACCOUNT, "123-830").await.status, 200);
        house.told(ACCOUNT, "register 1").await;
        online(&muster, ACCOUNT).await;
        house.told(ACCOUNT, IS_ONLINE).await;
        assert_eq!(house.receiver.told_about(ACCOUNT), ["register 1", ASKED, IS_ONLINE]);
        assert_eq!(house.graph.changing(ACCOUNT), ["add", "request_code", "verify_code", "register"]);
        let parameters = |name: &str| {
            let state = house.graph.state();
            state.calls.iter().find(|call| call.name == name).unwrap().parameters.clone()
        };
        let added = parameters("add");
        let added = ["cc", "phone_number", "verified_name"].map(|name| added[name].clone());
        assert_eq!(added, ["1", "5550783881", "Lucky Shrub"]);
        assert_eq!(parameters("request_code")["code_method"], method);
        assert_eq!(parameters("request_code")["language"], "en_US");
        assert_eq!(parameters("verify_code")["code"], CODE);
        let pin = parameters("register")["pin"].clone();
        let events = history(&muster, ACCOUNT).await;
        let kept = events.iter().position(|event| event == "pin_kept").unwrap();
        let registering = events.iter().rposition(|event| event == "provider_called").unwrap();
        assert!(kept < registering, "the PIN is kept before it is used: {events:?}");
        let log = muster.stop("TERM").1;
        let token = crate::graph::TOKEN;
        let is_told = |secret: &str| log.contains(secret) || log.contains(&format!("Bearer {secret}"));
        assert!(!is_told(&pin) && !is_told(token) && !is_told("123830"), "a secret is in the log: {log}");
        for file in crate::muster::files(house.data.path()) {
            let bytes = std::fs::read(&file).unwrap();
            let has = |secret: &str| memchr::memmem::find(&bytes, secret.as_bytes()).is_some();
            assert!(!has(token) && !has(&format!("\"{pin}\"")), "a secret is in {}", file.display());
        }
        assert_eq!(house.recorded(ACCOUNT), 1);
    }
}

/// As a form, where the settings say so; with the PIN and the region of the settings; and a calling code with its area.
#[tokio::test]
async fn in_the_other_form() {
    let more = [
        ("MUSTER_GATEWAY__CLOUD_API__CODE_REQUEST", "form"),
        ("MUSTER_GATEWAY__CLOUD_API__PIN", "212834"),
        ("MUSTER_GATEWAY__CLOUD_API__REGION", "DE"),
    ];
    let house = House::new(&more).await;
    let muster = house.start();
    let island = "12425550123";
    let body = r#"{"phone":"5550123","verifyType":0,"accountType":2,"areaCode":"+1242","countryCode":"BS"}"#;
    assert_eq!(muster.post(super::PHONE, body).await.status, 200);
    happened(&muster, island, "code_sent").await;
    let body = r#"{"phone":"5550123","verifyCode":"123830","areaCode":"+1242"}"#;
    assert_eq!(muster.post(super::CODE, body).await.status, 200);
    house.told(island, "register 1").await;
    let state = house.graph.state();
    let parameters = |name: &str| &state.calls.iter().find(|call| call.name == name).unwrap().parameters;
    assert_eq!((&*parameters("add")["cc"], &*parameters("add")["phone_number"]), ("1", "2425550123"));
    let register = parameters("register");
    assert_eq!((&*register["pin"], &*register["data_localization_region"]), ("212834", "DE"));
}

#[tokio::test]
async fn a_wrong_code_is_asked_for_again() {
    let house = House::new(&[]).await;
    let muster = house.start();
    assert_eq!(phone(&muster, ACCOUNT, 0, 2).await.status, 200);
    happened(&muster, ACCOUNT, "code_sent").await;
    assert_eq!(code(&muster, ACCOUNT, "000000").await.status, 200);
    house.told(ACCOUNT, "register 0").await;
    assert_eq!(code(&muster, ACCOUNT, "none").await.status, 200);
    happened(&muster, ACCOUNT, "registration_failed: the code has no digits").await;
    assert_eq!(code(&muster, ACCOUNT, CODE).await.status, 200);
    house.told(ACCOUNT, "register 1").await;
    assert_eq!((house.graph.count("verify_code"), house.graph.count("request_code")), (2, 1));
}

/// What Meta does not have is refused at the door, and nothing is called.
#[tokio::test]
async fn what_meta_does_not_have_is_refused() {
    let house = House::new(&[("MUSTER_GATEWAY__DEFAULT", "cloud_api")]).await;
    let muster = house.start();
    let mut said = String::new();
    for (verify_type, account_type) in [(0, 1), (2, 2), (3, 2)] {
        let answer = phone(&muster, ACCOUNT, verify_type, account_type).await;
        said += &format!("verifyType {verify_type}, accountType {account_type}: {} {}\n", answer.status, answer.text);
    }
    let personal = super::batch(&[ACCOUNT]).replace("\"whatsappType\":2", "\"whatsappType\":1");
    let answer = muster.post(super::ONLINE, personal).await;
    said += &format!("batchOnline, whatsappType 1: {} {}\n", answer.status, answer.text);
    // Its sessions are asked for at the start, whatever callers want.
    assert!(house.graph.state().calls.iter().all(|call| call.name == "list"), "{:?}", house.graph.state().calls);
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("cloud_api_refused", said);
    });
}

/// Each answer is lost after Meta has done what was asked; nothing is done twice.
#[tokio::test]
async fn lost_answers() {
    let house = House::new(&[("MUSTER_GATEWAY__CLOUD_API__DEREGISTER_ON_RECYCLE", "true")]).await;
    house.graph.fault("list", 1, Fault::ResetBefore);
    for name in ["add", "request_code", "verify_code", "register", "deregister"] {
        house.graph.fault(name, 1, Fault::ResetAfter);
    }
    let muster = house.start();
    assert_eq!(phone(&muster, ACCOUNT, 0, 2).await.status, 200);
    happened(&muster, ACCOUNT, "code_sent").await;
    assert_eq!(code(&muster, ACCOUNT, CODE).await.status, 200);
    house.told(ACCOUNT, "register 1").await;
    online(&muster, ACCOUNT).await;
    house.told(ACCOUNT, IS_ONLINE).await;
    recycle(&muster, ACCOUNT).await;
    house.told(ACCOUNT, "1/4 ").await;
    let changing = ["add", "request_code", "verify_code", "register", "deregister"];
    assert_eq!(house.graph.changing(ACCOUNT), changing);
    let _log = muster.stop("TERM");
    assert_eq!(house.recorded(ACCOUNT), 2);
}

/// Offline is a local fact: the number stays registered, and comes back without a call that Meta counts.
#[tokio::test]
async fn offline_and_back_costs_nothing() {
    let house = House::new(&[]).await;
    house.graph.add(Number::verified(ACCOUNT));
    house.graph.state().switches.pending_for = 3;
    let muster = house.start();
    online(&muster, ACCOUNT).await;
    house.told(ACCOUNT, IS_ONLINE).await;
    for _ in 0..3 {
        recycle(&muster, ACCOUNT).await;
        house.told(ACCOUNT, "1/4 ").await;
        online(&muster, ACCOUNT).await;
        house.told(ACCOUNT, IS_ONLINE).await;
    }
    assert_eq!(house.graph.changing(ACCOUNT), ["register"], "once, and PENDING three times");
    assert!(house.graph.count_of("look", ACCOUNT) >= 3);
}

/// States in which a number cannot come online, or is so already; the rest of the table is in the golden file of the unit
/// test.
#[tokio::test]
async fn states() {
    let house = House::new(&[("MUSTER_ACTORS__COMING_TIMEOUT", "1500ms")]).await;
    let cases = [
        ("FLAGGED", "VERIFIED", IS_ONLINE),
        ("RESTRICTED", "VERIFIED", IS_ONLINE),
        ("LINKED", "", IS_ONLINE),
        ("BANNED", "VERIFIED", "2/4 the number is banned (BANNED)"),
        ("MIGRATED", "VERIFIED", "1/4 the number was moved to another WhatsApp Business account (MIGRATED)"),
        ("PENDING", "NOT_VERIFIED", "1/4 the number must be verified first"),
        ("SOMETHING_NEW", "VERIFIED", "1/4 the number stands in a way that Muster does not know (SOMETHING_NEW)"),
        (
            "UNLINKED",
            "EXPIRED",
            "1/4 the number must be verified first; register it anew and submit its code (code 133006)",
        ),
    ];
    let number = |index: usize| format!("1555078{index:04}");
    for (index, (status, verification, _)) in cases.iter().enumerate() {
        house.graph.add(Number::new(&number(index), status, verification));
    }
    let muster = house.start();
    let absent = number(cases.len());
    let all: Vec<String> = (0..=cases.len()).map(number).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(muster.post(super::ONLINE, super::batch(&all)).await.status, 200);
    for (index, (.., told)) in cases.iter().enumerate() {
        house.told(&number(index), told).await;
    }
    house.told(&absent, "1/4 the number is not in the WhatsApp Business account; register it first").await;
}

/// The list in pages of two, without `paging`, and never by an address that is in it.
#[tokio::test]
async fn pages() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for no_paging in [false, true] {
        let house = House::new(&[]).await;
        let numbers: Vec<String> = (0..5).map(|index| format!("1555078{index:04}")).collect();
        numbers.iter().for_each(|number| house.graph.add(Number::connected(number)));
        {
            let mut state = house.graph.state();
            state.switches.no_paging = no_paging;
            state.switches.page = if no_paging { 100 } else { 2 };
            state.switches.elsewhere = format!("http://{}", elsewhere.local_addr().unwrap());
        }
        let muster = house.start();
        let all: Vec<&str> = numbers.iter().map(String::as_str).collect();
        assert_eq!(muster.post(super::ONLINE, super::batch(&all)).await.status, 200);
        for number in &numbers {
            house.told(number, IS_ONLINE).await;
        }
        assert!(house.graph.count("list") >= if no_paging { 1 } else { 3 });
        assert!(elsewhere.accept().now_or_never().is_none(), "the token would go there");
        let state = house.graph.state();
        assert!(state.calls.iter().all(|call| !call.parameters.contains_key("access_token")));
    }
}

/// A Graph that hangs holds nobody up: commands are answered, and the service stops in time.
#[tokio::test]
async fn a_graph_that_hangs_holds_nobody_up() {
    let house = House::new(&[]).await;
    house.graph.add(Number::connected(ACCOUNT));
    house.graph.fault("list", 1_000, Fault::Hang);
    let muster = house.start();
    let numbers: Vec<String> = (0..100).map(|index| format!("1555078{index:04}")).collect();
    let all: Vec<&str> = numbers.iter().map(String::as_str).collect();
    assert_eq!(muster.post(super::ONLINE, super::batch(&all)).await.status, 200);
    house.graph.until("the list is asked for", |state| state.calls.iter().any(|call| call.name == "list")).await;
    let begun = std::time::Instant::now();
    recycle(&muster, &numbers[0]).await;
    house.told(&numbers[0], "1/4 ").await;
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("not everything under way ended in time"), "{log}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}
