//! The marker of a data directory, under any bytes.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::StoreId;
use super::directory::{is_cut_off, marker_text, parse};

pub(crate) fn markers() -> Vec<Vec<u8>> {
    [0, 7, 0x0123_4567_89ab_cdef, u64::MAX].map(|id| marker_text(StoreId(id)).into_bytes()).into()
}

/// An id is written in one way only, and a marker is either whole or the beginning of one.
pub(crate) fn marker(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    if let Some(id) = parse(text) {
        assert!(text.contains(&id.to_string()), "{text:?} is taken for {id}");
        assert!(!is_cut_off(text), "{text:?} is whole");
    }
    None
}
