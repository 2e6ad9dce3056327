//! The way to a collector.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use crate::client::{self, class};
use crate::config::masked_url;
use crate::limits::{COLLECTOR_ANSWER_BYTES, COLLECTOR_TIMEOUT};

/// A collector, reached over our own client, on threads that are not the service's.
#[derive(Debug)]
pub(super) struct Collector {
    http: reqwest::Client,
    runtime: Handle,
    /// Where it is, as it may be shown.
    endpoint: String,
    /// What the log was told last.
    is_away: AtomicBool,
}

impl Collector {
    pub(super) fn new(endpoint: &str, runtime: Handle) -> Result<Collector, reqwest::Error> {
        let http = client::builder(COLLECTOR_TIMEOUT).timeout(COLLECTOR_TIMEOUT).build()?;
        Ok(Collector { http, runtime, endpoint: masked_url(endpoint), is_away: AtomicBool::new(false) })
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
                Err(error) => Some(match error.downcast_ref::<reqwest::Error>() {
                    Some(error) => class(error).1,
                    None => error.to_string(),
                }),
            });
            sent
        })
    }
}

async fn send(http: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request.try_into()?).await?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > COLLECTOR_ANSWER_BYTES {
            return Err(format!("its answer has more than {COLLECTOR_ANSWER_BYTES} bytes").into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response::builder().status(status).body(body.into())?)
}
