//! What is imported with an account: its profile and its keys.

use std::fmt;

use super::AccountType;

/// The content of an account, as it was imported or last replaced.
///
/// Keys and ids are opaque texts, which may be empty. Secrets are stored only sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Personal or business.
    pub account_type: AccountType,
    /// The name shown to customers.
    pub name: Option<String>,
    /// The URL of the picture.
    pub avatar: Option<String>,
    /// The account's public key.
    pub public_key: String,
    /// The public key for messages.
    pub msg_public_key: String,
    /// The caller's own id of the account.
    pub account_id: Option<String>,
    /// Id of the next pre-key.
    pub next_key_id: Option<String>,
    /// Registration id.
    pub registration_id: Option<String>,
    /// Private key, message private key and device parameters, sealed.
    pub secrets: SealedBytes,
    /// A keyed hash over all of the above in clear. Equal content has an equal hash; without the key it reveals
    /// nothing.
    pub fingerprint: Fingerprint,
}

impl Content {
    /// A personal account without content.
    pub fn empty() -> Content {
        Content {
            account_type: AccountType::Personal,
            name: None,
            avatar: None,
            public_key: String::new(),
            msg_public_key: String::new(),
            account_id: None,
            next_key_id: None,
            registration_id: None,
            secrets: SealedBytes(Box::default()),
            fingerprint: Fingerprint([0; 32]),
        }
    }
}

/// Bytes that only the vault can open.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBytes(pub Box<[u8]>);

/// A keyed hash that recognises equal content without revealing it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// Shows only the size: not even ciphertext belongs in a log.
impl fmt::Debug for SealedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Shows the first four bytes, enough to tell two apart by eye.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Fingerprint({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}
