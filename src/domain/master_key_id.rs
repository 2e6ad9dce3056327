//! The id of a master key: a short fingerprint by which people tell keys apart.
//!
//! Frozen: the text of an id. Stores, backups and the names of kept keys have it.

use std::fmt;
use std::str::FromStr;

/// The id of a master key, as in `3f9a01c2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterKeyId(pub u32);

/// The text is not the id of a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a master key must have 8 lower-case hexadecimal digits")]
pub struct InvalidMasterKeyId;

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for MasterKeyId {
    type Err = InvalidMasterKeyId;

    /// Accepts only the form that `Display` writes.
    fn from_str(text: &str) -> Result<MasterKeyId, InvalidMasterKeyId> {
        let id = u32::from_str_radix(text, 16).map(MasterKeyId).ok();
        id.filter(|id| id.to_string() == text).ok_or(InvalidMasterKeyId)
    }
}
