//! Traces, from outside: spans at a collector, headers at receivers, lines in the log. No work waits for a collector.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ::muster::limits::COLLECTOR_TIMEOUT;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::Notify;
use tokio::time::timeout;
use warp::Filter;
use warp::http::{HeaderMap, Response};

use crate::service_process::{ServiceProcess, ServiceResponse, TEST_TIMEOUT, temp_directory};
use crate::testkit::requests::{ONLINE, account_with, list};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
const NUMBER: &str = "861821726232";
const SECRET: &str = "made-up-private-key";
const TOKEN: &str = "made-up-collector-token";

/// Records every POST: a collector, or a webhook receiver.
struct RecordingServer {
    base: String,
    taken: Arc<RecordedRequests>,
}

struct RecordedRequests {
    requests: Mutex<Vec<(HeaderMap, Bytes)>>,
    arrived: Notify,
    /// The status of its responses.
    status: AtomicU16,
}

impl RecordingServer {
    async fn start(status: u16) -> RecordingServer {
        let taken =
            RecordedRequests { requests: Mutex::default(), arrived: Notify::new(), status: AtomicU16::new(status) };
        let taken = Arc::new(taken);
        let taking = taken.clone();
        let route = warp::post().and(warp::header::headers_cloned()).and(warp::body::bytes()).map(
            move |headers: HeaderMap, body: Bytes| {
                let is_collector = headers["content-type"] == "application/x-protobuf";
                taking.requests.lock().unwrap().push((headers, body));
                taking.arrived.notify_waiters();
                let answer = if is_collector { "" } else { r#"{"code":200}"# };
                Response::builder().status(taking.status.load(Ordering::Relaxed)).body(answer).unwrap()
            },
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(warp::serve(route).incoming(listener).run());
        RecordingServer { base, taken }
    }

    fn requests(&self) -> Vec<(HeaderMap, Bytes)> {
        self.taken.requests.lock().unwrap().clone()
    }

    /// Waits until it has recorded this many.
    async fn wait_for_requests(&self, count: usize) {
        let waiting = async {
            loop {
                let arrived = self.taken.arrived.notified();
                if self.requests().len() >= count {
                    return;
                }
                arrived.await;
            }
        };
        timeout(TEST_TIMEOUT, waiting)
            .await
            .unwrap_or_else(|_| panic!("{count} did not arrive: {:?}", self.requests()));
    }

    /// All spans received, and the resource attributes of their sender.
    fn spans(&self) -> (Vec<Span>, HashMap<String, String>) {
        let (mut spans, mut about) = (Vec::new(), HashMap::new());
        for (_, body) in self.requests() {
            for of_service in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
                let attributes = of_service.resource.unwrap().attributes.into_iter();
                about.extend(attributes.map(|it| (it.key, text(it.value.unwrap().value.unwrap()))));
                spans.extend(of_service.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        (spans, about)
    }
}

fn text(value: Value) -> String {
    if let Value::IntValue(number) = value {
        return number.to_string();
    }
    let Value::StringValue(text) = value else { panic!("{value:?}") };
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|it| it.key == key).and_then(|it| it.value.clone()?.value);
    text(found.unwrap_or_else(|| panic!("no {key} in {span:?}")))
}

/// Imports an account by an online request.
async fn bring_online(muster: &ServiceProcess, headers: &[(&str, &str)]) -> ServiceResponse {
    let body = list([account_with(NUMBER, &serde_json::json!({"privateKey": SECRET}))]);
    let url = muster.url(ONLINE);
    let request = muster.client().post(url).header("content-type", "application/json").body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = muster.send(request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

async fn stop(muster: ServiceProcess) -> String {
    let (status, log) = tokio::task::spawn_blocking(move || muster.stop("TERM")).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    log
}

/// A caller's trace goes through the service to the receiver.
#[tokio::test]
async fn one_tree() {
    let (collector, receiver) = (RecordingServer::start(200).await, RecordingServer::start(200).await);
    let data = temp_directory();
    let settings = [
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_TELEMETRY__OTLP_ENDPOINT", collector.base.as_str()),
        ("MUSTER_TELEMETRY__OTLP_HEADERS", &format!("authorization=Bearer {TOKEN}")),
        ("MUSTER_TELEMETRY__SERVICE_NAME", "roll"),
        // The caller's sampled flag counts.
        ("MUSTER_TELEMETRY__SAMPLE_RATIO", "0"),
        ("MUSTER_LOG__FORMAT", "json"),
    ];
    let muster = ServiceProcess::start(data.path(), &settings);
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let answer = bring_online(&muster, &[("traceparent", &parent), ("tracestate", STATE)]).await;
    assert!(answer.headers.iter().all(|(name, _)| !name.as_str().starts_with("trace")));
    // Two webhooks: online-coming, and online.
    receiver.wait_for_requests(2).await;
    muster.get("/api/v1/accounts/861821726232").await;
    let log = stop(muster).await;

    let (spans, about) = collector.spans();
    assert_eq!(
        (about["service.name"].as_str(), about["service.version"].as_str()),
        ("roll", env!("CARGO_PKG_VERSION"))
    );
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "what nobody asked for is not sampled: {spans:#?}");
    let below = |parent: &[u8], name: &str| {
        let found: Vec<&Span> = spans.iter().filter(|it| it.parent_span_id == parent && it.name == name).collect();
        let [found] = found[..] else { panic!("{} of {name} below {}: {spans:#?}", found.len(), hex(parent)) };
        found
    };
    let caller: Vec<u8> = u64::from_str_radix(CALLER, 16).unwrap().to_be_bytes().to_vec();
    let request = below(&caller, "POST /group-dispatch-api/whatsapp/batchOnline");
    assert_eq!((request.kind, request.trace_state.as_str()), (2, STATE));
    assert_eq!(attribute(request, "http.response.status_code"), "200");
    let command = below(&request.span_id, "bring_online");
    let commit = below(&command.span_id, "commit");
    let webhook = below(&commit.span_id, "webhook");
    assert_eq!((webhook.kind, attribute(webhook, "muster.account").as_str()), (3, "861******232"));
    let asked = below(&commit.span_id, "gateway");
    let report = below(&asked.span_id, "report");
    let online = below(&below(&report.span_id, "commit").span_id, "webhook");
    assert_eq!(spans.len(), 8, "{spans:#?}");

    let received: Vec<_> = receiver.requests().into_iter().map(|(headers, _)| headers).collect();
    for (headers, span) in received.iter().zip([webhook, online]) {
        assert_eq!(headers["traceparent"], format!("00-{TRACE}-{}-01", hex(&span.span_id)));
        assert_eq!(headers["tracestate"], STATE);
        // Long digit sequences are masked in spans, and an id in hex may contain one.
        let (sent, shown) = (headers["webhook-id"].to_str().unwrap(), attribute(span, "muster.webhook.id"));
        let is_same = |(sent, shown): (char, char)| sent == shown || (shown == '*' && sent.is_ascii_digit());
        assert!(
            sent.len() == shown.len() && sent.chars().zip(shown.chars()).all(is_same),
            "{sent} is shown as {shown}"
        );
    }
    for (headers, body) in collector.requests() {
        assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
        for secret in [SECRET, TOKEN, NUMBER] {
            assert!(memchr::memmem::find(&body, secret.as_bytes()).is_none(), "{secret} was sent");
        }
    }
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>();
    let line = lines.iter().find(|line| line["path"] == "/group-dispatch-api/whatsapp/batchOnline").unwrap();
    assert_eq!((&line["span"]["trace_id"], &line["message"]), (&TRACE.into(), &"answered".into()));
    assert!(!log.contains(TOKEN), "{log}");
}

/// Without a collector, webhooks still carry the caller's trace, or one made from the request id.
#[tokio::test]
async fn without_a_collector() {
    let receiver = RecordingServer::start(200).await;
    let data = temp_directory();
    let settings = [("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str())];
    let muster = ServiceProcess::start(data.path(), &settings);
    let parent = format!("00-{TRACE}-{CALLER}-00");
    bring_online(&muster, &[("traceparent", &parent), ("tracestate", STATE)]).await;
    receiver.wait_for_requests(2).await;
    let recycle = muster.client().post(muster.url("/group-dispatch-api/whatsapp/batchRecycle")).body("");
    let recycle =
        recycle.header("content-type", "application/json").body(format!(r#"{{"whatsAppList":["{NUMBER}"]}}"#));
    let malformed =
        recycle.header("x-request-id", "6D1802F8250A4BEE97F0755ED4DB7B31").header("traceparent", "00-1-1-01");
    muster.send(malformed).await.unwrap();
    receiver.wait_for_requests(4).await;
    let log = stop(muster).await;
    let received: Vec<_> = receiver.requests().into_iter().map(|(headers, _)| headers).collect();
    let parents: Vec<&str> = received.iter().map(|headers| headers["traceparent"].to_str().unwrap()).collect();
    assert!(parents[0].starts_with(&format!("00-{TRACE}-")) && parents[0].ends_with("-00"), "{parents:?}");
    assert!(!parents[0].contains(CALLER) && received[0]["tracestate"] == STATE, "{received:?}");
    assert!(
        parents[2].starts_with("00-6d1802f8250a4bee97f0755ed4db7b31-") && parents[2].ends_with("-01"),
        "{parents:?}"
    );
    assert!(!received[2].contains_key("tracestate"), "{received:?}");
    for trace in [TRACE, "6d1802f8250a4bee97f0755ed4db7b31"] {
        assert!(log.contains(&format!("request{{trace_id={trace}}}")), "{log}");
    }
    assert!(!log.contains("command{") && !log.contains("http.route"), "{log}");
}

/// The log says once that a collector is unreachable, and once that it is back.
#[tokio::test]
async fn a_collector_comes_and_goes() {
    let collector = RecordingServer::start(503).await;
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_TELEMETRY__OTLP_ENDPOINT", collector.base.as_str())]);
    for refused in 1..=2 {
        bring_online(&muster, &[]).await;
        collector.wait_for_requests(refused).await;
    }
    collector.taken.status.store(200, Ordering::Relaxed);
    let seen = collector.requests().len();
    let answer = bring_online(&muster, &[]).await;
    collector.wait_for_requests(seen + 1).await;
    let log = stop(muster).await;
    let (spans, _) = collector.spans();
    let is_of_it = |span: &&Span| hex(&span.trace_id) == answer.header("x-request-id");
    let first = spans.iter().filter(is_of_it).find(|span| span.parent_span_id.is_empty()).expect("its own trace");
    assert_eq!(attribute(first, "muster.request"), answer.header("x-request-id"));
    assert_eq!(log.matches("spans are lost").count(), 1, "{log}");
    assert_eq!(log.matches("the collector accepts spans again").count(), 1, "{log}");
    assert!(log.contains("HTTP 503"), "{log}");
}

/// A collector that accepts connections and never responds delays neither requests nor the stop.
#[tokio::test]
async fn no_work_waits_for_a_collector() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_TELEMETRY__OTLP_ENDPOINT", endpoint.as_str())]);
    bring_online(&muster, &[]).await;
    let asked = Instant::now();
    let log = stop(muster).await;
    assert!(asked.elapsed() < COLLECTOR_TIMEOUT, "it took {:?}: {log}", asked.elapsed());
    assert!(log.contains("the last spans may be lost"), "{log}");
}
