//! The webhooks that are sent to receivers.

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Ref, Required, ResponseBuilder};

use crate::domain::{Channel, ChannelDefinition};
use crate::http::operation_doc::{OperationDoc, content};
use crate::http::parameter_schemas::{number, text};
use crate::webhooks::{PayloadSchema, payload_schema};

/// The schema of what a receiver answers.
const ANSWER: &str = "ReceiverAnswer";

/// The webhook that is sent to receivers of a channel.
pub(super) fn receiver_webhook(channel: Channel) -> OperationDoc {
    let ChannelDefinition { configuration_id, operation_id, summary, body, .. } = channel.definition();
    let PayloadSchema { name, schemas } = payload_schema(channel);
    let operation_doc = OperationDoc::new(HttpMethod::Post, *configuration_id, operation_id, summary)
        .register_schemas(schemas)
        .json_body_schema(Ref::from_schema_name(name), None, Required::True, body);
    let receiver_response = ObjectBuilder::new()
        .description(Some("What a receiver answers. Only `code` is read."))
        .property(
            "code",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
                .enum_values(Some([0, 200]))
                .description(Some("The receiver accepted the webhook.")),
        )
        .required("code")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .examples([json!({"data": "", "code": 200, "message": "success"})]);
    let accepted = ResponseBuilder::new()
        .description(
            "The receiver accepted the webhook. Any other `code` is a failure. With \
            `webhooks.accept_plain_2xx` no `code` is needed.",
        )
        .content("application/json", content(Ref::from_schema_name(ANSWER)));
    let operation_doc = operation_doc.register_schemas(vec![(ANSWER.to_owned(), receiver_response.into())]);
    let plain = |words: &str| ResponseBuilder::new().description(words);
    operation_doc.describe(&format!(
        "Posted to `{}` under `webhooks.base_url`, or to the webhook's own URL. There is one for each state change, in \
         each account's order, at least once. The account's later webhooks wait until it is accepted.",
        channel.default_path()
    ))
    .not_for_clients()
    .security(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("standardWebhooks", Vec::<String>::new()),
        SecurityRequirement::new("appSecret", Vec::<String>::new()),
    ])
    .required_header("webhook-id", text(), "The same in every attempt and redelivery of one event: process each id \
        once.")
    .required_header("x-muster-account-version", number(0), "The event's version in the account's history. A version \
        lower than the last one is outdated. It never falls: after a restore to an earlier state, 2^32 times the \
        generation is added.")
    .required_header("x-muster-attempt", number(1), "The attempt number, from 1.")
    .required_header("traceparent", text(), "The trace (W3C Trace Context). It has the request's id if a request led \
        to the event.")
    .optional_header("webhook-timestamp", number(0), "Unix time in seconds, if a signing secret of Standard Webhooks \
        is set.")
    .optional_header("webhook-signature", text(), "`v1,` and HMAC-SHA256 of id, timestamp and body joined by dots, in \
        base64. During the grace time of a new secret there are two, separated by spaces.")
    .optional_header("tenant_id", text(), "The tenant, if an app secret is set.")
    .optional_header("timestamp", number(0), "Unix time in milliseconds, if an app secret is set.")
    .optional_header("access_token", text().pattern(Some("^[0-9a-f]{64}$")), "HMAC-SHA256 of tenant id and timestamp \
        in hex, if an app secret is set. It does not cover the body.")
    .response(200, accepted)
    .response(410, plain("The receiver no longer exists: the webhook is paused until an operator resumes it."))
    .default_response(plain(
        "The attempt failed. The next one follows after `webhooks.retry_waits`, or later if `Retry-After` says so. \
         Redirects are not followed. A response may take 15 s and have 64 KiB.",
    ))
}
