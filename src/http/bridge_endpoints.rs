//! `/gateway/v1`: a gateway sends its reports here and fetches its commands.

use std::fmt::Display;
use std::time::Duration;

use futures_util::FutureExt;
use tracing::Instrument;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Ref, Required, ResponseBuilder};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::bridge_request::{BridgeRequest, BridgeState};
use super::bridge_response::{BridgeApiError, BridgeErrorBody, json_response, secret_json_response};
use super::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use super::operation_doc::{OperationDoc, content, response_with_id, retry_after_header};
use super::parameter_schemas::{number, small_number, text};
use super::validation_error::find_text_fault;
use crate::api::operation;
use crate::gateway::bridge::{
    AckResult, AcksSchema, BatchResult, GatewayCommand, ReportsSchema, WorkBatch, read_acks, read_batch,
};
use crate::limits::{
    REPORT_BATCH_BYTES, SESSIONS_PAGE_BYTES, WORK_ITEMS, WORK_ITEMS_DEFAULT, WORK_WAIT_SECONDS,
    WORK_WAIT_SECONDS_DEFAULT,
};
use crate::metrics::BridgeRefusal;

pub(super) static ENDPOINTS: [Endpoint; 3] = [
    Endpoint {
        method: Method::POST,
        path: "/gateway/v1/reports",
        operation: operation::REPORT_TO_MUSTER,
        tag: Tag::Bridge,
        summary: "Report account events",
        body: BodyLimit::Bytes(REPORT_BATCH_BYTES),
        handler: Handler::Bridge(|_, request| ingest_reports(request).boxed()),
        document: |operation| {
            let gap = "Reports before this batch are missing: send from `expected` on. Nothing was stored.";
            operation
                .describe(
                    "Send one batch of a stream at a time, in order, until the response is 200. Then all reports up to \
                     `acknowledged` are durable, and the gateway may delete them. Reports that Muster has already are \
                     duplicates, which is not an error.",
                )
                .describe(
                    "Only unreadable reports stop a batch. A report with an unlisted type is ignored with the reason \
                     `unknown_type`; it needs only `sequence`, `time` and `type`. Texts longer than their `maxLength` \
                     are cut.",
                )
                .json_body::<ReportsSchema>(Required::True, "The batch of reports.")
                .json_response::<BatchResult>(200, "The whole batch is ingested and durable.")
                .response(409, error_response(gap))
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/gateway/v1/work",
        operation: operation::FETCH_COMMANDS,
        tag: Tag::Bridge,
        summary: "Fetch commands",
        body: BodyLimit::Unread,
        handler: Handler::Bridge(|state, request| fetch_work(state, request).boxed()),
        document: |operation| {
            let seconds = usize::try_from(WORK_WAIT_SECONDS).unwrap_or(usize::MAX);
            operation
                .describe(
                    "For gateways that Muster cannot reach: `gateway.bridge.url` is not set. The response comes as \
                     soon as there are commands, at the latest after `wait`. A command that is not acknowledged by its \
                     `lease_until` is handed out again.",
                )
                .query_parameter(
                    "wait",
                    small_number(0, seconds),
                    &format!("How long to wait for commands, in seconds; {WORK_WAIT_SECONDS_DEFAULT} by default."),
                )
                .query_parameter(
                    "limit",
                    small_number(1, WORK_ITEMS),
                    &format!("The maximum number of commands; {WORK_ITEMS_DEFAULT} by default."),
                )
                .json_response::<WorkBatch<'_>>(200, "The commands; the list may be empty.")
                .register_schema::<GatewayCommand<'_>>()
                .response(403, error_response("The connection has no TLS and is not from this machine."))
                .response(409, error_response("`gateway.bridge.url` is set, so Muster sends the commands there."))
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/gateway/v1/work/acks",
        operation: operation::ACKNOWLEDGE_COMMANDS,
        tag: Tag::Bridge,
        summary: "Acknowledge fetched commands",
        body: BodyLimit::Bytes(SESSIONS_PAGE_BYTES),
        handler: Handler::Bridge(|_, request| acknowledge_commands(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "Acknowledge a command when the gateway has stored it, rejects it, or answers `list_sessions`.",
                )
                .json_body::<AcksSchema>(Required::True, "The acknowledgements.")
                .json_response::<AckResult>(200, "Which acknowledgements were accepted.")
        },
    },
];

async fn ingest_reports(request: BridgeRequest) -> Result<Response, BridgeApiError> {
    request.bridge.verify_request(request.signature(), &request.body)?;
    let batch = read_batch(&request.body).map_err(|fault| malformed_body(&request.body, &fault))?;
    let BridgeRequest { bridge, body, .. } = request;
    drop(body);
    // In its own task, so that it completes even if the gateway disconnects.
    let task = tokio::spawn(async move { bridge.ingest_reports(&batch).await }.in_current_span());
    Ok(json_response(&task.await.map_err(|error| BridgeApiError::internal(&error))??))
}

async fn fetch_work(state: BridgeState, request: BridgeRequest) -> Result<Response, BridgeApiError> {
    request.verify_target()?;
    if !request.head.origin.is_encrypted {
        let words = "commands contain secrets and this connection is not encrypted; fetch them over TLS";
        let error = BridgeApiError::new(StatusCode::FORBIDDEN, "readable", words);
        return Err(BridgeApiError { metric_reason: Some(BridgeRefusal::Cleartext), ..error });
    }
    let (wait, limit) = parse_work_query(request.head.raw_query.as_deref().unwrap_or_default())?;
    Ok(secret_json_response(request.bridge.fetch_work(wait, limit, &state.stop).await?))
}

async fn acknowledge_commands(request: BridgeRequest) -> Result<Response, BridgeApiError> {
    request.bridge.verify_request(request.signature(), &request.body)?;
    let acks = read_acks(&request.body).map_err(|fault| malformed_body(&request.body, &fault))?;
    let BridgeRequest { bridge, body, .. } = request;
    drop(body);
    let task = tokio::spawn(async move { bridge.acknowledge(acks).await }.in_current_span());
    Ok(json_response(&task.await.map_err(|error| BridgeApiError::internal(&error))?))
}

/// The error for a body that cannot be parsed.
fn malformed_body(body: &[u8], fault: &impl Display) -> BridgeApiError {
    let words = find_text_fault(body).map_or_else(|| fault.to_string(), |fault| format!("the body {fault}"));
    BridgeApiError::malformed(&words)
}

/// The long-poll time and the maximum number of commands that the gateway asks for.
fn parse_work_query(query: &str) -> Result<(Duration, usize), BridgeApiError> {
    let (mut wait, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (slot, range) = match name {
            "wait" => (&mut wait, 0..=WORK_WAIT_SECONDS),
            "limit" => (&mut limit, 1..=WORK_ITEMS as u64),
            // Both sides ignore unknown parameters.
            _ => continue,
        };
        let number = value.parse().ok().filter(|number| range.contains(number) && slot.is_none());
        let words = || {
            let (least, most) = (range.start(), range.end());
            BridgeApiError::malformed(&format!("{name} must be a whole number from {least} to {most}, given once"))
        };
        *slot = Some(number.ok_or_else(words)?);
    }
    let wait = Duration::from_secs(wait.unwrap_or(WORK_WAIT_SECONDS_DEFAULT));
    Ok((wait, limit.map_or(WORK_ITEMS_DEFAULT, |limit| usize::try_from(limit).unwrap_or(WORK_ITEMS))))
}

/// How requests are signed, for the descriptions of the operations.
const SIGNATURE_RULES: &str = "Signed as Standard Webhooks with `gateway.bridge.secret`, with a new signature for each \
    attempt. The signature is the HMAC-SHA256 of `id.timestamp.body`. Without a body it is that of `id.timestamp.` and \
    the path with its query as sent. Each signature is accepted once.";

/// The OpenAPI operation of an endpoint, with the headers and errors that all endpoints of the bridge share.
pub(super) fn document_bridge(endpoint: &Endpoint) -> OperationDoc {
    let operation = (endpoint.document)(endpoint.operation_doc()).describe(SIGNATURE_RULES);
    let operation = operation.signature_headers().register_schema::<BridgeErrorBody<'_>>();
    let operation = if endpoint.body == BodyLimit::Unread {
        operation
    } else {
        operation
            .response(413, error_response("The body is too large. Nothing was stored."))
            .response(415, error_response("The body is not JSON in UTF-8, or it is compressed."))
    };
    operation
        .response(400, error_response("The request is malformed: `message` names the field. Nothing was stored."))
        .response(
            401,
            error_response(
                "The signature is not accepted. `code` says why: `unsigned`, `forged`, `stale` or `replayed`.",
            ),
        )
        .response(404, error_response("No such path."))
        .response(
            429,
            error_response("Too many requests from one address.").header("Retry-After", retry_after_header()),
        )
        .response(
            503,
            error_response("Retry later. `code` is `not_set_up` if the bridge is not set up.")
                .header("Retry-After", retry_after_header()),
        )
}

fn error_response(words: &str) -> ResponseBuilder {
    response_with_id(words).content("application/json", content(Ref::from_schema_name("GatewayError")))
}

impl OperationDoc {
    /// Adds the headers with the signature.
    pub(super) fn signature_headers(self) -> OperationDoc {
        self.security(vec![SecurityRequirement::new("gatewaySecret", Vec::<String>::new())])
            .required_header("webhook-id", text(), "The message id. It is the same in every attempt.")
            .required_header(
                "webhook-timestamp",
                number(0),
                "Unix time of this attempt in seconds, at most 5 min from now.",
            )
            .required_header(
                "webhook-signature",
                text(),
                "`v1,` and the signature in base64. Several signatures are separated by spaces.",
            )
    }
}
