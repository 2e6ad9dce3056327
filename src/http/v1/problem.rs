//! Problems over HTTP: `application/problem+json` (RFC 9457), and the problems that only HTTP has.

use serde::Serialize;
use utoipa::ToSchema;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::api::Problem;
use crate::http::base_path::BasePath;
use crate::http::contract_error::Error;

/// The `type` of a problem that reports a damaged journal.
const INTEGRITY_PROBLEM_TYPE: &str = "urn:muster:problem:not-whole";
/// The `type` of a problem that reports a position which this log does not have.
const LOST_POSITION_TYPE: &str = "urn:muster:problem:lost-position";

/// A problem (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(in crate::http) struct ProblemBody<'a> {
    /// `about:blank`; `urn:muster:problem:not-whole` if the journal is damaged; `urn:muster:problem:lost-position` if a
    /// restore lost the position, or the log has not reached it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The HTTP status in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, and what to do.
    detail: &'a str,
    /// The parameter at fault; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameter: Option<&'a str>,
    /// Where a reader continues whose position was lost: after the event with this id. Left out otherwise.
    #[serde(rename = "continueAfter", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    continue_after: Option<&'a str>,
}

impl Problem {
    /// No endpoint has the path; `nearest` is the one that was probably meant.
    pub(in crate::http) fn no_such_path(base_path: &BasePath, nearest: Option<&str>) -> Problem {
        match nearest {
            Some(path) => Problem::not_found(format!("no such path; did you mean {}?", base_path.add_to_path(path))),
            None => Problem::not_found("no such path; the README lists the endpoints under /api/v1"),
        }
    }

    pub(in crate::http) fn method_not_allowed(allow: &'static str) -> Problem {
        let detail = format!("this path does not support this method; use {allow}");
        Problem { allow: Some(allow), ..Problem::new(405, detail) }
    }

    pub(in crate::http) fn respond(&self) -> Response {
        let Problem { status, detail, parameter, allow, continue_after, retry_after, is_integrity_fault } = self;
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = status.canonical_reason().unwrap_or("Error");
        let kind = match continue_after {
            Some(_) => LOST_POSITION_TYPE,
            None if *is_integrity_fault => INTEGRITY_PROBLEM_TYPE,
            None => "about:blank",
        };
        let (parameter, continue_after) = (parameter.as_deref(), continue_after.as_deref());
        let body = ProblemBody { kind, title, status: status.as_u16(), detail, parameter, continue_after };
        let mut response = Response::new(serde_json::to_vec(&body).unwrap_or_default().into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(allow.map(|allow| (header::ALLOW, HeaderValue::from_static(allow))));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.extend(retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        response
    }
}

/// The problem for a body that could not be read.
impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem { retry_after: error.retry_after(), ..Problem::new(error.code(), error.message()) }
    }
}
