//! The sled engine. Only this folder uses sled.
//!
//! sled 0.34.7 has traps; the comments below name each where it is avoided.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ::sled::{Db, IVec, Tree};
use bytes::Bytes;

use super::data_directory::{io_error, lock_with_retry, sync_directory};
use super::engine::{Engine, Rows};
use super::keyspace::{Keyspace, Order, RowChange};
use super::{Error, StoredValue};
use crate::files::{check_file, open_file};
use crate::limits::STORE_SEGMENT_BYTES;

/// An open sled database.
pub(super) struct SledEngine {
    db: Db,
    /// By [`Keyspace::index`].
    trees: Vec<Tree>,
    /// The data directory, for error messages.
    path: PathBuf,
    /// A separate handle on sled's log, because sled never syncs it when durability needs it.
    log: File,
}

impl SledEngine {
    pub(super) fn open(
        data_directory: &Path,
        store: &Path,
        cache_bytes: u64,
        is_new: bool,
    ) -> Result<SledEngine, Error> {
        remove_torn_files(store, is_new)?;
        // sled's threads hold its own lock a little longer than its last handle lives. No other process can hold
        // it, because this process owns the marker. The first start has no log yet.
        match open_file(&store.join("db")) {
            Ok(log) => drop(lock_with_retry(&log)),
            Err(missing) if missing.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(io_error("open", &store.join("db"))(source)),
        }
        let fail = |source: ::sled::Error| engine_error(data_directory, &source);
        // The segment size is fixed at creation. sled moves large leaves to blob files, which it never syncs (see
        // limits::BLOCK_BYTES). The largest segment size keeps every leaf with blocks far below that size. sled's own
        // flusher is off: it would sync at other times than the applier, and disturb the log's syncs.
        let db = ::sled::Config::new()
            .path(store)
            .segment_size(STORE_SEGMENT_BYTES)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .use_compression(false)
            .open()
            .map_err(fail)?;
        let trees = Keyspace::all().map(|keyspace| db.open_tree(keyspace.name()).map_err(fail));
        let sled = SledEngine {
            trees: trees.collect::<Result<_, _>>()?,
            path: data_directory.to_owned(),
            log: open_log(store)?,
            db,
        };
        sled.db.flush().map_err(fail)?;
        sync_all_files(store)?;
        Ok(sled)
    }

    fn tree(&self, keyspace: Keyspace) -> &Tree {
        &self.trees[keyspace.index()]
    }

    fn error(&self, source: &::sled::Error) -> Error {
        engine_error(&self.path, source)
    }
}

impl Engine for SledEngine {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<StoredValue>, Error> {
        let found = self.tree(keyspace).get(key).map_err(|source| self.error(&source))?;
        Ok(found.map(Bytes::from_owner))
    }

    fn scan(&self, keyspace: Keyspace, key: &[u8], order: Order) -> Rows {
        let (path, tree) = (self.path.clone(), self.tree(keyspace));
        let row = move |row: ::sled::Result<(IVec, IVec)>| match row {
            Ok((key, value)) => Ok((Bytes::from_owner(key), Bytes::from_owner(value))),
            Err(source) => Err(engine_error(&path, &source)),
        };
        match order {
            Order::Ascending => Box::new(tree.range(key.to_vec()..).map(row)),
            Order::Descending => Box::new(tree.range(..=key.to_vec()).rev().map(row)),
        }
    }

    /// Batches and transactions of sled lock the whole store, so each change is applied alone.
    fn apply(&self, RowChange { keyspace, key, value }: &RowChange) -> Result<(), Error> {
        let tree = self.tree(*keyspace);
        let applied = match value {
            Some(value) => tree.insert(key, &value[..]),
            None => tree.remove(key),
        };
        applied.map(drop).map_err(|source| self.error(&source))
    }

    /// sled's own `flush` ends in `sync_file_range`. That call does not wait for the disk's cache and does not sync
    /// the file's size. So `fdatasync` follows, through a separate handle.
    fn sync(&self) -> Result<(), Error> {
        self.db.flush().map_err(|source| self.error(&source))?;
        self.log.sync_data().map_err(io_error("sync the store in", &self.path))
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        self.db.size_on_disk().map_err(|source| self.error(&source))
    }
}

/// Converts an error of sled for the store in `path`.
fn engine_error(path: &Path, source: &::sled::Error) -> Error {
    let (path, what) = (path.to_owned(), describe_error(source));
    if let ::sled::Error::Corruption { .. } = source {
        Error::Damaged { path, what }
    } else {
        Error::Engine { path, what }
    }
}

/// Describes an error of sled in plain words; its own messages show internals.
fn describe_error(error: &::sled::Error) -> String {
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
