//! Fingerprints of requests, which identify a repeated request; sealed responses; and their key.
//!
//! A body may hold a six-digit code, which a hash without a key would reveal. The key is stored sealed with the
//! master key. It is destroyed together with the data key of any account: older fingerprints and responses then reveal
//! nothing, not even to this service. Each fingerprint has the id of its key, because only fingerprints of one key can be compared.

use std::sync::{Arc, PoisonError};

use zeroize::Zeroizing;

use super::aad::AadContext;
use super::cipher::{self, SymmetricKey};
use super::master_key_ring::MasterKeyRing;
use super::{Error, Vault};
use crate::store::{StoredValue, Table};

// Frozen: stored fingerprints of requests can be compared only with this key and the same hash.
/// The row of the key in [`Table::Keys`].
pub(super) const REQUEST_KEY: &[u8] = b"request key";

/// The fingerprint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFingerprint {
    /// The id of the key that it was made with.
    pub key: [u8; 8],
    /// The keyed hash.
    pub hash: [u8; 32],
}

/// Values derived from the key, so that it is opened only once. No `Debug`, because it holds secrets.
pub(super) struct DerivedRequestKeys {
    /// The sealed key, as stored.
    sealed: StoredValue,
    id: [u8; 8],
    hashing: SymmetricKey,
    sealing: SymmetricKey,
}

impl RequestFingerprint {
    /// Whether the two are known to be of different requests. Fingerprints from two keys cannot be compared.
    pub fn differs_from(&self, other: &RequestFingerprint) -> bool {
        self.key == other.key && self.hash != other.hash
    }
}

impl Vault {
    /// The fingerprint of a request that consists of these parts.
    pub fn fingerprint_request(&self, parts: &[&[u8]]) -> Result<RequestFingerprint, Error> {
        let keys = self.derived_request_keys()?;
        // Each part follows its length, so that different lists of parts never give the same bytes.
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_le_bytes()).collect();
        let pieces: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], part]).collect();
        Ok(RequestFingerprint { key: keys.id, hash: cipher::hmac_concat(&keys.hashing, &pieces) })
    }

    /// Seals a response that is stored for a repeated request. It opens only in the same `scope`.
    pub fn seal_response(&self, scope: &[u8], response: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(cipher::seal(&self.derived_request_keys()?.sealing, scope, response, &cipher::random_bytes()?))
    }

    /// Opens a stored response. `None` if its key was destroyed.
    pub fn open_response(&self, scope: &[u8], sealed: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        Ok(cipher::open(&self.derived_request_keys()?.sealing, scope, sealed))
    }

    /// The values derived from the stored key. The stored key is read each time, because it may have been destroyed.
    fn derived_request_keys(&self) -> Result<Arc<DerivedRequestKeys>, Error> {
        let key_ring = self.master_keys();
        let sealed = self.load_or_create_request_key(&key_ring)?;
        let mut opened = self.inner.request_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = opened.as_ref().filter(|keys| keys.sealed == sealed) {
            return Ok(keys.clone());
        }
        let clear = key_ring.open_sealed(&AadContext::RequestKey.aad_for(None), &sealed);
        let key = clear.and_then(|key| key.first_chunk().map(|key| SymmetricKey::new(*key)));
        let key = key.ok_or(Error::RequestKeyDoesNotOpen)?;
        // Separate derived keys, so that no key serves two purposes.
        let derived = |purpose: &[u8]| SymmetricKey::new(cipher::hmac_concat(&key, &[purpose]));
        let id = derived(b"muster request key id 1").first_chunk().copied().unwrap_or_default();
        let keys = Arc::new(DerivedRequestKeys {
            sealed,
            id,
            hashing: derived(b"muster request fingerprint 1"),
            sealing: derived(b"muster request response 1"),
        });
        Ok(opened.insert(keys).clone())
    }

    /// The current key, created if it is missing. No rotation reseals it while `key_ring` is held.
    fn load_or_create_request_key(&self, key_ring: &MasterKeyRing) -> Result<StoredValue, Error> {
        let aad = AadContext::RequestKey.aad_for(None);
        if let Some(sealed) = self.inner.store.get(Table::Keys, REQUEST_KEY)? {
            return Ok(sealed);
        }
        let key = SymmetricKey::new(cipher::random_bytes()?);
        let sealed = key_ring.seal(&aad, &*key, &cipher::random_bytes()?);
        let existing = self.inner.store.put_if_absent(Table::Keys, REQUEST_KEY, &sealed)?;
        Ok(existing.unwrap_or_else(|| sealed.into()))
    }
}
