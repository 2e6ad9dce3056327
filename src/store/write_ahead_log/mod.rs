//! The write-ahead log: the changes that were answered before the engine has them durably.
//!
//! | file | what it knows |
//! |---|---|
//! | `entry` | the bytes of an entry |
//! | `log_file` | a file of entries, written ahead with zeros, and used again |
//! | `recovery` | which entries count after a crash |
//!
//! An entry holds changes in their order. Each names the hash of the one before, so only one order of entries counts.
//! `fdatasync` follows each commit before it is answered. The files have their full size before they are written, so that
//! this sync writes no metadata of the file system. A file is used again when the engine has all its entries durably.
//!
//! No kept crate does this. `raft-engine` allocates files without writing them, builds C code, and needs a version of
//! `protobuf` with an advisory. `okaywal` only sets the length of its files, and has had no release since 2023.

mod entry;
mod log_file;
mod recovery;

use std::path::{Path, PathBuf};

pub(super) use entry::EntryId;
pub(super) use recovery::{KnownEntries, recover};

use super::data_directory::{create_directories, io_error};
use super::keyspace::RowChange;
use super::{Error, StoreId};
use crate::limits::WAL_FILES;
use log_file::LogFile;

/// An open write-ahead log.
pub(super) struct WriteAheadLog {
    directory: PathBuf,
    store: StoreId,
    files: Vec<LogFile>,
    /// The file that is written to.
    current: usize,
    /// The last written entry.
    last: EntryId,
    /// The number of the last synced entry.
    durable: u64,
    /// The engine holds the entries up to this number durably, and its row says so durably.
    released: u64,
    /// Space for encoding.
    buffer: Vec<u8>,
}

impl WriteAheadLog {
    /// Creates the log of a store that has none, with one entry without changes. It is durable when this returns.
    pub(super) fn create(directory: &Path, store: StoreId) -> Result<WriteAheadLog, Error> {
        create_directories(directory).map_err(io_error("create", directory))?;
        // The rest of an interrupted creation: nothing in it was ever answered.
        for path in log_file::list(directory)? {
            std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
        let files = vec![LogFile::create(directory, 0)?];
        let (last, directory) = (EntryId::default(), directory.to_owned());
        let mut log =
            WriteAheadLog { directory, store, files, current: 0, last, durable: 0, released: 0, buffer: Vec::new() };
        log.write(&[])?;
        log.sync()?;
        Ok(log)
    }

    /// Writes changes as one entry or several. They survive a killed process when this returns.
    pub(super) fn write(&mut self, changes: &[RowChange]) -> Result<(), Error> {
        let mut rest = changes;
        loop {
            let (now, later) = rest.split_at(entry::changes_of_entry(rest).min(rest.len()));
            self.write_entry(now)?;
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn write_entry(&mut self, changes: &[RowChange]) -> Result<(), Error> {
        self.buffer.clear();
        let next = entry::encode(&mut self.buffer, self.store, &self.last, self.durable, changes);
        if !self.files[self.current].has_room(self.buffer.len()) {
            self.sync()?;
            self.current = self.choose_file()?;
        }
        self.files[self.current].append(&self.buffer, next.number)?;
        self.last = next;
        Ok(())
    }

    /// Makes all written entries durable.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.files[self.current].sync()?;
        self.durable = self.last.number;
        Ok(())
    }

    /// The last written entry.
    pub(super) fn last(&self) -> EntryId {
        self.last
    }

    /// Allows the files of the entries before `number` to be used again.
    pub(super) fn release(&mut self, number: u64) {
        self.released = self.released.max(number);
    }

    /// Whether the log has as many files as it may have, and the current one has little room.
    pub(super) fn is_full(&self) -> bool {
        let needs_file = !self.files[self.current].has_room(crate::limits::COMMIT_MIN_BYTES * 2);
        needs_file && self.files.len() >= WAL_FILES && self.free_file().is_none()
    }

    /// Bytes of the files.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.files.iter().map(LogFile::disk_bytes).sum()
    }

    /// A file without an entry that a start could need. The released entry itself is kept: a start finds the engine's
    /// place in the log by it.
    fn free_file(&self) -> Option<usize> {
        let free = |index: &usize| *index != self.current && self.files[*index].last_number() < self.released;
        (0..self.files.len()).find(free)
    }

    /// The file that follows the current one, empty.
    fn choose_file(&mut self) -> Result<usize, Error> {
        if let Some(free) = self.free_file() {
            self.files[free].reuse();
            return Ok(free);
        }
        let number = self.files.iter().map(LogFile::number).max().map_or(0, |last| last + 1);
        self.files.push(LogFile::create(&self.directory, number)?);
        Ok(self.files.len() - 1)
    }
}
