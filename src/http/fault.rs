//! Reading JSON, and the fault in it: one sentence that names the field, the line and the column.

use std::fmt::Display;

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use crate::domain::printable;
use crate::limits::FIELD_PATH_BYTES;

/// Why a request is malformed: one sentence that names the field and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

/// Reads all of `body` with `seed`, which is made a second time to find the words for a fault.
pub(super) fn parse<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: impl Fn() -> S) -> Result<S::Value, Fault> {
    let mut json = serde_json::Deserializer::from_slice(body);
    seed().deserialize(&mut json).and_then(|value| json.end().map(|()| value)).map_err(|_| explain(body, seed()))
}

/// The fault in `body`, with the path to the field. Keeping the path costs time, so only faulty bodies pay for it.
fn explain<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> Fault {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let found = seed.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let Err(error) = found.and_then(|_| json.end()) else { return Fault::new("the body is malformed") };
    let (line, column) = (error.line(), error.column());
    let words = error.to_string();
    let words = words.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&words);
    match error.classify() {
        Category::Data => Fault::at(&track.path().to_string(), format_args!("{words} (line {line}, column {column})")),
        Category::Syntax | Category::Eof | Category::Io => {
            Fault::new(format_args!("the body is not valid JSON: {words} (line {line}, column {column})"))
        }
    }
}

/// The path of a field as it stands in a sentence: a caller's own field name may be anything, and as long as the body.
pub(super) fn shown(path: &str) -> String {
    let path = printable(path);
    match path.floor_char_boundary(FIELD_PATH_BYTES) {
        all if all == path.len() => path,
        end => format!("{}…", &path[..end]),
    }
}

impl Fault {
    /// A fault of the whole request.
    pub(super) fn new(words: impl Display) -> Fault {
        Fault(words.to_string())
    }

    /// A fault of the field at `path`, with `words` that go on from its name.
    pub(super) fn at(path: &str, words: impl Display) -> Fault {
        match path {
            "." => Fault(format!("the body {words}")),
            _ => Fault(format!("{} {words}", shown(path))),
        }
    }

    /// A required field is not there.
    pub(super) fn missing(path: &str) -> Fault {
        Fault::at(path, "is missing; it is required")
    }
}
