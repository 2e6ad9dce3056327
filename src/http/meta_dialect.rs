//! Meta's webhook: a signature or the verification token authenticates each request, and every response is a text.

use std::time::Instant;

use warp::http::StatusCode;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use warp::reply::Response;

use super::Api;
use super::body_type::BodyType;
use super::endpoint::Handler;
use super::forwarded::ForwardedError;
use super::meta_request::{MetaRequest, MetaResponse};
use super::middleware::{Dialect, IncomingBody, ResponseDeadline};
use super::request_body::{RequestBody, read_body};
use super::routed_request::RoutedRequest;
use crate::access::AuthContext;
use crate::limits::{META_WEBHOOK_BYTES, NOT_SET_UP_RETRY_WAIT};

const NOT_SET_UP: &str = "the Cloud API is not set up, so Meta has to retry; the operator sets \
    gateway.cloud_api.waba_id and gateway.cloud_api.token\n";

/// The dialect of Meta's webhook.
#[derive(Clone)]
pub(super) struct MetaDialect(pub(super) Api);

impl Dialect for MetaDialect {
    type Error = MetaResponse;

    const IS_TRACED: bool = false;

    /// Does nothing. The handler verifies the signature, which covers the body, or the token.
    async fn authenticate(&self, _: &RoutedRequest) -> Result<AuthContext, MetaResponse> {
        Ok(AuthContext::ANONYMOUS)
    }

    async fn handle(
        &self,
        request: &RoutedRequest,
        _: AuthContext,
        body: &mut IncomingBody,
    ) -> Result<Response, MetaResponse> {
        let MetaDialect(api) = self;
        // 503 makes Meta retry, because the setting may be missing only in this run.
        let cloud_api = api.cloud_api().ok_or_else(|| (StatusCode::SERVICE_UNAVAILABLE, NOT_SET_UP.to_owned()))?;
        let Ok((endpoint, Handler::MetaWebhook(handler))) =
            request.endpoint.as_ref().map(|endpoint| (endpoint, endpoint.handler))
        else {
            let words = "Meta sends its webhooks by POST; GET is for the verification handshake only\n";
            return Err((StatusCode::METHOD_NOT_ALLOWED, words.to_owned()));
        };
        let body = match endpoint.body.bytes(META_WEBHOOK_BYTES) {
            None => RequestBody::default(),
            Some(limit) => read_body(&request.headers, body, BodyType::Json, limit, api.memory_budget())
                .await
                .map_err(|error| {
                    (StatusCode::from_u16(error.code()).unwrap_or(StatusCode::BAD_REQUEST), format!("{error}\n"))
                })?,
        };
        let request = MetaRequest { cloud_api: cloud_api.clone(), head: request.head.clone(), body };
        Ok(self.respond(handler(request).await))
    }

    fn convert_forwarded_error(error: ForwardedError) -> MetaResponse {
        (StatusCode::BAD_REQUEST, format!("{error}\n"))
    }

    fn deadline(&self) -> Option<ResponseDeadline<MetaResponse>> {
        None
    }

    fn render_error(&self, _: &RoutedRequest, error: MetaResponse) -> Response {
        self.respond(error)
    }

    /// Logs no part of the target, because the query has the verification token.
    fn log(request: &RoutedRequest, response: &Response, _: Instant) {
        let (method, status) = (request.method.as_str(), response.status().as_u16());
        tracing::info!(method, status, request = %request.id.id, "responding to a webhook from Meta");
    }
}

impl MetaDialect {
    fn respond(&self, (status, words): MetaResponse) -> Response {
        let mut response = Response::new(words.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = if self.0.cloud_api().is_some() { 1 } else { NOT_SET_UP_RETRY_WAIT.as_secs() };
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
