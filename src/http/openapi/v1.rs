//! `/api/v1` except the webhooks: accounts, events, the log and its proofs, maintenance, the master key, API keys.

use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{HttpMethod, Ref, Required};

use super::operation_doc::{OperationDoc, content, response_with_id, text_header};
use super::parameter_schemas::{account_digits, code_up_to, number, one_of, page_limit, prefix, text, time};
use crate::access::CreatedKey;
use crate::api::account_orders::{AccountOrderRequest as Order, AccountOrderResponse};
use crate::api::account_secrets::{EraseSecretsRequest as Erasure, EraseSecretsResponse};
use crate::api::accounts::{AccountDiff, AccountPage};
use crate::api::api_keys::{ApiKeyList, CreateApiKeyRequest as WantedKey, RevokeApiKeyResponse};
use crate::api::events::{AuditLogPage, EventPage};
use crate::api::gateways::{GatewayList, ReconcileRequest as Reconcile, ReconcileResponse as Reconciling};
use crate::api::maintenance::{ProjectionsResponse, RebuildResponse};
use crate::api::master_key::{RotateMasterKeyRequest as Rotation, RotationLine};
use crate::api::overview::{Overview, SettingsView};
use crate::audit::{
    AccountRow, AccountStateView, Bundle, CloudEvent, ConsistencyProof, ExportManifest, InclusionProof, ReplayReport,
    VerificationReport,
};
use crate::domain::GatewayKind;
use crate::http::v1::problem::ProblemBody as Problem;
use crate::limits::LIVE_TAIL_HEARTBEAT;
use crate::vault::MasterKeyStatus;

const PROBLEM: &str = "application/problem+json";
const NDJSON: &str = "application/x-ndjson";

/// Problems that any request may get: status, component name, description.
pub(super) const PROBLEMS: [(u16, &str, &str); 8] = [
    (400, "Malformed", "A parameter or the body is malformed: `detail` names it, and says how it must be."),
    (401, "NotLetIn", "No API key, or none that is taken."),
    (
        403,
        "Forbidden",
        "The API key is not for this, or is bound to other accounts; or there is none yet, and a web page asks.",
    ),
    (413, "TooLarge", "The body is too large."),
    (415, "MediaType", "The body is no JSON in UTF-8, or compressed."),
    (429, "TooMany", "Too many requests of one API key, or from one address."),
    (500, "Failed", "The service failed, or what was looked at is not whole; then `type` says so."),
    (503, "Busy", "Too much of this is under way, or there was no answer within `http.request_timeout`."),
];

/// An operation below `/api/v1`, with the shared responses.
pub(super) fn operation(method: HttpMethod, path: &str, id: &str, summary: &str) -> OperationDoc {
    let operation = OperationDoc::new(method, format!("/api/v1/{path}"), id, summary).register_schema::<Problem<'_>>();
    let operation = PROBLEMS
        .into_iter()
        .filter(|(status, ..)| ![413, 415].contains(status))
        .fold(operation, |operation, (status, name, _)| operation.shared_response(status, name));
    let segments = path.split('/').filter(|segment| segment.starts_with('{'));
    segments.fold(operation, |operation, segment| match segment {
        "{account}" => operation.path_parameter("account", account_digits(), "The account number."),
        "{channel}" => operation.path_parameter(
            "channel",
            super::parameter_schemas::channel(),
            "A webhook, by its short name or its configuration id.",
        ),
        "{position}" => operation.path_parameter("position", number(0), "The position of an event in the journal."),
        "{key}" => operation.path_parameter("key", number(0), "The number of an API key."),
        "{name}" if path.starts_with("gateways/") => {
            operation.path_parameter("name", one_of(GatewayKind::ALL.map(GatewayKind::name)), "The name of a gateway.")
        }
        other => {
            operation.path_parameter(other.trim_matches(['{', '}']), text(), "The name of a projection: `roster`.")
        }
    })
}

/// Adds the problems of endpoints with a body: too large, unsupported content type.
pub(super) fn with_body_errors(operation: OperationDoc) -> OperationDoc {
    let read = PROBLEMS.into_iter().filter(|(status, ..)| [413, 415].contains(status));
    read.fold(operation, |operation, (status, name, _)| operation.shared_response(status, name))
}

/// Adds a problem that only some operations have.
pub(super) fn with_problem(operation: OperationDoc, status: u16, words: &str) -> OperationDoc {
    operation.response(status, response_with_id(words).content(PROBLEM, content(Ref::from_schema_name("Problem"))))
}

/// A problem that any request may get.
pub(super) fn shared_problem_response(status: u16, words: &str) -> utoipa::openapi::ResponseBuilder {
    let response = response_with_id(words).content(PROBLEM, content(Ref::from_schema_name("Problem")));
    match status {
        401 => response.header("WWW-Authenticate", text_header("`Bearer`.")),
        429 | 503 => response.header("Retry-After", super::operation_doc::retry_after_header()),
        _ => response,
    }
}

fn get(path: &str, id: &str, summary: &str) -> OperationDoc {
    operation(HttpMethod::Get, path, id, summary)
}

fn post(path: &str, id: &str, summary: &str) -> OperationDoc {
    operation(HttpMethod::Post, path, id, summary)
}

const UNKNOWN: &str = "Nothing ever happened to this account, or not by then.";

/// Adds the parameters that filter events.
fn with_event_filters(operation: OperationDoc) -> OperationDoc {
    operation
        .query_parameter(
            "type",
            text(),
            "Names of event types, with commas between: `registered`, or as in a CloudEvent's `type`.",
        )
        .query_parameter("since", time(), "From this time on.")
        .query_parameter("until", time(), "Before this time.")
}

pub(super) fn accounts() -> Vec<OperationDoc> {
    let list = get("accounts", "listAccounts", "A page of accounts")
        .describe("The oldest import first.")
        .query_parameter("status", code_up_to(2), "1 normal, 2 banned.")
        .query_parameter("onlineStatus", code_up_to(4), "1 online-coming, 2 online, 3 offline-coming, 4 offline.")
        .query_parameter("prefix", prefix(), "The first digits of the accounts' numbers.")
        .query_parameter("cursor", number(0), "The `next` of the page before.")
        .query_parameter("limit", page_limit(), "Accounts on the page.")
        .describe("With `Accept: application/x-ndjson` or `text/csv` all of them, one account a line, as far as `limit` says.")
        .register_schema::<AccountPage>()
        .register_schema::<AccountRow>()
        .response(
            200,
            response_with_id("The page; or lines, each an account; or CSV with a header.")
                .content("application/json", content(Ref::from_schema_name("AccountPage")))
                .content(NDJSON, content(Ref::from_schema_name("AccountRow")))
                .content("text/csv; charset=utf-8", content(text())),
        );
    let order = |path, id, summary| {
        let order = post(path, id, summary)
            .describe(
                "The reason stands in the history for ever, before anything is done; the events of the accounts have the \
                 same request id.",
            )
            .json_body::<Order>(Required::True, "Which accounts, and why.")
            .json_response::<AccountOrderResponse>(200, "What became of each account.");
        with_problem(with_body_errors(order), 409, "No service runs.")
    };
    let online = order("accounts/online", "orderOnline", "Bring accounts online");
    let recycle = order("accounts/recycle", "orderRecycle", "Recycle accounts");
    let state = get("accounts/{account}", "showAccount", "How an account stands, or stood")
        .describe("With the events that made it so. Secrets are shown as fingerprints only.")
        .query_parameter("at", time(), "As it was then; does not go with `version`.")
        .query_parameter("version", number(1), "As it was after so many events.")
        .json_response::<AccountStateView<'_>>(200, "The state.");
    let history = get("accounts/{account}/events", "showHistory", "What happened to an account")
        .describe("A page; or with `Accept: application/x-ndjson` all of it, one event a line, as far as `limit` says.")
        .query_parameter(
            "order",
            one_of(["asc", "desc"]),
            "`asc`, which holds if it is left out: the first event first; `desc`: the last.",
        );
    let history = with_event_filters(history)
        .query_parameter("cursor", number(0), "The `next` of the page before: a version.")
        .query_parameter("limit", page_limit(), "Events on the page; any number of lines.")
        .register_schema::<EventPage>()
        .register_schema::<CloudEvent<'_>>()
        .response(200, event_responses("The page; or lines, each an event."));
    let diff = get("accounts/{account}/diff", "diffAccount", "What changed in an account between two versions")
        .required_query_parameter("from", number(1), "The one version.")
        .required_query_parameter("to", number(1), "The other.")
        .json_response::<AccountDiff>(200, "The fields that changed.");
    let body = "Why. It stands in the history for ever.";
    let erase = operation(
        HttpMethod::Delete,
        "accounts/{account}/secrets",
        "eraseSecrets",
        "Destroy an account's secrets",
    )
    .describe(
        "Its data key is destroyed: what was sealed with it opens for nobody. A registration that waits fails, the account \
         goes offline, and batchOnline is refused until batchInsert brings new content.",
    )
    .json_body::<Erasure>(Required::True, body)
    .json_response::<EraseSecretsResponse>(200, "They are erased.");
    let erase =
        with_problem(with_body_errors(erase), 409, "It cannot be done as the account stands, or no service runs.");
    [list, online, recycle]
        .into_iter()
        .chain([state, history, diff, erase].map(|operation| with_problem(operation, 404, UNKNOWN)))
        .collect()
}

/// A response of events, as a page or as lines.
fn event_responses(words: &str) -> utoipa::openapi::ResponseBuilder {
    response_with_id(words)
        .content("application/json", content(Ref::from_schema_name("EventPage")))
        .content(NDJSON, content(Ref::from_schema_name("CloudEvent")))
}

pub(super) fn journal() -> Vec<OperationDoc> {
    let heartbeat = LIVE_TAIL_HEARTBEAT.as_secs();
    let list = get("events", "listEvents", "What happened, to all")
        .describe(
            "A page. With `Accept: application/x-ndjson` all of it up to now, one event a line. With `Accept: \
             text/event-stream` what happens from now on, as it happens, or from behind `after` or `Last-Event-ID` on: the \
             data of each event is a CloudEvent, its id the position.",
        )
        .describe(&format!("A comment is sent every {heartbeat} s while nothing happens. A page looks at a bounded part of the journal, so it may be empty, and have a `next`."))
        .query_parameter("order", one_of(["asc", "desc"]), "`asc`, which holds if it is left out; `desc`: the last event first.")
        .query_parameter("after", number(0), "The position behind which to begin, with `asc`: the `next` of the page before.")
        .query_parameter("before", number(0), "The position before which to begin, with `desc`: the `next` of the page before.")
        .query_parameter("account", account_digits(), "Of this account only.")
        .query_parameter("limit", page_limit(), "Events on the page; any number of lines.")
        .optional_header("Last-Event-ID", text().pattern(Some("^[0-9]+$")), "The id of the last event that was seen in the stream.");
    let list = with_event_filters(list).register_schema::<EventPage>().register_schema::<CloudEvent<'_>>().response(
        200,
        event_responses("The page; or lines, each an event; or the stream.")
            .content("text/event-stream", content(text())),
    );
    let export = get("export", "exportEvents", "Events in a file that can be checked")
        .describe(
            "CloudEvents, one a line, and a last line by which the file is checked without the service; or CSV, which proves \
             nothing and in which a formula gets an apostrophe in front. If it cannot be read to its end the connection breaks off.",
        )
        .query_parameter("format", one_of(["cloudevents", "csv"]), "`cloudevents` holds if it is left out.")
        .query_parameter("account", account_digits(), "Of this account only.");
    let line =
        OneOfBuilder::new().item(Ref::from_schema_name("CloudEvent")).item(Ref::from_schema_name("ExportManifest"));
    let file = response_with_id("Lines, each an event, but for the last one; or CSV with a header.")
        .content(NDJSON, content(line))
        .content("text/csv; charset=utf-8", content(text()));
    let export = with_event_filters(export)
        .register_schema::<CloudEvent<'_>>()
        .register_schema::<ExportManifest>()
        .response(200, file);
    let plain = |words: &str| response_with_id(words).content("text/plain; charset=utf-8", content(text()));
    let checkpoint = get("log/checkpoint", "showCheckpoint", "A signed note of the log's size and root")
        .describe("A C2SP checkpoint: what was seen earlier must fit every later one.")
        .response(200, plain("The checkpoint."));
    let key = get("log/public-key", "showPublicKey", "Who signs the log")
        .response(200, plain("The public key, as `name+id+key`."));
    let acts = get("acts", "listActs", "What was done to the service itself")
        .describe("Administrative acts, the newest first.")
        .query_parameter("cursor", number(1), "The `next` of the page before.")
        .query_parameter("limit", page_limit(), "Acts on the page.")
        .register_schema::<CloudEvent<'_>>()
        .json_response::<AuditLogPage>(200, "The page.");
    let missing = "The log has no such position or size.";
    let inclusion = get("log/proof/inclusion", "proveInclusion", "The proof that an event is in the log")
        .describe("RFC 6962: the record's hash leads over those of the proof to the root that the checkpoint signs.")
        .required_query_parameter("seq", number(1), "The event's position.")
        .query_parameter("size", number(0), "The log's size; the present one holds if it is left out.")
        .json_response::<InclusionProof>(200, "The proof.");
    let consistency = get("log/proof/consistency", "proveConsistency", "The proof that the log has only grown")
        .required_query_parameter("from", number(0), "The one size.")
        .query_parameter("to", number(0), "The later one; the present one holds if it is left out.")
        .json_response::<ConsistencyProof>(200, "The proof.");
    let bundle = get("log/proof/account/{account}", "proveAccount", "An account's history with its proof")
        .describe(
            "All its events as they are stored, each proved to be in the log, and where the history ends, signed.",
        )
        .json_response::<Bundle>(200, "The bundle.");
    vec![
        list,
        acts,
        export,
        checkpoint,
        key,
        with_problem(inclusion, 404, missing),
        with_problem(consistency, 404, missing),
        with_problem(bundle, 404, UNKNOWN),
    ]
}

pub(super) fn maintenance() -> Vec<OperationDoc> {
    let absent = "No service runs.";
    let overview = get("overview", "showOverview", "How everything is")
        .describe(
            "Accounts by state, the journal, its last checkpoint, the webhooks and the master key, in one answer.",
        )
        .json_response::<Overview>(200, "How it is.");
    let settings = get("settings", "listSettings", "The settings that the service works with")
        .describe("Each with its source, as `muster config` shows them; secrets are left out.")
        .json_response::<SettingsView>(200, "The settings.");
    let projections = get("projections", "showProjections", "How far the account list is")
        .json_response::<ProjectionsResponse>(200, "The journal's end, and how far behind it the list is.");
    let rebuild = post("projections/{name}/rebuild", "rebuildProjection", "Make the account list anew")
        .describe("The old one is served meanwhile.")
        .json_response::<RebuildResponse>(202, "It has begun.");
    let rebuild = with_problem(rebuild, 404, "There is no such projection.");
    let rebuild = with_problem(rebuild, 409, "It is being rebuilt already.");
    let reading = "The whole journal is being read for another request.";
    let verify = post("verify", "verify", "Check that nothing was altered or left out")
        .describe("Every record, chain and root, every history by the rules, and the last checkpoint. It takes as long as it takes.")
        .json_response::<VerificationReport>(200, "Everything is whole.");
    let replay = post("replay", "replay", "Fold everything anew")
        .describe(
            "It is held against what is served, if nothing is left out. No gateway and no receiver is asked or told.",
        )
        .query_parameter("until", text(), "A position or a time up to which to fold; to the end if it is left out.")
        .query_parameter("account", account_digits(), "The account whose state is to be shown.")
        .json_response::<ReplayReport>(200, "What was found.");
    let file = utoipa::openapi::schema::ObjectBuilder::new();
    let backup = post("backup", "backup", "Everything in a file")
        .describe("All but the master key. `muster restore` makes a data directory of it. If it cannot be read to its end the connection breaks off.")
        .response(200, response_with_id("The file.").content("application/octet-stream", content(file)));
    vec![
        with_problem(overview, 409, absent),
        with_problem(settings, 409, absent),
        projections,
        rebuild,
        with_problem(verify, 409, reading),
        with_problem(with_problem(replay, 409, reading), 404, UNKNOWN),
        with_problem(backup, 409, "A rotation of the master key is under way."),
    ]
}

pub(super) fn gateways() -> Vec<OperationDoc> {
    let absent = "No service runs.";
    let list = get("gateways", "listGateways", "How the ways to WhatsApp are")
        .describe("Whether each is there, its accounts, its calls, the last comparison of its sessions, what went wrong last.")
        .json_response::<GatewayList>(200, "All of them.");
    let reconcile = post("gateways/{name}/reconcile", "reconcileGateway", "Compare a gateway's sessions with what is shown")
        .describe(
            "At once, as is done at the start, from time to time, and when it is back. The reason stands in the history for \
             ever, before anything is done.",
        )
        .json_body::<Reconcile>(Required::True, "Why.")
        .json_response::<Reconciling>(202, "It has begun; what comes of it is shown with the gateways.");
    let reconcile = with_problem(with_body_errors(reconcile), 404, "There is no such gateway.");
    vec![with_problem(list, 409, absent), with_problem(reconcile, 409, "It is not set up, or no service runs.")]
}

pub(super) fn vault() -> Vec<OperationDoc> {
    let show = get("vault", "showMasterKey", "Where the master key comes from, and how far a rotation is")
        .json_response::<MasterKeyStatus>(200, "How it is.");
    let rotate = post("vault/rotate", "rotateMasterKey", "Seal everything anew under another master key")
        .describe("The new key is drawn, or is the one in `newKeyFile`. `abort` undoes a rotation instead. It goes on to its end though nobody reads the answer.")
        .json_body::<Rotation>(Required::False, "Which key; nothing for one that is drawn.")
        .register_schema::<RotationLine>()
        .response(
            200,
            response_with_id("Lines: how far it is; the last says what is to be done with the new key, or what went wrong.")
                .content(NDJSON, content(Ref::from_schema_name("RotationLine"))),
        );
    let absent = "No service runs.";
    let waits = "A rotation is under way or waits for its setting, the file cannot be used, or none can be undone.";
    vec![with_problem(with_body_errors(show), 409, absent), with_problem(with_body_errors(rotate), 409, waits)]
}

pub(super) fn keys() -> Vec<OperationDoc> {
    let list = get("keys", "listApiKeys", "The API keys")
        .describe("Revoked ones too. What proves a key is shown once, where it is made.")
        .json_response::<ApiKeyList>(200, "The keys.");
    let create = post("keys", "createApiKey", "Give an API key")
        .describe(
            "The first must be an admin's, bound to no accounts and without end; from then on every request needs one.",
        )
        .json_body::<WantedKey>(Required::True, "What it is to be for.")
        .json_response::<CreatedKey>(200, "The key. It is shown this once.");
    let revoke = operation(HttpMethod::Delete, "keys/{key}", "revokeApiKey", "Take an API key away")
        .describe("It holds at once, for good.")
        .json_response::<RevokeApiKeyResponse>(200, "It is revoked.");
    let revoke = with_problem(
        with_problem(with_body_errors(revoke), 404, "There is no such key."),
        409,
        "It is revoked already.",
    );
    vec![
        with_body_errors(list),
        with_problem(with_body_errors(create), 409, "There are too many keys, or the tenant has one already."),
        revoke,
    ]
}
