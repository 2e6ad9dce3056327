//! Verbs of auditors and operators, with the real binary: the output is the same on a running service and on a stopped
//! data directory.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use muster::limits::LIVE_TAIL_HEARTBEAT;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::calls::{online, post};
use crate::service_process::{ServiceProcess, TEST_TIMEOUT, run_muster, temp_directory};
use crate::testkit::requests::{LIST, ONLINE, RECYCLE, account_with, list};

const BANNED: &str = "8618210003";
const OTHER: &str = "8618211234";

/// A service with some history, and nothing pending.
async fn service_with_history(data: &Path) -> ServiceProcess {
    let muster = ServiceProcess::start(data, &[("MUSTER_SIMULATOR__DELAY_MS", "1")]);
    let fields = json!({"name": "lee, the \"first\""});
    post(&muster, ONLINE, list([BANNED, OTHER].map(|number| account_with(number, &fields)))).await;
    events(&muster, 7).await;
    post(&muster, RECYCLE, "{}").await;
    events(&muster, 9).await;
    muster
}

/// Follows the live tail from the beginning until `count` events have come.
pub async fn events(muster: &ServiceProcess, count: usize) -> Vec<Value> {
    let request = muster.client().get(muster.url("/api/v1/events?after=0")).header("accept", "text/event-stream");
    let mut lines = follow_lines(request).await;
    let mut events = Vec::new();
    while events.len() < count {
        let line = timeout(TEST_TIMEOUT, lines.next()).await.expect("the live tail is silent").unwrap();
        events.extend(line.strip_prefix("data:").map(|event| serde_json::from_str(event).unwrap()));
    }
    events
}

/// The lines of a streamed response.
async fn follow_lines(request: reqwest::RequestBuilder) -> std::pin::Pin<Box<dyn futures_util::Stream<Item = String>>> {
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers()["content-type"].to_str().unwrap()),
        (200.try_into().unwrap(), "text/event-stream")
    );
    // Without it nginx collects events until they fill its buffer.
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let pieces = answer.bytes_stream();
    let lines = futures_util::stream::unfold((pieces, String::new()), |(mut pieces, mut rest)| async move {
        loop {
            if let Some((line, after)) = rest.split_once('\n') {
                let (line, after) = (line.to_owned(), after.to_owned());
                return Some((line, (pieces, after)));
            }
            rest.push_str(std::str::from_utf8(&pieces.next().await?.ok()?).unwrap());
        }
    });
    Box::pin(lines)
}

/// Runs a verb; returns its output.
fn run_verb(arguments: &[&str], source: &[&str], exit: i32) -> String {
    let (code, stdout, stderr) = run_muster(&[arguments, source].concat(), &[]);
    assert_eq!(code, Some(exit), "{arguments:?}: {stderr}");
    stdout + &stderr
}

#[tokio::test]
async fn the_same_on_a_server_and_on_a_directory() {
    let data = temp_directory();
    let muster = service_with_history(data.path()).await;
    let files = temp_directory();
    let file = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let url = muster.url("");
    let server = ["--server", url.as_str()];
    let questions: Vec<Vec<&str>> = ["text", "json", "jsonl", "csv"]
        .iter()
        .flat_map(|form| {
            [
                vec!["history", BANNED, "-o", form],
                vec!["history", BANNED, "--reverse", "--limit", "2", "-o", form],
                vec!["history", OTHER, "--type", "came_online,went_offline", "-o", form],
                vec!["history", BANNED, "--origin", "gateway", "--reason", "a", "-o", form],
                vec!["state", BANNED, "-o", form],
                vec!["state", BANNED, "--version", "2", "-o", form],
                vec!["diff", BANNED, "2", "4", "-o", form],
                vec!["events", "-o", form],
                vec!["events", "--after", "5", "--limit", "2", "-o", form],
                vec!["events", "--type", "registered", "-o", form],
                vec!["replay", "-o", form],
            ]
        })
        .chain([vec!["export"], vec!["export", "--format", "csv", "--account", OTHER]])
        .collect();
    let on_server: Vec<String> = questions.iter().map(|question| run_verb(question, &server, 0)).collect();
    let key = file("key");
    fs::write(&key, run_verb(&["checkpoint", "--public-key"], &server, 0)).unwrap();
    let bundle = file("bundle");
    fs::write(&bundle, run_verb(&["prove", BANNED], &server, 0)).unwrap();
    assert!(run_verb(&["verify", "--bundle", &bundle, "--public-key", &key], &[], 0).contains("events     4"));
    let backup = file("backup");
    assert_eq!(run_verb(&["backup", &backup], &server, 0), format!("{backup}\n"));
    let shown: Value = serde_json::from_str(&run_verb(&["vault", "show", "-o", "json"], &server, 0)).unwrap();
    let checked = run_verb(&["backup", "verify", &backup, "--public-key", &key, "-o", "json"], &[], 0);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!((&checked["events"], &checked["masterKey"]), (&json!(12), &shown["id"]), "{checked}");
    run_verb(&["verify"], &server, 0);
    assert_eq!(muster.stop("TERM").0.code(), Some(0));

    let directory = ["--data-dir", data.path().to_str().unwrap()];
    for (question, on_server) in questions.iter().zip(on_server) {
        if question.contains(&"events") || question.contains(&"replay") || question[..] == ["export"] {
            continue; // The backup and the stop have added events since.
        }
        let is_signed = |line: &&str| !line.starts_with(r#"{"muster":"#);
        let lines = |text: &str| text.lines().filter(is_signed).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&run_verb(question, &directory, 0)), lines(&on_server), "{question:?}");
    }
    let acts = run_verb(&["events", "--type", "backup_taken", "-o", "jsonl"], &directory, 0);
    let act: Value = serde_json::from_str(&acts).unwrap();
    assert_eq!((&act["subject"], &act["origin"]), (&json!("administration"), &json!("operator")));
    assert!(act["data"]["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{act}");
    // The two exports and the bundle from the server are recorded, those from the directory are not.
    let acts = run_verb(&["events", "--type", "events_exported,account_bundle_exported", "-o", "jsonl"], &directory, 0);
    let acts: Vec<Value> = acts.lines().map(|act| serde_json::from_str(act).unwrap()).collect();
    let looked_at: Vec<_> = acts.iter().map(|act| (&act["data"]["filter"], &act["data"]["account"])).collect();
    let (all, other, none) = (json!({}), json!({"account": OTHER}), Value::Null);
    assert_eq!(looked_at, [(&all, &none), (&other, &none), (&none, &json!(BANNED))]);
    let export = file("export");
    fs::write(&export, run_verb(&["export"], &directory, 0)).unwrap();
    assert!(run_verb(&["verify", "--export", &export, "--public-key", &key], &[], 0).contains("complete   true"));
    assert!(run_verb(&["verify"], &directory, 0).contains("checkpoint  13"), "the last one was signed at the end");

    let restored = file("restored");
    run_verb(&["restore", &backup, "--data-dir", &restored, "--public-key", &key], &[], 0);
    assert!(run_verb(&["verify"], &["--data-dir", &restored], 0).contains("events      13"));
    // Without the master key everything can be read, and nothing can be signed.
    let text = run_verb(&["checkpoint"], &["--data-dir", &restored], 1);
    assert!(text.contains("the master key file") && text.contains("is missing"), "{text}");
    assert_eq!(
        run_verb(&["history", OTHER], &["--data-dir", &restored], 0),
        run_verb(&["history", OTHER], &directory, 0)
    );
}

#[tokio::test]
async fn exit_codes() {
    let data = temp_directory();
    service_with_history(data.path()).await.stop("TERM");
    let files = temp_directory();
    let file = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let directory = ["--data-dir", data.path().to_str().unwrap()];
    run_verb(&["history", "8618219999"], &directory, 3);
    run_verb(&["state", BANNED, "--version", "99"], &directory, 3);
    run_verb(&["state", BANNED, "--at", "2001-01-01"], &directory, 3);
    run_verb(&["diff", BANNED, "1", "99"], &directory, 3);
    run_verb(&["prove", "8618219999"], &directory, 3);
    run_verb(&["history", "12"], &directory, 2);
    run_verb(&["events", "--type", "nothing"], &directory, 2);
    for (flag, wrong) in [("--key", "x"), ("--origin", "me"), ("--request-id", "1"), ("--reason", "")] {
        assert!(run_verb(&["events", flag, wrong], &directory, 2).contains("must be "), "{flag}");
        run_verb(&["history", BANNED, flag, wrong], &directory, 2);
        run_verb(&["export", flag, wrong], &directory, 2);
    }
    run_verb(&["events", "--follow"], &directory, 2);
    run_verb(&["verify", "--public-key", "nonsense"], &directory, 2);
    run_verb(&["verify", "--export", "/dev/null", "--public-key", "nonsense"], &[], 2);
    assert!(run_verb(&["events"], &["--server", "http://127.0.0.1:9"], 1).contains("Connection refused"));
    assert!(run_verb(&["events"], &["--data-dir", &file("nothing")], 1).contains("there is no muster data directory"));
    let altered = |name: &str, bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        fs::write(file(name), bytes).unwrap();
        file(name)
    };
    let bundle = run_verb(&["prove", BANNED], &directory, 0);
    assert!(
        run_verb(&["verify", "--bundle", &altered("bundle", bundle.as_bytes(), 2_000)], &[], 4).starts_with("muster: ")
    );
    let export = run_verb(&["export"], &directory, 0);
    assert!(
        run_verb(&["verify", "--export", &altered("export", export.as_bytes(), 700)], &[], 4).starts_with("muster: ")
    );
    run_verb(&["backup", &file("backup")], &directory, 0);
    let backup = altered("altered", &fs::read(file("backup")).unwrap(), 900);
    let refused = run_verb(&["restore", &backup, "--data-dir", &file("restored")], &[], 4);
    assert!(refused.contains("is damaged"), "{refused}");
    assert_eq!(run_verb(&["backup", "verify", &backup], &[], 4), refused);
    assert!(!Path::new(&file("restored")).exists() && fs::read_dir(files.path()).unwrap().count() == 4);
    // A checkpoint that does not match the journal.
    fs::write(data.path().join("log/checkpoint"), "nonsense").unwrap();
    assert!(run_verb(&["verify"], &directory, 4).contains("is not valid"));
}

/// Readers of the live tail resume where they stopped, and do not keep the service from stopping.
#[tokio::test]
async fn the_live_tail() {
    let data = temp_directory();
    let muster = service_with_history(data.path()).await;
    let url = muster.url("/api/v1/events?type=came_online,banned");
    let resumed = muster.client().get(url).header("accept", "text/event-stream").header("last-event-id", "6");
    let mut lines = follow_lines(resumed).await;
    assert_eq!(timeout(TEST_TIMEOUT, lines.next()).await.unwrap().unwrap(), ":connected", "a comment comes first");
    let mut first = Vec::new();
    while first.len() < 2 {
        let line = timeout(TEST_TIMEOUT, lines.next()).await.unwrap().unwrap();
        first.extend((!line.is_empty()).then_some(line));
    }
    assert!(first[0] == "id:7" || first[1] == "id:7", "behind the event that was seen last: {first:?}");
    // New events arrive by themselves, from now on and filtered.
    let url = muster.url(&format!("/api/v1/events?account={OTHER}"));
    let mut live = follow_lines(muster.client().get(url).header("accept", "text/event-stream")).await;
    // Nothing has happened yet: the comment is sent before any event, and long before the first heartbeat.
    let first = timeout(LIVE_TAIL_HEARTBEAT / 2, live.next()).await.expect("the live tail is silent");
    assert_eq!(first.unwrap(), ":connected");
    online(&muster, OTHER).await;
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let line = timeout(TEST_TIMEOUT, live.next()).await.unwrap().unwrap();
        let event = line.strip_prefix("data:").map(|event| serde_json::from_str::<Value>(event).unwrap());
        kinds.extend(event.map(|event| event["type"].as_str().unwrap().to_owned()));
    }
    assert_eq!(kinds, ["muster.account.online_requested.v2", "muster.account.came_online.v1"]);
    let refused = muster.client().get(muster.url("/api/v1/events")).header("accept", "text/event-stream");
    let refused = muster.send(refused.header("last-event-id", "x")).await.unwrap();
    assert_eq!((refused.status, refused.json()["parameter"].clone()), (400, json!("Last-Event-ID")));
    let begin = std::time::Instant::now();
    let (status, log) = tokio::task::spawn_blocking(move || muster.stop("TERM")).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(begin.elapsed() < Duration::from_secs(4), "readers were waited for: {log}");
    assert_eq!(
        timeout(TEST_TIMEOUT, live.filter(|line| std::future::ready(line.starts_with("data:"))).count()).await.unwrap(),
        0
    );
}

/// A rebuild under load, started over HTTP: answered at once, shown while it runs, remembered afterwards.
#[tokio::test]
async fn a_rebuild() {
    let data = temp_directory();
    let muster = service_with_history(data.path()).await;
    let before = muster.get(LIST).await.text;
    let begun = muster.post("/api/v1/projections/roster/rebuild", "").await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let all = events(&muster, 10).await;
    assert_eq!(all[9]["type"], "muster.administration.projection_rebuilt.v1");
    assert_eq!(all[9]["data"]["differences"], 0);
    let shown = muster.get("/api/v1/projections").await.json();
    assert_eq!(shown["projections"][0]["lastRebuild"]["events"], "9");
    assert_eq!(muster.get(LIST).await.text, before);
}
