//! A gateway's request, as its handler gets it, and the state that the handlers share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use warp::http::HeaderMap;

use super::request_body::{MemoryBudget, RequestBody};
use super::request_head::RequestHead;
use crate::access::Authenticator;
use crate::gateway::Bridge;
use crate::gateway::bridge::SignatureHeaders;

/// The state that the endpoints of the bridge share. Cheap to clone.
#[derive(Clone)]
pub(super) struct BridgeState {
    pub(super) bridge: Option<Bridge>,
    pub(super) authenticator: Authenticator,
    pub(super) memory_budget: MemoryBudget,
    /// Ends long polls.
    pub(super) stop: CancellationToken,
}

/// A gateway's request. Its handler still has to verify the signature.
pub(super) struct BridgeRequest {
    pub(super) bridge: Bridge,
    pub(super) head: Arc<RequestHead>,
    /// Empty if the endpoint reads no body.
    pub(super) body: RequestBody,
}

impl BridgeRequest {
    /// The signed text of a request without a body: path and query as sent.
    pub(super) fn signed_target(&self) -> String {
        let RequestHead { path, raw_query, .. } = &*self.head;
        raw_query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
    }

    pub(super) fn signature(&self) -> SignatureHeaders<'_> {
        signature_headers(&self.head.headers)
    }
}

/// The headers with the signature.
pub(super) fn signature_headers(headers: &HeaderMap) -> SignatureHeaders<'_> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    SignatureHeaders {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
    }
}
