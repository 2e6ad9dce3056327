//! Fingerprints of requests, by which a request that is sent again is known, and their key.
//!
//! A body may hold a code of six digits, which a hash without a key would give away. The key is kept sealed with the
//! master key, and is destroyed with the key of any account: a fingerprint that was made before says nothing to anybody
//! from then on, not even to this service. Fingerprints carry the id of their key, so that this is seen.

use super::cipher::{self, Key};
use super::purpose::Purpose;
use super::{Error, Vault};
use crate::store::Table;

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

impl RequestFingerprint {
    /// Whether it is known to be of another request. Of fingerprints that were made with two keys nothing is known.
    pub fn is_other_than(&self, other: &RequestFingerprint) -> bool {
        self.key == other.key && self.hash != other.hash
    }
}

impl Vault {
    /// The fingerprint of a request that consists of these parts. Takes as long as hashing them.
    pub fn fingerprint_request(&self, parts: &[&[u8]]) -> Result<RequestFingerprint, Error> {
        let key = self.request_key()?;
        // Each behind its length, so that no two lists of parts give the same bytes.
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_le_bytes()).collect();
        let pieces: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], part]).collect();
        // No key serves two purposes.
        let derived = |purpose: &[u8]| Key::new(cipher::hmac_of(&key, &[purpose]));
        let id = derived(b"muster request key id 1").first_chunk().copied().unwrap_or_default();
        Ok(RequestFingerprint { key: id, hash: cipher::hmac_of(&derived(b"muster request fingerprint 1"), &pieces) })
    }

    /// The present key, which is made if there is none.
    fn request_key(&self) -> Result<Key, Error> {
        let aad = Purpose::RequestKey.bound_to(None);
        let open = |sealed: &[u8]| {
            let clear = self.masters().open_sealed(&aad, sealed).ok_or(Error::RequestKeyDoesNotOpen)?;
            clear.first_chunk().map(|key| Key::new(*key)).ok_or(Error::RequestKeyDoesNotOpen)
        };
        if let Some(sealed) = self.inner.store.get(Table::Keys, REQUEST_KEY)? {
            return open(&sealed);
        }
        let key = Key::new(cipher::draw()?);
        // Held until it is stored: a rotation seals anew what is stored by then, and nothing that comes later.
        let masters = self.masters();
        let sealed = masters.seal(&aad, &*key, &cipher::draw()?);
        let there = self.inner.store.put_new(Table::Keys, REQUEST_KEY, &sealed)?;
        drop(masters);
        there.map_or(Ok(key), |there| open(&there))
    }
}
