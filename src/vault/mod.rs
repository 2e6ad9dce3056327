//! Secrets: sealed before they reach anything that is kept.
//!
//! | file | what it knows |
//! |---|---|
//! | `source` | where the master key comes from |
//! | `master_key` | the one key that is not in the store, and its file |
//! | `masters` | the master keys that are known: one, or two during a rotation |
//! | `rotation` | everything is sealed anew under another master key |
//! | `purpose` | what sealed bytes are for, and whose |
//! | `error` | why the vault cannot seal or open |
//! | `cipher` | how bytes are sealed and opened |
//! | `tenants` | the secrets with which tenants make their tokens |
//! | `log_key` | the key that signs what the journal says of itself |
//! | `request_key` | fingerprints of requests, and their key |
//! | `erasure` | one account's key is destroyed |
//! | `content` | the canonical bytes of what comes with an account |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! Each account has a data key of its own, drawn at random and kept in the store only wrapped by the master key. What
//! is secret is sealed with the data key, so that destroying it destroys the secrets in every place they ever reached.
//! Whether two contents are the same is told by a hash that is keyed with the data key too.

mod cipher;
mod content;
mod erasure;
mod error;
mod log_key;
mod master_key;
mod masters;
mod purpose;
mod request_key;
mod rotation;
mod source;
mod tenants;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub use content::{ClearContent, ContentSecrets};
pub use erasure::{Erasing, Sealing};
pub use error::Error;
pub use log_key::{LogKey, PublicKey};
pub use masters::sealed_as_one;
pub use request_key::RequestFingerprint;
pub use rotation::{Rotated, Rotation, Standing};

use crate::config;
use crate::domain::{AccountNumber, Content, Fingerprint, Sealed};
use crate::store::{Store, Table};
use cipher::Key;
use masters::Masters;
use purpose::{Purpose, endpoint_aad};
use request_key::RequestKeys;
use source::Source;

/// The vault, open. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    source: Source,
    masters: RwLock<Masters>,
    /// Shared by those who seal, and alone for whoever destroys a key.
    sealing: tokio::sync::RwLock<()>,
    /// The key of the fingerprints of requests, opened; cleared where it is destroyed.
    request_keys: Mutex<Option<Arc<RequestKeys>>>,
    /// One place: whoever rotates the master key, or undoes that, has it.
    rotating: Arc<Semaphore>,
    /// Stops the rotation that has the place.
    stop_rotation: Mutex<CancellationToken>,
    /// Accounts that the rotation has come to, and all that it comes to.
    rotated: AtomicU64,
    to_rotate: AtomicU64,
}

/// Random bytes for a secret that others are given.
pub fn draw_secret() -> Result<Zeroizing<[u8; 32]>, Error> {
    Ok(Zeroizing::new(cipher::draw()?))
}

impl Vault {
    /// Opens the vault of `store`. The first time, the master key is made, if it is to be in a file.
    pub fn open(store: Store, settings: &config::Vault) -> Result<Vault, Error> {
        let source = Source::of(&store, settings);
        let masters = RwLock::new(Masters::open(&store, &source)?);
        let inner = Inner {
            store,
            source,
            masters,
            sealing: tokio::sync::RwLock::default(),
            request_keys: Mutex::default(),
            rotating: Arc::new(Semaphore::new(1)),
            stop_rotation: Mutex::default(),
            rotated: AtomicU64::default(),
            to_rotate: AtomicU64::default(),
        };
        Ok(Vault { inner: Arc::new(inner) })
    }

    /// As [`open`](Vault::open), and makes nothing: for a store that is only looked into.
    pub fn open_made(store: Store, settings: &config::Vault) -> Result<Vault, Error> {
        match Source::of(&store, settings) {
            Source::File(path) if !path.exists() => Err(Error::Missing { path }),
            Source::File(_) | Source::Command(_) | Source::Environment(_) => Vault::open(store, settings),
        }
    }

    /// Seals what came with an account under the account's data key, which is made if there is none yet.
    pub fn seal_content(&self, account: AccountNumber, content: &ClearContent<'_>) -> Result<Arc<Content>, Error> {
        let data_key = self.data_key_or_new(account)?;
        let fingerprint = Fingerprint(cipher::fingerprint(&data_key, &content.canonical()));
        let aad = Purpose::Content.bound_to(Some(account));
        let secrets = Sealed(cipher::seal(&data_key, &aad, &content.secrets(), &cipher::draw()?).into());
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
    pub fn enrol(&self, account: AccountNumber) -> Result<(), Error> {
        self.data_key_or_new(account).map(drop)
    }

    /// Opens what is secret of an account's content: for a gateway that brings it online.
    pub fn open_content(&self, account: AccountNumber, content: &Content) -> Result<ContentSecrets, Error> {
        let clear = self.opened(account, Purpose::Content, &content.secrets)?;
        ContentSecrets::of(&clear).ok_or(Error::DoesNotOpen { account })
    }

    /// Seals a verification code. None if the account has no data key: then nothing ever happened to it.
    pub fn seal_code(&self, account: AccountNumber, code: &str) -> Result<Option<Sealed>, Error> {
        self.sealed(account, Purpose::Code, code)
    }

    /// Opens a verification code.
    pub fn open_code(&self, account: AccountNumber, code: &Sealed) -> Result<Zeroizing<String>, Error> {
        self.opened_text(account, Purpose::Code, code)
    }

    /// Seals the PIN that a number is registered with. None if the account has no data key.
    pub fn seal_pin(&self, account: AccountNumber, pin: &str) -> Result<Option<Sealed>, Error> {
        self.sealed(account, Purpose::Pin, pin)
    }

    /// Opens such a PIN.
    pub fn open_pin(&self, account: AccountNumber, pin: &Sealed) -> Result<Zeroizing<String>, Error> {
        self.opened_text(account, Purpose::Pin, pin)
    }

    fn sealed(&self, account: AccountNumber, purpose: Purpose, clear: &str) -> Result<Option<Sealed>, Error> {
        let Some(data_key) = self.data_key(account)? else { return Ok(None) };
        let aad = purpose.bound_to(Some(account));
        Ok(Some(Sealed(cipher::seal(&data_key, &aad, clear.as_bytes(), &cipher::draw()?).into())))
    }

    fn opened(&self, account: AccountNumber, purpose: Purpose, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        let data_key = self.data_key(account)?.ok_or(Error::DoesNotOpen { account })?;
        let aad = purpose.bound_to(Some(account));
        cipher::open(&data_key, &aad, &sealed.0).ok_or(Error::DoesNotOpen { account })
    }

    fn opened_text(
        &self,
        account: AccountNumber,
        purpose: Purpose,
        sealed: &Sealed,
    ) -> Result<Zeroizing<String>, Error> {
        let clear = self.opened(account, purpose, sealed)?;
        let text = str::from_utf8(&clear).map_err(|_| Error::DoesNotOpen { account })?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Seals what operators set of a receiver of webhooks, and keeps it under the channel's name. In one go, so that no
    /// rotation of the master key comes in between. Durable as a put of the store is.
    pub fn keep_endpoint(&self, channel: &str, clear: &[u8]) -> Result<(), Error> {
        let aad = endpoint_aad(channel.as_bytes());
        let masters = self.masters();
        let sealed = masters.seal(&aad, clear, &cipher::draw()?);
        Ok(self.inner.store.put(Table::Endpoints, channel.as_bytes(), &sealed)?)
    }

    /// What was kept so, opened; none if there is nothing.
    pub fn kept_endpoint(&self, channel: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let masters = self.masters();
        let Some(sealed) = self.inner.store.get(Table::Endpoints, channel.as_bytes())? else { return Ok(None) };
        let clear = masters.open_sealed(&endpoint_aad(channel.as_bytes()), &sealed);
        clear.map(Some).ok_or_else(|| Error::EndpointDoesNotOpen(channel.to_owned()))
    }

    /// Both master keys stay as they are while this is held.
    fn masters(&self) -> RwLockReadGuard<'_, Masters> {
        self.inner.masters.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Alone: nobody seals or opens meanwhile.
    fn masters_to_change(&self) -> RwLockWriteGuard<'_, Masters> {
        self.inner.masters.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn data_key(&self, account: AccountNumber) -> Result<Option<Key>, Error> {
        // Held before the key is read: what a rotation has sealed anew meanwhile would open with none of these.
        let masters = self.masters();
        let wrapped = self.inner.store.get(Table::Keys, &account.get().to_be_bytes())?;
        wrapped.map(|wrapped| unwrap(&masters, account, &wrapped)).transpose()
    }

    /// The store gets the wrapped key before the journal gets anything sealed with it, and both are made durable by the
    /// same flush, in this order: there is never a sealed secret whose key was lost.
    fn data_key_or_new(&self, account: AccountNumber) -> Result<Key, Error> {
        if let Some(data_key) = self.data_key(account)? {
            return Ok(data_key);
        }
        // In one go, because each draw is a call of the operating system.
        let drawn = Zeroizing::new(cipher::draw::<{ cipher::KEY_BYTES + cipher::NONCE_BYTES }>()?);
        let (key, nonce) = drawn.split_at(cipher::KEY_BYTES);
        let (mut data_key, mut wrap_nonce) = (Zeroizing::new([0; cipher::KEY_BYTES]), [0; cipher::NONCE_BYTES]);
        data_key.copy_from_slice(key);
        wrap_nonce.copy_from_slice(nonce);
        let aad = Purpose::DataKey.bound_to(Some(account));
        // Held until the key is stored: a rotation seals anew what is stored by then, and nothing that comes later.
        let masters = self.masters();
        let wrapped = masters.seal(&aad, &*data_key, &wrap_nonce);
        // Two requests may import the same account at once: the first key stands, and both use it.
        let there = self.inner.store.put_new(Table::Keys, &account.get().to_be_bytes(), &wrapped)?;
        match there {
            Some(there) => unwrap(&masters, account, &there),
            None => Ok(data_key),
        }
    }
}

fn unwrap(masters: &Masters, account: AccountNumber, wrapped: &[u8]) -> Result<Key, Error> {
    let aad = Purpose::DataKey.bound_to(Some(account));
    let clear = masters.open_sealed(&aad, wrapped).ok_or(Error::DoesNotOpen { account })?;
    clear.first_chunk().map(|key| Zeroizing::new(*key)).ok_or(Error::DoesNotOpen { account })
}
