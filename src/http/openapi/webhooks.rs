//! The webhooks: how they are managed, and what receivers are sent.

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Required, ResponseBuilder};

use super::operation::{Described, content};
use super::shapes::{account_digits, number, page_limit, text, time};
use super::v1::{operation, problem, reads_a_body};
use crate::domain::Channel;
use crate::http::v1::webhooks::{
    AppSecret, Channels, Choice, Closing, DeadLetterPage, DeliveryPage, NewSecret, Reason, Redelivery, Secret, Url,
};
use crate::webhooks::{AttemptView, Closed, DeliveryView, RegistrationBody, Resent, Shown, State, StatusBody};

const NONE: &str = "There is no such webhook.";
const AS_IT_IS: &str = "The webhook has no receiver, has too many secrets, or is not paused; or no service runs.";

/// An operation on one webhook.
fn on(method: HttpMethod, path: &str, id: &str, summary: &str) -> Described {
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    let operation = operation(method, &format!("webhooks/{{channel}}{path}"), id, summary);
    reads_a_body(operation)
}

/// With what it may lack, and what may stand in its way.
fn both(operation: Described, missing: &str, conflict: &str) -> Described {
    problem(problem(operation, 404, missing), 409, conflict)
}

pub(super) fn operations() -> Vec<Described> {
    let channels = operation(HttpMethod::Get, "webhooks", "showWebhooks", "How both webhooks are")
        .gives::<Channels>(200, "Receiver, state, lag, the oldest that waits, breaker, dead letters.");
    let channels = problem(reads_a_body(channels), 409, "No service runs.");
    let changed = "How it is now.";
    let set = |path, id, summary| on(HttpMethod::Put, path, id, summary);
    let unset = |path, id, summary| on(HttpMethod::Delete, path, id, summary).gives::<Shown>(200, changed);
    let order = |path, id, summary| on(HttpMethod::Post, path, id, summary);
    let settings = [
        on(HttpMethod::Get, "", "showWebhook", "How a webhook is").gives::<Shown>(200, "How it is."),
        set("url", "setReceiver", "Set a webhook's receiver")
            .words("It is told what waits, or what happens from then if there never was a receiver. It comes before the settings, and is kept sealed.")
            .takes::<Url>(Required::True, "The receiver.")
            .gives::<Shown>(200, changed),
        unset("url", "unsetReceiver", "Go back to the receiver of the settings")
            .words("If they name none, what happens waits for a receiver, and nothing that waits is lost."),
        set("secret", "setSecret", "Sign a webhook by Standard Webhooks")
            .words("The secret before signs too, for `grace`.")
            .takes::<Secret>(Required::False, "The secret; nothing for one that is drawn.")
            .gives::<NewSecret>(200, "The secret. It is shown this once."),
        unset("secret", "unsetSecret", "Sign a webhook by Standard Webhooks no more"),
        set("app-secret", "setAppSecret", "Sign a webhook the API family's way")
            .takes::<AppSecret>(Required::True, "Tenant and secret.")
            .gives::<Shown>(200, changed),
        unset("app-secret", "unsetAppSecret", "Sign a webhook the API family's way no more"),
        order("test", "testReceiver", "Send the document's example once")
            .words("It waits for the receiver's answer, however long that takes.")
            .gives::<AttemptView>(200, "What came of it."),
        order("pause", "pauseWebhook", "Send nothing for now")
            .words("Nothing is lost: it is sent once the webhook is resumed.")
            .takes::<Reason>(Required::True, "Why.")
            .gives::<Shown>(200, changed),
        order("resume", "resumeWebhook", "Go on with what waits").gives::<Shown>(200, changed),
    ]
    .map(|operation| both(operation, NONE, AS_IT_IS));
    let again = "Deliveries are sent again under the same ids, at most `webhooks.redeliver_per_second`.";
    let redeliver = order("redeliver", "redeliver", "Send deliveries of some time again")
        .words(again)
        .takes::<Redelivery>(Required::True, "Which.")
        .gives::<Resent>(200, "How many, or how many it would be.");
    let deliveries = on(HttpMethod::Get, "deliveries", "listDeliveries", "A page of deliveries")
        .words("The latest first, each with every attempt that is remembered.")
        .query("account", account_digits(), "Of this account only.")
        .query("state", text().enum_values(Some(State::ALL.map(State::name))), "That stand so.")
        .query("since", time(), "Of events from this time on.")
        .query("until", time(), "Of events before this time.")
        .query("cursor", number(0), "The `next` of the page before.")
        .query("limit", page_limit(), "Deliveries on the page.")
        .gives::<DeliveryPage>(200, "The page.");
    let delivery = on(HttpMethod::Get, "deliveries/{position}", "showDelivery", "One delivery, with every attempt")
        .gives::<DeliveryView>(200, "The delivery.");
    let resend = order("deliveries/{position}/resend", "resendDelivery", "Send one delivery again")
        .words("What waits for a retry, or blocks its account, is sent at once.")
        .gives::<Resent>(200, "It is on its way.");
    let close = order("close", "closeWebhook", "Drop everything that waits in a webhook without a receiver")
        .words("A receiver that is set later is told what happens from then on. Count first, with `dryRun`.")
        .takes::<Closing>(Required::True, "Why; or a dry run.")
        .gives::<Closed>(200, "What was dropped, or would be.");
    let letters =
        on(HttpMethod::Get, "dead-letters", "listDeadLetters", "A page of deliveries that no attempt was left for")
            .query("cursor", number(0), "The `next` of the page before.")
            .query("limit", page_limit(), "Dead letters on the page.")
            .gives::<DeadLetterPage>(200, "The page.");
    let replay = order("dead-letters/replay", "replayDeadLetters", "Send dead letters again")
        .words(again)
        .takes::<Choice>(Required::True, "Which, without a `reason`.")
        .gives::<Resent>(200, "How many.");
    let drop = order("dead-letters/drop", "dropDeadLetters", "Give dead letters up")
        .words("What waits behind them goes on.")
        .takes::<Choice>(Required::True, "Which, and the `reason`.")
        .gives::<Resent>(200, "How many.");
    let untold = "There is no such webhook, or it tells nothing of the event at this position.";
    let deliveries = [
        both(close, NONE, "The webhook has a receiver, or no service runs."),
        both(redeliver, NONE, AS_IT_IS),
        both(deliveries, NONE, "No service runs."),
        both(delivery, untold, "No service runs."),
        both(resend, untold, "It is on its way for the first time, or the webhook has no receiver."),
        both(letters, NONE, "No service runs."),
        both(replay, "There is no such webhook, or no such dead letter.", AS_IT_IS),
        both(drop, "There is no such webhook, or no such dead letter.", AS_IT_IS),
    ];
    [channels].into_iter().chain(settings).chain(deliveries).collect()
}

/// What is sent to receivers.
pub(super) fn outgoing(channel: Channel) -> Described {
    let described = |id, summary| Described::new(HttpMethod::Post, channel.configuration_id(), id, summary);
    let told = match channel {
        Channel::SyncStatus => described("syncWhatsAppStatus", "Sync WhatsApp account status")
            .takes::<StatusBody<'_>>(Required::True, "How the account stands."),
        Channel::RegisterStatus => described("syncRegisterStatus", "Sync customer service account registration status")
            .takes::<RegistrationBody<'_>>(Required::True, "How the registration ended."),
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
    told.words(&format!(
        "Posted to `{}` under `webhooks.base_url`, or to the webhook's own URL: one for each transition, in each account's \
         own order, at least once. Until it is taken the account's later ones wait.",
        channel.default_path()
    ))
    .securities(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("standardWebhooks", Vec::<String>::new()),
        SecurityRequirement::new("appSecret", Vec::<String>::new()),
    ])
    .sent_header("webhook-id", text(), "The same in every attempt of one event, also when it is sent again later: take each once.")
    .sent_header("x-muster-account-version", number(0), "The event's place in the account's history: a lower one than the last is old news.")
    .sent_header("x-muster-attempt", number(1), "Which attempt it is, from 1.")
    .sent_header("traceparent", text(), "The trace (W3C Trace Context), with the request's id where a request led to the event.")
    .header("webhook-timestamp", number(0), "Unix time in seconds, once a secret of Standard Webhooks is set.")
    .header("webhook-signature", text(), "`v1,` and HMAC-SHA256 over id, timestamp and body with dots between, in base64; several with blanks between while a secret is exchanged.")
    .header("tenant_id", text(), "The tenant, once an app secret is set.")
    .header("timestamp", number(0), "Unix time in milliseconds, likewise.")
    .header("access_token", text().pattern(Some("^[0-9a-f]{64}$")), "HMAC-SHA256 over tenant id and timestamp in hex, likewise. It does not cover the body.")
    .answers(200, taken)
    .answers(410, plain("The receiver is no more: the webhook is paused until an operator resumes it."))
    .answers_otherwise(plain(
        "A failure: it is tried again after `webhooks.retry_waits`, or later if the answer's `Retry-After` says so. \
         Redirects are not followed. An answer has 15 s and 64 KiB.",
    ))
}
