//! A service on a frozen directory, or on one that is about to be, with all whom it talks to.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::bridge::gateway::Gateway;
use crate::gateway_check::SECRET;
use crate::graph::{APP_SECRET, Graph, TOKEN, VERIFY_TOKEN, WABA};
use crate::muster::{Muster, PATIENCE, Receiver, directory};

/// How long after an answer the next is asked for, where something is waited for.
const PAUSE: Duration = Duration::from_millis(20);

/// Its data directory is `data`, below `place`.
pub struct Fixture {
    pub place: TempDir,
    pub gateway: Gateway,
    pub graph: Graph,
    pub receiver: Receiver,
    /// An admin's key, once there is one.
    pub admin: String,
}

impl Fixture {
    pub async fn new(receiver: Receiver) -> Fixture {
        let (gateway, graph) = (Gateway::start().await, Graph::start().await);
        Fixture { place: directory(), gateway, graph, receiver, admin: String::new() }
    }

    pub fn path(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn start(&self, retry_waits: &str) -> Muster {
        let settings = [
            ("MUSTER_WEBHOOKS__BASE_URL", self.receiver.base.as_str()),
            ("MUSTER_WEBHOOKS__RETRY_WAITS", retry_waits),
            ("MUSTER_SIMULATOR__DELAY_MS", "1"),
            ("MUSTER_ACTORS__IDLE_AFTER", "1s"),
            ("MUSTER_STORE__CHECKPOINT_EVERY", "20"),
            ("MUSTER_GATEWAY__RULES", "86183=bridge,business=cloud_api"),
            ("MUSTER_GATEWAY__BRIDGE__URL", self.gateway.base.as_str()),
            ("MUSTER_GATEWAY__BRIDGE__SECRET", SECRET),
            ("MUSTER_GATEWAY__CLOUD_API__BASE_URL", self.graph.base.as_str()),
            ("MUSTER_GATEWAY__CLOUD_API__WABA_ID", WABA),
            ("MUSTER_GATEWAY__CLOUD_API__TOKEN", TOKEN),
            ("MUSTER_GATEWAY__CLOUD_API__APP_SECRET", APP_SECRET),
            ("MUSTER_GATEWAY__CLOUD_API__VERIFY_TOKEN", VERIFY_TOKEN),
            ("MUSTER_GATEWAY__CLOUD_API__VERIFIED_NAME", "Lucky Shrub"),
            ("MUSTER_GATEWAY__CLOUD_API__CALLS_PER_SECOND", "1000"),
        ];
        let muster = Muster::start(&self.place.path().join("data"), &settings);
        self.gateway.report_to(&muster.url(""));
        muster
    }

    /// The answer to a request with the admin's key, which must be a success.
    pub async fn ask(&self, muster: &Muster, method: Method, path: &str, body: String) -> String {
        let request = muster.client().request(method, muster.url(path)).header("content-type", "application/json");
        let request = if self.admin.is_empty() { request } else { request.header("x-api-key", &self.admin) };
        let answer = muster.send(request.body(body)).await.unwrap();
        assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
        answer.text
    }

    pub async fn post(&self, muster: &Muster, path: &str, body: Value) -> Value {
        serde_json::from_str(&self.ask(muster, Method::POST, path, body.to_string()).await).unwrap()
    }

    pub async fn set(&self, muster: &Muster, method: Method, path: &str, body: Value) -> Value {
        let answer = self.ask(muster, method, &format!("/api/v1/{path}"), body.to_string()).await;
        // Of an answer that comes line by line, the last.
        serde_json::from_str(answer.lines().last().unwrap()).unwrap()
    }

    pub async fn get(&self, muster: &Muster, path: &str) -> String {
        self.ask(muster, Method::GET, &format!("/api/v1/{path}"), String::new()).await
    }

    /// Waits until the answer to a GET has this in it.
    pub async fn until(&self, muster: &Muster, path: &str, wanted: &str) {
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
        let in_time = timeout(PATIENCE, waiting).await;
        assert!(in_time.is_ok(), "{path} never answers {wanted:?}, but: {last}");
    }

    pub async fn happened(&self, muster: &Muster, number: &str, event: &str) {
        let path = format!("accounts/{number}/events?limit=1000");
        self.until(muster, &path, &format!("muster.account.{event}.v1")).await;
    }

    /// Waits until no webhook is left to send.
    pub async fn caught_up(&self, muster: &Muster) {
        for channel in ["sync", "register"] {
            self.until(muster, &format!("webhooks/{channel}"), r#""lag":{"events":0,"#).await;
        }
    }
}

/// The frozen data directory, unpacked.
pub fn directory_of(frozen: &Path) -> TempDir {
    let place = directory();
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
