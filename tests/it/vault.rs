//! The vault, from outside: erasing an account's secrets, and rotating the master key.
//!
//! `MUSTER_ROTATION_SEED` repeats the choices of the killed rotations, `MUSTER_ROTATION_KILLS` asks for more than the
//! usual 12.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service_process::{
    ServiceProcess, TEST_TIMEOUT, WebhookReceiver, muster_command, number, random_choices, run_muster, send_signal,
    temp_directory,
};
use crate::testkit::requests::{INSERT, ONLINE, account_with, list};

const ERASED: &str = "861821726232";
const OTHER: &str = "861821726231";

/// The body of an import or an online request for these accounts.
fn batch<'a>(numbers: impl IntoIterator<Item = &'a str>, private_key: &str) -> String {
    let fields = json!({"privateKey": private_key});
    list(numbers.into_iter().map(|number| account_with(number, &fields)))
}

/// Whether a backup taken now has the account's data key.
async fn has_key(muster: &ServiceProcess, account: &str) -> bool {
    let backup = muster.client().post(muster.url("/api/v1/backup")).send().await.unwrap().bytes().await.unwrap();
    let place = [b"keys/", &account.parse::<u64>().unwrap().to_be_bytes()[..]].concat();
    backup.windows(place.len()).any(|window| window == place)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_secrets_are_gone_and_the_history_holds() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let settings = [("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()), ("MUSTER_SIMULATOR__DELAY_MS", "1")];
    let muster = ServiceProcess::start(data.path(), &settings);
    let server = muster.url("");
    let erase =
        |number: &str| run_muster(&["erase", number, "--reason", "asked to", "-o", "json", "--server", &server], &[]);
    assert_eq!(erase(ERASED).0, Some(3), "an unknown account");
    let asked = muster.post(ONLINE, batch([ERASED, OTHER], "first")).await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    receiver.wait_until("both online", |all| all.iter().filter(|it| it.body["onlineStatus"] == 2).count() == 2).await;
    assert!(has_key(&muster, ERASED).await && has_key(&muster, OTHER).await);

    let (code, stdout, stderr) = erase(ERASED);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), json!({"whatsApp": ERASED, "erased": true}));
    receiver.wait_until("offline", |all| all.iter().any(|it| it.body["onlineStatus"] == 4)).await;
    assert!(!has_key(&muster, ERASED).await && has_key(&muster, OTHER).await);
    assert_eq!(erase(ERASED).0, Some(0), "again is harmless");
    let history = muster.get(&format!("/api/v1/accounts/{ERASED}/events?type=secrets_erased")).await.json();
    assert_eq!(history["events"].as_array().unwrap().len(), 1, "and no event: {history}");
    let event = &history["events"][0];
    assert_eq!((&event["origin"], &event["data"]), (&json!("operator"), &json!({"reason": "asked to"})));
    assert!(muster.get(&format!("/api/v1/accounts/{ERASED}")).await.json()["content"].is_null());

    // Only after a new import.
    let refused = muster.post(ONLINE, batch([ERASED], "first")).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("had its secrets erased; import it again"), "{}", refused.text);
    for number in [ERASED, OTHER] {
        let bundle = muster.get(&format!("/api/v1/log/proof/account/{number}")).await;
        let (file, key) = (data.path().join("../bundle"), data.path().join("../key"));
        fs::write(&file, bundle.text).unwrap();
        fs::write(&key, muster.get("/api/v1/log/public-key").await.text).unwrap();
        let (file, key) = (file.to_str().unwrap(), key.to_str().unwrap());
        let (code, _, stderr) = run_muster(&["verify", "--bundle", file, "--public-key", key], &[]);
        assert_eq!(code, Some(0), "{stderr}");
        fs::remove_file(file).unwrap();
        fs::remove_file(key).unwrap();
    }
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let muster = ServiceProcess::start(data.path(), &settings);
    assert_eq!(muster.post("/api/v1/verify", "").await.status, 200);
    assert_eq!(muster.post(INSERT, batch([ERASED], "second")).await.status, 200);
    assert_eq!(muster.post(ONLINE, batch([ERASED], "second")).await.status, 200);
    let payloads = receiver.accepted_payloads(ERASED);
    assert!(payloads.iter().all(|words| words.starts_with("1/")), "receivers hear of statuses only: {payloads:?}");
}

/// The number of accounts before the first rotation.
const ACCOUNTS: usize = 3_000;

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|index| format!("8618217{index:05}")).collect()
}

/// Imports accounts, new or repeated.
async fn import(muster: &ServiceProcess, numbers: &[String]) -> Option<u16> {
    let body = batch(numbers.iter().map(String::as_str), "first");
    Some(muster.try_post(INSERT, body, "").await.ok()?.status)
}

/// Waits until no rotation is under way.
async fn wait_for_rotation(muster: &ServiceProcess) {
    let begin = Instant::now();
    while muster.get("/api/v1/vault").await.json()["rotation"] != "none" {
        assert!(begin.elapsed() < TEST_TIMEOUT, "the rotation does not end");
    }
}

async fn events(muster: &ServiceProcess, kind: &str) -> usize {
    let answer = muster.get(&format!("/api/v1/events?type={kind}&limit=1000")).await.json();
    answer["events"].as_array().unwrap().len()
}

/// The id of the master key, as the service shows it.
async fn vault_id(muster: &ServiceProcess) -> String {
    muster.get("/api/v1/vault").await.json()["id"].as_str().unwrap().to_owned()
}

/// The old keys that requests without a choice have kept beside the master key's file.
fn kept_keys(file: &Path) -> Vec<String> {
    let beside = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let kept = beside.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("master.key."));
    kept.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Starts on a directory that must not open; returns the error.
fn start_error(data: &Path) -> String {
    let (code, _, stderr) =
        run_muster(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()], &[]);
    assert_eq!(code, Some(1), "{stderr}");
    stderr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_that_are_killed() {
    let kills = number("MUSTER_ROTATION_KILLS").unwrap_or(12);
    let mut random = random_choices("MUSTER_ROTATION_SEED");
    let data = temp_directory();
    let file = data.path().join("keys/master.key");
    let key = || fs::read_to_string(&file).unwrap();
    let muster = ServiceProcess::start(data.path(), &[]);
    assert_eq!(import(&muster, &numbers(0..ACCOUNTS)).await, Some(200));
    let endpoint = muster.client().put(muster.url("/api/v1/webhooks/sync/url"));
    let endpoint = endpoint.header("content-type", "application/json").body(r#"{"url":"http://127.0.0.1:9/"}"#);
    assert_eq!(muster.send(endpoint).await.unwrap().status, 200);
    let (first, public) = (key(), muster.get("/api/v1/log/public-key").await.text);
    let begin = Instant::now();
    let (code, stdout, stderr) =
        run_muster(&["vault", "rotate", "--discard-old-key", "--server", &muster.url("")], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("3002") && stdout.contains("keep a copy of the new master key"), "{stdout}");
    let longest = u64::try_from(begin.elapsed().as_millis()).unwrap() + 20;
    let mut retired = BTreeSet::from([first]);
    let mut accounts = ACCOUNTS;
    assert_eq!(muster.stop("TERM").0.code(), Some(0));

    let mut broken_off = 0;
    for kill in 0..kills {
        let before = key();
        let muster = ServiceProcess::start(data.path(), &[]);
        let new = numbers(accounts..accounts + 200);
        let rotating = muster.try_post("/api/v1/vault/rotate", "", "");
        let importing = async {
            for some in new.chunks(20) {
                if import(&muster, some).await.is_none() {
                    return;
                }
            }
        };
        let killing = async {
            tokio::time::sleep(Duration::from_millis(random.u64(0..longest * 2))).await;
            send_signal(muster.pid(), "KILL");
        };
        tokio::join!(async { drop(rotating.await) }, importing, killing);
        let log = muster.kill();
        assert!(!log.contains("panicked"), "kill {kill}: {log}");
        assert!(key() == before || kept_keys(&file).contains(&before), "kill {kill}: the old key is lost");
        let muster = ServiceProcess::start(data.path(), &[]);
        let was_broken_off = muster.get("/api/v1/vault").await.json()["rotation"] != "none";
        broken_off += usize::from(was_broken_off);
        wait_for_rotation(&muster).await;
        if key() != before {
            assert!(kept_keys(&file).contains(&before), "kill {kill}: the old key is lost");
            retired.insert(before);
        }
        // Content is recognized as the same only under the same data key; a repeated import makes no event.
        accounts += new.len();
        assert_eq!(import(&muster, &numbers(0..accounts)).await, Some(200), "kill {kill}");
        assert_eq!(events(&muster, "content_replaced").await, 0);
        assert_eq!(muster.get("/api/v1/log/public-key").await.text, public, "the log's key is the same");
        let webhooks = muster.get("/api/v1/webhooks/sync").await.text;
        assert!(webhooks.contains("\"http://127.0.0.1:9\""), "{webhooks}");
        let recorded = events(&muster, "master_key_rotated").await;
        assert!(recorded >= retired.len(), "{recorded} of {} rotations are recorded", retired.len());
        let (status, log) = muster.stop("TERM");
        assert_eq!(status.code(), Some(0));
        let told = ["this start continues an interrupted rotation", "this start completed the rotation"];
        assert!(!was_broken_off || told.iter().all(|words| log.contains(words)), "kill {kill}: {log}");
    }
    println!("{kills} kills, {} keys retired, {broken_off} rotations broken off, {accounts} accounts", retired.len());
    let last = key();
    let shown = run_muster(&["vault", "show", "-o", "json", "--data-dir", data.path().to_str().unwrap()], &[]);
    let shown: Value = serde_json::from_str(&shown.1).unwrap();
    let last_id = shown["id"].as_str().unwrap();
    for old in retired {
        fs::write(&file, old).unwrap();
        let told = start_error(data.path());
        assert!(told.contains(&format!("the store needs key {last_id}, the file holds ")), "{told}");
    }
    fs::write(&file, last).unwrap();
    let (code, _, stderr) = run_muster(&["verify", "--data-dir", data.path().to_str().unwrap()], &[]);
    assert_eq!(code, Some(0), "{stderr}");
}

/// A rotation needs to know what becomes of the old key, and says which backups need it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_told_what_becomes_of_the_old_key() {
    let data = temp_directory();
    let file = data.path().join("keys/master.key");
    let muster = ServiceProcess::start(data.path(), &[]);
    assert_eq!(import(&muster, &numbers(0..3)).await, Some(200));
    let (server, first, id) = (muster.url(""), fs::read_to_string(&file).unwrap(), vault_id(&muster).await);
    let rotate = |choice: &[&str]| run_muster(&[&["vault", "rotate", "--server", &server], choice].concat(), &[]);
    let elsewhere = temp_directory();
    let [backup, old, taken] = ["backup", "old.key", "taken"].map(|name| elsewhere.path().join(name));
    let [backup, old, taken] = [&backup, &old, &taken].map(|path| path.to_str().unwrap());
    assert_eq!(run_muster(&["backup", backup, "--server", &server], &[]).0, Some(0));
    fs::write(taken, "of another").unwrap();
    for (choice, words) in [
        (&[][..], format!("these backups need the old key {id}:\n")),
        (&[], "  backup_taken, up to event 3\n".to_owned()),
        (&[], "keep it in a new file with --keep-old-key".to_owned()),
        (&["--keep-old-key", taken], "exists; name a new file".to_owned()),
        (&["--keep-old-key", file.to_str().unwrap()], "is the master key's own file".to_owned()),
        (&["--keep-old-key", "/none/old.key"], "is in a directory that does not exist".to_owned()),
        (&["--old-key-is-kept"], "the rotation replaces the old key in".to_owned()),
        (&["--discard-old-key", "--keep-old-key", old], "cannot be used with".to_owned()),
    ] {
        let (code, _, stderr) = rotate(choice);
        assert!(code == Some(2) && stderr.contains(&words), "{choice:?}: {stderr}");
    }
    for body in [r#"{"keepOldKey":"/a","discardOldKey":true}"#, r#"{"abort":true,"discardOldKey":true}"#] {
        assert_eq!(muster.post("/api/v1/vault/rotate", body.to_owned()).await.status, 400, "{body}");
    }
    assert_eq!(
        (fs::read_to_string(&file).unwrap(), fs::read_to_string(taken).unwrap()),
        (first.clone(), "of another".into())
    );

    let (code, stdout, stderr) = rotate(&["--keep-old-key", old]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(&format!("the previous one ({id}, kept in ")), "{stdout}");
    assert!(stderr.contains(&format!("these backups need the old key {id}:\n")), "{stderr}");
    assert_eq!(fs::metadata(old).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(old).unwrap(), first);
    assert_eq!(muster.get("/api/v1/vault").await.json()["backups"]["count"], 0);
    assert!(rotate(&["--keep-old-key", old]).2.contains("exists; name a new file"), "it has an older key");

    // The request of earlier versions says nothing of the old key, so it is kept.
    let second = fs::read_to_string(&file).unwrap();
    let rotated = muster.post("/api/v1/vault/rotate", "").await;
    assert!(rotated.status == 200 && rotated.text.contains(", kept in "), "{}", rotated.text);
    assert_eq!(kept_keys(&file), [second]);
    assert_eq!(rotate(&["--discard-old-key"]).0, Some(0));
    assert_eq!(kept_keys(&file).len(), 1);
    // With the first key in use again, its backup is listed again.
    assert_eq!(rotate(&["--new-key-file", old, "--discard-old-key"]).0, Some(0));
    let backups = muster.get("/api/v1/vault").await.json()["backups"].clone();
    assert_eq!((&backups["count"], &backups["latest"][0]["position"]), (&json!(1), &json!("3")), "{backups}");
    let log = muster.get("/api/v1/events?type=backup_taken,master_key_rotated").await.text;
    assert_eq!(log.matches(&format!(r#""masterKey":"{id}""#)).count(), 2, "{log}");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

/// Rotations that are aborted, on a running service or a stopped directory, and killed in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_that_are_undone() {
    let mut random = random_choices("MUSTER_ROTATION_SEED");
    let data = temp_directory();
    let path = data.path().to_str().unwrap();
    let file = data.path().join("keys/master.key");
    let key = || fs::read_to_string(&file).unwrap();
    let muster = ServiceProcess::start(data.path(), &[]);
    assert_eq!(import(&muster, &numbers(0..ACCOUNTS)).await, Some(200));
    let server = muster.url("");
    let (code, _, stderr) = run_muster(&["vault", "rotate", "--abort", "--server", &server], &[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("to revert"), "{stderr}");
    let first = key();
    // A rotation that has just begun is aborted: its response says so, and the key is the old one.
    let begun = muster.client().post(muster.url("/api/v1/vault/rotate")).send().await.unwrap();
    let (code, stdout, stderr) = run_muster(&["vault", "rotate", "--abort", "--server", &server], &[]);
    let lines = begun.text().await.unwrap();
    let was_undone = code == Some(0);
    if was_undone {
        assert!(
            stdout.contains("sealed with the previous master key") && lines.contains("stopped"),
            "{stdout} {lines}"
        );
        assert_eq!(key(), first);
    } else {
        assert!(stderr.contains("to revert") && lines.contains("keep a copy"), "{stderr} {lines}");
    }
    assert_eq!(events(&muster, "master_key_rotation_aborted").await, usize::from(was_undone));
    assert_eq!(muster.stop("TERM").0.code(), Some(0));

    let mut undone = 0;
    for kill in 0..number("MUSTER_ROTATION_KILLS").unwrap_or(6) {
        let before = key();
        let muster = ServiceProcess::start(data.path(), &[]);
        let rotating = muster.try_post("/api/v1/vault/rotate", "", "");
        let [undo_after, kill_after] = [200, 600].map(|most| Duration::from_millis(random.u64(0..most)));
        let undoing = async {
            tokio::time::sleep(undo_after).await;
            muster.try_post("/api/v1/vault/rotate", r#"{"abort":true}"#, "").await
        };
        let killing = async {
            tokio::time::sleep(kill_after).await;
            send_signal(muster.pid(), "KILL");
        };
        tokio::join!(async { drop(rotating.await) }, async { drop(undoing.await) }, killing);
        let log = muster.kill();
        assert!(!log.contains("panicked"), "kill {kill}: {log}");
        // An abort with nothing to abort, or too late, fails with a sentence.
        let (code, stdout, stderr) = run_muster(&["vault", "rotate", "--abort", "--data-dir", path], &[]);
        if code == Some(0) {
            assert!(stdout.contains("sealed with the previous master key"), "kill {kill}: {stdout}");
            assert_eq!(key(), before, "kill {kill}");
            undone += 1;
        } else {
            let is_known = ["to revert", "cannot be reverted"].iter().any(|words| stderr.contains(words));
            assert!(code == Some(1) && is_known, "kill {kill}: {stderr}");
        }
        let muster = ServiceProcess::start(data.path(), &[]);
        wait_for_rotation(&muster).await;
        assert_eq!(import(&muster, &numbers(0..ACCOUNTS)).await, Some(200), "kill {kill}");
        assert_eq!(events(&muster, "content_replaced").await, 0, "kill {kill}: every key opens");
        assert_eq!(muster.stop("TERM").0.code(), Some(0));
    }
    println!("{undone} rotations were undone while no service ran");
    let (code, _, stderr) = run_muster(&["verify", "--data-dir", path], &[]);
    assert_eq!(code, Some(0), "{stderr}");
}

/// Master keys from the environment and from a command, with the real binary: never logged, never read twice, and
/// rotated by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_from_environment_or_command() {
    let data = temp_directory();
    let (old, new) = ("1b".repeat(32), "2c".repeat(32));
    let given = |key: &str| vec![("MUSTER_VAULT__MASTER_KEY".to_owned(), key.to_owned())];
    let start = |key: &str| {
        let data = data.path().to_str().unwrap();
        let mut command = muster_command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data], &[]);
        ServiceProcess::spawn(command.envs(given(key)))
    };
    let muster = start(&old);
    assert!(!data.path().join("keys/master.key").exists(), "no file is made");
    assert_eq!(import(&muster, &numbers(0..3)).await, Some(200));
    let (server, old_id) = (muster.url(""), vault_id(&muster).await);
    let (code, _, stderr) = run_muster(&["vault", "rotate", "--old-key-is-kept", "--server", &server], &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("the service cannot change vault.master_key"), "{stderr}");
    let file = data.path().join("../new.key");
    fs::write(&file, &new).unwrap();
    let rotate_with = |choice: &[&str]| {
        let rotate = ["vault", "rotate", "--new-key-file", file.to_str().unwrap(), "--server", &server];
        run_muster(&[&rotate, choice].concat(), &[])
    };
    let rotate = || rotate_with(&["--old-key-is-kept"]);
    assert!(rotate_with(&[]).2.contains("confirm with --old-key-is-kept"));
    assert!(rotate_with(&["--discard-old-key"]).2.contains("can neither copy nor clear"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(rotate().2.contains("other users may read"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let (code, stdout, stderr) = rotate();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("make vault.master_key give the new key"), "{stdout}");
    fs::remove_file(&file).unwrap();
    assert!(rotate().2.contains("vault.master_key still gives the old master key"));
    let (_, log) = muster.stop("TERM");
    assert!(!log.contains(&old) && !log.contains(&new));
    let muster = start(&old);
    assert_eq!(import(&muster, &numbers(0..3)).await, Some(200), "the old one opens until the setting changes");
    muster.stop("TERM");
    let muster = start(&new);
    wait_for_rotation(&muster).await;
    assert_eq!(import(&muster, &numbers(0..3)).await, Some(200));
    assert_eq!(events(&muster, "master_key_rotated").await, 1);
    let id = vault_id(&muster).await;
    muster.stop("TERM");
    let shown = run_muster(&["config", "-o", "json"], &[("MUSTER_VAULT__MASTER_KEY", &new)]);
    assert!(shown.0 == Some(0) && shown.1.contains(r#"{"name":"vault.master_key","value":"***""#), "{shown:?}");
    let path = data.path().to_str().unwrap();
    let (code, _, stderr) = run_muster(&["verify", "--data-dir", path], &[("MUSTER_VAULT__MASTER_KEY", &old)]);
    assert_eq!(code, Some(0), "a journal is verified without the key: {stderr}");
    let (code, _, stderr) =
        run_muster(&["serve", "--listen", "127.0.0.1:0", "--data-dir", path], &[("MUSTER_VAULT__MASTER_KEY", &old)]);
    assert_eq!(code, Some(1), "{stderr}");
    let told = format!("the store needs key {id}, the environment holds {old_id}; make vault.master_key give that key");
    assert!(stderr.contains(&told), "{stderr}");
}
