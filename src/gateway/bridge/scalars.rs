//! Scalar JSON values from a gateway: integers and account numbers.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::json_values::Scalar;
use crate::domain::AccountNumber;
use crate::limits::{ACCOUNT_DIGITS_MAX, ACCOUNT_DIGITS_MIN};

impl<'de> Scalar<'de> for u64 {
    const EXPECTED: &'static str = "a whole number";

    fn json_schema() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u8)).maximum(Some(u64::MAX as usize))
    }

    fn from_number(number: u64) -> Result<u64, String> {
        Ok(number)
    }
}

impl<'de> Scalar<'de> for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn json_schema() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u8)).maximum(Some(u32::MAX as usize))
    }

    fn from_number(number: u64) -> Result<u32, String> {
        u32::try_from(number).map_err(|_| format!("must be at most {}", u32::MAX))
    }
}

impl<'de> Scalar<'de> for AccountNumber {
    const EXPECTED: &'static str = "a string of digits";

    fn json_schema() -> ObjectBuilder {
        let digits = format!("^[1-9][0-9]{{{},{}}}$", ACCOUNT_DIGITS_MIN - 1, ACCOUNT_DIGITS_MAX - 1);
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(digits))
    }

    fn from_text(text: Cow<'de, str>) -> Result<AccountNumber, String> {
        text.parse().map_err(|malformed: crate::domain::MalformedAccountNumber| malformed.to_string())
    }
}
