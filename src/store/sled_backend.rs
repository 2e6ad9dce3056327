//! The sled backend of the store. Only this file uses sled.
//!
//! sled 0.34.7 has traps; the comments below name each where it is avoided.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::sled::{Db, IVec, Tree};

use super::data_directory::{io_error, lock_with_retry, sync_directory};
use super::{Error, StoredValue, Table};
use crate::files::{check_file, open_file};
use crate::limits::{STORE_FLUSH_EVERY, STORE_SEGMENT_BYTES};

pub(super) struct SledBackend {
    db: Db,
    blocks: Tree,
    /// The small tables, in the order of [`Table::ALL`].
    tables: Vec<Tree>,
    /// The data directory, for error messages.
    path: PathBuf,
    /// A separate handle on sled's log, because sled never syncs it when durability needs it.
    log: File,
}

impl SledBackend {
    pub(super) fn open(
        data_directory: &Path,
        store: &Path,
        cache_bytes: u64,
        is_new: bool,
    ) -> Result<SledBackend, Error> {
        remove_torn_files(store, is_new)?;
        // sled's threads hold its own lock a little longer than its last handle lives. No other process can hold
        // it, because this process owns the marker. The first start has no log yet.
        match open_file(&store.join("db")) {
            Ok(log) => drop(lock_with_retry(&log)),
            Err(missing) if missing.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(io_error("open", &store.join("db"))(source)),
        }
        let fail = |source| backend_error(data_directory, source);
        // The segment size is fixed at creation. sled moves large leaves to blob files, which it never syncs (see
        // limits::BLOCK_BYTES). The largest segment size keeps every leaf with blocks far below that size. The flusher
        // stays on although durability never waits for it: only it collects old segments.
        let db = ::sled::Config::new()
            .path(store)
            .segment_size(STORE_SEGMENT_BYTES)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(u64::try_from(STORE_FLUSH_EVERY.as_millis()).unwrap_or(u64::MAX)))
            .use_compression(false)
            .open()
            .map_err(fail)?;
        let tree = |name: &str| db.open_tree(name).map_err(fail);
        let sled = SledBackend {
            // Frozen: the name of the tree, and its keys: first positions, big endian. Existing data directories have
            // them.
            blocks: tree("blocks")?,
            tables: Table::ALL.into_iter().map(|table| tree(table.name())).collect::<Result<_, _>>()?,
            path: data_directory.to_owned(),
            log: open_log(store)?,
            db,
        };
        sled.flush()?;
        sync_all_files(store)?;
        Ok(sled)
    }

    /// Makes one commit durable. Returns how long the disk took.
    ///
    /// sled's own `flush` ends in `sync_file_range`. That call does not wait for the disk's cache and does not sync
    /// the file's size. A power cut could lose an acknowledged write. So `fdatasync` follows, through a separate
    /// handle, before the appender gets its answer. One online request under `strace -f` (8 is sled's handle, 9 ours,
    /// 31 the caller's connection):
    ///
    /// ```text
    /// sync_file_range(8, 0, 16777216, SYNC_FILE_RANGE_WAIT_BEFORE|SYNC_FILE_RANGE_WRITE|SYNC_FILE_RANGE_WAIT_AFTER) = 0
    /// fdatasync(9)                            = 0
    /// writev(31, [{iov_base="HTTP/1.1 200 OK\r\n"..., iov_len=125}, ...], 2) = 166
    /// ```
    ///
    /// Batches and transactions of sled lock the whole store, so a commit uses plain inserts.
    pub(super) fn append(&self, blocks: &[(u64, impl AsRef<[u8]>)]) -> Result<Duration, Error> {
        for (first, block) in blocks {
            self.blocks.insert(first.to_be_bytes(), block.as_ref()).map_err(|source| self.backend_error(source))?;
        }
        self.sync()
    }

    pub(super) fn block_at(&self, position: u64) -> Result<Option<(u64, StoredValue)>, Error> {
        let found = self.blocks.range(..=position.to_be_bytes()).next_back();
        found.map(|entry| self.decode_entry(entry)).transpose()
    }

    pub(super) fn blocks_from(&self, position: u64) -> impl Iterator<Item = Result<(u64, StoredValue), Error>> + use<> {
        let path = self.path.clone();
        self.blocks.range(position.to_be_bytes()..).map(move |entry| match entry {
            Ok((key, value)) => Ok((decode_position(&key), value)),
            Err(source) => Err(backend_error(&path, source)),
        })
    }

    pub(super) fn blocks_back(&self, position: u64) -> impl Iterator<Item = Result<(u64, StoredValue), Error>> + use<> {
        let path = self.path.clone();
        self.blocks.range(..=position.to_be_bytes()).rev().map(move |entry| match entry {
            Ok((key, value)) => Ok((decode_position(&key), value)),
            Err(source) => Err(backend_error(&path, source)),
        })
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<StoredValue>, Error> {
        self.table(table).get(key).map_err(|source| self.backend_error(source))
    }

    pub(super) fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.table(table).insert(key, value).map(drop).map_err(|source| self.backend_error(source))
    }

    pub(super) fn put_if_absent(&self, table: Table, key: &[u8], value: &[u8]) -> Result<Option<StoredValue>, Error> {
        let outcome = self.table(table).compare_and_swap(key, None::<&[u8]>, Some(value));
        Ok(outcome.map_err(|source| self.backend_error(source))?.err().and_then(|existing| existing.current))
    }

    pub(super) fn compare_and_swap(
        &self,
        table: Table,
        key: &[u8],
        current: &[u8],
        value: &[u8],
    ) -> Result<bool, Error> {
        let outcome = self.table(table).compare_and_swap(key, Some(current), Some(value));
        Ok(outcome.map_err(|source| self.backend_error(source))?.is_ok())
    }

    pub(super) fn remove(&self, table: Table, key: &[u8]) -> Result<(), Error> {
        self.table(table).remove(key).map(drop).map_err(|source| self.backend_error(source))
    }

    pub(super) fn scan_from(
        &self,
        table: Table,
        key: &[u8],
    ) -> impl Iterator<Item = Result<(StoredValue, StoredValue), Error>> + use<> {
        let path = self.path.clone();
        self.table(table).range(key.to_vec()..).map(move |entry| entry.map_err(|source| backend_error(&path, source)))
    }

    pub(super) fn scan_back(
        &self,
        table: Table,
        key: &[u8],
    ) -> impl Iterator<Item = Result<(StoredValue, StoredValue), Error>> + use<> {
        let path = self.path.clone();
        self.table(table)
            .range(..=key.to_vec())
            .rev()
            .map(move |entry| entry.map_err(|source| backend_error(&path, source)))
    }

    pub(super) fn flush(&self) -> Result<(), Error> {
        self.db.flush().map(drop).map_err(|source| self.backend_error(source))
    }

    /// Makes all writes durable. Returns how long the disk took.
    pub(super) fn sync(&self) -> Result<Duration, Error> {
        self.flush()?;
        let started = Instant::now();
        self.log.sync_data().map_err(io_error("sync the store in", &self.path))?;
        Ok(started.elapsed())
    }

    pub(super) fn size(&self) -> Result<u64, Error> {
        self.db.size_on_disk().map_err(|source| self.backend_error(source))
    }

    pub(super) fn disk_bytes(&self) -> Result<u64, Error> {
        self.db.size_on_disk().map_err(|source| self.backend_error(source))
    }

    /// The sled tree of a table.
    fn table(&self, table: Table) -> &Tree {
        &self.tables[table as usize]
    }

    fn decode_entry(&self, entry: ::sled::Result<(IVec, IVec)>) -> Result<(u64, StoredValue), Error> {
        let (key, value) = entry.map_err(|source| self.backend_error(source))?;
        Ok((decode_position(&key), value))
    }

    fn backend_error(&self, source: ::sled::Error) -> Error {
        backend_error(&self.path, source)
    }
}

/// Converts an error of sled for the store in `path`.
fn backend_error(path: &Path, source: ::sled::Error) -> Error {
    let path = path.to_owned();
    if let ::sled::Error::Corruption { .. } = source {
        Error::Damaged { path }
    } else {
        Error::Backend { path, source: Arc::new(source) }
    }
}

/// Describes an error of sled in plain words; its own messages show internals.
pub(super) fn describe_error(error: &::sled::Error) -> String {
    match error {
        // sled keeps the error and returns copies of it. Their messages show internals.
        ::sled::Error::Io(error) if error.raw_os_error().is_none() => error.kind().to_string(),
        ::sled::Error::Io(error) => error.to_string(),
        ::sled::Error::Corruption { .. } => "what it reads differs from what it wrote".to_owned(),
        ::sled::Error::CollectionNotFound(_) | ::sled::Error::Unsupported(_) | ::sled::Error::ReportableBug(_) => {
            error.to_string()
        }
    }
}

/// Removes `snap.*.generating`. sled uses the newest file whose name starts with `snap.` as its snapshot, finished or
/// not. A torn one prevents every later start. A rename finishes a snapshot, so an unfinished one is never needed.
///
/// Also removes `conf` if the store's creation is not finished. sled does not sync it: after a power cut during the
/// first start it was torn, and no later start could read it. It holds only our settings, and sled writes it again.
fn remove_torn_files(store: &Path, is_new: bool) -> Result<(), Error> {
    for entry in fs::read_dir(store).map_err(io_error("read", store))? {
        let path = entry.map_err(io_error("read", store))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if (name.starts_with("snap.") && name.ends_with(".generating")) || (is_new && name == "conf") {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        } else if !path.is_dir() {
            // sled does not check what it opens, and would wait for ever on a FIFO.
            check_file(&path).map_err(io_error("open", &path))?;
        }
    }
    Ok(())
}

/// Syncs the files that sled wrote when it opened. sled syncs neither `conf`, nor its snapshots, nor their names.
fn sync_all_files(directory: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(directory).map_err(io_error("read", directory))? {
        let path = entry.map_err(io_error("read", directory))?.path();
        if path.is_dir() {
            sync_all_files(&path)?;
        } else {
            open_file(&path).and_then(|file| file.sync_all()).map_err(io_error("sync", &path))?;
        }
    }
    sync_directory(directory)
}

fn open_log(store: &Path) -> Result<File, Error> {
    let path = store.join("db");
    File::options().read(true).write(true).open(&path).map_err(io_error("open", &path))
}

/// The position in a key. Our keys always have eight bytes.
fn decode_position(key: &[u8]) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
