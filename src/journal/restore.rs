//! Block by block into an empty store, checked as it goes.

use super::block::Block;
use super::read::{damaged, decode};
use super::tree::{Root, Tree};
use super::{Error, Journal};
use crate::limits::COMMIT_BYTES;
use crate::store::{Store, Value};

/// How many records are in a stored block.
pub fn records_in(block: &[u8]) -> Result<u64, Error> {
    Block::read(block).map(|block| block.count()).map_err(|what| damaged(0, what))
}

/// A journal that is put back into an empty store.
pub struct Restore {
    store: Store,
    tree: Tree,
    /// The position of the last record that was put back.
    position: u64,
    /// Blocks that are checked and not written yet.
    checked: Vec<(u64, Vec<u8>)>,
}

impl Journal {
    /// The blocks up to the durable head of now, each with its first position, in order.
    pub fn blocks(&self) -> impl Iterator<Item = Result<(u64, Value), Error>> + use<> {
        let head = self.head();
        let blocks = self.shared.store.blocks_from(0).map(|block| block.map_err(Error::from));
        blocks.take_while(move |block| block.as_ref().map_or(true, |(first, _)| *first <= head))
    }
}

impl Restore {
    /// Into `store`, which is empty.
    pub fn into(store: Store) -> Restore {
        Restore { store, tree: Tree::default(), position: 0, checked: Vec::new() }
    }

    /// Puts the next block back: it must follow, each of its records must decode, and its root must fit.
    pub fn block(&mut self, first: u64, bytes: Vec<u8>) -> Result<(), Error> {
        if first != self.position + 1 {
            return Err(damaged(self.position + 1, "a block is missing"));
        }
        let block = Block::read(&bytes).map_err(|what| damaged(first, what))?;
        for (record, position) in block.records().zip(first..) {
            decode(record, position)?;
            self.tree.push(record);
        }
        if block.root() != self.tree.root() {
            return Err(damaged(first, "a block's root does not fit the records up to it"));
        }
        self.position += block.count();
        self.checked.push((first, bytes));
        if self.checked.iter().map(|(_, block)| block.len()).sum::<usize>() >= COMMIT_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Everything is put back: the position of the last record, and the root.
    pub fn finish(mut self) -> Result<(u64, Root), Error> {
        self.write()?;
        Ok((self.position, self.tree.root()))
    }

    fn write(&mut self) -> Result<(), Error> {
        if !self.checked.is_empty() {
            self.store.append(&self.checked)?;
            self.checked.clear();
        }
        Ok(())
    }
}
