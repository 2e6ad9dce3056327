//! What the store needs of an engine: ordered rows in keyspaces. `sled` is the engine of data directories, `memory` the
//! one of tests that need no disk.
//!
//! Only the applier writes to an engine, after the write-ahead log has the change. Snapshots of accounts are the
//! exception: they are caches.

use super::keyspace::{Keyspace, Order, RowChange};
use super::{Error, StoredValue};

/// A key and its value.
pub(super) type Row = (StoredValue, StoredValue);

/// Rows in order. Rows that change meanwhile are read before or after their change.
pub(super) type Rows = Box<dyn Iterator<Item = Result<Row, Error>> + Send>;

pub(super) trait Engine: Send + Sync {
    /// The value under `key`.
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<StoredValue>, Error>;

    /// The rows from `key` on, in `order`. The row of `key` comes first if it exists.
    fn scan(&self, keyspace: Keyspace, key: &[u8], order: Order) -> Rows;

    /// Applies one change. It is durable after [`sync`](Engine::sync). Later changes are not durable without it.
    fn apply(&self, change: &RowChange) -> Result<(), Error>;

    /// Makes all changes durable that were applied before the call.
    fn sync(&self) -> Result<(), Error>;

    /// Bytes on disk.
    fn disk_bytes(&self) -> Result<u64, Error>;
}
