//! What an endpoint is. Its one definition gives its route, `Allow`, its permission, and its operation in the OpenAPI document.

use futures_util::future::BoxFuture;
use utoipa::openapi::HttpMethod;
use warp::http::Method;
use warp::reply::Response;

use super::operation_doc::OperationDoc;
use super::v1_request::V1Request;
use crate::api::{ApiState, Operation, Problem};

/// An endpoint: one method of one path.
pub struct Endpoint {
    /// The method of HTTP.
    pub method: Method,
    /// The whole path. A segment in braces is a placeholder.
    pub path: &'static str,
    /// What it does, who may ask for it, and how long it may take.
    pub operation: Operation,
    pub(super) tag: Tag,
    /// One line for the OpenAPI document.
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
    /// At most so many bytes.
    Bytes(usize),
}

/// Answers the requests of an endpoint. The variants differ in the form of their errors.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// `/api/v1`: an error is a problem (RFC 9457).
    V1(fn(ApiState, V1Request) -> BoxFuture<'static, Result<Response, Problem>>),
}

/// A group of operations in the OpenAPI document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
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
    /// The master key.
    Vault,
    /// API keys.
    ApiKeys,
}

impl Tag {
    /// Its name in the OpenAPI document.
    pub(super) fn name(self) -> &'static str {
        match self {
            Tag::Accounts => "Accounts",
            Tag::Journal => "Journal",
            Tag::Upkeep => "Upkeep",
            Tag::Gateways => "Gateways",
            Tag::Webhooks => "Webhooks",
            Tag::Vault => "Vault",
            Tag::ApiKeys => "API keys",
        }
    }
}

impl Endpoint {
    /// Whether a request for `path` is for this endpoint, whatever its method.
    pub(super) fn matches(&self, path: &str) -> bool {
        let (names, segments) = (self.path.split('/'), path.split('/'));
        names.clone().count() == segments.clone().count()
            && names
                .zip(segments)
                .all(|(name, segment)| name == segment || (is_placeholder(name) && !segment.is_empty()))
    }

    /// The segments of `path` at the placeholders.
    pub(super) fn path_parameters(&self, path: &str) -> Vec<(&'static str, String)> {
        let pairs = self.path.split('/').zip(path.split('/')).filter(|(name, _)| is_placeholder(name));
        pairs.map(|(name, segment)| (name.trim_matches(['{', '}']), segment.to_owned())).collect()
    }

    /// Its operation in the OpenAPI document, as far as all endpoints have it.
    pub(super) fn operation_doc(&self) -> OperationDoc {
        OperationDoc::new(http_method(&self.method), self.path, self.operation.name, self.summary)
    }

    /// The number of placeholders in its path.
    pub(super) fn count_placeholders(&self) -> usize {
        self.path.split('/').filter(|name| is_placeholder(name)).count()
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

fn is_placeholder(name: &str) -> bool {
    name.starts_with('{')
}
