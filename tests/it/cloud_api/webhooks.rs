//! Meta's webhooks: which are trusted, and what follows.

use serde_json::json;

use super::{ACCOUNT, IS_ONLINE, fixture, happened, online};
use crate::calls::metric;
use crate::fake_graph::{
    FakeGraphFault, FakeNumber, MetaWebhookSender, VERIFY_TOKEN, WABA, WebhookSigning, account_update, webhook,
};
use crate::service_process::ServiceProcess;

/// How many updates had this outcome.
async fn counted(muster: &ServiceProcess, outcome: &str) -> u64 {
    metric(muster, &format!("muster_cloud_api_updates_total{{outcome=\"{outcome}\"}}")).await
}

#[tokio::test]
async fn the_handshake() {
    let fixture = fixture().await;
    let muster = fixture.start();
    let meta = MetaWebhookSender(&muster);
    let shaken = meta.verify_subscription("subscribe", VERIFY_TOKEN, "1158201444").await;
    assert_eq!((shaken.status, shaken.text.as_str()), (200, "1158201444"));
    for (mode, token, status) in
        [("subscribe", "wrong", 403), ("subscribe", "", 403), ("unsubscribe", VERIFY_TOKEN, 403)]
    {
        let refused = meta.verify_subscription(mode, token, "1158201444").await;
        assert_eq!((refused.status, refused.text.contains("1158201444")), (status, false), "{mode} {token}");
    }
    assert_eq!(meta.verify_subscription("subscribe", VERIFY_TOKEN, &"1".repeat(300)).await.status, 400);
    assert_eq!(muster.send(muster.client().put(muster.url("/gateway/cloud-api/webhook"))).await.unwrap().status, 405);
    let (_, log) = muster.stop("TERM");
    assert!(!log.contains(VERIFY_TOKEN), "{log}");
}

/// A webhook with a wrong signature is rejected and has no effect.
#[tokio::test]
async fn wrong_signatures_are_rejected() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber::connected(ACCOUNT));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    fixture.graph.change(ACCOUNT, |number| number.status = "BANNED".to_owned());
    let calls = fixture.graph.state().calls.len();
    let meta = MetaWebhookSender(&muster);
    let disabled = account_update("DISABLED_UPDATE", "DISABLE", 1);
    for signed in [WebhookSigning::Not, WebhookSigning::Wrongly] {
        assert_eq!(meta.send(&disabled, signed).await.status, 401);
    }
    assert_eq!(meta.send("no JSON", WebhookSigning::Rightly).await.status, 400);
    assert_eq!((counted(&muster, "refused").await, counted(&muster, "taken").await), (3, 0));
    assert_eq!(fixture.graph.state().calls.len(), calls, "nobody looked");
    assert_eq!(fixture.receiver.accepted_payloads(ACCOUNT).len(), 2);
}

/// A ban of the whole account, and its end: the state of each number, read from the Graph, counts. The response is sent
/// once the change is durable.
#[tokio::test]
async fn a_ban_and_its_end() {
    let fixture = fixture().await;
    let (banned, spared) = (ACCOUNT, "15550783882");
    fixture.graph.add(FakeNumber::connected(banned));
    fixture.graph.add(FakeNumber::connected(spared));
    let muster = fixture.start();
    for account in [banned, spared] {
        online(&muster, account).await;
        fixture.wait_for_payload(account, IS_ONLINE).await;
    }
    let meta = MetaWebhookSender(&muster);
    assert_eq!(
        meta.send(&account_update("DISABLED_UPDATE", "SCHEDULE_FOR_DISABLE", 1), WebhookSigning::Rightly).await.status,
        200
    );
    fixture.graph.change(banned, |number| number.status = "BANNED".to_owned());
    assert_eq!(meta.send(&account_update("DISABLED_UPDATE", "DISABLE", 2), WebhookSigning::Rightly).await.status, 200);
    let _log = muster.kill();
    let muster = fixture.start();
    let meta = MetaWebhookSender(&muster);
    let shown = muster.get("/group-dispatch-api/whatsapp/queryWhatsAppStatus").await.json();
    let states = json!([{"whatsApp": banned, "status": 2, "onlineStatus": 4},
        {"whatsApp": spared, "status": 1, "onlineStatus": 2}]);
    assert_eq!(shown["data"], states, "durable with the answer, and no more than what was seen");
    fixture.wait_for_payload(banned, "2/4 the number is banned (BANNED)").await;
    fixture.graph.change(banned, |number| number.status = "CONNECTED".to_owned());
    assert_eq!(
        meta.send(&account_update("DISABLED_UPDATE", "REINSTATE", 3), WebhookSigning::Rightly).await.status,
        200
    );
    fixture.wait_for_payload(banned, "1/4 ").await;
    online(&muster, banned).await;
    fixture.wait_for_payload(banned, IS_ONLINE).await;
    assert_eq!(fixture.receiver.accepted_payloads(spared), ["1/1 ", "1/2 "]);
}

/// If Meta hides the numbers of an account that it has disabled, each of them is banned.
#[tokio::test]
async fn numbers_of_a_disabled_account_are_banned() {
    let fixture = fixture().await;
    fixture.graph.add(FakeNumber::connected(ACCOUNT));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    fixture.graph.set_fault("list", 1, FakeGraphFault::error(403, 131_031, None));
    assert_eq!(
        MetaWebhookSender(&muster)
            .send(&account_update("DISABLED_UPDATE", "DISABLE", 1), WebhookSigning::Rightly)
            .await
            .status,
        200
    );
    fixture.wait_for_payload(ACCOUNT, "2/4 the account is locked by Meta (code 131031)").await;
}

/// Duplicates are recognized, two entries count as two, unknown fields are counted, and escaped characters are decoded.
#[tokio::test]
async fn all_sorts_of_webhooks() {
    let fixture = fixture().await.with("MUSTER_HTTP__MAX_BODY_BYTES", "2048");
    fixture.graph.add(FakeNumber::connected(ACCOUNT));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    let meta = MetaWebhookSender(&muster);
    let lists = || fixture.graph.count("list");

    let restricted = account_update("ACCOUNT_RESTRICTION", "", 7);
    let before = lists();
    for _ in 0..3 {
        assert_eq!(meta.send(&restricted, WebhookSigning::Rightly).await.status, 200);
    }
    assert_eq!((lists() - before, counted(&muster, "duplicate").await), (1, 2), "looked at once");

    // A batch of a thousand, one of them about a number that has left.
    fixture.graph.change(ACCOUNT, |number| number.status = "MIGRATED".to_owned());
    let quality = json!({"display_phone_number": ACCOUNT, "event": "FLAGGED", "current_limit": "TIER_1K"});
    let mut many: Vec<(&str, serde_json::Value)> = (0..999).map(|nth| ("messages", json!({"nth": nth}))).collect();
    many.push(("phone_number_quality_update", quality));
    assert_eq!(meta.send(&webhook(&many), WebhookSigning::Rightly).await.status, 200);
    fixture.wait_for_payload(ACCOUNT, "1/4 the number was moved to another WhatsApp Business account (MIGRATED)").await;
    assert_eq!(counted(&muster, "unknown").await, 999);

    let entry = |id: &str, field: &str, value: serde_json::Value| json!({"id": id, "time": 1, "changes": [{"field": field, "value": value}]});
    let gone = json!({"event": "ACCOUNT_DELETED"});
    let removed = json!({"event": "PARTNER_REMOVED", "waba_info": {"waba_id": WABA}});
    let entries = json!([entry("another", "account_update", gone), entry("a-business", "account_update", removed)]);
    let two = json!({"object": "whatsapp_business_account", "entry": entries, "more": "unknown"}).to_string();
    let before = lists();
    assert_eq!(meta.send(&two, WebhookSigning::Rightly).await.status, 200);
    assert_eq!((lists() - before, counted(&muster, "foreign").await), (1, 1));

    let escaped = webhook(&[("phone_number_name_update", json!({"requested_verified_name": "NAME"}))]);
    let escaped = escaped.replace("NAME", r"Caf\u00e9 \/ \ud83d\ude00");
    assert_eq!(meta.send(&escaped, WebhookSigning::Rightly).await.status, 200);

    // This route takes three megabytes; other routes take no more than two thousand bytes.
    let filler = "x".repeat(3_000_000 - 300);
    let large = webhook(&[("messages", json!({"filler": filler}))]);
    assert!(large.len() > 2_999_700);
    assert_eq!(meta.send(&large, WebhookSigning::Rightly).await.status, 200);
    let too_large = webhook(&[("messages", json!({"filler": "x".repeat(3 * 1024 * 1024)}))]);
    assert_eq!(meta.send(&too_large, WebhookSigning::Rightly).await.status, 413);
    assert_eq!(muster.post(super::ONLINE, " ".repeat(3_000)).await.status, 413);
}

/// While the Graph does not answer, Meta is asked to send its webhook again; then its changes take effect.
#[tokio::test]
async fn webhooks_come_again_while_the_graph_is_down() {
    let fixture = fixture().await.with("MUSTER_GATEWAY__CLOUD_API__TIMEOUT", "1s");
    fixture.graph.add(FakeNumber::connected(ACCOUNT));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.wait_for_payload(ACCOUNT, IS_ONLINE).await;
    fixture.graph.change(ACCOUNT, |number| number.status = "BANNED".to_owned());
    fixture.graph.set_fault("list", 1_000, FakeGraphFault::Hang);
    let disabled = account_update("DISABLED_UPDATE", "DISABLE", 1);
    assert_eq!(MetaWebhookSender(&muster).send(&disabled, WebhookSigning::Rightly).await.status, 503);
    let _log = muster.kill();
    fixture.graph.clear_faults();
    let muster = fixture.start();
    assert_eq!(MetaWebhookSender(&muster).send(&disabled, WebhookSigning::Rightly).await.status, 200);
    happened(&muster, ACCOUNT, "banned").await;
}
