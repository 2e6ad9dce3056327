//! Erasure: destroys the data key of one account, and with it every secret that it sealed. Also destroys the key of
//! request fingerprints, because requests contained those secrets.
//!
//! An intent is stored before the event, and the key is destroyed after it. A crash in between leaves the intent. The
//! next start looks for the event in the account's history, and completes the erasure or removes the intent.

use std::sync::PoisonError;

use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::request_key::REQUEST_KEY;
use super::{Error, Vault};
use crate::domain::AccountNumber;
use crate::store::Table;

// Frozen: a newer program completes an erasure that an older one began.
/// Prefix of an intent's key in the table, before the account number.
const INTENT_PREFIX: &[u8] = b"erase ";

/// The right to seal secrets. No key is destroyed meanwhile.
pub struct SealingGuard<'v> {
    _shared: RwLockReadGuard<'v, ()>,
}

/// The right to destroy a key. Sealing waits meanwhile.
pub struct ErasureGuard<'v> {
    vault: &'v Vault,
    _alone: RwLockWriteGuard<'v, ()>,
}

impl Vault {
    /// Waits while a key is being destroyed. Hold the guard from sealing a secret until the secret is in the
    /// account's history. Otherwise its key might be destroyed in between.
    pub async fn lock_for_sealing(&self) -> SealingGuard<'_> {
        SealingGuard { _shared: self.inner.sealing_lock.read().await }
    }

    /// Waits until nothing is being sealed.
    pub async fn lock_for_erasure(&self) -> ErasureGuard<'_> {
        ErasureGuard { vault: self, _alone: self.inner.sealing_lock.write().await }
    }

    /// The accounts with an unfinished erasure.
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
    /// Stores, durably, the intent to destroy the account's key. Blocks for a disk write.
    pub fn record_intent(&self, account: AccountNumber) -> Result<(), Error> {
        let store = &self.vault.inner.store;
        store.put(Table::Keys, &intent_key(account), b"")?;
        Ok(store.sync()?)
    }

    /// Removes the account's intent.
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
