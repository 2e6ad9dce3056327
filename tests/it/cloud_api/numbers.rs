//! Numbers that Meta shows otherwise than they are dialled, and the ids by which they are found.

use serde_json::{Value, json};

use super::{CODE, IS_ONLINE, ONLINE, PHONE, fixture, happened, post, recycle};
use crate::fake_graph::{self, FakeGraphFault, FakeNumber, MetaWebhookSender, WebhookSigning, webhook};
use crate::service_process::ServiceProcess;
use crate::testkit::requests;

/// A mobile number of São Paulo, as it is dialled and as Meta shows it.
const DIALLED: &str = "5511987654321";
const SHOWN: &str = "551187654321";

/// The body that asks business accounts online.
fn business(numbers: &[&str]) -> String {
    requests::list(numbers.iter().map(|number| requests::account_with(number, &json!({"whatsappType": 2}))))
}

async fn submit_phone(muster: &ServiceProcess) {
    let body =
        json!({"phone": &DIALLED[2..], "verifyType": 0, "accountType": 2, "areaCode": "+55", "countryCode": "BR"});
    post(muster, PHONE, body.to_string()).await;
}

async fn submit_code(muster: &ServiceProcess) {
    let body = json!({"phone": &DIALLED[2..], "verifyCode": fake_graph::CODE, "areaCode": "+55"});
    post(muster, CODE, body.to_string()).await;
}

/// The online status of an account, as the documented call shows it.
async fn online_status(muster: &ServiceProcess, number: &str) -> Value {
    let path = format!("/group-dispatch-api/whatsapp/queryWhatsAppStatus?whatsApp={number}");
    muster.get(&path).await.json()["data"][0]["onlineStatus"].clone()
}

/// A Brazilian number comes online, stays online when all numbers are read, and is found by the number in Meta's webhook.
#[tokio::test]
async fn a_brazilian_number_comes_online() {
    let fixture = fixture().await;
    let muster = fixture.start();
    submit_phone(&muster).await;
    happened(&muster, DIALLED, "code_sent").await;
    submit_code(&muster).await;
    fixture.wait_for_payload(DIALLED, "register 1").await;
    post(&muster, ONLINE, business(&[DIALLED])).await;
    fixture.wait_for_payload(DIALLED, IS_ONLINE).await;
    assert_eq!(fixture.graph.number(DIALLED).displayed(), "+55 11 8765-4321");
    assert_eq!(fixture.graph.changing_calls(DIALLED), ["add", "request_code", "verify_code", "register"]);

    // A restart reads all numbers, and changes nothing.
    let _log = muster.stop("TERM");
    let before = fixture.graph.count("list");
    let muster = fixture.start();
    let lists = |state: &fake_graph::FakeGraphState| state.calls.iter().filter(|call| call.name == "list").count();
    fixture.graph.wait_until("the list", |state| lists(state) > before).await;
    let meta = MetaWebhookSender(&muster);
    let update = |tier: &str| {
        let value = json!({"display_phone_number": SHOWN, "event": "FLAGGED", "current_limit": tier});
        webhook(&[("phone_number_quality_update", value)])
    };
    assert_eq!(meta.send(&update("TIER_1K"), WebhookSigning::Rightly).await.status, 200);
    assert_eq!(online_status(&muster, DIALLED).await, 2);
    fixture.graph.change(DIALLED, |number| number.status = "BANNED".to_owned());
    assert_eq!(meta.send(&update("TIER_250"), WebhookSigning::Rightly).await.status, 200);
    fixture.wait_for_payload(DIALLED, "2/4 the number is banned (BANNED)").await;
}

/// Numbers that others added at Meta come online in each country, whichever form the caller gives.
#[tokio::test]
async fn numbers_that_meta_shows_otherwise_are_adopted() {
    let fixture = fixture().await;
    let numbers = ["551187654322", "5511987654323", "541155551234", "5491155551235", "525512345678", "5215512345679"];
    numbers.iter().for_each(|number| fixture.graph.add(FakeNumber::verified(number)));
    let muster = fixture.start();
    post(&muster, ONLINE, business(&numbers)).await;
    for number in numbers {
        fixture.wait_for_payload(number, IS_ONLINE).await;
        assert_eq!(fixture.graph.changing_calls(number), ["register"], "{number}");
    }
}

/// The id that adding a number returned is enough to find it: after a restart, and if Meta shows the number in a form that Muster
/// does not know.
#[tokio::test]
async fn the_id_of_an_added_number_is_kept() {
    let fixture = fixture().await;
    let muster = fixture.start();
    submit_phone(&muster).await;
    happened(&muster, DIALLED, "code_sent").await;
    let _log = muster.kill();
    fixture.graph.change(DIALLED, |number| number.shown_as = Some("+55 (011) 00-8765.4321".to_owned()));
    let muster = fixture.start();
    submit_code(&muster).await;
    fixture.wait_for_payload(DIALLED, "register 1").await;
    post(&muster, ONLINE, business(&[DIALLED])).await;
    fixture.wait_for_payload(DIALLED, IS_ONLINE).await;
    assert!(fixture.graph.count_of("look", DIALLED) > 0);
    // Meta deletes the number, and somebody adds it again: the kept id is replaced.
    recycle(&muster, DIALLED).await;
    fixture.wait_for_payload(DIALLED, "1/4 ").await;
    fixture.graph.state().numbers.clear();
    fixture.graph.add(FakeNumber { id: "1999".to_owned(), ..FakeNumber::connected(DIALLED) });
    post(&muster, ONLINE, business(&[DIALLED])).await;
    fixture
        .receiver
        .wait_until("online by the new id", |all| {
            crate::service_process::accepted_payloads(all, DIALLED).iter().filter(|it| *it == IS_ONLINE).count() == 2
        })
        .await;
    assert_eq!(fixture.graph.count_of("add", DIALLED), 1);
}

/// A kill after Meta has added the number, before Muster has its id: the number is found as Meta shows it, and not added twice.
#[tokio::test]
async fn killed_before_the_id_is_known() {
    let fixture = fixture().await;
    fixture.graph.set_fault("add", 1, FakeGraphFault::Hang);
    let muster = fixture.start();
    submit_phone(&muster).await;
    fixture.graph.wait_until("add", |state| state.calls.iter().any(|call| call.name == "add")).await;
    let _log = muster.kill();
    let muster = fixture.start();
    happened(&muster, DIALLED, "code_sent").await;
    submit_code(&muster).await;
    fixture.wait_for_payload(DIALLED, "register 1").await;
    assert_eq!((fixture.graph.count("add"), fixture.graph.state().numbers.len()), (1, 1));
}

/// One number for two accounts, or two numbers for one account: the request fails, and names both.
#[tokio::test]
async fn a_match_of_two_is_refused() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber::verified(DIALLED));
    let twice = "551187654329";
    for (id, shown) in [("71", "+55 11 8765-4329"), ("72", "+55 11 98765-4329")] {
        let (id, shown_as) = (id.to_owned(), Some(shown.to_owned()));
        fixture.graph.add(FakeNumber { id, shown_as, ..FakeNumber::verified(twice) });
    }
    let muster = fixture.start();
    post(&muster, requests::INSERT, business(&[DIALLED, SHOWN])).await;
    post(&muster, ONLINE, business(&[DIALLED, SHOWN, twice])).await;
    let both = format!("1/4 the accounts {SHOWN} and {DIALLED} are the same number in two forms");
    fixture.wait_for_payload(DIALLED, &both).await;
    fixture.wait_for_payload(SHOWN, &both).await;
    let both =
        "1/4 the WhatsApp Business account has this number twice, as 551187654329 (id 71) and as 5511987654329 (id 72)";
    fixture.wait_for_payload(twice, both).await;
    assert_eq!(fixture.graph.count("register"), 0);
}
