//! Parses a JSON body. An error names the field, and never repeats a value, which may be a secret.

use serde::de::DeserializeOwned;

use crate::api::Problem;
use crate::http::validation_error::find_text_fault;

/// Parses a JSON body. Errors show `example`, which has all fields.
pub(super) fn parse_body<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Problem> {
    if let Some(fault) = find_text_fault(body) {
        return Err(Problem::malformed(format!("the body {fault}, such as {example}")));
    }
    let not_an_object = || Problem::malformed(format!("the body must be one JSON object; send {example}"));
    // serde would also accept a list, with fields by position.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(not_an_object());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    // The invalid value may be a secret, so the error names only its field, line and column.
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        // A caller may also send a secret in place of a field name, so the error names only fields of the example.
        let field = path.split(['.', '[']).next().unwrap_or_default();
        let place = if example.contains(&format!("\"{field}\"")) { path } else { "the body".to_owned() };
        let (line, column) = (inner.line(), inner.column());
        let detail = format!("{place} is malformed (line {line}, column {column}); send {example}");
        Problem::malformed(detail)
    })?;
    reader.end().map_err(|_| not_an_object())?;
    Ok(parsed)
}

pub(super) fn parse_body_or_default<T: DeserializeOwned + Default>(body: &[u8], example: &str) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { parse_body(body, example) }
}
