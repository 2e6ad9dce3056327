//! The journal as others read and prove it: auditors, operators, and the programs that keep what it says.
//!
//! | file | what it knows |
//! |---|---|
//! | `event` | facts as others read them: CloudEvents. One view, wherever it is shown |
//! | `data` | what there is to say of a fact beside its type |
//! | `state` | an account as it stood after some of its events, and what made it so |
//! | `filter` | which facts somebody wants to see |
//! | `history` | questions about what happened |
//! | `listed` | the account list |
//! | `time` | times as others read and write them |
//! | `note` | signed notes and checkpoints (C2SP) |
//! | `log` | what the journal signs of itself, and that it still holds |
//! | `bundle` | one account's whole history, with the proof that it is in the log |
//! | `proof` | proofs over the whole log |
//! | `csv` | rows of CSV, harmless in a spreadsheet |
//! | `export` | many facts in a file that can be checked |
//! | `verify` | everything, checked from the first record to the last |
//! | `replay` | everything, folded anew and held against what is served |
//! | `backup` | everything, in one file, and back |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! The same functions answer over HTTP and on a stopped data directory.

mod backup;
mod bundle;
mod csv;
mod data;
mod event;
mod export;
mod filter;
mod history;
mod listed;
mod log;
mod note;
mod proof;
mod replay;
mod state;
mod time;
mod verify;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(any(test, fuzzing))]
pub(crate) mod tests;

use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use backup::{Restored, restore};
pub use bundle::{Bundle, Shown, Step, verify_bundle, verify_bundle_by_steps};
pub use csv::{EVENT_COLUMNS, csv_row};
pub use event::{CloudEvent, name_in};
pub use export::{Exported, Form, Manifest, verify_export};
pub use filter::Filter;
pub use history::{AsOf, Order, Page};
pub use listed::{AccountRow, Accounts};
pub use log::Log;
pub use note::{Checkpoint, Signer};
pub use proof::{Consistency, Inclusion};
pub use replay::{Replayed, Until};
pub use state::{Change, View};
pub use time::{parse as parse_time, written as write_time};
pub use verify::Verified;

use crate::domain::{AccountNumber, Sealed, printable};
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
    log: Option<Log>,
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
    NotYet {
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
    NoKey,
    /// The public key that was saved is not the one of the vault.
    #[error(
        "the log is signed with another key than log/public-key says; restore that file, or the whole directory, from a backup"
    )]
    OtherKey,
    /// The checkpoint that was saved is not to be believed.
    #[error("the checkpoint in log/checkpoint is not to be believed: {cause}; restore it from a backup")]
    CheckpointUnsound {
        /// Why.
        cause: note::Malformed,
    },
    /// The journal came back shorter.
    #[error(
        "the journal ends at position {head}, but its checkpoint says that {size} facts were there: what is missing is lost; restore a backup"
    )]
    Shorter {
        /// What the checkpoint says.
        size: u64,
        /// What is there.
        head: u64,
    },
    /// The journal has another past.
    #[error(
        "the first {size} facts of the journal have the root {root}, but its checkpoint says {expected}: they were altered; restore a backup"
    )]
    OtherPast {
        /// How many.
        size: u64,
        /// Their root now.
        root: String,
        /// Their root then.
        expected: String,
    },
    /// What was looked at is not whole.
    #[error(transparent)]
    Fault(#[from] Fault),
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
pub struct Fault(String);

impl Fault {
    /// What is wrong, in words: names in it are as whoever made the file gave them.
    pub fn new(what: impl AsRef<str>) -> Fault {
        Fault(printable(what.as_ref()))
    }
}

impl Audit {
    /// Over these rooms.
    pub fn new(store: Store, journal: Journal, roster: Roster, log: Option<Log>) -> Audit {
        let source = log::source_of(&log::name(&store)).into();
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
    pub fn checkpoint(&self) -> Result<String, Error> {
        self.log()?.checkpoint(&self.journal)
    }

    /// The checkpoint that was signed and saved last, if there is one.
    pub fn kept_checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        Ok(self.log()?.kept())
    }

    /// Who signs.
    pub fn signer(&self) -> Result<&Signer, Error> {
        Ok(self.log()?.signer())
    }

    fn log(&self) -> Result<&Log, Error> {
        self.log.as_ref().ok_or(Error::NoKey)
    }
}

/// Bytes in hexadecimal digits, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('?')));
        text
    })
}

/// A fingerprint of sealed bytes: they are not shown themselves, and what is in them is in no hash.
fn sealed_fingerprint(sealed: &Sealed) -> String {
    hex(&Sha256::digest(&sealed.0))
}
