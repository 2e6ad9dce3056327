//! Deliveries of webhooks: list, show and redeliver them; dead letters; drop those of a channel without a receiver.

use futures_util::FutureExt;
use utoipa::openapi::Required;
use warp::http::Method;
use warp::reply::Response;

use super::json_body::parse_body;
use super::response_body::json_response;
use super::shared_docs::NO_SERVICE;
use super::webhooks::{CONFLICT, NO_SUCH_WEBHOOK, parse_channel, parse_target};
use crate::api::webhook_requests::{CloseRequest, DeadLetterRequest, RedeliverRequest};
use crate::api::webhook_resync::{self, RESYNC_EXAMPLE, ResyncRequest, ResyncSummary};
use crate::api::webhooks::{self, DEAD_LETTERS_EXAMPLE, DeadLetterPage, DeliveryPage};
use crate::api::{Problem, operation};
use crate::http::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use crate::http::parameter_schemas::{account_digits, event_id, one_of, time};
use crate::http::v1_request::V1Request;
use crate::limits::{BULK_ACTION_BYTES, WEBHOOK_REQUEST_BYTES};
use crate::webhooks::{CloseSummary, DeliveryState, DeliveryView, RedeliverySummary};

const NO_SUCH_DEAD_LETTER: &str = "There is no such webhook, or no such dead letter.";
const UNKNOWN_DELIVERY: &str = "There is no such webhook, or it does not notify about the event at this position.";
const SENT_AGAIN: &str = "Deliveries keep their webhook ids. At most `webhooks.redeliver_per_second` are sent.";
const REDELIVERY_EXAMPLE: &str = r#"{"account":"…","state":"dead","since":"2026-11-25","until":"…","from":"1","to":"9","dryRun":true}, or some of these"#;

pub(in crate::http) static ENDPOINTS: [Endpoint; 9] = [
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/close",
        operation: operation::CLOSE_WEBHOOK,
        tag: Tag::Webhooks,
        summary: "Drop the pending deliveries of a webhook without a receiver",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| close_webhook(request).boxed()),
        document: |operation| {
            operation
                .describe("A receiver that is set later gets the events from then on. Count first, with `dryRun`.")
                .json_body::<CloseRequest>(Required::True, "The reason; or a dry run.")
                .json_response::<CloseSummary>(200, "What was dropped, or would be.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, "The webhook has a receiver, or no service is running.")
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/redeliver",
        operation: operation::REDELIVER,
        tag: Tag::Webhooks,
        summary: "Redeliver deliveries",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| redeliver(request).boxed()),
        document: |operation| {
            operation
                .describe(SENT_AGAIN)
                .json_body::<RedeliverRequest>(Required::True, "Which deliveries.")
                .json_response::<RedeliverySummary>(200, "The number of deliveries, or what it would be.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, CONFLICT)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/resync",
        operation: operation::RESYNC_WEBHOOK,
        tag: Tag::Webhooks,
        summary: "Send the present state of accounts again",
        body: BodyLimit::Bytes(BULK_ACTION_BYTES),
        handler: Handler::V1(|request| resync(request).boxed()),
        document: |operation| {
            operation
                .describe(
                    "For example after a restore. Each account gets an event, and its delivery, with a webhook id of \
                     its own, follows the account's earlier ones. At most `webhooks.redeliver_per_second` are sent. \
                     All events are durable before the answer. For all accounts, repeat the call with `after` until \
                     `next` is null.",
                )
                .json_body::<ResyncRequest>(Required::True, "Which accounts.")
                .json_response::<ResyncSummary>(200, "The number of deliveries, or what it would be.")
                .problem(404, "There is no such webhook, or no such account.")
                .problem(409, CONFLICT)
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/webhooks/{channel}/deliveries",
        operation: operation::LIST_DELIVERIES,
        tag: Tag::Webhooks,
        summary: "List deliveries",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| list_deliveries(request).boxed()),
        document: |operation| {
            operation
                .describe("Latest first, each with its stored attempts.")
                .query_parameter("account", account_digits(), "Only deliveries of this account.")
                .query_parameter(
                    "state",
                    one_of(DeliveryState::ALL.map(DeliveryState::name)),
                    "Only deliveries in this state.",
                )
                .query_parameter("since", time(), "Only deliveries of events from this time on.")
                .query_parameter("until", time(), "Only deliveries of events before this time.")
                .query_parameter("cursor", event_id(), "The `next` of the previous page.")
                .page_limit("The maximum number of deliveries.")
                .json_response::<DeliveryPage>(200, "The page.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, NO_SERVICE)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/webhooks/{channel}/deliveries/{position}",
        operation: operation::SHOW_DELIVERY,
        tag: Tag::Webhooks,
        summary: "Show a delivery with its attempts",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| show_delivery(request).boxed()),
        document: |operation| {
            operation
                .json_response::<DeliveryView>(200, "The delivery.")
                .problem(404, UNKNOWN_DELIVERY)
                .problem(409, NO_SERVICE)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/deliveries/{position}/resend",
        operation: operation::RESEND_DELIVERY,
        tag: Tag::Webhooks,
        summary: "Redeliver a delivery",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| resend_delivery(request).boxed()),
        document: |operation| {
            operation
                .describe("A delivery that waits for a retry, or blocks its account, is sent at once.")
                .json_response::<RedeliverySummary>(200, "The delivery is being sent.")
                .problem(404, UNKNOWN_DELIVERY)
                .problem(409, "The delivery is in its first attempts, or the webhook has no receiver.")
                .lost_position()
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/webhooks/{channel}/dead-letters",
        operation: operation::LIST_DEAD_LETTERS,
        tag: Tag::Webhooks,
        summary: "List dead letters",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| list_dead_letters(request).boxed()),
        document: |operation| {
            operation
                .query_parameter("cursor", event_id(), "The `next` of the previous page.")
                .page_limit("The maximum number of dead letters.")
                .json_response::<DeadLetterPage>(200, "The page.")
                .problem(404, NO_SUCH_WEBHOOK)
                .problem(409, NO_SERVICE)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/dead-letters/replay",
        operation: operation::REPLAY_DEAD_LETTERS,
        tag: Tag::Webhooks,
        summary: "Replay dead letters",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| replay_dead_letters(request).boxed()),
        document: |operation| {
            operation
                .describe(SENT_AGAIN)
                .json_body::<DeadLetterRequest>(Required::True, "Which dead letters, without a `reason`.")
                .json_response::<RedeliverySummary>(200, "The number of dead letters.")
                .problem(404, NO_SUCH_DEAD_LETTER)
                .problem(409, CONFLICT)
                .lost_position()
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/webhooks/{channel}/dead-letters/drop",
        operation: operation::DROP_DEAD_LETTERS,
        tag: Tag::Webhooks,
        summary: "Drop dead letters",
        body: BodyLimit::Bytes(WEBHOOK_REQUEST_BYTES),
        handler: Handler::V1(|request| drop_dead_letters(request).boxed()),
        document: |operation| {
            operation
                .describe("Deliveries behind them continue.")
                .json_body::<DeadLetterRequest>(Required::True, "Which dead letters, and the `reason`.")
                .json_response::<RedeliverySummary>(200, "The number of dead letters.")
                .problem(404, NO_SUCH_DEAD_LETTER)
                .problem(409, CONFLICT)
                .lost_position()
        },
    },
];

async fn close_webhook(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body(&request.body, r#"{"reason":"why","dryRun":true}, or one of the two"#)?;
    Ok(json_response(&webhooks::close_webhook(&request.call, channel, body).await?))
}

async fn redeliver(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body(&request.body, REDELIVERY_EXAMPLE)?;
    Ok(json_response(&webhooks::redeliver(&request.call, channel, body).await?))
}

async fn resync(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body(&request.body, RESYNC_EXAMPLE)?;
    Ok(json_response(&webhook_resync::resync(&request.call, channel, body).await?))
}

async fn list_deliveries(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_channel(&request)?;
    let parameters = request.parameters(&["account", "state", "since", "until", "cursor", "limit"])?;
    let filter = webhooks::parse_delivery_filter(&parameters)?;
    let (cursor, limit) = (parameters.event_id("cursor")?, parameters.limit()?);
    Ok(json_response(&webhooks::list_deliveries(&request.call, channel, filter, cursor, limit).await?))
}

async fn show_delivery(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let id = request.event_id()?;
    Ok(json_response(&webhooks::show_delivery(&request.call, channel, id).await?))
}

async fn resend_delivery(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let id = request.event_id()?;
    Ok(json_response(&webhooks::resend_delivery(&request.call, channel, id).await?))
}

async fn list_dead_letters(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_channel(&request)?;
    let parameters = request.parameters(&["cursor", "limit"])?;
    let (cursor, limit) = (parameters.event_id("cursor")?, parameters.limit()?);
    Ok(json_response(&webhooks::list_dead_letters(&request.call, channel, cursor, limit).await?))
}

async fn replay_dead_letters(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body(&request.body, DEAD_LETTERS_EXAMPLE)?;
    Ok(json_response(&webhooks::replay_dead_letters(&request.call, channel, body).await?))
}

async fn drop_dead_letters(request: V1Request) -> Result<Response, Problem> {
    let channel = parse_target(&request)?;
    let body = parse_body(&request.body, DEAD_LETTERS_EXAMPLE)?;
    Ok(json_response(&webhooks::drop_dead_letters(&request.call, channel, body).await?))
}
