//! A gateway's request, as its handler gets it, and the state that the handlers share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use warp::http::HeaderMap;

use super::request_body::{MemoryBudget, RequestBody};
use super::request_head::RequestHead;
use crate::access::Authenticator;
use crate::gateway::Bridge;
use crate::gateway::bridge::{RequestSignatureError, SignatureHeaders};

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
    /// Verifies the signature of a request without a body: that of path and query as the gateway sent them. A reverse
    /// proxy may have removed the base path.
    pub(super) fn verify_target(&self) -> Result<(), RequestSignatureError> {
        let RequestHead { path, raw_query, origin, .. } = &*self.head;
        let target = raw_query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let verify = |target: &str| self.bridge.verify_request(self.signature(), target.as_bytes());
        match verify(&target) {
            Err(RequestSignatureError::Forged) if !origin.base_path.as_str().is_empty() => {
                verify(&origin.base_path.add_to_path(&target))
            }
            verified => verified,
        }
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
