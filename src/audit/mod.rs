//! The journal as others read and prove it: auditors, operators, and the programs that keep what it says.
//!
//! | file | what it knows |
//! |---|---|
//! | `cloud_event` | facts as others read them: CloudEvents. One view, wherever it is shown |
//! | `event_data` | what there is to say of a fact beside its type |
//! | `account_state` | an account as it stood after some of its events, and what made it so |
//! | `event_filter` | which facts somebody wants to see |
//! | `history` | questions about what happened |
//! | `account_list` | the account list |
//! | `rfc3339` | times as others read and write them |
//! | `signed_note` | signed notes and checkpoints (C2SP) |
//! | `transparency_log` | what the journal signs of itself, and that it still holds |
//! | `account_bundle` | one account's whole history, with the proof that it is in the log |
//! | `log_proofs` | proofs over the whole log |
//! | `csv` | rows of CSV, harmless in a spreadsheet |
//! | `export` | many facts in a file that can be checked |
//! | `verify` | everything, checked from the first record to the last |
//! | `replay` | everything, folded anew and held against what is served |
//! | `backup` | everything, in one file, and back |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! The same functions answer over HTTP and on a stopped data directory.

mod account_bundle;
mod account_list;
mod account_state;
mod backup;
mod cloud_event;
mod csv;
mod event_data;
mod event_filter;
mod export;
mod history;
mod log_proofs;
mod replay;
mod rfc3339;
mod signed_note;
mod transparency_log;
mod verify;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(any(test, fuzzing))]
pub(crate) mod tests;

use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use account_bundle::{Bundle, BundleVerification, VerificationStep, verify_bundle, verify_bundle_with};
pub use account_list::{AccountFilter, AccountRow};
pub use account_state::{AccountStateView, FieldChange};
pub use backup::{RestoreReport, restore};
pub use cloud_event::{CloudEvent, event_name_from_type};
pub use csv::{EVENT_COLUMNS, format_csv_row};
pub use event_filter::EventFilter;
pub use export::{ExportFormat, ExportManifest, ExportVerification, verify_export};
pub use history::{AsOf, HistoryOrder, QueryPage};
pub use log_proofs::{ConsistencyProof, InclusionProof};
pub use replay::{ReplayEnd, ReplayReport};
pub use rfc3339::{format_rfc3339 as write_time, parse_rfc3339 as parse_time};
pub use signed_note::{LogCheckpoint, Signer};
pub use transparency_log::TransparencyLog;
pub use verify::VerificationReport;

use crate::domain::{AccountNumber, SealedBytes, escape_controls};
use crate::journal::{self, Journal};
use crate::projections::Roster;
use crate::store::{self, Store};
use crate::vault;

/// The journal, to be looked into. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    journal: Journal,
    roster: Roster,
    /// None where the log's key is not at hand: then everything can be read, and nothing is signed.
    log: Option<TransparencyLog>,
    source: Arc<str>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing ever happened to this account.
    #[error("account {account} is unknown")]
    UnknownAccount {
        /// Which.
        account: AccountNumber,
    },
    /// The account has no such version.
    #[error("account {account} has the versions 1 to {versions}, and no version {version}")]
    NoSuchVersion {
        /// Whose.
        account: AccountNumber,
        /// What was asked for.
        version: u64,
        /// The last one.
        versions: u64,
    },
    /// The account was not there at that moment.
    #[error("account {account} was not there yet; its history begins at {}", first.as_deref().unwrap_or("its first event"))]
    BeforeFirstEvent {
        /// Whose.
        account: AccountNumber,
        /// When it was first heard of.
        first: Option<String>,
    },
    /// The log has no such place.
    #[error("the log has {size} facts, counted from 1, and none at {position}")]
    NotInLog {
        /// What was asked for.
        position: u64,
        /// How many there are.
        size: u64,
    },
    /// Nothing can be signed.
    #[error("the log's key is not at hand, so nothing can be signed; set vault.master_key_file to the master key")]
    LogKeyMissing,
    /// The public key that was saved is not the one of the vault.
    #[error(
        "the log is signed with another key than log/public-key says; restore that file, or the whole directory, from a backup"
    )]
    LogKeyMismatch,
    /// The checkpoint that was saved is not to be believed.
    #[error("the checkpoint in log/checkpoint is not to be believed: {cause}; restore it from a backup")]
    InvalidCheckpoint {
        /// Why.
        cause: signed_note::NoteError,
    },
    /// The journal came back shorter.
    #[error(
        "the journal ends at position {head}, but its checkpoint says that {size} facts were there: what is missing is lost; restore a backup"
    )]
    JournalTruncated {
        /// What the checkpoint says.
        size: u64,
        /// What is there.
        head: u64,
    },
    /// The journal has another past.
    #[error(
        "the first {size} facts of the journal have the root {root}, but its checkpoint says {expected}: they were altered; restore a backup"
    )]
    RootMismatch {
        /// How many.
        size: u64,
        /// Their root now.
        root: String,
        /// Their root then.
        expected: String,
    },
    /// What was looked at is not whole.
    #[error(transparent)]
    Integrity(#[from] IntegrityFault),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The log's key cannot be had.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// A file cannot be read or written.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// The first thing that is wrong with what was verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IntegrityFault(String);

impl IntegrityFault {
    /// What is wrong, in words: names in it are as whoever made the file gave them.
    pub fn new(what: impl AsRef<str>) -> IntegrityFault {
        IntegrityFault(escape_controls(what.as_ref()))
    }
}

impl Audit {
    /// Over these rooms.
    pub fn new(store: Store, journal: Journal, roster: Roster, log: Option<TransparencyLog>) -> Audit {
        let source = transparency_log::event_source(&transparency_log::log_name(&store)).into();
        Audit { store, journal, roster, log, source }
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The account list.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// A signed checkpoint of what is durable now.
    pub fn sign_checkpoint(&self) -> Result<String, Error> {
        self.log()?.sign_checkpoint(&self.journal)
    }

    /// The checkpoint that was signed and saved last, if there is one.
    pub fn saved_checkpoint(&self) -> Result<Option<LogCheckpoint>, Error> {
        Ok(self.log()?.saved_checkpoint())
    }

    /// Who signs.
    pub fn signer(&self) -> Result<&Signer, Error> {
        Ok(self.log()?.signer())
    }

    fn log(&self) -> Result<&TransparencyLog, Error> {
        self.log.as_ref().ok_or(Error::LogKeyMissing)
    }
}

/// Bytes in hexadecimal digits, in lower case.
pub fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('?')));
        text
    })
}

/// A fingerprint of sealed bytes: they are not shown themselves, and what is in them is in no hash.
fn fingerprint_sealed(sealed: &SealedBytes) -> String {
    encode_hex(&Sha256::digest(&sealed.0))
}
