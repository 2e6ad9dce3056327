//! The OpenAPI document, derived from the types of requests and responses, and Swagger UI.
//!
//! | file | what it knows |
//! |---|---|
//! | `events` | the schema of each type of event |
//! | `webhooks` | the webhooks sent to receivers |
//! | `bridge` | the webhook sent to gateways |
//! | `swagger_ui` | `/openapi.json`, and Swagger UI at `/docs` |

mod bridge;
mod events;
mod swagger_ui;
mod webhooks;

#[cfg(test)]
mod tests;

use utoipa::Number;
use utoipa::openapi::path::PathItemBuilder;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayItems, ComponentsBuilder, KnownFormat, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContactBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Paths, RefOr, Server, ServerBuilder,
};

pub(super) use swagger_ui::routes;

use super::bridge_endpoints::document_bridge;
use super::contract_docs::{api_key_security, envelope_schemas};
use super::endpoint::{Endpoint, Handler, Tag};
use super::endpoint_registry::endpoints;
use super::operation_doc::{OperationDoc, Schemas};
use super::v1::shared_docs::{PROBLEMS, document_v1, shared_problem_response};
use crate::config::HttpSettings;
use crate::domain::Channel;

const API_DESCRIPTION: &str = "The register of a company's WhatsApp customer-service accounts. The documented \
    endpoints respond with an envelope of `data`, `code` and `message`. Its `code` is also the HTTP status; with \
    `http.always_200` the status is 200, except for 413, 429 and 503. `data` has the same type on errors. The \
    endpoints under `/api/v1` are for auditors and operators; their errors are problems (RFC 9457).\n\nAccount numbers \
    are digits, calling code first. Times are RFC 3339 in UTC. Positions and sizes are 64-bit numbers, so responses \
    have them as strings. `x-request-id` is the caller's own (1 to 64 visible ASCII characters), or generated.";

/// Renders the OpenAPI document as JSON.
pub fn render_openapi() -> String {
    render_openapi_at("")
}

/// As [`render_openapi`], for a service under this path.
fn render_openapi_at(base_path: &str) -> String {
    let mut document = build_openapi();
    if !base_path.is_empty() {
        document.servers = Some(vec![Server::new(base_path)]);
    }
    let mut json = serde_json::to_string_pretty(&document).unwrap_or_default();
    json.push('\n');
    json
}

fn build_openapi() -> OpenApi {
    let (mut paths, mut schemas, mut tags) = (Paths::new(), envelope_schemas(), Vec::new());
    for tag in Tag::LISTED {
        let (name, words) = tag.name_and_description();
        let tag_object = TagBuilder::new().name(name).description(Some(words)).build();
        if !tags.contains(&tag_object) {
            tags.push(tag_object);
        }
        for endpoint in endpoints().filter(|endpoint| endpoint.tag == tag) {
            add_operation(&mut paths, &mut schemas, name, document(endpoint));
        }
    }
    let (mut outgoing, tag) = (Paths::new(), "To receivers");
    tags.push(TagBuilder::new().name(tag).description(Some("The webhooks that Muster posts to receivers.")).build());
    for channel in Channel::ALL {
        add_operation(&mut outgoing, &mut schemas, tag, webhooks::receiver_webhook(channel));
    }
    tags.push(
        TagBuilder::new()
            .name("To gateways")
            .description(Some("The commands that Muster posts to an operator's own gateway."))
            .build(),
    );
    add_operation(&mut outgoing, &mut schemas, "To gateways", bridge::command_webhook());
    schemas.extend(events::event_schemas());
    let license = License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Muster")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(API_DESCRIPTION))
        .contact(Some(ContactBuilder::new().name(Some("The operators of this service")).build()))
        .license(Some(license));
    let server = |url: &str, words: &str| ServerBuilder::new().url(url).description(Some(words)).build();
    // Swagger UI sends its requests to the first, and its page may only send them to its own host.
    let servers = [
        server("/", "The host that this description comes from."),
        server(
            &format!("http://{}", HttpSettings::default().listen),
            "A service with the default settings, on this machine.",
        ),
    ];
    OpenApiBuilder::new()
        .info(info)
        .servers(Some(servers))
        .paths(paths)
        .webhooks(Some(outgoing))
        .components(Some(build_components(schemas).build()))
        .security(Some(api_key_security()))
        .tags(Some(tags))
        .build()
}

fn add_operation(paths: &mut Paths, schemas: &mut Schemas, tag: &str, operation: OperationDoc) {
    let (method, path) = (operation.method.clone(), operation.path.clone());
    let (operation, referenced) = operation.build(tag);
    schemas.extend(referenced);
    let item = PathItemBuilder::new().operation(method, operation).build();
    match paths.paths.get_mut(&path) {
        Some(known) => known.merge_operations(item),
        None => drop(paths.paths.insert(path, item)),
    }
}

/// The OpenAPI operation of an endpoint.
fn document(endpoint: &Endpoint) -> OperationDoc {
    match endpoint.handler {
        Handler::V1(_) => document_v1(endpoint),
        Handler::Bridge(_) => document_bridge(endpoint),
        Handler::Contract(..) | Handler::MetaWebhook(_) => (endpoint.document)(endpoint.operation_doc()),
    }
}

fn build_components(schemas: Schemas) -> ComponentsBuilder {
    let schemas = schemas.into_iter().map(|(name, mut schema)| {
        complete_schema(&mut schema);
        set_title(&mut schema, &name);
        (name, schema)
    });
    let header =
        |name: &str, words: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, words)));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("muster_1_…")
        .description(Some(
            "An API key. Until the first key is created, every program on this machine may do everything.",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("apiKey", SecurityScheme::Http(bearer))
        .security_scheme("apiKeyHeader", header("X-API-Key", "The API key in a header of its own."))
        .security_scheme("tenantId", header("tenant_id", "The tenant's id, sent with its token."))
        .security_scheme("tenantTimestamp", header("timestamp", "Unix time in milliseconds, at most 5 min from now."))
        .security_scheme("tenantToken", header("token", "Lower-case hex MD5 of `tenant_id`, `timestamp` and secret."))
        .security_scheme(
            "standardWebhooks",
            header("webhook-signature", "Standard Webhooks signature, if a signing secret is set."),
        )
        .security_scheme(
            "gatewaySecret",
            header("webhook-signature", "Standard Webhooks signature with `gateway.bridge.secret`."),
        )
        .security_scheme("appSecret", header("access_token", "Signature of the API family, if an app secret is set."));
    PROBLEMS.into_iter().fold(components, |components, (status, name, words)| {
        components.response(name, shared_problem_response(status, words).build())
    })
}

/// Generators name a class by the title of its schema.
fn set_title(schema: &mut RefOr<Schema>, name: &str) {
    let RefOr::T(schema) = schema else { return };
    let title = match schema {
        Schema::Object(object) => &mut object.title,
        Schema::Array(array) => &mut array.title,
        Schema::OneOf(one) => &mut one.title,
        Schema::AllOf(all) => &mut all.title,
        Schema::AnyOf(_) | _ => return,
    };
    *title = Some(name.to_owned());
}

fn is_integer(schema_type: &SchemaType) -> bool {
    match schema_type {
        SchemaType::Type(one) => *one == Type::Integer,
        SchemaType::Array(several) => several.contains(&Type::Integer),
        SchemaType::AnyValue => false,
    }
}

/// Completes what the types of Rust say nothing of. Undocumented fields are forbidden in every object that does not allow
/// them explicitly. Whole numbers say how many bits they have, because generators take 32 otherwise.
fn complete_schema(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            object.properties.values_mut().for_each(complete_schema);
            if is_integer(&object.schema_type) && object.format.is_none() {
                let format = if object.enum_values.is_some() { KnownFormat::Int32 } else { KnownFormat::Int64 };
                object.format = Some(SchemaFormat::KnownFormat(format));
                // No code generator knows more than 64 signed bits.
                object.maximum = object.maximum.take().filter(|maximum| *maximum != Number::from(usize::MAX));
            }
            let is_object = serde_json::to_value(&object.schema_type).is_ok_and(|name| name == "object");
            if is_object && object.additional_properties.is_none() {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                complete_schema(items);
            }
        }
        Schema::OneOf(one) => one.items.iter_mut().for_each(complete_schema),
        // With several parts, each has fields that the others do not know.
        Schema::AllOf(all) if all.items.len() == 1 => all.items.iter_mut().for_each(complete_schema),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(complete_schema),
        Schema::AllOf(_) | _ => {}
    }
}
