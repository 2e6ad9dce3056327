//! The head of a request, as the middleware passes it on.

use std::net::SocketAddr;

use warp::http::{HeaderMap, Method};

use super::contract_requests::Query;
use super::endpoint::Endpoint;
use super::endpoint_registry::{EndpointMatch, NoEndpoint};
use super::request_id::IncomingRequestId;

/// A request without its body.
pub struct RequestHead {
    /// The endpoint that it is for.
    pub(super) endpoint: Result<EndpointMatch, NoEndpoint>,
    /// The method.
    pub method: Method,
    /// The path, as sent.
    pub path: String,
    /// The fields of the query, decoded, in order.
    pub query: Query,
    /// The query as sent; `None` without a question mark.
    pub(super) raw_query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The remote address of the connection.
    pub peer: SocketAddr,
    /// The request's id.
    pub id: IncomingRequestId,
}

impl RequestHead {
    /// The endpoint of the path, even if it does not take the method.
    pub(super) fn endpoint_of_path(&self) -> Option<&'static Endpoint> {
        match &self.endpoint {
            Ok(EndpointMatch { endpoint, .. }) | Err(NoEndpoint::MethodNotAllowed { endpoint, .. }) => Some(endpoint),
            Err(NoEndpoint::UnknownPath) => None,
        }
    }

    /// The segment of the path at a placeholder; empty if there is no such placeholder.
    pub(super) fn path_parameter(&self, name: &str) -> &str {
        let parameters = self.endpoint.as_ref().map_or(&[][..], |found| &found.path_parameters);
        parameters.iter().find(|(known, _)| known == name).map_or("", |(_, segment)| segment)
    }
}
