//! One attempt: a delivery is signed and posted, the answer read and judged, all before one deadline.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use tracing::Instrument;

use super::delivery::{Delivery, Form};
use super::signature::{AppSecret, Secret, seconds};
use super::traced::Traced;
use super::verdict::{Failure, judge};
use crate::client::{self, Class, Guard, Options, RequestBuilder, Resolver, SetupError};
use crate::domain::Timestamp;
use crate::limits::{WEBHOOK_ANSWER_BYTES, WEBHOOK_CONNECT_TIMEOUT, WEBHOOK_EXCERPT_BYTES};
use crate::traces::TraceContext;
use crate::{clock, config};

/// Whom a channel tells.
pub(super) trait Receiver: Send + Sync {
    /// Tells it a delivery once: that many attempts are made of it with this one.
    fn attempt<'a>(&'a self, form: &'a Form, delivery: &'a Delivery, attempt: u32) -> BoxFuture<'a, Answered>;

    /// Where it is.
    fn url(&self) -> &Url;
}

/// The way to one channel's receiver, over HTTP.
pub(super) struct Client {
    http: client::Client,
    guard: Guard,
    url: Url,
    signing: Signing,
    timeout: Duration,
    accept_plain: bool,
}

/// What a receiver knows the sender by. It has no `Debug`.
#[derive(Clone, Default)]
pub(super) struct Signing {
    /// The newest first; each signs until its time, if it has one.
    pub(super) secrets: Vec<(Secret, Option<Timestamp>)>,
    pub(super) app: Option<AppSecret>,
}

impl Signing {
    /// The secrets that sign now, each with its end. An end is a date, so a wall clock that leaps does not bring it about.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &(Secret, Option<Timestamp>)> {
        let now = clock::trusted();
        self.secrets.iter().filter(move |(_, until)| until.is_none_or(|until| now < until))
    }
}

/// How an attempt was answered.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) verdict: Result<(), Failure>,
    /// The status of HTTP, if there was an answer.
    pub(super) status: Option<u16>,
    /// The beginning of the answer's body.
    pub(super) response: String,
    /// How long the receiver wants to be left alone, if it says so.
    pub(super) retry_after: Option<Duration>,
    pub(super) took: Duration,
}

impl Receiver for Client {
    fn attempt<'a>(&'a self, form: &'a Form, delivery: &'a Delivery, attempt: u32) -> BoxFuture<'a, Answered> {
        async move {
            let begun = Instant::now();
            let traced = Traced::begin(form, delivery, attempt);
            let mut answered = Answered::default();
            let posted = self.post(form, delivery, attempt, &traced.context, &mut answered);
            answered.verdict = posted.instrument(traced.span.clone()).await;
            answered.took = begun.elapsed();
            traced.end(&answered);
            answered
        }
        .boxed()
    }

    fn url(&self) -> &Url {
        &self.url
    }
}

impl Client {
    /// A client for the receiver at `url`. It connects to no address that `guard` forbids.
    pub(super) fn new(
        url: Url,
        signing: Signing,
        guard: &Guard,
        settings: &config::Webhooks,
    ) -> Result<Client, SetupError> {
        let &config::Webhooks { timeout, max_in_flight, connection_lifetime, .. } = settings;
        let resolver = Resolver::of_system(Some(guard.clone()));
        let options = Options::new(WEBHOOK_CONNECT_TIMEOUT, timeout, max_in_flight);
        let http = client::Client::new(Options { connection_lifetime, resolver, ..options })?;
        let (timeout, accept_plain) = (settings.timeout, settings.accept_plain_2xx);
        Ok(Client { http, guard: guard.clone(), url, signing, timeout, accept_plain })
    }

    async fn post(
        &self,
        form: &Form,
        delivery: &Delivery,
        attempt: u32,
        context: &TraceContext,
        answered: &mut Answered,
    ) -> Result<(), Failure> {
        // A literal address is resolved by nobody.
        self.guard
            .check_url(&self.url)
            .map_err(|forbidden| Failure::Network { class: Class::Forbidden, words: forbidden.to_string() })?;
        let request = client::post(&self.url).header(CONTENT_TYPE, "application/json");
        let request = self.sign(request, &form.id(delivery), &delivery.body, clock::now());
        let mut request = request
            .header("x-muster-attempt", attempt)
            .header("x-muster-account-version", delivery.version)
            .header("traceparent", context.parent());
        if !context.state.is_empty() {
            request = request.header("tracestate", &*context.state);
        }
        let sent = self.http.send(request, delivery.body.clone(), WEBHOOK_ANSWER_BYTES).await;
        let answer = sent.map_err(|error| self.failure(error))?;
        answered.status = Some(answer.status);
        answered.retry_after = client::retry_after(&answer.headers, clock::now());
        answered.response = excerpt(&answer.body);
        answer.end.map_err(|error| self.failure(error))?;
        judge(answer.status, &answer.body, self.accept_plain)
    }

    /// The headers by which the receiver knows the sender, in each way whose secret is set. The id is always there.
    fn sign(&self, request: RequestBuilder, id: &str, body: &[u8], now: Timestamp) -> RequestBuilder {
        let mut request = request.header("webhook-id", id);
        let signatures: Vec<String> = self.signing.in_use().map(|(secret, _)| secret.sign(id, now, body)).collect();
        if !signatures.is_empty() {
            request =
                request.header("webhook-timestamp", seconds(now)).header("webhook-signature", signatures.join(" "));
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

    fn failure(&self, error: client::Error) -> Failure {
        match error {
            client::Error { class: Class::TooLong, .. } => Failure::TooLong,
            client::Error { class: Class::Timeout, is_connecting, .. } => {
                Failure::Timeout(if is_connecting { WEBHOOK_CONNECT_TIMEOUT.min(self.timeout) } else { self.timeout })
            }
            client::Error { class, words, .. } => Failure::Network { class, words },
        }
    }
}

impl Default for Answered {
    /// The receiver took it, and said nothing.
    fn default() -> Answered {
        let (status, response, retry_after) = (None, String::new(), None);
        Answered { verdict: Ok(()), status, response, retry_after, took: Duration::ZERO }
    }
}

/// The beginning of an answer, as text.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = client::text(&body[..body.len().min(WEBHOOK_EXCERPT_BYTES)]);
    // What was cut in the middle of a character is no fault of the receiver's.
    text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned()
}
