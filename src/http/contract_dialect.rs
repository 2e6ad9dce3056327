//! The documented calls, health and metrics: how they authenticate, and how their errors become envelopes.

use warp::reply::Response;

use super::body_type::BodyType;
use super::contract_envelope::{EnvelopeKind, respond};
use super::contract_error::Error;
use super::contract_request::ContractRequest;
use super::endpoint::Handler;
use super::endpoint_registry::{NoEndpoint, suggest_path};
use super::forwarded::ForwardedError;
use super::middleware::{Dialect, IncomingBody, ResponseDeadline};
use super::request_body::{RequestBody, read_body};
use super::routed_request::RoutedRequest;
use super::{Api, authentication, idempotency_key, order_reason};
use crate::access::{AuthContext, Requester};
use crate::api::{Access, AccountSelection};
use crate::domain::{Permission, Reason};

/// The dialect of the documented calls, health and metrics. It also answers unknown paths, with 404.
#[derive(Clone)]
pub(super) struct ContractDialect(pub(super) Api);

impl Dialect for ContractDialect {
    type Error = Error;

    async fn authenticate(&self, request: &RoutedRequest) -> Result<AuthContext, Error> {
        let ContractDialect(api) = self;
        // Only authenticated callers learn that a known path does not take their method.
        let Some(operation) = request.endpoint_of_path().map(|endpoint| endpoint.operation) else {
            return Ok(AuthContext::ANONYMOUS);
        };
        let Access::Permission(permission) = operation.access else { return Ok(AuthContext::ANONYMOUS) };
        let authenticator = api.authenticator();
        let auth = match permission {
            Permission::Call => authentication::authenticate_contract(authenticator, request).await?,
            Permission::Read | Permission::Operate | Permission::Label | Permission::Administer => {
                authentication::authenticate(authenticator, request).await?
            }
        };
        operation.check_permission(&auth, &AccountSelection::All)?;
        Ok(auth)
    }

    async fn handle(
        &self,
        request: &RoutedRequest,
        auth: AuthContext,
        body: &mut IncomingBody,
    ) -> Result<Response, Error> {
        let (ContractDialect(api), headers) = (self, &request.headers);
        let endpoint = request.endpoint.as_ref().map_err(|reason| match reason {
            NoEndpoint::UnknownPath => {
                Error::NoSuchPath { base_path: request.origin.base_path.clone(), nearest: suggest_path(&request.path) }
            }
            NoEndpoint::MethodNotAllowed { allow, .. } => Error::MethodNotAllowed { allow },
        })?;
        let Handler::Contract(kind, handler) = endpoint.handler else {
            return Err(Error::NoSuchPath { base_path: request.origin.base_path.clone(), nearest: None });
        };
        let permission = match endpoint.operation.access {
            Access::Permission(permission) => permission,
            Access::Public | Access::Signature => Permission::Read,
        };
        let (keys, from) = (api.authenticator().keys().clone(), request.origin.to_string());
        let requester = Requester::new(keys, auth, permission, request.id.id, from);
        let (idempotency_key, reason, body) = match endpoint.body.bytes(api.settings().max_body_bytes) {
            None => (None, Reason::none(), RequestBody::default()),
            Some(limit) => {
                let (key, reason) = (idempotency_key::from_headers(headers)?, order_reason::from_headers(headers)?);
                (key, reason, read_body(headers, body, BodyType::Json, limit, api.memory_budget()).await?)
            }
        };
        let (name, head) = (endpoint.operation.name, request.head.clone());
        let request = ContractRequest { name, kind, head, idempotency_key, reason, body, requester };
        let response = handler(api.clone(), request).await?;
        Ok(respond(kind, Ok(response), api.settings().always_200))
    }

    fn convert_forwarded_error(error: ForwardedError) -> Error {
        error.into()
    }

    fn deadline(&self) -> Option<ResponseDeadline<Error>> {
        Some((self.0.settings().request_timeout, |limit| Error::Timeout { limit }))
    }

    fn render_error(&self, request: &RoutedRequest, error: Error) -> Response {
        if error.code() == 500 {
            let cause = &error as &dyn std::error::Error;
            let id = &request.id;
            tracing::error!(request = %id.id, x_request_id = ?id.header, error = cause, "a request failed with an \
                internal error");
        }
        let kind = match request.endpoint_of_path().map(|endpoint| endpoint.handler) {
            Some(Handler::Contract(kind, _)) => kind,
            Some(Handler::V1(_) | Handler::Bridge(_) | Handler::MetaWebhook(_)) | None => EnvelopeKind::Plain,
        };
        respond(kind, Err(error), self.0.settings().always_200)
    }

    fn drains_body(error: &Error) -> bool {
        // A client that was too slow gets no more time to send.
        !matches!(error, Error::SlowBody)
    }
}
