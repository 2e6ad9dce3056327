//! Secrets: sealed before they reach anything that is kept.
//!
//! | file | what it knows |
//! |---|---|
//! | `master_key` | the one key that is not in the store, and its file |
//! | `cipher` | how bytes are sealed and opened |
//! | `log_key` | the key that signs what the journal says of itself |
//! | `erasure` | one account's key is destroyed |
//! | `content` | the canonical bytes of what comes with an account |
//!
//! Each account has a data key of its own, drawn at random and kept in the store only wrapped by the master key. What
//! is secret is sealed with the data key, so that destroying it destroys the secrets in every place they ever reached.
//! Whether two contents are the same is told by a hash that is keyed with the data key too.

mod cipher;
mod content;
mod erasure;
mod log_key;
mod master_key;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

pub use content::ClearContent;
pub use erasure::{Erasing, Sealing};
pub use log_key::{LogKey, PublicKey};

use crate::config;
use crate::domain::{AccountNumber, Content, Fingerprint, Sealed};
use crate::store::{self, Store, Table};
use cipher::Key;

/// The vault, open. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    master: Key,
    /// Shared by those who seal, and alone for whoever destroys a key.
    sealing: tokio::sync::RwLock<()>,
}

/// Why the vault cannot seal or open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master key's file cannot be read or made.
    #[error("cannot {what} the master key file {path}: {source}")]
    File {
        /// What was tried, as in "read".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Others may read the master key.
    #[error("the master key file {path} may be read by others (mode {mode:o}); run: chmod 600 {path}")]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds something else.
    #[error("the file {path} holds no master key; restore it from its backup, or set vault.master_key_file")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The store is sealed, and the master key is not there.
    #[error(
        "the master key file {path} is missing, and the store is sealed with it; restore the file, or set vault.master_key_file"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The store is sealed with another master key.
    #[error(
        "the master key in {path} is not the one that the store is sealed with; set vault.master_key_file to that one"
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// Sealed bytes do not open: they were altered, or belong to another account.
    #[error("the sealed secrets of account {account:?} do not open: they were altered, or their key is gone")]
    DoesNotOpen {
        /// Whose.
        account: AccountNumber,
    },
    /// What was set of a receiver does not open.
    #[error("what was set of the receiver of {0} does not open: the store was altered; restore it from a backup")]
    EndpointDoesNotOpen(String),
    /// The log's key does not open.
    #[error("the key that signs the log does not open: the store was altered; restore it from a backup")]
    LogKeyDoesNotOpen,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
    /// The store failed. Final.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Random bytes for a secret that others are given.
pub fn draw_secret() -> Result<Zeroizing<[u8; 32]>, Error> {
    Ok(Zeroizing::new(cipher::draw()?))
}

/// What is bound to sealed bytes, so that they open nowhere else.
#[derive(Clone, Copy)]
enum Purpose {
    DataKey,
    Content,
    Code,
    MasterKeyCheck,
    LogKey,
    Endpoint,
}

/// The place, beside the accounts' data keys, of a text sealed with the master key: by it a wrong one is told.
const MASTER_KEY_CHECK: &[u8] = b"master key check";

impl Vault {
    /// Opens the vault of `store`. The first time, the master key is made.
    pub fn open(store: Store, settings: &config::Vault) -> Result<Vault, Error> {
        let path = settings.master_key_file.clone().unwrap_or_else(|| store.path().join("keys").join("master.key"));
        let check = store.get(Table::Keys, MASTER_KEY_CHECK)?;
        let master = match (master_key::read(&path)?, &check) {
            (Some(master), _) => master,
            (None, None) => master_key::make(&path)?,
            (None, Some(_)) => return Err(Error::Missing { path }),
        };
        let aad = Purpose::MasterKeyCheck.bound_to(None);
        match check {
            Some(sealed) if cipher::open(&master, &aad, &sealed).is_none() => return Err(Error::WrongKey { path }),
            Some(_) => {}
            None => {
                let sealed = cipher::seal(&master, &aad, MASTER_KEY_CHECK, &cipher::draw()?);
                store.put(Table::Keys, MASTER_KEY_CHECK, &sealed)?;
                store.flush()?;
            }
        }
        Ok(Vault { inner: Arc::new(Inner { store, master, sealing: tokio::sync::RwLock::default() }) })
    }

    /// As [`open`](Vault::open), and makes nothing: for a store that is only looked into.
    pub fn open_made(store: Store, settings: &config::Vault) -> Result<Vault, Error> {
        let path = settings.master_key_file.clone().unwrap_or_else(|| store.path().join("keys").join("master.key"));
        if path.exists() { Vault::open(store, settings) } else { Err(Error::Missing { path }) }
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

    /// Seals a verification code. None if the account has no data key: then nothing ever happened to it.
    pub fn seal_code(&self, account: AccountNumber, code: &str) -> Result<Option<Sealed>, Error> {
        let Some(data_key) = self.data_key(account)? else { return Ok(None) };
        let aad = Purpose::Code.bound_to(Some(account));
        Ok(Some(Sealed(cipher::seal(&data_key, &aad, code.as_bytes(), &cipher::draw()?).into())))
    }

    /// Opens a verification code.
    pub fn open_code(&self, account: AccountNumber, code: &Sealed) -> Result<Zeroizing<String>, Error> {
        let data_key = self.data_key(account)?.ok_or(Error::DoesNotOpen { account })?;
        let aad = Purpose::Code.bound_to(Some(account));
        let clear = cipher::open(&data_key, &aad, &code.0).ok_or(Error::DoesNotOpen { account })?;
        let text = str::from_utf8(&clear).map_err(|_| Error::DoesNotOpen { account })?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Seals what operators set of a receiver of webhooks, by the channel's name.
    pub fn seal_endpoint(&self, channel: &str, clear: &[u8]) -> Result<Vec<u8>, Error> {
        let aad = endpoint_aad(channel);
        Ok(cipher::seal(&self.inner.master, &aad, clear, &cipher::draw()?))
    }

    /// Opens it.
    pub fn open_endpoint(&self, channel: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let aad = endpoint_aad(channel);
        cipher::open(&self.inner.master, &aad, sealed).ok_or_else(|| Error::EndpointDoesNotOpen(channel.to_owned()))
    }

    fn data_key(&self, account: AccountNumber) -> Result<Option<Key>, Error> {
        let wrapped = self.inner.store.get(Table::Keys, &account.get().to_be_bytes())?;
        wrapped.map(|wrapped| self.unwrap(account, &wrapped)).transpose()
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
        let wrapped = cipher::seal(&self.inner.master, &aad, &*data_key, &wrap_nonce);
        // Two requests may import the same account at once: the first key stands, and both use it.
        match self.inner.store.put_new(Table::Keys, &account.get().to_be_bytes(), &wrapped)? {
            Some(there) => self.unwrap(account, &there),
            None => Ok(data_key),
        }
    }

    fn unwrap(&self, account: AccountNumber, wrapped: &[u8]) -> Result<Key, Error> {
        let aad = Purpose::DataKey.bound_to(Some(account));
        let clear = cipher::open(&self.inner.master, &aad, wrapped).ok_or(Error::DoesNotOpen { account })?;
        clear.first_chunk().map(|key| Zeroizing::new(*key)).ok_or(Error::DoesNotOpen { account })
    }
}

/// What is bound to an endpoint: what it is, and which channel's.
fn endpoint_aad(channel: &str) -> Vec<u8> {
    [&Purpose::Endpoint.bound_to(None)[..], channel.as_bytes()].concat()
}

impl Purpose {
    /// What is authenticated beside the sealed bytes: what they are for, and whose they are.
    fn bound_to(self, account: Option<AccountNumber>) -> [u8; 16] {
        let purpose: &[u8; 8] = match self {
            Purpose::DataKey => b"data key",
            Purpose::Content => b"content\0",
            Purpose::Code => b"code\0\0\0\0",
            Purpose::MasterKeyCheck => b"check\0\0\0",
            Purpose::LogKey => b"log key\0",
            Purpose::Endpoint => b"endpoint",
        };
        let mut aad = [0; 16];
        aad[..8].copy_from_slice(purpose);
        aad[8..].copy_from_slice(&account.map_or(0, AccountNumber::get).to_le_bytes());
        aad
    }
}
