//! Reading and proving the journal: for auditors, operators, and programs that store its events.
//!
//! | file | what it knows |
//! |---|---|
//! | `cloud_event` | events as CloudEvents: the same form everywhere |
//! | `event_data` | the `data` of a CloudEvent |
//! | `account_event_data` | the `data` of accounts' events, except for their content |
//! | `administrative_event_data` | the `data` of administrative events |
//! | `content_view` | an account's imported content, without its secrets |
//! | `key_names` | the names of API keys, from the events that created them |
//! | `labels_view` | an account's labels, as views show them |
//! | `status_codes` | the schemas of the statuses' codes |
//! | `account_state` | an account's state after some of its events, with the events that caused it |
//! | `event_filter` | filters for events |
//! | `origin_filter` | a condition on the origin of events |
//! | `event_source` | the `source` and the `id` of each event, and the origin of checkpoints |
//! | `history` | queries over events and account states |
//! | `account_list` | the account list as JSON and CSV |
//! | `rfc3339` | formatting and parsing of times |
//! | `signed_note` | signed notes and checkpoints (C2SP) |
//! | `transparency_log` | signs checkpoints of the journal and checks that the last one still holds |
//! | `account_bundle` | one account's whole history, with proofs that it is in the log |
//! | `bundle_verification` | verification of a bundle |
//! | `log_proofs` | proofs over the whole log |
//! | `kept_checkpoint` | compares a checkpoint that an auditor kept with the log |
//! | `proved_log` | the log as far as a file proves it |
//! | `checkpoint_check` | where the log comes from: the journal, the proofs of a service, or files |
//! | `csv` | CSV rows that are safe in a spreadsheet |
//! | `export` | many events in one verifiable file |
//! | `export_manifest` | the signed last line of an export |
//! | `export_verification` | verification of an export, and what it proves |
//! | `exported_requests` | who caused the events of an export, in which requests, and why: compared with its filter |
//! | `verify` | verification of the journal from the first record to the last |
//! | `replay` | replay of the journal and comparison with the served state |
//! | `backup` | backup of the store into one file |
//! | `backup_reader` | reads a backup and verifies it |
//! | `restore` | restores a data directory from a backup |
//! | `known_backups` | the backups in the audit log that need the current master key |
//! | `fuzz` | fuzz targets of the parsers; only tests compile it |
//!
//! HTTP and the command line on a stopped data directory use the same functions.

mod account_bundle;
mod account_event_data;
mod account_list;
mod account_state;
mod administrative_event_data;
mod backup;
mod backup_reader;
mod bundle_verification;
mod checkpoint_check;
mod cloud_event;
mod content_view;
mod csv;
mod event_data;
mod event_filter;
mod event_source;
mod export;
mod export_manifest;
mod export_verification;
mod exported_requests;
mod history;
mod kept_checkpoint;
mod key_names;
mod known_backups;
mod labels_view;
mod log_proofs;
mod origin_filter;
mod proved_log;
mod replay;
mod restore;
mod rfc3339;
mod signed_note;
mod status_codes;
mod transparency_log;
mod verify;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(any(test, fuzzing))]
pub(crate) mod tests;

use sha2::{Digest, Sha256};

pub use account_bundle::Bundle;
pub use account_list::{ACCOUNT_COLUMNS, AccountFilter, AccountRow};
pub use account_state::{AccountStateView, AccountWithCauses, FieldChange};
pub use backup_reader::{BackupVerification, verify_backup};
pub use bundle_verification::{BundleVerification, VerificationStep, verify_bundle, verify_bundle_with};
pub use checkpoint_check::{LogGenerations, check_against_file, check_against_service};
pub use cloud_event::{CloudEvent, EventView, cloud_event_type_of, label_origin, parse_event_type};
pub use csv::{EVENT_COLUMNS, format_csv_row};
pub use event_data::event_data_schemas;
pub use event_filter::{EventFilter, InvalidFilter};
pub use export::{ExportFormat, ExportRange};
pub use export_manifest::ExportManifest;
pub use export_verification::{ExportVerification, verify_export};
pub use history::{AsOf, HistoryOrder, QueryPage};
pub use kept_checkpoint::{CheckpointCheck, CheckpointVerdict, KeptCheckpoint, check_note};
pub use known_backups::{KnownBackup, KnownBackups};
pub use labels_view::LabelsView;
pub use log_proofs::{ConsistencyProof, InclusionProof};
pub use origin_filter::OriginFilter;
pub use replay::{ReplayEnd, ReplayReport};
pub use restore::{AfterRestore, RestoreOptions, RestoreReport, RestoredGeneration, restore};
pub use rfc3339::{TIME_FORM, format_rfc3339 as write_time, parse_rfc3339 as parse_time};
pub use signed_note::{LogCheckpoint, Signer};
pub use status_codes::{OnlineStatusCode, StatusCode};
pub use transparency_log::TransparencyLog;
pub use verify::VerificationReport;

use event_source::EventSource;
use key_names::KeyNames;

use crate::domain::{AccountNumber, EventId, Generation, SealedBytes, escape_controls};
use crate::journal::{self, Journal, LostPosition};
use crate::limits::GENERATIONS;
use crate::projections::Roster;
use crate::store::{self, Store};
use crate::vault;

/// Read access to the journal. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    journal: Journal,
    roster: Roster,
    /// `None` without the log's key: everything can be read, but nothing can be signed.
    log: Option<TransparencyLog>,
    source: EventSource,
    key_names: KeyNames,
}

/// Why an audit request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account has no events.
    #[error("account {account} is unknown")]
    UnknownAccount {
        /// The account.
        account: AccountNumber,
    },
    /// The account has no such version.
    #[error("account {account} has the versions 1 to {versions}, and no version {version}")]
    NoSuchVersion {
        /// The account.
        account: AccountNumber,
        /// The requested version.
        version: u64,
        /// The account's last version.
        versions: u64,
    },
    /// The account has no such version in this generation: a restore lost it, or it is beyond the last one.
    #[error(
        "account {account} has no version {cursor} in this log: a restore lost it, or it is beyond the account's last \
         version; continue after version {continue_after}"
    )]
    LostVersion {
        /// The account.
        account: AccountNumber,
        /// The version that was asked for, with its generation.
        cursor: EventId,
        /// The last version before it that the log has.
        continue_after: EventId,
    },
    /// The account did not exist yet at that moment.
    #[error("account {account} did not exist then; its history begins at \
        {}", first.as_deref().unwrap_or("its first event"))]
    BeforeFirstEvent {
        /// The account.
        account: AccountNumber,
        /// The time of its first event.
        first: Option<String>,
    },
    /// The log has no event at this position.
    #[error("the log has {size} events, from position 1, and none at {position}")]
    NotInLog {
        /// The requested position.
        position: u64,
        /// How many events the log has.
        size: u64,
    },
    /// Signing is not possible without the log's key.
    #[error(
        "nothing can be signed, because the log's key is not available; set vault.master_key_file to the master key"
    )]
    LogKeyMissing,
    /// The saved public key is not the one of the vault.
    #[error("the log's key differs from log/public-key; restore that file, or the whole directory, from a backup")]
    LogKeyMismatch,
    /// The saved checkpoint is invalid.
    #[error("the checkpoint in log/checkpoint is not valid: {cause}; restore it from a backup")]
    InvalidCheckpoint {
        /// The reason.
        cause: signed_note::NoteError,
    },
    /// The journal is shorter than its checkpoint says.
    #[error(
        "the journal ends at position {head}, but its checkpoint has {size} events: the missing ones are lost; restore \
         a backup"
    )]
    JournalTruncated {
        /// The number of events according to the checkpoint.
        size: u64,
        /// The position of the last event in the journal.
        head: u64,
    },
    /// The journal's events differ from those that its checkpoint covers.
    #[error(
        "the first {size} events of the journal have the root {root}, but its checkpoint has {expected}: they were \
         altered; restore a backup"
    )]
    RootMismatch {
        /// How many events the checkpoint covers.
        size: u64,
        /// Their current root.
        root: String,
        /// Their root according to the checkpoint.
        expected: String,
    },
    /// A generation cannot follow that of the backup.
    #[error(
        "the backup is of generation {backup}, and the restored log needs a later one, of at most {GENERATIONS}; give \
         --generation a higher number, or leave it out"
    )]
    InvalidGeneration {
        /// The generation of the backup.
        backup: Generation,
    },
    /// The text is not a checkpoint of this log.
    #[error(
        "it is not a signed checkpoint; give the note as `muster checkpoint` or GET /api/v1/log/checkpoint returns it"
    )]
    NotACheckpoint,
    /// A checkpoint does not name the key that signed it.
    #[error("a checkpoint does not have its public key; give it with --public-key")]
    PublicKeyRequired,
    /// The file does not decide whether the log has grown from the kept checkpoint.
    #[error(
        "undecided: the file has the log at size {size}, and the kept checkpoint is of size {kept}; {why}; compare it with \
         the log itself: --server, --data-dir, or --against a later backup"
    )]
    CheckpointUndecided {
        /// The size of the log in the file.
        size: u64,
        /// The size of the kept checkpoint.
        kept: u64,
        /// What is missing.
        why: &'static str,
    },
    /// The position is not in the log's history.
    #[error(transparent)]
    Lost(#[from] LostPosition),
    /// The verified data is damaged or was altered.
    #[error(transparent)]
    Integrity(#[from] IntegrityFault),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The log's key is not available.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// A file cannot be read or written.
    #[error("cannot {what}: {source}")]
    Io {
        /// The operation that failed.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// The first fault that a verification found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IntegrityFault(String);

impl IntegrityFault {
    /// A fault with this description. Control characters are escaped, because names in it may come from a foreign
    /// file.
    pub fn new(what: impl AsRef<str>) -> IntegrityFault {
        IntegrityFault(escape_controls(what.as_ref()))
    }
}

impl Audit {
    /// An audit over these modules.
    pub fn new(store: Store, journal: Journal, roster: Roster, log: Option<TransparencyLog>) -> Audit {
        let source = EventSource::new(&event_source::log_name(store.id()), journal.generations().clone());
        let key_names = KeyNames::new(journal.clone());
        Audit { store, journal, roster, log, source, key_names }
    }

    /// The journal that this reads.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The account list.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// A signed checkpoint of the journal's current durable head.
    pub fn sign_checkpoint(&self) -> Result<String, Error> {
        self.log()?.sign_checkpoint(&self.journal)
    }

    /// The last checkpoint that was signed and saved, if any.
    pub fn saved_checkpoint(&self) -> Result<Option<LogCheckpoint>, Error> {
        Ok(self.log()?.saved_checkpoint())
    }

    /// The name and public key that sign the log.
    pub fn signer(&self) -> Result<&Signer, Error> {
        Ok(self.log()?.signer())
    }

    fn log(&self) -> Result<&TransparencyLog, Error> {
        self.log.as_ref().ok_or(Error::LogKeyMissing)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('?')));
        text
    })
}

/// A fingerprint of sealed bytes, to show instead of them. It does not depend on the plaintext.
fn fingerprint_sealed(sealed: &SealedBytes) -> String {
    encode_hex(&Sha256::digest(&sealed.0))
}
