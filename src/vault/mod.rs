//! Secrets, sealed before they are stored, logged or sent to other modules.
//!
//! | file | what it knows |
//! |---|---|
//! | `master_key_source` | the source of the master key: file, command or environment |
//! | `master_key_file` | reads and writes the master key's file |
//! | `master_key_id` | the id of a master key: how it follows from the key, and where a store records it |
//! | `master_key_ring` | the known master keys: one, or two during a rotation |
//! | `master_key_rotation` | reseals everything under a new master key |
//! | `restored_key` | the master key of a restored store |
//! | `rotation_start` | the start of a rotation, and what becomes of the old key |
//! | `aad` | additional authenticated data: the purpose and owner of sealed bytes |
//! | `error` | errors of sealing and opening |
//! | `cipher` | authenticated encryption, key derivation, random bytes |
//! | `tenant_secrets` | the secrets that sign the tokens of tenants |
//! | `log_key` | the key that signs the journal's checkpoints |
//! | `request_key` | fingerprints of requests, and their key |
//! | `erasure` | destroys the data key of one account |
//! | `plaintext_content` | the canonical bytes of an account's imported content |
//! | `fuzz` | fuzz targets of the parsers; only tests compile it |
//!
//! Each account has its own random data key. The store holds it only wrapped by the master key. The account's secrets
//! are sealed with the data key, so destroying that key destroys every copy of them. A hash keyed by the data key
//! tells whether two contents are equal.

mod aad;
mod cipher;
mod erasure;
mod error;
mod log_key;
mod master_key_file;
mod master_key_id;
mod master_key_ring;
mod master_key_rotation;
mod master_key_source;
mod plaintext_content;
mod request_key;
mod restored_key;
mod rotation_start;
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
pub use master_key_file::default_path as default_master_key_path;
pub use master_key_id::{InvalidMasterKeyId, MasterKeyId, NeededKey};
pub use master_key_ring::{has_recorded_rotation, master_key_token};
pub use master_key_rotation::{MasterKeyStatus, Rotation, RotationReport};
pub use plaintext_content::{ContentSecrets, PlaintextContent};
pub use request_key::RequestFingerprint;
pub use restored_key::NamedMasterKey;
pub use rotation_start::OldKeyChoice;

use crate::config;
use crate::domain::{AccountNumber, Content, ContentTexts, SealedBytes};
use crate::store::{Store, Table};
use aad::{AadContext, receiver_settings_aad};
use cipher::SymmetricKey;
use master_key_ring::MasterKeyRing;
use master_key_source::MasterKeySource;
use request_key::DerivedRequestKeys;

/// An open vault. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<VaultInner>,
}

struct VaultInner {
    store: Store,
    master_key_source: MasterKeySource,
    master_keys: RwLock<MasterKeyRing>,
    /// Shared while something is sealed; exclusive while a key is destroyed.
    sealing_lock: tokio::sync::RwLock<()>,
    /// The opened key of request fingerprints; cleared when that key is destroyed.
    request_key: Mutex<Option<Arc<DerivedRequestKeys>>>,
    /// One permit: a rotation of the master key, or its undo, holds it.
    rotation_permit: Arc<Semaphore>,
    /// Stops the rotation that holds the permit.
    stop_rotation: Mutex<CancellationToken>,
    /// Progress of the rotation: accounts processed, and accounts in total.
    rotation_done: AtomicU64,
    rotation_total: AtomicU64,
}

/// Random bytes for a secret that is handed out.
pub fn generate_secret() -> Result<Zeroizing<[u8; 32]>, Error> {
    Ok(Zeroizing::new(cipher::random_bytes()?))
}

impl Vault {
    /// Opens the vault of `store`. The first opening creates the master key's file in its default place, unless the
    /// settings name another source.
    pub fn open(store: Store, settings: &config::VaultSettings) -> Result<Vault, Error> {
        Vault::open_with(store, settings, true)
    }

    /// Like [`open`](Vault::open), but creates no master key: for a store that is only read.
    pub fn open_existing(store: Store, settings: &config::VaultSettings) -> Result<Vault, Error> {
        Vault::open_with(store, settings, false)
    }

    fn open_with(store: Store, settings: &config::VaultSettings, may_create: bool) -> Result<Vault, Error> {
        let source = MasterKeySource::from_settings(&store, settings);
        let key_ring = RwLock::new(MasterKeyRing::open(&store, &source, may_create)?);
        let inner = VaultInner {
            store,
            master_key_source: source,
            master_keys: key_ring,
            sealing_lock: tokio::sync::RwLock::default(),
            request_key: Mutex::default(),
            rotation_permit: Arc::new(Semaphore::new(1)),
            stop_rotation: Mutex::default(),
            rotation_done: AtomicU64::default(),
            rotation_total: AtomicU64::default(),
        };
        Ok(Vault { inner: Arc::new(inner) })
    }

    /// Seals an account's imported content with the account's data key. Creates the key if it is missing.
    pub fn seal_content(&self, account: AccountNumber, content: &PlaintextContent<'_>) -> Result<Arc<Content>, Error> {
        let data_key = self.load_or_create_data_key(account)?;
        let fingerprint = cipher::content_fingerprint(&data_key, &content.canonical_bytes());
        let aad = AadContext::Content.aad_for(Some(account));
        let secrets =
            SealedBytes(cipher::seal(&data_key, &aad, &content.secret_bytes(), &cipher::random_bytes()?).into());
        Ok(Arc::new(Content {
            account_type: content.account_type,
            texts: ContentTexts::from_fn(|field| {
                content.texts.get(field).filter(|_| !field.is_sealed()).map(|text| (*text).into())
            }),
            secrets,
            fingerprint,
        }))
    }

    /// Creates the account's data key if it is missing.
    pub fn create_data_key(&self, account: AccountNumber) -> Result<(), Error> {
        self.load_or_create_data_key(account).map(drop)
    }

    /// Opens the secrets of an account's content, for the gateway that brings the account online.
    pub fn open_content(&self, account: AccountNumber, content: &Content) -> Result<ContentSecrets, Error> {
        let clear = self.open_sealed(account, AadContext::Content, &content.secrets)?;
        ContentSecrets::decode(&clear).ok_or(Error::AccountSecretDoesNotOpen { account })
    }

    /// Whether an account's stored content equals a sent one whose fingerprint differs. It may: older programs
    /// distinguished an empty text from a missing one. Opens the stored content, and computes today's fingerprint of it.
    pub fn is_same_content(&self, account: AccountNumber, stored: &Content, sent: &Content) -> Result<bool, Error> {
        let secrets = self.open_content(account, stored)?;
        let stored_text = |field| stored.texts.get(field).map(|text| &**text);
        let content = PlaintextContent {
            account_type: stored.account_type,
            texts: ContentTexts::from_fn(|field| secrets.get(field).or_else(|| stored_text(field))),
        };
        let data_key = self.load_data_key(account)?.ok_or(Error::AccountSecretDoesNotOpen { account })?;
        Ok(cipher::content_fingerprint(&data_key, &content.canonical_bytes()) == sent.fingerprint)
    }

    /// Seals a verification code. `None` if the account has no data key, because then it has no events.
    pub fn seal_code(&self, account: AccountNumber, code: &str) -> Result<Option<SealedBytes>, Error> {
        self.seal_text(account, AadContext::Code, code)
    }

    /// Opens a verification code.
    pub fn open_code(&self, account: AccountNumber, code: &SealedBytes) -> Result<Zeroizing<String>, Error> {
        self.open_text(account, AadContext::Code, code)
    }

    /// Seals the PIN that a number is registered with. `None` if the account has no data key.
    pub fn seal_pin(&self, account: AccountNumber, pin: &str) -> Result<Option<SealedBytes>, Error> {
        self.seal_text(account, AadContext::Pin, pin)
    }

    /// Opens the PIN that a number is registered with.
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

    /// Seals the settings of a webhook receiver and stores them under the channel's name. Both steps run under one
    /// lock, so that no rotation comes between them. Durable like a put of the store.
    pub fn put_receiver_settings(&self, channel: &str, clear: &[u8]) -> Result<(), Error> {
        let aad = receiver_settings_aad(channel.as_bytes());
        let key_ring = self.master_keys();
        let sealed = key_ring.seal(&aad, clear, &cipher::random_bytes()?);
        Ok(self.inner.store.put(Table::ReceiverSettings, channel.as_bytes(), &sealed)?)
    }

    /// The opened settings of a webhook receiver; `None` if there are none.
    pub fn get_receiver_settings(&self, channel: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let key_ring = self.master_keys();
        let Some(sealed) = self.inner.store.get(Table::ReceiverSettings, channel.as_bytes())? else { return Ok(None) };
        let clear = key_ring.open_sealed(&receiver_settings_aad(channel.as_bytes()), &sealed);
        clear.map(Some).ok_or_else(|| Error::ReceiverSettingsDoNotOpen(channel.to_owned()))
    }

    /// Read access. The master keys do not change while the guard lives.
    fn master_keys(&self) -> RwLockReadGuard<'_, MasterKeyRing> {
        self.inner.master_keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exclusive access: sealing and opening wait meanwhile.
    fn master_keys_mut(&self) -> RwLockWriteGuard<'_, MasterKeyRing> {
        self.inner.master_keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    // Frozen: the row of a data key is the account number, big endian. Without its row, an account's secrets are lost.
    fn load_data_key(&self, account: AccountNumber) -> Result<Option<SymmetricKey>, Error> {
        // Locked before the data key is read. Otherwise a rotation could reseal it under a master key that is not in
        // this ring.
        let key_ring = self.master_keys();
        let wrapped = self.inner.store.get(Table::Keys, &account.get().to_be_bytes())?;
        wrapped.map(|wrapped| unwrap_data_key(&key_ring, account, &wrapped)).transpose()
    }

    /// The store gets the wrapped key before the journal gets anything sealed with it. One flush makes both durable,
    /// in this order. So a crash cannot leave a sealed secret without its key.
    fn load_or_create_data_key(&self, account: AccountNumber) -> Result<SymmetricKey, Error> {
        if let Some(data_key) = self.load_data_key(account)? {
            return Ok(data_key);
        }
        // One system call for both.
        let random = Zeroizing::new(cipher::random_bytes::<{ cipher::KEY_BYTES + cipher::NONCE_BYTES }>()?);
        let (key, nonce) = random.split_at(cipher::KEY_BYTES);
        let (mut data_key, mut wrap_nonce) = (Zeroizing::new([0; cipher::KEY_BYTES]), [0; cipher::NONCE_BYTES]);
        data_key.copy_from_slice(key);
        wrap_nonce.copy_from_slice(nonce);
        let aad = AadContext::DataKey.aad_for(Some(account));
        // Locked until the key is stored: a rotation reseals only what is stored when it starts.
        let key_ring = self.master_keys();
        let wrapped = key_ring.seal(&aad, &*data_key, &wrap_nonce);
        // Two requests may import the same account concurrently. The first key wins, and both use it.
        let existing = self.inner.store.put_if_absent(Table::Keys, &account.get().to_be_bytes(), &wrapped)?;
        match existing {
            Some(existing) => unwrap_data_key(&key_ring, account, &existing),
            None => Ok(data_key),
        }
    }
}

fn unwrap_data_key(key_ring: &MasterKeyRing, account: AccountNumber, wrapped: &[u8]) -> Result<SymmetricKey, Error> {
    let aad = AadContext::DataKey.aad_for(Some(account));
    let clear = key_ring.open_sealed(&aad, wrapped).ok_or(Error::AccountSecretDoesNotOpen { account })?;
    clear.first_chunk().map(|key| Zeroizing::new(*key)).ok_or(Error::AccountSecretDoesNotOpen { account })
}
