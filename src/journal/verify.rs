//! One pass over everything: every block, every record, every chain, every root.

use std::collections::HashMap;

use super::block::Block;
use super::heads::Head;
use super::read::{damaged, decode};
use super::tree::{Root, Tree};
use super::{Error, Journal, Recorded, Stream};

/// What a pass without a fault found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Events, which is also the position of the last one.
    pub events: u64,
    /// Blocks they are in.
    pub blocks: u64,
    /// Accounts they are of; what was done to the service itself is of none.
    pub accounts: usize,
    /// The root over all of them.
    pub root: Root,
}

impl Journal {
    /// Reads the whole journal up to its durable head, and checks it; the error names the first fault.
    pub fn verify(&self) -> Result<Report, Error> {
        self.verify_with(|_| Ok(()))
    }

    /// The same, and shows each record to `look`, which may find a fault that only it can see.
    pub fn verify_with(&self, mut look: impl FnMut(&Recorded) -> Result<(), String>) -> Result<Report, Error> {
        let head = self.head();
        let mut tree = Tree::default();
        let mut heads: HashMap<Stream, Head> = HashMap::new();
        let (mut next, mut blocks) = (1, 0);
        for entry in self.shared.store.blocks_from(0) {
            let (first, bytes) = entry?;
            if first > head {
                break;
            }
            if first != next {
                return Err(damaged(next, "a block is missing"));
            }
            let block = Block::read(&bytes).map_err(|what| damaged(first, what))?;
            for record in block.records() {
                let recorded = decode(record, next)?;
                let head = heads.entry(recorded.stream).or_default();
                if recorded.version != head.version + 1 || recorded.previous != head.position {
                    return Err(damaged(next, "a chain of events is broken"));
                }
                *head = Head { position: next, version: recorded.version };
                look(&recorded).map_err(|what| damaged(next, &what))?;
                tree.push(record);
                next += 1;
            }
            if block.root() != tree.root() {
                return Err(damaged(first, "a block's root does not fit the records up to it"));
            }
            blocks += 1;
        }
        if next != head + 1 {
            return Err(damaged(next, "the journal ends before its head"));
        }
        Ok(Report {
            events: head,
            blocks,
            accounts: heads.keys().filter(|stream| stream.account().is_some()).count(),
            root: tree.root(),
        })
    }
}
