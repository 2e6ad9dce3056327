//! Webhook channels: their receivers and secrets, pause and resume.

use futures_util::FutureExt;
use utoipa::openapi::Required;
use warp::http::Method;
use warp::reply::Response;

use super::json_body::{parse_body, parse_body_or_default};
use super::response_body::json_response;
use super::shared_docs::NO_SERVICE;
use crate::api::webhook_requests::{PauseRequest, SetAppSecretRequest, SetSecretRequest, SetUrlRequest};
use crate::api::webhooks::{self, ChannelList, NewSecret};
use crate::api::{Problem, operation};
use crate::domain::Channel;
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::v1_request::V1Request;
use crate::limits::WEBHOOK_REQUEST_BYTES;
use crate::webhooks::{AttemptView, ChannelView};

pub(super) const NO_SUCH_WEBHOOK: &str = "There is no such webhook.";
pub(super) const CONFLICT: &str =
    "The webhook has no receiver, has too many secrets, or is not paused. Or no service is running.";
/// Describes the response of an operation that changed a channel.
const NOW: &str = "The webhooks.";

pub(in crate::http) static ENDPOINTS: [Endpoint; 11] = [
    Endpoint {
        method: Method::GET,
        path: "/api/v1/webhooks",
        operation: operation::SHOW_WEBHOOKS,
        tag: Tag::Webhooks,
        summary: "List the webhooks",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| show_webhooks(request).boxed()),
        document: |operation| {
            operation
                .json_response::<ChannelList>(
                    200,
                    "Each webhook with its receiver, state, lag, oldest pending delivery, circuit breaker and dead \
                     letters.",
                )
                .problem(409, NO_SERVICE)
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/webhooks/{channel}",
        operation: operation::SHOW_WEBHOOK,
        tag: Tag::Webhooks,
        summary: "Show a webhook",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| show_webhook(request).boxed()),
        document: |operation| {
            operation
                .json_response::<ChannelView>(200, "The webhook.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::PUT,
        path: "/api/v1/webhooks/{channel}/url",
        operation: operation::SET_RECEIVER,
        tag: Tag::Webhooks,
        summary: "Set a webhook's receiver",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| set_receiver(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "The receiver gets all pending deliveries. If the webhook never had a receiver, it gets the \
                    events from now on. This receiver takes precedence over the settings, and is stored sealed.",
                )
                .json_body::<SetUrlRequest>(Required::True, "The receiver.")
                .json_response::<ChannelView>(200, NOW)
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::DELETE,
        path: "/api/v1/webhooks/{channel}/url",
        operation: operation::UNSET_RECEIVER,
        tag: Tag::Webhooks,
        summary: "Return to the receiver in the settings",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| unset_receiver(request).boxed()),
        document: |operation| {
            operation
                .describe("If the settings name no receiver, events wait for one, and pending deliveries are kept.")
                .json_response::<ChannelView>(200, NOW)
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::PUT,
        path: "/api/v1/webhooks/{channel}/secret",
        operation: operation::SET_SECRET,
        tag: Tag::Webhooks,
        summary: "Sign a webhook with Standard Webhooks",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| set_secret(request).boxed()),
        document: |operation| {
            operation
                .describe("The previous secret also signs, for the time `grace`.")
                .json_body::<SetSecretRequest>(Required::False, "The secret; an empty body generates one.")
                .json_response::<NewSecret>(200, "The secret, which is shown only once.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::DELETE,
        path: "/api/v1/webhooks/{channel}/secret",
        operation: operation::UNSET_SECRET,
        tag: Tag::Webhooks,
        summary: "Stop signing a webhook with Standard Webhooks",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| unset_secret(request).boxed()),
        document: |operation| {
            operation.json_response::<ChannelView>(200, NOW).problem(404, NO_SUCH_WEBHOOK).problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::PUT,
        path: "/api/v1/webhooks/{channel}/app-secret",
        operation: operation::SET_APP_SECRET,
        tag: Tag::Webhooks,
        summary: "Sign a webhook with the API family's signature",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| set_app_secret(request).boxed()),
        document: |operation| {
            operation
                .json_body::<SetAppSecretRequest>(Required::True, "The tenant and the secret.")
                .json_response::<ChannelView>(200, NOW)
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::DELETE,
        path: "/api/v1/webhooks/{channel}/app-secret",
        operation: operation::UNSET_APP_SECRET,
        tag: Tag::Webhooks,
        summary: "Stop signing a webhook with the API family's signature",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| unset_app_secret(request).boxed()),
        document: |operation| {
            operation.json_response::<ChannelView>(200, NOW).problem(404, NO_SUCH_WEBHOOK).problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/test",
        operation: operation::TEST_RECEIVER,
        tag: Tag::Webhooks,
        summary: "Send a test webhook",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| test_receiver(request).boxed()),
        document: |operation| {
            operation
                .describe("Sends the document's example once, and waits for the receiver's response.")
                .json_response::<AttemptView>(200, "The result of the attempt.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/pause",
        operation: operation::PAUSE_WEBHOOK,
        tag: Tag::Webhooks,
        summary: "Pause a webhook",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| pause_webhook(request).boxed()),
        document: |operation| {
            operation
                .describe("Nothing is lost: events are delivered when the webhook is resumed.")
                .json_body::<PauseRequest>(Required::True, "The reason.")
                .json_response::<ChannelView>(200, NOW)
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/resume",
        operation: operation::RESUME_WEBHOOK,
        tag: Tag::Webhooks,
        summary: "Resume a webhook",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| resume_webhook(request).boxed()),
        document: |operation| {
            operation.json_response::<ChannelView>(200, NOW).problem(404, NO_SUCH_WEBHOOK).problem(409, CONFLICT)
        },
    },
];

async fn show_webhooks(request: V1Request) -> Result<Response, Problem> {
    request.call.api().webhooks()?;
    request.parameters(&[])?;
    Ok(json_response(&webhooks::show_webhooks(&request.call).await?))
}

/// The channel that the path names, for an endpoint without query parameters: it rejects all.
pub(super) fn parse_target(request: &V1Request) -> Result<Channel, Problem> {
    let channel = parse_channel(request)?;
    request.parameters(&[])?;
    Ok(channel)
}

/// The channel that the path names. Fails if no service is running.
pub(super) fn parse_channel(request: &V1Request) -> Result<Channel, Problem> {
    request.call.api().webhooks()?;
    webhooks::parse_channel(request.head.path_parameter("channel"))
}

async fn show_webhook(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    Ok(json_response(&webhooks::show_webhook(&request.call, channel).await?))
}

async fn set_receiver(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body(&request.body, r#"{"url":"https://example.com/status"}"#)?;
    Ok(json_response(&webhooks::set_receiver(&request.call, channel, Some(body)).await?))
}

async fn unset_receiver(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    Ok(json_response(&webhooks::set_receiver(&request.call, channel, None).await?))
}

async fn set_secret(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body_or_default(&request.body, r#"{"secret":"whsec_…","grace":"24h"} or an empty body"#)?;
    Ok(json_response(&webhooks::set_secret(&request.call, channel, body).await?))
}

async fn unset_secret(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    Ok(json_response(&webhooks::unset_secret(&request.call, channel).await?))
}

async fn set_app_secret(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body(&request.body, r#"{"tenantId":"500975","secret":"…"}"#)?;
    Ok(json_response(&webhooks::set_app_secret(&request.call, channel, Some(body)).await?))
}

async fn unset_app_secret(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    Ok(json_response(&webhooks::set_app_secret(&request.call, channel, None).await?))
}

async fn test_receiver(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    Ok(json_response(&webhooks::test_receiver(&request.call, channel).await?))
}

async fn pause_webhook(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body(&request.body, r#"{"reason":"why"}"#)?;
    Ok(json_response(&webhooks::pause_webhook(&request.call, channel, body).await?))
}

async fn resume_webhook(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    Ok(json_response(&webhooks::resume_webhook(&request.call, channel).await?))
}
