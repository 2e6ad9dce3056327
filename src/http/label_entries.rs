//! The object `labels` of a request, as sent.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema};

use super::json_values::{JsonText, ValueSchema, reject};
use crate::audit::LabelsView;
use crate::domain::{InvalidLabels, Labels};
use crate::limits::ACCOUNT_LABELS;

/// Names and values in the order of the request. A repeated name is here twice.
pub(super) struct LabelEntries(Vec<(String, String)>);

impl LabelEntries {
    /// The labels, if they are valid.
    pub(super) fn parse(self) -> Result<Labels, InvalidLabels> {
        Labels::new(self.0)
    }
}

impl ValueSchema for LabelEntries {
    fn schema() -> ObjectBuilder {
        match LabelsView::schema() {
            RefOr::T(Schema::Object(object)) => object.into(),
            RefOr::T(_) | RefOr::Ref(_) => ObjectBuilder::new(),
        }
    }
}

impl<'de> Deserialize<'de> for LabelEntries {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<LabelEntries, D::Error> {
        struct LabelEntriesVisitor;

        impl<'de> Visitor<'de> for LabelEntriesVisitor {
            type Value = LabelEntries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LabelEntries, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, JsonText<'de>>()? {
                    // One more than allowed is enough to reject them.
                    if entries.len() <= ACCOUNT_LABELS {
                        entries.push((name, value.to_owned()));
                    }
                }
                Ok(LabelEntries(entries))
            }

            reject!("an object", not boolean number string null list);
        }

        json.deserialize_any(LabelEntriesVisitor)
    }
}
