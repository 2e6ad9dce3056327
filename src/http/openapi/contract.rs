//! The endpoints of the contract, health and metrics.

use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, Array, Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{HttpMethod, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::http::account_fields::{AccountFields, ImportKind};
use crate::http::contract_endpoints::{ContractEndpoint, EnvelopeData};
use crate::http::envelope::Envelope;
use crate::http::json_objects::{CodeFields, PhoneFields};
use crate::http::operation_doc::{OperationDoc, Schemas, content, response_with_id, retry_after_header, text_header};
use crate::http::parameter_schemas::{account_digits, code_up_to, idempotency_key, text};
use crate::limits::{CALLING_CODE_DIGITS_MAX, TASK_ID_MAX};
use crate::metrics::CONTENT_TYPE;

const JSON: &str = "application/json";

/// Descriptions of the responses, by code.
const MALFORMED: &str =
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

/// The operations of an endpoint.
pub(super) fn operations(endpoint: ContractEndpoint) -> Vec<OperationDoc> {
    match endpoint {
        ContractEndpoint::BatchInsert => {
            let one = AccountFields::shape(ImportKind::Insert);
            let operation = post_operation(endpoint, "batchInsert", "Batch import customer service accounts")
                .describe(
                    "A new number is imported, with `status` 1 and `onlineStatus` 4. The same number with the same content \
                     again is success, and makes no event; with other content it is refused (409): use batchOnline with \
                     `override`.",
                )
                .describe(BATCH_RULES);
            vec![batch_operation(
                endpoint,
                operation.json_body_schema(
                    account_list_schema(one, true),
                    Some(insert_example()),
                    Required::True,
                    LIST,
                ),
            )]
        }
        ContractEndpoint::BatchOnline => {
            let one = AccountFields::shape(ImportKind::Online);
            let operation = post_operation(endpoint, "batchOnline", "Batch online customer service accounts")
                .describe(
                    "An unknown number is imported, then asked online. Of a known one `override` true replaces what is \
                     stored, false keeps it. What is on its way already is success, and makes no event. A banned account \
                     is refused (409), and so is one whose secrets were erased.",
                )
                .describe(BATCH_RULES);
            vec![batch_operation(
                endpoint,
                operation.json_body_schema(
                    account_list_schema(one, true),
                    Some(online_example()),
                    Required::True,
                    LIST,
                ),
            )]
        }
        ContractEndpoint::BatchRecycle => {
            let one = account_digits().description(Some("The account number."));
            let operation = post_operation(endpoint, "batchRecycle", "Batch recycle customer service accounts")
                .describe(
                    "Listed accounts go offline-coming (3), then offline (4). What is offline already is success, and \
                     makes no event; an unknown number is refused (404). Without a list, or with null for it, all accounts \
                     are meant; an empty list means none. Therefore an unknown field is a fault here.",
                )
                .describe(BATCH_RULES);
            let example = json!({"whatsAppList": ["861821726232", "861821726231"]});
            vec![batch_operation(
                endpoint,
                operation.json_body_schema(
                    account_list_schema(one.build(), false),
                    Some(example),
                    Required::True,
                    LIST,
                ),
            )]
        }
        ContractEndpoint::QueryWhatsAppStatus => vec![query_status_operation(endpoint)],
        ContractEndpoint::SubmitPhone => {
            let required = ["phone", "verifyType", "accountType", "areaCode", "countryCode"];
            let body = with_patterns(PhoneFields::shape(&required));
            let example = json!({"phone": "182172623211", "verifyType": 1, "accountType": 2, "areaCode": "+86", "countryCode": "CN"});
            let operation = post_operation(
                endpoint,
                "submitPhone",
                "Customer service account registration (submit phone number)",
            )
            .describe(
                "Begins a registration of the number that `areaCode` and `phone` make. One of the same number that \
                     waits for its code is superseded. The outcome comes by webhook.",
            )
            .json_body_schema(body, Some(example), Required::True, "The phone number.");
            vec![with_post_responses(endpoint, operation)]
        }
        ContractEndpoint::SubmitVerifyCode => {
            let body = with_patterns(CodeFields::shape(&["phone", "areaCode", "verifyCode"]));
            let example = json!({"phone": "1821726232", "verifyCode": "123456", "areaCode": "+86"});
            let summary = "Customer service account registration (submit verification code)";
            let operation = post_operation(endpoint, "submitVerifyCode", summary)
                .describe(
                    "Accepted where a registration of the number waits; the outcome comes by webhook. A refused code is \
                     told as failed (0), and leaves the registration open for another, 5 in all, within \
                     `accounts.registration_lifetime`.",
                )
                .json_body_schema(body, Some(example), Required::True, "The code.");
            let operation = with_post_responses(endpoint, operation);
            vec![
                operation
                    .response(404, envelope_response(endpoint, "No registration of this number waits for a code.")),
            ]
        }
        ContractEndpoint::Health => health_operations(endpoint, "health", "Whether the process runs", &[]),
        ContractEndpoint::Ready => health_operations(endpoint, "ready", "Whether the service takes requests", &[503]),
        ContractEndpoint::Metrics => metrics_operations(endpoint),
        ContractEndpoint::Unknown => Vec::new(),
    }
}

const BATCH_RULES: &str = "A batch is checked whole: one malformed entry, or a number that is listed twice, refuses it with 400, and \
     nothing is stored. A well-formed one is decided account by account.";
const LIST: &str = "The accounts, at most `http.max_batch`, each once.";

/// Schemas of the envelopes, one per type of `data`.
pub(super) fn envelope_schemas() -> Schemas {
    let mut schemas = Vec::new();
    Envelope::schemas(&mut schemas);
    let named = [
        ContractEndpoint::BatchInsert,
        ContractEndpoint::Health,
        ContractEndpoint::SubmitPhone,
        ContractEndpoint::QueryWhatsAppStatus,
    ];
    schemas.extend(named.map(|endpoint| (envelope_name(endpoint).to_owned(), envelope_schema(endpoint))));
    schemas
}

/// Schema of an endpoint's envelope, with the type of its `data`.
fn envelope_schema(endpoint: ContractEndpoint) -> RefOr<Schema> {
    let mut schema = Envelope::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.properties.insert("data".to_owned(), data_schema(endpoint));
        if !is_batch(endpoint) {
            object.properties.shift_remove("results");
        }
    }
    schema
}

fn data_schema(endpoint: ContractEndpoint) -> RefOr<Schema> {
    match endpoint.empty_data() {
        EnvelopeData::Text(_) => text().enum_values(Some([""])).description(Some("Always empty.")).into(),
        EnvelopeData::Number(_) => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(f64::from(TASK_ID_MAX)))
            .description(Some("The task id, from 1 and rising; 0 on errors."))
            .into(),
        EnvelopeData::List(_) => {
            let row = ObjectBuilder::new()
                .property("whatsApp", account_digits().description(Some("The account number.")))
                .property("status", code_up_to(2).description(Some("1 normal, 2 banned.")))
                .property(
                    "onlineStatus",
                    code_up_to(4).description(Some("1 online-coming, 2 online, 3 offline-coming, 4 offline.")),
                );
            let row = ["whatsApp", "status", "onlineStatus"].into_iter().fold(row, ObjectBuilder::required);
            let mut rows = Array::new(row);
            rows.description = Some("The accounts, the oldest first; empty on errors.".to_owned());
            RefOr::T(Schema::Array(rows))
        }
    }
}

fn envelope_name(endpoint: ContractEndpoint) -> &'static str {
    match endpoint.empty_data() {
        EnvelopeData::Text(_) if is_batch(endpoint) => "BatchAnswer",
        EnvelopeData::Text(_) => "Answer",
        EnvelopeData::Number(_) => "TaskAnswer",
        EnvelopeData::List(_) => "AccountListAnswer",
    }
}

fn is_batch(endpoint: ContractEndpoint) -> bool {
    matches!(endpoint, ContractEndpoint::BatchInsert | ContractEndpoint::BatchOnline | ContractEndpoint::BatchRecycle)
}

/// A response in the endpoint's envelope.
fn envelope_response(endpoint: ContractEndpoint, words: &str) -> ResponseBuilder {
    response_with_id(words).content(JSON, content(Ref::from_schema_name(envelope_name(endpoint))))
}

fn post_operation(endpoint: ContractEndpoint, id: &str, summary: &str) -> OperationDoc {
    OperationDoc::new(HttpMethod::Post, endpoint.path(), id, summary).optional_header(
        "Idempotency-Key",
        idempotency_key(),
        "Names the request, so that it can be sent again as it was, and is carried out once. A UUID will do.",
    )
}

fn batch_operation(endpoint: ContractEndpoint, operation: OperationDoc) -> OperationDoc {
    let details = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(json!(false)));
    let operation = operation.query_parameter("details", details, "Whether the answer has a verdict for each account.");
    let none = "All accounts were refused, each as the rules say.";
    with_post_responses(endpoint, operation)
        .response(
            207,
            stored_response(endpoint, "Some accounts were refused: `message` says how many, and names the first."),
        )
        .response(409, stored_response(endpoint, none))
}

/// Adds the responses that all POST endpoints share.
fn with_post_responses(endpoint: ContractEndpoint, operation: OperationDoc) -> OperationDoc {
    let operation = operation.response(200, stored_response(endpoint, "All of it was done."));
    with_common_responses(endpoint, operation)
        .response(413, envelope_response(endpoint, TOO_LARGE))
        .response(415, envelope_response(endpoint, MEDIA_TYPE))
        .response(422, envelope_response(endpoint, OTHER_REQUEST))
}

/// A response that is stored under its `Idempotency-Key`.
fn stored_response(endpoint: ContractEndpoint, words: &str) -> ResponseBuilder {
    let replayed = text_header("`true` where it was given before, to the same request.");
    envelope_response(endpoint, words).header("Idempotency-Replayed", replayed)
}

fn with_common_responses(endpoint: ContractEndpoint, operation: OperationDoc) -> OperationDoc {
    let challenge = text_header("`Bearer`.");
    operation
        .security(super::caller_security())
        .response(400, envelope_response(endpoint, MALFORMED))
        .response(401, envelope_response(endpoint, UNKNOWN_CALLER).header("WWW-Authenticate", challenge))
        .response(403, envelope_response(endpoint, FORBIDDEN))
        .response(429, envelope_response(endpoint, TOO_MANY).header("Retry-After", retry_after_header()))
        .response(500, envelope_response(endpoint, FAILED))
        .response(503, envelope_response(endpoint, BUSY).header("Retry-After", retry_after_header()))
}

fn query_status_operation(endpoint: ContractEndpoint) -> OperationDoc {
    let tag = || text_header("Of this list, to be sent as `If-None-Match`.");
    let operation = OperationDoc::new(
        HttpMethod::Get,
        endpoint.path(),
        "queryWhatsAppStatus",
        "Query all customer service account information",
    )
    .describe(
        "Every account, the oldest import first, as it is after every command that was answered before this was asked. \
         Compressed for `Accept-Encoding: gzip`.",
    )
    .query_parameter("whatsApp", account_digits(), "The one account that is asked for.")
    .optional_header("If-None-Match", text(), "The `ETag` of a list that the caller has.")
    .response(200, envelope_response(endpoint, "The list.").header("ETag", tag()))
    .response(304, response_with_id("The caller has this list already.").header("ETag", tag()));
    with_common_responses(endpoint, operation)
}

fn health_operations(endpoint: ContractEndpoint, id: &str, summary: &str, statuses: &[u16]) -> Vec<OperationDoc> {
    let operation = |method, id: &str| {
        let is_head = matches!(method, HttpMethod::Head);
        let response = |words| if is_head { response_with_id(words) } else { envelope_response(endpoint, words) };
        let operation = OperationDoc::new(method, endpoint.path(), id, summary)
            .security(vec![SecurityRequirement::default()])
            .response(200, response("It does."));
        statuses.iter().fold(operation, |operation, status| {
            operation.response(
                *status,
                response("It does not yet, or not any more.").header("Retry-After", retry_after_header()),
            )
        })
    };
    vec![operation(HttpMethod::Get, id), operation(HttpMethod::Head, &format!("{id}Head"))]
}

fn metrics_operations(endpoint: ContractEndpoint) -> Vec<OperationDoc> {
    let operation = |method, id: &str| {
        let is_head = matches!(method, HttpMethod::Head);
        let response = if is_head {
            response_with_id("It would be given.")
        } else {
            response_with_id("The metrics.").content(CONTENT_TYPE, content(text()))
        };
        let operation = OperationDoc::new(method, endpoint.path(), id, "How the service is, for Prometheus")
            .describe("The text format of Prometheus; README lists the metrics.")
            .response(200, response);
        let refused = |words: &str| if is_head { response_with_id(words) } else { envelope_response(endpoint, words) };
        let challenge = text_header("`Bearer`.");
        operation
            .response(401, refused("No API key, or none that is taken.").header("WWW-Authenticate", challenge))
            .response(403, refused(FORBIDDEN))
            .response(429, refused(TOO_MANY).header("Retry-After", retry_after_header()))
            .response(500, refused(FAILED))
            .response(503, refused(BUSY).header("Retry-After", retry_after_header()))
    };
    vec![operation(HttpMethod::Get, "metrics"), operation(HttpMethod::Head, "metricsHead")]
}

/// `{"whatsAppList": […]}`.
fn account_list_schema(one: Object, is_required: bool) -> Object {
    let mut list = Array::new(one);
    list.description = Some(LIST.to_owned());
    if is_required {
        let list = ObjectBuilder::new().property("whatsAppList", list).required("whatsAppList");
        return list.additional_properties(Some(AdditionalProperties::FreeForm(true))).build();
    }
    list.schema_type = SchemaType::Array(vec![Type::Array, Type::Null]);
    ObjectBuilder::new().property("whatsAppList", list).build()
}

/// Adds the patterns of text fields.
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

/// The example of the contract's document.
fn insert_example() -> Value {
    json!({"whatsAppList": [{"whatsApp": "861821726232", "whatsappType": 1, "name": "lee", "avatar": "wwww.baiux.com/1.img",
        "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "", "accountId": "", "nextKeyId": "",
        "registrationId": "", "deviceParams": ""}]})
}

/// The example of the contract's document.
fn online_example() -> Value {
    json!({"whatsAppList": [{"whatsApp": "861821726232", "whatsappType": 1, "override": false, "name": "lee",
        "avatar": "wwww.baiux.com/1.img", "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "",
        "accountId": "", "nextKeyId": "", "registrationId": "", "deviceParams": ""}]})
}
