//! Files that are replaced atomically: caches and sidecar files. Caches speed up a start and may be lost or deleted
//! at any time. Sidecar files are small texts stored outside the tables on purpose.
//!
//! Each is written to a temporary file in the same directory and renamed, so a crash leaves the old or the new one. A
//! checksum detects a damaged cache. The readers of sidecar files check the content themselves.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use super::Error;
use super::data_directory::{io_error, sync_directory};

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
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
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
    let bytes = match fs::metadata(&over) {
        Ok(found) => found.len(),
        Err(_) => return Ok(()),
    };
    let overwritten = File::options().write(true).open(&over).and_then(|mut file| {
        std::io::copy(&mut std::io::repeat(0).take(bytes), &mut file)?;
        file.sync_all()
    });
    overwritten.map_err(io_error("overwrite", &over))?;
    fs::remove_file(&over).map_err(io_error("remove", &over))?;
    sync_directory(directory)
}

fn replace_file(directory: &Path, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
    let path = directory.join(name);
    let temporary = directory.join(format!("{name}.new"));
    let mut file = File::create(&temporary).map_err(io_error("create", &temporary))?;
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    written.map_err(io_error("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(io_error("replace", &path))?;
    sync_directory(directory)
}

/// The cache `name`, if it exists and is intact.
pub(super) fn load_cache(directory: &Path, name: &str) -> Option<Vec<u8>> {
    let mut bytes = fs::read(directory.join(name)).ok()?;
    let checksum = u32::from_le_bytes(bytes.last_chunk::<CHECKSUM_BYTES>().copied()?);
    bytes.truncate(bytes.len() - CHECKSUM_BYTES);
    (crc32fast::hash(&bytes) == checksum).then_some(bytes)
}
