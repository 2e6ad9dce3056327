//! The documented endpoints, and those that say how the service is.

use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, Array, Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::operation::{Described, Schemas, answer, content, seconds_header, text_header};
use super::shapes::{account_digits, code, idempotency_key, text};
use crate::http::endpoint::{Data, Endpoint};
use crate::http::envelope::Body;
use crate::http::fields::{AccountFields, CodeFields, PhoneFields};
use crate::limits::{CALLING_CODE_DIGITS_MAX, TASK_ID_MAX};
use crate::metrics::CONTENT_TYPE;

const JSON: &str = "application/json";

/// What is said of an answer with each code.
const BAD: &str =
    "The body, the query or the `Idempotency-Key` is malformed: `message` names the field. Nothing was done.";
const UNKNOWN_CALLER: &str = "No API key, or none that is taken: `code` is 401. Or a token of a tenant that is not taken: `code` is 502 timestamp too \
     old or yet to come, 518 missing, 519 malformed, 522 token wrong, 523 `tenant_id` missing, 525 `token` missing.";
const FORBIDDEN: &str = "The API key is not for this, or is bound to other accounts; or there is no API key yet, and a web page elsewhere asks.";
const TOO_LARGE: &str = "The body has more than `http.max_body_bytes`. Nothing was done.";
const MEDIA_TYPE: &str = "The body is no JSON in UTF-8, or compressed. Nothing was done.";
const OTHER_REQUEST: &str = "The `Idempotency-Key` was used for another body. Nothing was done.";
const TOO_MANY: &str = "Too many requests of one API key, or from one address. Nothing was done.";
const FAILED: &str = "The service failed, and what was asked may have happened or not.";
const BUSY: &str = "The service is starting, stopping or overloaded, and nothing was begun; or there was no answer within \
     `http.request_timeout`, and what was asked may have been done.";

/// The operations of an endpoint, and the types that they name.
pub(super) fn operations(endpoint: Endpoint) -> Vec<Described> {
    match endpoint {
        Endpoint::BatchInsert => {
            let one = AccountFields::shape(
                &["whatsApp", "publicKey", "privateKey", "msgPublicKey", "msgPrivateKey", "accountId"],
                &["override"],
            );
            let operation = post(endpoint, "batchInsert", "Batch import customer service accounts")
                .words(
                    "A new number is imported, with `status` 1 and `onlineStatus` 4. The same number with the same content \
                     again is success, and makes no event; with other content it is refused (409): use batchOnline with \
                     `override`.",
                )
                .words(BATCH);
            vec![batch(endpoint, operation.takes_as(list_of(one, true), Some(insert_example()), Required::True, LIST))]
        }
        Endpoint::BatchOnline => {
            let one = AccountFields::shape(
                &["whatsApp", "override", "publicKey", "privateKey", "msgPublicKey", "msgPrivateKey"],
                &[],
            );
            let operation = post(endpoint, "batchOnline", "Batch online customer service accounts")
                .words(
                    "An unknown number is imported, then asked online. Of a known one `override` true replaces what is \
                     stored, false keeps it. What is on its way already is success, and makes no event. A banned account \
                     is refused (409), and so is one whose secrets were erased.",
                )
                .words(BATCH);
            vec![batch(endpoint, operation.takes_as(list_of(one, true), Some(online_example()), Required::True, LIST))]
        }
        Endpoint::BatchRecycle => {
            let one = account_digits().description(Some("The account number."));
            let operation = post(endpoint, "batchRecycle", "Batch recycle customer service accounts")
                .words(
                    "Listed accounts go offline-coming (3), then offline (4). What is offline already is success, and \
                     makes no event; an unknown number is refused (404). Without a list, or with null for it, all accounts \
                     are meant; an empty list means none. Therefore an unknown field is a fault here.",
                )
                .words(BATCH);
            let example = json!({"whatsAppList": ["861821726232", "861821726231"]});
            vec![batch(endpoint, operation.takes_as(list_of(one.build(), false), Some(example), Required::True, LIST))]
        }
        Endpoint::QueryWhatsAppStatus => vec![query(endpoint)],
        Endpoint::SubmitPhone => {
            let required = ["phone", "verifyType", "accountType", "areaCode", "countryCode"];
            let body = with_patterns(PhoneFields::shape(&required, &[]));
            let example = json!({"phone": "182172623211", "verifyType": 1, "accountType": 2, "areaCode": "+86", "countryCode": "CN"});
            let operation = post(
                endpoint,
                "submitPhone",
                "Customer service account registration (submit phone number)",
            )
            .words(
                "Begins a registration of the number that `areaCode` and `phone` make. One of the same number that \
                     waits for its code is superseded. The outcome comes by webhook.",
            )
            .takes_as(body, Some(example), Required::True, "The phone number.");
            vec![answered(endpoint, operation)]
        }
        Endpoint::SubmitVerifyCode => {
            let body = with_patterns(CodeFields::shape(&["phone", "areaCode", "verifyCode"], &[]));
            let example = json!({"phone": "1821726232", "verifyCode": "123456", "areaCode": "+86"});
            let summary = "Customer service account registration (submit verification code)";
            let operation = post(endpoint, "submitVerifyCode", summary)
                .words(
                    "Accepted where a registration of the number waits; the outcome comes by webhook. A refused code is \
                     told as failed (0), and leaves the registration open for another, 5 in all, within \
                     `accounts.registration_lifetime`.",
                )
                .takes_as(body, Some(example), Required::True, "The code.");
            let operation = answered(endpoint, operation);
            vec![operation.answers(404, enveloped(endpoint, "No registration of this number waits for a code."))]
        }
        Endpoint::Health => is_well(endpoint, "health", "Whether the process runs", &[]),
        Endpoint::Ready => is_well(endpoint, "ready", "Whether the service takes requests", &[503]),
        Endpoint::Metrics => metrics(endpoint),
        Endpoint::Unknown => Vec::new(),
    }
}

const BATCH: &str = "A batch is checked whole: one malformed entry, or a number that is listed twice, refuses it with 400, and \
     nothing is stored. A well-formed one is decided account by account.";
const LIST: &str = "The accounts, at most `http.max_batch`, each once.";

/// The envelopes by the type of their data.
pub(super) fn envelopes() -> Schemas {
    let mut schemas = Vec::new();
    Body::schemas(&mut schemas);
    let named = [Endpoint::BatchInsert, Endpoint::Health, Endpoint::SubmitPhone, Endpoint::QueryWhatsAppStatus];
    schemas.extend(named.map(|endpoint| (envelope_name(endpoint).to_owned(), envelope(endpoint))));
    schemas
}

/// The envelope of an endpoint: what is sent, with the type of its `data`.
fn envelope(endpoint: Endpoint) -> RefOr<Schema> {
    let mut schema = Body::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.properties.insert("data".to_owned(), data(endpoint));
        if !is_batch(endpoint) {
            object.properties.shift_remove("results");
        }
    }
    schema
}

fn data(endpoint: Endpoint) -> RefOr<Schema> {
    match endpoint.empty_data() {
        Data::Text(_) => text().enum_values(Some([""])).description(Some("Always empty.")).into(),
        Data::Number(_) => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(f64::from(TASK_ID_MAX)))
            .description(Some("The task id, from 1 and rising; 0 on errors."))
            .into(),
        Data::List(_) => {
            let row = ObjectBuilder::new()
                .property("whatsApp", account_digits().description(Some("The account number.")))
                .property("status", code(2).description(Some("1 normal, 2 banned.")))
                .property(
                    "onlineStatus",
                    code(4).description(Some("1 online-coming, 2 online, 3 offline-coming, 4 offline.")),
                );
            let row = ["whatsApp", "status", "onlineStatus"].into_iter().fold(row, ObjectBuilder::required);
            let mut rows = Array::new(row);
            rows.description = Some("The accounts, the oldest first; empty on errors.".to_owned());
            RefOr::T(Schema::Array(rows))
        }
    }
}

fn envelope_name(endpoint: Endpoint) -> &'static str {
    match endpoint.empty_data() {
        Data::Text(_) if is_batch(endpoint) => "BatchAnswer",
        Data::Text(_) => "Answer",
        Data::Number(_) => "TaskAnswer",
        Data::List(_) => "AccountListAnswer",
    }
}

fn is_batch(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::BatchInsert | Endpoint::BatchOnline | Endpoint::BatchRecycle)
}

/// An answer in the endpoint's envelope.
fn enveloped(endpoint: Endpoint, words: &str) -> ResponseBuilder {
    answer(words).content(JSON, content(Ref::from_schema_name(envelope_name(endpoint))))
}

fn post(endpoint: Endpoint, id: &str, summary: &str) -> Described {
    Described::new(HttpMethod::Post, endpoint.path(), id, summary).header(
        "Idempotency-Key",
        idempotency_key(),
        "Names the request, so that it can be sent again as it was, and is carried out once. A UUID will do.",
    )
}

fn batch(endpoint: Endpoint, operation: Described) -> Described {
    let details = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(json!(false)));
    let operation = operation.query("details", details, "Whether the answer has a verdict for each account.");
    let none = "All accounts were refused, each as the rules say.";
    answered(endpoint, operation)
        .answers(207, kept(endpoint, "Some accounts were refused: `message` says how many, and names the first."))
        .answers(409, kept(endpoint, none))
}

/// What every POST answers.
fn answered(endpoint: Endpoint, operation: Described) -> Described {
    let operation = operation.answers(200, kept(endpoint, "All of it was done."));
    common(endpoint, operation)
        .answers(413, enveloped(endpoint, TOO_LARGE))
        .answers(415, enveloped(endpoint, MEDIA_TYPE))
        .answers(422, enveloped(endpoint, OTHER_REQUEST))
}

/// An answer that is kept under its `Idempotency-Key`.
fn kept(endpoint: Endpoint, words: &str) -> ResponseBuilder {
    let replayed = text_header("`true` where it was given before, to the same request.");
    enveloped(endpoint, words).header("Idempotency-Replayed", replayed)
}

fn common(endpoint: Endpoint, operation: Described) -> Described {
    let challenge = text_header("`Bearer`.");
    operation
        .securities(super::of_callers())
        .answers(400, enveloped(endpoint, BAD))
        .answers(401, enveloped(endpoint, UNKNOWN_CALLER).header("WWW-Authenticate", challenge))
        .answers(403, enveloped(endpoint, FORBIDDEN))
        .answers(429, enveloped(endpoint, TOO_MANY).header("Retry-After", seconds_header()))
        .answers(500, enveloped(endpoint, FAILED))
        .answers(503, enveloped(endpoint, BUSY).header("Retry-After", seconds_header()))
}

fn query(endpoint: Endpoint) -> Described {
    let tag = || text_header("Of this list, to be sent as `If-None-Match`.");
    let operation = Described::new(
        HttpMethod::Get,
        endpoint.path(),
        "queryWhatsAppStatus",
        "Query all customer service account information",
    )
    .words(
        "Every account, the oldest import first, as it is after every command that was answered before this was asked. \
         Compressed for `Accept-Encoding: gzip`.",
    )
    .query("whatsApp", account_digits(), "The one account that is asked for.")
    .header("If-None-Match", text(), "The `ETag` of a list that the caller has.")
    .answers(200, enveloped(endpoint, "The list.").header("ETag", tag()))
    .answers(304, answer("The caller has this list already.").header("ETag", tag()));
    common(endpoint, operation)
}

fn is_well(endpoint: Endpoint, id: &str, summary: &str, statuses: &[u16]) -> Vec<Described> {
    let operation = |method, id: &str| {
        let is_head = matches!(method, HttpMethod::Head);
        let given = |words| if is_head { answer(words) } else { enveloped(endpoint, words) };
        let operation = Described::new(method, endpoint.path(), id, summary)
            .securities(vec![SecurityRequirement::default()])
            .answers(200, given("It does."));
        statuses.iter().fold(operation, |operation, status| {
            operation
                .answers(*status, given("It does not yet, or not any more.").header("Retry-After", seconds_header()))
        })
    };
    vec![operation(HttpMethod::Get, id), operation(HttpMethod::Head, &format!("{id}Head"))]
}

fn metrics(endpoint: Endpoint) -> Vec<Described> {
    let operation = |method, id: &str| {
        let is_head = matches!(method, HttpMethod::Head);
        let given = if is_head {
            answer("It would be given.")
        } else {
            answer("The metrics.").content(CONTENT_TYPE, content(text()))
        };
        let operation = Described::new(method, endpoint.path(), id, "How the service is, for Prometheus")
            .words("The text format of Prometheus; README lists the metrics.")
            .answers(200, given);
        let refused = |words: &str| if is_head { answer(words) } else { enveloped(endpoint, words) };
        let challenge = text_header("`Bearer`.");
        operation
            .answers(401, refused("No API key, or none that is taken.").header("WWW-Authenticate", challenge))
            .answers(403, refused(FORBIDDEN))
            .answers(429, refused(TOO_MANY).header("Retry-After", seconds_header()))
            .answers(500, refused(FAILED))
            .answers(503, refused(BUSY).header("Retry-After", seconds_header()))
    };
    vec![operation(HttpMethod::Get, "metrics"), operation(HttpMethod::Head, "metricsHead")]
}

/// `{"whatsAppList": […]}`.
fn list_of(one: Object, is_required: bool) -> Object {
    let mut list = Array::new(one);
    list.description = Some(LIST.to_owned());
    if is_required {
        let list = ObjectBuilder::new().property("whatsAppList", list).required("whatsAppList");
        return list.additional_properties(Some(AdditionalProperties::FreeForm(true))).build();
    }
    list.schema_type = SchemaType::Array(vec![Type::Array, Type::Null]);
    ObjectBuilder::new().property("whatsAppList", list).build()
}

/// What a text must look like beyond being one.
fn with_patterns(mut body: Object) -> Object {
    let area = format!("^\\+?[1-9][0-9]{{0,{}}}$", CALLING_CODE_DIGITS_MAX - 1);
    for (name, pattern) in [("phone", "^[0-9]{1,14}$"), ("areaCode", &area), ("countryCode", "^[A-Za-z]{2}$")] {
        if let Some(RefOr::T(Schema::Object(field))) = body.properties.get_mut(name) {
            field.pattern = Some(pattern.to_owned());
            field.max_length = None;
        }
    }
    body
}

/// The document's own.
fn insert_example() -> Value {
    json!({"whatsAppList": [{"whatsApp": "861821726232", "whatsappType": 1, "name": "lee", "avatar": "wwww.baiux.com/1.img",
        "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "", "accountId": "", "nextKeyId": "",
        "registrationId": "", "deviceParams": ""}]})
}

/// Likewise.
fn online_example() -> Value {
    json!({"whatsAppList": [{"whatsApp": "861821726232", "whatsappType": 1, "override": false, "name": "lee",
        "avatar": "wwww.baiux.com/1.img", "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "",
        "accountId": "", "nextKeyId": "", "registrationId": "", "deviceParams": ""}]})
}
