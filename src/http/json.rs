//! The JSON values of requests, strictly typed.
//!
//! serde's own words for a wrong type repeat the value, which may be a private key or a code. The types here say what
//! kind of value they found, never which.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use zeroize::Zeroize;

use crate::domain::{AccountNumber, UnknownTerm};
use crate::limits::{ACCOUNT_DIGITS_MAX, ACCOUNT_DIGITS_MIN, TEXT_BYTES};

/// An opaque text: at most [`TEXT_BYTES`] bytes, no U+0000. It borrows from the body where nothing is escaped in it.
pub(super) struct Text<'a>(Cow<'a, str>);

/// It may be a secret, so what is its own is cleared from memory; what it borrows is the body's to clear.
impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

/// An account number, as a string of digits.
pub(super) struct Number(pub AccountNumber);

/// An integer that stands for a term of the contract.
pub(super) struct Term<T>(pub T);

/// A boolean where one is required; whatever else stands there is kept as `Other`, for endpoints that ignore the field.
pub(super) enum Flag {
    Is(bool),
    Other,
}

/// How a value is described to those who send it.
pub(super) trait Shape {
    /// Its type and bounds.
    fn shape() -> ObjectBuilder;
}

/// The digits of an account number.
pub(super) fn account_digits() -> ObjectBuilder {
    let digits = format!("^[1-9][0-9]{{{},{}}}$", ACCOUNT_DIGITS_MIN - 1, ACCOUNT_DIGITS_MAX - 1);
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(digits))
}

impl Shape for Text<'_> {
    fn shape() -> ObjectBuilder {
        // A character has one byte at least.
        ObjectBuilder::new().schema_type(Type::String).max_length(Some(TEXT_BYTES))
    }
}

impl Shape for Number {
    fn shape() -> ObjectBuilder {
        account_digits()
    }
}

impl<T: TryFrom<i64, Error = UnknownTerm>> Shape for Term<T> {
    fn shape() -> ObjectBuilder {
        let codes = (0..=9).filter(|code| T::try_from(*code).is_ok());
        ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some(codes))
    }
}

impl Shape for Flag {
    fn shape() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::Boolean)
    }
}

// === The kinds of values that a visitor does not take ===

/// The methods by which a visitor refuses kinds of values, naming the kind alone.
macro_rules! refuse {
    ($expected:literal, not $($kind:ident)+) => { $(refuse!(@ $kind $expected);)+ };
    (@ boolean $expected:literal) => { refuse!(@@ visit_bool(bool), $expected, "a boolean"); };
    (@ number $expected:literal) => {
        refuse!(@@ visit_i64(i64), $expected, "a number");
        refuse!(@@ visit_u64(u64), $expected, "a number");
        refuse!(@@ visit_f64(f64), $expected, "a number");
    };
    (@ fraction $expected:literal) => { refuse!(@@ visit_f64(f64), $expected, "a fraction or a number out of range"); };
    (@ string $expected:literal) => { refuse!(@@ visit_str(&str), $expected, "a string"); };
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

pub(super) use refuse;

// === Text ===

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Text<'a>, D::Error> {
        struct Chars;

        impl<'de> Visitor<'de> for Chars {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                check_text(text).map(|()| Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                check_text(text).map(|()| Text(Cow::Owned(text.to_owned())))
            }

            refuse!("a string", not boolean number null list object);
        }

        json.deserialize_any(Chars)
    }
}

fn check_text<E: de::Error>(text: &str) -> Result<(), E> {
    if text.len() > TEXT_BYTES {
        return Err(E::custom(format_args!("has {} bytes; at most {TEXT_BYTES} are taken", text.len())));
    }
    if text.as_bytes().contains(&0) {
        return Err(E::custom("contains the character U+0000; leave it out"));
    }
    Ok(())
}

// === Number, Term, Flag ===

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Number, D::Error> {
        struct Digits;

        impl<'de> Visitor<'de> for Digits {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(E::custom)
            }

            refuse!("a string of digits", not boolean number null list object);
        }

        json.deserialize_any(Digits)
    }
}

impl<'de, T: TryFrom<i64, Error = UnknownTerm>> Deserialize<'de> for Term<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Term<T>, D::Error> {
        struct Integer<T>(PhantomData<T>);

        impl<'de, T: TryFrom<i64, Error = UnknownTerm>> Visitor<'de> for Integer<T> {
            type Value = Term<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }

            fn visit_i64<E: de::Error>(self, code: i64) -> Result<Term<T>, E> {
                T::try_from(code).map(Term).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, code: u64) -> Result<Term<T>, E> {
                self.visit_i64(i64::try_from(code).unwrap_or(i64::MAX))
            }

            refuse!("an integer", not boolean fraction string null list object);
        }

        json.deserialize_any(Integer(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Flag, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag::Is(flag))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Flag, E> {
                Ok(Flag::Other)
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Flag, E> {
                Ok(Flag::Other)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Flag, E> {
                Ok(Flag::Other)
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Flag, E> {
                Ok(Flag::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Flag, A::Error> {
                IgnoredAny.visit_seq(list).map(|_| Flag::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Flag, A::Error> {
                IgnoredAny.visit_map(map).map(|_| Flag::Other)
            }
        }

        json.deserialize_any(Anything)
    }
}
