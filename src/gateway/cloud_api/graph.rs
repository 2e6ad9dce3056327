//! The calls to Meta's Graph: each once, before one deadline, with the token in a header and never in an address.
//!
//! The token goes to the one host of the settings. No redirect is followed, and pages of the list are asked for by their
//! cursor: an address in a body leads nowhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::answer::{self, Fault, Number, Page};
use super::brake::{Brake, Wish};
use super::failure::{Failure, is_away};
use super::table::{self, Verdict};
use crate::client::{Options, RequestBuilder, SetupError};
use crate::config::{self, CodeRequest};
use crate::domain::{AccountNumber, CallingCode, GatewayKind, Timestamp, VerifyType};
use crate::gateway::bulkhead::{self, Bulkhead};
use crate::limits::{
    GRAPH_ANSWER_BYTES, GRAPH_CONNECT_TIMEOUT, GRAPH_PAGE, GRAPH_PAGES, GRAPH_RATE_PAUSE, RETRY_AFTER_MAX,
};
use crate::{client, clock};

/// What is asked of a number.
const FIELDS: &str = "id,display_phone_number,status,code_verification_status";

/// A call, and its body.
type Call = (RequestBuilder, Bytes);

/// The way to the Graph.
pub(super) struct Graph {
    http: client::Client,
    /// With the version.
    base: Url,
    waba: String,
    /// `Bearer …`, marked as not to be shown.
    authorization: HeaderValue,
    code_request: CodeRequest,
    language: String,
    verified_name: Option<String>,
    region: Option<String>,
    bulkhead: Bulkhead,
    brake: Brake,
}

/// How the Graph cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NotSetUp {
    /// A setting is missing, or is none.
    #[error("gateway.cloud_api.{0} is missing, or is not what it should be")]
    Setting(&'static str),
    /// The client cannot be made.
    #[error("the client for Meta's Graph cannot be made: {0}")]
    Client(SetupError),
}

impl Graph {
    /// The way to the Graph of the settings.
    pub(super) fn new(settings: &config::CloudApi) -> Result<Graph, NotSetUp> {
        let needed = |name, value: &Option<String>| value.clone().ok_or(NotSetUp::Setting(name));
        let mut base: Url =
            needed("base_url", &settings.base_url)?.parse().map_err(|_| NotSetUp::Setting("base_url"))?;
        base.path_segments_mut()
            .map_err(|()| NotSetUp::Setting("base_url"))?
            .pop_if_empty()
            .push(&needed("version", &settings.version)?);
        let token = settings.token.as_ref().ok_or(NotSetUp::Setting("token"))?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.text()));
        let mut authorization = bearer.map_err(|_| NotSetUp::Setting("token"))?;
        authorization.set_sensitive(true);
        let &config::CloudApi { timeout, max_in_flight, calls_per_second, .. } = settings;
        let options = Options::new(GRAPH_CONNECT_TIMEOUT, timeout, max_in_flight);
        let http = client::Client::new(options).map_err(NotSetUp::Client)?;
        Ok(Graph {
            http,
            base,
            waba: needed("waba_id", &settings.waba_id)?,
            authorization,
            code_request: settings.code_request,
            language: needed("language", &settings.language)?,
            verified_name: settings.verified_name.clone(),
            region: settings.region.clone(),
            bulkhead: Bulkhead::new(GatewayKind::CloudApi, timeout, max_in_flight, calls_per_second),
            brake: Brake::new(),
        })
    }

    pub(super) fn waba(&self) -> &str {
        &self.waba
    }

    pub(super) fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }

    pub(super) fn brake(&self) -> &Brake {
        &self.brake
    }

    /// Whether numbers can be added.
    pub(super) fn can_add(&self) -> bool {
        self.verified_name.is_some()
    }

    /// Why a call is not made in time: what holds calls up, or else this.
    pub(super) fn held_up(&self, otherwise: &str) -> Failure {
        match self.brake.held() {
            Some(hold) => Failure::NotMade { why: hold.sentence(), wait: hold.wait() },
            None => Failure::NotMade { why: otherwise.to_owned(), wait: Duration::ZERO },
        }
    }

    // === The calls ===

    /// All numbers of the account, page by page, or an error; never a part of them. A page that fails for a passing
    /// reason is asked for again.
    pub(super) async fn list(&self, wish: &Wish) -> Result<Vec<Number>, Failure> {
        let mut numbers = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..GRAPH_PAGES {
            let mut tries = 0;
            let page = loop {
                match self.page(wish, after.as_deref()).await {
                    Ok(page) => break page,
                    Err(failure) => failure.waited(wish, &mut tries).await?,
                }
            };
            numbers.extend(page.numbers);
            match page.after {
                None => return Ok(numbers),
                Some(next) if after.as_ref() == Some(&next) => break,
                Some(next) => after = Some(next),
            }
        }
        Err(Failure::Unanswered { why: format!("its list does not end within {GRAPH_PAGES} pages") })
    }

    async fn page(&self, wish: &Wish, after: Option<&str>) -> Result<Page, Failure> {
        let mut url = self.url(&[&self.waba, "phone_numbers"]);
        url.query_pairs_mut().append_pair("fields", FIELDS).append_pair("limit", &GRAPH_PAGE.to_string());
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        self.call(wish, bare(client::get(&url)), answer::page).await
    }

    /// One number.
    pub(super) async fn look(&self, wish: &Wish, id: &str) -> Result<Number, Failure> {
        let mut url = self.url(&[id]);
        url.query_pairs_mut().append_pair("fields", FIELDS);
        let mut tries = 0;
        loop {
            match self.call(wish, bare(client::get(&url)), answer::number).await {
                Ok(number) => return Ok(number),
                Err(failure) => failure.waited(wish, &mut tries).await?,
            }
        }
    }

    /// Adds a number to the account, and says its id.
    pub(super) async fn add(&self, wish: &Wish, account: AccountNumber, code: CallingCode) -> Result<String, Failure> {
        let (cc, rest) = split(account, code);
        let name = self.verified_name.as_deref().unwrap_or_default();
        let body = json!({"cc": cc, "phone_number": rest, "verified_name": name});
        let url = self.url(&[&self.waba, "phone_numbers"]);
        self.call(wish, as_json(client::post(&url), &body), answer::made).await
    }

    /// Has a code sent.
    pub(super) async fn request_code(&self, wish: &Wish, id: &str, method: &str) -> Result<(), Failure> {
        let parameters = [("code_method", method), ("language", &self.language)];
        self.call(wish, self.with(&[id, "request_code"], &parameters), answer::done).await
    }

    /// Submits a code.
    pub(super) async fn verify_code(&self, wish: &Wish, id: &str, code: &str) -> Result<(), Failure> {
        self.call(wish, self.with(&[id, "verify_code"], &[("code", code)]), answer::done).await
    }

    /// Registers a number.
    pub(super) async fn register(&self, wish: &Wish, id: &str, pin: &str) -> Result<(), Failure> {
        let mut body = json!({"messaging_product": "whatsapp", "pin": pin});
        if let Some(region) = &self.region {
            body["data_localization_region"] = json!(region);
        }
        self.call(wish, as_json(client::post(&self.url(&[id, "register"])), &body), answer::done).await
    }

    /// Takes a registration back.
    pub(super) async fn deregister(&self, wish: &Wish, id: &str) -> Result<(), Failure> {
        self.call(wish, bare(client::post(&self.url(&[id, "deregister"]))), answer::done).await
    }

    /// Whether the token is taken: one call, whatever holds others up.
    pub(super) async fn probe(&self) -> bool {
        let mut url = self.url(&[&self.waba]);
        url.query_pairs_mut().append_pair("fields", "id");
        match self.fetch(bare(client::get(&url)), &|status, body| answer::read(status, body).map(drop)).await {
            Ok(()) => true,
            // It is taken, though it may not do this.
            Err(failure @ Failure::Refused(_)) => failure.verdict() != Some(Verdict::Token),
            Err(Failure::NotMade { .. } | Failure::Unreachable { .. } | Failure::Unanswered { .. } | Failure::Over) => {
                false
            }
        }
    }

    // === How they are made ===

    /// Makes a call once, when nothing holds it up any more.
    async fn call<T>(
        &self,
        wish: &Wish,
        request: Call,
        read: impl Fn(u16, &[u8]) -> Result<T, Fault>,
    ) -> Result<T, Failure> {
        let mut request = Some(request);
        loop {
            if let Err(hold) = self.brake.passed(wish).await? {
                return Err(Failure::NotMade { why: hold.sentence(), wait: hold.wait() });
            }
            let is_held = AtomicBool::new(false);
            let made = async {
                // Its turn may have come a while after it passed.
                if self.brake.held().is_some() {
                    is_held.store(true, Ordering::Relaxed);
                    return Err(not_made("calls are held up"));
                }
                if wish.is_over.is_cancelled() {
                    return Err(Failure::Over);
                }
                if Instant::now() >= wish.until {
                    return Err(not_made("there was no turn for it in time"));
                }
                match request.take() {
                    Some(request) => self.fetch(request, &read).await,
                    None => Err(not_made("it was made before")),
                }
            };
            let outcome = self.bulkhead.call(made, is_away).await;
            return match outcome {
                Ok(answer) => Ok(answer),
                Err(bulkhead::Refused::Failed(Failure::NotMade { .. })) if is_held.load(Ordering::Relaxed) => continue,
                Err(bulkhead::Refused::Failed(failure)) => Err(failure),
                Err(bulkhead::Refused::Open { wait }) => {
                    Err(Failure::NotMade { why: "Meta's service is away for now".to_owned(), wait })
                }
                Err(late @ bulkhead::Refused::Late { .. }) => Err(Failure::Unanswered { why: late.to_string() }),
            };
        }
    }

    /// Sends a request, and reads its answer; heeds what Meta says about calls as such.
    async fn fetch<T>(
        &self,
        (request, body): Call,
        read: &impl Fn(u16, &[u8]) -> Result<T, Fault>,
    ) -> Result<T, Failure> {
        let unanswered = |error: client::Error| {
            let why = error.words;
            // Where nobody took a connection, nothing was sent.
            if error.is_connecting { Failure::Unreachable { why } } else { Failure::Unanswered { why } }
        };
        let request = request.header(AUTHORIZATION, self.authorization.clone());
        let client::Answer { status, headers, body: answer, end } =
            self.http.send(request, body, GRAPH_ANSWER_BYTES).await.map_err(unanswered)?;
        let held = heed(status, &headers, clock::now());
        if let Some(wait) = held {
            self.brake.hold_for(wait, None);
        }
        end.map_err(unanswered)?;
        let refused = match read(status, &answer) {
            Ok(answer) => return Ok(answer),
            Err(Fault::Garbled { status, why }) => {
                return Err(Failure::Unanswered { why: format!("what came with HTTP {status} is no answer: {why}") });
            }
            Err(Fault::Refused(refused)) => refused,
        };
        match table::judged(&refused).0 {
            Verdict::Rate => self.brake.hold_for(held.unwrap_or(GRAPH_RATE_PAUSE), Some(&refused)),
            Verdict::Token => {
                let words = table::sentence(&refused);
                if self.brake.stop(&words) {
                    self.bulkhead.note(&words);
                    tracing::error!(error = words, "no call is made to Meta until it takes the token again");
                }
            }
            Verdict::Permanent
            | Verdict::Banned
            | Verdict::Again
            | Verdict::After(_)
            | Verdict::Budget
            | Verdict::Incomplete
            | Verdict::NotRegistered
            | Verdict::Listed
            | Verdict::NotThere
            | Verdict::CodeRefused => {}
        }
        if let Some(trace) = &refused.trace {
            tracing::debug!(%refused, trace, "Meta refuses a call");
        }
        Err(Failure::Refused(refused))
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Fails only on a base that cannot have a path, and that was refused.
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(segments);
        }
        url
    }

    /// A call with parameters, in the form of the settings.
    fn with(&self, segments: &[&str], parameters: &[(&str, &str)]) -> Call {
        let request = client::post(&self.url(segments));
        match self.code_request {
            CodeRequest::Json => {
                let fields: Map<String, Value> =
                    parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
                as_json(request, &Value::Object(fields))
            }
            CodeRequest::Form => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(parameters);
                (request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), form.finish().into())
            }
        }
    }
}

fn as_json(request: RequestBuilder, body: &Value) -> Call {
    (request.header(CONTENT_TYPE, "application/json"), body.to_string().into())
}

fn bare(request: RequestBuilder) -> Call {
    (request, Bytes::new())
}

fn not_made(why: &str) -> Failure {
    Failure::NotMade { why: why.to_owned(), wait: Duration::ZERO }
}

/// How long no call may be made, by the headers of an answer: Meta's own, and `Retry-After` where calls are refused for
/// now, by Meta or a proxy before it.
pub(super) fn heed(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let by_usage = answer::regain_after(header("x-app-usage"), header("x-business-use-case-usage"));
    let is_refused = matches!(status, 429 | 503);
    let asked = client::retry_after(headers, now).filter(|_| is_refused).map(|wait| wait.min(RETRY_AFTER_MAX));
    by_usage.max(asked)
}

/// The calling code and the rest of a number, as Meta wants them: its codes have 1 to 3 digits, so that of an island with
/// its area is 1, and the area belongs to the rest.
pub(super) fn split(account: AccountNumber, code: CallingCode) -> (String, String) {
    let (digits, code) = (account.to_string(), code.to_string());
    let cc = if code.len() > 3 { code[..1].to_owned() } else { code };
    let rest = digits.strip_prefix(&cc).unwrap_or(&digits).to_owned();
    (cc, rest)
}

/// How Meta calls a way in which a code reaches a phone; none if it has none like it.
pub(super) fn method(verify_type: VerifyType) -> Option<&'static str> {
    match verify_type {
        VerifyType::Sms => Some("SMS"),
        VerifyType::Voice => Some("VOICE"),
        VerifyType::MissedCall | VerifyType::Internal => None,
    }
}
