//! Responses to a gateway on another machine, and its rate limit. The tests fake the address.

use futures_util::stream::empty;

use super::*;
use crate::access::ApiKeys;
use crate::actors::report_channel;
use crate::clock;
use crate::config::SecretText;
use crate::gateway;
use crate::testkit::fixture::StorageFixture;
use crate::webhooks::signature::WebhookSecret;

/// A made-up secret: 24 bytes.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

fn fixture() -> StorageFixture {
    StorageFixture::with_settings(|settings| settings.gateway.bridge.secret = Some(SecretText::new(SECRET)))
}

fn bridge_state(fixture: &StorageFixture, is_tls: bool) -> BridgeState {
    let StorageFixture { settings, journal, .. } = fixture;
    let gateways = gateway::open(settings, &fixture.gateway_dependencies(report_channel().0)).unwrap();
    let bridge = gateways.find::<Bridge>().cloned();
    assert!(bridge.is_some());
    let authenticator = Authenticator::new(ApiKeys::open(journal, None).unwrap(), 4);
    BridgeState { bridge, authenticator, memory_budget: MemoryBudget::new(), is_tls, stop: CancellationToken::new() }
}

/// Fetches commands as from `from`. Returns the status, or the error's status and code.
async fn fetch(state: &BridgeState, from: &str, id: &str) -> Result<StatusCode, (StatusCode, &'static str)> {
    let (secret, at) = (WebhookSecret::parse(SECRET).unwrap(), clock::now());
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", (at.0 / 1_000_000).to_string()),
        ("webhook-signature", secret.sign(id, at, b"/gateway/v1/work?wait=0")),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let request = BridgeRequestHead {
        endpoint: Some(BridgeEndpoint::Work),
        method: &Method::GET,
        path: BridgeEndpoint::Work.path(),
        query: Some("wait=0".to_owned()),
        headers: &headers,
        from: from.parse().unwrap(),
    };
    let answered = handle(state, request, empty::<Result<Bytes, warp::Error>>()).await;
    answered.map(|response| response.status()).map_err(|error| (error.status, error.code))
}

/// Commands contain secrets, so they are sent only over TLS or to this machine.
#[tokio::test]
async fn commands_require_tls_or_loopback() {
    let fixture = fixture();
    let open = bridge_state(&fixture, false);
    assert_eq!(fetch(&open, "127.0.0.1", "a").await, Ok(StatusCode::OK));
    assert_eq!(fetch(&open, "::1", "b").await, Ok(StatusCode::OK));
    assert_eq!(fetch(&open, "192.0.2.7", "c").await, Err((StatusCode::FORBIDDEN, "readable")));
    let tls = BridgeState { is_tls: true, ..open };
    assert_eq!(fetch(&tls, "192.0.2.7", "d").await, Ok(StatusCode::OK));
}

/// Requests without an API key are limited per address.
#[tokio::test(start_paused = true)]
async fn requests_per_address_are_limited() {
    let fixture = fixture();
    let state = bridge_state(&fixture, true);
    let mut answers = Vec::new();
    for id in ["a", "b", "c", "d", "e", "f"] {
        answers.push(fetch(&state, "192.0.2.7", id).await);
    }
    assert_eq!(answers[..4], [const { Ok(StatusCode::OK) }; 4]);
    assert_eq!(answers[5], Err((StatusCode::TOO_MANY_REQUESTS, "too_many")));
    assert_eq!(fetch(&state, "192.0.2.8", "g").await, Ok(StatusCode::OK), "another is not held up");
}
