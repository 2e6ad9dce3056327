//! A request of the contract, as its handler gets it.

use std::sync::Arc;

use warp::http::HeaderValue;

use super::contract_envelope::EnvelopeKind;
use super::request_body::RequestBody;
use super::request_head::RequestHead;
use crate::access::Requester;
use crate::domain::Reason;

/// A request whose requester has the permission for the call.
pub(super) struct ContractRequest {
    /// The operation's name.
    pub(super) name: &'static str,
    pub(super) kind: EnvelopeKind,
    pub(super) head: Arc<RequestHead>,
    /// `None` without a key, or if the endpoint reads no body.
    pub(super) idempotency_key: Option<HeaderValue>,
    /// Why the caller gives the order; empty without a reason.
    pub(super) reason: Reason,
    /// Empty if the endpoint reads no body.
    pub(super) body: RequestBody,
    pub(super) requester: Requester,
}
