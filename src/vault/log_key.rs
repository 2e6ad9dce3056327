//! The Ed25519 key that signs the journal's checkpoints. It is stored sealed with the master key.

use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::aad::AadContext;
use super::cipher::{self, SymmetricKey};
use super::{Error, Vault};
use crate::store::Table;

/// The log's key. Cheap to clone. No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct LogKey {
    pair: Arc<Ed25519KeyPair>,
    public: PublicKey,
}

/// The public half, which verifies signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

// Frozen: without this row a start would create a second key, and auditors know only the first.
/// The row of the log's key in [`Table::Keys`].
pub(super) const LOG_KEY: &[u8] = b"log key";

impl Vault {
    /// The log's key. Created at the first call.
    pub fn load_or_create_log_key(&self) -> Result<LogKey, Error> {
        let aad = AadContext::LogKey.aad_for(None);
        let stored = self.inner.store.get(Table::Keys, LOG_KEY)?;
        let seed = match stored {
            Some(sealed) => self
                .master_keys()
                .open_sealed(&aad, &sealed)
                .and_then(|seed| seed.first_chunk().map(|seed| SymmetricKey::new(*seed)))
                .ok_or(Error::LogKeyDoesNotOpen)?,
            None => {
                let seed = SymmetricKey::new(cipher::random_bytes()?);
                let key_ring = self.master_keys();
                let sealed = key_ring.seal(&aad, &*seed, &cipher::random_bytes()?);
                self.inner.store.put(Table::Keys, LOG_KEY, &sealed)?;
                // The public key is soon written to a file of its own. It must never be durable without this seed:
                // after such a power cut a second key was created, and no start accepted a log with two keys.
                self.inner.store.sync()?;
                seed
            }
        };
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| Error::LogKeyDoesNotOpen)?;
        let public = pair.public_key().as_ref().first_chunk().map(|public| PublicKey(*public));
        Ok(LogKey { pair: Arc::new(pair), public: public.ok_or(Error::LogKeyDoesNotOpen)? })
    }
}

impl LogKey {
    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        // An Ed25519 signature has 64 bytes.
        self.pair.sign(message).as_ref().first_chunk().copied().unwrap_or([0; 64])
    }
}

impl PublicKey {
    /// Whether `signature` is a valid signature of `message` by this key.
    pub fn verifies(self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}
