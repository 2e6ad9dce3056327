//! The HTTP client for a collector.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use crate::client::{self, ClientOptions, TlsSetupError, redact_url};
use crate::limits::{COLLECTOR_CONNECTIONS, COLLECTOR_RESPONSE_BYTES, COLLECTOR_TIMEOUT};

/// The HTTP client of the exporter. It uses our own client, on threads apart from the service's.
#[derive(Debug)]
pub(super) struct CollectorClient {
    http: client::HttpClient,
    runtime: Handle,
    /// Its URL, redacted.
    endpoint: String,
    /// The availability that was last logged.
    is_unavailable: AtomicBool,
}

impl CollectorClient {
    pub(super) fn new(endpoint: &str, runtime: Handle) -> Result<CollectorClient, TlsSetupError> {
        let http =
            client::HttpClient::new(ClientOptions::new(COLLECTOR_TIMEOUT, COLLECTOR_TIMEOUT, COLLECTOR_CONNECTIONS))?;
        Ok(CollectorClient { http, runtime, endpoint: redact_url(endpoint), is_unavailable: AtomicBool::new(false) })
    }

    /// Logs once when the collector stops accepting spans, and once when it accepts them again.
    fn log_availability(&self, why_not: Option<String>) {
        let collector = &self.endpoint;
        let was_unavailable = self.is_unavailable.swap(why_not.is_some(), Ordering::Relaxed);
        match why_not {
            Some(why) if !was_unavailable => {
                tracing::warn!(collector, why, "spans are lost, because the collector does not accept them");
            }
            None if was_unavailable => tracing::info!(collector, "the collector accepts spans again"),
            Some(_) | None => {}
        }
    }
}

type SendFuture<'s> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 's>>;

impl HttpClient for CollectorClient {
    fn send_bytes<'c, 's>(&'c self, request: Request<Bytes>) -> SendFuture<'s>
    where
        'c: 's,
        Self: 's,
    {
        let http = self.http.clone();
        let sending = self.runtime.spawn(async move { send(&http, request).await });
        Box::pin(async move {
            let sent = sending.await.unwrap_or_else(|stopped| Err(stopped.into()));
            self.log_availability(match &sent {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(format!("HTTP {}", response.status().as_u16())),
                Err(error) => Some(error.to_string()),
            });
            sent
        })
    }
}

async fn send(http: &client::HttpClient, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (parts, body) = request.into_parts();
    let builder = client::request(parts.method, &parts.uri.to_string().parse()?);
    let builder = parts.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    let response = http.send(builder, body, COLLECTOR_RESPONSE_BYTES).await?.into_complete()?;
    Ok(Response::builder().status(response.status).body(response.body.into())?)
}
