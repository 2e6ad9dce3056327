//! Secret settings. They come from the environment only, and are never displayed.

use std::collections::HashMap;
use std::fmt;

use reqwest::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::limits::COLLECTOR_HEADERS;

/// A configured secret. Cleared from memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Wraps the configured text.
    pub fn new(text: &str) -> SecretText {
        SecretText(Zeroizing::new(text.to_owned()))
    }

    /// The secret.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Shows that there is a secret, and nothing else.
impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Parses HTTP headers, as in `name=value,other=value`. `None` if one is invalid, or there are too many.
pub fn parse_headers(text: &str) -> Option<HashMap<String, String>> {
    let header = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_header = HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
        is_header.then(|| (name.to_owned(), value.to_owned()))
    };
    let headers = text.split(',').map(header).collect::<Option<HashMap<_, _>>>()?;
    (headers.len() <= COLLECTOR_HEADERS).then_some(headers)
}

/// Whether a text is a master key: 64 hexadecimal digits, or the line that a master key file contains.
pub(super) fn is_master_key(text: &str) -> bool {
    let digits = text.strip_prefix("muster master key 1 ").unwrap_or(text);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
