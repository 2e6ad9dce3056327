//! Files that are replaced atomically: caches and sidecar files. Caches speed up a start and may be lost or deleted
//! at any time. Sidecar files are small texts stored outside the tables on purpose.
//!
//! Each is written to a temporary file in the same directory and renamed, so a crash leaves the old or the new one. A
//! checksum detects a damaged cache. The readers of sidecar files check the content themselves.

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

/// Saves a sidecar file. It is durable when this returns.
pub(super) fn save_sidecar(directory: &Path, name: &str, text: &str) -> Result<(), Error> {
    replace_file(directory, name, &[text.as_bytes()])
}

/// The sidecar file `name`, if it exists.
pub(super) fn load_sidecar(directory: &Path, name: &str) -> Result<Option<String>, Error> {
    let path = directory.join(name);
    match read_text(&path, NAMED_FILE_BYTES) {
        Ok(text) => Ok(Some(text.to_string())),
        Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error("read", &path)(source)),
    }
}

/// Overwrites and removes a sidecar file. Also finishes a removal that an ended process left incomplete.
pub(super) fn remove_sidecar(directory: &Path, name: &str) -> Result<(), Error> {
    let (path, over) = (directory.join(name), directory.join(format!("{name}.over")));
    match fs::rename(&path, &over) {
        Ok(()) => sync_directory(directory)?,
        Err(missing) if missing.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(io_error("remove", &path)(source)),
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
    let path = directory.join(name);
    let temporary = directory.join(format!("{name}.new"));
    // A crash may have left it. Anything but a regular file could block the next line.
    let removed = fs::remove_file(&temporary)
        .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) });
    let mut file = removed.and_then(|()| File::create_new(&temporary)).map_err(io_error("create", &temporary))?;
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    written.map_err(io_error("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(io_error("replace", &path))?;
    sync_directory(directory)
}

/// The cache `name`, if it exists and is intact.
pub(super) fn load_cache(directory: &Path, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(&directory.join(name)).ok()?.read_to_end(&mut bytes).ok()?;
    let checksum = u32::from_le_bytes(bytes.last_chunk::<CHECKSUM_BYTES>().copied()?);
    bytes.truncate(bytes.len() - CHECKSUM_BYTES);
    (crc32fast::hash(&bytes) == checksum).then_some(bytes)
}
