//! The labels that an account had when an event happened, for bodies with `webhooks.include_labels`.

use crate::domain::{AccountNumber, Event, Labels};
use crate::journal::{self, Journal, JournalRecord, StreamId};
use crate::projections::Roster;

/// Finds labels as of an event. They are the same in every attempt, whatever the labels are then. Cheap to clone.
#[derive(Clone)]
pub(super) struct LabelSource {
    pub(super) roster: Roster,
    pub(super) journal: Journal,
}

impl LabelSource {
    /// The labels of the account after its event in `record`.
    pub(super) fn labels_after(
        &self,
        account: AccountNumber,
        record: &JournalRecord,
    ) -> Result<Labels, journal::Error> {
        if let Some(known) = self.roster.labels_after(account, record) {
            return Ok(known);
        }
        let history = self.journal.history_back_from(StreamId::Account(account), record.position)?;
        for earlier in history.into_iter().flatten() {
            if let Some((_, Event::LabelsChanged { labels, .. })) = earlier?.account_event() {
                return Ok(labels.clone());
            }
        }
        Ok(Labels::NONE)
    }
}
