//! A key as text: `muster_7_` and 43 characters of base64 (URL-safe, no padding), which are 256 random bits. The number
//! finds the key, the rest proves it; the beginning is for those who look for leaked secrets. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const PREFIX: &str = "muster_";

/// The text of the key with this number and secret.
pub(super) fn format_key(id: u64, secret: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{id}_{}", *encode_secret(secret)))
}

/// The number of a key, and the hash of its secret; none if the text is no key.
pub(super) fn parse_key(text: &str) -> Option<(u64, [u8; 32])> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let hash = hash_encoded_secret(secret)?;
    let number: u64 = id.parse().ok()?;
    // Written in one way only.
    (number.to_string() == id).then_some((number, hash))
}

/// A secret as text: 43 characters.
pub(super) fn encode_secret(secret: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(secret))
}

/// The hash of a secret that is given as text; none if it is none.
pub(super) fn hash_encoded_secret(encoded: &str) -> Option<[u8; 32]> {
    // The decoder wants room for what so many characters might be at most.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes[..]).ok()?;
    let secret: &[u8; 32] = bytes[..length].try_into().ok()?;
    Some(hash_secret(secret))
}

/// The hash of a secret. As the secret is drawn from 256 bits, a slow hash would protect nothing.
pub(super) fn hash_secret(secret: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether two hashes are equal, in a time that says nothing of where they differ.
pub(super) fn constant_time_eq(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |different, (one, other)| different | (one ^ other)) == 0
}
