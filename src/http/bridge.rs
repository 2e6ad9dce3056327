//! `/gateway/v1`: where a gateway reports to, and fetches its commands. Its signature is its key.

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
use utoipa::ToSchema;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};
use zeroize::Zeroizing;

use super::body::{Room, linger, read};
use super::error::Error;
use super::request_id::{Identified, RequestIds, X_REQUEST_ID};
use super::server::Peer;
use super::traced::Traced;
use crate::access::{Denied, Door};
use crate::gateway::Bridge;
use crate::gateway::bridge::{Headers, NoWork, NotTaken, Unsigned, read_acks, read_batch};
use crate::limits::{
    NOT_SET_UP_AGAIN, REPORTS_BYTES, SESSIONS_BYTES, WORK_ITEMS, WORK_ITEMS_DEFAULT, WORK_WAIT_SECONDS,
    WORK_WAIT_SECONDS_DEFAULT,
};
use crate::metrics::BridgeRefusal;

/// An endpoint for gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Reports come in.
    Reports,
    /// Commands are fetched.
    Work,
    /// Commands are acknowledged.
    Acks,
}

impl Place {
    /// All of them.
    pub(super) const ALL: [Place; 3] = [Place::Reports, Place::Work, Place::Acks];

    /// Its path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Place::Reports => "/gateway/v1/reports",
            Place::Work => "/gateway/v1/work",
            Place::Acks => "/gateway/v1/work/acks",
        }
    }

    /// The method that it takes.
    pub(super) fn method(self) -> &'static str {
        match self {
            Place::Reports | Place::Acks => "POST",
            Place::Work => "GET",
        }
    }
}

/// What the endpoints work with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Counter {
    pub(super) bridge: Option<Bridge>,
    pub(super) door: Door,
    pub(super) room: Room,
    /// Whether all connections are under TLS.
    pub(super) is_tls: bool,
    /// Ends the wait for work.
    pub(super) stop: CancellationToken,
}

/// Why a request is not answered as it wishes.
#[derive(Debug)]
struct Trouble {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The sequence that is to come next, where reports are missing.
    expected: Option<u64>,
    /// After how many seconds it may be sent again.
    retry_after: Option<u64>,
    refusal: Option<BridgeRefusal>,
    allow: Option<&'static str>,
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayError)]
pub(super) struct Body<'a> {
    error: Inside<'a>,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayErrorInside)]
struct Inside<'a> {
    /// In one word, for programs.
    code: &'static str,
    /// In one sentence, which says what to do.
    message: &'a str,
    /// Reports are missing: the sequence to send from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expected: Option<u64>,
}

/// All that is under `/gateway/v1`.
pub(super) fn routes(
    counter: Counter,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let ids = Arc::new(RequestIds::default());
    warp::path("gateway")
        .and(warp::path("v1"))
        .and(warp::path::full())
        .and(warp::method())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::body::stream())
        .then(
            move |path: FullPath,
                  method: Method,
                  query: Option<String>,
                  headers: HeaderMap,
                  peer: Option<Peer>,
                  body| {
                let (counter, Identified { id, header }) = (counter.clone(), ids.identify(&headers));
                let place = Place::ALL.into_iter().find(|place| place.path() == path.as_str());
                let traced = Traced::begin(&method, place.map_or("/gateway/v1", Place::path), &headers, id);
                traced.answer(async move {
                    let begun = Instant::now();
                    // Requests that no connection brings are those of tests.
                    let from = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |Peer(peer)| peer.ip());
                    let request =
                        Request { place, method: &method, path: path.as_str(), query, headers: &headers, from };
                    let mut body = Box::pin(body);
                    let mut response = match answer(&counter, request, &mut body).await {
                        Ok(response) => response,
                        Err(trouble) => {
                            linger(&headers, body);
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
struct Request<'r> {
    place: Option<Place>,
    method: &'r Method,
    path: &'r str,
    query: Option<String>,
    headers: &'r HeaderMap,
    from: IpAddr,
}

impl Request<'_> {
    /// What a request without a body is signed over: its target, as it was sent.
    fn target(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.to_owned(), |query| format!("{}?{query}", self.path))
    }

    fn signature(&self) -> Headers<'_> {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        Headers { id: text("webhook-id"), timestamp: text("webhook-timestamp"), signature: text("webhook-signature") }
    }
}

async fn answer<B: Buf>(
    counter: &Counter,
    request: Request<'_>,
    mut body: impl Stream<Item = Result<B, warp::Error>> + Unpin,
) -> Result<Response, Trouble> {
    counter.door.knock(request.from).inspect_err(|denied| counter.door.count(*denied))?;
    let Some(place) = request.place else {
        return Err(Trouble::new(StatusCode::NOT_FOUND, "no_such_path", "nothing has this path under /gateway/v1"));
    };
    if request.method.as_str() != place.method() {
        let words = format!("this path does not take this method; use {}", place.method());
        let trouble = Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "method", words);
        return Err(Trouble { allow: Some(place.method()), ..trouble });
    }
    let Some(bridge) = &counter.bridge else {
        // It may be missing at this start only: what the gateway has to say must wait, and not be given up.
        let words = "the bridge is not set up; keep this and send it again; the operator sets gateway.bridge.secret";
        return Err(Trouble { retry_after: Some(NOT_SET_UP_AGAIN.as_secs()), ..Trouble::again("not_set_up", words) });
    };
    // Nothing is read of what is not even signed.
    let headers = request.signature();
    if headers.id.is_none() || headers.timestamp.is_none() || headers.signature.is_none() {
        return Err(Unsigned::Missing.into());
    }
    match place {
        Place::Work => {
            bridge.verify(headers, request.target().as_bytes())?;
            if !counter.is_tls && !request.from.is_loopback() {
                let words = "secrets would be sent where they can be read on the way; fetch commands over TLS";
                let trouble = Trouble::new(StatusCode::FORBIDDEN, "readable", words);
                return Err(Trouble { refusal: Some(BridgeRefusal::Readable), ..trouble });
            }
            let (wait, limit) = asked(request.query.as_deref().unwrap_or_default())?;
            Ok(secret_json(bridge.work(wait, limit, &counter.stop).await?))
        }
        Place::Reports => {
            let body = read(request.headers, &mut body, REPORTS_BYTES, &counter.room).await?;
            bridge.verify(headers, &body)?;
            let batch = read_batch(&body).map_err(|fault| Trouble::malformed(&fault.to_string()))?;
            drop(body);
            let bridge = bridge.clone();
            // To its end though the gateway has gone: it is not decided again then.
            let taken = tokio::spawn(async move { bridge.take(&batch).await }.in_current_span());
            Ok(json(&taken.await.map_err(|error| Trouble::inside(&error))??))
        }
        Place::Acks => {
            let body = read(request.headers, &mut body, SESSIONS_BYTES, &counter.room).await?;
            bridge.verify(headers, &body)?;
            let acks = read_acks(&body).map_err(|fault| Trouble::malformed(&fault.to_string()))?;
            drop(body);
            let bridge = bridge.clone();
            let done = tokio::spawn(async move { bridge.acknowledge(acks).await }.in_current_span());
            Ok(json(&done.await.map_err(|error| Trouble::inside(&error))?))
        }
    }
}

/// For how long a gateway wants to wait for work, and how much it wants at most.
fn asked(query: &str) -> Result<(Duration, usize), Trouble> {
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
            Trouble::malformed(&format!("{name} must be a whole number from {least} to {most}, given once"))
        };
        *place = Some(number.ok_or_else(words)?);
    }
    let wait = Duration::from_secs(wait.unwrap_or(WORK_WAIT_SECONDS_DEFAULT));
    Ok((wait, limit.map_or(WORK_ITEMS_DEFAULT, |limit| usize::try_from(limit).unwrap_or(WORK_ITEMS))))
}

fn json(value: &impl Serialize) -> Response {
    with_body(serde_json::to_vec(value).unwrap_or_default().into())
}

/// As [`json`]; it is cleared once it was sent.
fn secret_json(body: Zeroizing<Vec<u8>>) -> Response {
    with_body(Bytes::from_owner(body))
}

fn with_body(body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Trouble {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Trouble {
        let message = message.into();
        Trouble { status, code, message, expected: None, retry_after: None, refusal: None, allow: None }
    }

    fn malformed(words: &str) -> Trouble {
        let trouble = Trouble::new(StatusCode::BAD_REQUEST, "malformed", words);
        Trouble { refusal: Some(BridgeRefusal::Malformed), ..trouble }
    }

    /// What went wrong inside stays inside.
    fn inside(error: &dyn std::error::Error) -> Trouble {
        tracing::error!(error = %error, "a gateway's request failed inside");
        let words = "the service failed, and what was sent may have been taken in or not; send it again";
        Trouble::again("failed", words)
    }

    fn again(code: &'static str, words: impl Into<String>) -> Trouble {
        Trouble { retry_after: Some(1), ..Trouble::new(StatusCode::SERVICE_UNAVAILABLE, code, words) }
    }

    fn respond(self, counter: &Counter) -> Response {
        let Trouble { status, code, message, expected, retry_after, refusal, allow } = self;
        if let (Some(refusal), Some(bridge)) = (refusal, &counter.bridge) {
            bridge.metrics().bridge_refused.at(refusal).inc();
        }
        let mut response = json(&Body { error: Inside { code, message: &message, expected } });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.extend(retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        headers.extend(allow.map(|allow| (header::ALLOW, HeaderValue::from_static(allow))));
        response
    }
}

impl From<Unsigned> for Trouble {
    fn from(why: Unsigned) -> Trouble {
        let (code, refusal) = match why {
            Unsigned::Missing => ("unsigned", BridgeRefusal::Unsigned),
            Unsigned::Forged => ("forged", BridgeRefusal::Forged),
            Unsigned::Stale => ("stale", BridgeRefusal::Stale),
            Unsigned::Replayed => ("replayed", BridgeRefusal::Replayed),
        };
        Trouble { refusal: Some(refusal), ..Trouble::new(StatusCode::UNAUTHORIZED, code, why.to_string()) }
    }
}

impl From<NotTaken> for Trouble {
    fn from(why: NotTaken) -> Trouble {
        match why {
            NotTaken::Gap { expected } => {
                let trouble = Trouble::new(StatusCode::CONFLICT, "gap", why.to_string());
                Trouble { expected: Some(expected), refusal: Some(BridgeRefusal::Gap), ..trouble }
            }
            NotTaken::Busy => Trouble::again("busy", why.to_string()),
            NotTaken::Accounts(_) | NotTaken::Store(_) | NotTaken::NotDurable(_) => Trouble::inside(&why),
        }
    }
}

impl From<NoWork> for Trouble {
    fn from(why: NoWork) -> Trouble {
        match why {
            NoWork::Pushed => Trouble::new(StatusCode::CONFLICT, "pushed", why.to_string()),
            NoWork::Crowded => Trouble::again("crowded", why.to_string()),
        }
    }
}

/// There are too many requests from one address.
impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Trouble {
        let status = StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        Trouble { retry_after: denied.retry_after(), ..Trouble::new(status, "too_many", denied.to_string()) }
    }
}

/// The body could not be read.
impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::BAD_REQUEST);
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let words = "the body is too large; send fewer reports in one batch, or smaller pages";
                let trouble = Trouble::new(status, "oversized", words);
                Trouble { refusal: Some(BridgeRefusal::Oversized), ..trouble }
            }
            StatusCode::SERVICE_UNAVAILABLE => Trouble::again("busy", error.message()),
            _ => Trouble { status, ..Trouble::malformed(&error.message()) },
        }
    }
}
