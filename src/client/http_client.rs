//! A request and its response, within one deadline, over pooled connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::ext::on_informational;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HeaderValue, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::AGENT;
use super::connection::{ConnectionUsage, Connector, TlsSetupError};
use super::failure_class::{FailureClass, classify};
use super::resolver::Resolver;
use crate::limits::{CONNECTION_LIFETIME, RESPONSE_HEAD_BYTES};

/// A client for external servers. It speaks only HTTP/1.1, follows no redirects and uses no proxy of the environment.
#[derive(Clone, Debug)]
pub struct HttpClient {
    pooled: ConnectionPool,
    /// Each connection of this pool is used once.
    unpooled: ConnectionPool,
    timeout: Duration,
    lifetime: Duration,
}

type ConnectionPool = legacy::Client<Connector, Full<Bytes>>;

/// The options of a client.
pub struct ClientOptions {
    /// The timeout to connect, TLS included.
    pub connect_timeout: Duration,
    /// The timeout for a request and its whole response.
    pub timeout: Duration,
    /// How long a connection is reused, so that changes of DNS take effect.
    pub connection_lifetime: Duration,
    /// The most idle connections per host.
    pub max_idle: usize,
    /// Resolves names to addresses.
    pub resolver: Resolver,
}

/// A response, perhaps incomplete.
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers of the final response.
    pub headers: HeaderMap,
    /// The body, as far as it was received.
    pub body: Vec<u8>,
    /// Whether the body is complete, or why not.
    pub completeness: Result<(), Error>,
}

/// Why there is no response, or an incomplete one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The class of failure.
    pub class: FailureClass,
    /// The message, without any part of the URL.
    pub message: String,
    /// Whether nothing was sent, because there was no connection.
    pub is_unsent: bool,
}

/// The head of a final response.
struct ResponseHead {
    response: Response<Incoming>,
    /// Whether interim responses came before.
    has_interim: bool,
    /// Whether the response reports an idle timeout of a reused connection (see [`is_idle_timeout`]).
    is_stale: bool,
}

/// Why there is no head of a response.
struct NoResponse {
    error: Error,
    /// Whether a reused connection was closed by the other side before any byte of a response came.
    is_stale: bool,
}

/// A request to `url`. The user and password of the URL become Basic authentication.
pub fn request(method: Method, url: &Url) -> Builder {
    let mut plain = url.clone();
    // Fails only for a URL without a host; sending such a request fails.
    let _no_host = (plain.set_username(""), plain.set_password(None));
    let request = Request::builder().method(method).uri(plain.as_str());
    match basic_auth_header(url) {
        Some(value) => request.header(AUTHORIZATION, value),
        None => request,
    }
}

/// A GET of `url`.
pub fn get(url: &Url) -> Builder {
    request(Method::GET, url)
}

/// A POST to `url`.
pub fn post(url: &Url) -> Builder {
    request(Method::POST, url)
}

/// The `Authorization` header for the user and password of a URL (RFC 7617).
fn basic_auth_header(url: &Url) -> Option<HeaderValue> {
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return None;
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let credentials = [decoded(url.username()), decoded(password.unwrap_or_default())].join(&b':');
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(credentials))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl ClientOptions {
    /// Options with these timeouts, the default connection lifetime, and no forbidden addresses.
    pub fn new(connect_timeout: Duration, timeout: Duration, max_idle: usize) -> ClientOptions {
        let (connection_lifetime, resolver) = (CONNECTION_LIFETIME, Resolver::system(None));
        ClientOptions { connect_timeout, timeout, connection_lifetime, max_idle, resolver }
    }
}

impl HttpClient {
    /// A client without open connections.
    pub fn new(options: ClientOptions) -> Result<HttpClient, TlsSetupError> {
        let ClientOptions { connect_timeout, timeout, connection_lifetime: lifetime, max_idle, resolver } = options;
        let connector = Connector::new(resolver, connect_timeout)?;
        let connections = |max_idle| {
            legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(lifetime)
                .pool_max_idle_per_host(max_idle)
                .http1_max_buf_size(RESPONSE_HEAD_BYTES)
                .build(connector.clone())
        };
        Ok(HttpClient { pooled: connections(max_idle), unpooled: connections(0), timeout, lifetime })
    }

    /// Sends a request and reads its response, at most `max_bytes` of the body. If there are interim responses, the limit
    /// is for all received bytes.
    ///
    /// A reused connection may have been closed by the other side, or have reached its idle timeout. Then the request is
    /// sent once more over a new connection, if it may be repeated: a GET, or a request with a `webhook-id`, by which
    /// receivers recognize repetitions.
    pub async fn send(
        &self,
        request: Builder,
        body: impl Into<Bytes>,
        max_bytes: usize,
    ) -> Result<HttpResponse, Error> {
        let deadline = Instant::now() + self.timeout;
        let mut request = request.body(Full::new(body.into())).map_err(|error| Error::of(&error))?;
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        let is_repeatable = headers.contains_key("webhook-id") || request.method() == Method::GET;
        let repetition = is_repeatable.then(|| request.clone());
        let head = match (self.send_for_head(&self.pooled, request, max_bytes, deadline).await, repetition) {
            (Err(NoResponse { is_stale: true, .. }) | Ok(ResponseHead { is_stale: true, .. }), Some(request)) => {
                self.send_for_head(&self.unpooled, request, max_bytes, deadline).await
            }
            (head, _) => head,
        };
        let ResponseHead { response, has_interim, .. } = head.map_err(|failure| failure.error)?;
        let usage = response.extensions().get::<Arc<ConnectionUsage>>().cloned();
        let (parts, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        let received = || usage.as_ref().filter(|_| has_interim).map_or(0, |usage| usage.received());
        let end = loop {
            if received() > max_bytes {
                break Err(Error::too_long(max_bytes));
            }
            let data = match timeout_at(deadline, incoming.frame()).await {
                Ok(None) => break Ok(()),
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => break Err(Error::of(&error)),
                Err(_) => break Err(self.timeout_error(false)),
            };
            let room = max_bytes - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                break Err(Error::too_long(max_bytes));
            }
        };
        if let Some(usage) = usage.filter(|_| end.is_ok()) {
            usage.mark_response_complete();
        }
        Ok(HttpResponse { status: parts.status.as_u16(), headers: parts.headers, body, completeness: end })
    }

    /// Sends a request, and waits for the head of its final response.
    async fn send_for_head(
        &self,
        connections: &ConnectionPool,
        mut request: Request<Full<Bytes>>,
        max_bytes: usize,
        deadline: Instant,
    ) -> Result<ResponseHead, NoResponse> {
        let connection = capture_connection(&mut request);
        let (has_interim, is_too_long) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let (interim_flag, abort, captured) = (has_interim.clone(), is_too_long.clone(), connection.clone());
        on_informational(&mut request, move |_| {
            interim_flag.store(true, Ordering::Relaxed);
            if connection_usage(&captured).is_some_and(|usage| usage.received() > max_bytes) {
                abort.cancel();
            }
        });
        let not_stale = |error| NoResponse { error, is_stale: false };
        let outcome = tokio::select! {
            biased;
            // Dropping the request closes the connection.
            () = is_too_long.cancelled() => return Err(not_stale(Error::too_long(max_bytes))),
            outcome = timeout_at(deadline, connections.request(request)) => outcome,
        };
        match outcome {
            Ok(Ok(response)) => {
                let is_stale = !self.limit_lifetime(connection) && is_idle_timeout(&response);
                Ok(ResponseHead { response, has_interim: has_interim.load(Ordering::Relaxed), is_stale })
            }
            Ok(Err(failed)) => {
                let mut error = Error::of(&failed);
                error.is_unsent = failed.is_connect();
                let usage = failed.connect_info().and_then(ConnectionUsage::of);
                let is_stale = error.class == FailureClass::Reset && usage.is_some_and(|usage| usage.is_stale());
                Err(NoResponse { error, is_stale })
            }
            Err(_) => Err(not_stale(self.timeout_error(connection.connection_metadata().is_none()))),
        }
    }

    /// Records that a response began, and returns whether it is the first on its connection. If it is, the connection is
    /// retired after its lifetime.
    fn limit_lifetime(&self, connection: CaptureConnection) -> bool {
        let Some(usage) = connection_usage(&connection) else { return true };
        if !usage.mark_response_started() {
            return false;
        }
        let until = usage.since + self.lifetime;
        let retire = move || {
            if let Some(connection) = connection.connection_metadata().as_ref() {
                connection.poison();
            }
        };
        if until <= Instant::now() {
            retire();
        } else {
            tokio::spawn(async move {
                sleep_until(until).await;
                retire();
            });
        }
        true
    }

    fn timeout_error(&self, is_connecting: bool) -> Error {
        let words = format!("the complete response did not arrive within {} s", self.timeout.as_secs_f64());
        Error { class: FailureClass::Timeout, message: words, is_unsent: is_connecting }
    }
}

impl HttpResponse {
    /// The response if it is complete, else the error.
    pub fn into_complete(self) -> Result<HttpResponse, Error> {
        match self.completeness {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }
}

impl Error {
    fn of(error: &(dyn std::error::Error + 'static)) -> Error {
        let (class, message) = classify(Some(error));
        Error { class, message, is_unsent: false }
    }

    fn too_long(max_bytes: usize) -> Error {
        Error {
            class: FailureClass::TooLong,
            message: format!("the response has more than {max_bytes} bytes"),
            is_unsent: false,
        }
    }
}

/// Whether a server reports that it waited too long for a request, and closes the connection. On a reused connection it
/// may report this before it sees the request. Then the request may be repeated on another (RFC 9110, 15.5.9).
fn is_idle_timeout(response: &Response<Incoming>) -> bool {
    let closes = |value: &HeaderValue| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    };
    let is_last = response.version() < Version::HTTP_11 || response.headers().get_all(CONNECTION).iter().any(closes);
    response.status() == StatusCode::REQUEST_TIMEOUT && is_last
}

/// The usage of a request's connection; `None` until the request has one.
fn connection_usage(connection: &CaptureConnection) -> Option<Arc<ConnectionUsage>> {
    connection.connection_metadata().as_ref().and_then(ConnectionUsage::of)
}
