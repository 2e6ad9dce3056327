//! A request and its answer, before one deadline, over connections that are kept for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::ext::on_informational;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::AGENT;
use super::connection::{Connector, SetupError, Usage};
use super::failure::{Class, classify};
use super::resolver::Resolver;
use crate::limits::{ANSWER_HEAD_BYTES, CONNECTION_LIFETIME};

/// A client for servers of others. It follows no redirect, and no proxy of the environment; HTTP/1.1 alone.
#[derive(Clone, Debug)]
pub struct Client {
    kept: Connections,
    /// None of these is used twice.
    fresh: Connections,
    timeout: Duration,
    lifetime: Duration,
}

type Connections = legacy::Client<Connector, Full<Bytes>>;

/// How a client behaves.
pub struct Options {
    /// To connect, with TLS.
    pub connect_timeout: Duration,
    /// For all of a request and its answer.
    pub timeout: Duration,
    /// How long a connection is used for further requests, so that a name may move.
    pub connection_lifetime: Duration,
    /// Connections that are kept idle, most.
    pub max_idle: usize,
    /// Who knows the addresses of names.
    pub resolver: Resolver,
}

/// What came back.
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The headers of the final answer.
    pub headers: HeaderMap,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// Whether that is all of it, or why not.
    pub end: Result<(), Error>,
}

/// Why there is no answer, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Error {
    /// What went wrong.
    pub class: Class,
    /// In words, which hold nothing of the URL.
    pub words: String,
    /// Nothing was sent: there was no connection.
    pub is_connecting: bool,
}

/// Why there is no head of an answer.
struct Lost {
    error: Error,
    /// The connection had been used, was closed by the other side, and no byte of an answer came.
    is_stale: bool,
}

/// A request to `url`, with whom it names as user.
pub fn request(method: Method, url: &Url) -> Builder {
    let mut plain = url.clone();
    // Fails only where no host is, and that is refused when it is sent.
    let _no_host = (plain.set_username(""), plain.set_password(None));
    let request = Request::builder().method(method).uri(plain.as_str());
    match basic(url) {
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

/// The credentials of a URL (RFC 7617).
fn basic(url: &Url) -> Option<HeaderValue> {
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

impl Options {
    /// With times of its own; any address, and connections that live as long as they should.
    pub fn new(connect_timeout: Duration, timeout: Duration, max_idle: usize) -> Options {
        let (connection_lifetime, resolver) = (CONNECTION_LIFETIME, Resolver::of_system(None));
        Options { connect_timeout, timeout, connection_lifetime, max_idle, resolver }
    }
}

impl Client {
    /// A client that has no connection yet.
    pub fn new(options: Options) -> Result<Client, SetupError> {
        let Options { connect_timeout, timeout, connection_lifetime: lifetime, max_idle, resolver } = options;
        let connector = Connector::new(resolver, connect_timeout)?;
        let connections = |max_idle| {
            legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(lifetime)
                .pool_max_idle_per_host(max_idle)
                .http1_max_buf_size(ANSWER_HEAD_BYTES)
                .build(connector.clone())
        };
        Ok(Client { kept: connections(max_idle), fresh: connections(0), timeout, lifetime })
    }

    /// Sends a request, and reads its answer up to `most` bytes: of its body, or of all that comes if there are interim
    /// answers. Where the other side had closed the connection that was kept, a request that may be repeated is sent once
    /// more, over another one: a GET, and what has a `webhook-id`, which each receiver takes once.
    pub async fn send(&self, request: Builder, body: impl Into<Bytes>, most: usize) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.timeout;
        let mut request = request.body(Full::new(body.into())).map_err(|error| Error::of(&error))?;
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        let is_repeatable = headers.contains_key("webhook-id") || request.method() == Method::GET;
        let once_more = is_repeatable.then(|| request.clone());
        let head = match (self.head(&self.kept, request, most, deadline).await, once_more) {
            (Err(Lost { is_stale: true, .. }), Some(request)) => self.head(&self.fresh, request, most, deadline).await,
            (head, _) => head,
        };
        let (head, has_interim) = head.map_err(|lost| lost.error)?;
        let usage = head.extensions().get::<Arc<Usage>>().cloned();
        let (parts, mut incoming) = head.into_parts();
        let mut body = Vec::new();
        let received = || usage.as_ref().filter(|_| has_interim).map_or(0, |usage| usage.received());
        let end = loop {
            if received() > most {
                break Err(Error::too_long(most));
            }
            let data = match timeout_at(deadline, incoming.frame()).await {
                Ok(None) => break Ok(()),
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => break Err(Error::of(&error)),
                Err(_) => break Err(self.late(false)),
            };
            let room = most - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                break Err(Error::too_long(most));
            }
        };
        if let Some(usage) = usage.filter(|_| end.is_ok()) {
            usage.ended();
        }
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, end })
    }

    /// Sends a request, and waits for the head of its final answer. Says whether others came before.
    async fn head(
        &self,
        connections: &Connections,
        mut request: Request<Full<Bytes>>,
        most: usize,
        deadline: Instant,
    ) -> Result<(Response<Incoming>, bool), Lost> {
        let connection = capture_connection(&mut request);
        let (has_interim, is_too_long) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let (noting, ending, on) = (has_interim.clone(), is_too_long.clone(), connection.clone());
        on_informational(&mut request, move |_| {
            noting.store(true, Ordering::Relaxed);
            if usage(&on).is_some_and(|usage| usage.received() > most) {
                ending.cancel();
            }
        });
        let lost = |error| Lost { error, is_stale: false };
        let answered = tokio::select! {
            biased;
            // The connection ends with the request that is given up.
            () = is_too_long.cancelled() => return Err(lost(Error::too_long(most))),
            answered = timeout_at(deadline, connections.request(request)) => answered,
        };
        match answered {
            Ok(Ok(head)) => {
                self.let_age(connection);
                Ok((head, has_interim.load(Ordering::Relaxed)))
            }
            Ok(Err(failed)) => {
                let mut error = Error::of(&failed);
                error.is_connecting = failed.is_connect();
                let usage = failed.connect_info().and_then(Usage::of);
                let is_stale = error.class == Class::Reset && usage.is_some_and(|usage| usage.is_stale());
                Err(Lost { error, is_stale })
            }
            Err(_) => Err(lost(self.late(connection.connection_metadata().is_none()))),
        }
    }

    /// Has a connection on which the first answer began used no more once its lifetime is over.
    fn let_age(&self, connection: CaptureConnection) {
        let Some(usage) = usage(&connection).filter(|usage| usage.begins_to_answer()) else { return };
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
    }

    fn late(&self, is_connecting: bool) -> Error {
        let words = format!("there was no whole answer within {} s", self.timeout.as_secs_f64());
        Error { class: Class::Timeout, words, is_connecting }
    }
}

impl Answer {
    /// The answer, if it is whole.
    pub fn whole(self) -> Result<Answer, Error> {
        match self.end {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }
}

impl Error {
    fn of(error: &(dyn std::error::Error + 'static)) -> Error {
        let (class, words) = classify(Some(error));
        Error { class, words, is_connecting: false }
    }

    fn too_long(most: usize) -> Error {
        Error { class: Class::TooLong, words: format!("the answer has more than {most} bytes"), is_connecting: false }
    }
}

/// What came of the connection that a request took, once it has one.
fn usage(connection: &CaptureConnection) -> Option<Arc<Usage>> {
    connection.connection_metadata().as_ref().and_then(Usage::of)
}
