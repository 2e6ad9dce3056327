//! Errors of the vault.

use std::io;
use std::path::PathBuf;

use crate::domain::AccountNumber;
use crate::{journal, store};

/// Why the vault cannot seal, open or rotate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master key's file cannot be read or written.
    #[error("cannot {what} the master key file {path}: {source}")]
    MasterKeyFile {
        /// The operation that failed, for example "read".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The master key's file is readable by others.
    #[error("the master key file {path} may be read by others (mode {mode:o}); run: chmod 600 {path}")]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// The file does not hold a master key.
    #[error("the file {path} holds no master key; restore it from its backup, or set vault.master_key_file")]
    MalformedMasterKey {
        /// The file.
        path: PathBuf,
    },
    /// The store is sealed, but the master key's file is missing.
    #[error(
        "the master key file {path} is missing, and the store is sealed with it; restore the file, or set vault.master_key_file"
    )]
    MasterKeyMissing {
        /// The expected path.
        path: PathBuf,
    },
    /// The store is sealed with another master key.
    #[error("the master key in {from} is not the one that the store is sealed with; set {setting} to that one")]
    WrongMasterKey {
        /// The source of the key.
        from: String,
        /// The setting that names this source.
        setting: &'static str,
    },
    /// The command that prints the master key failed.
    #[error("vault.master_key_command {words}; run {program} by hand to see what it says")]
    MasterKeyCommand {
        /// The path of its program.
        program: String,
        /// What is wrong; the text follows the setting's name.
        words: String,
    },
    /// The environment holds no master key.
    #[error("vault.master_key holds no master key; set MUSTER_VAULT__MASTER_KEY to its 64 hexadecimal digits")]
    NoKeyInEnvironment,
    /// The file with the new master key cannot be used.
    #[error("the new key's file {path} {words}")]
    InvalidNewKey {
        /// The file, as the caller named it.
        path: PathBuf,
        /// What is wrong with it, and how to fix it.
        words: String,
    },
    /// The service cannot write the new key to the source of the current one.
    #[error(
        "the master key comes from {setting}, which the service cannot change; name a file with the new key \
         (--new-key-file, newKeyFile), whose content {setting} is to give afterwards"
    )]
    NewKeyFileRequired {
        /// The setting of that source.
        setting: &'static str,
    },
    /// A rotation is running already.
    #[error("the master key is being rotated already; `muster vault show` says how far it is")]
    RotationUnderWay,
    /// An operator asked to undo the rotation.
    #[error("the rotation was stopped, because somebody asked to undo it (vault rotate --abort)")]
    RotationStopped,
    /// A rotation or its undo failed halfway.
    #[error(
        "{0}; the next start of the service finishes the rotation, and so does `muster vault rotate`; \
         `muster vault rotate --abort` undoes it"
    )]
    RotationInterrupted(Box<Error>),
    /// There is no rotation to undo.
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
    /// The setting of the last rotation still gives the old master key.
    #[error("the last rotation is not over: {setting} gives the old master key still; change it, and start again")]
    RotationAwaitsSetting {
        /// The setting.
        setting: &'static str,
    },
    /// The rotation cannot be recorded.
    #[error("the rotation cannot be recorded: {0}")]
    Journal(#[from] journal::Error),
    /// Sealed bytes do not open: they were altered, or belong to another account.
    #[error("the sealed secrets of account {account:?} do not open: they were altered, or their key is gone")]
    AccountSecretDoesNotOpen {
        /// The account.
        account: AccountNumber,
    },
    /// The settings of a webhook receiver do not open.
    #[error("what was set of the receiver of {0} does not open: the store was altered; restore it from a backup")]
    ReceiverSettingsDoNotOpen(String),
    /// The secret of a tenant does not open.
    #[error(
        "the secret of the tenant with the API key {key} does not open: the store was altered; give it another key"
    )]
    TenantSecretDoesNotOpen {
        /// The number of the tenant's API key.
        key: u64,
    },
    /// The log's key does not open.
    #[error("the key that signs the log does not open: the store was altered; restore it from a backup")]
    LogKeyDoesNotOpen,
    /// The key of request fingerprints does not open.
    #[error("the key of the fingerprints of requests does not open: the store was altered; restore it from a backup")]
    RequestKeyDoesNotOpen,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
    /// The store failed. Final.
    #[error(transparent)]
    Store(#[from] store::Error),
}
