//! Parses a JSON body. An error names the field, and never repeats a value, which may be a secret.

use serde::de::DeserializeOwned;

use crate::api::Problem;

/// Parses a JSON body; `shape` is the example that an error shows.
pub(super) fn parse_body<T: DeserializeOwned>(body: &[u8], shape: &str) -> Result<T, Problem> {
    let wrong = || Problem::malformed(format!("the body must be one JSON object; send {shape}"));
    // serde would also accept a list, with fields by position.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    // The invalid value may be a secret, so the error names only its place.
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        // An unknown field name may be a secret too, if a caller sends one in its place.
        let field = path.split(['.', '[']).next().unwrap_or_default();
        let place = if shape.contains(&format!("\"{field}\"")) { path } else { "the body".to_owned() };
        let (line, column) = (inner.line(), inner.column());
        let detail = format!("{place} is malformed (line {line}, column {column}); send {shape}");
        Problem::malformed(detail)
    })?;
    reader.end().map_err(|_| wrong())?;
    Ok(read)
}

pub(super) fn parse_body_or_default<T: DeserializeOwned + Default>(body: &[u8], shape: &str) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { parse_body(body, shape) }
}
