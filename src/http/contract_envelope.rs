//! Turns outcomes and errors into responses: `{"data":…,"code":…,"message":…}`. No other file writes this envelope.
//!
//! Frozen: the fields and their order. The API document defines them, and callers read them.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use warp::http::{HeaderName, HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::contract_error::Error;
use crate::api::ItemError;
use crate::domain::{AccountNumber, TaskId};
use crate::idempotency::StoredResponse;
use crate::limits::NAMED_REJECTIONS;

/// Header of a stored response that is sent again.
pub(super) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What the envelopes of an endpoint contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnvelopeKind {
    /// Empty `data`.
    Plain,
    /// Empty `data`, with a result for each account if the caller wants them.
    Batch,
    /// The task id of a registration.
    Task,
    /// The account list.
    AccountList,
}

/// The `data` of an envelope: a task id, or the empty value of the endpoint's type.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum EnvelopeData {
    Text(&'static str),
    Number(u32),
    List([(); 0]),
}

impl EnvelopeKind {
    /// All kinds.
    pub(super) const ALL: [EnvelopeKind; 4] =
        [EnvelopeKind::Plain, EnvelopeKind::Batch, EnvelopeKind::Task, EnvelopeKind::AccountList];

    /// The empty `data` of this kind. Errors have it too.
    pub(super) fn empty_data(self) -> EnvelopeData {
        match self {
            EnvelopeKind::Plain | EnvelopeKind::Batch => EnvelopeData::Text(""),
            EnvelopeKind::Task => EnvelopeData::Number(0),
            EnvelopeKind::AccountList => EnvelopeData::List([]),
        }
    }
}

/// The outcome of a request that was executed.
pub(super) enum CallOutcome {
    /// Everything was done.
    Success,
    /// A registration was started.
    Task(TaskId),
    /// Each account had its own outcome.
    Batch {
        accounts: Vec<AccountNumber>,
        /// In the order of the accounts.
        outcomes: Vec<Result<(), ItemError>>,
        /// Whether the caller wants a result for each account.
        details: bool,
    },
}

/// The response of an endpoint, before it is rendered for HTTP.
pub(super) enum EndpointResponse {
    /// An outcome that is still to be rendered.
    Outcome(CallOutcome),
    /// A rendered response that is stored for retries.
    Stored {
        response: StoredResponse,
        /// Whether an earlier request produced it.
        is_repeated: bool,
    },
    /// A complete HTTP response: the account list, 304 Not Modified, the metrics.
    Raw(Response),
}

/// The HTTP status that a response would have without `always_200`. The metrics count it.
#[derive(Clone, Copy)]
pub(super) struct IntendedStatus(pub(super) StatusCode);

/// The body of a response; the keys keep this order.
#[derive(Serialize, ToSchema)]
pub(super) struct Envelope<'a> {
    #[schema(value_type = String)]
    data: EnvelopeData,
    /// 200 done; 207 some accounts of a batch were rejected; otherwise the error, which is also the HTTP status, except
    /// for tokens.
    code: u16,
    /// `success`, or one sentence that names the field or the account and says what to do.
    message: &'a str,
    /// With `details=true`, one result for each account of the batch, in order; otherwise left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    results: Option<Vec<ItemResult>>,
}

/// The result for one account.
#[derive(Serialize, ToSchema)]
#[schema(as = Verdict)]
struct ItemResult {
    /// The account number.
    #[serde(rename = "whatsApp")]
    account: String,
    /// 200 accepted, 404 unknown, 409 rejected, 500 or 503 failed.
    code: u16,
    /// `success`, or the reason.
    message: Cow<'static, str>,
}

const SUCCESS: &str = "success";
/// The most common body, rendered in advance.
const SUCCESS_BODY: &str = r#"{"data":"","code":200,"message":"success"}"#;
/// The envelope before and after the account list.
pub(super) const LIST_HEAD: &str = r#"{"data":"#;
pub(super) const LIST_TAIL: &str = r#","code":200,"message":"success"}"#;

/// The HTTP response of an endpoint. With `always_200` its status is 200 for any code except 413, 429 and 503.
pub(super) fn respond(kind: EnvelopeKind, result: Result<EndpointResponse, Error>, always_200: bool) -> Response {
    match result {
        Ok(EndpointResponse::Outcome(outcome)) => {
            let StoredResponse { code, body } = render_outcome(kind, &Ok(outcome));
            json_response(code, always_200, body)
        }
        Ok(EndpointResponse::Stored { response: StoredResponse { code, body }, is_repeated }) => {
            let mut response = json_response(code, always_200, body);
            if is_repeated {
                response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            }
            response
        }
        Ok(EndpointResponse::Raw(response)) => response,
        Err(error) => error_response(kind, &error, always_200),
    }
}

/// Code and body for the result of a request.
pub(super) fn render_outcome(kind: EnvelopeKind, result: &Result<CallOutcome, Error>) -> StoredResponse {
    let (code, body) = match result {
        Ok(CallOutcome::Success) => (200, Cow::Borrowed(SUCCESS_BODY)),
        Ok(CallOutcome::Task(task)) => {
            let body = Envelope { data: EnvelopeData::Number(task.get()), code: 200, message: SUCCESS, results: None };
            (200, body.render())
        }
        Ok(CallOutcome::Batch { accounts, outcomes, details }) => batch_body(kind, accounts, outcomes, *details),
        Err(error) => error_body(kind, error),
    };
    StoredResponse { code, body: into_bytes(body) }
}

fn into_bytes(text: Cow<'static, str>) -> Bytes {
    match text {
        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    }
}

/// Code and body of an error.
pub(super) fn error_body(kind: EnvelopeKind, error: &Error) -> (u16, Cow<'static, str>) {
    let (code, message) = (error.code(), error.message());
    (code, Envelope { data: kind.empty_data(), code, message: &message, results: None }.render())
}

/// Code and body for a batch: 200 if all accounts were accepted, 207 if some were. If no account was accepted, the code is
/// that of the first failure other than a rejection, or 409 if all were rejections.
pub(super) fn batch_body(
    kind: EnvelopeKind,
    accounts: &[AccountNumber],
    outcomes: &[Result<(), ItemError>],
    details: bool,
) -> (u16, Cow<'static, str>) {
    let rejected = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    if rejected == 0 && !details {
        return (200, Cow::Borrowed(SUCCESS_BODY));
    }
    let failed = outcomes.iter().find_map(|outcome| match outcome {
        Err(error @ (ItemError::Failed(_) | ItemError::Auth(_))) => Some(error.code()),
        Ok(()) | Err(ItemError::Rejected(_)) => None,
    });
    let code = match rejected {
        0 => 200,
        all if all == outcomes.len() => failed.unwrap_or(409),
        _ => 207,
    };
    let message = if rejected == 0 { SUCCESS.into() } else { rejection_summary(accounts, outcomes, rejected, details) };
    let results = details.then(|| accounts.iter().zip(outcomes).map(ItemResult::from_outcome).collect());
    (code, Envelope { data: kind.empty_data(), code, message: &message, results }.render())
}

/// The number of rejected accounts, and the reasons of the first few.
fn rejection_summary(
    accounts: &[AccountNumber],
    outcomes: &[Result<(), ItemError>],
    rejected: usize,
    details: bool,
) -> String {
    let mut message = match outcomes.len() {
        1 => String::new(),
        all if outcomes.iter().any(|outcome| matches!(outcome, Err(ItemError::Failed(_) | ItemError::Auth(_)))) => {
            format!("{rejected} of {all} accounts rejected or failed: ")
        }
        all => format!("{rejected} of {all} accounts rejected: "),
    };
    let words = |(account, outcome): (&AccountNumber, &Result<(), ItemError>)| {
        outcome.as_ref().err().map(|error| error.message(*account))
    };
    let named: Vec<String> = accounts.iter().zip(outcomes).filter_map(words).take(NAMED_REJECTIONS).collect();
    message.push_str(&named.join(". "));
    if rejected > NAMED_REJECTIONS {
        let hint = if details { "" } else { "; add ?details=true to see all" };
        let _ = write!(message, ". And {} more{hint}", rejected - NAMED_REJECTIONS);
    }
    message
}

fn error_response(kind: EnvelopeKind, error: &Error, always_200: bool) -> Response {
    let (code, body) = error_body(kind, error);
    let mut response = json_response(code, always_200, into_bytes(body));
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if http_status(code, false) == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Error::MethodNotAllowed { allow } = error {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

fn json_response(code: u16, always_200: bool, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = http_status(code, always_200);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if always_200 {
        response.extensions_mut().insert(IntendedStatus(http_status(code, false)));
    }
    response
}

/// The HTTP status for a code of the contract.
pub(super) fn http_status(code: u16, always_200: bool) -> StatusCode {
    match code {
        413 | 429 | 503 => StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        _ if always_200 => StatusCode::OK,
        // Codes for tenant tokens.
        502 | 518 | 519 | 522 | 523 | 525 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

impl Envelope<'_> {
    fn render(&self) -> Cow<'static, str> {
        // Serializing texts and integers cannot fail.
        Cow::Owned(serde_json::to_string(self).unwrap_or_default())
    }
}

impl ItemResult {
    fn from_outcome((account, outcome): (&AccountNumber, &Result<(), ItemError>)) -> ItemResult {
        let (code, message) = match outcome {
            Ok(()) => (200, SUCCESS.into()),
            Err(error) => (error.code(), error.message(*account).into()),
        };
        ItemResult { account: account.to_string(), code, message }
    }
}
