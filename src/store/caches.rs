//! Caches: files that make a start quick, and that may be lost or thrown away at any time.
//!
//! Each is written beside its place and renamed into it, so a crash leaves the old one or the new one; a checksum
//! tells one that is neither.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::Error;
use super::directory::{io_error, sync_directory};

const CHECKSUM_BYTES: usize = 4;

/// Saves `bytes` as the cache `name`.
pub(super) fn save(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let place = directory.join(name);
    let beside = directory.join(format!("{name}.new"));
    let mut file = File::create(&beside).map_err(io_error("create", &beside))?;
    file.write_all(bytes)
        .and_then(|()| file.write_all(&crc32fast::hash(bytes).to_le_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(io_error("write", &beside))?;
    fs::rename(&beside, &place).map_err(io_error("replace", &place))?;
    sync_directory(directory)
}

/// The cache `name`, if it is there and whole.
pub(super) fn load(directory: &Path, name: &str) -> Option<Vec<u8>> {
    let mut bytes = fs::read(directory.join(name)).ok()?;
    let checksum = u32::from_le_bytes(bytes.last_chunk::<CHECKSUM_BYTES>().copied()?);
    bytes.truncate(bytes.len() - CHECKSUM_BYTES);
    (crc32fast::hash(&bytes) == checksum).then_some(bytes)
}
