//! Reads a secret from a file, so that the secret does not appear in process listings.

use std::path::Path;

use super::Error;
use crate::files::{read_stdin, read_text};
use crate::limits::NAMED_FILE_BYTES;

/// Reads a secret from a file, or from standard input for `-`. Removes white space at its end, such as the newline that
/// editors append.
pub(super) fn read_secret(file: &Path) -> Result<String, Error> {
    let is_stdin = file == Path::new("-");
    let text = if is_stdin { read_stdin(NAMED_FILE_BYTES) } else { read_text(file, NAMED_FILE_BYTES) };
    let text = text.map_err(|source| Error::FileAccess { what: "read", path: file.to_owned(), source })?;
    Ok(text.trim_end().to_owned())
}
