//! One attempt: a delivery is signed and posted, the answer read and judged, all before one deadline.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use tracing::Instrument;

use super::attempt_span::AttemptSpan;
use super::delivery::{Delivery, PayloadBuilder};
use super::response_check::{AttemptFailure, check_response};
use super::signature::{AppSecret, WebhookSecret, unix_seconds};
use crate::client::{self, AddressGuard, ClientOptions, FailureClass, RequestBuilder, Resolver, TlsSetupError};
use crate::domain::Timestamp;
use crate::limits::{WEBHOOK_CONNECT_TIMEOUT, WEBHOOK_EXCERPT_BYTES, WEBHOOK_RESPONSE_BYTES};
use crate::traces::TraceContext;
use crate::{clock, config};

/// Whom a channel tells.
pub(super) trait Receiver: Send + Sync {
    /// Tells it a delivery once: that many attempts are made of it with this one.
    fn attempt<'a>(
        &'a self,
        form: &'a PayloadBuilder,
        delivery: &'a Delivery,
        attempt: u32,
    ) -> BoxFuture<'a, AttemptResponse>;

    /// Where it is.
    fn url(&self) -> &Url;
}

/// The way to one channel's receiver, over HTTP.
pub(super) struct ReceiverClient {
    http: client::HttpClient,
    guard: AddressGuard,
    url: Url,
    signing: SigningSecrets,
    timeout: Duration,
    accept_plain: bool,
}

/// What a receiver knows the sender by. It has no `Debug`.
#[derive(Clone, Default)]
pub(super) struct SigningSecrets {
    /// The newest first; each signs until its time, if it has one.
    pub(super) secrets: Vec<(WebhookSecret, Option<Timestamp>)>,
    pub(super) app: Option<AppSecret>,
}

impl SigningSecrets {
    /// The secrets that sign now, each with its end. An end is a date, so a wall clock that leaps does not bring it about.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &(WebhookSecret, Option<Timestamp>)> {
        let now = clock::trusted();
        self.secrets.iter().filter(move |(_, until)| until.is_none_or(|until| now < until))
    }
}

/// How an attempt was answered.
#[derive(Clone, Debug)]
pub(super) struct AttemptResponse {
    pub(super) verdict: Result<(), AttemptFailure>,
    /// The status of HTTP, if there was an answer.
    pub(super) status: Option<u16>,
    /// The beginning of the answer's body.
    pub(super) body_excerpt: String,
    /// How long the receiver wants to be left alone, if it says so.
    pub(super) retry_after: Option<Duration>,
    pub(super) took: Duration,
}

impl Receiver for ReceiverClient {
    fn attempt<'a>(
        &'a self,
        form: &'a PayloadBuilder,
        delivery: &'a Delivery,
        attempt: u32,
    ) -> BoxFuture<'a, AttemptResponse> {
        async move {
            let begun = Instant::now();
            let traced = AttemptSpan::begin(form, delivery, attempt);
            let mut answered = AttemptResponse::default();
            let posted = self.post(form, delivery, attempt, &traced.context, &mut answered);
            answered.verdict = posted.instrument(traced.span.clone()).await;
            answered.took = begun.elapsed();
            traced.record_response(&answered);
            answered
        }
        .boxed()
    }

    fn url(&self) -> &Url {
        &self.url
    }
}

impl ReceiverClient {
    /// A client for the receiver at `url`. It connects to no address that `guard` forbids.
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
        form: &PayloadBuilder,
        delivery: &Delivery,
        attempt: u32,
        context: &TraceContext,
        answered: &mut AttemptResponse,
    ) -> Result<(), AttemptFailure> {
        // A literal address is resolved by nobody.
        self.guard.check_url(&self.url).map_err(|forbidden| AttemptFailure::Network {
            class: FailureClass::Forbidden,
            words: forbidden.to_string(),
        })?;
        let request = client::post(&self.url).header(CONTENT_TYPE, "application/json");
        let request = self.sign(request, &form.webhook_id(delivery), &delivery.body, clock::now());
        let mut request = request
            .header("x-muster-attempt", attempt)
            .header("x-muster-account-version", delivery.version)
            .header("traceparent", context.to_traceparent());
        if !context.state.is_empty() {
            request = request.header("tracestate", &*context.state);
        }
        let sent = self.http.send(request, delivery.body.clone(), WEBHOOK_RESPONSE_BYTES).await;
        let answer = sent.map_err(|error| self.to_attempt_failure(error))?;
        answered.status = Some(answer.status);
        answered.retry_after = client::retry_after(&answer.headers, clock::now());
        answered.body_excerpt = excerpt(&answer.body);
        answer.completeness.map_err(|error| self.to_attempt_failure(error))?;
        check_response(answer.status, &answer.body, self.accept_plain)
    }

    /// The headers by which the receiver knows the sender, in each way whose secret is set. The id is always there.
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

impl Default for AttemptResponse {
    /// The receiver took it, and said nothing.
    fn default() -> AttemptResponse {
        let (status, response, retry_after) = (None, String::new(), None);
        AttemptResponse { verdict: Ok(()), status, body_excerpt: response, retry_after, took: Duration::ZERO }
    }
}

/// The beginning of an answer, as text.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = client::lossy_text(&body[..body.len().min(WEBHOOK_EXCERPT_BYTES)]);
    // What was cut in the middle of a character is no fault of the receiver's.
    text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned()
}
