//! One pass over everything: every block, every record, every chain, every root.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use super::block::Block;
use super::merkle_tree::{MerkleTree, Root};
use super::read::{damaged, decode_at};
use super::stream_heads::StreamHead;
use super::{Error, Journal, JournalRecord, StreamId};
use crate::limits::VERIFY_QUEUED_BLOCKS;
use crate::store::StoredValue;

/// What a pass without a fault found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalVerification {
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
    pub fn verify(&self) -> Result<JournalVerification, Error> {
        self.verify_with(|_| Ok(()))
    }

    /// The same, and shows each record to `look`, which may find a fault that only it can see.
    ///
    /// Half of the work is hashing, so the tree is made on a thread of its own, behind the one that reads.
    pub fn verify_with(
        &self,
        look: impl FnMut(&JournalRecord) -> Result<(), String>,
    ) -> Result<JournalVerification, Error> {
        thread::scope(|scope| {
            let (blocks, queued) = mpsc::sync_channel(VERIFY_QUEUED_BLOCKS);
            let hashing = scope.spawn(move || check_roots(&queued));
            let read = self.check_records(look, &blocks);
            drop(blocks);
            let hashed = hashing.join().unwrap_or_else(|panic| resume_unwind(panic));
            // The first fault is named, whoever finds it.
            match (read, hashed) {
                (Ok((events, blocks, accounts)), Ok(root)) => {
                    Ok(JournalVerification { events, blocks, accounts, root })
                }
                (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
                (Err(read), Err(hashed)) => Err(if hashed.position() < read.position() { hashed } else { read }),
            }
        })
    }

    /// Reads everything up to the durable head, checks all but the roots, and passes the blocks on. Returns how many
    /// events, blocks and accounts there are.
    fn check_records(
        &self,
        mut look: impl FnMut(&JournalRecord) -> Result<(), String>,
        blocks: &SyncSender<(u64, StoredValue)>,
    ) -> Result<(u64, u64, usize), Error> {
        let head = self.head();
        let mut heads: HashMap<StreamId, StreamHead> = HashMap::new();
        let (mut next, mut count) = (1, 0);
        for entry in self.shared.store.blocks_from(0) {
            let (first, bytes) = entry?;
            if first > head {
                break;
            }
            if first != next {
                return Err(damaged(next, "a block is missing"));
            }
            let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
            for record in block.records() {
                let recorded = decode_at(record, next)?;
                let head = heads.entry(recorded.stream).or_default();
                if recorded.version != head.version + 1 || recorded.previous != head.position {
                    return Err(damaged(next, "a chain of events is broken"));
                }
                *head = StreamHead { position: next, version: recorded.version };
                look(&recorded).map_err(|what| damaged(next, &what))?;
                next += 1;
            }
            count += 1;
            // Nobody takes it once a root did not fit, and that is what is told then.
            let _stopped = blocks.send((first, bytes));
        }
        if next != head + 1 {
            return Err(damaged(next, "the journal ends before its head"));
        }
        let accounts = heads.keys().filter(|stream| stream.account().is_some()).count();
        Ok((head, count, accounts))
    }
}

/// Makes the tree over the blocks, and holds it against the root in each.
fn check_roots(blocks: &Receiver<(u64, StoredValue)>) -> Result<Root, Error> {
    let mut tree = MerkleTree::default();
    for (first, bytes) in blocks {
        let block = Block::decode_verified(&bytes);
        for record in block.records() {
            tree.push(record);
        }
        if block.root() != tree.root() {
            return Err(damaged(first, "a block's root does not fit the records up to it"));
        }
    }
    Ok(tree.root())
}
