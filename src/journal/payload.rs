//! Payloads as bytes, through bincode.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{BorrowDecode, Encode};

use crate::limits::BLOCK_BYTES;

// Frozen: integers of variable length, little endian. Every stored payload was written that way.
/// The limit keeps a corrupted length from allocating all memory. It is above the payload limit, because bincode
/// counts each integer at its full width, however few bytes it takes.
const CODEC: Configuration<LittleEndian, Varint, Limit<BLOCK_BYTES>> =
    bincode::config::standard().with_limit::<BLOCK_BYTES>();

/// Why a payload is not a valid event.
#[derive(Debug)]
pub(super) enum PayloadError {
    /// This program does not know the type or its version.
    Unknown,
    /// The bytes do not match the type.
    Damaged,
}

/// Writes a payload.
pub(super) fn encode_payload(payload: &impl Encode, out: &mut Vec<u8>) {
    // Writing into a vector can only fail at the limit, and the appender checks sizes.
    if let Err(error) = bincode::encode_into_std_write(payload, out, bincode::config::standard()) {
        tracing::error!(%error, "a payload could not be encoded");
    }
}

/// Decodes a payload that must fill `payload` completely.
pub(super) fn decode_payload<'a, T: BorrowDecode<'a, ()>>(payload: &'a [u8]) -> Result<T, PayloadError> {
    match bincode::borrow_decode_from_slice(payload, CODEC) {
        Ok((value, read)) if read == payload.len() => Ok(value),
        Ok(_) | Err(_) => Err(PayloadError::Damaged),
    }
}
