//! Why a gateway's request fails, and the answer that says so.

use serde::Serialize;
use utoipa::ToSchema;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::{BridgeState, json_response};
use crate::access::AuthError;
use crate::gateway::bridge::{IngestError, RequestSignatureError, WorkRequestError};
use crate::http::error::Error;
use crate::metrics::BridgeRefusal;

/// Why a request is not answered as it wishes.
#[derive(Debug)]
pub(super) struct BridgeApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The sequence that is to come next, where reports are missing.
    pub(super) expected: Option<u64>,
    /// After how many seconds it may be sent again.
    pub(super) retry_after: Option<u64>,
    pub(super) metric_reason: Option<BridgeRefusal>,
    pub(super) allow: Option<&'static str>,
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayError)]
pub(in crate::http) struct BridgeErrorBody<'a> {
    error: BridgeErrorDetail<'a>,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayErrorInside)]
struct BridgeErrorDetail<'a> {
    /// In one word, for programs.
    code: &'static str,
    /// In one sentence, which says what to do.
    message: &'a str,
    /// Reports are missing: the sequence to send from.
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
        let trouble = BridgeApiError::new(StatusCode::BAD_REQUEST, "malformed", words);
        BridgeApiError { metric_reason: Some(BridgeRefusal::Malformed), ..trouble }
    }

    /// What went wrong inside stays inside.
    pub(super) fn internal(error: &dyn std::error::Error) -> BridgeApiError {
        tracing::error!(error = %error, "a gateway's request failed inside");
        let words = "the service failed, and what was sent may have been taken in or not; send it again";
        BridgeApiError::retry_later("failed", words)
    }

    pub(super) fn retry_later(code: &'static str, words: impl Into<String>) -> BridgeApiError {
        BridgeApiError { retry_after: Some(1), ..BridgeApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, words) }
    }

    pub(super) fn respond(self, counter: &BridgeState) -> Response {
        let BridgeApiError { status, code, message, expected, retry_after, metric_reason: refusal, allow } = self;
        if let (Some(refusal), Some(bridge)) = (refusal, &counter.bridge) {
            bridge.metrics().bridge_refused.with(refusal).inc();
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
        BridgeApiError {
            metric_reason: Some(refusal),
            ..BridgeApiError::new(StatusCode::UNAUTHORIZED, code, why.to_string())
        }
    }
}

impl From<IngestError> for BridgeApiError {
    fn from(why: IngestError) -> BridgeApiError {
        match why {
            IngestError::Gap { expected } => {
                let trouble = BridgeApiError::new(StatusCode::CONFLICT, "gap", why.to_string());
                BridgeApiError { expected: Some(expected), metric_reason: Some(BridgeRefusal::Gap), ..trouble }
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

/// There are too many requests from one address.
impl From<AuthError> for BridgeApiError {
    fn from(denied: AuthError) -> BridgeApiError {
        let status = StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        BridgeApiError {
            retry_after: denied.retry_after(),
            ..BridgeApiError::new(status, "too_many", denied.to_string())
        }
    }
}

/// The body could not be read.
impl From<Error> for BridgeApiError {
    fn from(error: Error) -> BridgeApiError {
        let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::BAD_REQUEST);
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let words = "the body is too large; send fewer reports in one batch, or smaller pages";
                let trouble = BridgeApiError::new(status, "oversized", words);
                BridgeApiError { metric_reason: Some(BridgeRefusal::Oversized), ..trouble }
            }
            StatusCode::SERVICE_UNAVAILABLE => BridgeApiError::retry_later("busy", error.message()),
            _ => BridgeApiError { status, ..BridgeApiError::malformed(&error.message()) },
        }
    }
}
