//! Planted secrets are nowhere in clear: not on the disk, not in the log, not in an answer.

use serde_json::json;

use crate::muster::{Muster, Receiver, directory, files};

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn planted_secrets_are_nowhere() {
    let (data, receiver) = (directory(), Receiver::start().await);
    let secrets =
        ["planted-private-key-7Q", "planted-msg-private-key-8R", "planted-device-params-9S", "planted-code-4T"];
    let settings = [
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_LOG__FILTER", "trace"),
        ("MUSTER_SIMULATOR__DELAY_MS", "1"),
    ];
    let muster = Muster::start(data.path(), &settings);
    let account = |name: &str| {
        json!({"whatsApp": "861821726232", "override": true, "name": name, "publicKey": "planted-public-key",
            "privateKey": secrets[0], "msgPublicKey": "", "msgPrivateKey": secrets[1], "accountId": "",
            "deviceParams": secrets[2]})
    };
    let mut answers = String::new();
    let mut post = async |path: &str, body: String| {
        let answer = muster.post(path, body).await;
        answers += &answer.text;
        answer.status
    };
    let list = |name: &str| json!({"whatsAppList": [account(name)]}).to_string();
    let keyed = async |path: &str, body: &str| {
        let request = muster.client().post(muster.url(path)).header("idempotency-key", "k").body(body.to_owned());
        muster.send(request).await.unwrap().status
    };
    assert_eq!(keyed("/group-dispatch-api/whatsapp/batchInsert", &list("first")).await, 200);
    assert_eq!(post("/group-dispatch-api/whatsapp/batchInsert", list("first")).await, 200);
    assert_eq!(post("/group-dispatch-api/whatsapp/batchInsert", list("second")).await, 409);
    assert_eq!(post("/group-dispatch-api/whatsapp/batchOnline?details=true", list("second")).await, 200);
    // Faults that lie next to a secret, or in one.
    let faulty = list("third").replace(r#""override":true"#, r#""override":"planted-private-key-7Q""#);
    assert_eq!(post("/group-dispatch-api/whatsapp/batchOnline", faulty).await, 400);
    let faulty = list("third").replace("planted-private-key-7Q\"", "planted-private-key-7Q\\ud800\"");
    assert_eq!(post("/group-dispatch-api/whatsapp/batchOnline", faulty).await, 400);
    let faulty = list("third").replace(r#""planted-private-key-7Q""#, r#"["planted-private-key-7Q"]"#);
    assert_eq!(post("/group-dispatch-api/whatsapp/batchOnline", faulty).await, 400);
    assert_eq!(post("/group-dispatch-api/whatsapp/batchOnline", "planted-private-key-7Q".to_owned()).await, 400);
    let phone =
        json!({"phone": "1821726232", "verifyType": 0, "accountType": 1, "areaCode": "+86", "countryCode": "CN"});
    assert_eq!(post("/group-dispatch-api/register/submitPhone", phone.to_string()).await, 200);
    let code = json!({"phone": "1821726232", "areaCode": "+86", "verifyCode": secrets[3]}).to_string();
    assert_eq!(keyed("/group-dispatch-api/register/submitVerifyCode", &code).await, 200);
    for code in [json!(secrets[3]), json!([secrets[3]]), json!({secrets[3]: 1})] {
        let body = json!({"phone": "1821726232", "areaCode": "+86", "verifyCode": code}).to_string();
        post("/group-dispatch-api/register/submitVerifyCode", body).await;
    }
    receiver.until("the refused code", |all| all.iter().any(|it| it.body["status"] == 0)).await;
    for path in [
        "events?limit=1000",
        "accounts/861821726232",
        "accounts/861821726232/events",
        "log/proof/account/861821726232",
        "export",
    ] {
        let answer = muster.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answers += &answer.text;
    }
    let backup = muster.client().post(muster.url("/api/v1/backup")).send().await.unwrap().bytes().await.unwrap();
    assert!(contains(&backup, "planted-public-key"), "what is not secret is in the backup in clear");
    let told = format!("{:?}", *receiver.deliveries());
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("TRACE"), "the log is as talkative as can be");
    let on_disk: Vec<Vec<u8>> = files(data.path()).iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(on_disk.iter().any(|bytes| contains(bytes, "planted-public-key")), "what is not secret is there in clear");
    for secret in secrets {
        assert!(!contains(&backup, secret), "{secret} is in the backup");
        assert!(!on_disk.iter().any(|bytes| contains(bytes, secret)), "{secret} is on the disk");
        for (place, text) in [("log", &log), ("answers", &answers), ("webhooks", &told)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in the {place}");
        }
    }
}
