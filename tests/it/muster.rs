//! The real binary in a child process, and a real receiver for its webhooks.

use std::collections::HashMap;
use std::env::consts::DLL_SUFFIX;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{iter, mem, thread};

use muster::journal::{Journal, Recorded};
use muster::limits::READ_RECORDS;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use wait_timeout::ChildExt;
use warp::Filter;
use warp::http::{Response, StatusCode};

pub use crate::testkit::fixture::directory;

/// How long anything may take before a test says that it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running service. Killed when dropped.
pub struct Muster {
    child: Child,
    base: String,
    client: reqwest::Client,
    log: Option<Output>,
}

/// What a child process writes to a pipe. A thread reads it, so that every wait for it has a limit.
pub struct Output(mpsc::Receiver<String>);

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

/// The binary with a clean environment.
pub fn muster(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `muster serve` on `data` with these settings, on a free port.
pub fn serve(data: &Path, environment: &[(&str, &str)]) -> Command {
    muster(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()], environment)
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    run_to_end(&mut muster(arguments, environment))
}

/// Runs any command to its end: exit code, stdout, stderr.
pub fn run_to_end(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (Output::of(child.stdout.take().unwrap()), Output::of(child.stderr.take().unwrap()));
    let status = wait(&mut child);
    (status.code(), stdout.rest(), stderr.rest())
}

/// Waits until a child process ends. One that hangs is killed, and fails the test.
pub fn wait(child: &mut Child) -> ExitStatus {
    child.wait_timeout(PATIENCE).unwrap().unwrap_or_else(|| {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("process {} did not end within {PATIENCE:?}", child.id());
    })
}

impl Output {
    /// Reads `pipe` until no process holds its other end.
    pub fn of(pipe: impl Read + Send + 'static) -> Output {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = String::new();
            while pipe.read_line(&mut line).unwrap() > 0 && sender.send(mem::take(&mut line)).is_ok() {}
        });
        Output(lines)
    }

    /// The next line with its line end. `None` at the end.
    pub fn line(&self) -> Option<String> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no line was written, and the pipe not closed, within {PATIENCE:?}")
            }
        }
    }

    /// What is left of it.
    pub fn rest(&self) -> String {
        iter::from_fn(|| self.line()).collect()
    }
}

impl Muster {
    /// Starts `muster serve` on `data` with these settings, and waits until it says that it is ready.
    pub fn start(data: &Path, environment: &[(&str, &str)]) -> Muster {
        Muster::spawn(&mut serve(data, environment))
    }

    /// As `start`, for a service that may refuse to start: then how it ended, and its log.
    pub fn try_start(data: &Path, environment: &[(&str, &str)]) -> Result<Muster, (ExitStatus, String)> {
        Muster::try_spawn(&mut serve(data, environment))
    }

    /// Starts a command that serves, and waits until it says that it is ready.
    pub fn spawn(command: &mut Command) -> Muster {
        Muster::try_spawn(command)
            .unwrap_or_else(|(status, log)| panic!("the service is not ready, it ended with {status} and:\n{log}"))
    }

    fn try_spawn(command: &mut Command) -> Result<Muster, (ExitStatus, String)> {
        let mut child = command.spawn().unwrap();
        // A test may have taken the log elsewhere.
        let log = child.stderr.take().map_or_else(|| Output::of(io::empty()), Output::of);
        let line = Output::of(child.stdout.take().unwrap()).line().unwrap_or_default();
        match line.trim().strip_prefix("muster is ready on ") {
            Some(base) => Ok(Muster { child, base: base.to_owned(), client: client(), log: Some(log) }),
            None => {
                assert_eq!(line, "", "standard output is for the line that says where it serves");
                Err((wait(&mut child), log.rest()))
            }
        }
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
        self.ended().1
    }

    /// Asks the process to stop by `signal` ("TERM", "INT"), and returns how it ended and its log.
    pub fn stop(self, signal: &str) -> (ExitStatus, String) {
        send_signal(self.pid(), signal);
        self.ended()
    }

    /// Waits until the process ends by itself.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        (status, self.log.take().unwrap().rest())
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
        let is_there = comes_true(&self.inner.arrived, || enough(&self.deliveries())).await;
        assert!(is_there, "{what} did not arrive; these did: {:#?}", self.deliveries());
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

/// Waits until it `is_so`, which may be after each of these changes. False if that takes too long.
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
    timeout(PATIENCE, waiting).await.is_ok()
}

/// Random choices. The number that is printed repeats them, once it is in this variable of the environment.
pub fn random_choices(seed: &str) -> fastrand::Rng {
    let number = number(seed).unwrap_or_else(|| fastrand::u64(..));
    println!("{seed}={number}");
    fastrand::Rng::with_seed(number)
}

/// The number in a variable of the environment, if it is there.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
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

/// Compiles a C library, to be preloaded into a service, and returns its path below `place`.
pub fn preloaded_library(place: &Path, source: &str) -> PathBuf {
    let library = place.join(format!("preloaded{DLL_SUFFIX}"));
    let mut compiler = Command::new("cc");
    // Distributions that fortify by default replace the very functions that are replaced here.
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-U_FORTIFY_SOURCE", "-o"]).arg(&library);
    compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).arg("-ldl");
    assert!(compiler.status().unwrap().success(), "{source} does not compile");
    library
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

/// Copies all files below `from`, with their modes, to the same places below `to`.
pub fn copy_files(from: &Path, to: &Path) {
    for path in files(from) {
        let copy = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(path, copy).unwrap();
    }
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
