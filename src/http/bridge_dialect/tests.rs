//! Responses to a gateway on another machine, and its rate limit. The tests fake the address.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::empty;
use tokio_util::sync::CancellationToken;
use warp::http::{HeaderMap, Method, Version};

use super::*;
use crate::access::{ApiKeys, Authenticator};
use crate::actors::report_channel;
use crate::clock;
use crate::config::SecretText;
use crate::gateway::{self, Bridge};
use crate::http::base_path::BasePath;
use crate::http::endpoint_registry::find_endpoint;
use crate::http::middleware::answer;
use crate::http::request_body::MemoryBudget;
use crate::http::request_head::RequestHead;
use crate::http::request_id::RequestIdGenerator;
use crate::http::request_origin::{OriginReader, RequestOrigin};
use crate::testkit::fixture::StorageFixture;
use crate::webhooks::signature::WebhookSecret;

/// A made-up secret: 24 bytes.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

fn fixture() -> StorageFixture {
    StorageFixture::with_settings(|settings| settings.gateway.bridge.secret = Some(SecretText::new(SECRET)))
}

fn dialect(fixture: &StorageFixture) -> BridgeDialect {
    let StorageFixture { settings, journal, .. } = fixture;
    let gateways = gateway::open(settings, &fixture.gateway_dependencies(report_channel().0)).unwrap();
    let bridge = gateways.find::<Bridge>().cloned();
    assert!(bridge.is_some());
    let authenticator = Authenticator::new(ApiKeys::open(journal, None).unwrap(), 4);
    let (memory_budget, stop) = (MemoryBudget::new(), CancellationToken::new());
    BridgeDialect(BridgeState { bridge, authenticator, memory_budget, stop })
}

/// Fetches commands with the address `from`. Returns the status, or the error's status and code.
async fn fetch(
    state: &BridgeDialect,
    is_tls: bool,
    from: &str,
    id: &str,
) -> Result<StatusCode, (StatusCode, &'static str)> {
    let peer = SocketAddr::new(from.parse().unwrap(), 1);
    let origin = OriginReader::new(&[], is_tls).read(peer, Version::HTTP_11, &HeaderMap::new()).unwrap();
    fetch_signed(state, origin, "/gateway/v1/work?wait=0", id).await
}

/// Fetches commands with a signature of this path and query.
async fn fetch_signed(
    state: &BridgeDialect,
    origin: RequestOrigin,
    signed: &str,
    id: &str,
) -> Result<StatusCode, (StatusCode, &'static str)> {
    let (secret, at) = (WebhookSecret::parse(SECRET).unwrap(), clock::now());
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", (at.0 / 1_000_000).to_string()),
        ("webhook-signature", secret.sign(id, at, signed.as_bytes())),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let head = RequestHead {
        method: Method::GET,
        path: "/gateway/v1/work".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        raw_query: Some("wait=0".to_owned()),
        headers,
        origin,
        id: RequestIdGenerator::default().read_or_generate(&HeaderMap::new()),
    };
    let endpoint = find_endpoint(&Method::GET, &head.path).map(|found| found.endpoint);
    let request = RoutedRequest { endpoint, forwarded_error: None, head: Arc::new(head) };
    let result = answer(state, &request, &mut empty().boxed()).await;
    result.map(|response| response.status()).map_err(|error| (error.status, error.code))
}

/// A gateway signs the path as it sends it. A proxy may have removed the base path.
#[tokio::test]
async fn signatures_cover_the_path_with_the_base_path_or_without_it() {
    let fixture = fixture();
    let state = dialect(&fixture);
    let origin = |base| RequestOrigin { base_path: BasePath::new(base), ..RequestOrigin::LOCAL };
    let (plain, prefixed) = ("/gateway/v1/work?wait=0", "/muster/gateway/v1/work?wait=0");
    let forged = Err((StatusCode::UNAUTHORIZED, "forged"));
    assert_eq!(fetch_signed(&state, origin(Some("/muster")), plain, "a").await, Ok(StatusCode::OK));
    assert_eq!(fetch_signed(&state, origin(Some("/muster")), prefixed, "b").await, Ok(StatusCode::OK));
    assert_eq!(fetch_signed(&state, origin(Some("/other")), prefixed, "c").await, forged);
    assert_eq!(fetch_signed(&state, origin(None), prefixed, "d").await, forged);
}

/// Commands contain secrets, so they are sent only over TLS or to this machine.
#[tokio::test]
async fn commands_require_tls_or_loopback() {
    let fixture = fixture();
    let state = dialect(&fixture);
    assert_eq!(fetch(&state, false, "127.0.0.1", "a").await, Ok(StatusCode::OK));
    assert_eq!(fetch(&state, false, "::1", "b").await, Ok(StatusCode::OK));
    assert_eq!(fetch(&state, false, "192.0.2.7", "c").await, Err((StatusCode::FORBIDDEN, "readable")));
    assert_eq!(fetch(&state, true, "192.0.2.7", "d").await, Ok(StatusCode::OK));
}

/// Requests without an API key are limited per address.
#[tokio::test(start_paused = true)]
async fn requests_per_address_are_limited() {
    let fixture = fixture();
    let state = dialect(&fixture);
    let mut answers = Vec::new();
    for id in ["a", "b", "c", "d", "e", "f"] {
        answers.push(fetch(&state, true, "192.0.2.7", id).await);
    }
    assert_eq!(answers[..4], [const { Ok(StatusCode::OK) }; 4]);
    assert_eq!(answers[5], Err((StatusCode::TOO_MANY_REQUESTS, "too_many")));
    assert_eq!(fetch(&state, true, "192.0.2.8", "g").await, Ok(StatusCode::OK), "another is not held up");
}
