//! Management of webhooks, and the webhooks sent to receivers.

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Required, ResponseBuilder};

use super::operation_doc::{OperationDoc, content};
use super::parameter_schemas::{account_digits, number, page_limit, text, time};
use super::v1::{operation, with_body_errors, with_problem};
use crate::api::webhook_requests::{
    CloseRequest, DeadLetterRequest, PauseRequest, RedeliverRequest, SetAppSecretRequest, SetSecretRequest,
    SetUrlRequest,
};
use crate::api::webhooks::{ChannelList, DeadLetterPage, DeliveryPage, NewSecret};
use crate::domain::Channel;
use crate::webhooks::{
    AccountStatusPayload, AttemptView, ChannelView, CloseSummary, DeliveryState, DeliveryView, RedeliverySummary,
    RegistrationStatusPayload,
};

const NO_SUCH_WEBHOOK: &str = "There is no such webhook.";
const CONFLICT: &str = "The webhook has no receiver, has too many secrets, or is not paused; or no service runs.";

/// An operation on one webhook channel.
fn channel_operation(method: HttpMethod, path: &str, id: &str, summary: &str) -> OperationDoc {
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    let operation = operation(method, &format!("webhooks/{{channel}}{path}"), id, summary);
    with_body_errors(operation)
}

/// Adds the problems 404 and 409.
fn with_not_found_and_conflict(operation: OperationDoc, missing: &str, conflict: &str) -> OperationDoc {
    with_problem(with_problem(operation, 404, missing), 409, conflict)
}

pub(super) fn operations() -> Vec<OperationDoc> {
    let channels = operation(HttpMethod::Get, "webhooks", "showWebhooks", "How both webhooks are")
        .json_response::<ChannelList>(200, "Receiver, state, lag, the oldest that waits, breaker, dead letters.");
    let channels = with_problem(with_body_errors(channels), 409, "No service runs.");
    let changed = "How it is now.";
    let set = |path, id, summary| channel_operation(HttpMethod::Put, path, id, summary);
    let unset = |path, id, summary| {
        channel_operation(HttpMethod::Delete, path, id, summary).json_response::<ChannelView>(200, changed)
    };
    let order = |path, id, summary| channel_operation(HttpMethod::Post, path, id, summary);
    let settings = [
        channel_operation(HttpMethod::Get, "", "showWebhook", "How a webhook is").json_response::<ChannelView>(200, "How it is."),
        set("url", "setReceiver", "Set a webhook's receiver")
            .describe("It is told what waits, or what happens from then if there never was a receiver. It comes before the settings, and is kept sealed.")
            .json_body::<SetUrlRequest>(Required::True, "The receiver.")
            .json_response::<ChannelView>(200, changed),
        unset("url", "unsetReceiver", "Go back to the receiver of the settings")
            .describe("If they name none, what happens waits for a receiver, and nothing that waits is lost."),
        set("secret", "setSecret", "Sign a webhook by Standard Webhooks")
            .describe("The secret before signs too, for `grace`.")
            .json_body::<SetSecretRequest>(Required::False, "The secret; nothing for one that is drawn.")
            .json_response::<NewSecret>(200, "The secret. It is shown this once."),
        unset("secret", "unsetSecret", "Sign a webhook by Standard Webhooks no more"),
        set("app-secret", "setAppSecret", "Sign a webhook the API family's way")
            .json_body::<SetAppSecretRequest>(Required::True, "Tenant and secret.")
            .json_response::<ChannelView>(200, changed),
        unset("app-secret", "unsetAppSecret", "Sign a webhook the API family's way no more"),
        order("test", "testReceiver", "Send the document's example once")
            .describe("It waits for the receiver's answer, however long that takes.")
            .json_response::<AttemptView>(200, "What came of it."),
        order("pause", "pauseWebhook", "Send nothing for now")
            .describe("Nothing is lost: it is sent once the webhook is resumed.")
            .json_body::<PauseRequest>(Required::True, "Why.")
            .json_response::<ChannelView>(200, changed),
        order("resume", "resumeWebhook", "Go on with what waits").json_response::<ChannelView>(200, changed),
    ]
    .map(|operation| with_not_found_and_conflict(operation, NO_SUCH_WEBHOOK, CONFLICT));
    let again = "Deliveries are sent again under the same ids, at most `webhooks.redeliver_per_second`.";
    let redeliver = order("redeliver", "redeliver", "Send deliveries of some time again")
        .describe(again)
        .json_body::<RedeliverRequest>(Required::True, "Which.")
        .json_response::<RedeliverySummary>(200, "How many, or how many it would be.");
    let deliveries = channel_operation(HttpMethod::Get, "deliveries", "listDeliveries", "A page of deliveries")
        .describe("The latest first, each with every attempt that is remembered.")
        .query_parameter("account", account_digits(), "Of this account only.")
        .query_parameter(
            "state",
            text().enum_values(Some(DeliveryState::ALL.map(DeliveryState::name))),
            "That stand so.",
        )
        .query_parameter("since", time(), "Of events from this time on.")
        .query_parameter("until", time(), "Of events before this time.")
        .query_parameter("cursor", number(0), "The `next` of the page before.")
        .query_parameter("limit", page_limit(), "Deliveries on the page.")
        .json_response::<DeliveryPage>(200, "The page.");
    let delivery =
        channel_operation(HttpMethod::Get, "deliveries/{position}", "showDelivery", "One delivery, with every attempt")
            .json_response::<DeliveryView>(200, "The delivery.");
    let resend = order("deliveries/{position}/resend", "resendDelivery", "Send one delivery again")
        .describe("What waits for a retry, or blocks its account, is sent at once.")
        .json_response::<RedeliverySummary>(200, "It is on its way.");
    let close = order("close", "closeWebhook", "Drop everything that waits in a webhook without a receiver")
        .describe("A receiver that is set later is told what happens from then on. Count first, with `dryRun`.")
        .json_body::<CloseRequest>(Required::True, "Why; or a dry run.")
        .json_response::<CloseSummary>(200, "What was dropped, or would be.");
    let letters = channel_operation(
        HttpMethod::Get,
        "dead-letters",
        "listDeadLetters",
        "A page of deliveries that no attempt was left for",
    )
    .query_parameter("cursor", number(0), "The `next` of the page before.")
    .query_parameter("limit", page_limit(), "Dead letters on the page.")
    .json_response::<DeadLetterPage>(200, "The page.");
    let replay = order("dead-letters/replay", "replayDeadLetters", "Send dead letters again")
        .describe(again)
        .json_body::<DeadLetterRequest>(Required::True, "Which, without a `reason`.")
        .json_response::<RedeliverySummary>(200, "How many.");
    let drop = order("dead-letters/drop", "dropDeadLetters", "Give dead letters up")
        .describe("What waits behind them goes on.")
        .json_body::<DeadLetterRequest>(Required::True, "Which, and the `reason`.")
        .json_response::<RedeliverySummary>(200, "How many.");
    let untold = "There is no such webhook, or it tells nothing of the event at this position.";
    let deliveries = [
        with_not_found_and_conflict(close, NO_SUCH_WEBHOOK, "The webhook has a receiver, or no service runs."),
        with_not_found_and_conflict(redeliver, NO_SUCH_WEBHOOK, CONFLICT),
        with_not_found_and_conflict(deliveries, NO_SUCH_WEBHOOK, "No service runs."),
        with_not_found_and_conflict(delivery, untold, "No service runs."),
        with_not_found_and_conflict(
            resend,
            untold,
            "It is on its way for the first time, or the webhook has no receiver.",
        ),
        with_not_found_and_conflict(letters, NO_SUCH_WEBHOOK, "No service runs."),
        with_not_found_and_conflict(replay, "There is no such webhook, or no such dead letter.", CONFLICT),
        with_not_found_and_conflict(drop, "There is no such webhook, or no such dead letter.", CONFLICT),
    ];
    [channels].into_iter().chain(settings).chain(deliveries).collect()
}

/// The webhook that is sent to receivers of a channel.
pub(super) fn receiver_webhook(channel: Channel) -> OperationDoc {
    let described = |id, summary| OperationDoc::new(HttpMethod::Post, channel.configuration_id(), id, summary);
    let operation_doc = match channel {
        Channel::SyncStatus => described("syncWhatsAppStatus", "Sync WhatsApp account status")
            .json_body::<AccountStatusPayload<'_>>(Required::True, "How the account stands."),
        Channel::RegisterStatus => described("syncRegisterStatus", "Sync customer service account registration status")
            .json_body::<RegistrationStatusPayload<'_>>(Required::True, "How the registration ended."),
    };
    let answer = ObjectBuilder::new()
        .property(
            "code",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .enum_values(Some([0, 200]))
                .description(Some("It was taken.")),
        )
        .required("code")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .examples([json!({"data": "", "code": 200, "message": "success"})]);
    let taken = ResponseBuilder::new()
        .description("It was taken. Any other `code` is a failure; with `webhooks.accept_plain_2xx` none is needed.")
        .content("application/json", content(answer));
    let plain = |words: &str| ResponseBuilder::new().description(words);
    operation_doc.describe(&format!(
        "Posted to `{}` under `webhooks.base_url`, or to the webhook's own URL: one for each transition, in each account's \
         own order, at least once. Until it is taken the account's later ones wait.",
        channel.default_path()
    ))
    .security(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("standardWebhooks", Vec::<String>::new()),
        SecurityRequirement::new("appSecret", Vec::<String>::new()),
    ])
    .required_header("webhook-id", text(), "The same in every attempt of one event, also when it is sent again later: take each once.")
    .required_header("x-muster-account-version", number(0), "The event's place in the account's history: a lower one than the last is old news.")
    .required_header("x-muster-attempt", number(1), "Which attempt it is, from 1.")
    .required_header("traceparent", text(), "The trace (W3C Trace Context), with the request's id where a request led to the event.")
    .optional_header("webhook-timestamp", number(0), "Unix time in seconds, once a secret of Standard Webhooks is set.")
    .optional_header("webhook-signature", text(), "`v1,` and HMAC-SHA256 over id, timestamp and body with dots between, in base64; several with blanks between while a secret is exchanged.")
    .optional_header("tenant_id", text(), "The tenant, once an app secret is set.")
    .optional_header("timestamp", number(0), "Unix time in milliseconds, likewise.")
    .optional_header("access_token", text().pattern(Some("^[0-9a-f]{64}$")), "HMAC-SHA256 over tenant id and timestamp in hex, likewise. It does not cover the body.")
    .response(200, taken)
    .response(410, plain("The receiver is no more: the webhook is paused until an operator resumes it."))
    .default_response(plain(
        "A failure: it is tried again after `webhooks.retry_waits`, or later if the answer's `Retry-After` says so. \
         Redirects are not followed. An answer has 15 s and 64 KiB.",
    ))
}
