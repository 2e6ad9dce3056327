//! An account's imported content as views show it: without its secrets.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::encode_hex;
use crate::domain::{Content, ContentField};

/// A content, without its secrets.
pub(crate) struct ContentView<'a>(pub(crate) &'a Content);

/// The content of an order that stored it, and the reason of the order.
pub(crate) struct ContentOrderView<'a> {
    pub(crate) content: ContentView<'a>,
    /// `None` in events of schema version 1, which have no reason.
    pub(crate) reason: Option<&'a str>,
}

// Frozen: the names and the order of the fields. Bundles and exports hold contents in this form.
const ACCOUNT_TYPE: &str = "whatsappType";
const FINGERPRINT: &str = "contentFingerprint";
const REASON: &str = "reason";

fn shown_fields() -> impl Iterator<Item = ContentField> {
    ContentField::ALL.into_iter().filter(|field| !field.is_sealed())
}

impl ContentView<'_> {
    fn serialize_fields<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        let Content { account_type, texts, secrets: _, fingerprint } = self.0;
        object.serialize_entry(ACCOUNT_TYPE, &account_type.code())?;
        for field in shown_fields() {
            let text = texts.get(field);
            if text.is_some() || !field.is_newer() {
                object.serialize_entry(field.name(), &text)?;
            }
        }
        object.serialize_entry(FINGERPRINT, &encode_hex(&fingerprint.0))
    }

    fn object_schema() -> ObjectBuilder {
        let account_type = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(0))
            .description(Some("1 personal, 2 business."));
        let fingerprint = ObjectBuilder::new().schema_type(Type::String).description(Some(
            "Equal for equal content, secrets included. It is keyed, so that guesses of the secrets cannot be tested. \
             Contents that version 0.1 stored with an empty optional text have another one than today's.",
        ));
        let mut object = ObjectBuilder::new()
            .description(Some(
                "An account's imported content without its secrets; fields that the caller left out are null.",
            ))
            .property(ACCOUNT_TYPE, account_type)
            .required(ACCOUNT_TYPE);
        for field in shown_fields() {
            let types = if field.is_required() || field.is_newer() {
                Type::String.into()
            } else {
                SchemaType::Array(vec![Type::String, Type::Null])
            };
            object = object.property(field.name(), ObjectBuilder::new().schema_type(types));
            if !field.is_newer() {
                object = object.required(field.name());
            }
        }
        object.property(FINGERPRINT, fingerprint).required(FINGERPRINT)
    }
}

impl Serialize for ContentView<'_> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        let mut object = json.serialize_map(None)?;
        self.serialize_fields(&mut object)?;
        object.end()
    }
}

impl Serialize for ContentOrderView<'_> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        let mut object = json.serialize_map(None)?;
        self.content.serialize_fields(&mut object)?;
        if let Some(reason) = self.reason {
            object.serialize_entry(REASON, reason)?;
        }
        object.end()
    }
}

impl PartialSchema for ContentView<'_> {
    fn schema() -> RefOr<Schema> {
        ContentView::object_schema().into()
    }
}

impl PartialSchema for ContentOrderView<'_> {
    fn schema() -> RefOr<Schema> {
        let reason = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The reason of the order; empty if there is none. Since schema version 2."));
        ContentView::object_schema().property(REASON, reason).into()
    }
}

impl ToSchema for ContentOrderView<'_> {
    fn name() -> Cow<'static, str> {
        "AccountContentEvent".into()
    }
}

impl ToSchema for ContentView<'_> {
    fn name() -> Cow<'static, str> {
        "AccountContent".into()
    }
}
