//! `/gateway/v1`: a signature authenticates each request, and an error is JSON with a code and a message.

#[cfg(test)]
mod tests;

use warp::http::StatusCode;
use warp::reply::Response;

use super::body_type::BodyType;
use super::bridge_request::{BridgeRequest, BridgeState, signature_headers};
use super::bridge_response::BridgeApiError;
use super::contract_error::Error;
use super::endpoint::Handler;
use super::endpoint_registry::NoEndpoint;
use super::forwarded::ForwardedError;
use super::middleware::{Dialect, IncomingBody, ResponseDeadline};
use super::request_body::{RequestBody, read_body};
use super::routed_request::RoutedRequest;
use crate::access::AuthContext;
use crate::gateway::bridge::RequestSignatureError;
use crate::limits::{NOT_SET_UP_RETRY_WAIT, REPORT_BATCH_BYTES};

/// The dialect of `/gateway/v1`.
#[derive(Clone)]
pub(super) struct BridgeDialect(pub(super) BridgeState);

impl Dialect for BridgeDialect {
    type Error = BridgeApiError;

    /// Commands must not be handed to a gateway that left while it waited for them.
    const ANSWERS_HALF_CLOSED: bool = false;

    /// Only counts the request: the signature may cover the body, so the handler verifies it.
    async fn authenticate(&self, request: &RoutedRequest) -> Result<AuthContext, BridgeApiError> {
        let authenticator = &self.0.authenticator;
        authenticator.check_rate(request.origin.address).inspect_err(|error| authenticator.count_error(*error))?;
        Ok(AuthContext::ANONYMOUS)
    }

    async fn handle(
        &self,
        request: &RoutedRequest,
        _: AuthContext,
        body: &mut IncomingBody,
    ) -> Result<Response, BridgeApiError> {
        let (BridgeDialect(state), headers) = (self, &request.headers);
        let endpoint = request.endpoint.as_ref().map_err(BridgeApiError::from)?;
        let Handler::Bridge(handler) = endpoint.handler else { return Err(BridgeApiError::no_such_path()) };
        let Some(bridge) = state.bridge.clone() else {
            // The setting may be missing only in this run, so the gateway must keep its reports and retry.
            let words = "the bridge is not set up; retry later. The operator sets it up with gateway.bridge.secret";
            let retry_after = Some(NOT_SET_UP_RETRY_WAIT.as_secs());
            return Err(BridgeApiError { retry_after, ..BridgeApiError::retry_later("not_set_up", words) });
        };
        // The body of an unsigned request is not read.
        let signature = signature_headers(headers);
        if signature.id.is_none() || signature.timestamp.is_none() || signature.signature.is_none() {
            return Err(RequestSignatureError::Missing.into());
        }
        let body = match endpoint.body.bytes(REPORT_BATCH_BYTES) {
            None => RequestBody::default(),
            Some(limit) => read_body(headers, body, BodyType::Json, limit, &state.memory_budget).await?,
        };
        handler(state.clone(), BridgeRequest { bridge, head: request.head.clone(), body }).await
    }

    fn convert_forwarded_error(error: ForwardedError) -> BridgeApiError {
        Error::from(error).into()
    }

    fn deadline(&self) -> Option<ResponseDeadline<BridgeApiError>> {
        None
    }

    fn render_error(&self, _: &RoutedRequest, error: BridgeApiError) -> Response {
        error.respond(self.0.bridge.as_ref())
    }
}

impl From<&NoEndpoint> for BridgeApiError {
    fn from(reason: &NoEndpoint) -> BridgeApiError {
        match reason {
            NoEndpoint::UnknownPath => BridgeApiError::no_such_path(),
            NoEndpoint::MethodNotAllowed { allow, .. } => {
                let words = format!("this path does not support this method; use {allow}");
                let error = BridgeApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", words);
                BridgeApiError { allow: Some(allow), ..error }
            }
        }
    }
}

impl BridgeApiError {
    fn no_such_path() -> BridgeApiError {
        BridgeApiError::new(StatusCode::NOT_FOUND, "no_such_path", "no such path under /gateway/v1")
    }
}
