//! The secrets that sign the tokens of tenants, by the number of the tenant's API key.

use zeroize::Zeroizing;

use super::aad::tenant_secret_aad;
use super::{Error, Vault, cipher};
use crate::store::Table;

// Frozen: rows in existing stores have this prefix and the number in big endian, and are sealed with that row key.
/// Prefix of their row keys in [`Table::Keys`], before the number of the API key.
pub(super) const TENANT_PREFIX: &[u8] = b"tenant ";

impl Vault {
    /// Seals a tenant's secret and stores it for an API key. Both steps run under one lock, so that no rotation comes
    /// between them. Durable like a put of the store.
    pub fn put_tenant_secret(&self, key: u64, secret: &str) -> Result<(), Error> {
        let (row_key, nonce) = (table_key(key), cipher::random_bytes()?);
        let key_ring = self.master_keys();
        let sealed = key_ring.seal(&tenant_secret_aad(&row_key), secret.as_bytes(), &nonce);
        Ok(self.inner.store.put(Table::Keys, &row_key, &sealed)?)
    }

    /// The opened secret of a tenant; `None` if there is none.
    pub fn get_tenant_secret(&self, key: u64) -> Result<Option<Zeroizing<String>>, Error> {
        let (row_key, key_ring) = (table_key(key), self.master_keys());
        let Some(sealed) = self.inner.store.get(Table::Keys, &row_key)? else { return Ok(None) };
        let clear = key_ring.open_sealed(&tenant_secret_aad(&row_key), &sealed);
        let mut clear = clear.ok_or(Error::TenantSecretDoesNotOpen { key })?;
        let text =
            String::from_utf8(std::mem::take(&mut *clear)).map_err(|_| Error::TenantSecretDoesNotOpen { key })?;
        Ok(Some(Zeroizing::new(text)))
    }

    /// Removes the secret. Durable like a put of the store.
    pub fn remove_tenant_secret(&self, key: u64) -> Result<(), Error> {
        Ok(self.inner.store.remove(Table::Keys, &table_key(key))?)
    }

    /// The numbers of the API keys that have such a secret.
    pub fn tenant_key_ids(&self) -> Result<Vec<u64>, Error> {
        let mut keys = Vec::new();
        for entry in self.inner.store.scan_from(Table::Keys, TENANT_PREFIX) {
            let (row_key, _) = entry?;
            let Some(key) = row_key.strip_prefix(TENANT_PREFIX) else { break };
            keys.extend(key.as_array().map(|key| u64::from_be_bytes(*key)));
        }
        Ok(keys)
    }
}

fn table_key(key: u64) -> Vec<u8> {
    [TENANT_PREFIX, &key.to_be_bytes()].concat()
}
