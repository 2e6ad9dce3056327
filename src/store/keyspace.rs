//! Keyspaces of the engine, and changes of their rows.

use bytes::Bytes;

use super::{StoredValue, Table};

/// A set of ordered rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyspace {
    /// The blocks of the log, by first position: eight bytes, big endian.
    Blocks,
    /// How much of the write-ahead log the engine holds (`progress`).
    Progress,
    /// A small table.
    Table(Table),
}

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowChange {
    pub(super) keyspace: Keyspace,
    pub(super) key: Bytes,
    /// The new value; `None` removes the row.
    pub(super) value: Option<StoredValue>,
}

/// The order in which rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Keyspace {
    pub(super) const COUNT: usize = 2 + Table::ALL.len();

    /// All keyspaces, in the order of [`Keyspace::index`].
    pub(super) fn all() -> impl Iterator<Item = Keyspace> {
        [Keyspace::Blocks, Keyspace::Progress].into_iter().chain(Table::ALL.map(Keyspace::Table))
    }

    /// Its place among all keyspaces. Not stored.
    pub(super) fn index(self) -> usize {
        match self {
            Keyspace::Blocks => 0,
            Keyspace::Progress => 1,
            Keyspace::Table(table) => 2 + table as usize,
        }
    }

    /// Frozen: the name under which the engine stores it. Existing data directories have these.
    pub(super) fn name(self) -> &'static str {
        match self {
            Keyspace::Blocks => "blocks",
            Keyspace::Progress => "write_ahead_log",
            Keyspace::Table(table) => table.name(),
        }
    }

    /// Frozen: its number in the write-ahead log. `None` for what the log never holds.
    pub(super) fn code(self) -> Option<u8> {
        match self {
            Keyspace::Blocks => Some(0),
            Keyspace::Progress => None,
            Keyspace::Table(table) => Some(table.code()),
        }
    }

    /// The keyspace with this number.
    pub(super) fn from_code(code: u8) -> Option<Keyspace> {
        Keyspace::all().find(|keyspace| keyspace.code() == Some(code))
    }
}

impl RowChange {
    pub(super) fn put(keyspace: Keyspace, key: &[u8], value: &[u8]) -> RowChange {
        RowChange { keyspace, key: Bytes::copy_from_slice(key), value: Some(Bytes::copy_from_slice(value)) }
    }

    pub(super) fn remove(keyspace: Keyspace, key: &[u8]) -> RowChange {
        RowChange { keyspace, key: Bytes::copy_from_slice(key), value: None }
    }

    /// Bytes of the key and the value.
    pub(super) fn len(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}
