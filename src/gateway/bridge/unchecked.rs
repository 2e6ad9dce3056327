//! JSON from a gateway that is checked later, because another field decides whether it is used at all.

use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::Schema;

use super::json_values::{BodySchema, Scalar, ScalarValue, error_text};

/// A value that is checked only when it is used. Another field decides that. An unused value may have any form.
pub(super) struct Unchecked<'a, S> {
    /// The JSON text; `None` if the key appeared twice.
    json: Option<&'a RawValue>,
    of: PhantomData<S>,
}

impl<'a, S: Scalar<'a>> Unchecked<'a, S> {
    /// Returns the value. The error continues a sentence that begins with the field's name.
    pub(super) fn check(self) -> Result<S, String> {
        let json = self.json.ok_or("is given twice; give it once")?;
        serde_json::from_str::<ScalarValue<S>>(json.get())
            .map(|ScalarValue(value)| value)
            .map_err(|error| error_text(&error))
    }
}

impl<'de: 'a, 'a, S> Deserialize<'de> for Unchecked<'a, S> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Unchecked<'a, S>, D::Error> {
        <&RawValue>::deserialize(json).map(|json| Unchecked { json: Some(json), of: PhantomData })
    }
}

impl<'a, S: Scalar<'a>> BodySchema for Unchecked<'a, S> {
    fn json_schema() -> Schema {
        S::json_schema().into()
    }

    fn repeated() -> Option<Self> {
        Some(Unchecked { json: None, of: PhantomData })
    }
}
