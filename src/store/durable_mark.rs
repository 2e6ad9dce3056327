//! The durable mark: the last answered entry of the write-ahead log, stored outside the log and the engine.
//!
//! A damaged byte at the end of the log looks like an entry that was never finished, and an older copy of a file looks
//! like the file. The mark reveals both. It is written after each commit and not synced, because it need not survive a
//! power cut: an older mark is lower, never too high.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::data_directory::io_error;
use super::write_ahead_log::EntryId;
use crate::files::{open_file, open_with};

/// The file of the mark.
pub(super) struct DurableMark {
    file: File,
    /// For error messages.
    path: PathBuf,
}

// Frozen: the place of an entry and a CRC-32 of it, little endian. In another layout an older mark would count as
// missing, and a start would not notice a shortened log.
const BYTES: usize = EntryId::BYTES + 4;

impl DurableMark {
    /// Frozen: the name of the file.
    pub(super) fn open(directory: &Path) -> Result<DurableMark, Error> {
        let path = directory.join("acknowledged");
        let file = open_with(OpenOptions::new().read(true).write(true).create(true).truncate(false), &path);
        Ok(DurableMark { file: file.map_err(io_error("open", &path))?, path })
    }

    /// The last entry that was set. `None` if there is no valid mark.
    pub(super) fn get(&self) -> Option<EntryId> {
        let mut bytes = [0; BYTES];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        let (entry, checksum) = bytes.split_last_chunk()?;
        EntryId::decode(entry).filter(|_| crc32fast::hash(entry) == u32::from_le_bytes(*checksum))
    }

    /// Records that the entries up to this one are durable.
    pub(super) fn set(&self, entry: &EntryId) -> Result<(), Error> {
        let mut bytes = [0; BYTES];
        bytes[..EntryId::BYTES].copy_from_slice(&entry.encode());
        let checksum = crc32fast::hash(&entry.encode());
        bytes[EntryId::BYTES..].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(&bytes, 0).map_err(io_error("write", &self.path))
    }
}

/// The mark of a directory without a write-ahead log: the last durable position. 0 if there is no valid one.
///
/// Frozen: the file `durable` has the position and its complement, little endian. Directories of formats 1 and 2 have it.
pub(super) fn read_high_water_mark(directory: &Path) -> Result<u64, Error> {
    let path = directory.join("durable");
    let file = match open_file(&path) {
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        opened => opened.map_err(io_error("open", &path))?,
    };
    let mut bytes = [0; 16];
    let read = file.read_exact_at(&mut bytes, 0);
    let [position, complement] = [0, 8].map(|at| bytes[at..].first_chunk().map_or(0, |it| u64::from_le_bytes(*it)));
    Ok(if read.is_ok() && position == !complement { position } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_whole_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let reopened = || DurableMark::open(directory.path()).unwrap();
        assert_eq!(reopened().get(), None);
        for byte in [7, 255, 1] {
            let entry = EntryId::decode(&[byte; EntryId::BYTES]).unwrap();
            reopened().set(&entry).unwrap();
            assert_eq!(reopened().get(), Some(entry));
        }
        let path = directory.path().join("acknowledged");
        let whole = std::fs::read(&path).unwrap();
        for at in 0..BYTES {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            assert!(reopened().get().is_none(), "byte {at}");
        }
        std::fs::write(&path, &whole[..9]).unwrap();
        assert!(reopened().get().is_none());
    }

    #[test]
    fn a_high_water_mark_is_whole_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_high_water_mark(directory.path()).unwrap(), 0);
        let whole = [41_u64.to_le_bytes(), (!41_u64).to_le_bytes()].concat();
        std::fs::write(directory.path().join("durable"), &whole).unwrap();
        assert_eq!(read_high_water_mark(directory.path()).unwrap(), 41);
        std::fs::write(directory.path().join("durable"), &whole[..9]).unwrap();
        assert_eq!(read_high_water_mark(directory.path()).unwrap(), 0);
    }
}
