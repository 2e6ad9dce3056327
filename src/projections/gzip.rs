//! One gzip stream (RFC 1952), joined from pieces that were compressed separately.
//!
//! A piece is raw deflate. It ends on a byte boundary and does not contain the last block, so pieces can be concatenated.
//! Their checksums combine without reading the text again.

use bytes::{BufMut, Bytes};
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

/// A compressed piece of text.
#[derive(Clone)]
pub(super) struct GzipPiece {
    deflated: Bytes,
    checksum: Hasher,
    text_bytes: usize,
}

/// A stream under construction.
pub(super) struct GzipStream {
    parts: Vec<Bytes>,
    checksum: Hasher,
    text_bytes: usize,
}

/// The gzip header: magic number, method deflate, no flags, no time, no hints, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last block of a stream: an empty block with fixed codes.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];
/// The size limit of a stored block: its length has 16 bits.
const STORED_BYTES_MAX: usize = u16::MAX as usize;

impl GzipPiece {
    /// Compresses `text`, or stores it if compression does not make it smaller.
    pub(super) fn compress(text: &[u8]) -> GzipPiece {
        GzipPiece::new(text, deflate(text).unwrap_or_else(|| store_uncompressed(text)))
    }

    /// Stores `text` uncompressed. Use it for a text that is too short for compression.
    pub(super) fn stored(text: &[u8]) -> GzipPiece {
        GzipPiece::new(text, store_uncompressed(text))
    }

    fn new(text: &[u8], deflated: Vec<u8>) -> GzipPiece {
        let mut checksum = Hasher::new();
        checksum.update(text);
        GzipPiece { deflated: deflated.into(), checksum, text_bytes: text.len() }
    }
}

impl GzipStream {
    /// A stream without text.
    pub(super) fn new() -> GzipStream {
        GzipStream { parts: vec![Bytes::from_static(&HEADER)], checksum: Hasher::new(), text_bytes: 0 }
    }

    /// Appends a piece; shares its bytes.
    pub(super) fn push(&mut self, piece: &GzipPiece) {
        self.parts.push(piece.deflated.clone());
        self.checksum.combine(&piece.checksum);
        self.text_bytes += piece.text_bytes;
    }

    /// The whole stream.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        let mut end = Vec::with_capacity(LAST_BLOCK.len() + 8);
        end.extend_from_slice(&LAST_BLOCK);
        end.put_u32_le(self.checksum.finalize());
        // The format stores the length modulo 2^32.
        end.put_u32_le(self.text_bytes as u32);
        self.parts.push(end.into());
        self.parts
    }
}

/// Raw deflate of `text`, flushed to a byte boundary; `None` if that is not smaller than the text.
fn deflate(text: &[u8]) -> Option<Vec<u8>> {
    let mut deflated = Vec::with_capacity(text.len());
    let mut compress = Compress::new(Compression::fast(), false);
    compress.compress_vec(text, &mut deflated, FlushCompress::Sync).ok()?;
    // Only unused space in the buffer proves that the flush is complete.
    let is_complete = compress.total_in() == text.len() as u64 && deflated.len() < deflated.capacity();
    deflated.shrink_to_fit();
    is_complete.then_some(deflated)
}

/// `text` in stored blocks, which always end on a byte boundary.
fn store_uncompressed(text: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(text.len() + 5);
    for part in text.chunks(STORED_BYTES_MAX) {
        let length = part.len() as u16;
        stored.put_u8(0);
        stored.put_u16_le(length);
        stored.put_u16_le(!length);
        stored.extend_from_slice(part);
    }
    stored
}
