//! An account's labels as views show them: an object of names and values, sorted by name.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::Labels;
use crate::limits::{ACCOUNT_LABELS, LABEL_BYTES};

/// An account's labels.
#[derive(Clone, Debug)]
pub struct LabelsView(pub Labels);

impl Serialize for LabelsView {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        json.collect_map(self.0.iter())
    }
}

impl PartialSchema for LabelsView {
    fn schema() -> RefOr<Schema> {
        // The limits count bytes, but `maxLength` counts characters. A character has at least one byte.
        let text = || ObjectBuilder::new().schema_type(Type::String).max_length(Some(LABEL_BYTES));
        let name = text().min_length(Some(1)).pattern(Some("^[^:]+$"));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "An account's labels: names and values, without control characters. A name has no colon; a value may \
                 be empty.",
            ))
            .property_names(Some(name))
            .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(text().build().into()))))
            .max_properties(Some(ACCOUNT_LABELS))
            .examples([serde_json::json!({"team": "care", "tier": "gold"})])
            .into()
    }
}

impl ToSchema for LabelsView {
    fn name() -> Cow<'static, str> {
        "Labels".into()
    }
}
