//! The webhooks that are sent to receivers.

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Ref, Required, ResponseBuilder};

use crate::domain::{Channel, ChannelDefinition};
use crate::http::operation_doc::{OperationDoc, content};
use crate::http::parameter_schemas::{number, text};
use crate::webhooks::{PayloadSchema, payload_schema};

/// The webhook that is sent to receivers of a channel.
pub(super) fn receiver_webhook(channel: Channel) -> OperationDoc {
    let ChannelDefinition { configuration_id, operation_id, summary, body, .. } = channel.definition();
    let PayloadSchema { name, schemas } = payload_schema(channel);
    let operation_doc = OperationDoc::new(HttpMethod::Post, *configuration_id, operation_id, summary)
        .register_schemas(schemas)
        .json_body_schema(Ref::from_schema_name(name), None, Required::True, body);
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
