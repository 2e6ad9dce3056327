//! Durable bytes: an append-only log of blocks, small tables beside it, and caches that may be lost.
//!
//! ```text
//! face           append(blocks) · put · put_if_absent · compare_and_swap · remove · get · scan · flush · sync
//! pending        changes that the engine does not have yet; readers see them
//! write-ahead    changes in order, fdatasync before the answer
//! applier        gives committed changes to the engine, and syncs it each second
//! engine         sled, or memory in tests
//! ```
//!
//! | file | what it knows |
//! |---|---|
//! | `data_directory` | the data directory: its layout, marker and lock |
//! | `table` | the small tables, with the names that they are stored under |
//! | `keyspace` | what the engine holds: blocks, tables and its own progress; changes of its rows |
//! | `pending_changes` | changes over the rows of the engine |
//! | `committer` | group commit |
//! | `write_ahead_log` | the log of commits: entries, files, recovery |
//! | `durable_mark` | the last answered entry, stored outside the log |
//! | `apply_queue` | committed changes on their way to the engine |
//! | `applier` | the thread that writes to the engine |
//! | `progress` | how much of the write-ahead log the engine holds |
//! | `engine` | what the store needs of an engine |
//! | `sled` | the engine of data directories. Only this folder uses sled |
//! | `memory` | the engine of tests that need no disk |
//! | `error` | why the store rejects an operation or cannot serve |
//! | `failure_latch` | remembers the first failure for good |
//! | `atomic_files` | files that are replaced atomically: caches, which may be lost, and sidecar files |
//! | `fuzz` | fuzz targets of the decoders; only tests compile it |
//!
//! Other modules see only this interface, so the engine can be replaced. The interface also suits a store that several
//! machines share. Callers must not assume that they are the only writer.

mod applier;
mod apply_queue;
mod atomic_files;
mod committer;
mod data_directory;
mod durable_mark;
mod engine;
mod error;
mod failure_latch;
mod keyspace;
#[cfg(test)]
mod memory;
mod pending_changes;
mod progress;
mod sled;
mod table;
mod write_ahead_log;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;

pub use data_directory::{DirectoryFormat, StoreId, create_directories, own_directories};
pub use error::Error;
pub use table::Table;

use crate::config;
use crate::limits::{BLOCK_BYTES, STORE_UNLOGGED_BYTES, STORE_VALUE_BYTES};
use crate::metrics::Metrics;
use committer::{CommitLog, Committer, Durability};
use data_directory::{DataDirectory, io_error};
use durable_mark::DurableMark;
use engine::{Engine, Row};
use keyspace::{Keyspace, Order, RowChange};
use pending_changes::Added;
use progress::Progress;
use write_ahead_log::{EntryId, KnownEntries};

/// An open store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<StoreInner>,
}

/// What the handles of a store share. Dropping it makes everything durable in the engine.
struct StoreInner {
    directory: Arc<DataDirectory>,
    committer: Arc<Committer>,
    /// The thread of the applier. `None` once it has ended.
    applier: Option<JoinHandle<()>>,
    /// The last durable position of a directory that had no write-ahead log when it was opened; otherwise 0.
    high_water_mark: u64,
}

/// A value of the store, shared with its cache: cheap to clone.
pub type StoredValue = Bytes;

impl Store {
    /// Opens the data directory at `path`. Creates it if it is missing or empty.
    pub fn open(path: &Path, settings: &config::StoreSettings) -> Result<Store, Error> {
        let mut directory = DataDirectory::open(path)?;
        let engine = sled::SledEngine::open(path, &directory.store_path(), settings.cache_bytes, directory.is_new())?;
        directory.finish_creation()?;
        let (engine, directory): (Arc<dyn Engine>, _) = (Arc::new(engine), Arc::new(directory));
        match directory.format() {
            DirectoryFormat::One | DirectoryFormat::Two => {
                let mark = durable_mark::read_high_water_mark(&directory.sidecar_path())?;
                Store::start(directory.clone(), engine, CommitLog::Missing(directory), EntryId::default(), mark)
            }
            DirectoryFormat::Three => {
                let (log, synced) = recover_log(&directory, &*engine)?;
                Store::start(directory, engine, log, synced, 0)
            }
        }
    }

    /// A store whose blocks and tables are in memory. Its caches and sidecar files are in the directory at `path`.
    #[cfg(test)]
    pub(crate) fn open_in_memory(path: &Path) -> Result<Store, Error> {
        let directory = Arc::new(DataDirectory::open(path)?);
        Store::start(directory, Arc::new(memory::MemoryEngine::new()), CommitLog::Memory, EntryId::default(), 0)
    }

    fn start(
        directory: Arc<DataDirectory>,
        engine: Arc<dyn Engine>,
        log: CommitLog,
        synced: EntryId,
        high_water_mark: u64,
    ) -> Result<Store, Error> {
        let committer = Arc::new(Committer::new(engine, log, Metrics::default()));
        let applying = committer.clone();
        let thread = thread::Builder::new().name("store".to_owned());
        let applier = thread.spawn(move || applier::run(&applying, synced));
        let applier = Some(applier.map_err(io_error("start a thread for", directory.path()))?);
        Ok(Store { inner: Arc::new(StoreInner { directory, committer, applier, high_water_mark }) })
    }

    /// Waits until this machine's store fails. Every write after the failure is rejected.
    pub async fn wait_for_failure(&self) -> Error {
        self.inner.committer.failure_latch.wait().await
    }

    /// The metrics of this store and of everything opened in it.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.committer.metrics
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
        DataDirectory::create_with_id(path, id, format)?;
        Store::open(path, settings)
    }

    /// The id that this store got at its creation; a copy keeps it.
    pub fn id(&self) -> StoreId {
        self.inner.directory.id()
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        self.inner.directory.path()
    }

    /// The last durable position of a directory that had no write-ahead log when it was opened; otherwise 0.
    pub fn high_water_mark(&self) -> u64 {
        self.inner.high_water_mark
    }

    /// Appends blocks, each under its first position, which must be above all earlier ones. The blocks are on disk
    /// when this returns, with everything that was put before. A crash in between leaves only the first blocks, each
    /// complete.
    pub fn append(&self, blocks: &[(u64, impl AsRef<[u8]>)]) -> Result<(), Error> {
        if let Some(bytes) = blocks.iter().map(|(_, block)| block.as_ref().len()).max().filter(|it| *it > BLOCK_BYTES) {
            return Err(Error::TooLarge { bytes, limit: BLOCK_BYTES });
        }
        let put =
            |(first, block): &(u64, _)| RowChange::put(Keyspace::Blocks, &first.to_be_bytes(), AsRef::as_ref(block));
        let added = self.inner.committer.pending.add(blocks.iter().map(put));
        self.inner.committer.commit(added.last, Durability::Synced)
    }

    /// The last block at or before `position`.
    pub fn block_at(&self, position: u64) -> Result<Option<(u64, StoredValue)>, Error> {
        self.blocks_back(position).next().transpose()
    }

    /// The blocks whose first position is at or above `position`, in order.
    pub fn blocks_from(&self, position: u64) -> impl Iterator<Item = Result<(u64, StoredValue), Error>> + use<> {
        self.scan(Keyspace::Blocks, &position.to_be_bytes(), Order::Ascending).map(decode_block_row)
    }

    /// The blocks whose first position is at or below `position`, last first.
    pub fn blocks_back(&self, position: u64) -> impl Iterator<Item = Result<(u64, StoredValue), Error>> + use<> {
        self.scan(Keyspace::Blocks, &position.to_be_bytes(), Order::Descending).map(decode_block_row)
    }

    /// The value under `key`.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<StoredValue>, Error> {
        let committer = &self.inner.committer;
        committer.failure_latch.latch(committer.pending.get(Keyspace::Table(table), key))
    }

    /// Puts `value` under `key`.
    pub fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Error> {
        check_value(value)?;
        self.change(RowChange::put(Keyspace::Table(table), key, value))
    }

    /// Puts `value` under `key` unless a value exists; returns the existing value.
    pub fn put_if_absent(&self, table: Table, key: &[u8], value: &[u8]) -> Result<Option<StoredValue>, Error> {
        check_value(value)?;
        let put = || RowChange::put(Keyspace::Table(table), key, value);
        self.change_if(table, key, |present| present.is_none().then(put))
    }

    /// Puts `value` under `key` if the stored value is `current`; returns whether it was.
    pub fn compare_and_swap(&self, table: Table, key: &[u8], current: &[u8], value: &[u8]) -> Result<bool, Error> {
        check_value(value)?;
        let put = || RowChange::put(Keyspace::Table(table), key, value);
        let present = self.change_if(table, key, |present| present.is_some_and(|it| it == current).then(put))?;
        Ok(present.is_some_and(|it| it == current))
    }

    /// Removes the value under `key`.
    pub fn remove(&self, table: Table, key: &[u8]) -> Result<(), Error> {
        self.change(RowChange::remove(Keyspace::Table(table), key))
    }

    /// Keys and values from `key` on, ascending.
    pub fn scan_from(
        &self,
        table: Table,
        key: &[u8],
    ) -> impl Iterator<Item = Result<(StoredValue, StoredValue), Error>> + use<> {
        self.scan(Keyspace::Table(table), key, Order::Ascending)
    }

    /// Keys and values from `key` back, descending.
    pub fn scan_back(
        &self,
        table: Table,
        key: &[u8],
    ) -> impl Iterator<Item = Result<(StoredValue, StoredValue), Error>> + use<> {
        self.scan(Keyspace::Table(table), key, Order::Descending)
    }

    /// Hands all puts to the operating system, so that they survive a killed process.
    pub fn flush(&self) -> Result<(), Error> {
        let committer = &self.inner.committer;
        committer.commit(committer.pending.last(), Durability::Written)
    }

    /// Makes all puts durable on the disk, not only in a cache. Blocks for a disk write.
    pub fn sync(&self) -> Result<(), Error> {
        let committer = &self.inner.committer;
        committer.commit(committer.pending.last(), Durability::Synced)
    }

    /// Bytes that blocks, tables and the write-ahead log use on disk.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        let committer = &self.inner.committer;
        Ok(committer.engine.disk_bytes()? + committer.log_bytes())
    }

    /// Saves a cache atomically: a crash leaves the old or the new one. It never says more than the engine has durably. An
    /// error is counted but does not fail the store, because the next start only takes longer.
    pub fn save_cache(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.inner.committer.queue.sync_and_wait();
        self.write_cache(|| atomic_files::save_cache(&self.inner.directory.cache_path(), name, bytes))
    }

    /// Saves a small text outside the tables, durably. Replaces the previous text of that name.
    pub fn save_sidecar(&self, name: &str, text: &str) -> Result<(), Error> {
        let directory = self.inner.directory.sidecar_path();
        self.inner.committer.failure_latch.write(|| atomic_files::save_sidecar(&directory, name, text))
    }

    /// The sidecar file of that name, if it exists.
    pub fn load_sidecar(&self, name: &str) -> Result<Option<String>, Error> {
        let loaded = atomic_files::load_sidecar(&self.inner.directory.sidecar_path(), name);
        self.inner.committer.failure_latch.latch(loaded)
    }

    /// Removes the sidecar file of that name, durably, and overwrites its content.
    pub fn remove_sidecar(&self, name: &str) -> Result<(), Error> {
        let directory = self.inner.directory.sidecar_path();
        self.inner.committer.failure_latch.write(|| atomic_files::remove_sidecar(&directory, name))
    }

    /// The cache of that name, if it exists and is intact.
    pub fn load_cache(&self, name: &str) -> Option<Vec<u8>> {
        atomic_files::load_cache(&self.inner.directory.cache_path(), name)
    }

    /// Adds a change. Snapshots are caches: they go to the engine at once, and their errors do not fail the store.
    fn change(&self, change: RowChange) -> Result<(), Error> {
        let committer = &self.inner.committer;
        if change.keyspace == Keyspace::Table(Table::Snapshots) {
            return self.write_cache(|| committer.engine.apply(&change));
        }
        committer.failure_latch.check()?;
        self.bound_unlogged(committer.pending.add([change]))
    }

    /// Adds the change that `decide` makes of the present value, if any. Returns the present value.
    fn change_if(
        &self,
        table: Table,
        key: &[u8],
        decide: impl FnOnce(Option<&StoredValue>) -> Option<RowChange>,
    ) -> Result<Option<StoredValue>, Error> {
        let committer = &self.inner.committer;
        committer.failure_latch.check()?;
        let outcome = committer.pending.add_if(Keyspace::Table(table), key, decide);
        let (present, added) = committer.failure_latch.latch(outcome)?;
        added.map_or(Ok(()), |added| self.bound_unlogged(added))?;
        Ok(present)
    }

    /// Commits if many changes wait, so that the memory for them is bounded.
    fn bound_unlogged(&self, added: Added) -> Result<(), Error> {
        if added.unlogged_bytes < STORE_UNLOGGED_BYTES {
            return Ok(());
        }
        self.inner.committer.commit(added.last, Durability::Synced)
    }

    /// The rows of a keyspace. An error among them fails the store.
    fn scan(&self, keyspace: Keyspace, key: &[u8], order: Order) -> impl Iterator<Item = Result<Row, Error>> + use<> {
        let committer = self.inner.committer.clone();
        committer.pending.scan(keyspace, key, order).map(move |row| committer.failure_latch.latch(row))
    }

    /// Writes a cache. An error is counted, and does not fail the store.
    fn write_cache<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let committer = &self.inner.committer;
        committer.failure_latch.try_write(write).inspect_err(|_| {
            committer.metrics.cache_failures.inc();
        })
    }
}

impl Drop for StoreInner {
    fn drop(&mut self) {
        self.committer.queue.close();
        let _panicked = self.applier.take().map(JoinHandle::join);
    }
}

/// Opens the write-ahead log, and gives the engine what only the log has. Also returns what the engine then has durably.
fn recover_log(directory: &DataDirectory, engine: &dyn Engine) -> Result<(CommitLog, EntryId), Error> {
    let mark = DurableMark::open(&directory.sidecar_path())?;
    let synced = Progress::Synced.load(engine)?.ok_or_else(|| Error::Damaged {
        path: directory.path().to_owned(),
        what: "its tables do not say how much of the write-ahead log they hold; they were cut or replaced".to_owned(),
    })?;
    let known = KnownEntries { synced, applied: Progress::Applied.load(engine)?, acknowledged: mark.get() };
    let log = write_ahead_log::recover(&directory.log_path(), directory.id(), &known, |change| engine.apply(change))?;
    let last = log.last();
    Progress::Applied.save(engine, &last)?;
    engine.sync()?;
    Progress::Synced.save(engine, &last)?;
    // What only a killed process had written is durable now, and may be answered.
    mark.set(&last)?;
    Ok((CommitLog::Open(log, mark), last))
}

fn check_value(value: &[u8]) -> Result<(), Error> {
    let bytes = value.len();
    if bytes > STORE_VALUE_BYTES { Err(Error::TooLarge { bytes, limit: STORE_VALUE_BYTES }) } else { Ok(()) }
}

/// A block under its first position. Keys of blocks have eight bytes.
fn decode_block_row(row: Result<Row, Error>) -> Result<(u64, StoredValue), Error> {
    let (key, block) = row?;
    Ok((key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)), block))
}

#[cfg(test)]
mod tests;
