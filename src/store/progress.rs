//! How much of the write-ahead log the engine holds: two rows in the engine itself.
//!
//! *Applied* is put behind the changes of an entry. *Synced* is put after a sync of the engine has returned, and says
//! what that sync covers. The engine loses its last rows in a crash, in order. So a start takes *synced* as it finds it,
//! and applies what came after it once more. The engine never holds a change behind the end of the log, so *applied*
//! behind that end tells that the log was replaced by an older one.

use super::Error;
use super::engine::Engine;
use super::keyspace::{Keyspace, RowChange};
use super::write_ahead_log::EntryId;

/// A row about the write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// The last entry whose changes the engine was given.
    Applied,
    /// The last entry whose changes a finished sync of the engine covers.
    Synced,
}

impl Progress {
    /// Frozen: the keys of the rows.
    fn key(self) -> &'static [u8] {
        match self {
            Progress::Applied => b"applied",
            Progress::Synced => b"synced",
        }
    }

    pub(super) fn load(self, engine: &dyn Engine) -> Result<Option<EntryId>, Error> {
        let row = engine.get(Keyspace::Progress, self.key())?;
        Ok(row.and_then(|bytes| EntryId::decode(&bytes)))
    }

    pub(super) fn save(self, engine: &dyn Engine, entry: &EntryId) -> Result<(), Error> {
        engine.apply(&RowChange::put(Keyspace::Progress, self.key(), &entry.encode()))
    }
}
