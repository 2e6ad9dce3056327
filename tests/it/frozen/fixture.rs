//! A service on a frozen directory, or on one to be frozen, with its gateways and receivers.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::fixture;
use crate::service_process::{ServiceProcess, TEST_TIMEOUT, WebhookReceiver, temp_directory};

/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(20);

/// A service with everything set up, and an admin's key once it exists.
pub struct FrozenFixture {
    inner: fixture::Fixture,
    pub admin: String,
}

impl Deref for FrozenFixture {
    type Target = fixture::Fixture;

    fn deref(&self) -> &fixture::Fixture {
        &self.inner
    }
}

impl FrozenFixture {
    pub async fn new(receiver: WebhookReceiver) -> FrozenFixture {
        let inner = fixture::Fixture::with_receiver(receiver)
            .await
            .with_push()
            .with_cloud_api()
            .with("MUSTER_GATEWAY__RULES", "86183=bridge,business=cloud_api")
            .with("MUSTER_SIMULATOR__DELAY_MS", "1")
            .with("MUSTER_ACTORS__IDLE_AFTER", "1s")
            .with("MUSTER_STORE__CHECKPOINT_EVERY", "20");
        FrozenFixture { inner, admin: String::new() }
    }

    pub fn start(&self, retry_waits: &str) -> ServiceProcess {
        self.start_with(&[("MUSTER_WEBHOOKS__RETRY_WAITS", retry_waits)])
    }

    /// Sends a request with the admin's key and a reason; returns the response, which must be a success.
    pub async fn send(&self, muster: &ServiceProcess, method: Method, path: &str, body: String) -> String {
        let request = muster.client().request(method, muster.url(path)).header("content-type", "application/json");
        let request = request.header("x-muster-reason", "to be frozen");
        let request = if self.admin.is_empty() { request } else { request.header("x-api-key", &self.admin) };
        let answer = muster.send(request.body(body)).await.unwrap();
        assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
        answer.text
    }

    pub async fn post(&self, muster: &ServiceProcess, path: &str, body: Value) -> Value {
        serde_json::from_str(&self.send(muster, Method::POST, path, body.to_string()).await).unwrap()
    }

    pub async fn set(&self, muster: &ServiceProcess, method: Method, path: &str, body: Value) -> Value {
        let answer = self.send(muster, method, &format!("/api/v1/{path}"), body.to_string()).await;
        // Of a response in lines, the last line.
        serde_json::from_str(answer.lines().last().unwrap()).unwrap()
    }

    pub async fn get(&self, muster: &ServiceProcess, path: &str) -> String {
        self.send(muster, Method::GET, &format!("/api/v1/{path}"), String::new()).await
    }

    /// Waits until the response to a GET contains this text.
    pub async fn wait_for_text(&self, muster: &ServiceProcess, path: &str, wanted: &str) {
        let mut last = String::new();
        let waiting = async {
            loop {
                last = self.get(muster, path).await;
                if last.contains(wanted) {
                    return;
                }
                sleep(PAUSE).await;
            }
        };
        let in_time = timeout(TEST_TIMEOUT, waiting).await;
        assert!(in_time.is_ok(), "{path} never answers {wanted:?}, but: {last}");
    }

    pub async fn wait_for_event(&self, muster: &ServiceProcess, number: &str, event: &str) {
        let path = format!("accounts/{number}/events?limit=1000");
        self.wait_for_text(muster, &path, &format!("muster.account.{event}.v")).await;
    }

    /// Waits until no webhook is pending.
    pub async fn wait_until_delivered(&self, muster: &ServiceProcess) {
        for channel in ["sync", "register"] {
            self.wait_for_text(muster, &format!("webhooks/{channel}"), r#""lag":{"events":0,"#).await;
        }
    }
}

/// The frozen data directory, unpacked.
pub fn directory_of(frozen: &Path) -> TempDir {
    let place = temp_directory();
    unpack(frozen, place.path());
    place
}

/// Unpacks the frozen data directory into `data`.
pub fn unpack(frozen: &Path, data: &Path) {
    fs::create_dir_all(data).unwrap();
    tar(&["-xzf", frozen.join("data.tar.gz").to_str().unwrap(), "-C", data.to_str().unwrap()]);
}

pub fn tar(arguments: &[&str]) {
    assert!(Command::new("tar").args(arguments).status().unwrap().success(), "tar {arguments:?}");
}
