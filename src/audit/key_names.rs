//! The names of API keys, from the administrative events that created the keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Error;
use crate::domain::{AdministrativeEvent, AuditLogEntry};
use crate::journal::{Journal, JournalEvent, Origin, StreamId};

/// The names of API keys. A key keeps its name for ever, so a name that was read once stays right.
#[derive(Clone)]
pub(super) struct KeyNames {
    journal: Journal,
    known: Arc<Mutex<KnownNames>>,
}

#[derive(Default)]
struct KnownNames {
    names: HashMap<u64, Arc<str>>,
    /// The position of the last administrative event that was read.
    position: u64,
}

impl KeyNames {
    pub(super) fn new(journal: Journal) -> KeyNames {
        KeyNames { journal, known: Arc::default() }
    }

    /// The name of the key that made a request. `None` without a key.
    pub(super) fn of(&self, origin: Origin) -> Result<Option<Arc<str>>, Error> {
        let Some(key) = origin.principal.key_id() else { return Ok(None) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.names.get(&key) {
            return Ok(Some(name.clone()));
        }
        let position = known.position;
        if self.journal.stream_head(StreamId::Administration).position > position {
            for record in self.journal.history_after(StreamId::Administration, position, usize::MAX)? {
                known.position = record.position;
                if let JournalEvent::Administration(AuditLogEntry {
                    event: AdministrativeEvent::ApiKeyCreated(grant),
                    ..
                }) = record.event
                {
                    known.names.insert(grant.id, grant.name.into());
                }
            }
        }
        Ok(known.names.get(&key).cloned())
    }
}
