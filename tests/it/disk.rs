//! A disk that is full at any time: the service says one sentence and ends, and everything it answered is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::service_process::{
    ServiceProcess, TEST_TIMEOUT, WebhookReceiver, preloaded_library, run_muster, send_signal, temp_directory,
};
use crate::testkit::requests::{INSERT, LIST, ONLINE, RECYCLE, accounts, list};

const ACCOUNT: &str = "861821726232";
const KEYS: &str = "/api/v1/keys";

/// A data directory on a disk that the test controls.
struct FaultyDisk {
    place: TempDir,
    library: PathBuf,
}

impl FaultyDisk {
    /// Compiles the library that is preloaded before the C library.
    fn new() -> FaultyDisk {
        let place = temp_directory();
        let library = preloaded_library(place.path(), "tests/it/disk/disk.c");
        FaultyDisk { place, library }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.file("data")
    }

    fn start(&self, settings: &[(&str, &str)]) -> ServiceProcess {
        let (full, slow) = (self.file("full"), self.file("slow"));
        let mut environment = vec![
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("DISK_FULL", full.to_str().unwrap()),
            ("DISK_SLOW", slow.to_str().unwrap()),
        ];
        environment.extend(settings);
        ServiceProcess::start(&self.data(), &environment)
    }

    /// From now on, writes fail to files whose path contains `part`; to all files if it is empty.
    fn fill_up(&self, part: &str) {
        fs::write(self.file("full"), part).unwrap();
    }

    /// From now on, each sync takes this long.
    fn slow_down(&self, by: Duration) {
        fs::write(self.file("slow"), by.as_millis().to_string()).unwrap();
    }

    fn free_space(&self) {
        fs::remove_file(self.file("full")).unwrap();
    }
}

fn import() -> String {
    accounts([ACCOUNT])
}

/// Waits for the service to end over a disk that is full in `part`, and checks all data after the next start.
async fn assert_ends(disk: &FaultyDisk, muster: ServiceProcess, what: &str, part: &str) {
    let (status, log) = tokio::task::spawn_blocking(move || muster.wait_for_exit()).await.unwrap();
    assert_eq!(status.code(), Some(1), "{what}: {log}");
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("muster: ") && last.contains("disk, then start again"), "{what}: {log}");
    assert!(last.contains("o space left") || last.contains("no storage space"), "{what}: {last}");
    assert!(!last.contains("kind:"), "{what}: the inside of the program: {last}");
    assert!(!log.contains("panicked"), "{what}: {log}");
    disk.free_space();
    let muster = disk.start(&[]);
    let listed = muster.get(LIST).await.text;
    assert!(listed.contains(ACCOUNT), "{what}, {part}: the account is lost");
    let begin = Instant::now();
    while muster.get("/api/v1/vault").await.json()["rotation"] != "none" {
        assert!(begin.elapsed() < TEST_TIMEOUT, "{what}: the rotation does not end");
    }
    assert_eq!(muster.stop("TERM").0.code(), Some(0), "{what}");
}

/// Each request meets a disk that is full where it writes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_service_on_each_request() {
    let disk = FaultyDisk::new();
    let muster = disk.start(&[]);
    assert_eq!(muster.post(INSERT, import()).await.status, 200);
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let key = r#"{"name":"one","role":"admin"}"#;
    let erasure = r#"{"reason":"asked to"}"#;
    let receiver = r#"{"url":"http://127.0.0.1:9/"}"#;
    // Name, full part of the disk, request.
    let requests = [
        ("events", "wal/", "POST", ONLINE, import()),
        ("the tables", "store/db", "POST", ONLINE, import()),
        ("the durable mark", "log/acknowledged", "POST", ONLINE, import()),
        ("a rotation", "wal/", "POST", "/api/v1/vault/rotate", String::new()),
        ("a rotation's note", "log/rotation", "POST", "/api/v1/vault/rotate", String::new()),
        ("an API key", "wal/", "POST", KEYS, key.to_owned()),
        ("a receiver", "wal/", "PUT", "/api/v1/webhooks/sync/url", receiver.to_owned()),
        ("an idempotency record", "wal/", "POST", INSERT, import()),
        ("an erasure", "wal/", "DELETE", "/api/v1/accounts/861821726232/secrets", erasure.to_owned()),
    ];
    for (what, part, method, path, body) in requests {
        let muster = disk.start(&[]);
        disk.fill_up(part);
        let request = muster.client().request(method.parse().unwrap(), muster.url(path));
        let request = request
            .header("content-type", "application/json")
            .header("idempotency-key", what.replace(' ', "-"))
            .body(body);
        // The rotation has been answered by then; its progress follows in lines. The tables follow the write-ahead log.
        if let Ok(answer) = muster.send(request).await {
            let is_before = what.starts_with("a rotation") || what == "the tables";
            assert!(answer.status >= 500 || is_before, "{what}: {answer:?}");
            assert!(answer.status != 404 && answer.status != 405, "{what}: {answer:?}");
        }
        assert_ends(&disk, muster, what, part).await;
    }
}

/// Background work meets a full disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_an_idle_service() {
    let disk = Arc::new(FaultyDisk::new());
    // The signed checkpoint is saved in the background and when the service stops.
    let muster = disk.start(&[]);
    disk.fill_up("log/checkpoint");
    assert_eq!(muster.post(INSERT, import()).await.status, 200, "this needs no checkpoint");
    assert_ends(&disk, muster, "the signed checkpoint", "log/checkpoint").await;
    let muster = disk.start(&[]);
    disk.fill_up("log/checkpoint");
    assert_eq!(muster.post(ONLINE, import()).await.status, 200);
    send_signal(muster.pid(), "TERM");
    assert_ends(&disk, muster, "the signed checkpoint at the end", "log/checkpoint").await;

    // The outcome of a delivery: the disk is full once the receiver has it.
    let filling = disk.clone();
    let receiver = WebhookReceiver::start_failing(move |_| {
        filling.fill_up("wal/");
        true
    })
    .await;
    let muster = disk.start(&[("MUSTER_WEBHOOKS__BASE_URL", &receiver.base), ("MUSTER_SIMULATOR__DELAY_MS", "1")]);
    let _cut_off = muster.try_post(RECYCLE, list([ACCOUNT]), "").await;
    assert_ends(&disk, muster, "a delivery", "wal/").await;
}

/// Caches and snapshots can be lost: the service continues, and logs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_for_caches_is_a_warning() {
    let disk = FaultyDisk::new();
    let settings = [("MUSTER_STORE__CHECKPOINT_EVERY", "1")];
    let muster = disk.start(&settings);
    disk.fill_up("cache/");
    assert_eq!(muster.post(INSERT, import()).await.status, 200);
    let begin = Instant::now();
    let failures = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("muster_store_cache_failures_total"));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0, |count| count.parse::<u64>().unwrap())
    };
    while failures(&muster.get("/metrics").await.text) < 2 {
        assert!(begin.elapsed() < TEST_TIMEOUT, "it is not counted");
    }
    assert_eq!(muster.get("/readyz").await.status, 200);
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the journal's checkpoint was not saved"), "{log}");
    disk.free_space();
    let (code, _, stderr) = run_muster(&["verify", "--data-dir", disk.data().to_str().unwrap()], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let mode = fs::metadata(disk.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// How long a test waits for a service to end. The service promises ten seconds; the machine is busy with other things.
/// Waiting for every sync would take more than thirty.
const STOPPED: Duration = Duration::from_secs(15);

/// A disk whose sync takes 4 s: the service stops within the promised time, and everything it answered is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_does_not_keep_the_service() {
    let disk = FaultyDisk::new();
    let muster = disk.start(&[("MUSTER_STORE__CHECKPOINT_EVERY", "1")]);
    assert_eq!(muster.post(INSERT, import()).await.status, 200);
    disk.slow_down(Duration::from_secs(4));
    let (answered, mut first) = tokio::sync::mpsc::unbounded_channel();
    let callers: Vec<_> = (0..4_u64)
        .map(|caller| {
            let (client, url, answered) = (muster.client().clone(), muster.url(INSERT), answered.clone());
            tokio::spawn(async move {
                for number in (861_821_700_000 + caller * 1_000..).map(|number| number.to_string()) {
                    let request =
                        client.post(&url).header("content-type", "application/json").body(accounts([&number]));
                    match request.send().await {
                        Ok(answer) if answer.status() == 200 => answered.send(number).unwrap(),
                        Ok(_) | Err(_) => return,
                    }
                }
            })
        })
        .collect();
    drop(answered);
    // One is answered; the others wait for a commit that takes as long again.
    let mut answered = vec![ACCOUNT.to_owned(), first.recv().await.unwrap()];
    let begin = Instant::now();
    send_signal(muster.pid(), "TERM");
    for caller in callers {
        caller.await.unwrap();
    }
    let (status, log) = tokio::task::spawn_blocking(move || muster.wait_for_exit()).await.unwrap();
    let took = begin.elapsed();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(took < STOPPED, "it took {took:?} to stop: {log}");
    while let Some(number) = first.recv().await {
        answered.push(number);
    }
    fs::remove_file(disk.file("slow")).unwrap();
    let muster = disk.start(&[]);
    let listed = muster.get(LIST).await.text;
    for number in answered {
        assert!(listed.contains(&number), "{number} was answered, and is lost");
    }
}
