//! The master key: status and rotation.

use futures_util::FutureExt;
use utoipa::openapi::{Ref, Required};
use warp::http::Method;
use warp::reply::Response;

use super::json_body::parse_body;
use super::response_body::{NDJSON, json_response, stream_response};
use super::shared_docs::{NO_SERVICE, with_streams};
use crate::api::master_key::{self, MasterKeyView, RotateMasterKeyRequest, RotationLine};
use crate::api::{Problem, operation};
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::operation_doc::{content, response_with_id};
use crate::http::parameter_schemas::binary;
use crate::http::v1_request::V1Request;
use crate::limits::WEBHOOK_REQUEST_BYTES;

pub(in crate::http) static ENDPOINTS: [Endpoint; 2] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/vault",
        operation: operation::SHOW_MASTER_KEY,
        tag: Tag::Vault,
        summary: "Show the master key's id, source and rotation, and the backups that need it",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| show_master_key(request).boxed()),
        document: |operation| {
            operation
                .json_response::<MasterKeyView>(200, "The master key and the backups that need it.")
                .problem(409, NO_SERVICE)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/vault/rotate",
        operation: operation::ROTATE_MASTER_KEY,
        tag: Tag::Vault,
        summary: "Rotate the master key",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| rotate_master_key(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "The new key is generated, or read from `newKeyFile`. The old key opens earlier backups, which \
                    `GET /api/v1/vault` lists: say with `keepOldKey`, `discardOldKey` or `oldKeyIsKept` what becomes of \
                    it. Without one of them, an old key from a file is kept beside that file, as in \
                    `master.key.3f9a01c2`. `abort` reverts a rotation instead. \
                    The rotation completes even if the client disconnects.",
                )
                .json_body::<RotateMasterKeyRequest>(Required::False, "The new key; an empty body generates one.")
                .register_schema::<RotationLine>()
                .response(
                    200,
                    with_streams(
                        response_with_id(
                            "One line per progress report. The last line says what to do with the new key, or what \
                             failed.",
                        )
                        .content(NDJSON, content(binary())),
                        [(NDJSON, Ref::from_schema_name("RotationLine").into())],
                    ),
                )
                .problem(
                    409,
                    "A rotation is running or waits for its setting; or the file cannot be used; or there is \
                    no rotation to revert.",
                )
        },
    },
];

async fn show_master_key(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&master_key::show_master_key(&request.call).await?))
}

async fn rotate_master_key(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let body = if request.body.trim_ascii().is_empty() { b"{}" } else { &request.body[..] };
    let expected = r#"an empty body, {"keepOldKey":"/safe/old.key"}, {"discardOldKey":true}, or {"abort":true}"#;
    let rotation = parse_body(body, expected)?;
    Ok(stream_response(NDJSON, master_key::rotate_master_key(&request.call, rotation).await?))
}
