//! The real binary in a child process, and a receiver for its webhooks.

use std::collections::HashMap;
use std::env::consts::DLL_SUFFIX;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{iter, mem, thread};

use muster::journal::{Journal, JournalRecord};
use muster::limits::READ_RECORDS;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use wait_timeout::ChildExt;
use warp::Filter;
use warp::http::{Response, StatusCode};

pub use crate::testkit::fixture::temp_directory;

/// The time limit of every wait in a test.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A running service. Killed when dropped.
pub struct ServiceProcess {
    child: Child,
    base: String,
    client: reqwest::Client,
    log: Option<ProcessOutput>,
}

/// What a child process writes to a pipe. A thread reads it, so that every wait for it has a limit.
pub struct ProcessOutput(mpsc::Receiver<String>);

/// A response of the service.
#[derive(Debug)]
pub struct ServiceResponse {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

/// A receiver of both webhooks.
pub struct WebhookReceiver {
    pub base: String,
    inner: Arc<WebhookReceiverInner>,
}

struct WebhookReceiverInner {
    deliveries: Mutex<Vec<ReceivedDelivery>>,
    arrived: Notify,
    fail: Box<dyn Fn(usize) -> bool + Send + Sync>,
}

/// One attempt as it arrived.
#[derive(Clone, Debug)]
pub struct ReceivedDelivery {
    pub path: String,
    pub id: String,
    /// `x-muster-account-version`.
    pub version: u64,
    pub body: Value,
    pub was_accepted: bool,
}

/// The binary with a clean environment.
pub fn muster_command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `muster serve` on `data` with these settings, on a free port.
pub fn serve_command(data: &Path, environment: &[(&str, &str)]) -> Command {
    muster_command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()], environment)
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn run_muster(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    run_command(&mut muster_command(arguments, environment))
}

/// Runs any command to its end: exit code, stdout, stderr.
pub fn run_command(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (
        ProcessOutput::read_from(child.stdout.take().unwrap()),
        ProcessOutput::read_from(child.stderr.take().unwrap()),
    );
    let status = wait_for_exit(&mut child);
    (status.code(), stdout.read_rest(), stderr.read_rest())
}

/// Waits until a child process ends. One that hangs is killed, and fails the test.
pub fn wait_for_exit(child: &mut Child) -> ExitStatus {
    child.wait_timeout(TEST_TIMEOUT).unwrap().unwrap_or_else(|| {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("process {} did not end within {TEST_TIMEOUT:?}", child.id());
    })
}

impl ProcessOutput {
    /// Reads `pipe` until no process holds its other end.
    pub fn read_from(pipe: impl Read + Send + 'static) -> ProcessOutput {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = String::new();
            while pipe.read_line(&mut line).unwrap() > 0 && sender.send(mem::take(&mut line)).is_ok() {}
        });
        ProcessOutput(lines)
    }

    /// The next line with its line end. `None` at the end.
    pub fn next_line(&self) -> Option<String> {
        match self.0.recv_timeout(TEST_TIMEOUT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no line was written, and the pipe not closed, within {TEST_TIMEOUT:?}")
            }
        }
    }

    /// The rest of the output.
    pub fn read_rest(&self) -> String {
        iter::from_fn(|| self.next_line()).collect()
    }
}

impl ServiceProcess {
    /// Starts `muster serve` on `data` with these settings, and waits until it logs that it is ready.
    pub fn start(data: &Path, environment: &[(&str, &str)]) -> ServiceProcess {
        ServiceProcess::spawn(&mut serve_command(data, environment))
    }

    /// As `start`, for a service that may refuse to start: then its exit status and its log.
    pub fn try_start(data: &Path, environment: &[(&str, &str)]) -> Result<ServiceProcess, (ExitStatus, String)> {
        ServiceProcess::try_spawn(&mut serve_command(data, environment))
    }

    /// Starts a command that serves, and waits until it logs that it is ready.
    pub fn spawn(command: &mut Command) -> ServiceProcess {
        ServiceProcess::try_spawn(command)
            .unwrap_or_else(|(status, log)| panic!("the service is not ready, it ended with {status} and:\n{log}"))
    }

    fn try_spawn(command: &mut Command) -> Result<ServiceProcess, (ExitStatus, String)> {
        let mut child = command.spawn().unwrap();
        // A test may have redirected the log.
        let log = child.stderr.take().map_or_else(|| ProcessOutput::read_from(io::empty()), ProcessOutput::read_from);
        let line = ProcessOutput::read_from(child.stdout.take().unwrap()).next_line().unwrap_or_default();
        match line.trim().strip_prefix("muster is ready on ") {
            Some(base) => Ok(ServiceProcess { child, base: base.to_owned(), client: client(), log: Some(log) }),
            None => {
                assert_eq!(line, "", "standard output is for the line that says where it serves");
                Err((wait_for_exit(&mut child), log.read_rest()))
            }
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn get(&self, path: &str) -> ServiceResponse {
        self.send(self.client.get(self.url(path))).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> ServiceResponse {
        self.try_post(path, body, "").await.unwrap()
    }

    /// As `post`, for when the service may be killed under it.
    pub async fn try_post(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
        request_id: &str,
    ) -> Result<ServiceResponse, reqwest::Error> {
        let mut request = self.client.post(self.url(path)).header("content-type", "application/json").body(body);
        if !request_id.is_empty() {
            request = request.header("x-request-id", request_id);
        }
        self.send(request).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<ServiceResponse, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(ServiceResponse { status, headers, text: response.text().await? })
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Kills the process, as a power cut would, and returns its log.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.wait_for_exit().1
    }

    /// Sends `signal` ("TERM", "INT"), waits for the end, and returns the exit status and the log.
    pub fn stop(self, signal: &str) -> (ExitStatus, String) {
        send_signal(self.pid(), signal);
        self.wait_for_exit()
    }

    /// Waits until the process ends by itself.
    pub fn wait_for_exit(mut self) -> (ExitStatus, String) {
        let status = wait_for_exit(&mut self.child);
        (status, self.log.take().unwrap().read_rest())
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        if self.log.is_some() {
            let _gone = self.child.kill();
            let _gone = self.child.wait();
        }
    }
}

impl ServiceResponse {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl WebhookReceiver {
    /// A receiver that accepts everything.
    pub async fn start() -> WebhookReceiver {
        WebhookReceiver::start_failing(|_| false).await
    }

    /// A receiver that answers 500 to the attempts that `fail` chooses by their number.
    pub async fn start_failing(fail: impl Fn(usize) -> bool + Send + Sync + 'static) -> WebhookReceiver {
        let inner = Arc::new(WebhookReceiverInner {
            deliveries: Mutex::default(),
            arrived: Notify::new(),
            fail: Box::new(fail),
        });
        let taking = inner.clone();
        let route = warp::post()
            .and(warp::path::full())
            .and(warp::header::<String>("webhook-id"))
            .and(warp::header::<u64>("x-muster-account-version"))
            .and(warp::body::bytes())
            .map(move |path: warp::path::FullPath, id, version, body: bytes::Bytes| {
                taking.record_delivery(path.as_str(), id, version, &body)
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(warp::serve(route).incoming(listener).run());
        WebhookReceiver { base, inner }
    }

    pub fn deliveries(&self) -> MutexGuard<'_, Vec<ReceivedDelivery>> {
        self.inner.deliveries.lock().unwrap()
    }

    /// Waits until `enough` holds for the attempts received.
    pub async fn wait_until(&self, what: &str, enough: impl Fn(&[ReceivedDelivery]) -> bool) {
        let is_there = comes_true(&self.inner.arrived, || enough(&self.deliveries())).await;
        assert!(is_there, "{what} did not arrive; these did: {:#?}", self.deliveries());
    }

    /// The accepted deliveries of one account, each id once, as `status/onlineStatus reason` or `register status`.
    pub fn accepted_payloads(&self, account: &str) -> Vec<String> {
        accepted_payloads(&self.deliveries(), account)
    }
}

/// The payloads of these deliveries, as [`WebhookReceiver::accepted_payloads`] returns them.
pub fn accepted_payloads(deliveries: &[ReceivedDelivery], account: &str) -> Vec<String> {
    let mut seen = HashMap::new();
    let accepted = deliveries.iter().filter(|it| it.was_accepted && seen.insert(it.id.clone(), ()).is_none());
    let of_account = accepted.filter(|it| it.body["whatsApp"] == account || it.body["phone"] == account);
    of_account.map(|it| summarize_payload(&it.body)).collect()
}

impl WebhookReceiverInner {
    fn record_delivery(&self, path: &str, id: String, version: u64, body: &[u8]) -> Response<&'static str> {
        let mut deliveries = self.deliveries.lock().unwrap();
        let was_accepted = !(self.fail)(deliveries.len());
        let body = serde_json::from_slice(body).unwrap();
        deliveries.push(ReceivedDelivery { path: path.to_owned(), id, version, body, was_accepted });
        self.arrived.notify_waiters();
        let status = if was_accepted { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        Response::builder().status(status).body(r#"{"data":"","code":200,"message":"success"}"#).unwrap()
    }
}

fn summarize_payload(body: &Value) -> String {
    match body.get("onlineStatus") {
        Some(online) => format!("{}/{online} {}", body["status"], body["reason"].as_str().unwrap()),
        None => format!("register {}", body["status"]),
    }
}

/// Waits until `is_so`, which is checked after each notification. False on a timeout.
pub async fn comes_true(changes: &Notify, is_so: impl Fn() -> bool) -> bool {
    let waiting = async {
        loop {
            let changed = changes.notified();
            if is_so() {
                return;
            }
            changed.await;
        }
    };
    timeout(TEST_TIMEOUT, waiting).await.is_ok()
}

/// Random choices from a seed that is printed. Set the environment variable named `seed` to it to repeat them.
pub fn random_choices(seed: &str) -> fastrand::Rng {
    let number = number(seed).unwrap_or_else(|| fastrand::u64(..));
    println!("{seed}={number}");
    fastrand::Rng::with_seed(number)
}

/// The number in a variable of the environment, if it is there.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// A client without proxies and redirects.
pub fn client() -> reqwest::Client {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(TEST_TIMEOUT).build().unwrap()
}

pub fn send_signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Compiles a C library to preload into a service; returns its path below `place`.
pub fn preloaded_library(place: &Path, source: &str) -> PathBuf {
    let library = place.join(format!("preloaded{DLL_SUFFIX}"));
    let mut compiler = Command::new("cc");
    // Fortified builds, the default of some distributions, replace the functions that are replaced here.
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-U_FORTIFY_SOURCE", "-o"]).arg(&library);
    compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).arg("-ldl");
    assert!(compiler.status().unwrap().success(), "{source} does not compile");
    library
}

/// All files below `directory`.
pub fn list_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(list_files(&path)) } else { found.push(path) }
    }
    found
}

/// Copies all files below `from`, with their modes, to the same places below `to`.
pub fn copy_files(from: &Path, to: &Path) {
    for path in list_files(from) {
        let copy = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(path, copy).unwrap();
    }
}

/// Everything in a journal.
pub fn read_all_records(journal: &Journal) -> Vec<JournalRecord> {
    let mut records: Vec<JournalRecord> = Vec::new();
    loop {
        let after = records.last().map_or(0, |last| last.position);
        let more = journal.read_after(after, READ_RECORDS).unwrap();
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}
