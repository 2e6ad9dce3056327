//! The six documented calls.
//!
//! Frozen: methods and paths. The API document defines them, and callers use them.

use futures_util::FutureExt;
use serde_json::{Value, json};
use utoipa::openapi::Ref;
use utoipa::openapi::schema::Object;
use warp::http::Method;

use super::Api;
use super::account_fields::AccountFields;
use super::contract_docs::{LIST, account_list_schema, envelope_response, with_patterns};
use super::contract_envelope::{EndpointResponse, EnvelopeKind};
use super::contract_error::Error;
use super::contract_handlers::{ContractOperation, execute_request};
use super::contract_request::ContractRequest;
use super::endpoint::{BodyLimit, Endpoint, Handler, Tag};
use super::json_objects::{CodeFields, PhoneFields};
use super::operation_doc::{response_with_id, text_header};
use super::parameter_schemas::{account_digits, text};
use super::revocation::abort_when_key_ends;
use super::{idempotency_key, query_whatsapp_status};
use crate::api::{ImportKind, operation};

pub(super) static ENDPOINTS: [Endpoint; 6] = [
    Endpoint {
        method: Method::POST,
        path: "/group-dispatch-api/whatsapp/batchInsert",
        operation: operation::BATCH_INSERT,
        tag: Tag::Documented,
        summary: "Batch import customer service accounts",
        body: BodyLimit::MaxBodyBytes,
        handler: Handler::Contract(EnvelopeKind::Batch, |api, request| {
            execute(api, request, ContractOperation::Import(ImportKind::Insert)).boxed()
        }),
        document: |operation| {
            let one = AccountFields::schema(ImportKind::Insert);
            operation
                .describe(
                    "Imports new accounts, with `status` 1 and `onlineStatus` 4. Repeating an import with the same \
                     content succeeds and records nothing. Other content for a known account is rejected (409): use \
                     batchOnline with `override`.",
                )
                .contract_batch()
                .register_schemas(vec![("ImportedAccount".to_owned(), one.into())])
                .named_json_body("BatchInsertRequest", list_of("ImportedAccount"), insert_example(), LIST)
        },
    },
    Endpoint {
        method: Method::GET,
        path: "/group-dispatch-api/whatsapp/queryWhatsAppStatus",
        operation: operation::QUERY_WHATSAPP_STATUS,
        tag: Tag::Documented,
        summary: "Query all customer service account information",
        body: BodyLimit::Unread,
        handler: Handler::Contract(EnvelopeKind::AccountList, |api, request| query_status(api, request).boxed()),
        document: |operation| {
            let tag = || text_header("The version of this list, for `If-None-Match`.");
            let list = envelope_response(EnvelopeKind::AccountList, "The account list.");
            operation
                .describe(
                    "All accounts, in the order of their first import. The list includes every command that was \
                     answered before this request. Supports `Accept-Encoding: gzip`.",
                )
                .query_parameter("whatsApp", account_digits(), "Return this account only.")
                .optional_header("If-None-Match", text(), "The `ETag` of the list that the caller has.")
                .response(200, list.header("ETag", tag()))
                .response(304, response_with_id("The caller's list is up to date.").header("ETag", tag()))
                .contract_responses(EnvelopeKind::AccountList)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/group-dispatch-api/whatsapp/batchOnline",
        operation: operation::BATCH_ONLINE,
        tag: Tag::Documented,
        summary: "Batch online customer service accounts",
        body: BodyLimit::MaxBodyBytes,
        handler: Handler::Contract(EnvelopeKind::Batch, |api, request| {
            execute(api, request, ContractOperation::Import(ImportKind::Online)).boxed()
        }),
        document: |operation| {
            let one = AccountFields::schema(ImportKind::Online);
            operation
                .describe(
                    "Brings accounts online, and imports unknown ones first. For known accounts, `override` true \
                     replaces the stored content and false keeps it. Accounts that are online or coming online \
                     succeed, and nothing is recorded. Banned accounts and accounts with erased secrets are rejected \
                     (409).",
                )
                .contract_batch()
                .register_schemas(vec![("OnlineAccount".to_owned(), one.into())])
                .named_json_body("BatchOnlineRequest", list_of("OnlineAccount"), online_example(), LIST)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/group-dispatch-api/whatsapp/batchRecycle",
        operation: operation::BATCH_RECYCLE,
        tag: Tag::Documented,
        summary: "Batch recycle customer service accounts",
        body: BodyLimit::MaxBodyBytes,
        handler: Handler::Contract(EnvelopeKind::Batch, |api, request| {
            execute(api, request, ContractOperation::Recycle).boxed()
        }),
        document: |operation| {
            let one = account_digits().description(Some("The account number."));
            let example = json!({"whatsAppList": ["861821726232", "861821726231"]});
            operation
                .describe(
                    "Takes the listed accounts offline: offline-coming (3), then offline (4). Accounts that are \
                     offline succeed, and nothing is recorded; unknown accounts are rejected (404). If the list is \
                     missing or null, all accounts are recycled; an empty list means no account. Unknown fields are \
                     therefore an error here.",
                )
                .contract_batch()
                .named_json_body("BatchRecycleRequest", account_list_schema(one, false), example, LIST)
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/group-dispatch-api/register/submitPhone",
        operation: operation::SUBMIT_PHONE,
        tag: Tag::Documented,
        summary: "Customer service account registration (submit phone number)",
        body: BodyLimit::MaxBodyBytes,
        handler: Handler::Contract(EnvelopeKind::Task, |api, request| {
            execute(api, request, ContractOperation::SubmitPhone).boxed()
        }),
        document: |operation| {
            let required = ["phone", "verifyType", "accountType", "areaCode", "countryCode"];
            let body = with_patterns(PhoneFields::schema(&required));
            let example = json!({"phone": "182172623211", "verifyType": 1, "accountType": 2, "areaCode": "+86", "countryCode": "CN"});
            operation
                .describe(
                    "Starts a registration of the number `areaCode` and `phone`. It supersedes a registration of the \
                     same number that waits for its code. The outcome comes by webhook.",
                )
                .contract_post(EnvelopeKind::Task)
                .named_json_body("SubmitPhoneRequest", body, example, "The phone number.")
        },
    },
    Endpoint {
        method: Method::POST,
        path: "/group-dispatch-api/register/submitVerifyCode",
        operation: operation::SUBMIT_VERIFY_CODE,
        tag: Tag::Documented,
        summary: "Customer service account registration (submit verification code)",
        body: BodyLimit::MaxBodyBytes,
        handler: Handler::Contract(EnvelopeKind::Plain, |api, request| {
            execute(api, request, ContractOperation::SubmitVerifyCode).boxed()
        }),
        document: |operation| {
            let body = with_patterns(CodeFields::schema(&["phone", "areaCode", "verifyCode"]));
            let example = json!({"phone": "1821726232", "verifyCode": "123456", "areaCode": "+86"});
            let none_waits = "No registration of this number waits for a code.";
            operation
                .describe(
                    "Submits the code for a registration that waits for one; the outcome comes by webhook. A wrong \
                     code is reported as failed (0). The registration then accepts another code, up to 5 in all, \
                     within `accounts.registration_lifetime`.",
                )
                .contract_post(EnvelopeKind::Plain)
                .named_json_body("SubmitVerifyCodeRequest", body, example, "The verification code.")
                .response(404, envelope_response(EnvelopeKind::Plain, none_waits))
        },
    },
];

/// Schema of `{"whatsAppList": […]}` with these entries.
fn list_of(entry: &str) -> Object {
    account_list_schema(Ref::from_schema_name(entry), true)
}

/// Executes a call that changes something. With an `Idempotency-Key` it is executed only once.
async fn execute(api: Api, request: ContractRequest, operation: ContractOperation) -> Result<EndpointResponse, Error> {
    match request.idempotency_key.clone() {
        Some(key) => idempotency_key::handle_with_key(&api, key, operation, request).await,
        None => execute_request(&api, operation, request).await.map(EndpointResponse::Outcome),
    }
}

async fn query_status(api: Api, request: ContractRequest) -> Result<EndpointResponse, Error> {
    let ContractRequest { head, requester, .. } = request;
    let list =
        query_whatsapp_status::handle(&api, &head.query, &head.headers, requester.authorize()?.context()).await?;
    Ok(EndpointResponse::Raw(abort_when_key_ends(list, requester)))
}

/// The example in the contract.
fn insert_example() -> Value {
    json!({"whatsAppList": [{"whatsApp": "861821726232", "whatsappType": 1, "name": "lee", "avatar": "wwww.baiux.com/1.img",
        "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "", "accountId": "", "nextKeyId": "",
        "registrationId": "", "deviceParams": ""}]})
}

/// The example in the contract.
fn online_example() -> Value {
    json!({"whatsAppList": [{"whatsApp": "861821726232", "whatsappType": 1, "override": false, "name": "lee",
        "avatar": "wwww.baiux.com/1.img", "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "",
        "accountId": "", "nextKeyId": "", "registrationId": "", "deviceParams": ""}]})
}
