//! The backups that the audit log knows: which of them need the current master key.

use serde::Serialize;
use utoipa::ToSchema;

use super::rfc3339::format_rfc3339;
use super::{Audit, Error};
use crate::domain::AdministrativeEvent;
use crate::journal::{JournalEvent, StreamId};
use crate::limits::KNOWN_BACKUPS;
use crate::vault::{self, MasterKeyId};

/// The backups in the audit log that need the current master key; during a rotation, either of its two keys. Muster does
/// not know copies of the data directory, or whether a file still exists.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KnownBackups {
    /// How many there are.
    pub count: u64,
    /// The last 100 of them, latest first.
    pub latest: Vec<KnownBackup>,
}

/// A backup in the audit log.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KnownBackup {
    /// The position of the last event in it.
    pub position: String,
    /// When it was taken, or restored into this directory.
    #[schema(format = DateTime)]
    pub at: String,
    /// `backup_taken`, `restored` or `generation_begun`.
    pub event: &'static str,
}

impl Audit {
    /// The backups that need one of `keys`: the master key of the store, and during a rotation also the other one.
    pub fn backups_of_master_keys(&self, keys: &[MasterKeyId]) -> Result<KnownBackups, Error> {
        let (mut count, mut latest) = (0, Vec::new());
        // Events that do not say which key the backup needs are listed if no complete rotation came after them.
        let mut is_after_rotations = true;
        // Whether the next rotation found does not count: it was reverted, or is not complete.
        let mut is_pending = vault::has_recorded_rotation(&self.store)?;
        for record in self.journal.history_back(StreamId::Administration) {
            let record = record?;
            let JournalEvent::Administration(entry) = &record.event else { continue };
            let event = &entry.event;
            if let AdministrativeEvent::BackupTaken { position, master_key: key }
            | AdministrativeEvent::Restored { position, master_key: key }
            | AdministrativeEvent::GenerationBegun { fork: position, master_key: key, .. } = event
            {
                if !key.map_or(is_after_rotations, |key| keys.contains(&key)) {
                    continue;
                }
                count += 1;
                if latest.len() < KNOWN_BACKUPS {
                    let event = event.event_type().definition().name;
                    latest.push(KnownBackup {
                        position: self.source.event_id(*position).to_string(),
                        at: format_rfc3339(record.at),
                        event,
                    });
                }
            } else if let AdministrativeEvent::MasterKeyRotationAborted { .. } = event {
                // The key before the reverted rotation is in use again. If the rotation was recorded, it is the next
                // one found. If it was not, backups of an earlier key are listed too, which does no harm.
                is_pending = true;
            } else if let AdministrativeEvent::MasterKeyRotated { .. } = event {
                is_after_rotations &= is_pending;
                is_pending = false;
            }
        }
        Ok(KnownBackups { count, latest })
    }
}
