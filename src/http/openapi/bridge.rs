//! The bridge's protocol: `/gateway/v1`, and the webhook that sends commands to a gateway.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Ref, Required, ResponseBuilder};

use crate::gateway::bridge::{
    AcceptedSchema, AckResult, AcksSchema, BatchResult, GatewayCommand, RefusalSchema, ReportsSchema, SessionsSchema,
    WorkBatch,
};
use crate::http::bridge_endpoints::{BridgeEndpoint, BridgeErrorBody};
use crate::http::operation_doc::{OperationDoc, content, response_with_id, retry_after_header};
use crate::http::parameter_schemas::{number, text};
use crate::limits::{WORK_ITEMS, WORK_ITEMS_DEFAULT, WORK_WAIT_SECONDS, WORK_WAIT_SECONDS_DEFAULT};

const JSON: &str = "application/json";

/// The rules of signatures, for descriptions.
const SIGNATURE_RULES: &str = "Signed as Standard Webhooks with `gateway.bridge.secret`, anew for each attempt: HMAC-SHA256 over `id.timestamp.body`, \
     or without a body over `id.timestamp.` and the path with its query as sent. The very same signature is taken once.";

pub(super) fn operations() -> Vec<OperationDoc> {
    BridgeEndpoint::ALL.into_iter().map(operation).collect()
}

fn operation(place: BridgeEndpoint) -> OperationDoc {
    let described = |method, id, summary| OperationDoc::new(method, place.path(), id, summary);
    let operation = match place {
        BridgeEndpoint::Reports => described(HttpMethod::Post, "reportToMuster", "Report what happened to accounts")
            .describe(
                "One batch of a stream at a time, in order, until it is answered with 200: then all up to `acknowledged` is \
                 durable and may be forgotten. What was there before is a duplicate, and no error.",
            )
            .describe(
                "Only what cannot be read stops a batch. A report of a type that is not listed is ignored, with the reason \
                 `unknown_type`; of it only `sequence`, `time` and `type` are needed. A text longer than its `maxLength` is cut.",
            )
            .json_body::<ReportsSchema>(Required::True, "The batch.")
            .json_response::<BatchResult>(200, "All of it is taken in, and durable."),
        BridgeEndpoint::Work => described(HttpMethod::Get, "fetchCommands", "Fetch commands")
            .describe(
                "For a gateway that cannot be reached: `gateway.bridge.url` is not set. It is answered at once if there are \
                 any, else after `wait`. What is not acknowledged by its `lease_until` is given out again.",
            )
            .query_parameter("wait", bounded_integer(0, WORK_WAIT_SECONDS, WORK_WAIT_SECONDS_DEFAULT), "Seconds to wait.")
            .query_parameter("limit", bounded_integer(1, WORK_ITEMS as u64, WORK_ITEMS_DEFAULT as u64), "Commands, most.")
            .json_response::<WorkBatch<'_>>(200, "The commands, or none.")
            .register_schema::<GatewayCommand<'_>>(),
        BridgeEndpoint::Acks => described(HttpMethod::Post, "acknowledgeCommands", "Acknowledge commands that were fetched")
            .describe("Once the gateway keeps a command, refuses it, or answers `list_sessions`.")
            .json_body::<AcksSchema>(Required::True, "The acknowledgements.")
            .json_response::<AckResult>(200, "Which of them were taken."),
    };
    let operation =
        with_signature_headers(operation.describe(SIGNATURE_RULES)).register_schema::<BridgeErrorBody<'_>>();
    let reads = |operation: OperationDoc| {
        operation
            .response(413, error_response("The body is too large. Nothing of it is stored."))
            .response(415, error_response("The body is no JSON in UTF-8, or compressed."))
    };
    let operation = match place {
        BridgeEndpoint::Reports => {
            let gap = "Reports are missing before this batch: send from `expected` on. Nothing of it is stored.";
            reads(operation.response(409, error_response(gap)))
        }
        BridgeEndpoint::Acks => reads(operation),
        BridgeEndpoint::Work => operation
            .response(403, error_response("The connection is neither under TLS nor from this machine."))
            .response(409, error_response("`gateway.bridge.url` is set: commands are sent there.")),
    };
    operation
        .response(400, error_response("It is malformed: `message` names the field. Nothing of it is stored."))
        .response(401, error_response("`code` says why: `unsigned`, `forged`, `stale` or `replayed`."))
        .response(404, error_response("Nothing has this path."))
        .response(
            429,
            error_response("Too many requests from one address.").header("Retry-After", retry_after_header()),
        )
        .response(
            503,
            error_response("Not now; send it again. `code` is `not_set_up` where the bridge is not set up.")
                .header("Retry-After", retry_after_header()),
        )
}

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
    let operation = with_signature_headers(operation)
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

/// Adds the signature headers.
fn with_signature_headers(operation: OperationDoc) -> OperationDoc {
    operation
        .security(vec![SecurityRequirement::new("gatewaySecret", Vec::<String>::new())])
        .required_header("webhook-id", text(), "The same when the same thing is sent again.")
        .required_header(
            "webhook-timestamp",
            number(0),
            "Unix time of this attempt, in seconds; at most 5 min from now.",
        )
        .required_header("webhook-signature", text(), "`v1,` and the signature in base64; several with blanks between.")
}

fn error_response(words: &str) -> ResponseBuilder {
    response_with_id(words).content(JSON, content(Ref::from_schema_name("GatewayError")))
}

fn bounded_integer(least: u64, most: u64, default: u64) -> ObjectBuilder {
    let bound = |number: u64| Some(usize::try_from(number).unwrap_or(usize::MAX));
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(bound(least))
        .maximum(bound(most))
        .default(Some(default.into()))
}
