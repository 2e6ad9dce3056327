//! API keys: list, create, revoke.

use futures_util::FutureExt;
use utoipa::openapi::Required;
use warp::http::Method;
use warp::reply::Response;

use super::json_body::parse_body;
use super::response_body::json_response;
use crate::access::CreatedKey;
use crate::api::api_keys::{self, ApiKeyList, CreateApiKeyRequest, RevokeApiKeyResponse};
use crate::api::{Problem, operation};
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::v1_request::V1Request;
use crate::limits::WEBHOOK_REQUEST_BYTES;

const BODY_EXAMPLE: &str = r#"{"name":"dispatch","role":"caller","accounts":["8618"],"expires":"2027-01-01"}; the last two are optional; for a tenant add "tenant":"500975", and "secret":"…" if it has one"#;

pub(in crate::http) static ENDPOINTS: [Endpoint; 3] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/keys",
        operation: operation::LIST_API_KEYS,
        tag: Tag::ApiKeys,
        summary: "List the API keys",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| list_keys(request).boxed()),
        document: |operation| {
            operation
                .describe("The list includes revoked keys. A key's text is shown only when the key is created.")
                .json_response::<ApiKeyList>(200, "The API keys.")
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/keys",
        operation: operation::CREATE_API_KEY,
        tag: Tag::ApiKeys,
        summary: "Create an API key",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| create_key(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "The first key must have the role admin, all accounts and no expiry. From then on every request \
                     needs a key.",
                )
                .json_body::<CreateApiKeyRequest>(Required::True, "The properties of the new key.")
                .json_response::<CreatedKey>(200, "The key, which is shown only once.")
                .problem(409, "There are too many keys, or the tenant already has one.")
        },
    },
    Endpoint {
        method: Method::DELETE,
        path: "/api/v1/keys/{key}",
        operation: operation::REVOKE_API_KEY,
        tag: Tag::ApiKeys,
        summary: "Revoke an API key",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| revoke_key(request).boxed()),
        document: |operation| {
            operation
                .describe("Takes effect at once, and cannot be undone.")
                .json_response::<RevokeApiKeyResponse>(200, "The key is revoked.")
                .problem(404, "There is no such key.")
                .problem(409, "The key is already revoked.")
        },
    },
];

async fn list_keys(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    Ok(json_response(&api_keys::list_keys(&request.call).await?))
}

async fn create_key(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let body = parse_body(&request.body, BODY_EXAMPLE)?;
    Ok(json_response(&api_keys::create_key(&request.call, body).await?))
}

async fn revoke_key(request: V1Request) -> Result<Response, Problem> {
    request.parameters(&[])?;
    let id = request
        .head
        .path_parameter("key")
        .parse()
        .map_err(|_| Problem::invalid_parameter("key", "must be the number of a key"))?;
    Ok(json_response(&api_keys::revoke_key(&request.call, id).await?))
}
