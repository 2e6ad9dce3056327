//! An engine in memory, for tests that need no disk. It keeps nothing.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::engine::{Engine, Row, Rows};
use super::keyspace::{Keyspace, Order, RowChange};
use super::{Error, StoredValue};

type Map = Arc<RwLock<BTreeMap<Bytes, StoredValue>>>;

/// An engine in memory.
pub(super) struct MemoryEngine {
    /// By [`Keyspace::index`].
    keyspaces: [Map; Keyspace::COUNT],
}

impl MemoryEngine {
    pub(super) fn new() -> MemoryEngine {
        MemoryEngine { keyspaces: Default::default() }
    }
}

impl Engine for MemoryEngine {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<StoredValue>, Error> {
        Ok(self.keyspaces[keyspace.index()].read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, keyspace: Keyspace, key: &[u8], order: Order) -> Rows {
        let (map, mut at) = (self.keyspaces[keyspace.index()].clone(), Bound::Included(Bytes::copy_from_slice(key)));
        Box::new(std::iter::from_fn(move || {
            let map = map.read().unwrap_or_else(PoisonError::into_inner);
            let next = match order {
                Order::Ascending => map.range((at.clone(), Bound::Unbounded)).next(),
                Order::Descending => map.range((Bound::Unbounded, at.clone())).next_back(),
            };
            let row: Row = next.map(|(key, value)| (key.clone(), value.clone()))?;
            at = Bound::Excluded(row.0.clone());
            Some(Ok(row))
        }))
    }

    fn apply(&self, change: &RowChange) -> Result<(), Error> {
        let mut map = self.keyspaces[change.keyspace.index()].write().unwrap_or_else(PoisonError::into_inner);
        match &change.value {
            Some(value) => map.insert(change.key.clone(), value.clone()),
            None => map.remove(&change.key),
        };
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(0)
    }
}
