//! The start of a rotation: where the new key comes from, and what becomes of the old one.
//!
//! The old key still opens the backups of its time, and has no other copy if Muster generated it. So it is kept in a file,
//! durably, before anything changes.

use std::fs;
use std::path::{Path, PathBuf};

use super::cipher::{self, SymmetricKey};
use super::master_key_id::{MasterKeyId, NeededKey};
use super::master_key_ring::{MasterKeyRing, ROTATION_FILE, add_kept_key};
use super::master_key_rotation::Rotation;
use super::master_key_source::MasterKeySource;
use super::{Error, Vault, master_key_file};
use crate::domain::escape_controls;
use crate::store::own_directories;

/// What becomes of the old master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldKeyChoice {
    /// It is written to this new file, on the service's machine. For a key that comes from a file.
    Keep(PathBuf),
    /// It is given up. For a key that comes from a file.
    Discard,
    /// The operator has kept it. For a key that comes from a command or the environment.
    IsKept,
}

impl Vault {
    /// Begins a rotation, or continues one that a failure interrupted. The new key comes from `new_key_file`. Without
    /// it, a random key is created, if the master key is configured as a file. Without a choice, an old key from a file
    /// is kept beside that file. Blocks for disk writes.
    pub fn begin_rotation(
        &self,
        new_key_file: Option<&Path>,
        old_key: Option<&OldKeyChoice>,
    ) -> Result<Rotation, Error> {
        let rotation = self.try_acquire_rotation().ok_or(Error::RotationUnderWay)?;
        let source = &self.inner.master_key_source;
        let old_key_file = self.old_key_file(old_key)?;
        let next = if self.master_keys().previous.is_some() {
            self.check_continuation(new_key_file)?;
            None
        } else {
            Some(self.load_next_key(new_key_file)?)
        };
        if let (MasterKeySource::File { path, .. }, Some(next)) = (source, &next) {
            // Checks now, not at the end, that the file can be written.
            drop(master_key_file::write_temporary(path, next)?);
        }
        let store = &self.inner.store;
        let mut rotation_file = match &next {
            Some(next) => MasterKeyRing::encode_rotation_file(&self.master_keys().current, next, false)?,
            None => store.load_sidecar(ROTATION_FILE)?.unwrap_or_default(),
        };
        if let Some(file) = &old_key_file {
            let key_ring = self.master_keys();
            keep_old_key(file, key_ring.oldest())?;
            let (id, file) = (MasterKeyId::of(key_ring.oldest()), escape_controls(&file.display().to_string()));
            rotation_file = add_kept_key(&rotation_file, &format!("{id} {file}"));
        }
        let mut key_ring = self.master_keys_mut();
        store.save_sidecar(ROTATION_FILE, &rotation_file)?;
        if let Some(next) = next {
            key_ring.previous = Some(std::mem::replace(&mut key_ring.current, next));
            key_ring.matches_setting = false;
        }
        Ok(rotation)
    }

    /// The file in which the old key is to be kept; `None` if it is not. Fails if the choice does not fit the source of
    /// the key, or names a file that cannot take the old key.
    fn old_key_file(&self, choice: Option<&OldKeyChoice>) -> Result<Option<PathBuf>, Error> {
        match (&self.inner.master_key_source, choice) {
            (MasterKeySource::File { path, .. }, None) => {
                // The key's file itself has the next key soon. With its id, no earlier key is in the way.
                let mut file = master_key_file::resolve_links(path).into_os_string();
                file.push(format!(".{}", MasterKeyId::of(self.master_keys().oldest())));
                Ok(Some(file.into()))
            }
            (MasterKeySource::File { path, .. }, Some(OldKeyChoice::Keep(file))) => {
                check_old_key_file(file, path, self.inner.store.path())?;
                Ok(Some(file.clone()))
            }
            (MasterKeySource::File { .. }, Some(OldKeyChoice::Discard))
            | (MasterKeySource::Command(_) | MasterKeySource::Environment(_), None | Some(OldKeyChoice::IsKept)) => {
                Ok(None)
            }
            (MasterKeySource::File { path, .. }, Some(OldKeyChoice::IsKept)) => {
                Err(Error::OldKeyIsInFile { path: path.clone() })
            }
            (
                source @ (MasterKeySource::Command(_) | MasterKeySource::Environment(_)),
                Some(OldKeyChoice::Keep(_) | OldKeyChoice::Discard),
            ) => Err(Error::OldKeyIsElsewhere { setting: source.setting() }),
        }
    }

    /// Fails if an interrupted rotation cannot be continued, or not with this new key.
    fn check_continuation(&self, new_key_file: Option<&Path>) -> Result<(), Error> {
        let key_ring = self.master_keys();
        let (source, id) = (&self.inner.master_key_source, key_ring.id());
        match (source, new_key_file) {
            (MasterKeySource::File { .. }, None) => Ok(()),
            (MasterKeySource::File { .. }, Some(file)) if *read_new_key(file)? == *key_ring.current => Ok(()),
            (MasterKeySource::File { .. }, Some(file)) => {
                let words = format!(
                    "has another key than the interrupted rotation, which leads to key {id}; complete that one first: \
                     rotate without a new key"
                );
                Err(Error::InvalidNewKey { path: file.to_owned(), words })
            }
            (MasterKeySource::Command(_) | MasterKeySource::Environment(_), _) => {
                Err(Error::RotationAwaitsSetting { needed: NeededKey::new(Some(id)), setting: source.setting() })
            }
        }
    }

    /// The key that replaces the current one.
    fn load_next_key(&self, new_key_file: Option<&Path>) -> Result<SymmetricKey, Error> {
        let source = &self.inner.master_key_source;
        let Some(file) = new_key_file else {
            return match source {
                MasterKeySource::File { .. } => Ok(SymmetricKey::new(cipher::random_bytes()?)),
                MasterKeySource::Command(_) | MasterKeySource::Environment(_) => {
                    Err(Error::NewKeyFileRequired { setting: source.setting() })
                }
            };
        };
        let next = read_new_key(file)?;
        if *next != *self.master_keys().current {
            return Ok(next);
        }
        let words = format!(
            "has the key that is in use ({}); generate another, for example with openssl rand -hex 32",
            MasterKeyId::of(&next)
        );
        Err(Error::InvalidNewKey { path: file.to_owned(), words })
    }
}

/// Fails if `file` cannot take the old key of the master key's file `path`.
fn check_old_key_file(file: &Path, path: &Path, data_directory: &Path) -> Result<(), Error> {
    let wrong = |words| Err(Error::InvalidOldKeyFile { path: file.to_owned(), words });
    if !file.is_absolute() {
        return wrong("must be an absolute path on the service's machine");
    }
    if resolve(file) == resolve(path) {
        return wrong("is the master key's own file, which the rotation replaces; name another one");
    }
    if file.parent().is_none_or(|parent| !parent.is_dir()) {
        return wrong("is in a directory that does not exist on the service's machine");
    }
    if own_directories(data_directory).iter().any(|own| resolve(file).starts_with(resolve(own))) {
        return wrong("is among files that the service replaces and removes; name a file outside the data directory");
    }
    Ok(())
}

/// The path without links, even if the file does not exist.
fn resolve(path: &Path) -> PathBuf {
    let resolve_parent = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(resolve_parent).unwrap_or_else(|| path.to_owned())
}

/// Writes the old key to a new file, durably. A file that has it already, from an attempt before, is fine.
fn keep_old_key(file: &Path, old_key: &SymmetricKey) -> Result<(), Error> {
    let has_it = || master_key_file::read(file).is_ok_and(|found| found.is_some_and(|key| *key == **old_key));
    if fs::symlink_metadata(file).is_ok() && !has_it() {
        let words = "exists; name a new file, because nothing is overwritten";
        return Err(Error::InvalidOldKeyFile { path: file.to_owned(), words });
    }
    master_key_file::write_new(file, old_key)
}

/// Reads the key from a file that the caller names.
fn read_new_key(file: &Path) -> Result<SymmetricKey, Error> {
    let wrong = |words: &str| Error::InvalidNewKey { path: file.to_owned(), words: words.to_owned() };
    if !file.is_absolute() {
        return Err(wrong("must be an absolute path on the service's machine"));
    }
    match master_key_file::read(file) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(wrong("does not exist on the service's machine")),
        Err(Error::MalformedMasterKey { form, .. }) => Err(wrong(&format!("has no master key: {form}"))),
        Err(error) => Err(error),
    }
}
