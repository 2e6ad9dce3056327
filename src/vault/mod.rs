//! Secrets: sealed before they reach anything that is kept.
//!
//! | file | what it knows |
//! |---|---|
//! | `master_key_source` | where the master key comes from |
//! | `master_key_file` | the one key that is not in the store, and its file |
//! | `master_key_ring` | the master keys that are known: one, or two during a rotation |
//! | `rotation` | everything is sealed anew under another master key |
//! | `aad` | what sealed bytes are for, and whose |
//! | `error` | why the vault cannot seal or open |
//! | `cipher` | how bytes are sealed and opened |
//! | `tenant_secrets` | the secrets with which tenants make their tokens |
//! | `log_key` | the key that signs what the journal says of itself |
//! | `request_key` | fingerprints of requests, and their key |
//! | `erasure` | one account's key is destroyed |
//! | `plaintext_content` | the canonical bytes of what comes with an account |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! Each account has a data key of its own, drawn at random and kept in the store only wrapped by the master key. What
//! is secret is sealed with the data key, so that destroying it destroys the secrets in every place they ever reached.
//! Whether two contents are the same is told by a hash that is keyed with the data key too.

mod aad;
mod cipher;
mod erasure;
mod error;
mod log_key;
mod master_key_file;
mod master_key_ring;
mod master_key_source;
mod plaintext_content;
mod request_key;
mod rotation;
mod tenant_secrets;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub use erasure::{ErasureGuard, SealingGuard};
pub use error::Error;
pub use log_key::{LogKey, PublicKey};
pub use master_key_ring::master_key_token;
pub use plaintext_content::{ContentSecrets, PlaintextContent};
pub use request_key::RequestFingerprint;
pub use rotation::{MasterKeyStatus, Rotation, RotationReport};

use crate::config;
use crate::domain::{AccountNumber, Content, Fingerprint, SealedBytes};
use crate::store::{Store, Table};
use aad::{AadContext, receiver_settings_aad};
use cipher::SymmetricKey;
use master_key_ring::MasterKeyRing;
use master_key_source::MasterKeySource;
use request_key::DerivedRequestKeys;

/// The vault, open. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<VaultInner>,
}

struct VaultInner {
    store: Store,
    master_key_source: MasterKeySource,
    master_keys: RwLock<MasterKeyRing>,
    /// Shared by those who seal, and alone for whoever destroys a key.
    sealing_lock: tokio::sync::RwLock<()>,
    /// The key of the fingerprints of requests, opened; cleared where it is destroyed.
    request_key: Mutex<Option<Arc<DerivedRequestKeys>>>,
    /// One place: whoever rotates the master key, or undoes that, has it.
    rotation_permit: Arc<Semaphore>,
    /// Stops the rotation that has the place.
    stop_rotation: Mutex<CancellationToken>,
    /// Accounts that the rotation has come to, and all that it comes to.
    rotation_done: AtomicU64,
    rotation_total: AtomicU64,
}

/// Random bytes for a secret that others are given.
pub fn generate_secret() -> Result<Zeroizing<[u8; 32]>, Error> {
    Ok(Zeroizing::new(cipher::random_bytes()?))
}

impl Vault {
    /// Opens the vault of `store`. The first time, the master key is made, if it is to be in a file.
    pub fn open(store: Store, settings: &config::VaultSettings) -> Result<Vault, Error> {
        let source = MasterKeySource::from_settings(&store, settings);
        let masters = RwLock::new(MasterKeyRing::open(&store, &source)?);
        let inner = VaultInner {
            store,
            master_key_source: source,
            master_keys: masters,
            sealing_lock: tokio::sync::RwLock::default(),
            request_key: Mutex::default(),
            rotation_permit: Arc::new(Semaphore::new(1)),
            stop_rotation: Mutex::default(),
            rotation_done: AtomicU64::default(),
            rotation_total: AtomicU64::default(),
        };
        Ok(Vault { inner: Arc::new(inner) })
    }

    /// As [`open`](Vault::open), and makes nothing: for a store that is only looked into.
    pub fn open_existing(store: Store, settings: &config::VaultSettings) -> Result<Vault, Error> {
        match MasterKeySource::from_settings(&store, settings) {
            MasterKeySource::File(path) if !path.exists() => Err(Error::MasterKeyMissing { path }),
            MasterKeySource::File(_) | MasterKeySource::Command(_) | MasterKeySource::Environment(_) => {
                Vault::open(store, settings)
            }
        }
    }

    /// Seals what came with an account under the account's data key, which is made if there is none yet.
    pub fn seal_content(&self, account: AccountNumber, content: &PlaintextContent<'_>) -> Result<Arc<Content>, Error> {
        let data_key = self.load_or_create_data_key(account)?;
        let fingerprint = Fingerprint(cipher::content_fingerprint(&data_key, &content.canonical_bytes()));
        let aad = AadContext::Content.aad_for(Some(account));
        let secrets =
            SealedBytes(cipher::seal(&data_key, &aad, &content.secret_bytes(), &cipher::random_bytes()?).into());
        Ok(Arc::new(Content {
            account_type: content.account_type,
            name: content.name.map(str::to_owned),
            avatar: content.avatar.map(str::to_owned),
            public_key: content.public_key.to_owned(),
            msg_public_key: content.msg_public_key.to_owned(),
            account_id: content.account_id.map(str::to_owned),
            next_key_id: content.next_key_id.map(str::to_owned),
            registration_id: content.registration_id.map(str::to_owned),
            secrets,
            fingerprint,
        }))
    }

    /// Makes the account's data key, if there is none yet.
    pub fn create_data_key(&self, account: AccountNumber) -> Result<(), Error> {
        self.load_or_create_data_key(account).map(drop)
    }

    /// Opens what is secret of an account's content: for a gateway that brings it online.
    pub fn open_content(&self, account: AccountNumber, content: &Content) -> Result<ContentSecrets, Error> {
        let clear = self.open_sealed(account, AadContext::Content, &content.secrets)?;
        ContentSecrets::decode(&clear).ok_or(Error::AccountSecretDoesNotOpen { account })
    }

    /// Seals a verification code. None if the account has no data key: then nothing ever happened to it.
    pub fn seal_code(&self, account: AccountNumber, code: &str) -> Result<Option<SealedBytes>, Error> {
        self.seal_text(account, AadContext::Code, code)
    }

    /// Opens a verification code.
    pub fn open_code(&self, account: AccountNumber, code: &SealedBytes) -> Result<Zeroizing<String>, Error> {
        self.open_text(account, AadContext::Code, code)
    }

    /// Seals the PIN that a number is registered with. None if the account has no data key.
    pub fn seal_pin(&self, account: AccountNumber, pin: &str) -> Result<Option<SealedBytes>, Error> {
        self.seal_text(account, AadContext::Pin, pin)
    }

    /// Opens such a PIN.
    pub fn open_pin(&self, account: AccountNumber, pin: &SealedBytes) -> Result<Zeroizing<String>, Error> {
        self.open_text(account, AadContext::Pin, pin)
    }

    fn seal_text(
        &self,
        account: AccountNumber,
        purpose: AadContext,
        clear: &str,
    ) -> Result<Option<SealedBytes>, Error> {
        let Some(data_key) = self.load_data_key(account)? else { return Ok(None) };
        let aad = purpose.aad_for(Some(account));
        Ok(Some(SealedBytes(cipher::seal(&data_key, &aad, clear.as_bytes(), &cipher::random_bytes()?).into())))
    }

    fn open_sealed(
        &self,
        account: AccountNumber,
        purpose: AadContext,
        sealed: &SealedBytes,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let data_key = self.load_data_key(account)?.ok_or(Error::AccountSecretDoesNotOpen { account })?;
        let aad = purpose.aad_for(Some(account));
        cipher::open(&data_key, &aad, &sealed.0).ok_or(Error::AccountSecretDoesNotOpen { account })
    }

    fn open_text(
        &self,
        account: AccountNumber,
        purpose: AadContext,
        sealed: &SealedBytes,
    ) -> Result<Zeroizing<String>, Error> {
        let clear = self.open_sealed(account, purpose, sealed)?;
        let text = str::from_utf8(&clear).map_err(|_| Error::AccountSecretDoesNotOpen { account })?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Seals what operators set of a receiver of webhooks, and keeps it under the channel's name. In one go, so that no
    /// rotation of the master key comes in between. Durable as a put of the store is.
    pub fn put_receiver_settings(&self, channel: &str, clear: &[u8]) -> Result<(), Error> {
        let aad = receiver_settings_aad(channel.as_bytes());
        let masters = self.master_keys();
        let sealed = masters.seal(&aad, clear, &cipher::random_bytes()?);
        Ok(self.inner.store.put(Table::ReceiverSettings, channel.as_bytes(), &sealed)?)
    }

    /// What was kept so, opened; none if there is nothing.
    pub fn get_receiver_settings(&self, channel: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let masters = self.master_keys();
        let Some(sealed) = self.inner.store.get(Table::ReceiverSettings, channel.as_bytes())? else { return Ok(None) };
        let clear = masters.open_sealed(&receiver_settings_aad(channel.as_bytes()), &sealed);
        clear.map(Some).ok_or_else(|| Error::ReceiverSettingsDoNotOpen(channel.to_owned()))
    }

    /// Both master keys stay as they are while this is held.
    fn master_keys(&self) -> RwLockReadGuard<'_, MasterKeyRing> {
        self.inner.master_keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Alone: nobody seals or opens meanwhile.
    fn master_keys_mut(&self) -> RwLockWriteGuard<'_, MasterKeyRing> {
        self.inner.master_keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_data_key(&self, account: AccountNumber) -> Result<Option<SymmetricKey>, Error> {
        // Held before the key is read: what a rotation has sealed anew meanwhile would open with none of these.
        let masters = self.master_keys();
        let wrapped = self.inner.store.get(Table::Keys, &account.get().to_be_bytes())?;
        wrapped.map(|wrapped| unwrap_data_key(&masters, account, &wrapped)).transpose()
    }

    /// The store gets the wrapped key before the journal gets anything sealed with it, and both are made durable by the
    /// same flush, in this order: there is never a sealed secret whose key was lost.
    fn load_or_create_data_key(&self, account: AccountNumber) -> Result<SymmetricKey, Error> {
        if let Some(data_key) = self.load_data_key(account)? {
            return Ok(data_key);
        }
        // In one go, because each draw is a call of the operating system.
        let drawn = Zeroizing::new(cipher::random_bytes::<{ cipher::KEY_BYTES + cipher::NONCE_BYTES }>()?);
        let (key, nonce) = drawn.split_at(cipher::KEY_BYTES);
        let (mut data_key, mut wrap_nonce) = (Zeroizing::new([0; cipher::KEY_BYTES]), [0; cipher::NONCE_BYTES]);
        data_key.copy_from_slice(key);
        wrap_nonce.copy_from_slice(nonce);
        let aad = AadContext::DataKey.aad_for(Some(account));
        // Held until the key is stored: a rotation seals anew what is stored by then, and nothing that comes later.
        let masters = self.master_keys();
        let wrapped = masters.seal(&aad, &*data_key, &wrap_nonce);
        // Two requests may import the same account at once: the first key stands, and both use it.
        let there = self.inner.store.put_if_absent(Table::Keys, &account.get().to_be_bytes(), &wrapped)?;
        match there {
            Some(there) => unwrap_data_key(&masters, account, &there),
            None => Ok(data_key),
        }
    }
}

fn unwrap_data_key(masters: &MasterKeyRing, account: AccountNumber, wrapped: &[u8]) -> Result<SymmetricKey, Error> {
    let aad = AadContext::DataKey.aad_for(Some(account));
    let clear = masters.open_sealed(&aad, wrapped).ok_or(Error::AccountSecretDoesNotOpen { account })?;
    clear.first_chunk().map(|key| Zeroizing::new(*key)).ok_or(Error::AccountSecretDoesNotOpen { account })
}
