//! Schemas of parameters, with their bounds.

use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use crate::domain::{AccountNumber, Channel, EVENT_ID_PATTERN, GatewayKind};
use crate::http::json_values;
use crate::limits::{ACCOUNT_DIGITS_MAX, IDEMPOTENCY_KEY_BYTES, ORDER_REASON_CHARS, PAGE_EVENTS};

/// An account number.
pub(super) fn account_digits() -> ObjectBuilder {
    json_values::account_number_schema().examples([AccountNumber::EXAMPLE.to_string()])
}

/// Any text.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// One of these words.
pub(super) fn one_of<const N: usize>(words: [&str; N]) -> ObjectBuilder {
    text().enum_values(Some(words))
}

/// A 64-bit whole number that is at least `min`.
pub(super) fn number(min: usize) -> ObjectBuilder {
    integer(KnownFormat::Int64).minimum(Some(min))
}

/// A whole number from `min` to `max`.
pub(super) fn small_number(min: usize, max: usize) -> ObjectBuilder {
    integer(KnownFormat::Int32).minimum(Some(min)).maximum(Some(max))
}

fn integer(format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(format)))
}

/// A position or a size of the log: digits, because the numbers of some languages are too small.
pub(super) fn digits() -> ObjectBuilder {
    text().pattern(Some("^[0-9]{1,20}$"))
}

/// Bytes that are not described further.
pub(super) fn binary() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
}

/// The id of an event: a position, from generation 1 on with the generation before it.
pub(super) fn event_id() -> ObjectBuilder {
    text().pattern(Some(EVENT_ID_PATTERN)).examples(["48", "1-48"])
}

/// The page size.
pub(super) fn page_limit() -> ObjectBuilder {
    small_number(1, PAGE_EVENTS)
}

/// A time, or a day.
pub(super) fn time() -> ObjectBuilder {
    text().examples(["2026-11-25T09:30:00Z", "2026-11-25"])
}

/// The `origin` of events.
pub(super) fn origin() -> ObjectBuilder {
    let gateways = GatewayKind::ALL.map(GatewayKind::name).join("|");
    text()
        .pattern(Some(format!("^(service|(caller|operator)(:[1-9][0-9]{{0,17}})?|gateway(:({gateways}))?)$")))
        .examples(["operator", "caller:7", "gateway:bridge"])
}

/// The first digits of account numbers.
pub(super) fn prefix() -> ObjectBuilder {
    text().pattern(Some(format!("^[0-9]{{0,{ACCOUNT_DIGITS_MAX}}}$")))
}

/// Filters by a label, in repeated parameters.
pub(super) fn label_filters() -> Schema {
    ArrayBuilder::new().items(text().min_length(Some(1)).examples(["team:sales"])).build().into()
}

/// A webhook channel.
pub(super) fn channel() -> ObjectBuilder {
    let names = [Channel::short_name, Channel::configuration_id].map(|name| Channel::ALL.map(name));
    text().enum_values(Some(names.into_iter().flatten()))
}

/// An `X-Muster-Reason`.
pub(super) fn order_reason() -> ObjectBuilder {
    text().max_length(Some(ORDER_REASON_CHARS))
}

/// An `Idempotency-Key`.
pub(super) fn idempotency_key() -> ObjectBuilder {
    text().pattern(Some(format!("^[!-~]{{1,{IDEMPOTENCY_KEY_BYTES}}}$")))
}
