//! `X-Muster-Reason`: why a caller gave an order, in the events that the order made.

use serde_json::json;

use crate::calls::{happened, history};
use crate::service_process::{ServiceProcess, ServiceResponse, temp_directory};
use crate::testkit::requests::{self, CODE, INSERT, ONLINE, PHONE, RECYCLE, account_with, list};

const ACCOUNT: &str = "8618211234";
const NUMBER: &str = "8618215678";

async fn send(muster: &ServiceProcess, path: &str, body: String, reasons: &[&[u8]]) -> ServiceResponse {
    let mut request = muster.client().post(muster.url(path)).header("content-type", "application/json").body(body);
    for reason in reasons {
        request = request.header("x-muster-reason", *reason);
    }
    muster.send(request).await.unwrap()
}

#[tokio::test]
async fn each_order_records_its_reason() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_SIMULATOR__DELAY_MS", "1")]);
    let account = |name: &str| {
        let fields = json!({"name": name, "override": true});
        list([account_with(ACCOUNT, &fields)])
    };
    let order = async |path, body, reason: &str| {
        let answer = send(&muster, path, body, &[reason.as_bytes()]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    };
    order(INSERT, account("lee"), "moved from Z\u{fc}rich").await;
    order(ONLINE, account("li"), " new name ").await;
    happened(&muster, ACCOUNT, "came_online").await;
    order(RECYCLE, list([ACCOUNT]), "").await;
    order(PHONE, requests::phone(NUMBER).to_string(), "a new line").await;
    happened(&muster, NUMBER, "code_sent").await;
    order(CODE, requests::code(NUMBER, "123456").to_string(), &"\u{5317}".repeat(200)).await;
    happened(&muster, NUMBER, "registered").await;
    assert_eq!(
        history(&muster, ACCOUNT).await[..5],
        [
            "account_imported: moved from Z\u{fc}rich",
            "content_replaced: new name",
            "online_requested: new name",
            "came_online",
            "recycle_requested"
        ]
    );
    assert_eq!(
        history(&muster, NUMBER).await,
        [
            "registration_requested: a new line",
            "code_sent",
            &format!("code_submitted: {}", "\u{5317}".repeat(200)),
            "registered"
        ]
    );
}

#[tokio::test]
async fn a_malformed_reason_changes_nothing() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let long = "x".repeat(201);
    for (reasons, words) in [
        (&[long.as_bytes()][..], "at most 200 characters on one line"),
        (&[b"caf\xe9"], "in UTF-8"),
        (&["\u{202e}turned".as_bytes()], "on one line"),
        (&["\u{2028}moved".as_bytes()], "without a line end (U+2028)"),
        (&[b"to\tBerlin"], "without a tab (U+0009)"),
        (&[b"one", b"two"], "is given twice"),
    ] {
        let answer = send(&muster, ONLINE, requests::accounts([ACCOUNT]), reasons).await;
        assert_eq!(answer.status, 400, "{reasons:?}");
        assert!(answer.text.contains("X-Muster-Reason") && answer.text.contains(words), "{}", answer.text);
    }
    assert_eq!(history(&muster, ACCOUNT).await, [""; 0]);
}
