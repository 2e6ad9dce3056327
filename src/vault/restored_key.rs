//! The master key of a restored store: tried on a sealed value, then put in place.

use std::path::{Path, PathBuf};

use super::cipher::SymmetricKey;
use super::master_key_id::{MasterKeyId, NeededKey};
use super::master_key_ring::{MASTER_KEY_CHECK, MasterKeyRing};
use super::{Error, master_key_file};
use crate::store::{Store, Table};

/// A master key from a file that the operator names. It has no `Debug`, because it holds the key.
pub struct NamedMasterKey {
    path: PathBuf,
    key: SymmetricKey,
}

impl NamedMasterKey {
    /// Reads the key from its file.
    pub fn read(path: &Path) -> Result<NamedMasterKey, Error> {
        let key = master_key_file::read(path)?.ok_or_else(|| Error::MasterKeyMissing { path: path.to_owned() })?;
        Ok(NamedMasterKey { path: path.to_owned(), key })
    }

    /// The id of the key.
    pub fn id(&self) -> MasterKeyId {
        MasterKeyId::of(&self.key)
    }

    /// Checks that the key opens the sealed values of `store`.
    pub fn check_opens(&self, store: &Store) -> Result<(), Error> {
        let key_ring = MasterKeyRing { current: self.key.clone(), previous: None, matches_setting: true };
        let check = store.get(Table::Keys, MASTER_KEY_CHECK)?;
        if check.is_some_and(|sealed| key_ring.opens_key_check(&sealed)) {
            return Ok(());
        }
        let needed = NeededKey::new(MasterKeyId::load(store)?);
        Err(Error::KeyDoesNotOpenBackup { needed, held: self.id(), path: self.path.clone() })
    }

    /// Writes the key to the default file of the data directory, durably.
    pub fn put_in_place(&self, data_directory: &Path) -> Result<(), Error> {
        master_key_file::write(&master_key_file::default_path(data_directory), &self.key)
    }
}
