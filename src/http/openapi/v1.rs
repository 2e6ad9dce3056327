//! `/api/v1` but for the webhooks: accounts, events, the log and its proofs, upkeep, the master key, API keys.

use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{HttpMethod, Ref, Required};

use super::operation::{Described, answer, content, text_header};
use super::shapes::{account_digits, code, number, page_limit, prefix, text, time, word};
use crate::access::Made;
use crate::audit::{AccountRow, Bundle, CloudEvent, Consistency, Inclusion, Manifest, Replayed, Verified, View};
use crate::domain::GatewayKind;
use crate::http::v1::accounts::{AccountPage, Difference};
use crate::http::v1::events::{ActPage, EventPage};
use crate::http::v1::gateways::{Begun as Reconciling, Body as Reconcile, Gateways};
use crate::http::v1::keys::{ApiKeys, Body as WantedKey, Revoked};
use crate::http::v1::orders::{Body as Order, Ordered};
use crate::http::v1::overview::{Overview, Settings};
use crate::http::v1::problem::Body as Problem;
use crate::http::v1::secrets::{Body as Erasure, Erased};
use crate::http::v1::upkeep::{Begun, Projections};
use crate::http::v1::vault::{Body as Rotation, Line};
use crate::limits::LIVE_HEARTBEAT;
use crate::vault::Standing;

const PROBLEM: &str = "application/problem+json";
const NDJSON: &str = "application/x-ndjson";

/// Problems that any request may be answered with: status, name among the components, words.
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

/// An operation under `/api/v1`, with what any of them answers.
pub(super) fn operation(method: HttpMethod, path: &str, id: &str, summary: &str) -> Described {
    let operation = Described::new(method, format!("/api/v1/{path}"), id, summary).knows::<Problem<'_>>();
    let operation = PROBLEMS
        .into_iter()
        .filter(|(status, ..)| ![413, 415].contains(status))
        .fold(operation, |operation, (status, name, _)| operation.answers_in_common(status, name));
    let segments = path.split('/').filter(|segment| segment.starts_with('{'));
    segments.fold(operation, |operation, segment| match segment {
        "{account}" => operation.segment("account", account_digits(), "The account number."),
        "{channel}" => operation.segment(
            "channel",
            super::shapes::channel(),
            "A webhook, by its short name or its configuration id.",
        ),
        "{position}" => operation.segment("position", number(0), "The position of an event in the journal."),
        "{key}" => operation.segment("key", number(0), "The number of an API key."),
        "{name}" if path.starts_with("gateways/") => {
            operation.segment("name", word(GatewayKind::ALL.map(GatewayKind::name)), "The name of a gateway.")
        }
        other => operation.segment(other.trim_matches(['{', '}']), text(), "The name of a projection: `roster`."),
    })
}

/// What reads a body may find it too large, or in another form.
pub(super) fn reads_a_body(operation: Described) -> Described {
    let read = PROBLEMS.into_iter().filter(|(status, ..)| [413, 415].contains(status));
    read.fold(operation, |operation, (status, name, _)| operation.answers_in_common(status, name))
}

/// A problem that only some requests are answered with.
pub(super) fn problem(operation: Described, status: u16, words: &str) -> Described {
    operation.answers(status, answer(words).content(PROBLEM, content(Ref::from_schema_name("Problem"))))
}

/// A problem that any request may be answered with.
pub(super) fn common_problem(status: u16, words: &str) -> utoipa::openapi::ResponseBuilder {
    let response = answer(words).content(PROBLEM, content(Ref::from_schema_name("Problem")));
    match status {
        401 => response.header("WWW-Authenticate", text_header("`Bearer`.")),
        429 | 503 => response.header("Retry-After", super::operation::seconds_header()),
        _ => response,
    }
}

fn get(path: &str, id: &str, summary: &str) -> Described {
    operation(HttpMethod::Get, path, id, summary)
}

fn post(path: &str, id: &str, summary: &str) -> Described {
    operation(HttpMethod::Post, path, id, summary)
}

const UNKNOWN: &str = "Nothing ever happened to this account, or not by then.";

/// The parameters by which events are chosen.
fn chosen(operation: Described) -> Described {
    operation
        .query(
            "type",
            text(),
            "Names of event types, with commas between: `registered`, or as in a CloudEvent's `type`.",
        )
        .query("since", time(), "From this time on.")
        .query("until", time(), "Before this time.")
}

pub(super) fn accounts() -> Vec<Described> {
    let list = get("accounts", "listAccounts", "A page of accounts")
        .words("The oldest import first.")
        .query("status", code(2), "1 normal, 2 banned.")
        .query("onlineStatus", code(4), "1 online-coming, 2 online, 3 offline-coming, 4 offline.")
        .query("prefix", prefix(), "The first digits of the accounts' numbers.")
        .query("cursor", number(0), "The `next` of the page before.")
        .query("limit", page_limit(), "Accounts on the page.")
        .words("With `Accept: application/x-ndjson` or `text/csv` all of them, one account a line, as far as `limit` says.")
        .knows::<AccountPage>()
        .knows::<AccountRow>()
        .answers(
            200,
            answer("The page; or lines, each an account; or CSV with a header.")
                .content("application/json", content(Ref::from_schema_name("AccountPage")))
                .content(NDJSON, content(Ref::from_schema_name("AccountRow")))
                .content("text/csv; charset=utf-8", content(text())),
        );
    let order = |path, id, summary| {
        let order = post(path, id, summary)
            .words(
                "The reason stands in the history for ever, before anything is done; the events of the accounts have the \
                 same request id.",
            )
            .takes::<Order>(Required::True, "Which accounts, and why.")
            .gives::<Ordered>(200, "What became of each account.");
        problem(reads_a_body(order), 409, "No service runs.")
    };
    let online = order("accounts/online", "orderOnline", "Bring accounts online");
    let recycle = order("accounts/recycle", "orderRecycle", "Recycle accounts");
    let state = get("accounts/{account}", "showAccount", "How an account stands, or stood")
        .words("With the events that made it so. Secrets are shown as fingerprints only.")
        .query("at", time(), "As it was then; does not go with `version`.")
        .query("version", number(1), "As it was after so many events.")
        .gives::<View<'_>>(200, "The state.");
    let history = get("accounts/{account}/events", "showHistory", "What happened to an account")
        .words("A page; or with `Accept: application/x-ndjson` all of it, one event a line, as far as `limit` says.")
        .query(
            "order",
            word(["asc", "desc"]),
            "`asc`, which holds if it is left out: the first event first; `desc`: the last.",
        );
    let history = chosen(history)
        .query("cursor", number(0), "The `next` of the page before: a version.")
        .query("limit", page_limit(), "Events on the page; any number of lines.")
        .knows::<EventPage>()
        .knows::<CloudEvent<'_>>()
        .answers(200, events("The page; or lines, each an event."));
    let diff = get("accounts/{account}/diff", "diffAccount", "What changed in an account between two versions")
        .required_query("from", number(1), "The one version.")
        .required_query("to", number(1), "The other.")
        .gives::<Difference>(200, "The fields that changed.");
    let body = "Why. It stands in the history for ever.";
    let erase = operation(
        HttpMethod::Delete,
        "accounts/{account}/secrets",
        "eraseSecrets",
        "Destroy an account's secrets",
    )
    .words(
        "Its data key is destroyed: what was sealed with it opens for nobody. A registration that waits fails, the account \
         goes offline, and batchOnline is refused until batchInsert brings new content.",
    )
    .takes::<Erasure>(Required::True, body)
    .gives::<Erased>(200, "They are erased.");
    let erase = problem(reads_a_body(erase), 409, "It cannot be done as the account stands, or no service runs.");
    [list, online, recycle]
        .into_iter()
        .chain([state, history, diff, erase].map(|operation| problem(operation, 404, UNKNOWN)))
        .collect()
}

/// Pages or lines of events.
fn events(words: &str) -> utoipa::openapi::ResponseBuilder {
    answer(words)
        .content("application/json", content(Ref::from_schema_name("EventPage")))
        .content(NDJSON, content(Ref::from_schema_name("CloudEvent")))
}

pub(super) fn journal() -> Vec<Described> {
    let heartbeat = LIVE_HEARTBEAT.as_secs();
    let list = get("events", "listEvents", "What happened, to all")
        .words(
            "A page. With `Accept: application/x-ndjson` all of it up to now, one event a line. With `Accept: \
             text/event-stream` what happens from now on, as it happens, or from behind `after` or `Last-Event-ID` on: the \
             data of each event is a CloudEvent, its id the position.",
        )
        .words(&format!("A comment is sent every {heartbeat} s while nothing happens. A page looks at a bounded part of the journal, so it may be empty, and have a `next`."))
        .query("order", word(["asc", "desc"]), "`asc`, which holds if it is left out; `desc`: the last event first.")
        .query("after", number(0), "The position behind which to begin, with `asc`: the `next` of the page before.")
        .query("before", number(0), "The position before which to begin, with `desc`: the `next` of the page before.")
        .query("account", account_digits(), "Of this account only.")
        .query("limit", page_limit(), "Events on the page; any number of lines.")
        .header("Last-Event-ID", text().pattern(Some("^[0-9]+$")), "The id of the last event that was seen in the stream.");
    let list = chosen(list).knows::<EventPage>().knows::<CloudEvent<'_>>().answers(
        200,
        events("The page; or lines, each an event; or the stream.").content("text/event-stream", content(text())),
    );
    let export = get("export", "exportEvents", "Events in a file that can be checked")
        .words(
            "CloudEvents, one a line, and a last line by which the file is checked without the service; or CSV, which proves \
             nothing and in which a formula gets an apostrophe in front. If it cannot be read to its end the connection breaks off.",
        )
        .query("format", word(["cloudevents", "csv"]), "`cloudevents` holds if it is left out.")
        .query("account", account_digits(), "Of this account only.");
    let line =
        OneOfBuilder::new().item(Ref::from_schema_name("CloudEvent")).item(Ref::from_schema_name("ExportManifest"));
    let file = answer("Lines, each an event, but for the last one; or CSV with a header.")
        .content(NDJSON, content(line))
        .content("text/csv; charset=utf-8", content(text()));
    let export = chosen(export).knows::<CloudEvent<'_>>().knows::<Manifest>().answers(200, file);
    let plain = |words: &str| answer(words).content("text/plain; charset=utf-8", content(text()));
    let checkpoint = get("log/checkpoint", "showCheckpoint", "A signed note of the log's size and root")
        .words("A C2SP checkpoint: what was seen earlier must fit every later one.")
        .answers(200, plain("The checkpoint."));
    let key = get("log/public-key", "showPublicKey", "Who signs the log")
        .answers(200, plain("The public key, as `name+id+key`."));
    let acts = get("acts", "listActs", "What was done to the service itself")
        .words("Administrative acts, the newest first.")
        .query("cursor", number(1), "The `next` of the page before.")
        .query("limit", page_limit(), "Acts on the page.")
        .knows::<CloudEvent<'_>>()
        .gives::<ActPage>(200, "The page.");
    let missing = "The log has no such position or size.";
    let inclusion = get("log/proof/inclusion", "proveInclusion", "The proof that an event is in the log")
        .words("RFC 6962: the record's hash leads over those of the proof to the root that the checkpoint signs.")
        .required_query("seq", number(1), "The event's position.")
        .query("size", number(0), "The log's size; the present one holds if it is left out.")
        .gives::<Inclusion>(200, "The proof.");
    let consistency = get("log/proof/consistency", "proveConsistency", "The proof that the log has only grown")
        .required_query("from", number(0), "The one size.")
        .query("to", number(0), "The later one; the present one holds if it is left out.")
        .gives::<Consistency>(200, "The proof.");
    let bundle = get("log/proof/account/{account}", "proveAccount", "An account's history with its proof")
        .words("All its events as they are stored, each proved to be in the log, and where the history ends, signed.")
        .gives::<Bundle>(200, "The bundle.");
    vec![
        list,
        acts,
        export,
        checkpoint,
        key,
        problem(inclusion, 404, missing),
        problem(consistency, 404, missing),
        problem(bundle, 404, UNKNOWN),
    ]
}

pub(super) fn upkeep() -> Vec<Described> {
    let absent = "No service runs.";
    let overview = get("overview", "showOverview", "How everything is")
        .words("Accounts by state, the journal, its last checkpoint, the webhooks and the master key, in one answer.")
        .gives::<Overview>(200, "How it is.");
    let settings = get("settings", "listSettings", "The settings that the service works with")
        .words("Each with its source, as `muster config` shows them; secrets are left out.")
        .gives::<Settings>(200, "The settings.");
    let projections = get("projections", "showProjections", "How far the account list is")
        .gives::<Projections>(200, "The journal's end, and how far behind it the list is.");
    let rebuild = post("projections/{name}/rebuild", "rebuildProjection", "Make the account list anew")
        .words("The old one is served meanwhile.")
        .gives::<Begun>(202, "It has begun.");
    let rebuild = problem(rebuild, 404, "There is no such projection.");
    let rebuild = problem(rebuild, 409, "It is being rebuilt already.");
    let reading = "The whole journal is being read for another request.";
    let verify = post("verify", "verify", "Check that nothing was altered or left out")
        .words("Every record, chain and root, every history by the rules, and the last checkpoint. It takes as long as it takes.")
        .gives::<Verified>(200, "Everything is whole.");
    let replay = post("replay", "replay", "Fold everything anew")
        .words(
            "It is held against what is served, if nothing is left out. No gateway and no receiver is asked or told.",
        )
        .query("until", text(), "A position or a time up to which to fold; to the end if it is left out.")
        .query("account", account_digits(), "The account whose state is to be shown.")
        .gives::<Replayed>(200, "What was found.");
    let file = utoipa::openapi::schema::ObjectBuilder::new();
    let backup = post("backup", "backup", "Everything in a file")
        .words("All but the master key. `muster restore` makes a data directory of it. If it cannot be read to its end the connection breaks off.")
        .answers(200, answer("The file.").content("application/octet-stream", content(file)));
    vec![
        problem(overview, 409, absent),
        problem(settings, 409, absent),
        projections,
        rebuild,
        problem(verify, 409, reading),
        problem(problem(replay, 409, reading), 404, UNKNOWN),
        problem(backup, 409, "A rotation of the master key is under way."),
    ]
}

pub(super) fn gateways() -> Vec<Described> {
    let absent = "No service runs.";
    let list = get("gateways", "listGateways", "How the ways to WhatsApp are")
        .words("Whether each is there, its accounts, its calls, the last comparison of its sessions, what went wrong last.")
        .gives::<Gateways>(200, "All of them.");
    let reconcile = post("gateways/{name}/reconcile", "reconcileGateway", "Compare a gateway's sessions with what is shown")
        .words(
            "At once, as is done at the start, from time to time, and when it is back. The reason stands in the history for \
             ever, before anything is done.",
        )
        .takes::<Reconcile>(Required::True, "Why.")
        .gives::<Reconciling>(202, "It has begun; what comes of it is shown with the gateways.");
    let reconcile = problem(reads_a_body(reconcile), 404, "There is no such gateway.");
    vec![problem(list, 409, absent), problem(reconcile, 409, "It is not set up, or no service runs.")]
}

pub(super) fn vault() -> Vec<Described> {
    let show = get("vault", "showMasterKey", "Where the master key comes from, and how far a rotation is")
        .gives::<Standing>(200, "How it is.");
    let rotate = post("vault/rotate", "rotateMasterKey", "Seal everything anew under another master key")
        .words("The new key is drawn, or is the one in `newKeyFile`. `abort` undoes a rotation instead. It goes on to its end though nobody reads the answer.")
        .takes::<Rotation>(Required::False, "Which key; nothing for one that is drawn.")
        .knows::<Line>()
        .answers(
            200,
            answer("Lines: how far it is; the last says what is to be done with the new key, or what went wrong.")
                .content(NDJSON, content(Ref::from_schema_name("RotationLine"))),
        );
    let absent = "No service runs.";
    let waits = "A rotation is under way or waits for its setting, the file cannot be used, or none can be undone.";
    vec![problem(reads_a_body(show), 409, absent), problem(reads_a_body(rotate), 409, waits)]
}

pub(super) fn keys() -> Vec<Described> {
    let list = get("keys", "listApiKeys", "The API keys")
        .words("Revoked ones too. What proves a key is shown once, where it is made.")
        .gives::<ApiKeys>(200, "The keys.");
    let create = post("keys", "createApiKey", "Give an API key")
        .words(
            "The first must be an admin's, bound to no accounts and without end; from then on every request needs one.",
        )
        .takes::<WantedKey>(Required::True, "What it is to be for.")
        .gives::<Made>(200, "The key. It is shown this once.");
    let revoke = operation(HttpMethod::Delete, "keys/{key}", "revokeApiKey", "Take an API key away")
        .words("It holds at once, for good.")
        .gives::<Revoked>(200, "It is revoked.");
    let revoke = problem(problem(reads_a_body(revoke), 404, "There is no such key."), 409, "It is revoked already.");
    vec![
        reads_a_body(list),
        problem(reads_a_body(create), 409, "There are too many keys, or the tenant has one already."),
        revoke,
    ]
}
