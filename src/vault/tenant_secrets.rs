//! The secrets of tenants, which make tokens with them: each by the number of the API key that it is of.

use zeroize::Zeroizing;

use super::aad::tenant_secret_aad;
use super::{Error, Vault, cipher};
use crate::store::Table;

/// Before the number of the API key, beside the accounts' data keys.
pub(super) const TENANT_PREFIX: &[u8] = b"tenant ";

impl Vault {
    /// Seals the secret of a tenant and keeps it for an API key, in one go, so that no rotation of the master key comes in
    /// between. Durable as a put of the store is.
    pub fn put_tenant_secret(&self, key: u64, secret: &str) -> Result<(), Error> {
        let (place, nonce) = (table_key(key), cipher::random_bytes()?);
        let masters = self.master_keys();
        let sealed = masters.seal(&tenant_secret_aad(&place), secret.as_bytes(), &nonce);
        Ok(self.inner.store.put(Table::Keys, &place, &sealed)?)
    }

    /// What was kept so, opened; none if there is nothing.
    pub fn get_tenant_secret(&self, key: u64) -> Result<Option<Zeroizing<String>>, Error> {
        let (place, masters) = (table_key(key), self.master_keys());
        let Some(sealed) = self.inner.store.get(Table::Keys, &place)? else { return Ok(None) };
        let clear = masters.open_sealed(&tenant_secret_aad(&place), &sealed);
        let mut clear = clear.ok_or(Error::TenantSecretDoesNotOpen { key })?;
        let text =
            String::from_utf8(std::mem::take(&mut *clear)).map_err(|_| Error::TenantSecretDoesNotOpen { key })?;
        Ok(Some(Zeroizing::new(text)))
    }

    /// Erases it. Durable as a put of the store is.
    pub fn remove_tenant_secret(&self, key: u64) -> Result<(), Error> {
        Ok(self.inner.store.remove(Table::Keys, &table_key(key))?)
    }

    /// The API keys for which such secrets are kept.
    pub fn tenant_key_ids(&self) -> Result<Vec<u64>, Error> {
        let mut keys = Vec::new();
        for entry in self.inner.store.scan_from(Table::Keys, TENANT_PREFIX) {
            let (place, _) = entry?;
            let Some(key) = place.strip_prefix(TENANT_PREFIX) else { break };
            keys.extend(key.as_array().map(|key| u64::from_be_bytes(*key)));
        }
        Ok(keys)
    }
}

fn table_key(key: u64) -> Vec<u8> {
    [TENANT_PREFIX, &key.to_be_bytes()].concat()
}
