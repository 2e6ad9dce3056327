//! A secret that is given in a file: nobody who lists processes reads it there.

use std::fs;
use std::io;
use std::path::Path;

use super::Error;

/// The secret in a file, or on standard input for `-`, without the newline that editors end it with.
pub(super) fn read(file: &Path) -> Result<String, Error> {
    let text = if file == Path::new("-") { io::read_to_string(io::stdin().lock()) } else { fs::read_to_string(file) };
    let text = text.map_err(|source| Error::File { what: "read", path: file.to_owned(), source })?;
    Ok(text.trim_end().to_owned())
}
