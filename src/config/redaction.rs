//! Shows values in errors and in `muster config`, without secrets.

use figment::value::Value;

use crate::client::{NOT_A_URL, redact_url};
use crate::limits::SHOWN_VALUE_CHARACTERS;

/// The value as JSON, with URLs redacted.
pub(super) fn redact_value(value: &Value, is_url: bool) -> serde_json::Value {
    let text = |text: &str| if is_url || text.contains("://") { redact_url(text) } else { text.to_owned() };
    match value {
        Value::String(_, value) => text(value).into(),
        Value::Array(_, values) => values.iter().map(|value| redact_value(value, is_url)).collect(),
        Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) | Value::Dict(..) => {
            serde_json::to_value(value).unwrap_or_default()
        }
    }
}

/// Continues the sentence "must be …" with the actual value, as far as it may be displayed.
pub(super) fn describe_found(value: &Value, is_url: bool) -> String {
    if value.as_dict().is_some() {
        return ", not a table".to_owned();
    }
    let redacted = redact_value(value, is_url);
    if redacted == NOT_A_URL {
        return format!("; the value is {NOT_A_URL}");
    }
    let text = redacted.to_string();
    let text = match text.char_indices().nth(SHOWN_VALUE_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    };
    // The invalid part may be hidden.
    let has_hidden_part = is_url && value.as_str().is_some_and(|text| text.contains(['@', '?', '#']));
    let note = if has_hidden_part { ", shown without user, password, query and fragment" } else { "" };
    format!(", not {text}{note}")
}
