//! One file of the write-ahead log.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::super::Error;
use super::super::data_directory::{io_error, sync_directory};
use crate::files::open_with;
use crate::limits::{WAL_FILE_BYTES, WAL_PREPARED_BYTES};

/// Entries begin at multiples of this, so that a start finds them behind a damaged one.
pub(super) const ALIGNMENT: usize = 8;

/// An open file of the log.
pub(super) struct LogFile {
    number: u64,
    file: File,
    path: PathBuf,
    /// Bytes that were written ahead: the size of the file.
    prepared: usize,
    /// Where the next entry begins.
    end: usize,
    /// The number of the last entry in the file.
    last_number: u64,
}

/// The files of the log in `directory`, in the order of their numbers.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(directory).map_err(io_error("read", directory))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(io_error("read", directory)));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.retain(|path| number_of(path).is_some());
    paths.sort();
    Ok(paths)
}

/// Frozen: the names of the files: eight digits and `.wal`.
fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".wal")?.parse().ok().filter(|number| name_of(*number) == name)
}

fn name_of(number: u64) -> String {
    format!("{number:08}.wal")
}

impl LogFile {
    /// Creates the file. Its name is durable when this returns.
    pub(super) fn create(directory: &Path, number: u64) -> Result<LogFile, Error> {
        let path = directory.join(name_of(number));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(io_error("create", &path))?;
        sync_directory(directory)?;
        Ok(LogFile { number, file, path, prepared: 0, end: 0, last_number: 0 })
    }

    /// Opens the file. New entries are written behind `end`. What it holds is durable when this returns.
    pub(super) fn open(path: &Path, end: usize, last_number: u64) -> Result<LogFile, Error> {
        let file = open_with(OpenOptions::new().read(true).write(true), path).map_err(io_error("open", path))?;
        file.sync_all().map_err(io_error("sync", path))?;
        let prepared = file.metadata().map_err(io_error("read", path))?.len();
        Ok(LogFile {
            number: number_of(path).unwrap_or_default(),
            file,
            path: path.to_owned(),
            prepared: usize::try_from(prepared).unwrap_or(usize::MAX),
            end: end.next_multiple_of(ALIGNMENT),
            last_number,
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Whether an entry of this size fits. An entry larger than a file has one alone.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.end == 0 || self.end + bytes <= WAL_FILE_BYTES
    }

    /// Begins again at the start. The old entries stay behind the new ones until they are overwritten.
    pub(super) fn reuse(&mut self) {
        (self.end, self.last_number) = (0, 0);
    }

    /// Writes the entry of that number at the end.
    pub(super) fn append(&mut self, entry: &[u8], number: u64) -> Result<(), Error> {
        let end = self.end + entry.len();
        if end > self.prepared {
            self.prepare(end)?;
        }
        self.file.write_all_at(entry, self.end as u64).map_err(io_error("write", &self.path))?;
        (self.end, self.last_number) = (end.next_multiple_of(ALIGNMENT), number);
        Ok(())
    }

    /// Writes zeros up to `end` and some more, so that later syncs need not write the file's size and its blocks.
    fn prepare(&mut self, end: usize) -> Result<(), Error> {
        let to = end.max((self.prepared + WAL_PREPARED_BYTES).min(WAL_FILE_BYTES));
        let zeros = vec![0; to - self.prepared];
        self.file.write_all_at(&zeros, self.prepared as u64).map_err(io_error("write", &self.path))?;
        self.prepared = to;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(io_error("sync", &self.path))
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.prepared as u64
    }
}
