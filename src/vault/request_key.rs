//! Fingerprints of requests, by which a request that is sent again is known, and their key.
//!
//! A body may hold a code of six digits, which a hash without a key would give away. The key is kept sealed with the
//! master key, and is destroyed with the key of any account: a fingerprint that was made before says nothing to anybody
//! from then on, not even to this service. Fingerprints carry the id of their key, so that this is seen.

use std::sync::{Arc, PoisonError};

use super::aad::AadContext;
use super::cipher::{self, SymmetricKey};
use super::master_key_ring::MasterKeyRing;
use super::{Error, Vault};
use crate::store::{StoredValue, Table};

/// Its place beside the accounts' data keys.
pub(super) const REQUEST_KEY: &[u8] = b"request key";

/// A fingerprint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFingerprint {
    /// Which key it was made with.
    pub key: [u8; 8],
    /// The keyed hash.
    pub hash: [u8; 32],
}

/// What is derived of the key, so that it is opened once. No `Debug`: it holds secrets.
pub(super) struct DerivedRequestKeys {
    /// The key as it was stored.
    sealed: StoredValue,
    id: [u8; 8],
    hashing: SymmetricKey,
}

impl RequestFingerprint {
    /// Whether it is known to be of another request. Of fingerprints that were made with two keys nothing is known.
    pub fn differs_from(&self, other: &RequestFingerprint) -> bool {
        self.key == other.key && self.hash != other.hash
    }
}

impl Vault {
    /// The fingerprint of a request that consists of these parts. Takes as long as hashing them.
    pub fn fingerprint_request(&self, parts: &[&[u8]]) -> Result<RequestFingerprint, Error> {
        let keys = self.derived_request_keys()?;
        // Each behind its length, so that no two lists of parts give the same bytes.
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_le_bytes()).collect();
        let pieces: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], part]).collect();
        Ok(RequestFingerprint { key: keys.id, hash: cipher::hmac_concat(&keys.hashing, &pieces) })
    }

    /// What is derived of the key that is stored. It is looked at each time, because it may have been destroyed.
    fn derived_request_keys(&self) -> Result<Arc<DerivedRequestKeys>, Error> {
        let masters = self.master_keys();
        let sealed = self.load_or_create_request_key(&masters)?;
        let mut opened = self.inner.request_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = opened.as_ref().filter(|keys| keys.sealed == sealed) {
            return Ok(keys.clone());
        }
        let clear = masters.open_sealed(&AadContext::RequestKey.aad_for(None), &sealed);
        let key = clear.and_then(|key| key.first_chunk().map(|key| SymmetricKey::new(*key)));
        let key = key.ok_or(Error::RequestKeyDoesNotOpen)?;
        // No key serves two purposes.
        let derived = |purpose: &[u8]| SymmetricKey::new(cipher::hmac_concat(&key, &[purpose]));
        let id = derived(b"muster request key id 1").first_chunk().copied().unwrap_or_default();
        let keys = Arc::new(DerivedRequestKeys { sealed, id, hashing: derived(b"muster request fingerprint 1") });
        Ok(opened.insert(keys).clone())
    }

    /// The present key, which is made if there is none. While `masters` is held a rotation seals nothing anew.
    fn load_or_create_request_key(&self, masters: &MasterKeyRing) -> Result<StoredValue, Error> {
        let aad = AadContext::RequestKey.aad_for(None);
        if let Some(sealed) = self.inner.store.get(Table::Keys, REQUEST_KEY)? {
            return Ok(sealed);
        }
        let key = SymmetricKey::new(cipher::random_bytes()?);
        let sealed = masters.seal(&aad, &*key, &cipher::random_bytes()?);
        let there = self.inner.store.put_if_absent(Table::Keys, REQUEST_KEY, &sealed)?;
        Ok(there.unwrap_or_else(|| sealed.into()))
    }
}
