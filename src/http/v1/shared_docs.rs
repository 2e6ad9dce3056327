//! What all operations of `/api/v1` share in the OpenAPI document: parameters of the path, problems, roles.

use utoipa::openapi::{Ref, ResponseBuilder};

use super::problem::ProblemBody;
use crate::api::Access;
use crate::domain::GatewayKind;
use crate::http::endpoint::{BodyLimit, Endpoint};
use crate::http::operation_doc::{OperationDoc, content, response_with_id, retry_after_header, text_header};
use crate::http::parameter_schemas::{account_digits, channel, number, one_of, text, time};

pub(super) const NDJSON: &str = "application/x-ndjson";
const PROBLEM: &str = "application/problem+json";

/// Why an operation fails that needs a running service.
pub(super) const NO_SERVICE: &str = "No service runs.";
/// Why an operation on one account fails.
pub(super) const UNKNOWN_ACCOUNT: &str = "Nothing ever happened to this account, or not by then.";

/// Problems that any request may get: status, component name, description.
pub(in crate::http) const PROBLEMS: [(u16, &str, &str); 8] = [
    (400, "Malformed", "A parameter or the body is malformed: `detail` names it, and says how it must be."),
    (401, "NotLetIn", "No API key, or none that is taken."),
    (
        403,
        "Forbidden",
        "The API key is not for this, or is bound to other accounts; or there is none yet, and a web page asks.",
    ),
    (413, "TooLarge", "The body is too large."),
    (415, "MediaType", "The body is no JSON in UTF-8, or compressed."),
    (429, "TooMany", "Too many requests of one API key, or from one address."),
    (500, "Failed", "The service failed, or what was looked at is not whole; then `type` says so."),
    (503, "Busy", "Too much of this is under way, or there was no answer within `http.request_timeout`."),
];

/// Statuses that only an endpoint with a body has.
const BODY_STATUSES: [u16; 2] = [413, 415];

/// The operation of an endpoint, with what it shares with the others.
pub(in crate::http) fn document_v1(endpoint: &Endpoint) -> OperationDoc {
    let operation = endpoint.operation_doc().register_schema::<ProblemBody<'_>>();
    let reads_body = endpoint.body != BodyLimit::Unread;
    let operation = PROBLEMS
        .into_iter()
        .filter(|(status, ..)| reads_body || !BODY_STATUSES.contains(status))
        .fold(operation, |operation, (status, name, _)| operation.shared_response(status, name));
    let placeholders = endpoint.path.split('/').filter(|segment| segment.starts_with('{'));
    let operation = placeholders.fold(operation, |operation, segment| document_segment(operation, endpoint, segment));
    let operation = (endpoint.document)(operation);
    match endpoint.operation.access {
        Access::Permission(permission) => {
            operation.describe(&format!("For API keys of the role {}.", permission.allowed_roles()))
        }
        Access::Public | Access::Signature => operation,
    }
}

fn document_segment(operation: OperationDoc, endpoint: &Endpoint, segment: &str) -> OperationDoc {
    match segment {
        "{account}" => operation.path_parameter("account", account_digits(), "The account number."),
        "{channel}" => {
            operation.path_parameter("channel", channel(), "A webhook, by its short name or its configuration id.")
        }
        "{position}" => operation.path_parameter("position", number(0), "The position of an event in the journal."),
        "{key}" => operation.path_parameter("key", number(0), "The number of an API key."),
        "{name}" if endpoint.path.starts_with("/api/v1/gateways/") => {
            operation.path_parameter("name", one_of(GatewayKind::ALL.map(GatewayKind::name)), "The name of a gateway.")
        }
        other => {
            operation.path_parameter(other.trim_matches(['{', '}']), text(), "The name of a projection: `roster`.")
        }
    }
}

/// A problem that any request may get.
pub(in crate::http) fn shared_problem_response(status: u16, words: &str) -> ResponseBuilder {
    let response = problem_response(words);
    match status {
        401 => response.header("WWW-Authenticate", text_header("`Bearer`.")),
        429 | 503 => response.header("Retry-After", retry_after_header()),
        _ => response,
    }
}

fn problem_response(words: &str) -> ResponseBuilder {
    response_with_id(words).content(PROBLEM, content(Ref::from_schema_name("Problem")))
}

impl OperationDoc {
    /// Adds a problem that only some operations have.
    pub(super) fn problem(self, status: u16, words: &str) -> OperationDoc {
        self.response(status, problem_response(words))
    }

    /// Adds the parameters that filter events.
    pub(super) fn event_filters(self) -> OperationDoc {
        self.query_parameter(
            "type",
            text(),
            "Names of event types, with commas between: `registered`, or as in a CloudEvent's `type`.",
        )
        .query_parameter("since", time(), "From this time on.")
        .query_parameter("until", time(), "Before this time.")
    }
}

/// A response of events, as a page or as lines.
pub(super) fn event_responses(words: &str) -> ResponseBuilder {
    response_with_id(words)
        .content("application/json", content(Ref::from_schema_name("EventPage")))
        .content(NDJSON, content(Ref::from_schema_name("CloudEvent")))
}
