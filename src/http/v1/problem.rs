//! Errors as `application/problem+json` (RFC 9457).

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::access::AuthError;
use crate::audit;
use crate::domain::escape_controls;
use crate::http::validation_error::printable_path;

/// Why a request was not executed.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// The invalid parameter.
    parameter: Option<String>,
    /// The accepted methods, for an unsupported method.
    allow: Option<String>,
    /// Seconds until a retry makes sense.
    retry_after: Option<u64>,
    /// Whether the journal failed an integrity check.
    is_integrity_fault: bool,
}

/// A problem (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(in crate::http) struct ProblemBody<'a> {
    /// `about:blank`, or `urn:muster:problem:not-whole` where the journal is not what it was.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status of HTTP.
    status: u16,
    /// What is wrong, and what to do.
    detail: &'a str,
    /// The parameter at fault; left out if none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameter: Option<&'a str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        // The detail may repeat the caller's input, which may contain control characters.
        let detail = escape_controls(&detail.into());
        Problem { status, detail, parameter: None, allow: None, retry_after: None, is_integrity_fault: false }
    }

    /// An invalid parameter. `words` continue the sentence after its name.
    pub(super) fn invalid_parameter(name: &str, words: impl std::fmt::Display) -> Problem {
        let name = printable_path(name);
        let detail = format!("{name} {words}");
        Problem { parameter: Some(name), ..Problem::new(StatusCode::BAD_REQUEST, detail) }
    }

    pub(super) fn no_such_path() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "nothing has this path; what there is under /api/v1 is in the README")
    }

    pub(super) fn method_not_allowed(allow: &str) -> Problem {
        let detail = format!("this path does not take this method; use {allow}");
        Problem { allow: Some(allow.to_owned()), ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// The deadline passed.
    pub(super) fn timed_out(limit: Duration) -> Problem {
        let detail = format!(
            "there was no answer within {limit:?}; what was asked may have been done, or be done yet: look before asking \
             again, or raise http.request_timeout"
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// The task of the request panicked or was cancelled.
    pub(super) fn task_failed(error: &tokio::task::JoinError) -> Problem {
        tracing::error!(%error, "the work on a request failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR_DETAIL)
    }

    pub(super) fn respond(&self) -> Response {
        let Problem { status, detail, parameter, allow, retry_after, .. } = self;
        let title = status.canonical_reason().unwrap_or("Error");
        let kind = if self.is_integrity_fault { INTEGRITY_PROBLEM_TYPE } else { "about:blank" };
        let body = ProblemBody { kind, title, status: status.as_u16(), detail, parameter: parameter.as_deref() };
        let mut response = Response::new(serde_json::to_vec(&body).unwrap_or_default().into());
        *response.status_mut() = *status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = allow {
            headers.extend(HeaderValue::from_str(allow).ok().map(|allow| (header::ALLOW, allow)));
        }
        if *status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let soon = (*status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        headers.extend(retry_after.or(soon).map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        response
    }
}

/// The `type` of a problem that reports a damaged journal.
const INTEGRITY_PROBLEM_TYPE: &str = "urn:muster:problem:not-whole";
pub(super) const INTERNAL_ERROR_DETAIL: &str =
    "the service failed; the operator finds the cause in the log under this answer's x-request-id";

/// A body that could not be read.
impl From<crate::http::error::Error> for Problem {
    fn from(error: crate::http::error::Error) -> Problem {
        let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::BAD_REQUEST);
        Problem::new(status, error.message())
    }
}

/// A caller that is not authenticated, or lacks the permission.
impl From<AuthError> for Problem {
    fn from(denied: AuthError) -> Problem {
        let status = StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::FORBIDDEN);
        Problem { retry_after: denied.retry_after(), ..Problem::new(status, denied.to_string()) }
    }
}

impl From<audit::Error> for Problem {
    fn from(error: audit::Error) -> Problem {
        let status = match &error {
            audit::Error::UnknownAccount { .. }
            | audit::Error::NoSuchVersion { .. }
            | audit::Error::BeforeFirstEvent { .. }
            | audit::Error::NotInLog { .. } => StatusCode::NOT_FOUND,
            audit::Error::LogKeyMissing => StatusCode::SERVICE_UNAVAILABLE,
            audit::Error::Vault(crate::vault::Error::RotationUnderWay) => StatusCode::CONFLICT,
            audit::Error::LogKeyMismatch
            | audit::Error::InvalidCheckpoint { .. }
            | audit::Error::JournalTruncated { .. }
            | audit::Error::RootMismatch { .. }
            | audit::Error::Integrity(_)
            | audit::Error::Journal(_)
            | audit::Error::Store(_)
            | audit::Error::Vault(_)
            | audit::Error::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // Damage of the journal is reported in full. The details of other internal errors stay in the log.
        if status == StatusCode::INTERNAL_SERVER_ERROR && !error.is_integrity_fault() {
            tracing::error!(%error, "a question about the journal failed");
            return Problem::new(status, INTERNAL_ERROR_DETAIL);
        }
        Problem { is_integrity_fault: error.is_integrity_fault(), ..Problem::new(status, error.to_string()) }
    }
}
