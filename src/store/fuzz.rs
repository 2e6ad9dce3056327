//! Fuzz target: the marker of a data directory.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::StoreId;
use super::data_directory::{DirectoryFormat, format_marker, is_incomplete_marker, parse_marker};

pub(crate) fn marker_seeds() -> Vec<Vec<u8>> {
    [0, 7, 0x0123_4567_89ab_cdef, u64::MAX]
        .map(|id| format_marker(DirectoryFormat::One, StoreId(id)).into_bytes())
        .into()
}

/// An id has only one written form, and a marker is either complete or the beginning of one.
pub(crate) fn check_marker(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    if let Some((_, id)) = parse_marker(text) {
        assert!(text.contains(&id.to_string()), "{text:?} is taken for {id}");
        assert!(!is_incomplete_marker(text), "{text:?} is whole");
    }
    None
}
