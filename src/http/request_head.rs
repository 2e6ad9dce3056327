//! The head of a request, as the middleware passes it on.

use warp::http::{HeaderMap, Method};

use super::contract_parsing::Query;
use super::request_id::IncomingRequestId;
use super::request_origin::RequestOrigin;

/// A request without its body.
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The path, as sent, without the base path.
    pub path: String,
    /// The segments of the path at the placeholders of its endpoint, by name.
    pub(super) path_parameters: Vec<(String, String)>,
    /// The fields of the query, decoded, in order.
    pub query: Query,
    /// The query as sent; `None` without a question mark.
    pub(super) raw_query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// Where the request comes from.
    pub origin: RequestOrigin,
    /// The request's id.
    pub id: IncomingRequestId,
}

impl RequestHead {
    /// The segment of the path at a placeholder; empty if there is no such placeholder.
    pub(super) fn path_parameter(&self, name: &str) -> &str {
        self.path_parameters.iter().find(|(known, _)| known == name).map_or("", |(_, segment)| segment)
    }
}
