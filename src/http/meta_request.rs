//! A request from Meta, as its handler gets it.

use std::sync::Arc;

use warp::http::StatusCode;

use super::request_body::RequestBody;
use super::request_head::RequestHead;
use crate::gateway::CloudApi;

/// A request from Meta. Its handler still has to verify the signature or the token.
pub(super) struct MetaRequest {
    pub(super) cloud_api: CloudApi,
    pub(super) head: Arc<RequestHead>,
    /// Empty if the endpoint reads no body.
    pub(super) body: RequestBody,
}

/// A response to Meta: its status and its text.
pub(super) type MetaResponse = (StatusCode, String);
