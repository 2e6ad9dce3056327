//! A gateway that follows the protocol: it carries out a repeated command once, and sends each report until it is
//! accepted. It lives through the kills of the service, and fails its responses as scripted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster::domain::Timestamp;
use muster::webhooks::signature::WebhookSecret;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::fake_graph::wire;
use crate::gateway_check::SECRET;
use crate::service_process::{ServiceResponse, client, comes_true};

const REPORTS: &str = "/gateway/v1/reports";

/// How the next command of a type is answered.
#[derive(Clone, Debug)]
pub enum ScriptedFault {
    /// The connection breaks before the command is carried out.
    BreakBefore,
    /// The connection breaks after the command is carried out.
    BreakAfter,
    /// No response comes; the command is not carried out.
    HangBefore,
    /// No response comes; the command is carried out.
    HangAfter,
    /// This response; the command is not carried out.
    Answer(u16, Value),
}

/// The gateway.
#[derive(Clone)]
pub struct ScriptedGateway {
    pub base: String,
    inner: Arc<ScriptedGatewayInner>,
}

struct ScriptedGatewayInner {
    state: Mutex<ScriptedGatewayState>,
    changed: Notify,
    client: reqwest::Client,
    asked: AtomicU64,
}

/// The state of the gateway.
#[derive(Default)]
pub struct ScriptedGatewayState {
    /// Commands in the order of arrival.
    pub arrived: Vec<Value>,
    /// How many times each command id was carried out.
    pub done: BTreeMap<String, u32>,
    /// By command type: the faults of the next commands.
    pub faults: BTreeMap<&'static str, VecDeque<ScriptedFault>>,
    /// The session of each account.
    pub sessions: BTreeMap<String, u64>,
    /// Reports that are not accepted yet.
    pub outbox: VecDeque<Value>,
    pub sequence: u64,
    /// How many report streams followed the first one.
    streams_followed: u64,
    /// The URL that reports go to.
    muster: String,
    /// Whether reports are held back.
    pub is_silent: bool,
}

impl ScriptedGateway {
    pub async fn start() -> ScriptedGateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(ScriptedGatewayInner {
            state: Mutex::default(),
            changed: Notify::new(),
            client: client(),
            asked: AtomicU64::new(0),
        });
        let gateway = ScriptedGateway { base, inner };
        let serving = gateway.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().connection(stream));
            }
        });
        tokio::spawn(gateway.clone().send_reports());
        gateway
    }

    pub fn state(&self) -> MutexGuard<'_, ScriptedGatewayState> {
        self.inner.state.lock().unwrap()
    }

    pub fn set_report_target(&self, muster: &str) {
        muster.clone_into(&mut self.state().muster);
        self.inner.changed.notify_waiters();
    }

    pub fn fault(&self, kind: &'static str, faults: &[ScriptedFault]) {
        self.state().faults.entry(kind).or_default().extend(faults.iter().cloned());
    }

    /// Sends reports, or holds them back.
    pub fn set_silent(&self, is_silent: bool) {
        self.state().is_silent = is_silent;
        self.inner.changed.notify_waiters();
    }

    /// Waits until `enough` holds for its state.
    pub async fn wait_until(&self, what: &str, enough: impl Fn(&ScriptedGatewayState) -> bool) {
        let is_there = comes_true(&self.inner.changed, || enough(&self.state())).await;
        assert!(is_there, "{what} did not come; this did: {:#?}", self.state().arrived);
    }

    /// How many commands of a type arrived.
    pub fn count_arrived(&self, kind: &str) -> usize {
        self.state().arrived.iter().filter(|command| command["type"] == kind).count()
    }

    /// Each command was carried out once.
    pub fn assert_executed_once(&self) {
        let state = self.state();
        let twice: Vec<_> = state.done.iter().filter(|(_, times)| **times != 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    /// Carries a command out, unless it has done so already, and reports the result.
    pub fn execute(&self, command: &Value) {
        let mut state = self.state();
        let id = command["id"].as_str().unwrap().to_owned();
        if state.done.contains_key(&id) {
            return;
        }
        *state.done.entry(id).or_default() += 1;
        let account = command["account"].as_str().unwrap_or_default().to_owned();
        match command["type"].as_str().unwrap() {
            "connect" => {
                let session = command["session"].as_u64().unwrap();
                state.sessions.insert(account.clone(), session);
                let code = format!("I-{session}");
                state.report(
                    json!({"account": account, "type": "connected", "session": session, "instance_code": code}),
                );
            }
            "disconnect" => {
                state.sessions.remove(&account);
                let session = command["session"].clone();
                state.report(json!({"account": account, "type": "disconnected", "session": session, "reason": ""}));
            }
            "request_code" => {
                state.report(json!({"account": account, "type": "code_sent", "task": command["task"]}));
            }
            "submit_code" if command["code"] == "123456" => {
                state.report(json!({"account": account, "type": "registered", "task": command["task"]}));
            }
            "submit_code" => {
                let report = json!({"account": account, "type": "registration_failed", "task": command["task"],
                    "attempt": command["attempt"], "reason": "wrong code"});
                state.report(report);
            }
            other => panic!("{other} is no command with an effect"),
        }
        drop(state);
        self.inner.changed.notify_waiters();
    }

    /// Sends a request with a signature as of now, and a request id of its own.
    pub async fn send_signed(&self, method: &str, target: &str, body: &str) -> Result<ServiceResponse, reqwest::Error> {
        let id = format!("ask-{}", self.inner.asked.fetch_add(1, Ordering::Relaxed));
        self.send_with_headers(
            method,
            target,
            body,
            &signature_headers(&WebhookSecret::parse(SECRET).unwrap(), &id, now(), target, body),
        )
        .await
    }

    pub async fn send_with_headers(
        &self,
        method: &str,
        target: &str,
        body: &str,
        headers: &[(&str, String)],
    ) -> Result<ServiceResponse, reqwest::Error> {
        let url = format!("{}{target}", self.state().muster);
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.inner.client.request(method, url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.body(body.to_owned()).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(ServiceResponse { status, headers, text: response.text().await? })
    }

    /// Fetches commands; a listing of sessions is answered on the way.
    pub async fn fetch(&self, query: &str) -> Vec<Value> {
        loop {
            let (work, is_listed) = self.fetch_and_list(query).await;
            if !work.is_empty() || !is_listed {
                return work;
            }
        }
    }

    /// Fetches until a listing of sessions was asked for, as at each start.
    pub async fn answer_listing(&self) {
        while !self.fetch_and_list("wait=5").await.1 {}
    }

    /// The fetched commands, and whether a listing was among them.
    async fn fetch_and_list(&self, query: &str) -> (Vec<Value>, bool) {
        let answer = self.send_signed("GET", &format!("/gateway/v1/work?{query}"), "").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        let all = answer.json()["work"].as_array().unwrap().clone();
        let (lists, work): (Vec<Value>, Vec<Value>) =
            all.into_iter().partition(|item| item["command"]["type"] == "list_sessions");
        for list in &lists {
            self.acknowledge(&json!([self.make_ack(list)])).await;
        }
        self.state().arrived.extend(work.iter().map(|item| item["command"].clone()));
        (work, !lists.is_empty())
    }

    /// The acknowledgement of a command, with the sessions if it is a listing.
    fn make_ack(&self, item: &Value) -> Value {
        let mut ack = json!({"lease": item["lease"]});
        if item["command"]["type"] == "list_sessions" {
            let page = self.session_page(&item["command"]);
            ack.as_object_mut().unwrap().extend(page.as_object().unwrap().clone());
        }
        ack
    }

    /// Acknowledges commands.
    pub async fn acknowledge(&self, acks: &Value) -> Value {
        let answer =
            self.send_signed("POST", "/gateway/v1/work/acks", &json!({"acks": acks}).to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Fetches, carries out and acknowledges commands until it is stopped.
    pub async fn run_pull(self) {
        loop {
            let Ok(answer) = self.send_signed("GET", "/gateway/v1/work?wait=5", "").await else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            let work = answer.json()["work"].as_array().cloned().unwrap_or_default();
            for item in work {
                self.state().arrived.push(item["command"].clone());
                if item["command"]["type"] != "list_sessions" {
                    self.execute(&item["command"]);
                }
                let acks = json!({"acks": [self.make_ack(&item)]}).to_string();
                // A lost acknowledgement leads to the same command, which is not carried out again.
                let _lost = self.send_signed("POST", "/gateway/v1/work/acks", &acks).await;
            }
        }
    }

    /// Sends reports, one batch at a time, until each is accepted.
    async fn send_reports(self) {
        loop {
            let changed = self.inner.changed.notified();
            let batch = {
                let state = self.state();
                let may = !state.is_silent && !state.muster.is_empty() && !state.outbox.is_empty();
                may.then(
                    || json!({"stream": state.stream(), "reports": state.outbox.iter().take(100).collect::<Vec<_>>()}),
                )
            };
            let Some(batch) = batch else {
                changed.await;
                continue;
            };
            match self.send_signed("POST", REPORTS, &batch.to_string()).await {
                Ok(answer) if answer.status == 200 => {
                    let taken = answer.json()["acknowledged"].as_u64().unwrap();
                    self.state().outbox.retain(|report| report["sequence"].as_u64().unwrap() > taken);
                    self.inner.changed.notify_waiters();
                }
                Ok(answer) if answer.status != 503 => panic!("{}", answer.text),
                // The service is down for a moment.
                Ok(_) | Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn connection(self, mut stream: TcpStream) {
        let secret = WebhookSecret::parse(SECRET).unwrap();
        let mut buffer = Vec::new();
        while let Some(request) = wire::read(&mut stream, &mut buffer).await {
            assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/gateway/v1/commands"));
            let header = |name: &str| request.headers[name].as_str();
            let command: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(command["id"], header("webhook-id"));
            let (timestamp, signature) = (header("webhook-timestamp"), header("webhook-signature"));
            let body = request.body.as_bytes();
            secret.verify(header("webhook-id"), timestamp, signature, body, now()).unwrap();
            let kind = command["type"].as_str().unwrap().to_owned();
            let fault = {
                let mut state = self.state();
                state.arrived.push(command.clone());
                state.faults.get_mut(kind.as_str()).and_then(VecDeque::pop_front)
            };
            let is_done = matches!(fault, None | Some(ScriptedFault::BreakAfter | ScriptedFault::HangAfter));
            if is_done && kind != "list_sessions" {
                self.execute(&command);
            }
            self.inner.changed.notify_waiters();
            let (status, answer) = match fault {
                Some(ScriptedFault::BreakBefore | ScriptedFault::BreakAfter) => return,
                Some(ScriptedFault::HangBefore | ScriptedFault::HangAfter) => return std::future::pending().await,
                Some(ScriptedFault::Answer(status, answer)) => (status, answer),
                None if kind == "list_sessions" => (200, self.session_page(&command)),
                None => (202, json!({"accepted": true})),
            };
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n\r\n", answer.len());
            if stream.write_all(format!("{head}{answer}").as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// A page of the session listing.
    pub fn session_page(&self, command: &Value) -> Value {
        let state = self.state();
        let after = command["after"].as_str().unwrap_or_default();
        let sessions: Vec<Value> = state
            .sessions
            .iter()
            .filter(|(account, _)| account.as_str() > after)
            .map(|(account, session)| {
                let code = format!("I-{session}");
                json!({"account": account, "session": session, "state": "connected", "instance_code": code})
            })
            .collect();
        json!({"sessions": sessions, "next": null})
    }
}

impl ScriptedGatewayState {
    /// Puts a report into the outbox.
    pub fn report(&mut self, mut report: Value) {
        self.sequence += 1;
        report["sequence"] = self.sequence.into();
        report["time"] = "2026-11-25T03:41:00Z".into();
        self.outbox.push_back(report);
    }

    /// Starts another report stream, as a gateway does that got the answer `gap`.
    pub fn start_stream(&mut self) {
        self.streams_followed += 1;
        self.sequence = 0;
        for report in std::mem::take(&mut self.outbox) {
            self.report(report);
        }
    }

    fn stream(&self) -> String {
        match self.streams_followed {
            0 => "7f3a".to_owned(),
            followed => format!("7f3a-{followed}"),
        }
    }
}

/// The headers that sign a request.
pub fn signature_headers(
    secret: &WebhookSecret,
    id: &str,
    at: Timestamp,
    target: &str,
    body: &str,
) -> Vec<(&'static str, String)> {
    let signed = if body.is_empty() { target } else { body };
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", (at.0 / 1_000_000).to_string()),
        ("webhook-signature", secret.sign(id, at, signed.as_bytes())),
    ]
}

pub fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap())
}
