//! A start with missing or different settings loses nothing: the next start with the right settings continues.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::service_process::{
    ProcessOutput, ServiceProcess, TEST_TIMEOUT, WebhookReceiver, temp_directory, wait_for_exit,
};
use crate::testkit::requests::{ONLINE, RECYCLE, accounts};

const SYNC: &str = "/api/v1/webhooks/sync";
/// Accounts that the simulator never brings online: one event each.
const ACCOUNTS: [&str; 5] = ["861820004", "861830004", "861840004", "861850004", "861860004"];
const LATER: &str = "861870004";

/// A service with a failing receiver, and these accounts, whose deliveries wait for a retry.
async fn start_with_retries(data: &std::path::Path) -> ServiceProcess {
    let failing = WebhookReceiver::start_failing(|_| true).await;
    let settings = [("MUSTER_WEBHOOKS__BASE_URL", failing.base.as_str()), ("MUSTER_WEBHOOKS__RETRY_WAITS", "1s,1h")];
    let muster = ServiceProcess::start(data, &settings);
    assert_eq!(muster.post(ONLINE, accounts(ACCOUNTS)).await.status, 200);
    wait_for_channel(&muster, |shown| shown["waiting"] == ACCOUNTS.len()).await;
    muster
}

/// The channel, once `is_so` holds.
async fn wait_for_channel(muster: &ServiceProcess, is_so: impl Fn(&Value) -> bool) -> Value {
    let looking = async {
        loop {
            let shown = muster.get(SYNC).await.json();
            if is_so(&shown) {
                return shown;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TEST_TIMEOUT, looking).await.expect("the channel comes to be so")
}

/// Closes the channel as an operator who types `answer`; returns the exit code and the output.
fn close(muster: &ServiceProcess, flags: &[&str], answer: &str) -> (Option<i32>, String) {
    let server = muster.url("");
    let words = [&["webhooks", "close", "sync", "--server", &server], flags].concat();
    let mut child = crate::service_process::muster_command(&words, &[]).stdin(Stdio::piped()).spawn().unwrap();
    // Wrong usage ends the process before it reads.
    let _unread = child.stdin.take().unwrap().write_all(answer.as_bytes());
    let (stdout, stderr) = (
        ProcessOutput::read_from(child.stdout.take().unwrap()),
        ProcessOutput::read_from(child.stderr.take().unwrap()),
    );
    let status = wait_for_exit(&mut child);
    (status.code(), stdout.read_rest() + &stderr.read_rest())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_retry_waits_for_a_receiver_too() {
    let data = temp_directory();
    let muster = start_with_retries(data.path()).await;
    let before = muster.get(SYNC).await.json();
    assert_eq!(muster.stop("TERM").0.code(), Some(0));

    let muster = ServiceProcess::start(data.path(), &[]);
    let shown = muster.get(SYNC).await.json();
    assert_eq!((&shown["state"], &shown["url"]), (&json!("off"), &Value::Null));
    assert_eq!((&shown["cursor"], &shown["waiting"]), (&before["cursor"], &json!(ACCOUNTS.len())), "{shown}");
    assert_eq!(muster.post(ONLINE, accounts([LATER])).await.status, 200);
    let shown = muster.get(SYNC).await.json();
    assert_eq!(shown["oldestPending"]["whatsApp"], ACCOUNTS[0], "{shown}");
    let metrics = muster.get("/metrics").await.text;
    let is_there = |start: &str| metrics.lines().any(|line| line.starts_with(start));
    assert!(is_there(r#"muster_webhook_receiver{channel="sync"} 0"#), "{metrics}");
    assert!(is_there(r#"muster_webhook_lanes{channel="sync",state="waiting"} 5"#), "{metrics}");
    let no_lag = r#"muster_webhook_lag_seconds{channel="sync"} 0.0"#;
    assert!(metrics.lines().all(|line| line != no_lag), "the alert sees it: {metrics}");
    let page = muster.get("/webhooks/sync").await.text;
    assert!(page.contains("none: events wait for one") && page.contains("Delivered up to position"), "{page}");
    let (_, log) = muster.stop("TERM");
    assert!(log.contains("the channel has no receiver, and its deliveries wait"), "{log}");

    let receiver = WebhookReceiver::start().await;
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_WEBHOOKS__BASE_URL", &receiver.base)]);
    receiver.wait_until("all of them", |all| all.len() > ACCOUNTS.len()).await;
    for account in ACCOUNTS.iter().chain([&LATER]) {
        assert_eq!(receiver.accepted_payloads(account), ["1/1 "], "{account}");
    }
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_order_drops_what_waits() {
    let data = temp_directory();
    let muster = start_with_retries(data.path()).await;
    for flags in [&["--reason", "moved", "--yes"][..], &["--dry-run"]] {
        let (code, said) = close(&muster, flags, "");
        assert_eq!(code, Some(1), "{flags:?}: {said}");
        assert!(said.contains("has a receiver"), "{flags:?}: {said}");
    }
    assert_eq!(muster.stop("TERM").0.code(), Some(0));

    let muster = ServiceProcess::start(data.path(), &[]);
    assert_eq!(muster.post(ONLINE, accounts([LATER])).await.status, 200);
    let (code, said) = close(&muster, &["--dry-run"], "");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("deliveries  6\n") && said.contains("accounts    6\n"), "{said}");
    assert_eq!(close(&muster, &[], "yes\n").0, Some(2), "without a reason");
    for answer in ["", "no\n", "y\n"] {
        let (code, said) = close(&muster, &["--reason", "moved"], answer);
        assert_eq!(code, Some(1), "{answer:?}: {said}");
        assert!(said.contains("6 deliveries of 6 accounts are pending in sync, and nothing was dropped"), "{said}");
    }
    assert_eq!(muster.get(SYNC).await.json()["waiting"], ACCOUNTS.len());
    let (code, said) = close(&muster, &["--reason", "moved"], "yes\n");
    assert_eq!(code, Some(0), "{said}");
    let shown = muster.get(SYNC).await.json();
    assert_eq!((&shown["cursor"], &shown["waiting"], &shown["lag"]["events"]), (&Value::Null, &json!(0), &json!(0)));
    let acts = muster.get("/api/v1/acts").await.text;
    assert!(acts.contains("muster.administration.webhook_closed.v1") && acts.contains(r#""deliveries":6"#), "{acts}");
    let (code, said) = close(&muster, &["--reason", "again", "--yes"], "");
    assert_eq!(code, Some(0), "what has nothing to drop is closed already: {said}");
    let again = muster.get("/api/v1/acts").await.text;
    assert_eq!(again, acts, "and no act records it");
    muster.kill();

    let receiver = WebhookReceiver::start().await;
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_WEBHOOKS__BASE_URL", &receiver.base)]);
    assert_eq!(muster.post(RECYCLE, "{}").await.status, 200);
    receiver.wait_until("the recycling", |all| all.len() > ACCOUNTS.len()).await;
    assert_eq!(receiver.accepted_payloads(LATER), ["1/3 "], "it is told what happens from then");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

/// Attempts with a long retention are not deleted because of one start with a shorter retention.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shorter_retention_is_logged_before_it_applies() {
    let data = temp_directory();
    let start = |settings: &[(&str, &str)]| {
        let muster = ServiceProcess::start(data.path(), settings);
        let (status, log) = muster.stop("TERM");
        assert_eq!(status.code(), Some(0), "{log}");
        log
    };
    const WARNING: &str = "webhooks.keep_attempts was shortened";
    for (keep, channels_warned) in [("2000h", 0), ("720h", 2), ("720h", 2), ("2000h", 0), ("2001h", 0), ("2000h", 2)] {
        let log = start(&[("MUSTER_WEBHOOKS__KEEP_ATTEMPTS", keep)]);
        assert_eq!(log.lines().filter(|line| line.contains(WARNING)).count(), channels_warned, "{keep}: {log}");
    }
}
