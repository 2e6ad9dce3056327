//! Answers the gateway's requests in Muster's place, as the checks require.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::audit::{parse_time, write_time};
use crate::clock;
use crate::domain::AccountNumber;
use crate::limits::{CHECK_BODY_BYTES, CHECK_WORK_WAIT, REPORT_BATCH_SIZE};
use crate::webhooks::signature::WebhookSecret;

/// Muster's side of the protocol, as the gateway sees it.
pub(super) struct GatewayRequestHandler {
    secret: WebhookSecret,
    state: Mutex<HandlerState>,
    changes: watch::Sender<u64>,
}

/// What the gateway sent so far, and how to answer it next.
#[derive(Default)]
pub(super) struct HandlerState {
    /// The outcomes of the next batches of reports, in order. The batches after them are accepted.
    pub(super) scripted_outcomes: VecDeque<BatchOutcome>,
    /// All received batches, accepted or not.
    pub(super) batches: Vec<ReceivedBatch>,
    /// The accepted reports, in order.
    pub(super) reports: Vec<Value>,
    /// The violations of the protocol in all requests so far.
    pub(super) violations: Vec<ProtocolViolation>,
    /// Whether the gateway requested work.
    pub(super) has_fetched: bool,
    stream: Option<String>,
    last_sequence: u64,
    seen_signatures: HashSet<String>,
    work: VecDeque<WorkEntry>,
    leased: Vec<(String, WorkEntry)>,
    leases: u64,
}

/// The outcome of a batch of reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BatchOutcome {
    Accepted,
    /// The response is 503.
    Unavailable,
    /// The batch gets no response.
    Lost,
    /// The response claims that earlier reports are missing.
    Gap,
}

/// A received batch of reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ReceivedBatch {
    pub(super) id: String,
    pub(super) signature: String,
    pub(super) first_sequence: u64,
    pub(super) outcome: BatchOutcome,
}

/// A violation of the protocol in a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ProtocolViolation {
    /// In its signature.
    Signature(String),
    /// In its stream or its sequences.
    Sequence(String),
    /// In its format.
    Format(String),
}

/// A command for the gateway to fetch.
#[derive(Clone, Debug)]
struct WorkEntry {
    command: Value,
    delivery: u32,
    /// Whether the response to the first acknowledgement says that the lease has expired.
    expire_first_lease: bool,
    ack: watch::Sender<Option<Value>>,
}

impl GatewayRequestHandler {
    pub(super) fn new(secret: WebhookSecret) -> Arc<GatewayRequestHandler> {
        Arc::new(GatewayRequestHandler { secret, state: Mutex::default(), changes: watch::Sender::new(0) })
    }

    /// Serves requests of the gateway. Never returns.
    pub(super) async fn serve(self: Arc<GatewayRequestHandler>, listener: TcpListener) {
        loop {
            let Ok((connection, _)) = listener.accept().await else { continue };
            let handler = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| handler.clone().handle_request(request));
                // A broken connection needs no handling: the gateway opens another one.
                let _broken = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
            });
        }
    }

    /// Reads or changes the state, and wakes all waiters.
    pub(super) fn with_state<T>(&self, access: impl FnOnce(&mut HandlerState) -> T) -> T {
        let result = access(&mut self.lock());
        self.changes.send_modify(|changes| *changes += 1);
        result
    }

    /// Waits until `find` finds something in the state. `None` if that takes longer than `within`.
    pub(super) async fn wait_until<T>(&self, within: Duration, find: impl Fn(&HandlerState) -> Option<T>) -> Option<T> {
        let mut changes = self.changes.subscribe();
        let found = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = find(&self.lock()) {
                    return found;
                }
                // Cannot fail, because `self` holds the sender.
                let _changed = changes.changed().await;
            }
        };
        timeout(within, found).await.ok()
    }

    /// Offers a command for fetching, and waits for its acknowledgement. `None` if that takes longer than `within`.
    pub(super) async fn lease_command(
        &self,
        command: Value,
        expire_first_lease: bool,
        within: Duration,
    ) -> Option<Value> {
        let sender = watch::Sender::new(None);
        let mut receiver = sender.subscribe();
        self.with_state(|state| {
            state.work.push_back(WorkEntry { command, delivery: 1, expire_first_lease, ack: sender });
        });
        let ack = timeout(within, receiver.wait_for(Option::is_some)).await.ok()?.ok()?;
        ack.clone()
    }

    async fn handle_request(
        self: Arc<GatewayRequestHandler>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let (head, body) = request.into_parts();
        let body =
            Limited::new(body, CHECK_BODY_BYTES).collect().await.map_err(|_| "the body does not end")?.to_bytes();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let signed_bytes = if head.method == Method::GET { target.as_bytes() } else { &body };
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
        let respond = |status: StatusCode, body: &Value| Ok(json_response(status, body));
        if let Err(fault) = self.verify_signature(id, timestamp, signature, signed_bytes) {
            self.with_state(|state| {
                state.violations.push(ProtocolViolation::Signature(format!("{} {target}: {fault}", head.method)));
            });
            return respond(StatusCode::UNAUTHORIZED, &error_body("unsigned", &fault));
        }
        match (&head.method, head.uri.path()) {
            (&Method::POST, "/gateway/v1/reports") => match self.handle_reports(id, signature, &body) {
                Some((status, body)) => respond(status, &body),
                None => Err("the response is dropped, as this check requires"),
            },
            (&Method::GET, "/gateway/v1/work") => respond(StatusCode::OK, &self.handle_work().await),
            (&Method::POST, "/gateway/v1/work/acks") => {
                let (status, body) = self.handle_acks(&body);
                respond(status, &body)
            }
            (method, path) => {
                self.with_state(|state| {
                    state
                        .violations
                        .push(ProtocolViolation::Format(format!("{method} {path} is not an endpoint of Muster")));
                });
                respond(StatusCode::NOT_FOUND, &error_body("not_found", "no such path"))
            }
        }
    }

    fn verify_signature(&self, id: &str, timestamp: &str, signature: &str, signed_bytes: &[u8]) -> Result<(), String> {
        self.secret.verify(id, timestamp, signature, signed_bytes, clock::now()).map_err(|why| why.to_string())?;
        let is_new = self.lock().seen_signatures.insert(format!("{id} {timestamp} {signature}"));
        if is_new { Ok(()) } else { Err("an exact copy of a request arrived; sign each attempt again".to_owned()) }
    }

    /// Processes a batch of reports. `None` means that no response is sent.
    fn handle_reports(&self, id: &str, signature: &str, body: &[u8]) -> Option<(StatusCode, Value)> {
        let (stream, reports) = match parse_batch(body) {
            Ok(batch) => batch,
            Err(why) => {
                self.with_state(|state| {
                    state.violations.push(ProtocolViolation::Format(format!("POST /gateway/v1/reports: {why}")));
                });
                return Some((StatusCode::BAD_REQUEST, error_body("malformed", &why)));
            }
        };
        let first = reports.first().map_or(0, |(sequence, _)| *sequence);
        self.with_state(|state| {
            let outcome = state.scripted_outcomes.pop_front().unwrap_or(BatchOutcome::Accepted);
            state.batches.push(ReceivedBatch {
                id: id.to_owned(),
                signature: signature.to_owned(),
                first_sequence: first,
                outcome,
            });
            match outcome {
                BatchOutcome::Unavailable => {
                    Some((StatusCode::SERVICE_UNAVAILABLE, error_body("overloaded", "retry later")))
                }
                BatchOutcome::Lost => None,
                BatchOutcome::Gap => Some((StatusCode::CONFLICT, gap_error(first))),
                BatchOutcome::Accepted => Some(state.accept_reports(stream, reports)),
            }
        })
    }

    /// Answers a request for work: with the waiting commands, or with an empty list after [`CHECK_WORK_WAIT`].
    async fn handle_work(&self) -> Value {
        self.with_state(|state| state.has_fetched = true);
        self.wait_until(CHECK_WORK_WAIT, |state| (!state.work.is_empty()).then_some(())).await;
        let lease_until = write_time(clock::now().plus(CHECK_WORK_WAIT));
        self.with_state(|state| {
            let mut items = Vec::new();
            while let Some(work) = state.work.pop_front() {
                state.leases += 1;
                let lease = format!("lease-{}", state.leases);
                items.push(json!({
                    "lease": lease,
                    "delivery": work.delivery,
                    "lease_until": lease_until,
                    "command": work.command,
                    "of_a_later_version": true,
                }));
                state.leased.push((lease, work));
            }
            json!({"work": items})
        })
    }

    fn handle_acks(&self, body: &[u8]) -> (StatusCode, Value) {
        let parsed: Result<Value, _> = serde_json::from_slice(body);
        let acks = parsed.ok().and_then(|body| body.get("acks").and_then(Value::as_array).cloned());
        let Some(acks) = acks else {
            let why = "POST /gateway/v1/work/acks: the body must be {\"acks\":[…]}";
            self.with_state(|state| state.violations.push(ProtocolViolation::Format(why.to_owned())));
            return (StatusCode::BAD_REQUEST, error_body("malformed", why));
        };
        self.with_state(|state| {
            let mut unknown = Vec::new();
            for ack in &acks {
                let lease = ack.get("lease").and_then(Value::as_str).unwrap_or_default();
                let Some(at) = state.leased.iter().position(|(known, _)| known == lease) else {
                    unknown.push(lease.to_owned());
                    continue;
                };
                let (_, mut work) = state.leased.swap_remove(at);
                if std::mem::take(&mut work.expire_first_lease) {
                    unknown.push(lease.to_owned());
                    work.delivery += 1;
                    state.work.push_back(work);
                } else {
                    work.ack.send_replace(Some(ack.clone()));
                }
            }
            (StatusCode::OK, json!({"acknowledged": acks.len() - unknown.len(), "unknown": unknown}))
        })
    }

    // If a thread panicked while it held the lock, the state is still usable.
    fn lock(&self) -> MutexGuard<'_, HandlerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandlerState {
    /// Accepts the new reports of a batch, as Muster would. Stops at a gap in their sequences.
    fn accept_reports(&mut self, stream: String, reports: Vec<(u64, Value)>) -> (StatusCode, Value) {
        match &self.stream {
            Some(known) if *known != stream => {
                self.violations
                    .push(ProtocolViolation::Sequence("the stream changed while the gateway ran".to_owned()));
                (self.stream, self.last_sequence) = (Some(stream), 0);
            }
            Some(_) => {}
            // The first sequence may be any number, because an earlier run may have accepted the reports before it.
            None => {
                self.stream = Some(stream);
                self.last_sequence = reports.first().map_or(0, |(sequence, _)| sequence - 1);
            }
        }
        let (mut recorded, mut duplicates) = (0, 0);
        for (sequence, report) in reports {
            if sequence <= self.last_sequence {
                duplicates += 1;
            } else if sequence == self.last_sequence + 1 {
                (self.last_sequence, recorded) = (sequence, recorded + 1);
                self.reports.push(report);
            } else {
                let fault = format!("sequence {sequence} arrived, but {} was expected", self.last_sequence + 1);
                self.violations.push(ProtocolViolation::Sequence(fault));
                return (StatusCode::CONFLICT, gap_error(self.last_sequence + 1));
            }
        }
        let body = json!({
            "stream": self.stream,
            "acknowledged": self.last_sequence,
            "recorded": recorded,
            "duplicates": duplicates,
            "ignored": [],
            "of_a_later_version": true,
        });
        (StatusCode::OK, body)
    }
}

/// Each type of report with its required fields.
const REPORT_TYPES: [(&str, &[&str]); 7] = [
    ("connected", &[]),
    ("disconnected", &["reason"]),
    ("banned", &["reason"]),
    ("ban_lifted", &[]),
    ("code_sent", &["task"]),
    ("registered", &["task"]),
    ("registration_failed", &["task", "reason"]),
];

/// Parses a body into its stream and its reports, each with its sequence.
fn parse_batch(body: &[u8]) -> Result<(String, Vec<(u64, Value)>), String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let is_stream = |stream: &&str| (1..=64).contains(&stream.len()) && stream.bytes().all(|it| it.is_ascii_graphic());
    let stream = body.get("stream").and_then(Value::as_str).filter(is_stream);
    let stream = stream.ok_or("stream must be 1 to 64 visible ASCII characters")?.to_owned();
    let reports = body.get("reports").and_then(Value::as_array).ok_or("reports is missing")?;
    if !(1..=REPORT_BATCH_SIZE).contains(&reports.len()) {
        return Err(format!("reports must be 1 to {REPORT_BATCH_SIZE}, not {}", reports.len()));
    }
    let reports = reports
        .iter()
        .enumerate()
        .map(|(at, report)| parse_report(report).map_err(|why| format!("reports[{at}]{why}")));
    let reports: Vec<(u64, Value)> = reports.collect::<Result<_, _>>()?;
    let is_rising = reports.windows(2).all(|pair| pair[0].0.checked_add(1) == Some(pair[1].0));
    if is_rising { Ok((stream, reports)) } else { Err("the sequences in a batch do not rise by one".to_owned()) }
}

/// Reads the sequence of a report and checks its fields. The error text continues the report's path.
fn parse_report(report: &Value) -> Result<(u64, Value), String> {
    let text = |field: &str| report.get(field).and_then(Value::as_str);
    let number = |field: &str| report.get(field).and_then(Value::as_u64).filter(|number| *number > 0);
    let sequence = number("sequence").ok_or(".sequence must be a number from 1")?;
    text("time").and_then(parse_time).ok_or(".time must be an RFC 3339 time")?;
    let kind = text("type").ok_or(".type must be a string of lower-case letters and underscores")?;
    // Reports of other types are accepted without a check of their fields.
    let Some((kind, required)) = REPORT_TYPES.iter().find(|(known, _)| *known == kind) else {
        return Ok((sequence, report.clone()));
    };
    text("account")
        .and_then(|it| it.parse::<AccountNumber>().ok())
        .ok_or(".account must be a string with a number's digits")?;
    for field in *required {
        let is_there = if *field == "task" { number(field).is_some() } else { text(field).is_some() };
        if !is_there {
            return Err(format!(".{field} is missing, but required in {kind}"));
        }
    }
    Ok((sequence, report.clone()))
}

fn gap_error(expected: u64) -> Value {
    json!({"error": {"code": "gap", "message": "a sequence is missing", "expected": expected}})
}

fn error_body(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

fn json_response(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}
