//! Durable bytes: an append-only log of blocks, small tables beside it, and caches that may be lost.
//!
//! | file | what it knows |
//! |---|---|
//! | `data_directory` | the data directory: its layout, marker and lock |
//! | `table` | the small tables, with the names that they are stored under |
//! | `sled_backend` | blocks and tables. Only this file uses sled |
//! | `high_water_mark` | how far the log was durable, stored outside the log |
//! | `failure_latch` | remembers the first failure for good |
//! | `atomic_files` | files that are replaced atomically: caches, which may be lost, and sidecar files |
//! | `fuzz` | fuzz targets of the decoders; only tests compile it |
//!
//! Other modules see only this interface, so the backend (sled, in `sled_backend.rs`) can be replaced. The interface
//! also suits a store that several machines share. Callers must not assume that they are the only writer.

mod atomic_files;
mod data_directory;
mod failure_latch;
mod high_water_mark;
mod sled_backend;
mod table;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use data_directory::{DirectoryFormat, StoreId, create_directories, own_directories};
pub use table::Table;

use crate::config;
use crate::limits::BLOCK_BYTES;
use crate::metrics::Metrics;

/// An open store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<sled_backend::SledBackend>,
    directory: Arc<data_directory::DataDirectory>,
    high_water_mark: Arc<high_water_mark::HighWaterMark>,
    failure_latch: Arc<failure_latch::FailureLatch>,
    metrics: Metrics,
}

/// A value of the store, shared with its cache: cheap to clone.
pub type StoredValue = ::sled::IVec;

/// Why the store rejects an operation or cannot serve. [`Error::is_failure`] says which errors are final.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("the store in {path} failed: {}; check the disk, then start again", sled_backend::describe_error(.source))]
    Backend {
        /// The data directory.
        path: PathBuf,
        /// What went wrong.
        source: Arc<::sled::Error>,
    },
    /// Stored bytes differ from what was written.
    #[error("the store in {path} is damaged: what it reads differs from what it wrote; restore it from a backup")]
    Damaged {
        /// The data directory.
        path: PathBuf,
    },
    /// A file of the data directory cannot be read or written.
    #[error("cannot {what} {path}: {source}; check the path and the disk, then start again")]
    Io {
        /// The verb that failed, for example "create".
        what: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What went wrong.
        source: Arc<io::Error>,
    },
    /// Another process holds the directory.
    #[error(
        "the data directory {path} is in use by another muster process; stop that one, or choose another with --data-dir"
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory has content, but no marker.
    #[error(
        "the directory {path} is not empty and is not a muster data directory (it has no file MUSTER); choose another \
         with --data-dir"
    )]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The target directory of a copy is not empty.
    #[error("the directory {path} is not empty; choose one that is empty or does not exist")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory has a format that this program does not know.
    #[error(
        "the data directory {path} has format {found:?}, but this program reads formats 1 and 2; use the program that wrote it"
    )]
    UnknownFormat {
        /// The data directory.
        path: PathBuf,
        /// The first line of its marker.
        found: String,
    },
    /// A value is too large for the store.
    #[error("a block of {bytes} bytes is larger than the store's limit of {BLOCK_BYTES}")]
    TooLarge {
        /// Size of the value in bytes.
        bytes: usize,
    },
}

impl Error {
    /// Whether this machine's store has failed. A failure is final and ends the service, because unacknowledged
    /// writes may be lost. Acknowledged writes are safe. Other errors leave the store unchanged.
    pub fn is_failure(&self) -> bool {
        match self {
            Error::Backend { .. } | Error::Damaged { .. } => true,
            // Too many open files do not mean a faulty disk.
            Error::Io { source, .. } => !source.raw_os_error().is_some_and(|code| TOO_MANY_OPEN_FILES.contains(&code)),
            Error::InUse { .. }
            | Error::ForeignDirectory { .. }
            | Error::NotEmpty { .. }
            | Error::UnknownFormat { .. }
            | Error::TooLarge { .. } => false,
        }
    }
}

/// ENFILE and EMFILE.
const TOO_MANY_OPEN_FILES: [i32; 2] = [23, 24];

impl Store {
    /// Opens the data directory at `path`. Creates it if it is missing or empty.
    pub fn open(path: &Path, settings: &config::StoreSettings) -> Result<Store, Error> {
        let mut directory = data_directory::DataDirectory::open(path)?;
        let backend =
            sled_backend::SledBackend::open(path, &directory.store_path(), settings.cache_bytes, directory.is_new())?;
        directory.finish_creation()?;
        let mark = high_water_mark::HighWaterMark::open(&directory.sidecar_path().join("durable"))?;
        let (backend, directory, mark) = (Arc::new(backend), Arc::new(directory), Arc::new(mark));
        Ok(Store {
            backend,
            directory,
            high_water_mark: mark,
            failure_latch: Arc::default(),
            metrics: Metrics::default(),
        })
    }

    /// Waits until this machine's store fails. Every write after the failure is rejected.
    pub async fn wait_for_failure(&self) -> Error {
        self.failure_latch.wait().await
    }

    /// The metrics of this store and of everything opened in it.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether there is a data directory at `path`.
    pub fn exists_at(path: &Path) -> bool {
        data_directory::exists_at(path)
    }

    /// Like [`open`](Store::open), for a copy of the store `id`. The directory must be empty or missing.
    pub fn create_with_id(
        path: &Path,
        settings: &config::StoreSettings,
        id: StoreId,
        format: DirectoryFormat,
    ) -> Result<Store, Error> {
        data_directory::DataDirectory::create_with_id(path, id, format)?;
        Store::open(path, settings)
    }

    /// The id that this store got at its creation; a copy keeps it.
    pub fn id(&self) -> StoreId {
        self.directory.id()
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Appends blocks, each under its first position, which must be above all earlier ones. The blocks are on disk
    /// when this returns. A crash in between leaves only the first blocks, each complete.
    pub fn append(&self, blocks: &[(u64, impl AsRef<[u8]>)]) -> Result<(), Error> {
        match blocks.iter().map(|(_, block)| block.as_ref().len()).max() {
            Some(bytes) if bytes > BLOCK_BYTES => Err(Error::TooLarge { bytes }),
            Some(_) | None => {
                let elapsed = self.failure_latch.sync(|| self.backend.append(blocks))?;
                self.metrics.sync_seconds.observe_duration(elapsed);
                Ok(())
            }
        }
    }

    /// Records, outside the log, that everything up to `position` is durable.
    pub fn set_high_water_mark(&self, position: u64) -> Result<(), Error> {
        self.failure_latch.write(|| self.high_water_mark.set(position))
    }

    /// The last recorded durable position. The log may have been durable beyond it.
    pub fn high_water_mark(&self) -> u64 {
        self.high_water_mark.get()
    }

    /// The last block at or before `position`.
    pub fn block_at(&self, position: u64) -> Result<Option<(u64, StoredValue)>, Error> {
        self.failure_latch.latch(self.backend.block_at(position))
    }

    /// The blocks whose first position is at or above `position`, in order.
    pub fn blocks_from(&self, position: u64) -> impl Iterator<Item = Result<(u64, StoredValue), Error>> + use<> {
        self.latch_failures(self.backend.blocks_from(position))
    }

    /// The blocks whose first position is at or below `position`, last first.
    pub fn blocks_back(&self, position: u64) -> impl Iterator<Item = Result<(u64, StoredValue), Error>> + use<> {
        self.latch_failures(self.backend.blocks_back(position))
    }

    /// The value under `key`.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<StoredValue>, Error> {
        self.failure_latch.latch(self.backend.get(table, key))
    }

    /// Puts `value` under `key`.
    pub fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.write_table(table, || self.backend.put(table, key, value))
    }

    /// Puts `value` under `key` unless a value exists; returns the existing value.
    pub fn put_if_absent(&self, table: Table, key: &[u8], value: &[u8]) -> Result<Option<StoredValue>, Error> {
        self.write_table(table, || self.backend.put_if_absent(table, key, value))
    }

    /// Puts `value` under `key` if the stored value is `current`; returns whether it was.
    pub fn compare_and_swap(&self, table: Table, key: &[u8], current: &[u8], value: &[u8]) -> Result<bool, Error> {
        self.write_table(table, || self.backend.compare_and_swap(table, key, current, value))
    }

    /// Removes the value under `key`.
    pub fn remove(&self, table: Table, key: &[u8]) -> Result<(), Error> {
        self.write_table(table, || self.backend.remove(table, key))
    }

    /// Keys and values from `key` on, ascending.
    pub fn scan_from(
        &self,
        table: Table,
        key: &[u8],
    ) -> impl Iterator<Item = Result<(StoredValue, StoredValue), Error>> + use<> {
        self.latch_failures(self.backend.scan_from(table, key))
    }

    /// Keys and values from `key` back, descending.
    pub fn scan_back(
        &self,
        table: Table,
        key: &[u8],
    ) -> impl Iterator<Item = Result<(StoredValue, StoredValue), Error>> + use<> {
        self.latch_failures(self.backend.scan_back(table, key))
    }

    /// Hands all puts to the operating system, so that they survive a killed process. Blocks for a disk write.
    pub fn flush(&self) -> Result<(), Error> {
        self.failure_latch.write(|| self.backend.flush())
    }

    /// Makes all puts durable on the disk, not only in a cache. Blocks for a disk write.
    pub fn sync(&self) -> Result<(), Error> {
        self.failure_latch.sync(|| self.backend.sync()).map(drop)
    }

    /// Bytes that blocks and tables use on disk: the same as [`Store::disk_bytes`].
    pub fn size(&self) -> Result<u64, Error> {
        self.backend.size()
    }

    /// Bytes that blocks and tables use on disk.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        self.backend.disk_bytes()
    }

    /// Saves a cache atomically: a crash leaves the old or the new one. An error is counted but does not fail the
    /// store, because the next start only takes longer.
    pub fn save_cache(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.write_cache(|| atomic_files::save_cache(&self.directory.cache_path(), name, bytes))
    }

    /// Saves a small text outside the tables, durably. Replaces the previous text of that name.
    pub fn save_sidecar(&self, name: &str, text: &str) -> Result<(), Error> {
        self.failure_latch.write(|| atomic_files::save_sidecar(&self.directory.sidecar_path(), name, text))
    }

    /// The sidecar file of that name, if it exists.
    pub fn load_sidecar(&self, name: &str) -> Result<Option<String>, Error> {
        self.failure_latch.latch(atomic_files::load_sidecar(&self.directory.sidecar_path(), name))
    }

    /// Removes the sidecar file of that name, durably, and overwrites its content.
    pub fn remove_sidecar(&self, name: &str) -> Result<(), Error> {
        self.failure_latch.write(|| atomic_files::remove_sidecar(&self.directory.sidecar_path(), name))
    }

    /// The cache of that name, if it exists and is intact.
    pub fn load_cache(&self, name: &str) -> Option<Vec<u8>> {
        atomic_files::load_cache(&self.directory.cache_path(), name)
    }

    /// Writes to a table. Snapshots are caches, so their errors do not fail the store.
    fn write_table<T>(&self, table: Table, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if table == Table::Snapshots { self.write_cache(write) } else { self.failure_latch.write(write) }
    }

    /// Writes a cache. An error is counted, and does not fail the store.
    fn write_cache<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.failure_latch.try_write(write).inspect_err(|_| {
            self.metrics.cache_failures.inc();
        })
    }

    /// Passes the entries on. An error among them fails the store.
    fn latch_failures<T, I>(&self, entries: I) -> impl Iterator<Item = Result<T, Error>> + use<T, I>
    where
        I: Iterator<Item = Result<T, Error>>,
    {
        let failure = self.failure_latch.clone();
        entries.map(move |entry| failure.latch(entry))
    }
}

#[cfg(test)]
mod tests;
