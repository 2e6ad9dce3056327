//! Erasure: the data key of one account is destroyed, and with it every secret that was ever sealed with it; likewise the
//! key of the fingerprints of requests, in which its secrets were.
//!
//! An intent is kept before the event is, and the key goes after it: a crash in between leaves the intent, and the next
//! start finds by the account's state whether the event is there, and goes on or forgets it.

use std::sync::PoisonError;

use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::request_key::REQUEST_KEY;
use super::{Error, Vault};
use crate::domain::AccountNumber;
use crate::store::Table;

/// Before the number of an account whose key is to be destroyed.
const INTENT_PREFIX: &[u8] = b"erase ";

/// Held from before something is sealed until its command is in its account's mailbox.
pub struct SealingGuard<'v> {
    _shared: RwLockReadGuard<'v, ()>,
}

/// The right to destroy a key: nobody seals anything meanwhile.
pub struct ErasureGuard<'v> {
    vault: &'v Vault,
    _alone: RwLockWriteGuard<'v, ()>,
}

impl Vault {
    /// Waits while a key is being destroyed. Whoever seals something for an account's history holds this until it is
    /// there; else it might be sealed with a key that is gone by then.
    pub async fn lock_for_sealing(&self) -> SealingGuard<'_> {
        SealingGuard { _shared: self.inner.sealing_lock.read().await }
    }

    /// Waits until nothing is being sealed.
    pub async fn lock_for_erasure(&self) -> ErasureGuard<'_> {
        ErasureGuard { vault: self, _alone: self.inner.sealing_lock.write().await }
    }

    /// The accounts whose erasure was begun and not ended.
    pub fn unfinished_erasures(&self) -> Result<Vec<AccountNumber>, Error> {
        let mut found = Vec::new();
        for entry in self.inner.store.scan_from(Table::Keys, INTENT_PREFIX) {
            let (key, _) = entry?;
            let Some(account) = key.strip_prefix(INTENT_PREFIX) else { break };
            let number = account.first_chunk().map(|number| u64::from_be_bytes(*number));
            found.extend(number.and_then(AccountNumber::from_stored));
        }
        Ok(found)
    }
}

impl ErasureGuard<'_> {
    /// Remembers, durably, that the account's key is to be destroyed. Blocks for a disk write.
    pub fn record_intent(&self, account: AccountNumber) -> Result<(), Error> {
        let store = &self.vault.inner.store;
        store.put(Table::Keys, &intent_key(account), b"")?;
        Ok(store.sync()?)
    }

    /// Forgets that.
    pub fn remove_intent(&self, account: AccountNumber) -> Result<(), Error> {
        Ok(self.vault.inner.store.remove(Table::Keys, &intent_key(account))?)
    }

    /// Destroys the account's key, durably. Blocks for a disk write.
    pub fn destroy_data_key(&self, account: AccountNumber) -> Result<(), Error> {
        let store = &self.vault.inner.store;
        store.remove(Table::Keys, &account.get().to_be_bytes())?;
        store.remove(Table::Keys, REQUEST_KEY)?;
        store.sync()?;
        *self.vault.inner.request_key.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.remove_intent(account)
    }
}

fn intent_key(account: AccountNumber) -> [u8; 14] {
    let mut key = [0; 14];
    key[..INTENT_PREFIX.len()].copy_from_slice(INTENT_PREFIX);
    key[INTENT_PREFIX.len()..].copy_from_slice(&account.get().to_be_bytes());
    key
}
