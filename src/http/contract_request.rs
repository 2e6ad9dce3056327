//! A request of the contract's API for its handler.

use std::sync::Arc;

use warp::http::HeaderValue;

use super::contract_envelope::EnvelopeKind;
use super::request_body::RequestBody;
use super::request_head::RequestHead;
use crate::access::Requester;

/// A request whose requester may make its call.
pub(super) struct ContractRequest {
    /// The name of the API's operation.
    pub(super) name: &'static str,
    pub(super) kind: EnvelopeKind,
    pub(super) head: Arc<RequestHead>,
    /// `None` without a key, or if the endpoint reads no body.
    pub(super) idempotency_key: Option<HeaderValue>,
    /// Empty if the endpoint reads no body.
    pub(super) body: RequestBody,
    pub(super) requester: Requester,
}
