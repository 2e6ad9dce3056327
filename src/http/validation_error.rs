//! Parsing JSON. An error is one sentence that names the field, line and column.

use std::fmt::Display;

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use crate::api::printable_path;

/// Why a request is malformed: one sentence that names the field and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValidationError(String);

/// Parses all of `body` with `seed`. After an error it calls `seed` again to locate the error.
pub(super) fn parse_json<'de, S: DeserializeSeed<'de>>(
    body: &'de [u8],
    seed: impl Fn() -> S,
) -> Result<S::Value, ValidationError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    seed().deserialize(&mut json).and_then(|value| json.end().map(|()| value)).map_err(|_| locate_error(body, seed()))
}

/// Why `body` cannot be JSON in UTF-8, in words that a parser does not have; `None` if the parser says it better.
pub(super) fn find_text_fault(body: &[u8]) -> Option<&'static str> {
    match body {
        [0xEF, 0xBB, 0xBF, ..] => Some("begins with a byte-order mark; send UTF-8 without it"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("is UTF-16; send UTF-8"),
        _ if body.trim_ascii().is_empty() => Some("is empty; send JSON"),
        _ => None,
    }
}

/// The error in `body`, with the path of the field. Only invalid bodies are parsed here, because tracking the path costs time.
fn locate_error<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> ValidationError {
    if let Some(fault) = find_text_fault(body) {
        return ValidationError::at_field(".", fault);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let result = seed.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let Err(error) = result.and_then(|_| json.end()) else { return ValidationError::new("the body is malformed") };
    let (line, column) = (error.line(), error.column());
    let words = error.to_string();
    let words = words.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&words);
    match error.classify() {
        Category::Data => {
            ValidationError::at_field(&track.path().to_string(), format_args!("{words} (line {line}, column {column})"))
        }
        Category::Syntax | Category::Eof | Category::Io => {
            ValidationError::new(format_args!("the body is not valid JSON: {words} (line {line}, column {column})"))
        }
    }
}

impl ValidationError {
    /// An error that concerns the whole request.
    pub(super) fn new(words: impl Display) -> ValidationError {
        ValidationError(words.to_string())
    }

    /// An error of the field at `path`; `.` is the whole body. `words` continue the sentence after the field's name.
    pub(super) fn at_field(path: &str, words: impl Display) -> ValidationError {
        match path {
            "." => ValidationError(format!("the body {words}")),
            _ => ValidationError(format!("{} {words}", printable_path(path))),
        }
    }

    /// A required field is missing.
    pub(super) fn missing_field(path: &str) -> ValidationError {
        ValidationError::at_field(path, "is missing; it is required")
    }
}
