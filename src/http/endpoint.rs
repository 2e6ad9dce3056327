//! An endpoint. Its one definition gives its method and path, its permission and its operation of the OpenAPI document.

use futures_util::future::BoxFuture;
use utoipa::openapi::HttpMethod;
use warp::http::Method;
use warp::reply::Response;

use super::Api;
use super::body_type::BodyType;
use super::bridge_request::{BridgeRequest, BridgeState};
use super::bridge_response::BridgeApiError;
use super::contract_envelope::{EndpointResponse, EnvelopeKind};
use super::contract_error::Error;
use super::contract_request::ContractRequest;
use super::meta_request::{MetaRequest, MetaResponse};
use super::operation_doc::OperationDoc;
use super::v1_request::V1Request;
use crate::api::{Operation, Problem};

/// An endpoint: one method of one path.
pub struct Endpoint {
    /// The HTTP method.
    pub method: Method,
    /// The whole path. A segment in braces is a placeholder.
    pub path: &'static str,
    /// The operation that it offers: who may request it, and how long it may take.
    pub operation: Operation,
    pub(super) tag: Tag,
    /// Its summary in the OpenAPI document: one line.
    pub(super) summary: &'static str,
    pub(super) body: BodyLimit,
    pub(super) handler: Handler,
    /// Adds parameters, body and responses to the operation of the OpenAPI document.
    pub(super) document: fn(OperationDoc) -> OperationDoc,
}

/// How much of a body an endpoint reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLimit {
    /// Nothing.
    Unread,
    /// At most this number of bytes.
    Bytes(usize),
    /// At most this number of bytes of plain text, or of JSON that holds it. All others are JSON.
    TextBytes(usize),
    /// At most `http.max_body_bytes`.
    MaxBodyBytes,
}

/// A handler of the documented calls, health or metrics.
pub(super) type ContractHandler = fn(Api, ContractRequest) -> BoxFuture<'static, Result<EndpointResponse, Error>>;

/// Answers the requests of an endpoint. The variants differ in the form of their errors.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// The documented calls, health and metrics: an error is an envelope of this kind.
    Contract(EnvelopeKind, ContractHandler),
    /// `/api/v1`: an error is a problem (RFC 9457).
    V1(fn(V1Request) -> BoxFuture<'static, Result<Response, Problem>>),
    /// `/gateway/v1`: an error is JSON with a code and a message.
    Bridge(fn(BridgeState, BridgeRequest) -> BoxFuture<'static, Result<Response, BridgeApiError>>),
    /// Meta's webhook: every answer is a text.
    MetaWebhook(fn(MetaRequest) -> BoxFuture<'static, MetaResponse>),
}

impl BodyLimit {
    /// The limit, with this value of `http.max_body_bytes`; `None` if no body is read.
    pub(super) fn bytes(self, max_body_bytes: usize) -> Option<usize> {
        match self {
            BodyLimit::Unread => None,
            BodyLimit::Bytes(limit) | BodyLimit::TextBytes(limit) => Some(limit),
            BodyLimit::MaxBodyBytes => Some(max_body_bytes),
        }
    }

    /// The media type of the body.
    pub(super) fn media_type(self) -> BodyType {
        match self {
            BodyLimit::TextBytes(_) => BodyType::JsonOrText,
            BodyLimit::Unread | BodyLimit::Bytes(_) | BodyLimit::MaxBodyBytes => BodyType::Json,
        }
    }
}

/// A group of operations in the OpenAPI document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The documented calls.
    Documented,
    /// Health and metrics.
    Health,
    /// Accounts.
    Accounts,
    /// The journal.
    Journal,
    /// Maintenance.
    Upkeep,
    /// The gateways, as operators see them.
    Gateways,
    /// The webhooks, as operators see them.
    Webhooks,
    /// The protocol of gateways. In the document its operations are those of the gateways.
    Bridge,
    /// The master key.
    Vault,
    /// API keys.
    ApiKeys,
    /// Not in the document.
    Unlisted,
}

impl Tag {
    /// The groups in the document, in the document's order.
    pub(super) const LISTED: [Tag; 10] = [
        Tag::Documented,
        Tag::Health,
        Tag::Accounts,
        Tag::Journal,
        Tag::Upkeep,
        Tag::Gateways,
        Tag::Webhooks,
        Tag::Bridge,
        Tag::Vault,
        Tag::ApiKeys,
    ];

    /// Its name and description in the OpenAPI document.
    pub(super) fn name_and_description(self) -> (&'static str, &'static str) {
        match self {
            Tag::Documented => ("Documented", "The API for the back ends of callers."),
            Tag::Health => ("Health", "Health checks and metrics."),
            Tag::Accounts => ("Accounts", "Accounts with their state and history."),
            Tag::Journal => ("Journal", "All events, and proofs of them."),
            Tag::Upkeep => ("Upkeep", "Projections, verification, replay and backup."),
            Tag::Gateways | Tag::Bridge => (
                "Gateways",
                "The gateways to WhatsApp. Below `/gateway/v1`, an operator's own gateway reports events and fetches \
                    commands.",
            ),
            Tag::Webhooks => ("Webhooks", "Receivers, signing secrets, deliveries and dead letters."),
            Tag::Vault => ("Vault", "The master key and its rotation."),
            Tag::ApiKeys => ("API keys", "API keys and their permissions."),
            Tag::Unlisted => ("", ""),
        }
    }
}

impl Endpoint {
    /// Whether it also answers `HEAD`. A gateway's `GET` takes commands, so it does not.
    pub(super) fn answers_head(&self) -> bool {
        self.method == Method::GET && !matches!(self.handler, Handler::Bridge(_))
    }

    /// Whether its path may end in a slash.
    pub(super) fn allows_trailing_slash(&self) -> bool {
        match self.handler {
            Handler::Contract(..) | Handler::MetaWebhook(_) => true,
            Handler::V1(_) | Handler::Bridge(_) => false,
        }
    }

    /// The part of its OpenAPI operation that every endpoint has.
    pub(super) fn operation_doc(&self) -> OperationDoc {
        let (name, suffix) = (self.operation.name, if self.method == Method::HEAD { "Head" } else { "" });
        OperationDoc::new(http_method(&self.method), self.path, &format!("{name}{suffix}"), self.summary)
    }
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::DELETE => HttpMethod::Delete,
        Method::HEAD => HttpMethod::Head,
        _ => HttpMethod::Get,
    }
}
