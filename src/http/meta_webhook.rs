//! `/gateway/cloud-api/webhook`: Meta sends notifications here, and first verifies that the webhook is ours.

use futures_util::FutureExt;
use warp::http::{Method, StatusCode};

use super::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use super::meta_request::{MetaRequest, MetaResponse};
use crate::api::operation;
use crate::gateway::cloud_api::MetaWebhookOutcome;
use crate::limits::{META_CHALLENGE_BYTES, META_WEBHOOK_BYTES};

/// Header with Meta's signature.
const SIGNATURE_HEADER: &str = "x-hub-signature-256";

pub(super) static ENDPOINTS: [Endpoint; 3] = [
    verification(Method::GET),
    verification(Method::HEAD),
    Endpoint {
        method: Method::POST,
        path: "/gateway/cloud-api/webhook",
        operation: operation::RECEIVE_META_WEBHOOK,
        tag: Tag::Unlisted,
        summary: "Receive a notification of Meta's",
        body: BodyLimit::Bytes(META_WEBHOOK_BYTES),
        handler: Handler::MetaWebhook(|request| receive_notification(request).boxed()),
        document: |operation| operation,
    },
];

const fn verification(method: Method) -> Endpoint {
    Endpoint {
        method,
        path: "/gateway/cloud-api/webhook",
        operation: operation::VERIFY_META_SUBSCRIPTION,
        tag: Tag::Unlisted,
        summary: "Answer Meta's verification request",
        body: BodyLimit::Unread,
        handler: Handler::MetaWebhook(|request| async move { verify_subscription(&request) }.boxed()),
        document: |operation| operation,
    }
}

/// Answers Meta's verification request: checks the token and returns the challenge.
fn verify_subscription(MetaRequest { cloud_api, head, .. }: &MetaRequest) -> MetaResponse {
    let parameter =
        |name: &str| head.query.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let challenge = parameter("hub.challenge");
    if !cloud_api.accepts_verification(parameter("hub.mode"), parameter("hub.verify_token")) {
        return (
            StatusCode::FORBIDDEN,
            "hub.verify_token differs from gateway.cloud_api.verify_token, or hub.mode is not subscribe\n".to_owned(),
        );
    }
    let is_challenge = challenge.len() <= META_CHALLENGE_BYTES && challenge.bytes().all(|byte| byte.is_ascii_graphic());
    if is_challenge {
        (StatusCode::OK, challenge.to_owned())
    } else {
        (StatusCode::BAD_REQUEST, format!("hub.challenge must be at most {META_CHALLENGE_BYTES} visible characters\n"))
    }
}

async fn receive_notification(MetaRequest { cloud_api, head, body }: MetaRequest) -> MetaResponse {
    let signature = head.headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    match cloud_api.handle_webhook(signature, &body).await {
        MetaWebhookOutcome::Processed => (StatusCode::OK, String::new()),
        MetaWebhookOutcome::SignatureInvalid(why) => (StatusCode::UNAUTHORIZED, format!("{why}\n")),
        MetaWebhookOutcome::Malformed(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")),
        MetaWebhookOutcome::Retry => {
            (StatusCode::SERVICE_UNAVAILABLE, "the webhook is not processed yet; send it again\n".to_owned())
        }
    }
}
