//! `/gateway/v1`, and what a gateway takes: the bridge's protocol.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Ref, Required, ResponseBuilder};

use super::operation::{Described, answer, content, seconds_header};
use super::shapes::{number, text};
use crate::gateway::bridge::{
    Acknowledged, Command, GatewayAccepted, GatewayAcks, GatewayRefusal, GatewayReports, GatewaySessions, Taken, Work,
};
use crate::http::bridge::{Body, Place};
use crate::limits::{WORK_ITEMS, WORK_ITEMS_DEFAULT, WORK_WAIT_SECONDS, WORK_WAIT_SECONDS_DEFAULT};

const JSON: &str = "application/json";

/// What is said of signatures.
const SIGNED: &str = "Signed as Standard Webhooks with `gateway.bridge.secret`, anew for each attempt: HMAC-SHA256 over `id.timestamp.body`, \
     or without a body over `id.timestamp.` and the path with its query as sent. The very same signature is taken once.";

pub(super) fn operations() -> Vec<Described> {
    Place::ALL.into_iter().map(operation).collect()
}

fn operation(place: Place) -> Described {
    let described = |method, id, summary| Described::new(method, place.path(), id, summary);
    let operation = match place {
        Place::Reports => described(HttpMethod::Post, "reportToMuster", "Report what happened to accounts")
            .words(
                "One batch of a stream at a time, in order, until it is answered with 200: then all up to `acknowledged` is \
                 durable and may be forgotten. What was there before is a duplicate, and no error.",
            )
            .words(
                "Only what cannot be read stops a batch. A report of a type that is not listed is ignored, with the reason \
                 `unknown_type`; of it only `sequence`, `time` and `type` are needed. A text longer than its `maxLength` is cut.",
            )
            .takes::<GatewayReports>(Required::True, "The batch.")
            .gives::<Taken>(200, "All of it is taken in, and durable."),
        Place::Work => described(HttpMethod::Get, "fetchCommands", "Fetch commands")
            .words(
                "For a gateway that cannot be reached: `gateway.bridge.url` is not set. It is answered at once if there are \
                 any, else after `wait`. What is not acknowledged by its `lease_until` is given out again.",
            )
            .query("wait", whole(0, WORK_WAIT_SECONDS, WORK_WAIT_SECONDS_DEFAULT), "Seconds to wait.")
            .query("limit", whole(1, WORK_ITEMS as u64, WORK_ITEMS_DEFAULT as u64), "Commands, most.")
            .gives::<Work<'_>>(200, "The commands, or none.")
            .knows::<Command<'_>>(),
        Place::Acks => described(HttpMethod::Post, "acknowledgeCommands", "Acknowledge commands that were fetched")
            .words("Once the gateway keeps a command, refuses it, or answers `list_sessions`.")
            .takes::<GatewayAcks>(Required::True, "The acknowledgements.")
            .gives::<Acknowledged>(200, "Which of them were taken."),
    };
    let operation = signed(operation.words(SIGNED)).knows::<Body<'_>>();
    let reads = |operation: Described| {
        operation
            .answers(413, trouble("The body is too large. Nothing of it is stored."))
            .answers(415, trouble("The body is no JSON in UTF-8, or compressed."))
    };
    let operation = match place {
        Place::Reports => {
            let gap = "Reports are missing before this batch: send from `expected` on. Nothing of it is stored.";
            reads(operation.answers(409, trouble(gap)))
        }
        Place::Acks => reads(operation),
        Place::Work => operation
            .answers(403, trouble("The connection is neither under TLS nor from this machine."))
            .answers(409, trouble("`gateway.bridge.url` is set: commands are sent there.")),
    };
    operation
        .answers(400, trouble("It is malformed: `message` names the field. Nothing of it is stored."))
        .answers(401, trouble("`code` says why: `unsigned`, `forged`, `stale` or `replayed`."))
        .answers(404, trouble("Nothing has this path."))
        .answers(429, trouble("Too many requests from one address.").header("Retry-After", seconds_header()))
        .answers(
            503,
            trouble("Not now; send it again. `code` is `not_set_up` where the bridge is not set up.")
                .header("Retry-After", seconds_header()),
        )
}

/// What a gateway is sent.
pub(super) fn command() -> Described {
    let plain = |words: &str| ResponseBuilder::new().description(words);
    let refused = || {
        plain("It is refused for good: the wish ends with this sentence as its reason.")
            .content(JSON, content(Ref::from_schema_name("GatewayRefusal")))
    };
    let operation = Described::new(HttpMethod::Post, "GATEWAY_COMMAND", "takeCommand", "Take a command")
        .words(
            "Posted to `/gateway/v1/commands` under `gateway.bridge.url`. Its `webhook-id` is the command's own: however often \
             it comes, it is carried out once. It is answered once the gateway keeps it; the outcome comes as a report.",
        )
        .words(
            "Without an answer, or after 429, 503 and any status that is not listed, it is sent again with growing waits until \
             its deadline. Redirects are not followed.",
        )
        .takes::<Command<'_>>(Required::True, "The command.")
        .knows::<GatewayAccepted>()
        .knows::<GatewaySessions>()
        .knows::<GatewayRefusal>();
    let operation = signed(operation)
        .answers(
            200,
            plain("Of `list_sessions`: a page of the sessions.")
                .content(JSON, content(Ref::from_schema_name("GatewaySessions"))),
        )
        .answers(202, plain("It is taken over.").content(JSON, content(Ref::from_schema_name("GatewayAccepted"))));
    let operation =
        [400, 403, 404, 409, 422].into_iter().fold(operation, |operation, it| operation.answers(it, refused()));
    operation
        .answers(401, plain("Its signature is not taken; it is signed anew and sent again."))
        .answers(410, plain("Its deadline is over."))
        .answers(429, plain("Not now; `Retry-After` is heeded."))
        .answers(503, plain("Not now; `Retry-After` is heeded."))
}

/// With the headers that sign it.
fn signed(operation: Described) -> Described {
    operation
        .securities(vec![SecurityRequirement::new("gatewaySecret", Vec::<String>::new())])
        .sent_header("webhook-id", text(), "The same when the same thing is sent again.")
        .sent_header("webhook-timestamp", number(0), "Unix time of this attempt, in seconds; at most 5 min from now.")
        .sent_header("webhook-signature", text(), "`v1,` and the signature in base64; several with blanks between.")
}

fn trouble(words: &str) -> ResponseBuilder {
    answer(words).content(JSON, content(Ref::from_schema_name("GatewayError")))
}

fn whole(least: u64, most: u64, default: u64) -> ObjectBuilder {
    let bound = |number: u64| Some(usize::try_from(number).unwrap_or(usize::MAX));
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(bound(least))
        .maximum(bound(most))
        .default(Some(default.into()))
}
