//! What all operations of `/api/v1` share in the OpenAPI document: parameters of the path, problems, roles.

use serde_json::{Map, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};

use super::problem::ProblemBody;
use crate::api::{Access, Effect};
use crate::domain::GatewayKind;
use crate::http::endpoint::{BodyLimit, Endpoint};
use crate::http::operation_doc::{OperationDoc, content, response_with_id, retry_after_header, text_header};
use crate::http::parameter_schemas::{
    account_digits, channel, event_id, idempotency_key, number, one_of, origin, page_limit, text, time,
};
use crate::limits::PAGE_EVENTS_DEFAULT;

pub(super) const NDJSON: &str = "application/x-ndjson";
const PROBLEM: &str = "application/problem+json";

/// Why an operation that needs a running service fails.
pub(super) const NO_SERVICE: &str = "No service is running.";
/// Why an operation on one account fails.
pub(super) const UNKNOWN_ACCOUNT: &str = "The account has no events, or had none at that time.";

/// Problems that any request may get: status, component name, description.
pub(in crate::http) const PROBLEMS: [(u16, &str, &str); 8] = [
    (400, "Malformed", "A parameter or the body is malformed: `detail` names it and says what is allowed."),
    (401, "NotLetIn", "The API key is missing or not accepted."),
    (
        403,
        "Forbidden",
        "The API key lacks the permission, or is limited to other accounts. While there are no API keys, requests from \
         other sites' web pages or through a reverse proxy get this too.",
    ),
    (413, "TooLarge", "The body is too large."),
    (415, "MediaType", "The body is not of the operation's media type and in UTF-8, or it is compressed."),
    (429, "TooMany", "Too many requests with one API key, or from one address."),
    (500, "Failed", "The service failed, or the journal is damaged; `type` tells the two apart."),
    (
        503,
        "Busy",
        "Too many requests of this kind are running, or there was no response within `http.request_timeout`.",
    ),
];

/// Statuses that only an endpoint with a body has.
const BODY_STATUSES: [u16; 2] = [413, 415];

/// The OpenAPI operation of an endpoint, with the parameters, problems and role that all operations of `/api/v1` have.
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
    let operation = match endpoint.operation.effect {
        Effect::Reads => operation,
        Effect::Writes => operation
            .optional_header(
                "Idempotency-Key",
                idempotency_key(),
                "Identifies the request, so that retrying it unchanged does not repeat its effect. For example a UUID.",
            )
            .problem(422, "The `Idempotency-Key` was used for another request. Nothing was done."),
    };
    match endpoint.operation.access {
        Access::Permission(permission) => {
            operation.describe(&format!("For API keys with the role {}.", permission.allowed_roles()))
        }
        Access::Public | Access::Signature => operation,
    }
}

fn document_segment(operation: OperationDoc, endpoint: &Endpoint, segment: &str) -> OperationDoc {
    match segment {
        "{account}" => operation.path_parameter("account", account_digits(), "The account number."),
        "{channel}" => {
            operation.path_parameter("channel", channel(), "A webhook: its short name or its configuration id.")
        }
        "{position}" => operation.path_parameter("position", event_id(), "The id of an event: its position."),
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

    /// Adds the problem of operations that start or end at an event.
    pub(super) fn lost_position(self) -> OperationDoc {
        self.problem(
            410,
            "A restore lost this position or version, or the log has not reached it. Continue after `continueAfter`, \
             the last one that your history shares with this log.",
        )
    }

    /// Adds the parameter for the size of a page. Its default is only in the words, because generated clients send defaults.
    pub(super) fn page_limit(self, words: &str) -> OperationDoc {
        let words = format!("{words} A page has at most {PAGE_EVENTS_DEFAULT} by default.");
        self.query_parameter("limit", page_limit(), &words)
    }

    /// Adds the parameters that filter events.
    pub(super) fn event_filters(self) -> OperationDoc {
        self.query_parameter(
            "type",
            text(),
            "Names of event types, separated by commas: `registered`, or as in a CloudEvent's `type`.",
        )
        .query_parameter("since", time(), "Only events from this time on.")
        .query_parameter("until", time(), "Only events before this time.")
        .query_parameter(
            "key",
            number(1),
            "Only events that the API key of this number caused, as a caller or as an operator.",
        )
        .query_parameter(
            "origin",
            origin(),
            "Only events with this `origin`. Without a key's number or a gateway's name: all of that kind. Events of the \
             simulator show the origin `gateway`; `gateway:simulator` selects them alone.",
        )
        .query_parameter("requestid", text().pattern(Some("^[0-9A-Fa-f]{32}$")), "Only events of this request.")
        .query_parameter(
            "reason~",
            text().min_length(Some(1)),
            "Only events whose reason contains this text, ignoring case.",
        )
    }
}

/// A response of events, as a page or as these streams of events.
pub(super) fn event_responses<const N: usize>(words: &str, streams: [&str; N]) -> ResponseBuilder {
    let page = response_with_id(words).content("application/json", content(Ref::from_schema_name("EventPage")));
    with_streams(page, streams.map(|media_type| (media_type, Ref::from_schema_name("CloudEvent").into())))
}

/// Describes the streams that the response is on request, with the schema of one line or message. They are not in its
/// `content`, because a generated client could not tell which of several bodies it gets.
pub(super) fn with_streams<const N: usize>(
    response: ResponseBuilder,
    streams: [(&str, RefOr<Schema>); N],
) -> ResponseBuilder {
    let streams: Map<_, _> =
        streams.into_iter().map(|(media_type, line)| (media_type.to_owned(), json!({"schema": line}))).collect();
    response.extensions(Some(ExtensionsBuilder::new().add("x-streams", streams).build()))
}
