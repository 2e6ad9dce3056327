//! Values as they are shown to people, in faults and by `muster config`: without secrets.

use figment::value::Value;

use crate::limits::SHOWN_VALUE_CHARACTERS;

/// The value as JSON, with secrets masked.
pub(super) fn shown(value: &Value, is_url: bool) -> serde_json::Value {
    let text = |text: &str| if is_url || text.contains("://") { masked(text) } else { text.to_owned() };
    match value {
        Value::String(_, value) => text(value).into(),
        Value::Array(_, values) => values.iter().map(|value| shown(value, is_url)).collect(),
        Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) | Value::Dict(..) => {
            serde_json::to_value(value).unwrap_or_default()
        }
    }
}

/// The value as it stands in a sentence, after "not".
pub(super) fn quoted(value: &Value, is_url: bool) -> String {
    if value.as_dict().is_some() {
        return "a table".to_owned();
    }
    let text = shown(value, is_url).to_string();
    match text.char_indices().nth(SHOWN_VALUE_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The URL without the user and password before its host, and without its query, where tokens are.
///
/// It may be no URL at all: a `/` or `#` in a password makes something else of it. So everything before the last `@` is
/// masked, and not what a parser takes for the password.
pub fn masked(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('@') => (&url[..scheme.len() + 3], rest),
        Some(_) | None => ("", url),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((rest, _)) => format!("{scheme}{user}{rest}?***"),
        None => format!("{scheme}{user}{rest}"),
    }
}
