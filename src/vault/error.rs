//! Why the vault cannot seal or open.

use std::io;
use std::path::PathBuf;

use crate::domain::AccountNumber;
use crate::{journal, store};

/// Why the vault cannot seal or open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master key's file cannot be read or made.
    #[error("cannot {what} the master key file {path}: {source}")]
    MasterKeyFile {
        /// What was tried, as in "read".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Others may read the master key.
    #[error("the master key file {path} may be read by others (mode {mode:o}); run: chmod 600 {path}")]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds something else.
    #[error("the file {path} holds no master key; restore it from its backup, or set vault.master_key_file")]
    MalformedMasterKey {
        /// The file.
        path: PathBuf,
    },
    /// The store is sealed, and the master key is not there.
    #[error(
        "the master key file {path} is missing, and the store is sealed with it; restore the file, or set vault.master_key_file"
    )]
    MasterKeyMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The store is sealed with another master key.
    #[error("the master key in {from} is not the one that the store is sealed with; set {setting} to that one")]
    WrongMasterKey {
        /// Where it was found.
        from: String,
        /// The setting that says so.
        setting: &'static str,
    },
    /// The command that prints the master key does not.
    #[error("vault.master_key_command {words}; run {program} by hand to see what it says")]
    MasterKeyCommand {
        /// Its program.
        program: String,
        /// What is wrong, to go on after the setting's name.
        words: String,
    },
    /// The environment has no master key.
    #[error("vault.master_key holds no master key; set MUSTER_VAULT__MASTER_KEY to its 64 hexadecimal digits")]
    NoKeyInEnvironment,
    /// The file with the next master key is of no use.
    #[error("the new key's file {path} {words}")]
    InvalidNewKey {
        /// The file, as it was named.
        path: PathBuf,
        /// What is wrong with it, and the mend.
        words: String,
    },
    /// Nobody here can put the next key where the present one comes from.
    #[error(
        "the master key comes from {setting}, which the service cannot change; name a file with the new key \
         (--new-key-file, newKeyFile), whose content {setting} is to give afterwards"
    )]
    NewKeyFileRequired {
        /// That setting.
        setting: &'static str,
    },
    /// One rotation at a time.
    #[error("the master key is being rotated already; `muster vault show` says how far it is")]
    RotationUnderWay,
    /// Somebody asked to undo the rotation.
    #[error("the rotation was stopped, because somebody asked to undo it (vault rotate --abort)")]
    RotationStopped,
    /// A rotation, or its undoing, met an error on the way.
    #[error(
        "{0}; the next start of the service finishes the rotation, and so does `muster vault rotate`; \
         `muster vault rotate --abort` undoes it"
    )]
    RotationInterrupted(Box<Error>),
    /// There is nothing to undo.
    #[error("no rotation of the master key is under way or broken off, so there is none to undo")]
    NoRotationToUndo,
    /// It is too late to undo the rotation.
    #[error(
        "everything is sealed with the new master key, and a backup may be, so the rotation cannot be undone; \
         `muster vault rotate` puts the new key into {path}; then rotate again if you want another key"
    )]
    RotationTooLateToUndo {
        /// The master key's file.
        path: PathBuf,
    },
    /// The last rotation waits for its setting.
    #[error("the last rotation is not over: {setting} gives the old master key still; change it, and start again")]
    RotationAwaitsSetting {
        /// Which setting.
        setting: &'static str,
    },
    /// The rotation cannot be recorded.
    #[error("the rotation cannot be recorded: {0}")]
    Journal(#[from] journal::Error),
    /// Sealed bytes do not open: they were altered, or belong to another account.
    #[error("the sealed secrets of account {account:?} do not open: they were altered, or their key is gone")]
    AccountSecretDoesNotOpen {
        /// Whose.
        account: AccountNumber,
    },
    /// What was set of a receiver does not open.
    #[error("what was set of the receiver of {0} does not open: the store was altered; restore it from a backup")]
    ReceiverSettingsDoNotOpen(String),
    /// The secret of a tenant does not open.
    #[error(
        "the secret of the tenant with the API key {key} does not open: the store was altered; give it another key"
    )]
    TenantSecretDoesNotOpen {
        /// The number of its key.
        key: u64,
    },
    /// The log's key does not open.
    #[error("the key that signs the log does not open: the store was altered; restore it from a backup")]
    LogKeyDoesNotOpen,
    /// The key of the fingerprints of requests does not open.
    #[error("the key of the fingerprints of requests does not open: the store was altered; restore it from a backup")]
    RequestKeyDoesNotOpen,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
    /// The store failed. Final.
    #[error(transparent)]
    Store(#[from] store::Error),
}
