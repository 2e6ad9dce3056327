//! Records that are committed together: written whole or not at all.
//!
//! | offset | bytes | what, little endian |
//! |---|---|---|
//! | 0 | 4 | CRC-32 over all that follows |
//! | 4 | 1 | block format, 1 |
//! | 5 | 3 | reserved, 0 |
//! | 8 | 4 | number of records |
//! | 12 | 32 | root of the tree after the last of these records |
//! | 44 | | the records, one after the other |
//!
//! A block's key in the store is the position of its first record.
//!
//! Frozen: journals and backups hold blocks in this layout. Another layout needs a new block format beside this one.

use super::merkle_tree::{MerkleTree, Root, TreeHash};
use super::record;

/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 44;
const FORMAT: u8 = 1;

/// A block that is being filled.
#[derive(Default)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    count: u32,
}

/// A stored block after verification.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    count: u32,
    root: Root,
    records: &'a [u8],
}

impl BlockBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len().max(HEADER_BYTES)
    }

    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    /// Adds the record that `write` writes, and adds it to `tree` as a leaf. Returns the root of the subtree that the
    /// record completes, if any.
    pub(super) fn push(&mut self, tree: &mut MerkleTree, write: impl FnOnce(&mut Vec<u8>)) -> Option<TreeHash> {
        if self.is_empty() {
            // Most blocks hold one append and are small, so the buffer starts small.
            self.bytes.reserve(HEADER_BYTES + 512);
            self.bytes.resize(HEADER_BYTES, 0);
        }
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.count += 1;
        tree.push(&self.bytes[start..])
    }

    /// Finishes the block and starts the next one.
    pub(super) fn finish(&mut self, root: Root) -> Vec<u8> {
        let BlockBuilder { mut bytes, count } = std::mem::take(self);
        bytes[4] = FORMAT;
        bytes[8..12].copy_from_slice(&count.to_le_bytes());
        bytes[12..HEADER_BYTES].copy_from_slice(&root.0);
        let checksum = crc32fast::hash(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

impl<'a> Block<'a> {
    /// Decodes a block. `bytes` must hold exactly one block.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Block<'a>, &'static str> {
        let (header, records) = bytes.split_at_checked(HEADER_BYTES).ok_or("a block is shorter than its header")?;
        if header.first_chunk().map(|stored| u32::from_le_bytes(*stored)) != Some(crc32fast::hash(&bytes[4..])) {
            return Err("a block's checksum does not match its bytes");
        }
        if header[4..8] != [FORMAT, 0, 0, 0] {
            return Err("a block has an unknown format");
        }
        let block = Block::from_parts(header, records);
        if block.count == 0 {
            return Err("a block has no records");
        }
        if block.records().map(<[u8]>::len).sum::<usize>() != records.len()
            || block.records().count() != block.count as usize
        {
            return Err("a block's records do not fit its length");
        }
        Ok(block)
    }

    /// Decodes a block that [`decode`](Block::decode) has verified before.
    pub(super) fn decode_verified(bytes: &'a [u8]) -> Block<'a> {
        let (header, records) = bytes.split_at_checked(HEADER_BYTES).unwrap_or((&[0; HEADER_BYTES], &[]));
        Block::from_parts(header, records)
    }

    fn from_parts(header: &[u8], records: &'a [u8]) -> Block<'a> {
        let count = header[8..].first_chunk().map_or(0, |stored| u32::from_le_bytes(*stored));
        let root = header[12..].first_chunk().map_or(Root([0; 32]), |stored| Root(*stored));
        Block { count, root, records }
    }

    pub(super) fn count(&self) -> u64 {
        u64::from(self.count)
    }

    pub(super) fn root(&self) -> Root {
        self.root
    }

    /// The records' bytes, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.records;
        std::iter::from_fn(move || {
            let (record, tail) = rest.split_at_checked(record::record_len(rest)?)?;
            rest = tail;
            Some(record)
        })
    }
}
