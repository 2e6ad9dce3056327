//! A restore to the past: a new generation, which receivers, readers and auditors notice, and that loses no reader.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::service_process::{ServiceProcess, WebhookReceiver, run_muster, temp_directory};
use crate::testkit::requests::{INSERT, ONLINE, RECYCLE, accounts, list};

const FIRST: &str = "8618210012";
const SECOND: &str = "8618210013";

/// A service, a backup of it, and what happened after the backup.
struct RestoreFixture {
    receiver: WebhookReceiver,
    files: TempDir,
    /// The events that the backup has.
    fork: u64,
    /// The events when the first service ended.
    lost_head: u64,
}

impl RestoreFixture {
    /// Two accounts come online, one before the backup and one after it. Then the first one is recycled.
    async fn start() -> RestoreFixture {
        let mut fixture = RestoreFixture::with_receiver(WebhookReceiver::start().await);
        let muster = fixture.serve("first");
        assert_eq!(muster.post(INSERT, accounts([FIRST, SECOND])).await.status, 200);
        fixture.change_account(&muster, ONLINE, FIRST, 2).await;
        fixture.write_artifacts(&muster, "before").await;
        fixture.run(&["backup", &fixture.path("backup"), "--server", &muster.url("")]);
        fixture.fork = head(&muster).await.parse::<u64>().unwrap() - 1;
        fixture.change_account(&muster, ONLINE, SECOND, 2).await;
        fixture.change_account(&muster, RECYCLE, FIRST, 4).await;
        fixture.write_artifacts(&muster, "lost").await;
        fixture.lost_head = head(&muster).await.parse().unwrap();
        assert_eq!(muster.stop("TERM").0.code(), Some(0));
        fixture
    }

    fn with_receiver(receiver: WebhookReceiver) -> RestoreFixture {
        RestoreFixture { receiver, files: temp_directory(), fork: 0, lost_head: 0 }
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    fn serve(&self, name: &str) -> ServiceProcess {
        ServiceProcess::start(Path::new(&self.path(name)), &[("MUSTER_WEBHOOKS__BASE_URL", &self.receiver.base)])
    }

    fn restore(&self, to: &str, options: &[&str]) -> Value {
        let (backup, key, to) = (self.path("backup"), self.path("first/keys/master.key"), self.path(to));
        let restore = ["restore", &backup, "--data-dir", &to, "--master-key-file", &key, "-o", "json"];
        serde_json::from_str(&self.run(&[&restore, options].concat())).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = run_muster(arguments, &[]);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        stdout
    }

    /// Orders a change of an account, and waits until the receiver has so many deliveries of the account.
    async fn change_account(&self, muster: &ServiceProcess, path: &str, account: &str, deliveries: usize) {
        let body = if path == RECYCLE { list([account]) } else { accounts([account]) };
        assert_eq!(muster.post(path, body).await.status, 200);
        let is_of_account = |it: &&crate::service_process::ReceivedDelivery| it.body["whatsApp"] == account;
        let what = format!("{deliveries} deliveries of {account}");
        self.receiver.wait_until(&what, |all| all.iter().filter(is_of_account).count() >= deliveries).await;
    }

    /// Files that an auditor may keep: a checkpoint, a bundle and an export.
    async fn write_artifacts(&self, muster: &ServiceProcess, name: &str) {
        for (file, path) in [
            ("checkpoint", "log/checkpoint".to_owned()),
            ("public-key", "log/public-key".to_owned()),
            ("bundle", format!("log/proof/account/{FIRST}")),
            ("export", "export".to_owned()),
        ] {
            let text = muster.get(&format!("/api/v1/{path}")).await.text;
            std::fs::write(self.path(&format!("{name}.{file}")), text).unwrap();
        }
    }

    fn verify_artifacts(&self, name: &str) {
        let key = self.path(&format!("{name}.public-key"));
        for kind in ["bundle", "export"] {
            let file = self.path(&format!("{name}.{kind}"));
            self.run(&["verify", &format!("--{kind}"), &file, "--public-key", &key]);
        }
    }
}

/// The id of the last event.
async fn head(muster: &ServiceProcess) -> String {
    muster.get("/api/v1/projections").await.json()["head"]["position"].as_str().unwrap().to_owned()
}

/// The ids of all events, read page by page.
async fn read_pages(muster: &ServiceProcess) -> Vec<String> {
    let (mut ids, mut next) = (Vec::new(), Value::from("0"));
    while let Some(after) = next.as_str() {
        let page = muster.get(&format!("/api/v1/events?limit=3&after={after}")).await.json();
        ids.extend(page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        next = page["next"].clone();
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_log_names_its_events_anew_behind_the_fork() {
    let fixture = RestoreFixture::start().await;
    let RestoreFixture { fork, lost_head, .. } = fixture;
    let restored = fixture.restore("second", &["--reason", "disk failed"]);
    assert_eq!((restored["generation"].clone(), restored["fork"].clone()), (1.into(), fork.to_string().into()));
    let muster = fixture.serve("second");

    // Events of the backup keep their ids. Those behind the fork have the generation in id and source.
    let ids = read_pages(&muster).await;
    let expected: Vec<String> = (1..=fork).map(|it| it.to_string()).chain([format!("1-{}", fork + 1)]).collect();
    assert_eq!(ids[..expected.len()], expected);
    let begun = muster.get(&format!("/api/v1/events?after={fork}&limit=1")).await.json()["events"][0].clone();
    assert_eq!(begun["type"], "muster.administration.generation_begun.v1");
    assert!(begun["source"].as_str().unwrap().ends_with(":1"), "{begun}");
    let data = &begun["data"];
    assert_eq!(
        (&data["generation"], &data["fork"], &data["reason"]),
        (&1.into(), &fork.to_string().into(), &"disk failed".into())
    );

    // A reader that followed the lost history is told where to go on.
    let newest = head(&muster).await;
    let beyond = format!("1-{}", newest[2..].parse::<u64>().unwrap() + 1);
    for (path, continue_after) in [
        (format!("events?after={lost_head}"), fork.to_string()),
        (format!("events?after={}", fork + 1), fork.to_string()),
        (format!("events?order=desc&before={lost_head}"), fork.to_string()),
        (format!("acts?cursor={lost_head}"), fork.to_string()),
        (format!("export?first={lost_head}"), fork.to_string()),
        (format!("log/proof/inclusion?seq={lost_head}"), fork.to_string()),
        (format!("accounts/{FIRST}/events?cursor=5"), "3".to_owned()),
        (format!("accounts/{FIRST}?version=5"), "3".to_owned()),
        (format!("accounts/{FIRST}/diff?from=1&to=5"), "3".to_owned()),
        (format!("webhooks/sync/deliveries?cursor={lost_head}"), fork.to_string()),
        (format!("webhooks/sync/deliveries/{lost_head}"), fork.to_string()),
        (format!("webhooks/sync/dead-letters?cursor={lost_head}"), fork.to_string()),
        (format!("events?after={beyond}"), fork.to_string()),
        (format!("events?after=1-{fork}"), "0".to_owned()),
        ("events?after=2-1".to_owned(), "0".to_owned()),
    ] {
        let answer = muster.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 410, "{path}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["continueAfter"], continue_after, "{path}: {problem}");
        assert_eq!(problem["type"], "urn:muster:problem:lost-position", "{path}");
    }
    let resumed = muster.client().get(muster.url("/api/v1/events")).header("accept", "text/event-stream");
    let resumed = muster.send(resumed.header("last-event-id", lost_head.to_string())).await.unwrap();
    assert_eq!(resumed.status, 410);
    let replay = muster.post(&format!("/api/v1/replay?until={lost_head}"), "").await;
    assert_eq!(replay.status, 410, "{}", replay.text);

    // Deliveries have the id of their event, which finds them.
    fixture.change_account(&muster, ONLINE, SECOND, 4).await;
    let deliveries = muster.get("/api/v1/webhooks/sync/deliveries").await.json()["deliveries"].clone();
    let latest = deliveries[0]["position"].as_str().unwrap();
    assert!(latest.starts_with("1-") && deliveries[0]["id"].as_str().unwrap().ends_with(latest), "{deliveries}");
    assert_eq!(muster.get(&format!("/api/v1/webhooks/sync/deliveries/{latest}")).await.json()["position"], latest);
    let count = serde_json::json!({"from": latest, "dryRun": true}).to_string();
    let counted = muster.post("/api/v1/webhooks/sync/redeliver", count).await.json();
    assert_eq!((&counted["deliveries"], &counted["first"]), (&1.into(), &latest.into()), "{counted}");

    // A version is found by its number in the history, and by the one that receivers get.
    for version in ["4", "4294967300"] {
        let state = muster.get(&format!("/api/v1/accounts/{SECOND}?version={version}")).await.json();
        assert_eq!((&state["version"], &state["position"]), (&4.into(), &latest.into()), "{state}");
    }

    // Artifacts from before, from the lost history, and of now.
    fixture.write_artifacts(&muster, "after").await;
    ["before", "lost", "after"].iter().for_each(|name| fixture.verify_artifacts(name));
    let checkpoint = std::fs::read_to_string(fixture.path("after.checkpoint")).unwrap();
    assert!(checkpoint.lines().next().unwrap().ends_with("/1"), "{checkpoint}");
    let bundle: Value = serde_json::from_slice(&std::fs::read(fixture.path("after.bundle")).unwrap()).unwrap();
    assert_eq!(bundle["format"], "muster account bundle 3");

    // Another backup and restore: generations are counted on.
    let _ = std::fs::remove_file(fixture.path("backup"));
    fixture.run(&["backup", &fixture.path("backup"), "--server", &muster.url("")]);
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    assert!(fixture.run(&["backup", "verify", &fixture.path("backup")]).contains("generation"));
    assert_eq!(fixture.restore("third", &[])["generation"], 2);
    let same = fixture.restore("fourth", &["--same-generation"]);
    assert_eq!((same["generation"].clone(), same["fork"].clone()), (1.into(), Value::Null));
    for name in ["third", "fourth"] {
        fixture.run(&["verify", "--data-dir", &fixture.path(name)]);
    }
    let ids = fixture.run(&["events", "--data-dir", &fixture.path("third"), "-o", "jsonl"]);
    assert!(ids.lines().last().unwrap().contains(r#""id":"2-"#), "{ids}");
}

/// A receiver by the rules of the documentation: each id once, and no version below the last one of the account.
fn apply_deliveries(fixture: &RestoreFixture) -> HashMap<String, (u64, String)> {
    let (mut ids, mut states) = (HashSet::new(), HashMap::<String, (u64, String)>::new());
    for delivery in fixture.receiver.deliveries().iter().filter(|it| it.body.get("whatsApp").is_some()) {
        let account = delivery.body["whatsApp"].as_str().unwrap().to_owned();
        let last = states.get(&account).map_or(0, |(version, _)| *version);
        if ids.insert(delivery.id.clone()) && delivery.version >= last {
            states.insert(account, (delivery.version, delivery.body["onlineStatus"].to_string()));
        }
    }
    states
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_accept_what_happens_after_a_restore() {
    let fixture = RestoreFixture::start().await;
    let before = apply_deliveries(&fixture);
    fixture.restore("second", &[]);
    let muster = fixture.serve("second");
    fixture.change_account(&muster, ONLINE, SECOND, 4).await;
    let after = apply_deliveries(&fixture);
    assert!(after[SECOND].0 > before[SECOND].0 && after[SECOND].0 >> 32 == 1, "{before:?} {after:?}");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_in_the_backup_is_sent_under_its_id() {
    let fixture = RestoreFixture::with_receiver(WebhookReceiver::start_failing(|attempt| attempt == 0).await);
    let muster = fixture.serve("first");
    assert_eq!(muster.post(INSERT, accounts([FIRST])).await.status, 200);
    assert_eq!(muster.post(ONLINE, accounts([FIRST])).await.status, 200);
    fixture.receiver.wait_until("the attempt that fails", |all| !all.is_empty()).await;
    let waiting = fixture.receiver.deliveries()[0].clone();
    fixture.run(&["backup", &fixture.path("backup"), "--server", &muster.url("")]);
    muster.kill();
    fixture.restore("second", &[]);
    let attempts = fixture.receiver.deliveries().len();
    let muster = fixture.serve("second");
    fixture.receiver.wait_until("the retry", |all| all[attempts..].iter().any(|it| it.id == waiting.id)).await;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let deliveries = fixture.receiver.deliveries();
    let retry = deliveries[attempts..].iter().find(|it| it.id == waiting.id).unwrap();
    assert_eq!((retry.version, &retry.body), (waiting.version, &waiting.body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_tells_receivers_the_restored_states() {
    let fixture = RestoreFixture::start().await;
    fixture.restore("second", &[]);
    let muster = fixture.serve("second");
    let shown = muster.get("/api/v1/accounts").await.json();
    let row = |it: &Value| (it["whatsApp"].as_str().unwrap().to_owned(), it["onlineStatus"].to_string());
    let shown: HashMap<String, String> = shown["accounts"].as_array().unwrap().iter().map(row).collect();
    let told = || -> HashMap<String, String> {
        apply_deliveries(&fixture).into_iter().map(|(account, (_, state))| (account, state)).collect()
    };
    assert!(told()[FIRST] != shown[FIRST] && told()[SECOND] != shown[SECOND], "the receiver follows the lost history");

    let deliveries = fixture.receiver.deliveries().len();
    let resync = ["webhooks", "resync", "-o", "json", "--server", &muster.url("")];
    let counted: Value = serde_json::from_str(&fixture.run(&[&resync[..], &["--dry-run"]].concat())).unwrap();
    assert_eq!((&counted[0]["deliveries"], &counted[1]["deliveries"]), (&2.into(), &0.into()), "{counted}");
    assert_eq!(fixture.receiver.deliveries().len(), deliveries);
    let done: Value = serde_json::from_str(&fixture.run(&[&resync[..], &["--reason", "restored"]].concat())).unwrap();
    assert_eq!((&done[0]["channel"], &done[0]["deliveries"]), (&"sync".into(), &2.into()), "{done}");
    fixture.receiver.wait_until("both", |all| all.len() >= deliveries + 2).await;
    assert_eq!(told(), shown);
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}
