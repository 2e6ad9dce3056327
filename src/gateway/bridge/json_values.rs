//! Strictly typed readers for a gateway's JSON: values, lists and objects. Errors are sentences that name the field.
//!
//! An error gives the kind of the wrong value, never the value: a gateway that confuses fields may have put a secret
//! there.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};

use crate::domain::escape_controls;
use crate::limits::{BRIDGE_TEXT_BYTES, FIELD_PATH_BYTES};

/// Why a body is malformed: one sentence that names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BridgeBodyError(String);

impl BridgeBodyError {
    /// A fault of the field at `path`. `words` continue the sentence after its name.
    pub(super) fn at(path: &str, words: impl Display) -> BridgeBodyError {
        let path = escape_controls(path);
        match path.floor_char_boundary(FIELD_PATH_BYTES) {
            _ if path == "." => BridgeBodyError(format!("the body {words}")),
            all if all == path.len() => BridgeBodyError(format!("{path} {words}")),
            end => BridgeBodyError(format!("{}… {words}", &path[..end])),
        }
    }

    /// A required field is missing.
    pub(super) fn missing(path: &str) -> BridgeBodyError {
        BridgeBodyError::at(path, "is missing; it is required")
    }
}

/// Reads all of `body`.
pub(super) fn read_body<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, BridgeBodyError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = T::deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    // Tracking the path costs time, so only a faulty body is read again with it.
    read.map_err(|_| explain_fault::<T>(body))
}

fn explain_fault<'de, T: Deserialize<'de>>(body: &'de [u8]) -> BridgeBodyError {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let found = T::deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let Err(error) = found.and_then(|_| json.end()) else { return BridgeBodyError::at(".", "is malformed") };
    let (line, column) = (error.line(), error.column());
    let words = error_text(&error);
    match error.classify() {
        Category::Data => {
            BridgeBodyError::at(&track.path().to_string(), format_args!("{words} (line {line}, column {column})"))
        }
        Category::Syntax | Category::Eof | Category::Io => {
            BridgeBodyError::at(".", format_args!("is not valid JSON: {words} (line {line}, column {column})"))
        }
    }
}

/// The text of `error` without line and column, which count from the start of the text that was parsed.
pub(super) fn error_text(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    words.strip_suffix(&place).unwrap_or(&words).to_owned()
}

/// A type that is read from a single JSON string or number.
pub(super) trait Scalar<'de>: Sized {
    /// What is expected, as in "a string".
    const EXPECTED: &'static str;

    /// Its OpenAPI schema.
    fn json_schema() -> ObjectBuilder;

    /// Reads a JSON string.
    fn from_text(_: Cow<'de, str>) -> Result<Self, String> {
        Err(wrong_kind::<Self>("a string"))
    }

    /// Reads a whole JSON number from 0.
    fn from_number(_: u64) -> Result<Self, String> {
        Err(wrong_kind::<Self>("a number"))
    }
}

fn wrong_kind<'de, S: Scalar<'de>>(found: &str) -> String {
    format!("must be {}, not {found}", S::EXPECTED)
}

/// Generates the visitor methods that refuse kinds of values. Their errors name the kind only.
macro_rules! refuse {
    ($is:expr, not $($kind:ident)+) => { $(refuse!(@ $kind $is);)+ };
    (@ boolean $is:expr) => { refuse!(@@ visit_bool(bool), $is, "a boolean"); };
    (@ number $is:expr) => { refuse!(@@ visit_u64(u64), $is, "a number"); };
    (@ negative $is:expr) => { refuse!(@@ visit_i64(i64), $is, "a negative number"); };
    (@ fraction $is:expr) => { refuse!(@@ visit_f64(f64), $is, "a fraction or a number out of range"); };
    (@ string $is:expr) => { refuse!(@@ visit_str(&str), $is, "a string"); };
    (@ null $is:expr) => {
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Err(E::custom(format_args!("must be {}, not null", $is)))
        }
    };
    (@ list $is:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(de::Error::custom(format_args!("must be {}, not a list", $is)))
        }
    };
    (@ object $is:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(de::Error::custom(format_args!("must be {}, not an object", $is)))
        }
    };
    (@@ $method:ident($type:ty), $is:expr, $found:literal) => {
        fn $method<E: de::Error>(self, _: $type) -> Result<Self::Value, E> {
            Err(E::custom(format_args!("must be {}, not {}", $is, $found)))
        }
    };
}

/// A single value, read from JSON.
pub(super) struct ScalarValue<S>(pub(super) S);

impl<'de, S: Scalar<'de>> Deserialize<'de> for ScalarValue<S> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<ScalarValue<S>, D::Error> {
        json.deserialize_any(ScalarVisitor(PhantomData)).map(ScalarValue)
    }
}

impl<'de, S: Scalar<'de>> BodySchema for ScalarValue<S> {
    fn json_schema() -> Schema {
        S::json_schema().into()
    }
}

struct ScalarVisitor<S>(PhantomData<S>);

impl<'de, S: Scalar<'de>> Visitor<'de> for ScalarVisitor<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::EXPECTED)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<S, E> {
        S::from_text(Cow::Borrowed(text)).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<S, E> {
        S::from_text(Cow::Owned(text.to_owned())).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<S, E> {
        S::from_number(number).map_err(E::custom)
    }

    refuse!(S::EXPECTED, not boolean negative fraction null list object);
}

/// A string, truncated to [`BRIDGE_TEXT_BYTES`].
pub(super) type BoundedText<'a> = Cow<'a, str>;

impl<'de> Scalar<'de> for BoundedText<'de> {
    const EXPECTED: &'static str = "a string";

    fn json_schema() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::String).max_length(Some(BRIDGE_TEXT_BYTES))
    }

    fn from_text(text: Cow<'de, str>) -> Result<BoundedText<'de>, String> {
        let end = text.floor_char_boundary(BRIDGE_TEXT_BYTES);
        Ok(match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
            Cow::Owned(mut text) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        })
    }
}

/// A list of at most `MOST` entries. Reading stops at the first entry beyond this limit.
pub(super) struct BoundedList<T, const MOST: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for BoundedList<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<BoundedList<T, MOST>, D::Error> {
        json.deserialize_any(BoundedListVisitor::<T, MOST>(PhantomData)).map(BoundedList)
    }
}

impl<T: BodySchema, const MOST: usize> BodySchema for BoundedList<T, MOST> {
    fn json_schema() -> Schema {
        Schema::Array(ArrayBuilder::new().items(T::reference()).max_items(Some(MOST)).build())
    }
}

struct BoundedListVisitor<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for BoundedListVisitor<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == MOST {
                return Err(de::Error::custom(format_args!(
                    "has more than {MOST} entries; send them in several parts"
                )));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    refuse!("a list", not boolean number negative fraction string null object);
}

/// An object key. Borrowed unless it contains escapes.
pub(super) struct ObjectKey<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for ObjectKey<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<ObjectKey<'a>, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = ObjectKey<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<ObjectKey<'de>, E> {
                Ok(ObjectKey(Cow::Borrowed(key)))
            }

            fn visit_str<E: de::Error>(self, key: &str) -> Result<ObjectKey<'de>, E> {
                Ok(ObjectKey(Cow::Owned(key.to_owned())))
            }
        }

        json.deserialize_str(KeyVisitor)
    }
}

/// Declares a JSON object and its reader. Each field may be missing or null, and unknown fields are ignored. A repeated key
/// is an error. For an [`Unchecked`](super::unchecked::Unchecked) value it is an error only if the value is used. The doc
/// comment of a key becomes its OpenAPI description.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident<'a> { $($(#[doc = $words:literal])+ $key:literal => $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        pub(super) struct $name<'a> {
            $($field: Option<$type>,)+
            of: PhantomData<&'a ()>,
        }

        impl<'a> $name<'a> {
            /// Its OpenAPI schema. Fields that are not `required` may be null.
            fn object_schema(required: &[&str]) -> Schema {
                let fields = [$(($key, concat!($($words),+), <$type as BodySchema>::json_schema()),)+];
                object_schema(fields.into_iter(), required)
            }
        }

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                struct FieldsReader<'a>(PhantomData<&'a ()>);

                impl<'de: 'a, 'a> ObjectReader<'de> for FieldsReader<'a> {
                    type Value = $name<'a>;

                    fn read_fields<A: MapAccess<'de>>(self, mut map: A) -> Result<$name<'a>, A::Error> {
                        $(let mut $field = None::<Option<$type>>;)+
                        while let Some(key) = map.next_key::<ObjectKey<'de>>()? {
                            match &*key.0 {
                                $($key if $field.is_some() => {
                                    let Some(repeated) = <$type as BodySchema>::repeated() else {
                                        return Err(de::Error::custom(concat!("has ", $key, " twice; give it once")));
                                    };
                                    map.next_value::<IgnoredAny>()?;
                                    $field = Some(Some(repeated));
                                })+
                                $($key => $field = Some(map.next_value()?),)+
                                _ => drop(map.next_value::<IgnoredAny>()?),
                            }
                        }
                        Ok($name { $($field: $field.flatten(),)+ of: PhantomData })
                    }
                }

                json.deserialize_any(ObjectVisitor(FieldsReader(PhantomData)))
            }
        }
    };
}

pub(super) use object;

/// Reads the fields of an object.
pub(super) trait ObjectReader<'de> {
    /// The object that the fields make up.
    type Value;

    /// Reads all fields.
    fn read_fields<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error>;
}

/// Visits an object, and refuses any other value by its kind.
pub(super) struct ObjectVisitor<F>(pub(super) F);

impl<'de, F: ObjectReader<'de>> Visitor<'de> for ObjectVisitor<F> {
    type Value = F::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<F::Value, A::Error> {
        self.0.read_fields(map)
    }

    refuse!("an object", not boolean number negative fraction string null list);
}

/// A part of a body that has an OpenAPI schema.
pub(super) trait BodySchema {
    /// Its type and bounds.
    fn json_schema() -> Schema;

    /// The schema, or a reference to it if it has a name.
    fn reference() -> RefOr<Schema> {
        RefOr::T(Self::json_schema())
    }

    /// The value of a key that is given twice. `None` if a repeated key is an error.
    fn repeated() -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
}

/// The OpenAPI schema of an object with these fields, each with its key and description. Other fields are allowed.
pub(super) fn object_schema(
    fields: impl Iterator<Item = (&'static str, &'static str, Schema)>,
    required: &[&str],
) -> Schema {
    let mut object = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(true)));
    for (key, words, mut shape) in fields {
        let words = Some(words.trim().to_owned());
        let is_required = required.contains(&key);
        match &mut shape {
            Schema::Object(value) => {
                value.description = words;
                value.schema_type = or_null(value.schema_type.clone(), is_required);
            }
            Schema::Array(list) => {
                list.description = words;
                list.schema_type = or_null(list.schema_type.clone(), is_required);
            }
            // No field here has a composite schema. The wildcard is for variants that the library may add.
            #[allow(clippy::wildcard_enum_match_arm)]
            Schema::OneOf(_) | Schema::AllOf(_) | Schema::AnyOf(_) | _ => {}
        }
        object = if is_required { object.required(key) } else { object };
        object = object.property(key, shape);
    }
    object.into()
}

fn or_null(of: SchemaType, is_required: bool) -> SchemaType {
    match of {
        SchemaType::Type(one) if !is_required => SchemaType::Array(vec![one, Type::Null]),
        same @ (SchemaType::Type(_) | SchemaType::Array(_) | SchemaType::AnyValue) => same,
    }
}
