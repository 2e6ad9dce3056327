//! The webhook that sends commands to a gateway.

use utoipa::openapi::{HttpMethod, Ref, Required, ResponseBuilder};

use crate::gateway::bridge::{AcceptedSchema, GatewayCommand, RefusalSchema, SessionsSchema};
use crate::http::operation_doc::{OperationDoc, content};

const JSON: &str = "application/json";

/// The webhook that sends commands to a gateway.
pub(super) fn command_webhook() -> OperationDoc {
    let plain = |words: &str| ResponseBuilder::new().description(words);
    let rejection = || {
        plain("The gateway rejects the command for good: the command ends with this text as its reason.")
            .content(JSON, content(Ref::from_schema_name("GatewayRefusal")))
    };
    let operation = OperationDoc::new(HttpMethod::Post, "GATEWAY_COMMAND", "takeCommand", "Accept a command")
        .describe(
            "Muster posts commands to `/gateway/v1/commands` under `gateway.bridge.url`. The `webhook-id` identifies \
             the command: carry it out once, however often it arrives. Respond when the gateway has stored it; report \
             the outcome later.",
        )
        .describe(
            "Without a response, or after 429, 503 or an unlisted status, Muster retries with growing waits until the \
             command's deadline. It does not follow redirects.",
        )
        .json_body::<GatewayCommand<'_>>(Required::True, "The command.")
        .register_schema::<AcceptedSchema>()
        .register_schema::<SessionsSchema>()
        .register_schema::<RefusalSchema>();
    let operation = operation
        .not_for_clients()
        .signature_headers()
        .response(
            200,
            plain("For `list_sessions`: a page of the sessions.")
                .content(JSON, content(Ref::from_schema_name("GatewaySessions"))),
        )
        .response(
            202,
            plain("The gateway has stored the command.")
                .content(JSON, content(Ref::from_schema_name("GatewayAccepted"))),
        );
    let operation = [400, 403, 404, 409, 422]
        .into_iter()
        .fold(operation, |operation, status| operation.response(status, rejection()));
    operation
        .response(401, plain("The signature is not accepted; Muster signs the command again and retries."))
        .response(410, plain("The command's deadline has passed."))
        .response(429, plain("Retry later; Muster respects `Retry-After`."))
        .response(503, plain("Retry later; Muster respects `Retry-After`."))
}
