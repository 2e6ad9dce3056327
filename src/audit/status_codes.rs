//! The schemas of the statuses' codes: the same in every answer, event and webhook.

use std::borrow::Cow;

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An account's `status`.
pub struct StatusCode;

/// An account's `onlineStatus`.
pub struct OnlineStatusCode;

/// Codes from 1 on. Generated clients call them by these names.
fn codes<const N: usize>(names: [&str; N], words: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .enum_values(Some(1..=N))
        .description(Some(words))
        .extensions(Some(ExtensionsBuilder::new().add("x-enum-varnames", names.as_slice()).build()))
        .into()
}

impl PartialSchema for StatusCode {
    fn schema() -> RefOr<Schema> {
        codes(["NORMAL", "BANNED"], "1 normal, 2 banned.")
    }
}

impl ToSchema for StatusCode {
    fn name() -> Cow<'static, str> {
        "Status".into()
    }
}

impl PartialSchema for OnlineStatusCode {
    fn schema() -> RefOr<Schema> {
        codes(
            ["ONLINE_COMING", "ONLINE", "OFFLINE_COMING", "OFFLINE"],
            "1 online-coming, 2 online, 3 offline-coming, 4 offline.",
        )
    }
}

impl ToSchema for OnlineStatusCode {
    fn name() -> Cow<'static, str> {
        "OnlineStatus".into()
    }
}
