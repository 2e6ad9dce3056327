//! A wall clock that leaps under the real binary: nothing expires early, and an expired key or record stays expired.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ::muster::audit::write_time;
use ::muster::clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::access::body;
use crate::service_process::{
    ServiceProcess, ServiceResponse, copy_files, preloaded_library, run_muster, temp_directory,
};
use crate::testkit::requests::{INSERT, LIST};

const KEYS: &str = "/api/v1/keys";
const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// A machine whose wall clock the test sets.
struct Machine {
    place: TempDir,
    library: PathBuf,
}

impl Machine {
    /// Compiles the library that is preloaded before the C library.
    fn new() -> Machine {
        let place = temp_directory();
        let library = preloaded_library(place.path(), "tests/it/clock/clock.c");
        Machine { place, library }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn start(&self, data: &str, ahead: i64) -> ServiceProcess {
        self.set_clock(ahead);
        let (library, order) = (self.library.to_str().unwrap(), self.file("ahead"));
        ServiceProcess::start(&self.file(data), &[("LD_PRELOAD", library), ("CLOCK_AHEAD", order.to_str().unwrap())])
    }

    /// Sets the wall clock this many seconds ahead of the right time.
    fn set_clock(&self, ahead: i64) {
        fs::write(self.file("new"), ahead.to_string()).unwrap();
        fs::rename(self.file("new"), self.file("ahead")).unwrap();
    }
}

/// Creates a key; returns its text.
async fn make_key(muster: &ServiceProcess, admin: Option<&str>, key: Value) -> String {
    let request = muster.client().post(muster.url(KEYS)).header("content-type", "application/json");
    let request = admin.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    let answer = muster.send(request.body(key.to_string())).await.unwrap();
    answer.json()["key"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
}

async fn get(muster: &ServiceProcess, path: &str, key: &str) -> ServiceResponse {
    muster.send(muster.client().get(muster.url(path)).bearer_auth(key)).await.unwrap()
}

/// Imports an account under the same `Idempotency-Key` each time; returns whether the response was a stored one.
async fn was_answered(muster: &ServiceProcess, key: &str) -> bool {
    let request = muster.client().post(muster.url(INSERT)).bearer_auth(key);
    let request = request.header("content-type", "application/json").header("idempotency-key", "the-same-again");
    let answer = muster.send(request.body(body("whatsapp/batchInsert").to_string())).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("idempotency-replayed") == "true"
}

/// Replaces the secret that signs webhooks; the old one also signs for `grace`.
async fn exchange_secret(muster: &ServiceProcess, admin: &str, grace: &str) {
    let request = muster.client().put(muster.url("/api/v1/webhooks/sync/secret")).bearer_auth(admin);
    let request = request.header("content-type", "application/json").body(json!({"grace": grace}).to_string());
    assert_eq!(muster.send(request).await.unwrap().status, 200);
}

/// The number of secrets that sign webhooks.
async fn secrets(muster: &ServiceProcess, admin: &str) -> usize {
    let shown = get(muster, "/api/v1/webhooks/sync", admin).await.json();
    shown["signing"]["standard"].as_array().unwrap().len()
}

async fn leaps(muster: &ServiceProcess, admin: &str) -> u64 {
    let metrics = get(muster, "/metrics", admin).await.text;
    let leaps = metrics.lines().find_map(|line| line.strip_prefix("muster_clock_leaps_total "));
    leaps.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test]
async fn a_leap_expires_nothing_and_expired_stays_expired() {
    let machine = Machine::new();
    let muster = machine.start("data", 0);
    let admin = make_key(&muster, None, json!({"name": "admin", "role": "admin"})).await;
    let expires = write_time(clock::now().plus(Duration::from_secs(HOUR.unsigned_abs())));
    let short = json!({"name": "short", "role": "caller", "expires": expires});
    let short = make_key(&muster, Some(&admin), short).await;
    assert!(!was_answered(&muster, &short).await);
    for grace in ["0s", "24h"] {
        exchange_secret(&muster, &admin, grace).await;
    }
    for (ahead, expected) in [(YEAR, 1), (-HOUR, 2), (0, 3), (1, 3)] {
        machine.set_clock(ahead);
        assert_eq!(get(&muster, LIST, &short).await.status, 200, "{ahead} s ahead");
        assert!(was_answered(&muster, &short).await, "{ahead} s ahead");
        assert_eq!(secrets(&muster, &admin).await, 2, "{ahead} s ahead");
        assert_eq!(leaps(&muster, &admin).await, expected, "{ahead} s ahead");
    }
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0));
    assert_eq!(log.matches("the wall clock jumped by this many seconds").count(), 3, "{log}");
    assert!(log.contains(&format!("seconds={YEAR}")) && log.contains(&format!("seconds={HOUR}")), "{log}");

    // A start trusts the wall clock, and sees the key expire.
    let muster = machine.start("data", 2 * HOUR);
    assert_eq!((get(&muster, LIST, &short).await.status, leaps(&muster, &admin).await), (401, 0));
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let muster = machine.start("data", 0);
    let answer = get(&muster, LIST, &short).await;
    assert!(answer.status == 401 && answer.text.contains("has expired"), "{}", answer.text);
    let (backup, server) = (machine.file("backup"), muster.url(""));
    let (backup, data) = (backup.to_str().unwrap(), machine.file("restored"));
    let (code, _, stderr) = run_muster(&["backup", backup, "--server", &server], &[("MUSTER_API_KEY", &admin)]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let (code, _, stderr) = run_muster(&["restore", backup, "--data-dir", data.to_str().unwrap()], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    copy_files(&machine.file("data/keys"), &data.join("keys"));
    let muster = machine.start("restored", 0);
    assert_eq!((get(&muster, LIST, &short).await.status, get(&muster, LIST, &admin).await.status), (401, 200));
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}
