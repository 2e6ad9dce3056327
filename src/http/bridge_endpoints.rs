//! `/gateway/v1`: a gateway sends its reports here and fetches its commands. Its signature authenticates it.

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

/// An endpoint of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BridgeEndpoint {
    /// Receives reports.
    Reports,
    /// Returns commands.
    Work,
    /// Receives acknowledgements of commands.
    Acks,
}

impl BridgeEndpoint {
    pub(super) const ALL: [BridgeEndpoint; 3] = [BridgeEndpoint::Reports, BridgeEndpoint::Work, BridgeEndpoint::Acks];

    pub(super) fn path(self) -> &'static str {
        match self {
            BridgeEndpoint::Reports => "/gateway/v1/reports",
            BridgeEndpoint::Work => "/gateway/v1/work",
            BridgeEndpoint::Acks => "/gateway/v1/work/acks",
        }
    }

    pub(super) fn method(self) -> &'static str {
        match self {
            BridgeEndpoint::Reports | BridgeEndpoint::Acks => "POST",
            BridgeEndpoint::Work => "GET",
        }
    }
}

/// State shared by the endpoints. Cheap to clone.
#[derive(Clone)]
pub(super) struct BridgeState {
    pub(super) bridge: Option<Bridge>,
    pub(super) authenticator: Authenticator,
    pub(super) memory_budget: MemoryBudget,
    /// Whether all connections use TLS.
    pub(super) is_tls: bool,
    /// Ends long polls.
    pub(super) stop: CancellationToken,
}

/// All routes below `/gateway/v1`.
pub(super) fn routes(
    state: BridgeState,
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
                let (state, IncomingRequestId { id, header }) = (state.clone(), ids.read_or_generate(&headers));
                let endpoint = BridgeEndpoint::ALL.into_iter().find(|endpoint| endpoint.path() == path.as_str());
                let traced =
                    RequestTrace::start(&method, endpoint.map_or("/gateway/v1", BridgeEndpoint::path), &headers, id);
                traced.run(async move {
                    let started = Instant::now();
                    // Only requests of tests have no peer address.
                    let from = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |PeerAddress(peer)| peer.ip());
                    let request = BridgeRequestHead {
                        endpoint,
                        method: &method,
                        path: path.as_str(),
                        query,
                        headers: &headers,
                        from,
                    };
                    let mut body = Box::pin(body);
                    let mut response = match handle(&state, request, &mut body).await {
                        Ok(response) => response,
                        Err(error) => {
                            drain_unread(&headers, body);
                            error.respond(&state)
                        }
                    };
                    tracing::info!(
                        method = method.as_str(),
                        path = path.as_str(),
                        status = response.status().as_u16(),
                        micros = started.elapsed().as_micros() as u64,
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

/// A request without its body.
struct BridgeRequestHead<'r> {
    endpoint: Option<BridgeEndpoint>,
    method: &'r Method,
    path: &'r str,
    query: Option<String>,
    headers: &'r HeaderMap,
    from: IpAddr,
}

impl BridgeRequestHead<'_> {
    /// The signed text of a request without a body: path and query as sent.
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
    state: &BridgeState,
    request: BridgeRequestHead<'_>,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, BridgeApiError> {
    state.authenticator.check_rate(request.from).inspect_err(|denied| state.authenticator.count_error(*denied))?;
    let words = "nothing has this path under /gateway/v1";
    let no_such_path = || BridgeApiError::new(StatusCode::NOT_FOUND, "no_such_path", words);
    let endpoint = request.endpoint.ok_or_else(no_such_path)?;
    if request.method.as_str() != endpoint.method() {
        let words = format!("this path does not take this method; use {}", endpoint.method());
        let error = BridgeApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", words);
        return Err(BridgeApiError { allow: Some(endpoint.method()), ..error });
    }
    let Some(bridge) = &state.bridge else {
        // The setting may be missing only in this run, so the gateway must keep its reports and retry.
        let words = "the bridge is not set up; keep this and send it again; the operator sets gateway.bridge.secret";
        return Err(BridgeApiError {
            retry_after: Some(NOT_SET_UP_AGAIN.as_secs()),
            ..BridgeApiError::retry_later("not_set_up", words)
        });
    };
    // The body of an unsigned request is not read.
    let headers = request.signature();
    if headers.id.is_none() || headers.timestamp.is_none() || headers.signature.is_none() {
        return Err(RequestSignatureError::Missing.into());
    }
    match endpoint {
        BridgeEndpoint::Work => {
            bridge.verify_request(headers, request.signed_target().as_bytes())?;
            if !state.is_tls && !request.from.is_loopback() {
                let words = "secrets would be sent where they can be read on the way; fetch commands over TLS";
                let error = BridgeApiError::new(StatusCode::FORBIDDEN, "readable", words);
                return Err(BridgeApiError { metric_reason: Some(BridgeRefusal::Readable), ..error });
            }
            let (wait, limit) = parse_work_query(request.query.as_deref().unwrap_or_default())?;
            Ok(secret_json_response(bridge.fetch_work(wait, limit, &state.stop).await?))
        }
        BridgeEndpoint::Reports => {
            let body = read_body(request.headers, &mut body, REPORT_BATCH_BYTES, &state.memory_budget).await?;
            bridge.verify_request(headers, &body)?;
            let batch = read_batch(&body).map_err(|fault| BridgeApiError::malformed(&fault.to_string()))?;
            drop(body);
            let bridge = bridge.clone();
            // In its own task, so that it completes even if the gateway disconnects.
            let ingested = tokio::spawn(async move { bridge.ingest_reports(&batch).await }.in_current_span());
            Ok(json_response(&ingested.await.map_err(|error| BridgeApiError::internal(&error))??))
        }
        BridgeEndpoint::Acks => {
            let body = read_body(request.headers, &mut body, SESSIONS_PAGE_BYTES, &state.memory_budget).await?;
            bridge.verify_request(headers, &body)?;
            let acks = read_acks(&body).map_err(|fault| BridgeApiError::malformed(&fault.to_string()))?;
            drop(body);
            let bridge = bridge.clone();
            let done = tokio::spawn(async move { bridge.acknowledge(acks).await }.in_current_span());
            Ok(json_response(&done.await.map_err(|error| BridgeApiError::internal(&error))?))
        }
    }
}

/// The long-poll time and the maximum number of commands that the gateway asks for.
fn parse_work_query(query: &str) -> Result<(Duration, usize), BridgeApiError> {
    let (mut wait, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (slot, range) = match name {
            "wait" => (&mut wait, 0..=WORK_WAIT_SECONDS),
            "limit" => (&mut limit, 1..=WORK_ITEMS as u64),
            // Both sides ignore unknown parameters.
            _ => continue,
        };
        let number = value.parse().ok().filter(|number| range.contains(number) && slot.is_none());
        let words = || {
            let (least, most) = (range.start(), range.end());
            BridgeApiError::malformed(&format!("{name} must be a whole number from {least} to {most}, given once"))
        };
        *slot = Some(number.ok_or_else(words)?);
    }
    let wait = Duration::from_secs(wait.unwrap_or(WORK_WAIT_SECONDS_DEFAULT));
    Ok((wait, limit.map_or(WORK_ITEMS_DEFAULT, |limit| usize::try_from(limit).unwrap_or(WORK_ITEMS))))
}

fn json_response(value: &impl Serialize) -> Response {
    json_bytes_response(serde_json::to_vec(value).unwrap_or_default().into())
}

/// A JSON response whose bytes are cleared from memory after sending.
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
