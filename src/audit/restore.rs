//! Restores a data directory from a backup.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

use super::backup_reader::{BackupContents, BackupReader};
use super::signed_note::Signer;
use super::{Error, transparency_log};
use crate::config;
use crate::domain::{AdministrativeEvent, AuditLogEntry, EventId, Generation, Timestamp};
use crate::journal::{Journal, Origin};
use crate::store::{DirectoryFormat, Store, create_directories};
use crate::vault::{self, MasterKeyId, NamedMasterKey};

/// The result of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    /// The restored data directory.
    pub data_dir: PathBuf,
    /// Events in the backup.
    pub events: u64,
    /// Accounts that have events.
    pub accounts: u64,
    /// The signer of the backup.
    pub public_key: String,
    /// The id of the master key that the directory needs; null if a backup of version 0.1 does not say.
    pub master_key: Option<MasterKeyId>,
    /// The generation of the restored log.
    pub generation: u32,
    /// The last event that the restored log shares with the log before; null if the generation is that of the backup.
    pub fork: Option<String>,
    /// What the operator has to do now.
    pub next: String,
    /// What others have to do afterwards; null if the generation is that of the backup.
    pub then: Option<AfterRestore>,
}

/// What has to happen after a restore that began a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AfterRestore {
    /// For the receivers of webhooks.
    pub receivers: String,
    /// For readers of the events.
    pub followers: String,
    /// For auditors.
    pub auditors: String,
    /// If a backup of this log was restored before. Left out if no higher generation exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_before: Option<String>,
}

/// How a backup is restored.
pub struct RestoreOptions<'o> {
    /// The signer of the backup; `None` accepts the one that the backup names.
    pub signer: Option<&'o Signer>,
    /// The master key that is put in place. It must open the backup.
    pub master_key: Option<&'o NamedMasterKey>,
    /// The generation of the restored log.
    pub generation: RestoredGeneration,
    /// The time of the restore.
    pub at: Timestamp,
}

/// The generation of a restored log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoredGeneration {
    /// That of the backup, because nothing happened after the backup was taken.
    Same,
    /// A new one: what happened after the backup is lost.
    New {
        /// Its number; `None` for the next number after that of the backup.
        number: Option<Generation>,
        /// Why the backup is restored; may be empty.
        reason: String,
    },
}

/// Restores a backup into the directory `to`, which must be empty or missing. The backup is verified in a temporary
/// directory beside `to` and moved only if it is intact. Otherwise nothing is left behind.
pub fn restore(backup: impl Read, to: &Path, options: &RestoreOptions<'_>) -> Result<RestoreReport, Error> {
    let failed = |what: &'static str, path: &Path| {
        let what = format!("{what} {}", path.display());
        move |source| Error::Io { what, source }
    };
    // Resolve links and relative components first, so that the rename replaces the real directory.
    let to = &if to.exists() { fs::canonicalize(to).map_err(failed("find", to))? } else { to.to_owned() };
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) || to.is_file() {
        return Err(crate::store::Error::NotEmpty { path: to.to_owned() }.into());
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let device = |path: &Path| fs::metadata(path).map(|it| it.dev());
    if to.exists() && device(to).ok() != device(parent).ok() {
        let source = std::io::Error::other("it is a mount point; name a directory below it");
        return Err(failed("restore into", to)(source));
    }
    // A temporary directory with a unique name; it is deleted unless it is moved into place.
    let temporary =
        TempDir::with_prefix_in(".muster-restoring-", parent).map_err(failed("write a temporary file beside", to))?;
    let restored_path = temporary.path().join("data");
    let report = restore_into_temporary(backup, &restored_path, options)?;
    // The rename succeeds only if `to` is missing or an empty directory.
    fs::rename(&restored_path, to).map_err(failed("move the restored directory to", to))?;
    fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed("sync", parent))?;
    // Not before the rename: a kill leaves no copy of the key in a temporary directory.
    if let Some(master_key) = options.master_key {
        master_key.put_in_place(to).map_err(|error| Error::Io {
            what: format!(
                "put the master key into {}; the restored directory is complete without it, so put it there yourself",
                vault::default_master_key_path(to).display()
            ),
            source: std::io::Error::other(error),
        })?;
    }
    let next = describe_next_step(to, report.master_key, options.master_key.is_some());
    Ok(RestoreReport { data_dir: to.to_owned(), next, ..report })
}

fn restore_into_temporary(
    backup: impl Read,
    directory: &Path,
    options: &RestoreOptions<'_>,
) -> Result<RestoreReport, Error> {
    let mut backup = BackupReader::open(backup)?;
    let source = backup.read_source(options.signer)?;
    let generation = options.generation.after(source.generation)?;
    let format = match generation {
        Generation::FIRST => DirectoryFormat::One,
        _ => DirectoryFormat::Two,
    };
    let store = Store::create_with_id(directory, &config::Settings::default().store, source.store, format)?;
    let BackupContents { checkpoint, note, .. } = backup.read_contents(&source, Some(&store), None)?;
    let size = checkpoint.size;
    if size > 0 {
        transparency_log::save_restored_checkpoint(&store, &source.signer, &note)?;
    }
    store.flush()?;
    let keys = vault::default_master_key_path(directory);
    let keys = keys.parent().unwrap_or(directory);
    let failed = |source| Error::Io { what: format!("make {}", keys.display()), source };
    create_directories(keys).map_err(failed)?;
    if let Some(master_key) = options.master_key {
        master_key.check_opens(&store)?;
    }
    let journal = Journal::open(store, Box::new(|_| {}))?;
    let accounts = journal.account_count() as u64;
    let fork = journal.event_id(size);
    let master_key = source.master_key.or(options.master_key.map(NamedMasterKey::id));
    let event = match &options.generation {
        RestoredGeneration::Same => AdministrativeEvent::Restored { position: size, master_key },
        RestoredGeneration::New { number: _, reason } => {
            let (previous, root, reason) = (source.generation, checkpoint.root.0, reason.clone());
            AdministrativeEvent::GenerationBegun { generation, previous, fork: size, root, master_key, reason }
        }
    };
    let entry = AuditLogEntry { event, source: "command line".to_owned() };
    tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|source| Error::Io { what: "start a runtime".to_owned(), source })?
        .block_on(journal.append_administrative_event(entry, Origin::OPERATOR, options.at))?;
    let is_new = options.generation != RestoredGeneration::Same;
    Ok(RestoreReport {
        data_dir: directory.to_owned(),
        events: size,
        accounts,
        public_key: source.signer.to_string(),
        master_key,
        generation: generation.number(),
        fork: is_new.then(|| fork.to_string()),
        next: String::new(),
        then: is_new.then(|| AfterRestore::of(fork, generation)),
    })
}

impl RestoredGeneration {
    /// The generation of a log that is restored from a backup of generation `backup`.
    fn after(&self, backup: Generation) -> Result<Generation, Error> {
        match self {
            RestoredGeneration::Same => Ok(backup),
            RestoredGeneration::New { number, .. } => {
                let generation = number.or(backup.next()).filter(|generation| *generation > backup);
                generation.ok_or(Error::InvalidGeneration { backup })
            }
        }
    }
}

impl AfterRestore {
    fn of(fork: EventId, generation: Generation) -> AfterRestore {
        AfterRestore {
            receivers: "when the service runs: muster webhooks resync".to_owned(),
            followers: format!("events behind {fork} are lost; a cursor behind {fork} gets a problem (410)"),
            auditors: format!("muster verify --checkpoint FILE; checkpoints behind {fork} are of the lost history"),
            restored_before: generation.next().map(|higher| {
                format!(
                    "if any backup of this log was served before as generation {generation}, restore again with \
                     --generation {higher} or higher"
                )
            }),
        }
    }
}

/// What the operator of the restored directory `to` has to do.
fn describe_next_step(to: &Path, master_key: Option<MasterKeyId>, is_in_place: bool) -> String {
    let file = vault::default_master_key_path(to);
    let file = file.display();
    let key = master_key.map_or("the master key of the backup's time".to_owned(), |id| format!("key {id}"));
    if is_in_place {
        return format!("start the service; {key} is in {file}");
    }
    format!("put {key} into {file} (mode 0600), or make the settings give it; then start the service")
}
