//! A request of Meta's for its handler.

use warp::http::{HeaderMap, StatusCode};

use super::contract_requests::Query;
use super::request_body::RequestBody;
use crate::gateway::CloudApi;

/// A request whose signature or token its handler still has to verify.
pub(super) struct MetaRequest {
    pub(super) cloud_api: CloudApi,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    /// Empty if the endpoint reads no body.
    pub(super) body: RequestBody,
}

/// A response to Meta: its status and its text.
pub(super) type MetaAnswer = (StatusCode, String);
