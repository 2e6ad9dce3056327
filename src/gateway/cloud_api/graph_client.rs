//! The calls to Meta's Graph, each with a deadline. Only reads are retried here. The token is in a header, never in a URL.
//!
//! The token goes only to the configured host: redirects are not followed, and pages are requested by cursor, never by a
//! URL from a body.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::call_error::{CloudApiSetupError, GraphCallError, is_unavailable};
use super::graph_response::{self, GraphResponseError, PhoneNumber, PhoneNumberPage};
use super::meta_codes::{self, GraphErrorClass};
use super::throttle::{Throttle, WorkDeadline};
use crate::client::{ClientOptions, RequestBuilder};
use crate::config::{self, CodeRequestEncoding};
use crate::domain::{AccountNumber, CallingCode, GatewayKind, Timestamp, VerifyType};
use crate::gateway::bulkhead::{self, Bulkhead};
use crate::limits::{
    GRAPH_CONNECT_TIMEOUT, GRAPH_PAGE_SIZE, GRAPH_PAGES, GRAPH_RATE_PAUSE, GRAPH_RESPONSE_BYTES, RETRY_AFTER_MAX,
};
use crate::{client, clock};

/// The fields that are requested of a number.
const NUMBER_FIELDS: &str = "id,display_phone_number,status,code_verification_status";

/// A request and its body.
type GraphRequest = (RequestBuilder, Bytes);

/// The client of Meta's Graph.
pub(super) struct GraphClient {
    http: client::HttpClient,
    /// The base URL with the API version.
    base: Url,
    waba_id: String,
    /// `Bearer …`, marked sensitive so that it is never logged.
    authorization: HeaderValue,
    code_request: CodeRequestEncoding,
    language: String,
    verified_name: Option<String>,
    region: Option<String>,
    bulkhead: Bulkhead,
    throttle: Throttle,
}

impl GraphClient {
    /// A client with these settings.
    pub(super) fn new(settings: &config::CloudApiSettings) -> Result<GraphClient, CloudApiSetupError> {
        let require = |name, value: &Option<String>| value.clone().ok_or(CloudApiSetupError::Setting(name));
        let mut base: Url =
            require("base_url", &settings.base_url)?.parse().map_err(|_| CloudApiSetupError::Setting("base_url"))?;
        base.path_segments_mut()
            .map_err(|()| CloudApiSetupError::Setting("base_url"))?
            .pop_if_empty()
            .push(&require("version", &settings.version)?);
        let token = settings.token.as_ref().ok_or(CloudApiSetupError::Setting("token"))?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.text()));
        let mut authorization = bearer.map_err(|_| CloudApiSetupError::Setting("token"))?;
        authorization.set_sensitive(true);
        let &config::CloudApiSettings { timeout, max_in_flight, calls_per_second, .. } = settings;
        let options = ClientOptions::new(GRAPH_CONNECT_TIMEOUT, timeout, max_in_flight);
        let http = client::HttpClient::new(options).map_err(CloudApiSetupError::Client)?;
        Ok(GraphClient {
            http,
            base,
            waba_id: require("waba_id", &settings.waba_id)?,
            authorization,
            code_request: settings.code_request,
            language: require("language", &settings.language)?,
            verified_name: settings.verified_name.clone(),
            region: settings.region.clone(),
            bulkhead: Bulkhead::new(GatewayKind::CloudApi, timeout, max_in_flight, calls_per_second),
            throttle: Throttle::new(),
        })
    }

    pub(super) fn waba_id(&self) -> &str {
        &self.waba_id
    }

    pub(super) fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Whether the settings allow adding numbers.
    pub(super) fn can_add(&self) -> bool {
        self.verified_name.is_some()
    }

    /// The error of a call that was not made in time: the throttle's reason, or else `otherwise`.
    pub(super) fn not_sent_error(&self, otherwise: &str) -> GraphCallError {
        match self.throttle.current_hold() {
            Some(hold) => GraphCallError::NotSent { why: hold.message(), wait: hold.remaining() },
            None => GraphCallError::NotSent { why: otherwise.to_owned(), wait: Duration::ZERO },
        }
    }

    // === The calls ===

    /// Lists all numbers of the WhatsApp Business account. The list is complete, or the call fails. A page with a
    /// transient error is requested again.
    pub(super) async fn list(&self, work: &WorkDeadline) -> Result<Vec<PhoneNumber>, GraphCallError> {
        let mut numbers = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..GRAPH_PAGES {
            let mut tries = 0;
            let page = loop {
                match self.page(work, after.as_deref()).await {
                    Ok(page) => break page,
                    Err(failure) => failure.wait_before_retry(work, &mut tries).await?,
                }
            };
            numbers.extend(page.numbers);
            match page.next_cursor {
                None => return Ok(numbers),
                Some(next) if after.as_ref() == Some(&next) => break,
                Some(next) => after = Some(next),
            }
        }
        Err(GraphCallError::NoAnswer { why: format!("its list has more than {GRAPH_PAGES} pages") })
    }

    async fn page(&self, work: &WorkDeadline, after: Option<&str>) -> Result<PhoneNumberPage, GraphCallError> {
        let mut url = self.url(&[&self.waba_id, "phone_numbers"]);
        url.query_pairs_mut().append_pair("fields", NUMBER_FIELDS).append_pair("limit", &GRAPH_PAGE_SIZE.to_string());
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        self.call(work, empty_request(client::get(&url)), graph_response::parse_page).await
    }

    /// Reads one number.
    pub(super) async fn get_number(&self, work: &WorkDeadline, id: &str) -> Result<PhoneNumber, GraphCallError> {
        let mut url = self.url(&[id]);
        url.query_pairs_mut().append_pair("fields", NUMBER_FIELDS);
        let mut tries = 0;
        loop {
            match self.call(work, empty_request(client::get(&url)), graph_response::parse_phone_number).await {
                Ok(number) => return Ok(number),
                Err(failure) => failure.wait_before_retry(work, &mut tries).await?,
            }
        }
    }

    /// Adds a number to the WhatsApp Business account, and returns its id.
    pub(super) async fn add(
        &self,
        work: &WorkDeadline,
        account: AccountNumber,
        code: CallingCode,
    ) -> Result<String, GraphCallError> {
        let (cc, rest) = split_calling_code(account, code);
        let name = self.verified_name.as_deref().unwrap_or_default();
        let body = json!({"cc": cc, "phone_number": rest, "verified_name": name});
        let url = self.url(&[&self.waba_id, "phone_numbers"]);
        self.call(work, as_json(client::post(&url), &body), graph_response::parse_created_id).await
    }

    /// Asks Meta to send a code.
    pub(super) async fn request_code(&self, work: &WorkDeadline, id: &str, method: &str) -> Result<(), GraphCallError> {
        let parameters = [("code_method", method), ("language", &self.language)];
        self.call(work, self.request_with_parameters(&[id, "request_code"], &parameters), graph_response::parse_success)
            .await
    }

    /// Submits a code.
    pub(super) async fn verify_code(&self, work: &WorkDeadline, id: &str, code: &str) -> Result<(), GraphCallError> {
        self.call(
            work,
            self.request_with_parameters(&[id, "verify_code"], &[("code", code)]),
            graph_response::parse_success,
        )
        .await
    }

    /// Registers a number.
    pub(super) async fn register(&self, work: &WorkDeadline, id: &str, pin: &str) -> Result<(), GraphCallError> {
        let mut body = json!({"messaging_product": "whatsapp", "pin": pin});
        if let Some(region) = &self.region {
            body["data_localization_region"] = json!(region);
        }
        self.call(work, as_json(client::post(&self.url(&[id, "register"])), &body), graph_response::parse_success).await
    }

    /// Deregisters a number.
    pub(super) async fn deregister(&self, work: &WorkDeadline, id: &str) -> Result<(), GraphCallError> {
        self.call(work, empty_request(client::post(&self.url(&[id, "deregister"]))), graph_response::parse_success)
            .await
    }

    /// Whether Meta accepts the token. Makes one call, which bypasses the throttle.
    pub(super) async fn probe(&self) -> bool {
        let mut url = self.url(&[&self.waba_id]);
        url.query_pairs_mut().append_pair("fields", "id");
        match self
            .fetch(empty_request(client::get(&url)), &|status, body| {
                graph_response::parse_response(status, body).map(drop)
            })
            .await
        {
            Ok(()) => true,
            // Any other refusal means that Meta accepted the token.
            Err(failure @ GraphCallError::Graph(_)) => failure.error_class() != Some(GraphErrorClass::TokenRejected),
            Err(
                GraphCallError::NotSent { .. }
                | GraphCallError::Unreachable { .. }
                | GraphCallError::NoAnswer { .. }
                | GraphCallError::Cancelled,
            ) => false,
        }
    }

    // === Sending ===

    /// Makes a call once, as soon as the throttle allows it.
    async fn call<T>(
        &self,
        work: &WorkDeadline,
        request: GraphRequest,
        read: impl Fn(u16, &[u8]) -> Result<T, GraphResponseError>,
    ) -> Result<T, GraphCallError> {
        let mut request = Some(request);
        loop {
            if let Err(hold) = self.throttle.wait_for_clearance(work).await? {
                return Err(GraphCallError::NotSent { why: hold.message(), wait: hold.remaining() });
            }
            let is_held = AtomicBool::new(false);
            let attempt = async {
                // The throttle may have closed while the call waited for the bulkhead.
                if self.throttle.current_hold().is_some() {
                    is_held.store(true, Ordering::Relaxed);
                    return Err(not_sent("calls are throttled"));
                }
                if work.cancel.is_cancelled() {
                    return Err(GraphCallError::Cancelled);
                }
                if Instant::now() >= work.deadline {
                    return Err(not_sent("the call got no slot in time"));
                }
                match request.take() {
                    Some(request) => self.fetch(request, &read).await,
                    None => Err(not_sent("the call was made before")),
                }
            };
            let outcome = self.bulkhead.call(attempt, is_unavailable).await;
            return match outcome {
                Ok(answer) => Ok(answer),
                Err(bulkhead::CallError::Failed(GraphCallError::NotSent { .. })) if is_held.load(Ordering::Relaxed) => {
                    continue;
                }
                Err(bulkhead::CallError::Failed(failure)) => Err(failure),
                Err(bulkhead::CallError::BreakerOpen { wait }) => {
                    Err(GraphCallError::NotSent { why: "Meta's service is unavailable".to_owned(), wait })
                }
                Err(error @ bulkhead::CallError::Timeout { .. }) => {
                    Err(GraphCallError::NoAnswer { why: error.to_string() })
                }
            };
        }
    }

    /// Sends a request, and reads its response. Passes rate limits and token errors on to the throttle.
    async fn fetch<T>(
        &self,
        (request, body): GraphRequest,
        read: &impl Fn(u16, &[u8]) -> Result<T, GraphResponseError>,
    ) -> Result<T, GraphCallError> {
        let network_error = |error: client::Error| {
            let why = error.message;
            // Without a connection nothing was sent.
            if error.is_unsent { GraphCallError::Unreachable { why } } else { GraphCallError::NoAnswer { why } }
        };
        let request = request.header(AUTHORIZATION, self.authorization.clone());
        let client::HttpResponse { status, headers, body: answer, completeness } =
            self.http.send(request, body, GRAPH_RESPONSE_BYTES).await.map_err(network_error)?;
        let pause = pause_from_headers(status, &headers, clock::now());
        if let Some(wait) = pause {
            self.throttle.pause_for(wait, None);
        }
        completeness.map_err(network_error)?;
        let refused = match read(status, &answer) {
            Ok(answer) => return Ok(answer),
            Err(GraphResponseError::Malformed { status, why }) => {
                return Err(GraphCallError::NoAnswer { why: format!("the body of HTTP {status} is invalid: {why}") });
            }
            Err(GraphResponseError::Graph(refused)) => refused,
        };
        match meta_codes::classify(&refused).0 {
            GraphErrorClass::RateLimited => self.throttle.pause_for(pause.unwrap_or(GRAPH_RATE_PAUSE), Some(&refused)),
            GraphErrorClass::TokenRejected => {
                let words = meta_codes::error_message(&refused);
                if self.throttle.reject_token(&words) {
                    self.bulkhead.record_error(&words);
                    tracing::error!(error = words, "Meta rejected the token; calls stop until it accepts one");
                }
            }
            GraphErrorClass::Permanent
            | GraphErrorClass::Banned
            | GraphErrorClass::Transient
            | GraphErrorClass::RetryAfter(_)
            | GraphErrorClass::CallsUsedUp
            | GraphErrorClass::DeregistrationIncomplete
            | GraphErrorClass::NotRegistered
            | GraphErrorClass::AlreadyListed
            | GraphErrorClass::NotFound
            | GraphErrorClass::CodeRefused => {}
        }
        if let Some(trace) = &refused.trace_id {
            tracing::debug!(%refused, trace, "Meta rejects a call");
        }
        Err(GraphCallError::Graph(refused))
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Fails only for a base without a path, which `new` rejects.
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(segments);
        }
        url
    }

    /// A request with parameters, in the encoding of the settings.
    fn request_with_parameters(&self, segments: &[&str], parameters: &[(&str, &str)]) -> GraphRequest {
        let request = client::post(&self.url(segments));
        match self.code_request {
            CodeRequestEncoding::Json => {
                let fields: Map<String, Value> =
                    parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
                as_json(request, &Value::Object(fields))
            }
            CodeRequestEncoding::Form => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(parameters);
                (request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), form.finish().into())
            }
        }
    }
}

fn as_json(request: RequestBuilder, body: &Value) -> GraphRequest {
    (request.header(CONTENT_TYPE, "application/json"), body.to_string().into())
}

fn empty_request(request: RequestBuilder) -> GraphRequest {
    (request, Bytes::new())
}

fn not_sent(why: &str) -> GraphCallError {
    GraphCallError::NotSent { why: why.to_owned(), wait: Duration::ZERO }
}

/// How long calls must pause, according to the headers of a response: Meta's usage headers, and `Retry-After` with status
/// 429 or 503. A proxy may have sent the latter.
pub(super) fn pause_from_headers(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let by_usage = graph_response::usage_pause(header("x-app-usage"), header("x-business-use-case-usage"));
    let is_refused = matches!(status, 429 | 503);
    let requested = client::retry_after(headers, now).filter(|_| is_refused).map(|wait| wait.min(RETRY_AFTER_MAX));
    by_usage.max(requested)
}

/// Splits a number into calling code and rest, as Meta expects them. Meta's calling codes have 1 to 3 digits. A longer
/// code, such as that of a Caribbean island, becomes 1. Its other digits go to the rest.
pub(super) fn split_calling_code(account: AccountNumber, code: CallingCode) -> (String, String) {
    let (digits, code) = (account.to_string(), code.to_string());
    let cc = if code.len() > 3 { code[..1].to_owned() } else { code };
    let rest = digits.strip_prefix(&cc).unwrap_or(&digits).to_owned();
    (cc, rest)
}

/// Meta's name of a verification method. `None` if Meta does not offer it.
pub(super) fn code_method(verify_type: VerifyType) -> Option<&'static str> {
    match verify_type {
        VerifyType::Sms => Some("SMS"),
        VerifyType::Voice => Some("VOICE"),
        VerifyType::MissedCall | VerifyType::Internal => None,
    }
}
