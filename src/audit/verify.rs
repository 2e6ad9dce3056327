//! Verification of the journal from the first record to the last.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Audit, Error, encode_hex, transparency_log};
use crate::domain::{Account, AccountNumber, Content};
use crate::journal::{self, Journal, JournalEvent, JournalRecord};
use crate::store::{self, Store};

/// The result of a successful verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Verified)]
pub struct VerificationReport {
    /// The number of events, which is also the last position.
    pub events: u64,
    /// The number of blocks.
    pub blocks: u64,
    /// The number of accounts.
    pub accounts: u64,
    /// The number of events from a newer program: they are in place and proved, but their meaning is unknown here.
    pub unknown: u64,
    /// The root of all events, in hex.
    pub root: String,
    /// The size of the last signed checkpoint, which is valid; null if there is none.
    #[schema(required)]
    pub checkpoint: Option<u64>,
}

impl Audit {
    /// Verifies every record, chain and root, and the last checkpoint. Also checks that the rules allow every history.
    /// Calls `progress` with the current and the last position.
    pub fn verify(&self, progress: impl FnMut(u64, u64)) -> Result<VerificationReport, Error> {
        verify_journal(&self.store, &self.journal, progress)
    }
}

/// Like [`Audit::verify`].
fn verify_journal(
    store: &Store,
    journal: &Journal,
    mut progress: impl FnMut(u64, u64),
) -> Result<VerificationReport, Error> {
    let checkpoint = transparency_log::check_saved_checkpoint(store, journal)?;
    let (mut checker, head) = (HistoryChecker::default(), journal.head());
    let report = journal.verify_with(|record| {
        progress(record.position, head);
        checker.check_record(record)
    })?;
    Ok(VerificationReport {
        events: report.events,
        blocks: report.blocks,
        accounts: report.accounts as u64,
        unknown: checker.unknown,
        root: encode_hex(&report.root.0),
        checkpoint: checkpoint.map(|checkpoint| checkpoint.size),
    })
}

/// The states of all accounts, without their imported content.
#[derive(Default)]
struct HistoryChecker {
    accounts: HashMap<AccountNumber, Account>,
    unknown: u64,
    /// One shared placeholder for every content, so that memory does not grow with the contents.
    content: Option<Arc<Content>>,
}

impl HistoryChecker {
    fn check_record(&mut self, record: &JournalRecord) -> Result<(), String> {
        if let JournalEvent::Unknown(_) = record.event {
            self.unknown += 1;
            // After an unknown event the account's state is unknown.
            if let Some(account) = record.stream.account() {
                self.accounts.remove(&account);
            }
        }
        let Some((account, event)) = record.account_event() else { return Ok(()) };
        let state = match self.accounts.entry(account) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) if record.version == 1 => entry.insert(Account::initial()),
            std::collections::hash_map::Entry::Vacant(_) => return Ok(()),
        };
        if !state.is_valid_next(event) {
            return Err(format!(
                "the rules do not allow {} in the state of account {account}",
                event.definition().name
            ));
        }
        state.evolve(event);
        if let Some(content) = &mut state.content {
            *content = self.content.get_or_insert_with(|| Arc::new(Content::empty())).clone();
        }
        Ok(())
    }
}

impl Error {
    /// Whether the error says that the verified data is damaged or was altered.
    pub fn is_integrity_fault(&self) -> bool {
        match self {
            Error::Integrity(_)
            | Error::LogKeyMismatch
            | Error::InvalidCheckpoint { .. }
            | Error::JournalTruncated { .. }
            | Error::RootMismatch { .. }
            | Error::Store(store::Error::Damaged { .. })
            | Error::Journal(journal::Error::Damaged { .. } | journal::Error::Store(store::Error::Damaged { .. })) => {
                true
            }
            Error::UnknownAccount { .. }
            | Error::NoSuchVersion { .. }
            | Error::LostVersion { .. }
            | Error::BeforeFirstEvent { .. }
            | Error::NotInLog { .. }
            | Error::LogKeyMissing
            | Error::InvalidGeneration { .. }
            | Error::NotACheckpoint
            | Error::PublicKeyRequired
            | Error::CheckpointUndecided { .. }
            | Error::Lost(_)
            | Error::Journal(_)
            | Error::Store(_)
            | Error::Vault(_)
            | Error::Io { .. } => false,
        }
    }
}
