//! The webhook that sends commands to a gateway.

use utoipa::openapi::{HttpMethod, Ref, Required, ResponseBuilder};

use crate::gateway::bridge::{AcceptedSchema, GatewayCommand, RefusalSchema, SessionsSchema};
use crate::http::operation_doc::{OperationDoc, content};

const JSON: &str = "application/json";

/// The webhook that sends commands to a gateway.
pub(super) fn command_webhook() -> OperationDoc {
    let plain = |words: &str| ResponseBuilder::new().description(words);
    let refused = || {
        plain("It is refused for good: the wish ends with this sentence as its reason.")
            .content(JSON, content(Ref::from_schema_name("GatewayRefusal")))
    };
    let operation = OperationDoc::new(HttpMethod::Post, "GATEWAY_COMMAND", "takeCommand", "Take a command")
        .describe(
            "Posted to `/gateway/v1/commands` under `gateway.bridge.url`. Its `webhook-id` is the command's own: however often \
             it comes, it is carried out once. It is answered once the gateway keeps it; the outcome comes as a report.",
        )
        .describe(
            "Without an answer, or after 429, 503 and any status that is not listed, it is sent again with growing waits until \
             its deadline. Redirects are not followed.",
        )
        .json_body::<GatewayCommand<'_>>(Required::True, "The command.")
        .register_schema::<AcceptedSchema>()
        .register_schema::<SessionsSchema>()
        .register_schema::<RefusalSchema>();
    let operation = operation
        .signature_headers()
        .response(
            200,
            plain("Of `list_sessions`: a page of the sessions.")
                .content(JSON, content(Ref::from_schema_name("GatewaySessions"))),
        )
        .response(202, plain("It is taken over.").content(JSON, content(Ref::from_schema_name("GatewayAccepted"))));
    let operation =
        [400, 403, 404, 409, 422].into_iter().fold(operation, |operation, it| operation.response(it, refused()));
    operation
        .response(401, plain("Its signature is not taken; it is signed anew and sent again."))
        .response(410, plain("Its deadline is over."))
        .response(429, plain("Not now; `Retry-After` is heeded."))
        .response(503, plain("Not now; `Retry-After` is heeded."))
}
