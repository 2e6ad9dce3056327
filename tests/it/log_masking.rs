//! Account numbers in the log of the real binary: masked, unless the settings say otherwise.

use serde_json::{Value, json};

use crate::service_process::{ServiceProcess, WebhookReceiver, temp_directory};
use crate::testkit::requests::{account_with, code, phone};

const NUMBERS: [&str; 3] = ["861821726232", "861721726231", "442079460000"];
const MASKED: [&str; 3] = ["861******232", "861******231", "442******000"];

/// Sends every kind of request about an account, valid and invalid; returns the log.
async fn collect_log(settings: &[(&str, &str)]) -> String {
    let data = temp_directory();
    // The first attempt of each webhook fails, and the log names the account.
    let receiver = WebhookReceiver::start_failing(|attempt| attempt < 3).await;
    let both = [
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_WEBHOOKS__RETRY_WAITS", "1ms"),
        ("MUSTER_LOG__FILTER", "trace"),
        ("MUSTER_SIMULATOR__DELAY_MS", "1"),
    ];
    let muster = ServiceProcess::start(data.path(), &[&both[..], settings].concat());
    let [one, registered, unknown] = NUMBERS;
    let account = |number: &str| account_with(number, &json!({"override": true, "accountId": number}));
    let list = json!({"whatsAppList": [account(one)]});
    let (phone, code) = (phone(registered), code(registered, "000000"));
    for (path, body, status) in [
        ("whatsapp/batchInsert", &list, 200),
        ("whatsapp/batchOnline?details=true", &list, 200),
        ("register/submitPhone", &phone, 200),
        ("register/submitVerifyCode", &code, 200),
        ("whatsapp/batchRecycle", &json!({"whatsAppList": [one, unknown]}), 207),
        ("whatsapp/batchRecycle", &json!({"whatsAppList": [unknown]}), 409),
        // Invalid requests with a number in them.
        ("whatsapp/batchInsert", &json!({"whatsAppList": [account(one), account(one)]}), 400),
        ("whatsapp/batchInsert", &json!({"whatsAppList": [one]}), 400),
        ("whatsapp/batchRecycle", &json!({one: [one]}), 400),
        ("register/submitVerifyCode", &json!({"phone": unknown, "areaCode": one, "verifyCode": one}), 400),
        (&format!("whatsapp/{unknown}"), &json!({}), 404),
        (&format!("whatsapp/batchInsert?details={one}"), &list, 400),
    ] {
        let answer = muster.post(&format!("/group-dispatch-api/{path}"), body.to_string()).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    for (path, status) in [
        (format!("/api/v1/accounts/{one}"), 200),
        (format!("/api/v1/accounts/{registered}/events?limit=1"), 200),
        (format!("/api/v1/accounts?prefix={one}"), 200),
        (format!("/api/v1/accounts/{unknown}/diff?from={one}"), 400),
        (format!("/api/v1/accounts/{unknown}"), 404),
        (format!("/api/v1/accounts/{one}x"), 400),
        (format!("/{one}/{unknown}?{one}={one}"), 404),
        (format!("/group-dispatch-api/whatsapp/queryWhatsAppStatus?whatsApp={one}"), 200),
        (format!("/group-dispatch-api/whatsapp/queryWhatsAppStatus/{one}"), 404),
    ] {
        assert_eq!(muster.get(&path).await.status, status, "{path}");
    }
    let delete = muster.client().delete(muster.url(&format!("/api/v1/accounts/{one}/secrets")));
    let delete = delete.header("x-request-id", format!("erase-{one}")).header("content-type", "application/json");
    assert_eq!(muster.send(delete.body(r#"{"reason":"a test"}"#)).await.unwrap().status, 200);
    receiver
        .wait_until("both accounts", |all| {
            let is_delivered = |number: &str| {
                all.iter().any(|it| it.was_accepted && (it.body["whatsApp"] == number || it.body["phone"] == number))
            };
            is_delivered(one) && is_delivered(registered)
        })
        .await;
    muster.stop("TERM").1
}

#[tokio::test]
async fn numbers_are_masked_in_the_log() {
    for format in ["text", "json"] {
        let log = collect_log(&[("MUSTER_LOG__FORMAT", format)]).await;
        assert!(
            log.contains("a delivery attempt failed") && log.contains("TRACE"),
            "the log is as talkative as can be"
        );
        for (number, masked) in NUMBERS.iter().zip(MASKED) {
            let line = log.lines().find(|line| line.contains(number));
            assert_eq!(line, None, "{number} is in the log");
            assert!(log.contains(masked), "nobody can tell which account it was: {log}");
        }
        // Integers are logged as integers.
        for line in log.lines().filter(|line| line.contains(r#""message":"answered""#)) {
            assert!(serde_json::from_str::<Value>(line).unwrap()["micros"].is_u64(), "{line}");
        }
    }
}

#[tokio::test]
async fn numbers_are_in_full_if_that_is_set() {
    for format in ["text", "json"] {
        let log = collect_log(&[("MUSTER_LOG__FULL_NUMBERS", "true"), ("MUSTER_LOG__FORMAT", format)]).await;
        let path = format!("/api/v1/accounts/{}/events", NUMBERS[1]);
        let failed = log.lines().find(|line| line.contains("a delivery attempt failed")).unwrap();
        assert!(NUMBERS.iter().any(|number| failed.contains(number)) && log.contains(&path), "{failed}");
    }
}
