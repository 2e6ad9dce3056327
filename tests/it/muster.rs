//! The real binary in a child process, and a real receiver for its webhooks.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use muster::journal::{Journal, Recorded};
use muster::limits::READ_RECORDS;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use warp::Filter;
use warp::http::{Response, StatusCode};

/// How long anything may take before a test says that it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running service. Killed when dropped.
pub struct Muster {
    child: Child,
    base: String,
    client: reqwest::Client,
    log: Option<JoinHandle<String>>,
}

/// What the service answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

/// A receiver of both webhooks.
pub struct Receiver {
    pub base: String,
    inner: Arc<Inner>,
}

struct Inner {
    deliveries: Mutex<Vec<Delivery>>,
    arrived: Notify,
    fail: Box<dyn Fn(usize) -> bool + Send + Sync>,
}

/// One attempt as it arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub path: String,
    pub id: String,
    pub body: Value,
    pub was_accepted: bool,
}

/// A data directory on the disk of the build; in memory a sync would be nothing.
pub fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The binary with a clean environment.
pub fn muster(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = muster(arguments, environment).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

impl Muster {
    /// Starts `muster serve` on `data` with these settings, and waits until it says that it is ready.
    pub fn start(data: &Path, environment: &[(&str, &str)]) -> Muster {
        let data = data.to_str().unwrap();
        Muster::spawn(&mut muster(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data], environment))
    }

    /// Starts a command that serves, and waits until it says that it is ready.
    pub fn spawn(command: &mut Command) -> Muster {
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(base) = line.trim().strip_prefix("muster is ready on ") else {
            let _ended = child.wait();
            panic!("the service is not ready, it says {line:?} and:\n{}", log.join().unwrap());
        };
        Muster { child, base: base.to_owned(), client: client(), log: Some(log) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(self.url(path))).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.try_post(path, body, "").await.unwrap()
    }

    /// As `post`, for when the service may be killed under it.
    pub async fn try_post(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
        request_id: &str,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.post(self.url(path)).header("content-type", "application/json").body(body);
        if !request_id.is_empty() {
            request = request.header("x-request-id", request_id);
        }
        self.send(request).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, text: response.text().await? })
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Kills the process as a power cut would end it, and returns its log.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }

    /// Asks the process to stop by `signal` ("TERM", "INT"), and returns how it ended and its log.
    pub fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        send_signal(self.pid(), signal);
        let status = self.child.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// Waits until the process ends by itself.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Muster {
    fn drop(&mut self) {
        if self.log.is_some() {
            let _gone = self.child.kill();
            let _gone = self.child.wait();
        }
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Receiver {
    /// A receiver that takes everything.
    pub async fn start() -> Receiver {
        Receiver::failing(|_| false).await
    }

    /// A receiver that answers 500 to the attempts that `fail` chooses by their number.
    pub async fn failing(fail: impl Fn(usize) -> bool + Send + Sync + 'static) -> Receiver {
        let inner = Arc::new(Inner { deliveries: Mutex::default(), arrived: Notify::new(), fail: Box::new(fail) });
        let taking = inner.clone();
        let route = warp::post()
            .and(warp::path::full())
            .and(warp::header::<String>("webhook-id"))
            .and(warp::body::bytes())
            .map(move |path: warp::path::FullPath, id, body: bytes::Bytes| taking.take(path.as_str(), id, &body));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(warp::serve(route).incoming(listener).run());
        Receiver { base, inner }
    }

    pub fn deliveries(&self) -> MutexGuard<'_, Vec<Delivery>> {
        self.inner.deliveries.lock().unwrap()
    }

    /// Waits until `enough` of what arrived.
    pub async fn until(&self, what: &str, enough: impl Fn(&[Delivery]) -> bool) {
        let waiting = async {
            loop {
                let arrived = self.inner.arrived.notified();
                if enough(&self.deliveries()) {
                    return;
                }
                arrived.await;
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            panic!("{what} did not arrive; these did: {:#?}", self.deliveries());
        }
    }

    /// The accepted deliveries of one account, each id once, as `status/onlineStatus reason` or `register status`.
    pub fn told_about(&self, account: &str) -> Vec<String> {
        told_about(&self.deliveries(), account)
    }
}

/// Of these deliveries, what [`Receiver::told_about`] says of all.
pub fn told_about(deliveries: &[Delivery], account: &str) -> Vec<String> {
    let mut seen = HashMap::new();
    let accepted = deliveries.iter().filter(|it| it.was_accepted && seen.insert(it.id.clone(), ()).is_none());
    let of_account = accepted.filter(|it| it.body["whatsApp"] == account || it.body["phone"] == account);
    of_account.map(|it| words(&it.body)).collect()
}

impl Inner {
    fn take(&self, path: &str, id: String, body: &[u8]) -> Response<&'static str> {
        let mut deliveries = self.deliveries.lock().unwrap();
        let was_accepted = !(self.fail)(deliveries.len());
        let body = serde_json::from_slice(body).unwrap();
        deliveries.push(Delivery { path: path.to_owned(), id, body, was_accepted });
        self.arrived.notify_waiters();
        let status = if was_accepted { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        Response::builder().status(status).body(r#"{"data":"","code":200,"message":"success"}"#).unwrap()
    }
}

fn words(body: &Value) -> String {
    match body.get("onlineStatus") {
        Some(online) => format!("{}/{online} {}", body["status"], body["reason"].as_str().unwrap()),
        None => format!("register {}", body["status"]),
    }
}

/// A client that keeps nothing to itself: no proxies, no redirects.
pub fn client() -> reqwest::Client {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

pub fn send_signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// All files below `directory`.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Everything in a journal.
pub fn read_all(journal: &Journal) -> Vec<Recorded> {
    let mut records: Vec<Recorded> = Vec::new();
    loop {
        let after = records.last().map_or(0, |last| last.position);
        let more = journal.read_after(after, READ_RECORDS).unwrap();
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}
