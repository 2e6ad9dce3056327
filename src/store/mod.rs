//! Durable bytes: an append-only log of blocks, small tables beside it, and caches that may be lost.
//!
//! | file | what it knows |
//! |---|---|
//! | `data_directory` | the data directory: whose it is, and that nobody else has it |
//! | `sled_backend` | blocks and tables. Only it knows sled |
//! | `high_water_mark` | how far the log was durable, kept outside it |
//! | `failure_latch` | that it failed, for good |
//! | `atomic_files` | files that are saved whole: caches, which may be lost, and notes |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! The face is all that others see; what is behind it (sled, in `sled.rs`) can be exchanged. It is shaped so that a
//! store shared by several machines fits behind it too: nobody above may assume to be the only writer in the world.

mod atomic_files;
mod data_directory;
mod failure_latch;
mod high_water_mark;
mod sled_backend;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use data_directory::{StoreId, create_directories};

use crate::config;
use crate::limits::BLOCK_BYTES;
use crate::metrics::Metrics;

/// A store, open. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<sled_backend::SledBackend>,
    directory: Arc<data_directory::DataDirectory>,
    high_water_mark: Arc<high_water_mark::HighWaterMark>,
    failure_latch: Arc<failure_latch::FailureLatch>,
    metrics: Metrics,
}

/// The small tables. Keys are ordered bytes; a put is durable with the next append or [`Store::sync`], or with
/// [`Store::flush`] against a killed process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Wrapped data keys of accounts, and what else the master key seals (`vault`).
    Keys,
    /// Account snapshots (`journal`): caches.
    Snapshots,
    /// Webhook cursors (`webhooks`).
    Cursors,
    /// Where accounts stand whose webhooks wait for a retry (`webhooks`).
    Lanes,
    /// Webhook deliveries that failed for good (`webhooks`).
    DeadLetters,
    /// What became of webhook deliveries, attempt by attempt (`webhooks`).
    AttemptLog,
    /// Webhook deliveries that are to be sent again (`webhooks`).
    Redeliveries,
    /// What operators set of the receivers of webhooks, sealed (`webhooks`).
    ReceiverSettings,
    /// Webhook deliveries that were taken at once, many in a row (`webhooks`).
    SuccessLog,
    /// What callers were answered, for those who ask the same again (`answers`).
    IdempotencyRecords,
    /// How far reports of gateways were taken in, and which were ignored (`gateway`).
    ReportOffsets,
    /// API keys that were seen to have expired (`access`).
    ExpiredKeys,
}

/// A value of the store, shared with its cache: cheap to clone.
pub type StoredValue = ::sled::IVec;

/// Why the store cannot serve, or does not do what was asked. [`Error::is_failure`] tells which of them are final.
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
    /// What is stored is not what was written.
    #[error("the store in {path} is damaged: what it reads is not what it wrote; restore it from a backup")]
    Damaged {
        /// The data directory.
        path: PathBuf,
    },
    /// A file of the data directory cannot be read or written.
    #[error("cannot {what} {path}: {source}; check the path and the disk, then start again")]
    Io {
        /// What was tried, as in "create".
        what: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What went wrong.
        source: Arc<io::Error>,
    },
    /// Another process has it.
    #[error(
        "the data directory {path} is in use by another muster process; stop that one, or choose another with --data-dir"
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// It holds something, but not ours.
    #[error(
        "the directory {path} is not empty and is no muster data directory (it has no file MUSTER); choose another with --data-dir"
    )]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// There is something where nothing should be.
    #[error("the directory {path} is not empty; choose one that is, or that is not there")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// It is ours, of a format that this program does not know.
    #[error(
        "the data directory {path} has format {found:?}, this program reads format 1; use the program that wrote it"
    )]
    UnknownFormat {
        /// The data directory.
        path: PathBuf,
        /// The first line of its marker.
        found: String,
    },
    /// A value is too large for the store.
    #[error("a block of {bytes} bytes is over the store's limit of {BLOCK_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Error {
    /// Whether this machine's store has failed. That is final: what was not answered may be lost, what was answered may
    /// not, so the service ends. Anything else leaves the store as it was.
    pub fn is_failure(&self) -> bool {
        match self {
            Error::Backend { .. } | Error::Damaged { .. } => true,
            // A process that has too many files open does not have a faulty disk.
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

impl Table {
    /// All of them, in the order in which they stand above.
    pub const ALL: [Table; 12] = [
        Table::Keys,
        Table::Snapshots,
        Table::Cursors,
        Table::Lanes,
        Table::DeadLetters,
        Table::AttemptLog,
        Table::Redeliveries,
        Table::ReceiverSettings,
        Table::SuccessLog,
        Table::IdempotencyRecords,
        Table::ReportOffsets,
        Table::ExpiredKeys,
    ];

    /// One word for it, which is never changed.
    pub fn name(self) -> &'static str {
        match self {
            Table::Keys => "keys",
            Table::Snapshots => "snapshots",
            Table::Cursors => "cursors",
            Table::Lanes => "lanes",
            Table::DeadLetters => "dead_letters",
            Table::AttemptLog => "deliveries",
            Table::Redeliveries => "again",
            Table::ReceiverSettings => "endpoints",
            Table::SuccessLog => "taken",
            Table::IdempotencyRecords => "answers",
            Table::ReportOffsets => "gateways",
            Table::ExpiredKeys => "expired_keys",
        }
    }
}

impl Store {
    /// Opens the data directory at `path`, creating it if there is none or an empty one.
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

    /// Waits until this machine's store fails. Every write after the failure is refused.
    pub async fn wait_for_failure(&self) -> Error {
        self.failure_latch.wait().await
    }

    /// Where it reports to, and whatever is opened in it.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether there is a data directory at `path`.
    pub fn exists_at(path: &Path) -> bool {
        data_directory::exists_at(path)
    }

    /// As [`open`](Store::open), for a copy of the store `id`, in a directory that is empty or not there.
    pub fn create_with_id(path: &Path, settings: &config::StoreSettings, id: StoreId) -> Result<Store, Error> {
        data_directory::DataDirectory::create_with_id(path, id)?;
        Store::open(path, settings)
    }

    /// The id that this store was given when it was created; a copy keeps it.
    pub fn id(&self) -> StoreId {
        self.directory.id()
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Appends blocks, each under its first position, which is above all before it. Durable when it returns: on the disk,
    /// not in a cache. A crash in the middle leaves the first few of them, each whole.
    pub fn append(&self, blocks: &[(u64, impl AsRef<[u8]>)]) -> Result<(), Error> {
        match blocks.iter().map(|(_, block)| block.as_ref().len()).max() {
            Some(bytes) if bytes > BLOCK_BYTES => Err(Error::TooLarge { bytes }),
            Some(_) | None => {
                let took = self.failure_latch.sync(|| self.backend.append(blocks))?;
                self.metrics.sync_seconds.observe_duration(took);
                Ok(())
            }
        }
    }

    /// Remembers, outside the log, that everything up to `position` is durable.
    pub fn set_high_water_mark(&self, position: u64) -> Result<(), Error> {
        self.failure_latch.write(|| self.high_water_mark.set(position))
    }

    /// The position up to which everything was durable once, as far as that is remembered: there may have been more.
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

    /// The blocks whose first position is at or below `position`, the last one first.
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

    /// Puts `value` under `key` unless something is there; returns what is there then.
    pub fn put_if_absent(&self, table: Table, key: &[u8], value: &[u8]) -> Result<Option<StoredValue>, Error> {
        self.write_table(table, || self.backend.put_if_absent(table, key, value))
    }

    /// Puts `value` under `key` if `there` is what is under it; says whether it was.
    pub fn compare_and_swap(&self, table: Table, key: &[u8], there: &[u8], value: &[u8]) -> Result<bool, Error> {
        self.write_table(table, || self.backend.compare_and_swap(table, key, there, value))
    }

    /// Removes what is under `key`.
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

    /// Hands all puts to the operating system, so that a killed process loses none of them. Blocks for a disk write.
    pub fn flush(&self) -> Result<(), Error> {
        self.failure_latch.write(|| self.backend.flush())
    }

    /// Makes all puts durable: on the disk, not in a cache. Blocks for a disk write.
    pub fn sync(&self) -> Result<(), Error> {
        self.failure_latch.sync(|| self.backend.sync()).map(drop)
    }

    /// Bytes that it takes on the disk.
    pub fn size(&self) -> Result<u64, Error> {
        self.backend.size()
    }

    /// Bytes that blocks and tables take on the disk.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        self.backend.disk_bytes()
    }

    /// Saves a cache whole: after a crash there is the old one or the new one. An error is counted, and is no failure of
    /// the store: the next start takes longer.
    pub fn save_cache(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.write_cache(|| atomic_files::save_cache(&self.directory.cache_path(), name, bytes))
    }

    /// Saves a small text outside the tables, durably, in the place of the one before it.
    pub fn save_sidecar(&self, name: &str, text: &str) -> Result<(), Error> {
        self.failure_latch.write(|| atomic_files::save_sidecar(&self.directory.sidecar_path(), name, text))
    }

    /// The note of that name, if there is one.
    pub fn load_sidecar(&self, name: &str) -> Result<Option<String>, Error> {
        self.failure_latch.latch(atomic_files::load_sidecar(&self.directory.sidecar_path(), name))
    }

    /// Removes the note of that name, durably, and overwrites what it said.
    pub fn remove_sidecar(&self, name: &str) -> Result<(), Error> {
        self.failure_latch.write(|| atomic_files::remove_sidecar(&self.directory.sidecar_path(), name))
    }

    /// The cache of that name, if there is one and it is whole.
    pub fn load_cache(&self, name: &str) -> Option<Vec<u8>> {
        atomic_files::load_cache(&self.directory.cache_path(), name)
    }

    /// Writes to a table. Snapshots are caches.
    fn write_table<T>(&self, table: Table, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if table == Table::Snapshots { self.write_cache(write) } else { self.failure_latch.write(write) }
    }

    /// Writes a cache: an error is counted, and the store goes on.
    fn write_cache<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.failure_latch.try_write(write).inspect_err(|_| {
            self.metrics.cache_failures.inc();
        })
    }

    /// An error on the way is a failure of the store.
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
