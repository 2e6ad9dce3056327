//! Verifies every block, record, chain and root in one pass.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use super::block::Block;
use super::generations::Generations;
use super::merkle_tree::{MerkleTree, Root};
use super::read::{damaged, decode_at};
use super::stream_heads::StreamHead;
use super::{Error, Journal, JournalRecord, StreamId};
use crate::limits::VERIFY_QUEUED_BLOCKS;
use crate::store::StoredValue;

/// The result of a verification that found no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalVerification {
    /// How many events there are; also the position of the last one.
    pub events: u64,
    /// How many blocks hold them.
    pub blocks: u64,
    /// How many accounts have events. The administration stream does not count.
    pub accounts: usize,
    /// The root over all events.
    pub root: Root,
}

impl Journal {
    /// Verifies the whole journal up to its durable head. The error names the first fault.
    pub fn verify(&self) -> Result<JournalVerification, Error> {
        self.verify_with(|_| Ok(()))
    }

    /// Like [`verify`](Journal::verify). Also calls `check` with each record, for checks that only the caller can make.
    ///
    /// Half of the work is hashing, so a second thread builds the tree.
    pub fn verify_with(
        &self,
        check: impl FnMut(&JournalRecord) -> Result<(), String>,
    ) -> Result<JournalVerification, Error> {
        thread::scope(|scope| {
            let (blocks, queued) = mpsc::sync_channel(VERIFY_QUEUED_BLOCKS);
            let hashing = scope.spawn(move || check_roots(&queued));
            let read = self.check_records(check, &blocks);
            drop(blocks);
            let hashed = hashing.join().unwrap_or_else(|panic| resume_unwind(panic));
            // Report the earlier of the two faults.
            match (read, hashed) {
                (Ok((events, blocks, accounts)), Ok(root)) => {
                    Ok(JournalVerification { events, blocks, accounts, root })
                }
                (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
                (Err(read), Err(hashed)) => Err(if hashed.position() < read.position() { hashed } else { read }),
            }
        })
    }

    /// The root of the tree over the first `size` records, from the records alone: without the roots that are kept of
    /// them. `None` if the journal has fewer.
    pub fn compute_root_at(&self, size: u64) -> Result<Option<Root>, Error> {
        if size > self.head() {
            return Ok(None);
        }
        let (mut tree, mut next) = (MerkleTree::default(), 1);
        for entry in self.blocks().take_while(|entry| entry.as_ref().map_or(true, |(first, _)| *first <= size)) {
            let (first, bytes) = entry?;
            if first != next {
                return Err(damaged(next, "a block is missing"));
            }
            let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
            for (record, _) in block.records().zip(first..=size) {
                tree.push(record);
            }
            next += block.count();
        }
        if next <= size { Err(damaged(next, "a block is missing")) } else { Ok(Some(tree.root())) }
    }

    /// Reads all records up to the durable head, checks everything except the roots, and sends each block on. Returns
    /// the number of events, blocks and accounts.
    fn check_records(
        &self,
        mut check: impl FnMut(&JournalRecord) -> Result<(), String>,
        blocks: &SyncSender<(u64, StoredValue)>,
    ) -> Result<(u64, u64, usize), Error> {
        let head = self.head();
        let mut heads: HashMap<StreamId, StreamHead> = HashMap::new();
        let (mut next, mut count) = (1, 0);
        let mut generations = Generations::default();
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
                if !head.is_followed_by(&recorded) {
                    return Err(damaged(next, "a chain of events is broken"));
                }
                let is_root = |root| self.root_at(next - 1).is_ok_and(|found| found == Some(root));
                generations.observe(&recorded, is_root).map_err(|what| damaged(next, what))?;
                *head = StreamHead { position: next, version: recorded.version };
                check(&recorded).map_err(|what| damaged(next, &what))?;
                next += 1;
            }
            count += 1;
            // Sending fails after `check_roots` found a wrong root. `check_roots` returns that error.
            let _stopped = blocks.send((first, bytes));
        }
        if next != head + 1 {
            return Err(damaged(next, "the journal ends before its head"));
        }
        let accounts = heads.keys().filter(|stream| stream.account().is_some()).count();
        Ok((head, count, accounts))
    }
}

/// Builds the tree over the blocks and compares it with the root in each block.
fn check_roots(blocks: &Receiver<(u64, StoredValue)>) -> Result<Root, Error> {
    let mut tree = MerkleTree::default();
    for (first, bytes) in blocks {
        let block = Block::decode_verified(&bytes);
        for record in block.records() {
            tree.push(record);
        }
        if block.root() != tree.root() {
            return Err(damaged(first, "a block's root does not match the records up to it"));
        }
    }
    Ok(tree.root())
}
