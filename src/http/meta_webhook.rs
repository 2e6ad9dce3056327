//! `/gateway/cloud-api/webhook`: Meta's webhook. Its signature authenticates it; it has no API key.

use bytes::Buf;
use futures_util::Stream;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderMap, Method, StatusCode};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::contract_requests::Query;
use super::request_id::{IncomingRequestId, X_REQUEST_ID};
use super::{Api, request_body};
use crate::gateway::CloudApi;
use crate::gateway::cloud_api::MetaWebhookOutcome;
use crate::limits::{META_CHALLENGE_BYTES, META_WEBHOOK_BYTES, NOT_SET_UP_AGAIN};

/// Header with Meta's signature.
const SIGNATURE_HEADER: &str = "x-hub-signature-256";

const NOT_SET_UP: &str = "the Cloud API is not set up, so this waits at Meta; the operator sets gateway.cloud_api.waba_id and \
     gateway.cloud_api.token\n";

/// The route. If the Cloud API is not set up, the response makes Meta retry: the setting may be missing only in this run.
pub(super) fn routes(
    api: Api,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path!("gateway" / "cloud-api" / "webhook")
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::query::<Query>())
        .and(warp::body::stream())
        .then(move |method, headers, query, body| {
            let api = api.clone();
            async move { handle(&api, &method, &headers, &query, body).await }
        })
}

async fn handle<S, B>(api: &Api, method: &Method, headers: &HeaderMap, query: &Query, body: S) -> Response
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin + Send + 'static,
    B: Buf + Send,
{
    let IncomingRequestId { id, header } = api.request_ids().read_or_generate(headers);
    let (status, words) = match (api.cloud_api(), method) {
        (None, _) => {
            request_body::drain_unread(headers, body);
            (StatusCode::SERVICE_UNAVAILABLE, NOT_SET_UP.to_owned())
        }
        (Some(cloud_api), &Method::GET | &Method::HEAD) => verify_subscription(cloud_api, query),
        (Some(cloud_api), &Method::POST) => receive_notification(api, cloud_api, headers, body).await,
        (Some(_), _) => {
            (StatusCode::METHOD_NOT_ALLOWED, "Meta's webhooks are posted; GET is for its handshake\n".to_owned())
        }
    };
    let mut response = Response::new(words.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = if api.cloud_api().is_some() { 1 } else { NOT_SET_UP_AGAIN.as_secs() };
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    // The query is not logged, because it holds the verification token.
    tracing::info!(method = method.as_str(), status = status.as_u16(), request = %id, "a webhook of Meta's is answered");
    response.headers_mut().insert(X_REQUEST_ID, header);
    response
}

/// Meta's verification request: checks the token and returns the challenge.
fn verify_subscription(cloud_api: &CloudApi, query: &Query) -> (StatusCode, String) {
    let parameter = |name: &str| query.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let challenge = parameter("hub.challenge");
    if !cloud_api.accepts_verification(parameter("hub.mode"), parameter("hub.verify_token")) {
        return (
            StatusCode::FORBIDDEN,
            "hub.verify_token is not what gateway.cloud_api.verify_token says, or hub.mode is not subscribe\n"
                .to_owned(),
        );
    }
    let is_challenge = challenge.len() <= META_CHALLENGE_BYTES && challenge.bytes().all(|byte| byte.is_ascii_graphic());
    if is_challenge {
        (StatusCode::OK, challenge.to_owned())
    } else {
        (StatusCode::BAD_REQUEST, format!("hub.challenge must be at most {META_CHALLENGE_BYTES} visible letters\n"))
    }
}

async fn receive_notification<S, B>(
    api: &Api,
    cloud_api: &CloudApi,
    headers: &HeaderMap,
    mut body: S,
) -> (StatusCode, String)
where
    S: Stream<Item = Result<B, warp::Error>> + Unpin + Send + 'static,
    B: Buf + Send,
{
    let read = match request_body::read_body(headers, &mut body, META_WEBHOOK_BYTES, api.memory_budget()).await {
        Ok(read) => read,
        Err(error) => {
            request_body::drain_unread(headers, body);
            let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::BAD_REQUEST);
            return (status, format!("{error}\n"));
        }
    };
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    match cloud_api.handle_webhook(signature, &read).await {
        MetaWebhookOutcome::Processed => (StatusCode::OK, String::new()),
        MetaWebhookOutcome::SignatureInvalid(why) => (StatusCode::UNAUTHORIZED, format!("{why}\n")),
        MetaWebhookOutcome::Malformed(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")),
        MetaWebhookOutcome::Retry => {
            (StatusCode::SERVICE_UNAVAILABLE, "what follows from it is not done yet; send it again\n".to_owned())
        }
    }
}
