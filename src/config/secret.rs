//! A setting that is a secret: it is given by the environment only, and never shown.

use std::fmt;

use zeroize::Zeroizing;

/// A secret that was set. Cleared from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// What was given.
    pub fn new(text: &str) -> SecretText {
        SecretText(Zeroizing::new(text.to_owned()))
    }

    /// The secret.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// That there is one, and nothing of it.
impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether a text is a master key: 64 hexadecimal digits, or the line of a master key's file.
pub(super) fn is_master_key(text: &str) -> bool {
    let digits = text.strip_prefix("muster master key 1 ").unwrap_or(text);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
