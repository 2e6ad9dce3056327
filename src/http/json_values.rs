//! JSON values of requests, strictly typed.
//!
//! serde's own message for a wrong type repeats the value, which may be a private key or a code. The types here name only
//! the kind of the value.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use zeroize::Zeroize;

use crate::domain::{AccountNumber, UnknownEnumValue};
use crate::limits::{ACCOUNT_DIGITS_MAX, ACCOUNT_DIGITS_MIN, TEXT_BYTES};

/// An opaque text: at most [`TEXT_BYTES`] bytes, no U+0000. It borrows from the body unless it contains escapes.
pub(super) struct JsonText<'a>(Cow<'a, str>);

/// Clears owned text from memory, because it may be a secret. Borrowed text is cleared with the body.
impl Drop for JsonText<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

/// An account number, as a string of digits.
pub(super) struct AccountNumberText(pub AccountNumber);

/// An integer code of the contract.
pub(super) struct EnumCode<T>(pub T);

/// A boolean. Any other value becomes `NotBool`, because some endpoints ignore the field.
pub(super) enum LenientBool {
    Bool(bool),
    NotBool,
}

/// The OpenAPI schema of a value.
pub(super) trait ValueSchema {
    /// Its type and bounds.
    fn schema() -> ObjectBuilder;
}

/// The digits of an account number.
pub(super) fn account_number_schema() -> ObjectBuilder {
    let digits = format!("^[1-9][0-9]{{{},{}}}$", ACCOUNT_DIGITS_MIN - 1, ACCOUNT_DIGITS_MAX - 1);
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(digits))
}

impl ValueSchema for JsonText<'_> {
    fn schema() -> ObjectBuilder {
        // The limit counts bytes, but `maxLength` counts characters. A character has at least one byte.
        ObjectBuilder::new().schema_type(Type::String).max_length(Some(TEXT_BYTES))
    }
}

impl ValueSchema for AccountNumberText {
    fn schema() -> ObjectBuilder {
        account_number_schema()
    }
}

impl<T: TryFrom<i64, Error = UnknownEnumValue>> ValueSchema for EnumCode<T> {
    fn schema() -> ObjectBuilder {
        let codes = (0..=9).filter(|code| T::try_from(*code).is_ok());
        ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some(codes))
    }
}

impl ValueSchema for LenientBool {
    fn schema() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::Boolean)
    }
}

// === Values that a visitor rejects ===

/// Visitor methods that reject values and name only their kind.
macro_rules! reject {
    ($expected:literal, not $($kind:ident)+) => { $(reject!(@ $kind $expected);)+ };
    (@ boolean $expected:literal) => { reject!(@@ visit_bool(bool), $expected, "a boolean"); };
    (@ number $expected:literal) => {
        reject!(@@ visit_i64(i64), $expected, "a number");
        reject!(@@ visit_u64(u64), $expected, "a number");
        reject!(@@ visit_f64(f64), $expected, "a number");
    };
    (@ fraction $expected:literal) => { reject!(@@ visit_f64(f64), $expected, "a fraction or a number out of range"); };
    (@ string $expected:literal) => { reject!(@@ visit_str(&str), $expected, "a string"); };
    (@ null $expected:literal) => {
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Err(E::custom(concat!("must be ", $expected, ", not null")))
        }
    };
    (@ list $expected:literal) => {
        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(de::Error::custom(concat!("must be ", $expected, ", not a list")))
        }
    };
    (@ object $expected:literal) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(de::Error::custom(concat!("must be ", $expected, ", not an object")))
        }
    };
    (@@ $method:ident($type:ty), $expected:literal, $found:literal) => {
        fn $method<E: de::Error>(self, _: $type) -> Result<Self::Value, E> {
            Err(E::custom(concat!("must be ", $expected, ", not ", $found)))
        }
    };
}

pub(super) use reject;

// === Text ===

impl Deref for JsonText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonText<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<JsonText<'a>, D::Error> {
        struct JsonTextVisitor;

        impl<'de> Visitor<'de> for JsonTextVisitor {
            type Value = JsonText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<JsonText<'de>, E> {
                check_text(text).map(|()| JsonText(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<JsonText<'de>, E> {
                check_text(text).map(|()| JsonText(Cow::Owned(text.to_owned())))
            }

            reject!("a string", not boolean number null list object);
        }

        json.deserialize_any(JsonTextVisitor)
    }
}

fn check_text<E: de::Error>(text: &str) -> Result<(), E> {
    if text.len() > TEXT_BYTES {
        return Err(E::custom(format_args!("has {} bytes; the limit is {TEXT_BYTES}", text.len())));
    }
    if text.as_bytes().contains(&0) {
        return Err(E::custom("contains the character U+0000; leave it out"));
    }
    Ok(())
}

// === AccountNumberText, EnumCode, LenientBool ===

impl<'de> Deserialize<'de> for AccountNumberText {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<AccountNumberText, D::Error> {
        struct AccountNumberVisitor;

        impl<'de> Visitor<'de> for AccountNumberVisitor {
            type Value = AccountNumberText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AccountNumberText, E> {
                text.parse().map(AccountNumberText).map_err(E::custom)
            }

            reject!("a string of digits", not boolean number null list object);
        }

        json.deserialize_any(AccountNumberVisitor)
    }
}

impl<'de, T: TryFrom<i64, Error = UnknownEnumValue>> Deserialize<'de> for EnumCode<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<EnumCode<T>, D::Error> {
        struct EnumCodeVisitor<T>(PhantomData<T>);

        impl<'de, T: TryFrom<i64, Error = UnknownEnumValue>> Visitor<'de> for EnumCodeVisitor<T> {
            type Value = EnumCode<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }

            fn visit_i64<E: de::Error>(self, code: i64) -> Result<EnumCode<T>, E> {
                T::try_from(code).map(EnumCode).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, code: u64) -> Result<EnumCode<T>, E> {
                self.visit_i64(i64::try_from(code).unwrap_or(i64::MAX))
            }

            reject!("an integer", not boolean fraction string null list object);
        }

        json.deserialize_any(EnumCodeVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for LenientBool {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<LenientBool, D::Error> {
        struct LenientBoolVisitor;

        impl<'de> Visitor<'de> for LenientBoolVisitor {
            type Value = LenientBool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<LenientBool, E> {
                Ok(LenientBool::Bool(flag))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<LenientBool, E> {
                Ok(LenientBool::NotBool)
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<LenientBool, E> {
                Ok(LenientBool::NotBool)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<LenientBool, E> {
                Ok(LenientBool::NotBool)
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<LenientBool, E> {
                Ok(LenientBool::NotBool)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<LenientBool, A::Error> {
                IgnoredAny.visit_seq(list).map(|_| LenientBool::NotBool)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LenientBool, A::Error> {
                IgnoredAny.visit_map(map).map(|_| LenientBool::NotBool)
            }
        }

        json.deserialize_any(LenientBoolVisitor)
    }
}
