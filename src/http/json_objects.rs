//! JSON objects of the contract's requests, with the fields as sent.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, SchemaType, Type};

use super::json_values::{EnumCode, JsonText, ValueSchema, reject};
use crate::domain::{AccountType, VerifyType};

/// Reads `{"whatsAppList": [T, …]}`; `None` if the list is missing or null.
pub(super) struct AccountListSeed<T> {
    /// Maximum number of entries. They are counted while reading, so that a body of empty entries cannot fill the memory.
    max: usize,
    unknown_fields: UnknownFields,
    entry: PhantomData<T>,
}

/// How to treat fields that the contract does not define.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum UnknownFields {
    Ignore,
    Reject,
}

const GIVEN_TWICE: &str = "is given twice; give it once";
const NO_SUCH_FIELD: &str =
    "is not a field of this request; the only field is whatsAppList, and leaving it out means all accounts";

/// Defines a struct with one optional field per key: `None` if the key is missing or null. Unknown keys are ignored; a
/// repeated key is an error. The doc comment of a key is its description in OpenAPI.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident<'a> { $($(#[doc = $words:literal])+ $key:literal => $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        pub(super) struct $name<'a> {
            $(pub(super) $field: Option<$type>,)+
        }

        impl<'a> $name<'a> {
            /// The OpenAPI schema. Fields that are not `required` may be null.
            pub(super) fn schema(required: &[&str]) -> Object {
                object_schema([$(($key, concat!($($words),+), <$type>::schema()),)+], required)
            }
        }

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                struct JsonObjectVisitor<'a>(PhantomData<&'a str>);

                impl<'de: 'a, 'a> Visitor<'de> for JsonObjectVisitor<'a> {
                    type Value = $name<'a>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        $(let mut $field = None::<Option<$type>>;)+
                        while let Some(key) = map.next_key::<JsonObjectKey<'de>>()? {
                            match &*key.0 {
                                $($key => read_once(&mut map, &mut $field)?,)+
                                _ => drop(map.next_value::<IgnoredAny>()?),
                            }
                        }
                        Ok($name { $($field: $field.flatten(),)+ })
                    }

                    reject!("an object", not boolean number string null list);
                }

                json.deserialize_any(JsonObjectVisitor(PhantomData))
            }
        }
    };
}

object! {
    /// The body of submitPhone.
    PhoneFields<'a> {
        /// The phone number: digits only, without the area code; 7 to 15 digits together with it.
        "phone" => phone: JsonText<'a>,
        /// How the code reaches the phone: 0 sms, 1 voice, 2 missed call, 3 internal verification.
        "verifyType" => verify_type: EnumCode<VerifyType>,
        /// 1 personal, 2 business.
        "accountType" => account_type: EnumCode<AccountType>,
        /// The calling code, such as `+86`; the plus is optional.
        "areaCode" => area_code: JsonText<'a>,
        /// ISO 3166-1 alpha-2; must be a country of the calling code.
        "countryCode" => country_code: JsonText<'a>,
    }
}

object! {
    /// The body of submitVerifyCode.
    CodeFields<'a> {
        /// The phone number, as in submitPhone.
        "phone" => phone: JsonText<'a>,
        /// The calling code, as in submitPhone.
        "areaCode" => area_code: JsonText<'a>,
        /// The code that reached the phone; at most 64 bytes. It is sealed on arrival.
        "verifyCode" => verify_code: JsonText<'a>,
    }
}

// === AccountListSeed ===

impl<T> AccountListSeed<T> {
    /// At most `max` entries.
    pub(super) fn new(max: usize, unknown_fields: UnknownFields) -> AccountListSeed<T> {
        AccountListSeed { max, unknown_fields, entry: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for AccountListSeed<T> {
    type Value = Option<Vec<T>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for AccountListSeed<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut list = None;
        while let Some(key) = map.next_key::<JsonObjectKey<'de>>()? {
            match &*key.0 {
                "whatsAppList" if list.is_some() => map.next_value_seed(RejectValue(GIVEN_TWICE))?,
                "whatsAppList" => {
                    list = Some(map.next_value_seed(ListItemsSeed { max: self.max, entry: PhantomData })?);
                }
                _ => match self.unknown_fields {
                    UnknownFields::Ignore => drop(map.next_value::<IgnoredAny>()?),
                    UnknownFields::Reject => map.next_value_seed(RejectValue(NO_SUCH_FIELD))?,
                },
            }
        }
        Ok(list.flatten())
    }

    reject!("an object", not boolean number string null list);
}

/// Reads the list of an [`AccountListSeed`]; `None` if it is null.
struct ListItemsSeed<T> {
    max: usize,
    entry: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for ListItemsSeed<T> {
    type Value = Option<Vec<T>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListItemsSeed<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == self.max {
                let words = format_args!("has more than {} entries; send them in several requests", self.max);
                return Err(de::Error::custom(words));
            }
            entries.push(entry);
        }
        Ok(Some(entries))
    }

    reject!("a list", not boolean number string object);
}

// === Keys and rejected values ===

/// A key, borrowed unless it contains escapes.
pub(super) struct JsonObjectKey<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonObjectKey<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<JsonObjectKey<'a>, D::Error> {
        struct JsonObjectKeyVisitor;

        impl<'de> Visitor<'de> for JsonObjectKeyVisitor {
            type Value = JsonObjectKey<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<JsonObjectKey<'de>, E> {
                Ok(JsonObjectKey(Cow::Borrowed(key)))
            }

            fn visit_str<E: de::Error>(self, key: &str) -> Result<JsonObjectKey<'de>, E> {
                Ok(JsonObjectKey(Cow::Owned(key.to_owned())))
            }
        }

        json.deserialize_str(JsonObjectKeyVisitor)
    }
}

/// Schema of an object with these fields: key, description, schema of the value. Other fields are allowed.
pub(super) fn object_schema(
    fields: impl IntoIterator<Item = (&'static str, &'static str, ObjectBuilder)>,
    required: &[&str],
) -> Object {
    let mut object = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(true)));
    for (key, words, schema) in fields {
        let mut field = schema.description(Some(words.trim())).build();
        if required.contains(&key) {
            object = object.required(key);
        } else {
            field.schema_type = match field.schema_type {
                SchemaType::Type(one) => SchemaType::Array(vec![one, Type::Null]),
                several @ (SchemaType::Array(_) | SchemaType::AnyValue) => several,
            };
            field.enum_values.iter_mut().for_each(|values| values.push(serde_json::Value::Null));
        }
        object = object.property(key, field);
    }
    object.build()
}

/// Reads the value of a key. A repeated key is an error.
pub(super) fn read_once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    slot: &mut Option<T>,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return map.next_value_seed(RejectValue(GIVEN_TWICE));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}

/// Rejects any value. It fails at the value, not at the key, so that the error's path includes the key.
struct RejectValue(&'static str);

impl<'de> DeserializeSeed<'de> for RejectValue {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(de::Error::custom(self.0))
    }
}
