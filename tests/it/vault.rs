//! The vault, from outside: erasing an account's secrets.

use serde_json::{Value, json};

use crate::muster::{Muster, Receiver, directory, run};

const ERASED: &str = "861821726232";
const OTHER: &str = "861821726231";

/// The body of an import or an online request for these accounts.
fn list<'a>(accounts: impl IntoIterator<Item = &'a str>, private_key: &str) -> String {
    let account = |number: &str| {
        json!({"whatsApp": number, "whatsappType": 1, "override": false, "accountId": "", "publicKey": "",
            "privateKey": private_key, "msgPublicKey": "", "msgPrivateKey": ""})
    };
    json!({"whatsAppList": accounts.into_iter().map(account).collect::<Vec<_>>()}).to_string()
}

/// Whether a backup that is taken now has the account's data key.
async fn has_key(muster: &Muster, account: &str) -> bool {
    let backup = muster.client().post(muster.url("/api/v1/backup")).send().await.unwrap().bytes().await.unwrap();
    let place = [b"keys/", &account.parse::<u64>().unwrap().to_be_bytes()[..]].concat();
    backup.windows(place.len()).any(|window| window == place)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_secrets_are_gone_and_the_history_holds() {
    let (data, receiver) = (directory(), Receiver::start().await);
    let settings = [("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()), ("MUSTER_SIMULATOR__DELAY_MS", "1")];
    let muster = Muster::start(data.path(), &settings);
    let whatsapp = |verb: &str| format!("/group-dispatch-api/whatsapp/{verb}");
    let server = muster.url("");
    let erase = |number: &str| run(&["erase", number, "--reason", "asked to", "-o", "json", "--server", &server], &[]);
    assert_eq!(erase(ERASED).0, Some(3), "an unknown account");
    let asked = muster.post(&whatsapp("batchOnline"), list([ERASED, OTHER], "first")).await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    receiver.until("both online", |all| all.iter().filter(|it| it.body["onlineStatus"] == 2).count() == 2).await;
    assert!(has_key(&muster, ERASED).await && has_key(&muster, OTHER).await);

    let (code, stdout, stderr) = erase(ERASED);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), json!({"whatsApp": ERASED, "erased": true}));
    receiver.until("offline", |all| all.iter().any(|it| it.body["onlineStatus"] == 4)).await;
    assert!(!has_key(&muster, ERASED).await && has_key(&muster, OTHER).await);
    assert_eq!(erase(ERASED).0, Some(0), "again is harmless");
    let history = muster.get(&format!("/api/v1/accounts/{ERASED}/events?type=secrets_erased")).await.json();
    assert_eq!(history["events"].as_array().unwrap().len(), 1, "and no event: {history}");
    let event = &history["events"][0];
    assert_eq!((&event["origin"], &event["data"]), (&json!("operator"), &json!({"reason": "asked to"})));
    assert!(muster.get(&format!("/api/v1/accounts/{ERASED}")).await.json()["content"].is_null());

    // Not until it is imported again.
    let refused = muster.post(&whatsapp("batchOnline"), list([ERASED], "first")).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("had its secrets erased; import it again"), "{}", refused.text);
    for number in [ERASED, OTHER] {
        let bundle = muster.get(&format!("/api/v1/log/proof/account/{number}")).await;
        let (file, key) = (data.path().join("../bundle"), data.path().join("../key"));
        std::fs::write(&file, bundle.text).unwrap();
        std::fs::write(&key, muster.get("/api/v1/log/public-key").await.text).unwrap();
        let (file, key) = (file.to_str().unwrap(), key.to_str().unwrap());
        let (code, _, stderr) = run(&["verify", "--bundle", file, "--public-key", key], &[]);
        assert_eq!(code, Some(0), "{stderr}");
        std::fs::remove_file(file).unwrap();
        std::fs::remove_file(key).unwrap();
    }
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let muster = Muster::start(data.path(), &settings);
    assert_eq!(muster.post("/api/v1/verify", "").await.status, 200);
    assert_eq!(muster.post(&whatsapp("batchInsert"), list([ERASED], "second")).await.status, 200);
    assert_eq!(muster.post(&whatsapp("batchOnline"), list([ERASED], "second")).await.status, 200);
    let told = receiver.told_about(ERASED);
    assert!(told.iter().all(|words| words.starts_with("1/")), "receivers hear of statuses only: {told:?}");
}
