//! Files that are saved whole: caches, which make a start quick and may be lost or thrown away at any time, and notes,
//! small texts that are kept outside the store on purpose.
//!
//! Each is written beside its place and renamed into it, so a crash leaves the old one or the new one. A checksum tells
//! a cache that is neither; what is in a note tells for itself.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use super::Error;
use super::data_directory::{io_error, sync_directory};
use crate::files::{open_file, open_with, read_text};
use crate::limits::NAMED_FILE_BYTES;

const CHECKSUM_BYTES: usize = 4;

/// Saves `bytes` as the cache `name`.
pub(super) fn save_cache(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    replace_file(directory, name, &[bytes, &crc32fast::hash(bytes).to_le_bytes()])
}

/// Saves a note; durable when it returns.
pub(super) fn save_sidecar(directory: &Path, name: &str, text: &str) -> Result<(), Error> {
    replace_file(directory, name, &[text.as_bytes()])
}

/// The note `name`, if there is one.
pub(super) fn load_sidecar(directory: &Path, name: &str) -> Result<Option<String>, Error> {
    let place = directory.join(name);
    match read_text(&place, NAMED_FILE_BYTES) {
        Ok(text) => Ok(Some(text.to_string())),
        Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error("read", &place)(source)),
    }
}

/// Removes a note, and overwrites what it said. One that was being removed when the process ended is removed too.
pub(super) fn remove_sidecar(directory: &Path, name: &str) -> Result<(), Error> {
    let (place, over) = (directory.join(name), directory.join(format!("{name}.over")));
    match fs::rename(&place, &over) {
        Ok(()) => sync_directory(directory)?,
        Err(missing) if missing.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(io_error("remove", &place)(source)),
    }
    let overwritten = match open_with(File::options().write(true), &over) {
        Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened.and_then(|mut file| {
            io::copy(&mut io::repeat(0).take(file.metadata()?.len()), &mut file)?;
            file.sync_all()
        }),
    };
    overwritten.map_err(io_error("overwrite", &over))?;
    fs::remove_file(&over).map_err(io_error("remove", &over))?;
    sync_directory(directory)
}

fn replace_file(directory: &Path, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
    let place = directory.join(name);
    let beside = directory.join(format!("{name}.new"));
    // What a crash left there. Something else than a file could make the next line wait.
    let removed =
        fs::remove_file(&beside).or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) });
    let mut file = removed.and_then(|()| File::create_new(&beside)).map_err(io_error("create", &beside))?;
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    written.map_err(io_error("write", &beside))?;
    fs::rename(&beside, &place).map_err(io_error("replace", &place))?;
    sync_directory(directory)
}

/// The cache `name`, if it is there and whole.
pub(super) fn load_cache(directory: &Path, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(&directory.join(name)).ok()?.read_to_end(&mut bytes).ok()?;
    let checksum = u32::from_le_bytes(bytes.last_chunk::<CHECKSUM_BYTES>().copied()?);
    bytes.truncate(bytes.len() - CHECKSUM_BYTES);
    (crc32fast::hash(&bytes) == checksum).then_some(bytes)
}
