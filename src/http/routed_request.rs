//! A request with its endpoint, as the middleware passes it to a dialect.

use std::ops::Deref;
use std::sync::Arc;

use super::endpoint::Endpoint;
use super::endpoint_registry::NoEndpoint;
use super::forwarded::ForwardedError;
use super::request_head::RequestHead;

/// The head of a request, with its endpoint.
pub struct RoutedRequest {
    /// The endpoint, or why there is none.
    pub(super) endpoint: Result<&'static Endpoint, NoEndpoint>,
    /// Why the headers of a trusted proxy do not tell the caller. Such a request is rejected.
    pub(super) forwarded_error: Option<ForwardedError>,
    /// The head, which handlers share.
    pub head: Arc<RequestHead>,
}

impl Deref for RoutedRequest {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

impl RoutedRequest {
    /// The endpoint of the path, even if it does not take the method.
    pub(super) fn endpoint_of_path(&self) -> Option<&'static Endpoint> {
        match &self.endpoint {
            Ok(endpoint) | Err(NoEndpoint::MethodNotAllowed { endpoint, .. }) => Some(endpoint),
            Err(NoEndpoint::UnknownPath) => None,
        }
    }
}
