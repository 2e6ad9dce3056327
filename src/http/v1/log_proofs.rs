//! Checkpoints and proofs of the transparency log.

use futures_util::FutureExt;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::ResponseBuilder;
use warp::http::{HeaderValue, Method, header};
use warp::reply::Response;

use super::json_body::parse_body;
use super::response_body::{JSON, bytes_response, json_response};
use super::shared_docs::UNKNOWN_ACCOUNT;
use crate::api::{Problem, log_proofs, operation};
use crate::audit::{Bundle, CheckpointCheck, ConsistencyProof, InclusionProof, LogGenerations};
use crate::http::body_type::BodyType;
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::operation_doc::{content, response_with_id};
use crate::http::parameter_schemas::{digits, event_id, text};
use crate::http::request_body::is_of_type;
use crate::http::v1_request::V1Request;
use crate::limits::CHECKPOINT_BYTES;

const NOT_IN_LOG: &str = "The log has no such position or size.";
const CHECKPOINT_EXAMPLE: &str = "muster.local/0123456789abcdef\n42\nq1MKE+RZFJgrefm34/uplM/R8/si9xzqGvvwK0YMbR0=\n\n\
    \u{2014} muster.local/0123456789abcdef AbCd…\n";
const NOTE: &str = "The checkpoint as `/api/v1/log/checkpoint` returned it: the text itself, or in JSON.";
const TEXT_PLAIN: &str = "text/plain; charset=utf-8";

pub(in crate::http) static ENDPOINTS: [Endpoint; 7] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/log/checkpoint",
        operation: operation::SHOW_CHECKPOINT,
        tag: Tag::Journal,
        summary: "Read the log's signed checkpoint",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| show_checkpoint(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "A C2SP checkpoint: the signed size and root of the log. Earlier checkpoints must be \
                    consistent with it.",
                )
                .response(200, plain_response("The checkpoint."))
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/log/public-key",
        operation: operation::SHOW_PUBLIC_KEY,
        tag: Tag::Journal,
        summary: "Read the log's public key",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| show_public_key(request).boxed()),
        document: |operation| operation.response(200, plain_response("The public key, as `name+id+key`.")),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/log/proof/inclusion",
        operation: operation::PROVE_INCLUSION,
        tag: Tag::Journal,
        summary: "Prove that an event is in the log",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| prove_inclusion(request).boxed()),
        document: |operation| {
            operation
                .describe("RFC 6962: the record's hash and the proof's hashes give the root that the checkpoint signs.")
                .required_query_parameter("seq", event_id(), "The event's id.")
                .query_parameter("size", digits(), "The size of the log; the current size by default.")
                .json_response::<InclusionProof>(200, "The proof.")
                .problem(404, NOT_IN_LOG)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/log/proof/consistency",
        operation: operation::PROVE_CONSISTENCY,
        tag: Tag::Journal,
        summary: "Prove that the log only grew",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| prove_consistency(request).boxed()),
        document: |operation| {
            operation
                .required_query_parameter("from", digits(), "The smaller size.")
                .query_parameter("to", digits(), "The larger size; the current size by default.")
                .json_response::<ConsistencyProof>(200, "The proof.")
                .problem(404, NOT_IN_LOG)
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/log/generations",
        operation: operation::SHOW_GENERATIONS,
        tag: Tag::Journal,
        summary: "Prove where the generations of the log began",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| show_generations(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "A restore to an earlier state begins a generation. Its first event names the fork, and is proved to \
                     be in the log.",
                )
                .json_response::<LogGenerations>(200, "The generations.")
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/log/check",
        operation: operation::CHECK_CHECKPOINT,
        tag: Tag::Journal,
        summary: "Compare a kept checkpoint with the log",
        body: BodyLimit::TextBytes(CHECKPOINT_BYTES),
        handler: Handler::V1(|request| check_checkpoint(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "The service's own verdict: an auditor who does not trust the service uses `muster verify \
                     --checkpoint`, which verifies the proofs itself. Every verdict is a 200; a text that is not a \
                     signed checkpoint is a 400.",
                )
                .json_or_text_body::<CheckpointNote>(CHECKPOINT_EXAMPLE, NOTE)
                .json_response::<CheckpointCheck>(200, "The verdict.")
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/log/proof/account/{account}",
        operation: operation::PROVE_ACCOUNT,
        tag: Tag::Journal,
        summary: "Export an account's history with its proof",
        body: BodyLimit::Unread,
        handler: Handler::V1(|request| prove_account(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "All events as they are stored, each with the proof that it is in the log, and the signed end of \
                     the history.",
                )
                .json_response::<Bundle>(200, "The bundle.")
                .problem(404, UNKNOWN_ACCOUNT)
        },
    },
];

async fn show_checkpoint(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(bytes_response(TEXT_PLAIN, log_proofs::show_checkpoint(&request.call).await?.into_bytes()))
}

async fn show_public_key(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(bytes_response(TEXT_PLAIN, log_proofs::show_public_key(&request.call).await?.into_bytes()))
}

async fn prove_inclusion(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.parameters(&["seq", "size"])?;
    let missing = || Problem::invalid_parameter("seq", "is missing; it is required");
    let (id, size) = (parameters.event_id("seq")?.ok_or_else(missing)?, parameters.number("size")?);
    Ok(json_response(&log_proofs::prove_inclusion(&request.call, id, size).await?))
}

async fn prove_consistency(request: V1Request) -> Result<Response, Problem> {
    let parameters = request.parameters(&["from", "to"])?;
    let (from, to) = (parameters.required_number("from")?, parameters.number("to")?);
    Ok(json_response(&log_proofs::prove_consistency(&request.call, from, to).await?))
}

async fn show_generations(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&log_proofs::show_generations(&request.call).await?))
}

/// A checkpoint that somebody kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"note": CHECKPOINT_EXAMPLE}))]
struct CheckpointNote {
    /// The whole text, with its signatures.
    note: String,
}

async fn check_checkpoint(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let note = if is_of_type(&request.head.headers, BodyType::Json) {
        let CheckpointNote { note } = parse_body(&request.body, r#"{"note":"the text of the checkpoint"}"#)?;
        note
    } else {
        let note = str::from_utf8(&request.body).map_err(|_| Problem::malformed("the body is not text in UTF-8"))?;
        note.to_owned()
    };
    Ok(json_response(&log_proofs::check_checkpoint(&request.call, note).await?))
}

async fn prove_account(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let account = request.account()?;
    let mut response = bytes_response(JSON, log_proofs::prove_account(&request.call, account).await?);
    let name = format!("attachment; filename=\"muster-{account}.bundle.json\"");
    response.headers_mut().extend(HeaderValue::from_str(&name).ok().map(|name| (header::CONTENT_DISPOSITION, name)));
    Ok(response)
}

fn plain_response(words: &str) -> ResponseBuilder {
    response_with_id(words).content(TEXT_PLAIN, content(text()))
}
