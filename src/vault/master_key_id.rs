//! The id of a master key: how it follows from the key, and where a store records it.
//!
//! The id is 32 bits of an HMAC with the key, so it tells nothing of a random key. It proves nothing either: whether a
//! key fits is decided by opening a sealed value.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Error;
use super::cipher::{self, SymmetricKey};
pub use crate::domain::{InvalidMasterKeyId, MasterKeyId};
use crate::store::{Store, Table};

/// The table key of the id of the master key that the store needs. Stores from before version 0.2 get it at a start.
const MASTER_KEY_ID: &[u8] = b"master key id";

impl MasterKeyId {
    /// The id of this key. Frozen: stores, backups and events hold ids, so the same key must always get the same one.
    pub(super) fn of(key: &SymmetricKey) -> MasterKeyId {
        let [a, b, c, d, ..] = cipher::hmac_concat(key, &[b"muster master key id 1"]);
        MasterKeyId(u32::from_be_bytes([a, b, c, d]))
    }

    /// The id that `store` has recorded. `None` before the first start that records ids.
    pub fn load(store: &Store) -> Result<Option<MasterKeyId>, Error> {
        let stored = store.get(Table::Keys, MASTER_KEY_ID)?;
        Ok(stored.and_then(|id| str::from_utf8(&id).ok()?.parse().ok()))
    }

    /// Records in `store` that it needs this key, unless it knows that already.
    pub(super) fn save(self, store: &Store) -> Result<(), Error> {
        if MasterKeyId::load(store)? == Some(self) {
            return Ok(());
        }
        Ok(store.put(Table::Keys, MASTER_KEY_ID, self.to_string().as_bytes())?)
    }
}

impl Serialize for MasterKeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MasterKeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MasterKeyId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The master key that a store or a backup needs, for sentences: `key 3f9a01c2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededKey(Vec<MasterKeyId>);

impl NeededKey {
    /// The one key with this id, if its id is known.
    pub fn new(id: Option<MasterKeyId>) -> NeededKey {
        NeededKey(id.into_iter().collect())
    }

    /// Either of the two keys of a rotation. Empty if their ids are not known.
    pub(super) fn either(ids: Vec<MasterKeyId>) -> NeededKey {
        NeededKey(ids)
    }
}

impl fmt::Display for NeededKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else {
            return f.write_str("another key, whose id is not recorded yet");
        };
        write!(f, "key {first}")?;
        others.iter().try_for_each(|other| write!(f, " or {other}"))
    }
}
