//! What the documented calls share in the OpenAPI document: envelopes, responses, security.

use utoipa::openapi::schema::{
    AdditionalProperties, Array, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::contract_envelope::{Envelope, EnvelopeKind};
use super::operation_doc::{OperationDoc, Schemas, content, response_with_id, retry_after_header, text_header};
use super::parameter_schemas::{account_digits, idempotency_key, order_reason, text};
use crate::audit::{OnlineStatusCode, StatusCode};
use crate::limits::CALLING_CODE_DIGITS_MAX;

/// Descriptions of the responses, by code.
const MALFORMED: &str =
    "The body, the query or the `Idempotency-Key` is malformed: `message` names the field. Nothing was done.";
const UNKNOWN_CALLER: &str = "The API key is missing or not accepted: `code` is 401. Or the tenant's token is not \
    accepted. Then `code` is 502 (timestamp too far from now), 518 (timestamp missing), 519 (timestamp malformed), 522 \
    (wrong token), 523 (`tenant_id` missing) or 525 (`token` missing).";
pub(super) const FORBIDDEN: &str = "The API key lacks the permission, or is limited to other accounts. While there are \
    no API keys, requests from other sites' web pages or through a reverse proxy get this too.";
const TOO_LARGE: &str = "The body is larger than `http.max_body_bytes`. Nothing was done.";
const MEDIA_TYPE: &str = "The body is not JSON in UTF-8, or it is compressed. Nothing was done.";
const OTHER_REQUEST: &str = "The `Idempotency-Key` was used with another body. Nothing was done.";
pub(super) const TOO_MANY: &str = "Too many requests with one API key, or from one address. Nothing was done.";
pub(super) const FAILED: &str = "The service failed. The request may have been carried out.";
pub(super) const BUSY: &str = "The service is starting, stopping or overloaded, and nothing was done. Or there was no \
    response within `http.request_timeout`, and the request may have been carried out.";

/// The schema of an account in the account list.
const LIST_ENTRY: &str = "AccountListEntry";

const BATCH_RULES: &str = "A batch is validated as a whole: a malformed or repeated entry rejects it with 400, and \
    nothing is stored. The accounts of a valid batch are decided one by one.";
pub(super) const LIST: &str = "At most `http.max_batch` accounts, each once.";

/// Schemas of the envelopes, one for each kind.
pub(super) fn envelope_schemas() -> Schemas {
    let mut schemas = Vec::new();
    Envelope::schemas(&mut schemas);
    schemas.push((LIST_ENTRY.to_owned(), list_entry_schema()));
    schemas.extend(EnvelopeKind::ALL.map(|kind| (envelope_name(kind).to_owned(), envelope_schema(kind))));
    schemas
}

/// Schema of an envelope, with the type of its `data`.
fn envelope_schema(kind: EnvelopeKind) -> RefOr<Schema> {
    let mut schema = Envelope::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.properties.insert("data".to_owned(), data_schema(kind));
        if kind != EnvelopeKind::Batch {
            object.properties.shift_remove("results");
        }
    }
    schema
}

/// Schema of an account in the account list.
fn list_entry_schema() -> RefOr<Schema> {
    let entry = ObjectBuilder::new()
        .description(Some("An account of the account list."))
        .property("whatsApp", account_digits().description(Some("The account number.")))
        .property("status", Ref::from_schema_name(StatusCode::name()))
        .property("onlineStatus", Ref::from_schema_name(OnlineStatusCode::name()));
    ["whatsApp", "status", "onlineStatus"].into_iter().fold(entry, ObjectBuilder::required).into()
}

fn data_schema(kind: EnvelopeKind) -> RefOr<Schema> {
    match kind {
        EnvelopeKind::Plain | EnvelopeKind::Batch => {
            text().enum_values(Some([""])).description(Some("Always empty.")).into()
        }
        EnvelopeKind::Task => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(0))
            .description(Some("The task id: it rises from 1, and is 0 on errors."))
            .into(),
        EnvelopeKind::AccountList => {
            let mut rows = Array::new(Ref::from_schema_name(LIST_ENTRY));
            rows.description = Some("The accounts, oldest first; empty on errors.".to_owned());
            RefOr::T(Schema::Array(rows))
        }
    }
}

fn envelope_name(kind: EnvelopeKind) -> &'static str {
    match kind {
        EnvelopeKind::Plain => "Answer",
        EnvelopeKind::Batch => "BatchAnswer",
        EnvelopeKind::Task => "TaskAnswer",
        EnvelopeKind::AccountList => "AccountListAnswer",
    }
}

/// A response in an envelope.
pub(super) fn envelope_response(kind: EnvelopeKind, words: &str) -> ResponseBuilder {
    response_with_id(words).content("application/json", content(Ref::from_schema_name(envelope_name(kind))))
}

/// A response that is stored under its `Idempotency-Key`.
fn stored_response(kind: EnvelopeKind, words: &str) -> ResponseBuilder {
    let replayed = text_header("`true` if this is the stored response of the same request.");
    envelope_response(kind, words).header("Idempotency-Replayed", replayed)
}

impl OperationDoc {
    /// Adds what all POST endpoints of the contract share.
    pub(super) fn contract_post(self, kind: EnvelopeKind) -> OperationDoc {
        self.optional_header(
            "Idempotency-Key",
            idempotency_key(),
            "Identifies the request, so that retrying it unchanged does not repeat its effect. For example a UUID.",
        )
        .optional_header(
            "X-Muster-Reason",
            order_reason(),
            "Why the order is given, on one line, in UTF-8. It stands in the events that the order makes, for good.",
        )
        .response(200, stored_response(kind, "The request was carried out in full."))
        .contract_responses(kind)
        .response(413, envelope_response(kind, TOO_LARGE))
        .response(415, envelope_response(kind, MEDIA_TYPE))
        .response(422, envelope_response(kind, OTHER_REQUEST))
    }

    /// Adds what the endpoints for batches share.
    pub(super) fn contract_batch(self) -> OperationDoc {
        let (kind, details) = (EnvelopeKind::Batch, ObjectBuilder::new().schema_type(Type::Boolean));
        let partly = "Some accounts were rejected: `message` has their number, and names the first ones.";
        self.contract_post(kind)
            .query_parameter(
                "details",
                details,
                "Whether the response has a result for each account. It has none by default.",
            )
            .describe(BATCH_RULES)
            .response(207, stored_response(kind, partly))
            .response(409, stored_response(kind, "All accounts were rejected. `message` names the first ones."))
    }

    /// Adds the responses and the security that all documented calls share.
    pub(super) fn contract_responses(self, kind: EnvelopeKind) -> OperationDoc {
        let challenge = text_header("`Bearer`.");
        self.security(caller_security())
            .response(400, envelope_response(kind, MALFORMED))
            .response(401, envelope_response(kind, UNKNOWN_CALLER).header("WWW-Authenticate", challenge))
            .response(403, envelope_response(kind, FORBIDDEN))
            .response(429, envelope_response(kind, TOO_MANY).header("Retry-After", retry_after_header()))
            .response(500, envelope_response(kind, FAILED))
            .response(503, envelope_response(kind, BUSY).header("Retry-After", retry_after_header()))
    }
}

/// Security for API keys. Anonymous requests are allowed while no key exists.
pub(super) fn api_key_security() -> Vec<SecurityRequirement> {
    let single = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    vec![single("apiKey"), single("apiKeyHeader"), SecurityRequirement::default()]
}

/// Security for API keys or tenant tokens.
fn caller_security() -> Vec<SecurityRequirement> {
    let scopes = Vec::<String>::new;
    let token =
        SecurityRequirement::new("tenantId", scopes()).add("tenantTimestamp", scopes()).add("tenantToken", scopes());
    api_key_security().into_iter().chain([token]).collect()
}

/// Schema of `{"whatsAppList": […]}`.
pub(super) fn account_list_schema(one: impl Into<RefOr<Schema>>, is_required: bool) -> Object {
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
pub(super) fn with_patterns(mut body: Object) -> Object {
    let area = format!("^\\+?[1-9][0-9]{{0,{}}}$", CALLING_CODE_DIGITS_MAX - 1);
    for (name, pattern) in [("phone", "^[0-9]{1,14}$"), ("areaCode", &area), ("countryCode", "^[A-Za-z]{2}$")] {
        if let Some(RefOr::T(Schema::Object(field))) = body.properties.get_mut(name) {
            field.pattern = Some(pattern.to_owned());
            field.max_length = None;
        }
    }
    body
}
