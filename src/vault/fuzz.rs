//! Fuzz targets: sealed values and master keys.

#![allow(clippy::unwrap_used, clippy::panic)]

use zeroize::Zeroizing;

use super::cipher::{self, SymmetricKey};
use super::master_key_file::parse;
use super::master_key_ring::MasterKeyRing;

fn key() -> SymmetricKey {
    Zeroizing::new([7; 32])
}

pub(crate) fn sealed_seeds() -> Vec<Vec<u8>> {
    [&b""[..], b"123456", &[9; 200]].map(|clear| cipher::seal(&key(), b"code", clear, &[3; 24])).into()
}

/// Only unchanged sealed bytes open, and only for their purpose.
pub(crate) fn check_sealed(bytes: &[u8]) -> Option<String> {
    if cipher::open(&key(), b"code", bytes).is_some() {
        assert!(sealed_seeds().iter().any(|sealed| sealed == bytes), "altered bytes open");
    }
    assert!(cipher::open(&key(), b"data key", bytes).is_none());
    None
}

pub(crate) fn master_key_seeds() -> Vec<Vec<u8>> {
    // The nonces are random, so each run gets another rotation file with the same keys.
    let rotation_file = MasterKeyRing::encode_rotation_file(&key(), &Zeroizing::new([8; 32]), true).unwrap();
    let digits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    vec![digits.into(), format!("muster master key 1 {digits}").into(), rotation_file.into()]
}

/// A master key has one written form, except for case. A rotation file yields the keys that were sealed in it.
pub(crate) fn check_master_key(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    if let Ok(key) = parse(text.as_bytes()) {
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(text.to_ascii_lowercase().ends_with(&digits));
    }
    if let Some(key_ring) = MasterKeyRing::from_rotation_file(key(), text) {
        assert!(*key_ring.current == [8; 32] && key_ring.previous.is_some_and(|last| *last == [7; 32]));
    }
    None
}
