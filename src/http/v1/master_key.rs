//! The master key: status and rotation.

use futures_util::FutureExt;
use utoipa::openapi::{Ref, Required};
use warp::http::Method;
use warp::reply::Response;

use super::json_body::parse_body;
use super::response_body::{NDJSON, json_response, stream_response};
use super::shared_docs::NO_SERVICE;
use crate::api::master_key::{self, RotateMasterKeyRequest, RotationLine};
use crate::api::{ApiState, Problem, operation};
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::operation_doc::{content, response_with_id};
use crate::http::v1_request::V1Request;
use crate::limits::WEBHOOK_REQUEST_BYTES;
use crate::vault::MasterKeyStatus;

pub(in crate::http) static ENDPOINTS: [Endpoint; 2] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/vault",
        operation: operation::SHOW_MASTER_KEY,
        tag: Tag::Vault,
        summary: "Where the master key comes from, and how far a rotation is",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| show_master_key(api, request).boxed()),
        document: |operation| operation.json_response::<MasterKeyStatus>(200, "How it is.").problem(409, NO_SERVICE),
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/vault/rotate",
        operation: operation::ROTATE_MASTER_KEY,
        tag: Tag::Vault,
        summary: "Seal everything anew under another master key",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| rotate_master_key(api, request).boxed()),
        document: |operation| {
            operation
                .describe("The new key is drawn, or is the one in `newKeyFile`. `abort` undoes a rotation instead. It goes on to its end though nobody reads the answer.")
                .json_body::<RotateMasterKeyRequest>(Required::False, "Which key; nothing for one that is drawn.")
                .register_schema::<RotationLine>()
                .response(
                    200,
                    response_with_id("Lines: how far it is; the last says what is to be done with the new key, or what went wrong.")
                        .content(NDJSON, content(Ref::from_schema_name("RotationLine"))),
                )
                .problem(409, "A rotation is under way or waits for its setting, the file cannot be used, or none can be undone.")
        },
    },
];

async fn show_master_key(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&master_key::show_master_key(&api, &request.call).await?))
}

async fn rotate_master_key(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let body = if request.body.trim_ascii().is_empty() { b"{}" } else { &request.body[..] };
    let rotation = parse_body(body, r#"nothing, {"newKeyFile":"/run/secrets/new.key"}, or {"abort":true}"#)?;
    Ok(stream_response(NDJSON, master_key::rotate_master_key(&api, &request.call, rotation).await?))
}
