//! Errors of the vault.

use std::io;
use std::path::PathBuf;

use super::master_key_file::MalformedKey;
use super::master_key_id::{MasterKeyId, NeededKey};
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
    #[error("other users may read the master key file {path} (mode {mode:o}); run: chmod 600 {path}")]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// The file does not hold a master key.
    #[error("the file {path} has no master key: {form}; restore it from its copy, or set vault.master_key_file")]
    MalformedMasterKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        form: MalformedKey,
    },
    /// The master key's file is missing.
    #[error("the master key file {path} is missing; restore it from its copy, or set vault.master_key_file")]
    MasterKeyMissing {
        /// The expected path.
        path: PathBuf,
    },
    /// The store is new, and the settings name a master key file that is missing.
    #[error(
        "the master key file {path} is missing, and only the default one is created by itself; mount it, or create it: \
         (umask 077; openssl rand -hex 32 > {path})"
    )]
    NamedMasterKeyMissing {
        /// The path that the settings name.
        path: PathBuf,
    },
    /// The store is sealed, and its master key cannot be had.
    #[error("the store needs {needed}, but {cause}")]
    NeededKeyUnavailable {
        /// The key that sealed the store.
        needed: NeededKey,
        /// Why there is no key.
        cause: Box<Error>,
    },
    /// The store is sealed with another master key.
    #[error("the store needs {needed}, {held}; make {setting} give that key")]
    WrongMasterKey {
        /// The key that sealed the store.
        needed: NeededKey,
        /// The key that the setting gives, as in "the file holds 77c19d04 (PATH)".
        held: String,
        /// The setting.
        setting: &'static str,
    },
    /// The command that prints the master key failed.
    #[error("vault.master_key_command {words}; run {program} by hand to see its output")]
    MasterKeyCommand {
        /// The path of its program.
        program: String,
        /// What is wrong; the text follows the setting's name.
        words: String,
    },
    /// The master key that is named for a restore is not that of the backup.
    #[error(
        "the backup needs {needed}, the file holds {held} ({path}); name the file with that key, or restore without a key \
         and put it in place before the start"
    )]
    KeyDoesNotOpenBackup {
        /// The key that opens the backup.
        needed: NeededKey,
        /// The key in the file.
        held: MasterKeyId,
        /// The file.
        path: PathBuf,
    },
    /// The environment holds no master key.
    #[error("MUSTER_VAULT__MASTER_KEY has no master key: {0}; set it to the key's 64 hexadecimal digits")]
    NoKeyInEnvironment(MalformedKey),
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
        "the service cannot change {setting}, which the master key comes from; name a file with the new key \
         (--new-key-file, newKeyFile), and make {setting} give this key afterwards"
    )]
    NewKeyFileRequired {
        /// The setting of that source.
        setting: &'static str,
    },
    /// The old master key cannot be kept in this file.
    #[error("the file for the old key {path} {words}")]
    InvalidOldKeyFile {
        /// The file, as the caller named it.
        path: PathBuf,
        /// What is wrong with it, and how to fix it.
        words: &'static str,
    },
    /// The choice for the old master key is one for a key that comes from elsewhere.
    #[error(
        "the rotation replaces the old key in {path}; keep it with --keep-old-key FILE (keepOldKey), or give it up with \
         --discard-old-key (discardOldKey)"
    )]
    OldKeyIsInFile {
        /// The master key's file.
        path: PathBuf,
    },
    /// The choice for the old master key is one for a key that comes from a file.
    #[error(
        "the old key comes from {setting}, which the service can neither copy nor clear; keep it yourself for the backups \
         that need it, and confirm with --old-key-is-kept (oldKeyIsKept)"
    )]
    OldKeyIsElsewhere {
        /// The setting.
        setting: &'static str,
    },
    /// A rotation is running already.
    #[error("a rotation of the master key is already running; `muster vault show` shows its progress")]
    RotationUnderWay,
    /// An operator asked to undo the rotation.
    #[error("the rotation was stopped, because its reversal was requested (vault rotate --abort)")]
    RotationStopped,
    /// A rotation or its undo failed halfway.
    #[error(
        "{0}; the service's next start completes the rotation, and so does `muster vault rotate`; `muster vault rotate \
         --abort` reverts it"
    )]
    RotationInterrupted(Box<Error>),
    /// There is no rotation to undo.
    #[error("there is no running or interrupted rotation of the master key to revert")]
    NoRotationToUndo,
    /// It is too late to undo the rotation.
    #[error(
        "the rotation cannot be reverted, because everything is sealed with the new master key, and a backup may be; \
         `muster vault rotate` stores the new key in {path}. Rotate again if you want another key"
    )]
    RotationTooLateToUndo {
        /// The master key's file.
        path: PathBuf,
    },
    /// The setting of the last rotation still gives the old master key.
    #[error(
        "the last rotation is not complete: {setting} still gives the old master key; make it give {needed}, and start \
         again"
    )]
    RotationAwaitsSetting {
        /// The key that the setting has to give.
        needed: NeededKey,
        /// The setting.
        setting: &'static str,
    },
    /// The rotation cannot be recorded.
    #[error("the rotation cannot be recorded: {0}")]
    Journal(#[from] journal::Error),
    /// Sealed bytes do not open: they were altered, or belong to another account.
    #[error("the sealed secrets of account {account:?} cannot be opened: they were altered, or their key is gone")]
    AccountSecretDoesNotOpen {
        /// The account.
        account: AccountNumber,
    },
    /// The settings of a webhook receiver do not open.
    #[error("the sealed receiver settings of {0} cannot be opened: the store was altered; restore it from a backup")]
    ReceiverSettingsDoNotOpen(String),
    /// The secret of a tenant does not open.
    #[error(
        "the sealed secret of the tenant with the API key {key} cannot be opened: the store was altered; create \
         another key"
    )]
    TenantSecretDoesNotOpen {
        /// The number of the tenant's API key.
        key: u64,
    },
    /// The log's key does not open.
    #[error("the key that signs the log cannot be opened: the store was altered; restore it from a backup")]
    LogKeyDoesNotOpen,
    /// The key of request fingerprints does not open.
    #[error("the key of the request fingerprints cannot be opened: the store was altered; restore it from a backup")]
    RequestKeyDoesNotOpen,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
    /// The store failed. Final.
    #[error(transparent)]
    Store(#[from] store::Error),
}
