//! What Meta sends: who is believed, and what follows.

use serde_json::json;

use super::{ACCOUNT, IS_ONLINE, fixture, happened, online};
use crate::calls::metric;
use crate::graph::{Fault, Number, Signed, VERIFY_TOKEN, WABA, Webhooks, account_update, webhook};
use crate::muster::Muster;

/// How many updates came to this.
async fn counted(muster: &Muster, outcome: &str) -> u64 {
    metric(muster, &format!("muster_cloud_api_updates_total{{outcome=\"{outcome}\"}}")).await
}

#[tokio::test]
async fn the_handshake() {
    let fixture = fixture().await;
    let muster = fixture.start();
    let meta = Webhooks(&muster);
    let shaken = meta.shake("subscribe", VERIFY_TOKEN, "1158201444").await;
    assert_eq!((shaken.status, shaken.text.as_str()), (200, "1158201444"));
    for (mode, token, status) in
        [("subscribe", "wrong", 403), ("subscribe", "", 403), ("unsubscribe", VERIFY_TOKEN, 403)]
    {
        let refused = meta.shake(mode, token, "1158201444").await;
        assert_eq!((refused.status, refused.text.contains("1158201444")), (status, false), "{mode} {token}");
    }
    assert_eq!(meta.shake("subscribe", VERIFY_TOKEN, &"1".repeat(300)).await.status, 400);
    assert_eq!(muster.send(muster.client().put(muster.url("/gateway/cloud-api/webhook"))).await.unwrap().status, 405);
    let (_, log) = muster.stop("TERM");
    assert!(!log.contains(VERIFY_TOKEN), "{log}");
}

/// Nothing is taken from whoever does not know the secret, and nothing follows from it.
#[tokio::test]
async fn who_is_not_meta_is_not_believed() {
    let fixture = fixture().await;
    fixture.graph.add(Number::connected(ACCOUNT));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.told(ACCOUNT, IS_ONLINE).await;
    fixture.graph.change(ACCOUNT, |number| number.status = "BANNED".to_owned());
    let calls = fixture.graph.state().calls.len();
    let meta = Webhooks(&muster);
    let disabled = account_update("DISABLED_UPDATE", "DISABLE", 1);
    for signed in [Signed::Not, Signed::Wrongly] {
        assert_eq!(meta.send(&disabled, signed).await.status, 401);
    }
    assert_eq!(meta.send("no JSON", Signed::Rightly).await.status, 400);
    assert_eq!((counted(&muster, "refused").await, counted(&muster, "taken").await), (3, 0));
    assert_eq!(fixture.graph.state().calls.len(), calls, "nobody looked");
    assert_eq!(fixture.receiver.told_about(ACCOUNT).len(), 2);
}

/// A ban of the whole account, and its end: what counts is how the numbers are seen to stand. Answered once it is durable.
#[tokio::test]
async fn a_ban_and_its_end() {
    let fixture = fixture().await;
    let (banned, spared) = (ACCOUNT, "15550783882");
    fixture.graph.add(Number::connected(banned));
    fixture.graph.add(Number::connected(spared));
    let muster = fixture.start();
    for account in [banned, spared] {
        online(&muster, account).await;
        fixture.told(account, IS_ONLINE).await;
    }
    let meta = Webhooks(&muster);
    assert_eq!(
        meta.send(&account_update("DISABLED_UPDATE", "SCHEDULE_FOR_DISABLE", 1), Signed::Rightly).await.status,
        200
    );
    fixture.graph.change(banned, |number| number.status = "BANNED".to_owned());
    assert_eq!(meta.send(&account_update("DISABLED_UPDATE", "DISABLE", 2), Signed::Rightly).await.status, 200);
    let _log = muster.kill();
    let muster = fixture.start();
    let meta = Webhooks(&muster);
    let shown = muster.get("/group-dispatch-api/whatsapp/queryWhatsAppStatus").await.json();
    let states = json!([{"whatsApp": banned, "status": 2, "onlineStatus": 4},
        {"whatsApp": spared, "status": 1, "onlineStatus": 2}]);
    assert_eq!(shown["data"], states, "durable with the answer, and no more than what was seen");
    fixture.told(banned, "2/4 the number is banned (BANNED)").await;
    fixture.graph.change(banned, |number| number.status = "CONNECTED".to_owned());
    assert_eq!(meta.send(&account_update("DISABLED_UPDATE", "REINSTATE", 3), Signed::Rightly).await.status, 200);
    fixture.told(banned, "1/4 ").await;
    online(&muster, banned).await;
    fixture.told(banned, IS_ONLINE).await;
    assert_eq!(fixture.receiver.told_about(spared), ["1/1 ", "1/2 "]);
}

/// Where Meta does not let anybody see the numbers of an account that it has disabled, each of them is banned.
#[tokio::test]
async fn an_account_that_is_shut_out_is_banned() {
    let fixture = fixture().await;
    fixture.graph.add(Number::connected(ACCOUNT));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.told(ACCOUNT, IS_ONLINE).await;
    fixture.graph.fault("list", 1, Fault::error(403, 131_031, None));
    assert_eq!(
        Webhooks(&muster).send(&account_update("DISABLED_UPDATE", "DISABLE", 1), Signed::Rightly).await.status,
        200
    );
    fixture.told(ACCOUNT, "2/4 the account is locked by Meta (code 131031)").await;
}

/// Duplicates are known, two entries are two, what nobody knows is counted, and letters are taken as they were escaped.
#[tokio::test]
async fn all_sorts_of_webhooks() {
    let fixture = fixture().await.with("MUSTER_HTTP__MAX_BODY_BYTES", "2048");
    fixture.graph.add(Number::connected(ACCOUNT));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.told(ACCOUNT, IS_ONLINE).await;
    let meta = Webhooks(&muster);
    let lists = || fixture.graph.count("list");

    let restricted = account_update("ACCOUNT_RESTRICTION", "", 7);
    let before = lists();
    for _ in 0..3 {
        assert_eq!(meta.send(&restricted, Signed::Rightly).await.status, 200);
    }
    assert_eq!((lists() - before, counted(&muster, "duplicate").await), (1, 2), "looked at once");

    // A batch of a thousand, one of them about a number that is gone by now.
    fixture.graph.change(ACCOUNT, |number| number.status = "MIGRATED".to_owned());
    let quality = json!({"display_phone_number": ACCOUNT, "event": "FLAGGED", "current_limit": "TIER_1K"});
    let mut many: Vec<(&str, serde_json::Value)> = (0..999).map(|nth| ("messages", json!({"nth": nth}))).collect();
    many.push(("phone_number_quality_update", quality));
    assert_eq!(meta.send(&webhook(&many), Signed::Rightly).await.status, 200);
    fixture.told(ACCOUNT, "1/4 the number was moved to another WhatsApp Business account (MIGRATED)").await;
    assert_eq!(counted(&muster, "unknown").await, 999);

    let entry = |id: &str, field: &str, value: serde_json::Value| json!({"id": id, "time": 1, "changes": [{"field": field, "value": value}]});
    let gone = json!({"event": "ACCOUNT_DELETED"});
    let removed = json!({"event": "PARTNER_REMOVED", "waba_info": {"waba_id": WABA}});
    let entries = json!([entry("another", "account_update", gone), entry("a-business", "account_update", removed)]);
    let two = json!({"object": "whatsapp_business_account", "entry": entries, "more": "unknown"}).to_string();
    let before = lists();
    assert_eq!(meta.send(&two, Signed::Rightly).await.status, 200);
    assert_eq!((lists() - before, counted(&muster, "foreign").await), (1, 1));

    let escaped = webhook(&[("phone_number_name_update", json!({"requested_verified_name": "NAME"}))]);
    let escaped = escaped.replace("NAME", r"Caf\u00e9 \/ \ud83d\ude00");
    assert_eq!(meta.send(&escaped, Signed::Rightly).await.status, 200);

    // Three megabytes here, though no other route takes more than two thousand bytes.
    let filler = "x".repeat(3_000_000 - 300);
    let large = webhook(&[("messages", json!({"filler": filler}))]);
    assert!(large.len() > 2_999_700);
    assert_eq!(meta.send(&large, Signed::Rightly).await.status, 200);
    let too_large = webhook(&[("messages", json!({"filler": "x".repeat(3 * 1024 * 1024)}))]);
    assert_eq!(meta.send(&too_large, Signed::Rightly).await.status, 413);
    assert_eq!(muster.post(super::ONLINE, " ".repeat(3_000)).await.status, 413);
}

/// While the Graph does not answer, Meta is told to send its webhook again; and then what it says is done.
#[tokio::test]
async fn what_cannot_be_done_yet_is_to_come_again() {
    let fixture = fixture().await.with("MUSTER_GATEWAY__CLOUD_API__TIMEOUT", "1s");
    fixture.graph.add(Number::connected(ACCOUNT));
    let muster = fixture.start();
    online(&muster, ACCOUNT).await;
    fixture.told(ACCOUNT, IS_ONLINE).await;
    fixture.graph.change(ACCOUNT, |number| number.status = "BANNED".to_owned());
    fixture.graph.fault("list", 1_000, Fault::Hang);
    let disabled = account_update("DISABLED_UPDATE", "DISABLE", 1);
    assert_eq!(Webhooks(&muster).send(&disabled, Signed::Rightly).await.status, 503);
    let _log = muster.kill();
    fixture.graph.mend();
    let muster = fixture.start();
    assert_eq!(Webhooks(&muster).send(&disabled, Signed::Rightly).await.status, 200);
    happened(&muster, ACCOUNT, "banned").await;
}
