//! What somebody did to the service itself. Past tense, and for ever, as events are.

/// An administrative act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    /// What was done.
    pub deed: Deed,
    /// From where: the address of the peer, or `command line`.
    pub from: String,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A projection was made again from the first event.
    ProjectionRebuilt {
        /// Which, as in `roster`.
        projection: String,
        /// How many of its rows were not what the events say.
        differences: u64,
    },
    /// A backup was taken.
    BackupTaken {
        /// The position of the last event in it.
        position: u64,
    },
    /// This store was made from a backup.
    Restored {
        /// The position of the last event in it.
        position: u64,
    },
}

impl Deed {
    /// The deed's name, as logs and readers show it.
    pub fn name(&self) -> &'static str {
        match self {
            Deed::ProjectionRebuilt { .. } => "projection_rebuilt",
            Deed::BackupTaken { .. } => "backup_taken",
            Deed::Restored { .. } => "restored",
        }
    }
}
