//! Verifies the blocks of a backup, and restores them into an empty store.

use std::collections::HashMap;

use super::block::Block;
use super::generations::Generations;
use super::merkle_tree::{MerkleTree, Root};
use super::read::{damaged, decode_at};
use super::stream_heads::StreamHead;
use super::{Error, Journal, StreamId};
use crate::limits::COMMIT_MIN_BYTES;
use crate::store::{Store, StoredValue};

/// The number of records in a stored block.
pub fn count_records(block: &[u8]) -> Result<u64, Error> {
    Block::decode(block).map(|block| block.count()).map_err(|what| damaged(0, what))
}

/// A journal that was verified, and perhaps restored.
pub struct RestoredJournal {
    /// The position of the last record.
    pub size: u64,
    /// The root over all records.
    pub root: Root,
    /// The generations.
    pub generations: Generations,
    /// The root at the watched size, if the journal is long enough.
    pub watched_root: Option<Root>,
}

/// A journal that is being verified, and restored into an empty store.
pub struct JournalRestorer {
    /// `None` if the journal is only verified.
    store: Option<Store>,
    tree: MerkleTree,
    generations: Generations,
    heads: HashMap<StreamId, StreamHead>,
    /// The position of the last restored record.
    position: u64,
    /// The size at which the root is wanted.
    watched_size: Option<u64>,
    watched_root: Option<Root>,
    /// Verified blocks that are not written yet.
    verified_blocks: Vec<(u64, Vec<u8>)>,
}

impl Journal {
    /// The blocks up to the current durable head, in order, each with its first position.
    pub fn blocks(&self) -> impl Iterator<Item = Result<(u64, StoredValue), Error>> + use<> {
        let head = self.head();
        let blocks = self.shared.store.blocks_from(0).map(|block| block.map_err(Error::from));
        blocks.take_while(move |block| block.as_ref().map_or(true, |(first, _)| *first <= head))
    }
}

impl JournalRestorer {
    /// Restores into `store`, which must be empty. Without one, only verifies. Keeps the root at `watched_size`.
    pub fn new(store: Option<Store>, watched_size: Option<u64>) -> JournalRestorer {
        JournalRestorer {
            store,
            tree: MerkleTree::default(),
            generations: Generations::default(),
            heads: HashMap::new(),
            position: 0,
            watched_size,
            watched_root: watched_size.filter(|size| *size == 0).map(|_| Root::of_no_events()),
            verified_blocks: Vec::new(),
        }
    }

    /// Restores the next block. It must follow the previous block, each of its records must decode, and its root must
    /// match.
    pub fn append_block(&mut self, first: u64, bytes: Vec<u8>) -> Result<(), Error> {
        if first != self.position + 1 {
            return Err(damaged(self.position + 1, "a block is missing"));
        }
        let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
        for (record, position) in block.records().zip(first..) {
            let decoded = decode_at(record, position)?;
            let begun = self.generations.observe(&decoded, |root| root == self.tree.root());
            begun.map_err(|what| damaged(position, what))?;
            let head = self.heads.entry(decoded.stream).or_default();
            if !head.is_followed_by(&decoded) {
                return Err(damaged(position, "a chain of events is broken"));
            }
            *head = StreamHead { position, version: decoded.version };
            self.tree.push(record);
            if self.watched_size == Some(position) {
                self.watched_root = Some(self.tree.root());
            }
        }
        if block.root() != self.tree.root() {
            return Err(damaged(first, "a block's root does not match the records up to it"));
        }
        self.position += block.count();
        if self.store.is_none() {
            return Ok(());
        }
        self.verified_blocks.push((first, bytes));
        if self.verified_blocks.iter().map(|(_, block)| block.len()).sum::<usize>() >= COMMIT_MIN_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Finishes the restore.
    pub fn finish(mut self) -> Result<RestoredJournal, Error> {
        self.flush()?;
        let (size, root) = (self.position, self.tree.root());
        Ok(RestoredJournal { size, root, generations: self.generations, watched_root: self.watched_root })
    }

    fn flush(&mut self) -> Result<(), Error> {
        if let (Some(store), false) = (&self.store, self.verified_blocks.is_empty()) {
            store.append(&self.verified_blocks)?;
            self.verified_blocks.clear();
        }
        Ok(())
    }
}
