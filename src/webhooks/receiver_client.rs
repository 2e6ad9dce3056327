//! One attempt: signs and posts a delivery, reads the response and checks it, all within one deadline.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use tracing::Instrument;

use super::attempt_span::AttemptSpan;
use super::delivery::{Delivery, PayloadBuilder};
use super::response_check::{AttemptFailure, AttemptResponse, check_response};
use super::signature::{AppSecret, WebhookSecret, unix_seconds};
use crate::client::{self, AddressGuard, ClientOptions, FailureClass, RequestBuilder, Resolver, TlsSetupError};
use crate::domain::Timestamp;
use crate::limits::{WEBHOOK_CONNECT_TIMEOUT, WEBHOOK_EXCERPT_BYTES, WEBHOOK_RESPONSE_BYTES};
use crate::traces::TraceContext;
use crate::{clock, config};

/// The receiver of a channel.
pub(super) trait Receiver: Send + Sync {
    /// Sends a delivery once. `attempt` is the attempt number, 1-based.
    fn attempt<'a>(
        &'a self,
        payloads: &'a PayloadBuilder,
        delivery: &'a Delivery,
        attempt: u32,
    ) -> BoxFuture<'a, AttemptResponse>;

    /// The receiver's URL.
    fn url(&self) -> &Url;
}

/// The HTTP client of one channel's receiver.
pub(super) struct ReceiverClient {
    http: client::HttpClient,
    guard: AddressGuard,
    url: Url,
    signing: SigningSecrets,
    timeout: Duration,
    accept_plain: bool,
}

/// The secrets with which a receiver verifies the sender. It has no `Debug`.
#[derive(Clone, Default)]
pub(super) struct SigningSecrets {
    /// Standard Webhooks secrets, the newest first, each with the time when it stops signing.
    pub(super) secrets: Vec<(WebhookSecret, Option<Timestamp>)>,
    pub(super) app: Option<AppSecret>,
}

impl SigningSecrets {
    /// The secrets that sign now, each with its end. The trusted clock decides, so a leap of the wall clock ends no
    /// secret early.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &(WebhookSecret, Option<Timestamp>)> {
        let now = clock::trusted();
        self.secrets.iter().filter(move |(_, until)| until.is_none_or(|until| now < until))
    }
}

impl Receiver for ReceiverClient {
    fn attempt<'a>(
        &'a self,
        payloads: &'a PayloadBuilder,
        delivery: &'a Delivery,
        attempt: u32,
    ) -> BoxFuture<'a, AttemptResponse> {
        async move {
            let begun = Instant::now();
            let traced = AttemptSpan::begin(payloads, delivery, attempt);
            let mut response = AttemptResponse::default();
            let posted = self.post(payloads, delivery, attempt, &traced.context, &mut response);
            response.verdict = posted.instrument(traced.span.clone()).await;
            response.took = begun.elapsed();
            traced.record_response(&response);
            response
        }
        .boxed()
    }

    fn url(&self) -> &Url {
        &self.url
    }
}

impl ReceiverClient {
    /// A client for the receiver at `url`. It never connects to an address that `guard` forbids.
    pub(super) fn new(
        url: Url,
        signing: SigningSecrets,
        guard: &AddressGuard,
        settings: &config::WebhookSettings,
    ) -> Result<ReceiverClient, TlsSetupError> {
        let &config::WebhookSettings { timeout, max_in_flight, connection_lifetime, .. } = settings;
        let resolver = Resolver::system(Some(guard.clone()));
        let options = ClientOptions::new(WEBHOOK_CONNECT_TIMEOUT, timeout, max_in_flight);
        let http = client::HttpClient::new(ClientOptions { connection_lifetime, resolver, ..options })?;
        let (timeout, accept_plain) = (settings.timeout, settings.accept_plain_2xx);
        Ok(ReceiverClient { http, guard: guard.clone(), url, signing, timeout, accept_plain })
    }

    async fn post(
        &self,
        payloads: &PayloadBuilder,
        delivery: &Delivery,
        attempt: u32,
        context: &TraceContext,
        response: &mut AttemptResponse,
    ) -> Result<(), AttemptFailure> {
        // The resolver checks names only; check a literal address before sending.
        self.guard.check_url(&self.url).map_err(|forbidden| AttemptFailure::Network {
            class: FailureClass::Forbidden,
            words: forbidden.to_string(),
        })?;
        let request = client::post(&self.url).header(CONTENT_TYPE, "application/json");
        let request = self.sign(request, &payloads.webhook_id(delivery), &delivery.body, clock::now());
        let mut request = request
            .header("x-muster-attempt", attempt)
            .header("x-muster-account-version", payloads.account_version(delivery))
            .header("traceparent", context.to_traceparent());
        if !context.state.is_empty() {
            request = request.header("tracestate", &*context.state);
        }
        let sent = self.http.send(request, delivery.body.clone(), WEBHOOK_RESPONSE_BYTES).await;
        let answer = sent.map_err(|error| self.to_attempt_failure(error))?;
        response.status = Some(answer.status);
        response.retry_after = client::retry_after(&answer.headers, clock::now());
        response.body_excerpt = excerpt(&answer.body);
        answer.completeness.map_err(|error| self.to_attempt_failure(error))?;
        check_response(answer.status, &answer.body, self.accept_plain)
    }

    /// Adds the headers with which the receiver verifies the sender: the webhook id, and the signatures of each scheme
    /// that has a secret.
    fn sign(&self, request: RequestBuilder, id: &str, body: &[u8], now: Timestamp) -> RequestBuilder {
        let mut request = request.header("webhook-id", id);
        let signatures: Vec<String> = self.signing.in_use().map(|(secret, _)| secret.sign(id, now, body)).collect();
        if !signatures.is_empty() {
            request = request
                .header("webhook-timestamp", unix_seconds(now))
                .header("webhook-signature", signatures.join(" "));
        }
        if let Some(app) = &self.signing.app {
            let (timestamp, token) = app.sign(now);
            request = request
                .header("tenant_id", app.tenant_id.as_str())
                .header("timestamp", timestamp)
                .header("access_token", token);
        }
        request
    }

    fn to_attempt_failure(&self, error: client::Error) -> AttemptFailure {
        match error {
            client::Error { class: FailureClass::TooLong, .. } => AttemptFailure::TooLong,
            client::Error { class: FailureClass::Timeout, is_unsent: is_connecting, .. } => {
                AttemptFailure::Timeout(if is_connecting {
                    WEBHOOK_CONNECT_TIMEOUT.min(self.timeout)
                } else {
                    self.timeout
                })
            }
            client::Error { class, message: words, .. } => AttemptFailure::Network { class, words },
        }
    }
}

/// The beginning of a response body, as text.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = client::lossy_text(&body[..body.len().min(WEBHOOK_EXCERPT_BYTES)]);
    // The cut may split a character; drop the rest of it.
    text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned()
}
