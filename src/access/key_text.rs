//! The text of an API key: for key 7, `muster_7_` and a secret. Pure.
//!
//! The secret is 256 random bits, as 43 characters of base64 (URL-safe, no padding). The number identifies the key, and the
//! secret proves it. Scanners find leaked keys by the prefix `muster_`.
//!
//! Frozen: the form of keys and the hash. Callers hold the keys, and the journal holds the hashes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const PREFIX: &str = "muster_";

/// The text of the key with this number and secret.
pub(super) fn format_key(id: u64, secret: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{id}_{}", *encode_secret(secret)))
}

/// Parses a key into its number and the hash of its secret; `None` if the text is not a key.
pub(super) fn parse_key(text: &str) -> Option<(u64, [u8; 32])> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let hash = hash_encoded_secret(secret)?;
    let number: u64 = id.parse().ok()?;
    // A key has one text only: no leading zeros or signs.
    (number.to_string() == id).then_some((number, hash))
}

/// A secret as text: 43 characters.
pub(super) fn encode_secret(secret: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(secret))
}

/// The hash of a secret in text form; `None` if the text is not a secret.
pub(super) fn hash_encoded_secret(encoded: &str) -> Option<[u8; 32]> {
    // The decoder needs 33 bytes of space for 43 characters, although they decode to 32.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes[..]).ok()?;
    let secret: &[u8; 32] = bytes[..length].try_into().ok()?;
    Some(hash_secret(secret))
}

/// The hash of a secret. The secret has 256 random bits, so a slow hash would not protect it better.
pub(super) fn hash_secret(secret: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Compares two hashes in constant time.
pub(super) fn constant_time_eq(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |different, (one, other)| different | (one ^ other)) == 0
}
