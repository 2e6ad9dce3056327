//! `/gateway/v1`: where a gateway reports to, and fetches its commands. Its signature is its key.

mod error;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};
use zeroize::Zeroizing;

use error::BridgeApiError;
pub(super) use error::BridgeErrorBody;

use super::request_body::{MemoryBudget, drain_unread, read_body};
use super::request_id::{IncomingRequestId, RequestIdGenerator, X_REQUEST_ID};
use super::request_trace::RequestTrace;
use super::server::PeerAddress;
use crate::access::Authenticator;
use crate::gateway::Bridge;
use crate::gateway::bridge::{RequestSignatureError, SignatureHeaders, read_acks, read_batch};
use crate::limits::{
    NOT_SET_UP_AGAIN, REPORT_BATCH_BYTES, SESSIONS_PAGE_BYTES, WORK_ITEMS, WORK_ITEMS_DEFAULT, WORK_WAIT_SECONDS,
    WORK_WAIT_SECONDS_DEFAULT,
};
use crate::metrics::BridgeRefusal;

/// An endpoint for gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BridgeEndpoint {
    /// Reports come in.
    Reports,
    /// Commands are fetched.
    Work,
    /// Commands are acknowledged.
    Acks,
}

impl BridgeEndpoint {
    /// All of them.
    pub(super) const ALL: [BridgeEndpoint; 3] = [BridgeEndpoint::Reports, BridgeEndpoint::Work, BridgeEndpoint::Acks];

    /// Its path.
    pub(super) fn path(self) -> &'static str {
        match self {
            BridgeEndpoint::Reports => "/gateway/v1/reports",
            BridgeEndpoint::Work => "/gateway/v1/work",
            BridgeEndpoint::Acks => "/gateway/v1/work/acks",
        }
    }

    /// The method that it takes.
    pub(super) fn method(self) -> &'static str {
        match self {
            BridgeEndpoint::Reports | BridgeEndpoint::Acks => "POST",
            BridgeEndpoint::Work => "GET",
        }
    }
}

/// What the endpoints work with. Cheap to clone.
#[derive(Clone)]
pub(super) struct BridgeState {
    pub(super) bridge: Option<Bridge>,
    pub(super) authenticator: Authenticator,
    pub(super) memory_budget: MemoryBudget,
    /// Whether all connections are under TLS.
    pub(super) is_tls: bool,
    /// Ends the wait for work.
    pub(super) stop: CancellationToken,
}

/// All that is under `/gateway/v1`.
pub(super) fn routes(
    counter: BridgeState,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let ids = Arc::new(RequestIdGenerator::default());
    warp::path("gateway")
        .and(warp::path("v1"))
        .and(warp::path::full())
        .and(warp::method())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<PeerAddress>())
        .and(warp::body::stream())
        .then(
            move |path: FullPath,
                  method: Method,
                  query: Option<String>,
                  headers: HeaderMap,
                  peer: Option<PeerAddress>,
                  body| {
                let (counter, IncomingRequestId { id, header }) = (counter.clone(), ids.read_or_generate(&headers));
                let place = BridgeEndpoint::ALL.into_iter().find(|place| place.path() == path.as_str());
                let traced =
                    RequestTrace::start(&method, place.map_or("/gateway/v1", BridgeEndpoint::path), &headers, id);
                traced.run(async move {
                    let begun = Instant::now();
                    // Requests that no connection brings are those of tests.
                    let from = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |PeerAddress(peer)| peer.ip());
                    let request = BridgeRequestHead {
                        endpoint: place,
                        method: &method,
                        path: path.as_str(),
                        query,
                        headers: &headers,
                        from,
                    };
                    let mut body = Box::pin(body);
                    let mut response = match handle(&counter, request, &mut body).await {
                        Ok(response) => response,
                        Err(trouble) => {
                            drain_unread(&headers, body);
                            trouble.respond(&counter)
                        }
                    };
                    tracing::info!(
                        method = method.as_str(),
                        path = path.as_str(),
                        status = response.status().as_u16(),
                        micros = begun.elapsed().as_micros() as u64,
                        request = %id,
                        x_request_id = ?header,
                        "answered"
                    );
                    response.headers_mut().insert(X_REQUEST_ID, header);
                    response
                })
            },
        )
}

/// A request but for its body.
struct BridgeRequestHead<'r> {
    endpoint: Option<BridgeEndpoint>,
    method: &'r Method,
    path: &'r str,
    query: Option<String>,
    headers: &'r HeaderMap,
    from: IpAddr,
}

impl BridgeRequestHead<'_> {
    /// What a request without a body is signed over: its target, as it was sent.
    fn signed_target(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.to_owned(), |query| format!("{}?{query}", self.path))
    }

    fn signature(&self) -> SignatureHeaders<'_> {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        SignatureHeaders {
            id: text("webhook-id"),
            timestamp: text("webhook-timestamp"),
            signature: text("webhook-signature"),
        }
    }
}

async fn handle<B: Buf>(
    counter: &BridgeState,
    request: BridgeRequestHead<'_>,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, BridgeApiError> {
    counter.authenticator.check_rate(request.from).inspect_err(|denied| counter.authenticator.count_error(*denied))?;
    let Some(place) = request.endpoint else {
        return Err(BridgeApiError::new(
            StatusCode::NOT_FOUND,
            "no_such_path",
            "nothing has this path under /gateway/v1",
        ));
    };
    if request.method.as_str() != place.method() {
        let words = format!("this path does not take this method; use {}", place.method());
        let trouble = BridgeApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", words);
        return Err(BridgeApiError { allow: Some(place.method()), ..trouble });
    }
    let Some(bridge) = &counter.bridge else {
        // It may be missing at this start only: what the gateway has to say must wait, and not be given up.
        let words = "the bridge is not set up; keep this and send it again; the operator sets gateway.bridge.secret";
        return Err(BridgeApiError {
            retry_after: Some(NOT_SET_UP_AGAIN.as_secs()),
            ..BridgeApiError::retry_later("not_set_up", words)
        });
    };
    // Nothing is read of what is not even signed.
    let headers = request.signature();
    if headers.id.is_none() || headers.timestamp.is_none() || headers.signature.is_none() {
        return Err(RequestSignatureError::Missing.into());
    }
    match place {
        BridgeEndpoint::Work => {
            bridge.verify_request(headers, request.signed_target().as_bytes())?;
            if !counter.is_tls && !request.from.is_loopback() {
                let words = "secrets would be sent where they can be read on the way; fetch commands over TLS";
                let trouble = BridgeApiError::new(StatusCode::FORBIDDEN, "readable", words);
                return Err(BridgeApiError { metric_reason: Some(BridgeRefusal::Readable), ..trouble });
            }
            let (wait, limit) = parse_work_query(request.query.as_deref().unwrap_or_default())?;
            Ok(secret_json_response(bridge.fetch_work(wait, limit, &counter.stop).await?))
        }
        BridgeEndpoint::Reports => {
            let body = read_body(request.headers, &mut body, REPORT_BATCH_BYTES, &counter.memory_budget).await?;
            bridge.verify_request(headers, &body)?;
            let batch = read_batch(&body).map_err(|fault| BridgeApiError::malformed(&fault.to_string()))?;
            drop(body);
            let bridge = bridge.clone();
            // To its end though the gateway has gone: it is not decided again then.
            let taken = tokio::spawn(async move { bridge.ingest_reports(&batch).await }.in_current_span());
            Ok(json_response(&taken.await.map_err(|error| BridgeApiError::internal(&error))??))
        }
        BridgeEndpoint::Acks => {
            let body = read_body(request.headers, &mut body, SESSIONS_PAGE_BYTES, &counter.memory_budget).await?;
            bridge.verify_request(headers, &body)?;
            let acks = read_acks(&body).map_err(|fault| BridgeApiError::malformed(&fault.to_string()))?;
            drop(body);
            let bridge = bridge.clone();
            let done = tokio::spawn(async move { bridge.acknowledge(acks).await }.in_current_span());
            Ok(json_response(&done.await.map_err(|error| BridgeApiError::internal(&error))?))
        }
    }
}

/// For how long a gateway wants to wait for work, and how much it wants at most.
fn parse_work_query(query: &str) -> Result<(Duration, usize), BridgeApiError> {
    let (mut wait, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (place, range) = match name {
            "wait" => (&mut wait, 0..=WORK_WAIT_SECONDS),
            "limit" => (&mut limit, 1..=WORK_ITEMS as u64),
            // Both sides ignore what they do not know.
            _ => continue,
        };
        let number = value.parse().ok().filter(|number| range.contains(number) && place.is_none());
        let words = || {
            let (least, most) = (range.start(), range.end());
            BridgeApiError::malformed(&format!("{name} must be a whole number from {least} to {most}, given once"))
        };
        *place = Some(number.ok_or_else(words)?);
    }
    let wait = Duration::from_secs(wait.unwrap_or(WORK_WAIT_SECONDS_DEFAULT));
    Ok((wait, limit.map_or(WORK_ITEMS_DEFAULT, |limit| usize::try_from(limit).unwrap_or(WORK_ITEMS))))
}

fn json_response(value: &impl Serialize) -> Response {
    json_bytes_response(serde_json::to_vec(value).unwrap_or_default().into())
}

/// As [`json`]; it is cleared once it was sent.
fn secret_json_response(body: Zeroizing<Vec<u8>>) -> Response {
    json_bytes_response(Bytes::from_owner(body))
}

fn json_bytes_response(body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
