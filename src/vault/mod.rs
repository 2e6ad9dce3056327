//! Secrets: sealed before they reach anything that is kept.

use zeroize::Zeroizing;

use crate::domain::{AccountNumber, AccountType, Content, Sealed};

/// The vault, open. Cheap to clone.
#[derive(Clone)]
pub struct Vault {}

/// What a caller sends with an account, secrets in clear. It has no `Debug`, and lives no longer than the request.
pub struct ClearContent<'a> {
    /// Personal or business.
    pub account_type: AccountType,
    /// The name shown to customers.
    pub name: Option<&'a str>,
    /// Where the picture is.
    pub avatar: Option<&'a str>,
    /// The account's public key.
    pub public_key: &'a str,
    /// The account's private key. Secret.
    pub private_key: &'a str,
    /// The public key for messages.
    pub msg_public_key: &'a str,
    /// The private key for messages. Secret.
    pub msg_private_key: &'a str,
    /// The caller's own id of the account.
    pub account_id: Option<&'a str>,
    /// Id of the next pre-key.
    pub next_key_id: Option<&'a str>,
    /// Registration id.
    pub registration_id: Option<&'a str>,
    /// Device parameters. Secret.
    pub device_params: Option<&'a str>,
}

/// Why the vault cannot seal or open.
#[derive(Debug, thiserror::Error)]
pub enum Error {}

impl Vault {
    /// Seals what came with an account under the account's data key, which is made if there is none yet.
    pub fn seal_content(&self, _account: AccountNumber, _content: &ClearContent<'_>) -> Result<Box<Content>, Error> {
        todo!()
    }

    /// Makes the account's data key, if there is none yet.
    pub fn enrol(&self, _account: AccountNumber) -> Result<(), Error> {
        todo!()
    }

    /// Seals a verification code. None if the account has no data key: then nothing ever happened to it.
    pub fn seal_code(&self, _account: AccountNumber, _code: &str) -> Result<Option<Sealed>, Error> {
        todo!()
    }

    /// Opens a verification code.
    pub fn open_code(&self, _account: AccountNumber, _code: &Sealed) -> Result<Zeroizing<String>, Error> {
        todo!()
    }
}
