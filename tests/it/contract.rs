//! The contract, end to end: requests of callers, their responses, and the webhooks that follow.

use serde_json::json;

use crate::service_process::{ServiceProcess, WebhookReceiver, temp_directory};
use crate::testkit::requests::{CODE, INSERT, LIST, ONLINE, PHONE, RECYCLE, example, list};

/// The document's account in a batch, with other numbers.
fn batch(numbers: &[&str]) -> String {
    list(numbers.iter().map(example))
}

/// A row of the account list.
fn row(number: &str, status: u8, online_status: u8) -> serde_json::Value {
    json!({"whatsApp": number, "status": status, "onlineStatus": online_status})
}

const SUCCESS: &str = r#"{"data":"","code":200,"message":"success"}"#;

#[tokio::test]
async fn the_documents_own_examples() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let settings = [("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()), ("MUSTER_SIMULATOR__DELAY_MS", "1")];
    let muster = ServiceProcess::start(data.path(), &settings);

    assert_eq!(muster.post(INSERT, batch(&["861821726232"])).await.text, SUCCESS);
    let listed = muster.get(LIST).await;
    let expected =
        r#"{"data":[{"whatsApp":"861821726232","status":1,"onlineStatus":4}],"code":200,"message":"success"}"#;
    assert_eq!((listed.status, listed.text.as_str()), (200, expected));

    assert_eq!(muster.post(ONLINE, batch(&["861821726232"])).await.text, SUCCESS);
    receiver.wait_until("online", |all| all.len() == 2).await;
    let recycle = r#"{"whatsAppList": ["861821726232", "861821726231"]}"#;
    let partly = muster.post(RECYCLE, recycle).await;
    assert_eq!(partly.status, 207);
    assert_eq!(partly.json()["data"], "");
    receiver.wait_until("offline", |all| all.len() == 4).await;
    assert_eq!(receiver.accepted_payloads("861821726232"), ["1/1 ", "1/2 ", "1/3 ", "1/4 "]);

    let phone = r#"{"phone":"182172623211","verifyType":1,"accountType":2,"areaCode":"+86","countryCode":"CN"}"#;
    assert_eq!(muster.post(PHONE, phone).await.text, r#"{"data":1,"code":200,"message":"success"}"#);
    let code = |code| json!({"phone": "182172623211", "verifyCode": code, "areaCode": "+86"}).to_string();
    assert_eq!(muster.post(CODE, code("654321")).await.text, SUCCESS);
    receiver.wait_until("the refused code", |all| all.len() == 5).await;
    assert_eq!(muster.post(CODE, code("123456")).await.text, SUCCESS);
    receiver.wait_until("registered", |all| all.len() == 6).await;
    assert_eq!(receiver.accepted_payloads("86182172623211"), ["register 0", "register 1"]);
    assert_eq!(muster.post(CODE, code("123456")).await.status, 404);

    let deliveries = receiver.deliveries().clone();
    assert_eq!(deliveries[0].path, "/callback/gsTask/syncWhatsAppStatus");
    let first = json!({"whatsApp":"861821726232","status":1,"onlineStatus":1,"reason":"","instanceCode":""});
    assert_eq!(deliveries[0].body, first);
    assert_eq!(deliveries[5].path, "/group-dispatch-api/register/syncStatus");
    assert_eq!(deliveries[5].body, json!({"phone": "86182172623211", "status": 1}));
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Every special outcome of the simulator, and the webhooks that follow.
#[tokio::test]
async fn fates() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let settings = [
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_SIMULATOR__DELAY_MS", "1"),
        ("MUSTER_ACTORS__COMING_TIMEOUT", "200ms"),
    ];
    let muster = ServiceProcess::start(data.path(), &settings);
    let numbers = ["8618210001", "8618210002", "8618210003", "8618210004", "8618210005", "8618210006", "8618211234"];
    assert_eq!(muster.post(ONLINE, batch(&numbers)).await.text, SUCCESS);
    let expected: [&[&str]; 7] = [
        &["1/1 ", "1/4 1001"],
        &["1/1 ", "1/4 1002"],
        &["1/1 ", "1/2 ", "2/4 banned by simulator"],
        &["1/1 ", "1/4 1002"],
        &["1/1 ", "1/2 "],
        &["1/1 ", "1/2 ", "1/4 1002"],
        &["1/1 ", "1/2 "],
    ];
    receiver.wait_until("everything", |all| all.len() == expected.iter().map(|it| it.len()).sum::<usize>()).await;
    for (number, expected) in numbers.iter().zip(expected) {
        assert_eq!(receiver.accepted_payloads(number), expected, "{number}");
    }
    // Banned: refused for this account. Registering the number again ends the ban.
    let refused = muster.post(&format!("{ONLINE}?details=true"), batch(&["8618210003"])).await;
    assert_eq!((refused.status, refused.json()["results"][0]["code"].as_i64()), (409, Some(409)));
    let phone = json!({"phone": "18210003", "verifyType": 0, "accountType": 1, "areaCode": "86", "countryCode": "CN"});
    assert_eq!(muster.post(PHONE, phone.to_string()).await.status, 200);
    let code = json!({"phone": "18210003", "verifyCode": "123456", "areaCode": "+86"});
    assert_eq!(muster.post(CODE, code.to_string()).await.status, 200);
    receiver
        .wait_until("registered", |all| all.iter().any(|it| it.body["status"] == 1 && it.body["phone"] == "8618210003"))
        .await;
    assert_eq!(
        muster.get(&format!("{LIST}?whatsApp=8618210003")).await.json()["data"],
        json!([row("8618210003", 1, 4)])
    );
    // No code can be sent.
    let phone = json!({"phone": "18210005", "verifyType": 0, "accountType": 1, "areaCode": "86", "countryCode": "CN"});
    assert_eq!(muster.post(PHONE, phone.to_string()).await.json()["data"], 2);
    receiver.wait_until("no code", |all| all.iter().any(|it| it.body["phone"] == "8618210005")).await;
    assert_eq!(receiver.accepted_payloads("8618210005"), ["1/1 ", "1/2 ", "register 0"]);
}

/// The responses of each endpoint when some accounts fail, and its rules about repetition.
#[tokio::test]
async fn refusals_and_repetition() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_SIMULATOR__DELAY_MS", "1")]);
    assert_eq!(muster.post(INSERT, batch(&["8618211111", "8618212222"])).await.status, 200);
    assert_eq!(muster.post(INSERT, batch(&["8618211111"])).await.text, SUCCESS, "the same again");
    let mut other = example("8618211111");
    other["privateKey"] = json!("other");
    let body = list([other, example("8618213333")]);
    let partly = muster.post(&format!("{INSERT}?details=true"), body).await;
    insta_text("contract_partly_refused", &partly.text);
    assert_eq!(partly.status, 207);
    let all = muster.post(RECYCLE, r#"{"whatsAppList":["8618219999"]}"#).await;
    insta_text("contract_all_refused", &all.text);
    assert_eq!(all.status, 409);
    for nothing in ["{}", r#"{"whatsAppList":null}"#, r#"{"whatsAppList":[]}"#] {
        assert_eq!(muster.post(RECYCLE, nothing).await.text, SUCCESS, "{nothing}");
    }
    let code = json!({"phone": "8211111", "verifyCode": "123456", "areaCode": "+861"}).to_string();
    let nothing_waits = muster.post(CODE, code).await;
    assert_eq!((nothing_waits.status, nothing_waits.json()["data"].clone()), (404, json!("")));
}

/// The account list: entity tags, compression, one account.
#[tokio::test]
async fn the_account_list() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let numbers: Vec<String> = (0..3_000_u64).map(|index| (8_618_210_000 + index * 7).to_string()).collect();
    let body = batch(&numbers.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(muster.post(INSERT, body).await.status, 200);
    let plain = muster.get(LIST).await;
    let rows: Vec<_> = numbers.iter().map(|number| row(number, 1, 4)).collect();
    assert_eq!(plain.json()["data"], json!(rows), "oldest import first");
    assert_eq!(plain.header("content-length"), plain.text.len().to_string());
    let again = muster.client().get(muster.url(LIST)).header("if-none-match", plain.header("etag"));
    let again = muster.send(again).await.unwrap();
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let zipped = muster.client().get(muster.url(LIST)).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
    assert_ne!(zipped.headers()["etag"], plain.headers["etag"], "another representation, another tag");
    let zipped = zipped.bytes().await.unwrap();
    let mut unzipped = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*zipped), &mut unzipped).unwrap();
    assert_eq!(unzipped, plain.text);
    assert_eq!(muster.post(INSERT, batch(&["861821726232"])).await.status, 200);
    let changed = muster.client().get(muster.url(LIST)).header("if-none-match", plain.header("etag"));
    assert_eq!(muster.send(changed).await.unwrap().status, 200);
    let one = muster.get(&format!("{LIST}?whatsApp=8618210007")).await;
    assert_eq!(one.json()["data"], json!([row("8618210007", 1, 4)]));
    assert_eq!(muster.get(&format!("{LIST}?whatsApp=8618210008")).await.json()["data"], json!([]));
    let malformed = muster.get(&format!("{LIST}?whatsApp=12")).await;
    assert_eq!((malformed.status, malformed.json()["data"].clone()), (400, json!([])));
}

/// Without a receiver nothing is sent. A receiver configured later gets the events from then on.
#[tokio::test]
async fn a_receiver_that_comes_later() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    assert_eq!(muster.post(ONLINE, batch(&["8618210004"])).await.status, 200);
    assert_eq!(muster.stop("INT").0.code(), Some(0));
    let receiver = WebhookReceiver::start().await;
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_WEBHOOKS__BASE_URL", &receiver.base)]);
    assert_eq!(muster.post(RECYCLE, "{}").await.status, 200);
    receiver.wait_until("the recycling", |all| !all.is_empty()).await;
    assert_eq!(receiver.accepted_payloads("8618210004"), ["1/3 "]);
}

fn insta_text(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}
