//! Deliveries of webhooks: those of the past, dead letters, redelivery, and what a channel without a receiver drops.

use futures_util::FutureExt;
use utoipa::openapi::Required;
use warp::http::Method;
use warp::reply::Response;

use super::json_body::parse_body;
use super::response_body::json_response;
use super::shared_docs::NO_SERVICE;
use super::webhooks::{CONFLICT, NO_SUCH_WEBHOOK, parse_channel, parse_target};
use crate::api::webhook_requests::{CloseRequest, DeadLetterRequest, RedeliverRequest};
use crate::api::webhooks::{self, DEAD_LETTERS_EXAMPLE, DeadLetterPage, DeliveryPage};
use crate::api::{ApiState, Problem, operation};
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::parameter_schemas::{account_digits, number, one_of, page_limit, time};
use crate::http::v1_request::V1Request;
use crate::limits::WEBHOOK_REQUEST_BYTES;
use crate::webhooks::{CloseSummary, DeliveryState, DeliveryView, RedeliverySummary};

const NO_SUCH_DEAD_LETTER: &str = "There is no such webhook, or no such dead letter.";
const UNKNOWN_DELIVERY: &str = "There is no such webhook, or it tells nothing of the event at this position.";
const SENT_AGAIN: &str = "Deliveries are sent again under the same ids, at most `webhooks.redeliver_per_second`.";
const REDELIVERY_EXAMPLE: &str = r#"{"account":"…","state":"dead","since":"2026-11-25","until":"…","from":"1","to":"9","dryRun":true}, or some of these"#;

pub(in crate::http) static ENDPOINTS: [Endpoint; 8] = [
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/close",
        operation: operation::CLOSE_WEBHOOK,
        tag: Tag::Webhooks,
        summary: "Drop everything that waits in a webhook without a receiver",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| close_webhook(api, request).boxed()),
        document: |operation| {
            operation
                .describe("A receiver that is set later is told what happens from then on. Count first, with `dryRun`.")
                .json_body::<CloseRequest>(Required::True, "Why; or a dry run.")
                .json_response::<CloseSummary>(200, "What was dropped, or would be.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, "The webhook has a receiver, or no service runs.")
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/redeliver",
        operation: operation::REDELIVER,
        tag: Tag::Webhooks,
        summary: "Send deliveries of some time again",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| redeliver(api, request).boxed()),
        document: |operation| {
            operation
                .describe(SENT_AGAIN)
                .json_body::<RedeliverRequest>(Required::True, "Which.")
                .json_response::<RedeliverySummary>(200, "How many, or how many it would be.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/webhooks/{channel}/deliveries",
        operation: operation::LIST_DELIVERIES,
        tag: Tag::Webhooks,
        summary: "A page of deliveries",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| list_deliveries(api, request).boxed()),
        document: |operation| {
            operation
                .describe("The latest first, each with every attempt that is remembered.")
                .query_parameter("account", account_digits(), "Of this account only.")
                .query_parameter("state", one_of(DeliveryState::ALL.map(DeliveryState::name)), "That stand so.")
                .query_parameter("since", time(), "Of events from this time on.")
                .query_parameter("until", time(), "Of events before this time.")
                .query_parameter("cursor", number(0), "The `next` of the page before.")
                .query_parameter("limit", page_limit(), "Deliveries on the page.")
                .json_response::<DeliveryPage>(200, "The page.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, NO_SERVICE)
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/webhooks/{channel}/deliveries/{position}",
        operation: operation::SHOW_DELIVERY,
        tag: Tag::Webhooks,
        summary: "One delivery, with every attempt",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| show_delivery(api, request).boxed()),
        document: |operation| {
            operation
                .json_response::<DeliveryView>(200, "The delivery.")
                .problem(404, UNKNOWN_DELIVERY)
                .problem(409, NO_SERVICE)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/deliveries/{position}/resend",
        operation: operation::RESEND_DELIVERY,
        tag: Tag::Webhooks,
        summary: "Send one delivery again",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| resend_delivery(api, request).boxed()),
        document: |operation| {
            operation
                .describe("What waits for a retry, or blocks its account, is sent at once.")
                .json_response::<RedeliverySummary>(200, "It is on its way.")
                .problem(404, UNKNOWN_DELIVERY)
                .problem(409, "It is on its way for the first time, or the webhook has no receiver.")
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/webhooks/{channel}/dead-letters",
        operation: operation::LIST_DEAD_LETTERS,
        tag: Tag::Webhooks,
        summary: "A page of deliveries that no attempt was left for",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| list_dead_letters(api, request).boxed()),
        document: |operation| {
            operation
                .query_parameter("cursor", number(0), "The `next` of the page before.")
                .query_parameter("limit", page_limit(), "Dead letters on the page.")
                .json_response::<DeadLetterPage>(200, "The page.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, NO_SERVICE)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/dead-letters/replay",
        operation: operation::REPLAY_DEAD_LETTERS,
        tag: Tag::Webhooks,
        summary: "Send dead letters again",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| replay_dead_letters(api, request).boxed()),
        document: |operation| {
            operation
                .describe(SENT_AGAIN)
                .json_body::<DeadLetterRequest>(Required::True, "Which, without a `reason`.")
                .json_response::<RedeliverySummary>(200, "How many.")
                .problem(404, NO_SUCH_DEAD_LETTER)
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/dead-letters/drop",
        operation: operation::DROP_DEAD_LETTERS,
        tag: Tag::Webhooks,
        summary: "Give dead letters up",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|api, request| drop_dead_letters(api, request).boxed()),
        document: |operation| {
            operation
                .describe("What waits behind them goes on.")
                .json_body::<DeadLetterRequest>(Required::True, "Which, and the `reason`.")
                .json_response::<RedeliverySummary>(200, "How many.")
                .problem(404, NO_SUCH_DEAD_LETTER)
                .problem(409, CONFLICT)
        },
    },
];

async fn close_webhook(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&api, &request)?;
    let wanted = parse_body(&request.body, r#"{"reason":"why","dryRun":true}, or one of these"#)?;
    Ok(json_response(&webhooks::close_webhook(&api, &request.call, channel, wanted).await?))
}

async fn redeliver(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&api, &request)?;
    let wanted = parse_body(&request.body, REDELIVERY_EXAMPLE)?;
    Ok(json_response(&webhooks::redeliver(&api, &request.call, channel, wanted).await?))
}

async fn list_deliveries(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    let channel = parse_channel(&api, &request)?;
    let parameters = request.parameters(&["account", "state", "since", "until", "cursor", "limit"])?;
    let filter = webhooks::parse_delivery_filter(&parameters)?;
    let (cursor, limit) = (parameters.number("cursor")?, parameters.limit()?);
    Ok(json_response(&webhooks::list_deliveries(&api, &request.call, channel, filter, cursor, limit).await?))
}

async fn show_delivery(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&api, &request)?;
    let position = request.position()?;
    Ok(json_response(&webhooks::show_delivery(&api, &request.call, channel, position).await?))
}

async fn resend_delivery(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&api, &request)?;
    let position = request.position()?;
    Ok(json_response(&webhooks::resend_delivery(&api, &request.call, channel, position).await?))
}

async fn list_dead_letters(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    let channel = parse_channel(&api, &request)?;
    let parameters = request.parameters(&["cursor", "limit"])?;
    let (cursor, limit) = (parameters.number("cursor")?, parameters.limit()?);
    Ok(json_response(&webhooks::list_dead_letters(&api, &request.call, channel, cursor, limit).await?))
}

async fn replay_dead_letters(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&api, &request)?;
    let wanted = parse_body(&request.body, DEAD_LETTERS_EXAMPLE)?;
    Ok(json_response(&webhooks::replay_dead_letters(&api, &request.call, channel, wanted).await?))
}

async fn drop_dead_letters(api: ApiState, request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&api, &request)?;
    let wanted = parse_body(&request.body, DEAD_LETTERS_EXAMPLE)?;
    Ok(json_response(&webhooks::drop_dead_letters(&api, &request.call, channel, wanted).await?))
}
