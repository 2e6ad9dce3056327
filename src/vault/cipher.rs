//! Authenticated encryption: XChaCha20-Poly1305. Its nonces are long enough to be random.
//!
//! Sealed bytes are: format (1), nonce (24), ciphertext and tag.
//!
//! Frozen: this layout, and the texts that keys are derived with. Secrets in stores and backups open in no other way,
//! and stored fingerprints must stay comparable.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Error;
use crate::domain::Fingerprint;

/// A key of 256 bits, cleared from memory when it is dropped. `Debug` of `Zeroizing` prints the content, so the type
/// stays private to this module.
pub(super) type SymmetricKey = Zeroizing<[u8; KEY_BYTES]>;

const FORMAT: u8 = 1;
pub(super) const KEY_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 24;

/// Random bytes from the operating system, for keys and nonces.
pub(super) fn random_bytes<const BYTES: usize>() -> Result<[u8; BYTES], Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(Error::NoRandomness)?;
    Ok(bytes)
}

/// Seals `clear` with `key`. It opens only with the same `aad`.
pub(super) fn seal(key: &SymmetricKey, aad: &[u8], clear: &[u8], nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + clear.len() + 16);
    sealed.push(FORMAT);
    sealed.extend_from_slice(nonce);
    let cipher = XChaCha20Poly1305::new((&**key).into());
    // Encryption fails only beyond 256 GiB.
    if let Ok(ciphertext) = cipher.encrypt(&XNonce::from(*nonce), Payload { msg: clear, aad }) {
        sealed.extend_from_slice(&ciphertext);
    }
    sealed
}

/// Opens what [`seal`] sealed. `None` if it was altered, or if `key` or `aad` differs.
pub(super) fn open(key: &SymmetricKey, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (&FORMAT, rest) = sealed.split_first()? else { return None };
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
    let cipher = XChaCha20Poly1305::new((&**key).into());
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad }).ok().map(Zeroizing::new)
}

/// A hash of `content` that cannot be computed without the account's data key. It uses a key derived from the data
/// key, so that no key serves two purposes.
pub(super) fn content_fingerprint(data_key: &SymmetricKey, content: &[u8]) -> Fingerprint {
    let derived = Zeroizing::new(hmac(data_key, b"muster content fingerprint 1"));
    Fingerprint(hmac(&derived, content))
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    hmac_concat(key, &[message])
}

/// The HMAC of the concatenated pieces.
pub(super) fn hmac_concat(key: &[u8; 32], pieces: &[&[u8]]) -> [u8; 32] {
    // HMAC pads a key with zeros to the 64-byte block of its hash.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}
