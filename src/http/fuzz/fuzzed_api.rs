//! Whole requests, served inside this process. Each response must have its documented form and must not be an internal
//! error. A rejected request must store nothing.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::http::{Request, Response, StatusCode, header};

use super::{SECRET, parse_headers};
use crate::access::{ApiKeys, Authenticator};
use crate::actors::{GatewayPort, report_channel};
use crate::api::{ApiState, ServiceHandles};
use crate::audit::{Audit, TransparencyLog};
use crate::clock;
use crate::domain::{Account, AccountNumber, PendingEffect};
use crate::gateway;
use crate::http::contract_dialect::ContractDialect;
use crate::http::middleware::serve_dialect;
use crate::http::request_origin::RequestOrigin;
use crate::http::{Api, endpoints, v1_routes};
use crate::idempotency::IdempotencyRecords;
use crate::testkit::fixture::StorageFixture;

/// A gateway that never answers.
struct Silent;

impl GatewayPort for Silent {
    fn dispatch(&self, _: AccountNumber, _: &Account, _: &PendingEffect, _: Duration) {}
}

/// An API whose gateway never answers. Call it within a runtime.
pub(crate) fn start_api(fixture: &StorageFixture, is_ready: Arc<AtomicBool>, stop: &CancellationToken) -> Api {
    let StorageFixture { settings, store, journal, roster, vault, .. } = fixture;
    let log = TransparencyLog::open(store, journal, vault.load_or_create_log_key().unwrap()).unwrap();
    let service = ServiceHandles {
        accounts: fixture.start_accounts(Arc::new(Silent), report_channel().1).0,
        roster: roster.clone(),
        rules: settings.accounts.clone(),
        vault: vault.clone(),
        idempotency: IdempotencyRecords::open(store, journal.clone(), clock::now),
        gateways: gateway::open(settings, &fixture.gateway_dependencies(report_channel().0)).unwrap(),
        default_gateway: settings.gateway.routing.default,
        settings: Arc::new([]),
    };
    let keys = ApiKeys::open(journal, Some(vault.clone())).unwrap();
    let state = ApiState::new(
        Audit::new(store.clone(), journal.clone(), roster.clone(), Some(log)),
        Some(fixture.start_webhooks(stop)),
        Some(service.clone()),
        Authenticator::new(keys, settings.http.requests_per_second),
        settings.http.request_timeout,
        stop.clone(),
    );
    Api::new(state, service, settings.http.clone(), is_ready)
}

/// The API without a socket.
struct FuzzedApi {
    answer: Box<dyn Fn(Request<Full<Bytes>>) -> Response<Bytes> + Send>,
    data: StorageFixture,
    keys: ApiKeys,
    request_count: u32,
}

/// Maximum number of requests per API instance. With more requests, the number of accounts would slow down each list.
const MAX_REQUESTS: u32 = 2_000;

/// The current API instance.
static CURRENT_API: Mutex<Option<FuzzedApi>> = Mutex::new(None);

impl FuzzedApi {
    fn build() -> FuzzedApi {
        let data = StorageFixture::with_settings(|settings| settings.http.requests_per_second = usize::MAX >> 16);
        let runtime = Runtime::new().unwrap();
        let stop = CancellationToken::new();
        let (keys, routes) = runtime.block_on(async {
            let api = start_api(&data, Arc::new(AtomicBool::new(true)), &stop);
            let keys = api.authenticator().keys().clone();
            (keys, v1_routes(api.state().clone()).or(serve_dialect(ContractDialect(api))).unify())
        });
        let service = TowerToHyperService::new(warp::service(routes));
        let stop_guard = stop.drop_guard();
        let journal = data.journal.clone();
        let answer = move |request: Request<Full<Bytes>>| {
            let _keep_alive = &stop_guard;
            runtime.block_on(async {
                let before = journal.head();
                let Ok(response) = service.call(request).await;
                if response.status() == StatusCode::ACCEPTED {
                    // The work continues after the response, and records an event when it is done.
                    journal.subscribe_head().wait_for(|head| *head > before).await.unwrap();
                }
                let (head, body) = response.into_parts();
                let is_endless = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
                let body = if is_endless { Bytes::new() } else { body.collect().await.unwrap().to_bytes() };
                Response::from_parts(head, body)
            })
        };
        FuzzedApi { answer: Box::new(answer), data, keys, request_count: 0 }
    }
}

/// Seeds: method and target, one header per line, an empty line, the body.
pub(crate) fn requests() -> Vec<Vec<u8>> {
    let mut requests: Vec<String> = Vec::new();
    let contract = [
        ("whatsapp/batchInsert?details=true", super::import_seeds()),
        ("whatsapp/batchOnline", super::import_seeds()),
        ("whatsapp/batchRecycle", super::recycle_seeds()),
        ("register/submitPhone", super::submit_phone_seeds()),
        ("register/submitVerifyCode", super::verify_code_seeds()),
    ];
    for (path, bodies) in contract {
        for body in bodies {
            let body = String::from_utf8(body).unwrap();
            requests.push(format!("POST /group-dispatch-api/{path}\ncontent-type: application/json\n\n{body}"));
        }
    }
    let list = "GET /group-dispatch-api/whatsapp/queryWhatsAppStatus";
    requests.push(format!(
        "{list}?whatsApp=861821726232\naccept-encoding: gzip\nif-none-match: \"7f\"\nx-request-id: 7\n\n"
    ));
    requests.push(format!("{list}\nhost: localhost:8080\norigin: http://localhost:8080\n\n"));
    requests.push("GET /readyz\n\n".to_owned());
    for endpoint in endpoints().filter(|endpoint| endpoint.path.starts_with("/api/v1/")) {
        let path = endpoint.path.replace("{account}", "861821726232").replace("{channel}", "sync");
        let path = path.replace("{position}", "1").replace("{key}", "1").replace("{name}", "roster");
        requests.push(format!("{} {path}\n\n", endpoint.method));
    }
    let reads = [
        "accounts?limit=10&cursor=1&status=1&onlineStatus=4&prefix=8618",
        "accounts/861821726232?version=1",
        "accounts/861821726232?at=2026-11-25T09:00:03Z",
        "accounts/861821726232/events?order=desc&limit=2&cursor=4&type=registered,banned",
        "accounts/861821726232/diff?from=1&to=2",
        "events?after=1&limit=3&since=2026-11-25&until=2036-11-25&account=861821726232",
        "log/proof/inclusion?seq=1&size=1",
        "log/proof/consistency?from=1&to=2",
        "webhooks/sync/deliveries?account=861821726232&state=pending&since=2026-11-25&until=2036-11-25&cursor=9&limit=5",
        "webhooks/register/dead-letters?cursor=1&limit=5",
        "export?format=csv&type=account_imported",
    ];
    for path in reads {
        requests.push(format!("GET /api/v1/{path}\naccept: application/x-ndjson\nlast-event-id: 3\n\n"));
    }
    let changes = [
        ("PUT", "webhooks/sync/secret", r#"{"secret":"whsec_c4n4ryK8GKYqrTwjUPD8ILPZIo2LaLaSw","grace":"24h"}"#),
        ("PUT", "webhooks/sync/app-secret", r#"{"tenantId":"500975","secret":"c4n4ryc4n4ry"}"#),
        ("POST", "webhooks/sync/pause", r#"{"reason":"why"}"#),
        ("POST", "accounts/online", r#"{"accounts":["861821726232"],"reason":"why"}"#),
        (
            "POST",
            "webhooks/sync/redeliver",
            r#"{"account":"861821726232","state":"dead","since":"2026-11-25","until":"2036-11-25","from":"1","to":9,"dryRun":true}"#,
        ),
        (
            "POST",
            "webhooks/sync/resync",
            r#"{"accounts":["861821726232"],"all":false,"after":"10000","reason":"why","dryRun":true}"#,
        ),
        ("POST", "webhooks/sync/dead-letters/drop", r#"{"positions":["7",8],"reason":"why"}"#),
        ("POST", "webhooks/register/dead-letters/replay", r#"{"upTo":"9"}"#),
        ("POST", "keys", r#"{"name":"dispatch","role":"admin","accounts":[],"expires":null}"#),
        ("DELETE", "accounts/861821726232/secrets", r#"{"reason":"the customer asked for it"}"#),
        ("POST", "vault/rotate", r#"{"newKeyFile":"/nowhere/new.key"}"#),
        ("POST", "replay?until=4&account=861821726232", ""),
    ];
    for (method, path, body) in changes {
        requests.push(format!("{method} /api/v1/{path}\ncontent-type: application/json\n\n{body}"));
        let key = format!("content-type: application/json\nidempotency-key: {}", requests.len());
        requests.push(format!("{method} /api/v1/{path}\n{key}\n\n{body}"));
    }
    requests.into_iter().map(String::into_bytes).collect()
}

/// Parses a request, and whether it is for `/api/v1`. `None` if it is not valid HTTP, or would set a receiver, because that
/// looks up a host name.
fn request_of(bytes: &[u8]) -> Option<(Request<Full<Bytes>>, bool)> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 2..).unwrap_or_default());
    let line_end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
    let (method, target) = str::from_utf8(&head[..line_end]).ok()?.split_once(' ')?;
    let mut request =
        Request::builder().method(method).uri(target).body(Full::new(Bytes::copy_from_slice(body))).ok()?;
    let path = request.uri().path();
    if !path.starts_with('/') || path.ends_with("/url") {
        return None;
    }
    let is_v1 = path == "/api/v1" || path.starts_with("/api/v1/");
    *request.headers_mut() = parse_headers(&head[line_end..]);
    request.extensions_mut().insert(RequestOrigin::LOCAL);
    Some((request, is_v1))
}

/// Sends one request and checks the response. Returns the error's sentence.
pub(crate) fn request(bytes: &[u8]) -> Option<String> {
    let (request, is_v1) = request_of(bytes)?;
    let mut current = CURRENT_API.lock().unwrap_or_else(PoisonError::into_inner);
    if current.as_ref().is_some_and(|fuzzed| fuzzed.request_count == MAX_REQUESTS || !fuzzed.keys.allows_anonymous()) {
        *current = None;
    }
    let fuzzed = current.get_or_insert_with(FuzzedApi::build);
    fuzzed.request_count += 1;
    let before = fuzzed.data.journal.head();
    let request_line = format!("{} {}", request.method(), request.uri());
    let is_head = request.method() == "HEAD";
    let response = (fuzzed.answer)(request);
    let (status, headers) = (response.status().as_u16(), response.headers());
    assert!(status != 500 && status != 503, "{request_line}: {status} {:?}", response.body());
    assert!(headers.contains_key("x-request-id"), "{request_line}");
    if (400..500).contains(&status) {
        assert_eq!(fuzzed.data.journal.head(), before, "{request_line}: {status}, and something is stored");
    }
    let form = headers.get(header::CONTENT_TYPE).and_then(|form| form.to_str().ok()).unwrap_or_default().to_owned();
    let is_compressed = headers.contains_key(header::CONTENT_ENCODING);
    if status == 304 || is_head || is_compressed {
        return None;
    }
    if is_v1 && status < 400 {
        match form.as_str() {
            "application/json" => drop(serde_json::from_slice::<Value>(response.body()).unwrap()),
            "application/x-ndjson" => {
                let mut lines = response.body().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                assert!(lines.all(|line| serde_json::from_slice::<Value>(line).is_ok()), "{request_line}");
            }
            _ => {}
        }
        return None;
    }
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    let sentence = if is_v1 {
        assert_eq!(
            (form.as_str(), &answer["status"]),
            ("application/problem+json", &Value::from(status)),
            "{request_line}"
        );
        assert!(answer["title"].is_string() && answer["type"].is_string(), "{request_line}");
        &answer["detail"]
    } else {
        let names: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(names.starts_with(&["data", "code", "message"]), "{request_line}: {names:?}");
        assert_eq!((form.as_str(), &answer["code"]), ("application/json", &Value::from(status)), "{request_line}");
        &answer["message"]
    };
    let sentence = sentence.as_str().unwrap();
    // batchRecycle has no secrets, so it may repeat the names of fields.
    let may_repeat = request_line.contains(SECRET) || request_line.contains("/batchRecycle");
    assert!(may_repeat || !sentence.contains(SECRET), "{request_line}: {sentence}");
    Some(sentence.to_owned())
}
