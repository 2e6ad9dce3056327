//! The content that is imported with an account: its profile and its keys.

use std::fmt;

use super::{AccountType, ContentTexts};

/// The content of an account, as it was imported or last replaced.
///
/// The service does not interpret the texts; they may be empty. Secrets are always stored sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Personal or business.
    pub account_type: AccountType,
    /// The texts that are stored unsealed. The texts of sealed fields are in `secrets` instead.
    pub texts: ContentTexts<Box<str>>,
    /// The texts of the sealed fields.
    pub secrets: SealedBytes,
    /// A keyed hash over all fields above, before sealing. Equal content of one account has an equal hash. Without the
    /// key, the hash reveals nothing.
    pub fingerprint: Fingerprint,
}

impl Content {
    /// A personal account whose required texts are empty.
    pub fn empty() -> Content {
        Content {
            account_type: AccountType::Personal,
            texts: ContentTexts::from_fn(|field| (field.is_required() && !field.is_sealed()).then(Box::default)),
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
