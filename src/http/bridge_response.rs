//! Responses to gateways: answers, and errors that say why a request failed.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;
use zeroize::Zeroizing;

use super::contract_error::Error;
use crate::access::AuthError;
use crate::gateway::Bridge;
use crate::gateway::bridge::{IngestError, RequestSignatureError, WorkRequestError};
use crate::metrics::BridgeRefusal;

/// Why a request failed.
#[derive(Debug)]
pub(super) struct BridgeApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The next expected sequence number, if reports are missing.
    pub(super) expected: Option<u64>,
    /// Seconds until a retry makes sense.
    pub(super) retry_after: Option<u64>,
    pub(super) metric_reason: Option<BridgeRefusal>,
    pub(super) allow: Option<&'static str>,
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayError)]
pub(super) struct BridgeErrorBody<'a> {
    error: BridgeErrorDetail<'a>,
}

/// The error.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayErrorInside)]
struct BridgeErrorDetail<'a> {
    /// A word for programs.
    code: &'static str,
    /// One sentence that says what to do.
    message: &'a str,
    /// If reports are missing: the sequence to send from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expected: Option<u64>,
}

impl BridgeApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> BridgeApiError {
        let message = message.into();
        BridgeApiError { status, code, message, expected: None, retry_after: None, metric_reason: None, allow: None }
    }

    pub(super) fn malformed(words: &str) -> BridgeApiError {
        let error = BridgeApiError::new(StatusCode::BAD_REQUEST, "malformed", words);
        BridgeApiError { metric_reason: Some(BridgeRefusal::Malformed), ..error }
    }

    /// Logs an internal error. The gateway gets only a general message.
    pub(super) fn internal(error: &dyn std::error::Error) -> BridgeApiError {
        tracing::error!(error = %error, "a request from a gateway failed with an internal error");
        let words = "the service failed, and the request may have been ingested; send it again";
        BridgeApiError::retry_later("failed", words)
    }

    pub(super) fn retry_later(code: &'static str, words: impl Into<String>) -> BridgeApiError {
        BridgeApiError { retry_after: Some(1), ..BridgeApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, words) }
    }

    /// Renders the response. Counts a rejection that has a `metric_reason`, if the bridge is set up.
    pub(super) fn respond(self, bridge: Option<&Bridge>) -> Response {
        let BridgeApiError { status, code, message, expected, retry_after, metric_reason, allow } = self;
        if let (Some(reason), Some(bridge)) = (metric_reason, bridge) {
            bridge.metrics().bridge_refused.with(reason).inc();
        }
        let mut response =
            json_response(&BridgeErrorBody { error: BridgeErrorDetail { code, message: &message, expected } });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.extend(retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        headers.extend(allow.map(|allow| (header::ALLOW, HeaderValue::from_static(allow))));
        response
    }
}

impl From<RequestSignatureError> for BridgeApiError {
    fn from(why: RequestSignatureError) -> BridgeApiError {
        let (code, refusal) = match why {
            RequestSignatureError::Missing => ("unsigned", BridgeRefusal::Unsigned),
            RequestSignatureError::Forged => ("forged", BridgeRefusal::Forged),
            RequestSignatureError::Stale => ("stale", BridgeRefusal::Stale),
            RequestSignatureError::Replayed => ("replayed", BridgeRefusal::Replayed),
        };
        let error = BridgeApiError::new(StatusCode::UNAUTHORIZED, code, why.to_string());
        BridgeApiError { metric_reason: Some(refusal), ..error }
    }
}

impl From<IngestError> for BridgeApiError {
    fn from(why: IngestError) -> BridgeApiError {
        match why {
            IngestError::Gap { expected } => {
                let error = BridgeApiError::new(StatusCode::CONFLICT, "gap", why.to_string());
                BridgeApiError { expected: Some(expected), metric_reason: Some(BridgeRefusal::Gap), ..error }
            }
            IngestError::Busy => BridgeApiError::retry_later("busy", why.to_string()),
            IngestError::Accounts(_) | IngestError::Store(_) | IngestError::NotDurable(_) => {
                BridgeApiError::internal(&why)
            }
        }
    }
}

impl From<WorkRequestError> for BridgeApiError {
    fn from(why: WorkRequestError) -> BridgeApiError {
        match why {
            WorkRequestError::PushConfigured => BridgeApiError::new(StatusCode::CONFLICT, "pushed", why.to_string()),
            WorkRequestError::TooManyWaiters => BridgeApiError::retry_later("crowded", why.to_string()),
        }
    }
}

/// The error for an address that sends too many requests.
impl From<AuthError> for BridgeApiError {
    fn from(rejection: AuthError) -> BridgeApiError {
        let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let error = BridgeApiError::new(status, "too_many", rejection.to_string());
        BridgeApiError { retry_after: rejection.retry_after(), ..error }
    }
}

/// The error for a body that could not be read.
impl From<Error> for BridgeApiError {
    fn from(error: Error) -> BridgeApiError {
        let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::BAD_REQUEST);
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let words = "the body is too large; send fewer reports in one batch, or smaller pages";
                let error = BridgeApiError::new(status, "oversized", words);
                BridgeApiError { metric_reason: Some(BridgeRefusal::Oversized), ..error }
            }
            StatusCode::SERVICE_UNAVAILABLE => BridgeApiError::retry_later("busy", error.message()),
            _ => BridgeApiError { status, ..BridgeApiError::malformed(&error.message()) },
        }
    }
}

/// A JSON response.
pub(super) fn json_response(value: &impl Serialize) -> Response {
    json_bytes_response(serde_json::to_vec(value).unwrap_or_default().into())
}

/// A JSON response whose bytes are cleared from memory after sending.
pub(super) fn secret_json_response(body: Zeroizing<Vec<u8>>) -> Response {
    json_bytes_response(Bytes::from_owner(body))
}

fn json_bytes_response(body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
