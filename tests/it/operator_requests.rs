//! Operators' orders to accounts, and their queries of a running service, over HTTP: one transcript each.

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::access::create_key;
use crate::audit::events;
use crate::calls::{phone, post};
use crate::service_process::{ServiceProcess, TEST_TIMEOUT, run_muster, temp_directory};
use crate::testkit::requests::{INSERT, ONLINE, account_with, accounts, list};

const FIRST: &str = "861821726232";
const SECOND: &str = "861821720003";
const UNKNOWN: &str = "861821729999";
/// A number outside the key's prefixes.
const ELSEWHERE: &str = "442079460000";

/// A transcript: requests, each with its status and response.
struct ApiTranscript {
    muster: ServiceProcess,
    key: Option<String>,
    text: String,
}

impl ApiTranscript {
    /// Starts a service with three offline accounts.
    async fn start(data: &Path) -> ApiTranscript {
        let muster = ServiceProcess::start(data, &[("MUSTER_SIMULATOR__DELAY_MS", "1")]);
        let fields = json!({"nextKeyId": "", "registrationId": "", "deviceParams": ""});
        post(&muster, INSERT, list([FIRST, SECOND, ELSEWHERE].map(|number| account_with(number, &fields)))).await;
        ApiTranscript { muster, key: None, text: String::new() }
    }

    async fn send(&mut self, line: &str, accept: &str, body: &str) -> String {
        let (method, path) = line.split_once(' ').unwrap();
        let url = self.muster.url(&format!("/api/v1/{path}"));
        let request = self.muster.client().request(method.parse().unwrap(), url).header("accept", accept);
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let request = self.key.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        let answer = self.muster.send(request).await.unwrap();
        let mut said = answer.text.trim_end().replace("\r\n", "\\r\n").replace('\n', "\n      ");
        for chance in CHANCE {
            said = mask_field(&said, chance);
        }
        let form = if accept == JSON { String::new() } else { format!(" as {accept}") };
        let sent = if body.is_empty() { String::new() } else { format!("\n  {body}") };
        writeln!(self.text, "{line}{form}{sent}\n  {} {said}\n", answer.status).unwrap();
        answer.text
    }

    fn assert_snapshot(self, name: &str) {
        insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(name, self.text);
        });
        assert_eq!(self.muster.stop("TERM").0.code(), Some(0));
    }
}

const JSON: &str = "application/json";

/// Fields whose values differ in each run.
const CHANCE: [&str; 6] = ["source", "time", "updated", "requestid", "from", "contentFingerprint"];

/// The JSON with `…` for the values of a field, which are strings or numbers.
fn mask_field(text: &str, field: &str) -> String {
    let name = format!("\"{field}\":");
    let mut parts = text.split(&name);
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |said, part| {
        let end = match part.strip_prefix('"') {
            Some(rest) => rest.find('"').unwrap() + 2,
            None => part.find([',', '}']).unwrap(),
        };
        format!("{said}{name}…{}", &part[end..])
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_to_accounts() {
    let data = temp_directory();
    let mut talk = ApiTranscript::start(data.path()).await;
    let order = |accounts: &[&str], reason: &str| json!({"accounts": accounts, "reason": reason}).to_string();

    talk.send("POST accounts/online", JSON, &order(&[FIRST, UNKNOWN, ELSEWHERE], "back from maintenance")).await;
    // The order, and two accounts that come online.
    let all = events(&talk.muster, 8).await;
    let of = |kind: &str| {
        let kind = format!("muster.{kind}.v");
        let of_kind = all.iter().filter(|event| event["type"].as_str().unwrap().starts_with(&kind));
        of_kind.map(|event| (event["id"].clone(), event["requestid"].clone(), event["origin"].clone())).collect()
    };
    let (acts, asked): (Vec<_>, Vec<_>) = (of("administration.accounts_ordered"), of("account.online_requested"));
    assert_eq!((acts.len(), acts[0].0.as_str(), asked.len()), (1, Some("4"), 2), "the act stands first: {all:?}");
    assert!(
        asked.iter().all(|event| event.1 == acts[0].1 && event.2 == "operator"),
        "one request: {acts:?}, {asked:?}"
    );

    talk.send("POST accounts/recycle", JSON, &order(&[ELSEWHERE, SECOND], "  maintenance ")).await;
    events(&talk.muster, 11).await;
    talk.send("GET events?type=accounts_ordered", JSON, "").await;
    talk.send(&format!("GET accounts/{ELSEWHERE}"), JSON, "").await;

    // These requests are invalid, and leave no record.
    talk.send("POST accounts/online", JSON, &order(&[], "why")).await;
    talk.send("POST accounts/online", JSON, &order(&[FIRST, "12"], "why")).await;
    talk.send("POST accounts/online", JSON, &order(&[FIRST, SECOND, FIRST], "why")).await;
    talk.send("POST accounts/online", JSON, &order(&[FIRST], " ")).await;
    talk.send("POST accounts/online", JSON, &order(&[FIRST], "two\nlines")).await;
    talk.send("POST accounts/online", JSON, &json!({"accounts": [FIRST]}).to_string()).await;
    talk.send("POST accounts/recycle", JSON, "{}").await;
    talk.send("POST accounts/recycle?force=1", JSON, &order(&[FIRST], "why")).await;
    talk.send("POST accounts/ban", JSON, &order(&[FIRST], "why")).await;
    let most = ::muster::limits::BATCH_ACCOUNTS as u64;
    let many: Vec<Value> = (0..=most).map(|at| json!((861_821_700_000 + at).to_string())).collect();
    let too_many = talk.muster.post("/api/v1/accounts/online", json!({"accounts": many, "reason": "why"}).to_string());
    let too_many = too_many.await;
    assert_eq!((too_many.status, &too_many.json()["parameter"]), (400, &json!("accounts")), "{}", too_many.text);
    let order_of_most = json!({"accounts": many[1..], "reason": "\u{1f44d}".repeat(64)}).to_string();
    assert_eq!(talk.muster.post("/api/v1/accounts/recycle", order_of_most).await.json()["refused"], json!(most));
    assert_eq!(events(&talk.muster, 12).await[11]["data"]["accounts"], json!(most));

    let server = talk.muster.url("");
    let made = |arguments: &[&str], environment: &[(&str, &str)]| {
        let (code, stdout, stderr) =
            run_muster(&[&["keys", "create", "--server", &server, "-o", "json"], arguments].concat(), environment);
        assert_eq!(code, Some(0), "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()["key"].as_str().unwrap().to_owned()
    };
    let admin = made(&["--name", "admin", "--role", "admin"], &[]);
    let bound = ["--name", "bound", "--role", "operator", "--accounts", "8618"];
    talk.key = Some(made(&bound, &[("MUSTER_API_KEY", &admin)]));
    talk.send("POST accounts/recycle", JSON, &order(&[FIRST, ELSEWHERE], "why")).await;
    talk.send("POST accounts/recycle", JSON, &order(&[FIRST], "the customer is gone")).await;
    talk.key = Some(admin);
    // The latest administrative event first, back to the oldest.
    talk.send("GET acts?limit=2", JSON, "").await;
    talk.send("GET acts?limit=3&cursor=12", JSON, "").await;
    talk.send("GET acts?cursor=11", JSON, "").await;
    talk.assert_snapshot("operators_order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overview() {
    let data = temp_directory();
    let settings = [
        ("MUSTER_SIMULATOR__DELAY_MS", "1"),
        ("MUSTER_WEBHOOKS__CHANNEL_REGISTER_STATUS__URL", "http://user:password@127.0.0.1:9/status?token=1"),
    ];
    let muster = ServiceProcess::start(data.path(), &settings);
    // One comes online, one is banned, one has yet to be imported.
    post(&muster, ONLINE, accounts([FIRST, SECOND])).await;
    events(&muster, 7).await;
    phone(&muster, "861821720001").await;
    events(&muster, 9).await;
    let checkpoint = muster.get("/api/v1/log/checkpoint").await.text;

    // Waits until the channels have caught up with the journal.
    let level = async {
        loop {
            let overview = muster.get("/api/v1/overview").await.json();
            if overview["webhooks"] == muster.get("/api/v1/webhooks").await.json()["channels"] {
                return overview;
            }
        }
    };
    let mut overview = tokio::time::timeout(TEST_TIMEOUT, level).await.unwrap();
    let mut vault = muster.get("/api/v1/vault").await.json();
    vault.as_object_mut().unwrap().remove("backups").unwrap();
    assert_eq!(overview["vault"], vault);
    let moved = muster.get("/api/v1/projections").await.json()["head"]["movedAt"].clone();
    assert_eq!(overview["journal"]["movedAt"], moved);
    assert!(overview["journal"]["bytes"].as_u64().unwrap() > 0, "{overview}");
    let root = overview["checkpoint"]["root"].as_str().unwrap();
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&root[2 * at..2 * at + 2], 16).unwrap()).collect();
    let kept = format!("\n{}\n{}\n", overview["checkpoint"]["size"].as_str().unwrap(), STANDARD.encode(&bytes));
    assert!(checkpoint.contains(&kept), "the one that was signed last: {kept}, {checkpoint}");
    for (within, chance) in [("checkpoint", "root"), ("journal", "movedAt"), ("journal", "bytes")] {
        overview[within][chance] = json!("…");
    }
    for shown in ["webhooks", "vault"] {
        overview[shown] = json!("…");
    }
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("operators_overview", serde_json::to_string_pretty(&overview).unwrap());
    });

    let shown = muster.get("/api/v1/settings").await;
    let path = data.path().to_str().unwrap();
    let (_, rows, _) = run_muster(&["config", "-o", "json", "--listen", "127.0.0.1:0", "--data-dir", path], &settings);
    assert_eq!(shown.json()["settings"], serde_json::from_str::<Value>(&rows).unwrap());
    assert!(shown.text.contains("127.0.0.1:9/status\"") && !shown.text.contains("password"), "{}", shown.text);
}

/// In CSV and text each thing that is listed has its row, in JSON lines its line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_has_its_row() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let server = muster.url("");
    let listed = |verb: &[&str], form: &str, key: &str| {
        let (code, stdout, stderr) =
            run_muster(&[verb, &["-o", form, "--server", &server]].concat(), &[("MUSTER_API_KEY", key)]);
        assert_eq!(code, Some(0), "{verb:?}: {stderr}");
        stdout
    };
    let keys = |form: &str, key: &str| listed(&["keys", "list"], form, key);
    let names = "id,name,role,tenant,accounts,state,created,expires,revoked\n";
    assert_eq!(["csv", "jsonl", "json"].map(|form| keys(form, "")), [names, "", "[]\n"]);
    assert_eq!(keys("text", ""), names.replace(',', "  ").to_uppercase());
    let admin = create_key(&["--name", "a", "--role", "admin", "--server", &server], &[]);
    let bound = ["--name", "b", "--role", "caller", "--accounts", "49", "--accounts", "8618", "--server", &server];
    create_key(&bound, &[("MUSTER_API_KEY", &admin)]);
    let csv = keys("csv", &admin);
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows.len() == 3 && rows[1].starts_with("1,a,admin,,,valid,2"), "{csv}");
    assert!(rows[2].starts_with("2,b,caller,,49 8618,valid,2"), "{csv}");
    let text = keys("text", &admin);
    assert!(text.lines().count() == 3 && !text.contains(['{', '"']), "{text}");
    let lines = keys("jsonl", &admin);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), serde_json::from_str::<Value>(&keys("json", &admin)).unwrap());
    for (verb, name, many) in [(&["gateways"][..], "gateways", 1), (&["webhooks", "show"], "channels", 2)] {
        let whole: Value = serde_json::from_str(&listed(verb, "json", &admin)).unwrap();
        let lines = listed(verb, "jsonl", &admin);
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].clone());
        let whole: Vec<Value> = whole[name].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
        assert!(whole.len() >= many && lines.eq(whole.clone()), "{verb:?}");
        let csv = listed(verb, "csv", &admin);
        assert!(csv.lines().count() == whole.len() + 1 && !csv.contains('{'), "{csv}");
        assert!(csv.starts_with("name,") || csv.starts_with("channel,"), "{csv}");
    }
}
