//! Reading JSON, and the fault in it: one sentence that names the field, the line and the column.

use std::fmt::Display;

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use crate::domain::escape_controls;
use crate::limits::FIELD_PATH_BYTES;

/// Why a request is malformed: one sentence that names the field and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValidationError(String);

/// Reads all of `body` with `seed`, which is made a second time to find the words for a fault.
pub(super) fn parse_json<'de, S: DeserializeSeed<'de>>(
    body: &'de [u8],
    seed: impl Fn() -> S,
) -> Result<S::Value, ValidationError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    seed().deserialize(&mut json).and_then(|value| json.end().map(|()| value)).map_err(|_| locate_error(body, seed()))
}

/// The fault in `body`, with the path to the field. Keeping the path costs time, so only faulty bodies pay for it.
fn locate_error<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> ValidationError {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let found = seed.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let Err(error) = found.and_then(|_| json.end()) else { return ValidationError::new("the body is malformed") };
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

/// The path of a field as it stands in a sentence: a caller's own field name may be anything, and as long as the body.
pub(super) fn printable_path(path: &str) -> String {
    let path = escape_controls(path);
    match path.floor_char_boundary(FIELD_PATH_BYTES) {
        all if all == path.len() => path,
        end => format!("{}…", &path[..end]),
    }
}

impl ValidationError {
    /// A fault of the whole request.
    pub(super) fn new(words: impl Display) -> ValidationError {
        ValidationError(words.to_string())
    }

    /// A fault of the field at `path`, with `words` that go on from its name.
    pub(super) fn at_field(path: &str, words: impl Display) -> ValidationError {
        match path {
            "." => ValidationError(format!("the body {words}")),
            _ => ValidationError(format!("{} {words}", printable_path(path))),
        }
    }

    /// A required field is not there.
    pub(super) fn missing_field(path: &str) -> ValidationError {
        ValidationError::at_field(path, "is missing; it is required")
    }
}
