//! The way to a collector.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use crate::client::{self, Options, SetupError, redact_url};
use crate::limits::{COLLECTOR_ANSWER_BYTES, COLLECTOR_CONNECTIONS, COLLECTOR_TIMEOUT};

/// A collector, reached over our own client, on threads that are not the service's.
#[derive(Debug)]
pub(super) struct Collector {
    http: client::Client,
    runtime: Handle,
    /// Where it is, as it may be shown.
    endpoint: String,
    /// What the log was told last.
    is_away: AtomicBool,
}

impl Collector {
    pub(super) fn new(endpoint: &str, runtime: Handle) -> Result<Collector, SetupError> {
        let http = client::Client::new(Options::new(COLLECTOR_TIMEOUT, COLLECTOR_TIMEOUT, COLLECTOR_CONNECTIONS))?;
        Ok(Collector { http, runtime, endpoint: redact_url(endpoint), is_away: AtomicBool::new(false) })
    }

    /// Tells the log once that the collector does not take spans, and once that it does again.
    fn note(&self, why_not: Option<String>) {
        let collector = &self.endpoint;
        let was_away = self.is_away.swap(why_not.is_some(), Ordering::Relaxed);
        match why_not {
            Some(why) if !was_away => {
                tracing::warn!(collector, why, "spans are lost: the collector does not take them");
            }
            None if was_away => tracing::info!(collector, "the collector takes spans again"),
            Some(_) | None => {}
        }
    }
}

type Sending<'s> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 's>>;

impl HttpClient for Collector {
    fn send_bytes<'c, 's>(&'c self, request: Request<Bytes>) -> Sending<'s>
    where
        'c: 's,
        Self: 's,
    {
        let http = self.http.clone();
        let sending = self.runtime.spawn(async move { send(&http, request).await });
        Box::pin(async move {
            let sent = sending.await.unwrap_or_else(|stopped| Err(stopped.into()));
            self.note(match &sent {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("HTTP {}", answer.status().as_u16())),
                Err(error) => Some(error.to_string()),
            });
            sent
        })
    }
}

async fn send(http: &client::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (parts, body) = request.into_parts();
    let sent = client::request(parts.method, &parts.uri.to_string().parse()?);
    let sent = parts.headers.iter().fold(sent, |sent, (name, value)| sent.header(name, value));
    let answer = http.send(sent, body, COLLECTOR_ANSWER_BYTES).await?.whole()?;
    Ok(Response::builder().status(answer.status).body(answer.body.into())?)
}
