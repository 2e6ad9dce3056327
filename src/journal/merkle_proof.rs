//! Proofs over the tree of all records (RFC 6962, section 2.1). An inclusion proof shows that a record is in the
//! tree. A consistency proof shows that an earlier tree is the beginning of a later one. Creating a proof needs the
//! kept subtree roots and the records of one or two subtrees; verifying it needs only hashes.

use std::collections::HashMap;
use std::sync::PoisonError;

use super::block::Block;
use super::merkle_tree::{Root, SUBTREE_LEAVES, TreeHash, hash_leaf, hash_node};
use super::read::damaged;
use super::{Error, Journal};

/// The hashes of a proof, in the order of RFC 6962.
pub type MerkleProof = Vec<[u8; 32]>;

impl Journal {
    /// The root of the tree over the first `size` records. `None` if the journal has fewer.
    pub fn root_at(&self, size: u64) -> Result<Option<Root>, Error> {
        if size > self.tree_size() {
            return Ok(None);
        }
        Ok(Some(Root(SubtreeHashes::new(self).hash_range(0, size)?)))
    }

    /// The proof that the record at `position` is in the tree over the first `size` records. `None` if it is not.
    pub fn inclusion_proof(&self, position: u64, size: u64) -> Result<Option<MerkleProof>, Error> {
        if position == 0 || position > size || size > self.tree_size() {
            return Ok(None);
        }
        let mut hashes = SubtreeHashes::new(self);
        let (mut start, mut end, index) = (0, size, position - 1);
        let mut proof = MerkleProof::new();
        while end - start > 1 {
            let middle = start + split_point(end - start);
            if index < middle {
                proof.push(hashes.hash_range(middle, end)?);
                end = middle;
            } else {
                proof.push(hashes.hash_range(start, middle)?);
                start = middle;
            }
        }
        proof.reverse();
        Ok(Some(proof))
    }

    /// The proof that the tree over the first `earlier` records is the beginning of the tree over the first `later`
    /// records. `None` if the journal has fewer, or if `earlier` is 0 or greater than `later`.
    pub fn consistency_proof(&self, earlier: u64, later: u64) -> Result<Option<MerkleProof>, Error> {
        if earlier == 0 || earlier > later || later > self.tree_size() {
            return Ok(None);
        }
        let mut hashes = SubtreeHashes::new(self);
        let (mut start, mut end) = (0, later);
        let mut proof = MerkleProof::new();
        // Whether `start` is still 0. If it is 0 at the end, the earlier tree is a subtree of the later one, and the
        // proof omits its root.
        let mut is_whole = true;
        while earlier != end {
            let middle = start + split_point(end - start);
            if earlier <= middle {
                proof.push(hashes.hash_range(middle, end)?);
                end = middle;
            } else {
                proof.push(hashes.hash_range(start, middle)?);
                start = middle;
                is_whole = false;
            }
        }
        if !is_whole {
            proof.push(hashes.hash_range(start, end)?);
        }
        proof.reverse();
        Ok(Some(proof))
    }

    /// The stored bytes of the record at `position`. The hash of its leaf covers these bytes. `None` if there is no
    /// such record.
    pub fn record_bytes_at(&self, position: u64) -> Result<Option<Vec<u8>>, Error> {
        if position == 0 || position > self.tree_size() {
            return Ok(None);
        }
        let (first, bytes) = self.shared.store.block_at(position)?.ok_or_else(|| damaged(position, BLOCK_MISSING))?;
        let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
        let found = block.records().zip(first..).find(|(_, at)| *at == position);
        found.map(|(record, _)| Some(record.to_vec())).ok_or_else(|| damaged(position, BLOCK_MISSING))
    }
}

const BLOCK_MISSING: &str = "a block is missing";

// Frozen: the order of the hashes in a proof. Bundles and answers that were handed out hold proofs.
/// Computes the root from the stored bytes of a record and its inclusion proof. `None` if the proof has the wrong
/// number of hashes for this position and size. (RFC 9162, section 2.1.3.2.)
pub fn root_from_inclusion_proof(record: &[u8], position: u64, size: u64, proof: &[[u8; 32]]) -> Option<Root> {
    let (mut at, mut last) = (position.checked_sub(1)?, size.checked_sub(1)?);
    if at > last {
        return None;
    }
    let mut hash = hash_leaf(record);
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            hash = hash_node(sibling, &hash);
            while at % 2 == 0 && at != 0 {
                at /= 2;
                last /= 2;
            }
        } else {
            hash = hash_node(&hash, sibling);
        }
        at /= 2;
        last /= 2;
    }
    (last == 0).then_some(Root(hash))
}

/// Whether `proof` shows that the tree of size `earlier` with root `before` is the beginning of the tree of size
/// `later` with root `after`. (RFC 9162, section 2.1.4.2.)
pub fn verify_consistency(earlier: u64, before: Root, later: u64, after: Root, proof: &[[u8; 32]]) -> bool {
    if earlier == later {
        return earlier > 0 && proof.is_empty() && before == after;
    }
    if earlier == 0 || earlier > later {
        return false;
    }
    // A proof omits the earlier tree's root if that tree is one complete subtree.
    let mut hashes = proof.iter().copied();
    let first = if earlier.is_power_of_two() { Some(before.0) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (earlier - 1, later - 1);
    while at % 2 == 1 {
        at /= 2;
        last /= 2;
    }
    let (mut of_before, mut of_after) = (first, first);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            of_before = hash_node(&hash, &of_before);
            of_after = hash_node(&hash, &of_after);
            while at % 2 == 0 && at != 0 {
                at /= 2;
                last /= 2;
            }
        } else {
            of_after = hash_node(&of_after, &hash);
        }
        at /= 2;
        last /= 2;
    }
    last == 0 && Root(of_before) == before && Root(of_after) == after
}

/// Where RFC 6962 splits a tree of `size` leaves: at the largest power of two below `size`. `size` is at least 2.
fn split_point(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Hashes of the journal's tree, loaded as a proof needs them.
struct SubtreeHashes<'a> {
    journal: &'a Journal,
    /// The leaf hashes of the subtrees that were read, by subtree index.
    leaves: HashMap<u64, Vec<TreeHash>>,
}

impl<'a> SubtreeHashes<'a> {
    fn new(journal: &'a Journal) -> SubtreeHashes<'a> {
        SubtreeHashes { journal, leaves: HashMap::new() }
    }

    /// The root over the leaves from `start` up to `end`, counted from 0, split where `split_point` splits.
    fn hash_range(&mut self, start: u64, end: u64) -> Result<TreeHash, Error> {
        let size = end - start;
        if size == SUBTREE_LEAVES
            && let Some(root) = self.complete_subtree_root(start / SUBTREE_LEAVES)
        {
            return Ok(root);
        }
        match size {
            0 => Ok(super::merkle_tree::MerkleTree::default().root().0),
            1 => self.leaf_hash(start),
            _ => {
                let middle = start + split_point(size);
                let (left, right) = (self.hash_range(start, middle)?, self.hash_range(middle, end)?);
                Ok(hash_node(&left, &right))
            }
        }
    }

    fn complete_subtree_root(&self, index: u64) -> Option<TreeHash> {
        let roots = self.journal.shared.subtree_roots.read().unwrap_or_else(PoisonError::into_inner);
        roots.get(usize::try_from(index).ok()?).copied()
    }

    fn leaf_hash(&mut self, index: u64) -> Result<TreeHash, Error> {
        let subtree = index / SUBTREE_LEAVES;
        if !self.leaves.contains_key(&subtree) {
            let leaves = self.journal.leaf_hashes(subtree * SUBTREE_LEAVES + 1, SUBTREE_LEAVES)?;
            self.leaves.insert(subtree, leaves);
        }
        let leaves = self.leaves.get(&subtree);
        let leaf = leaves.and_then(|leaves| leaves.get(usize::try_from(index % SUBTREE_LEAVES).ok()?));
        leaf.copied().ok_or_else(|| damaged(index + 1, BLOCK_MISSING))
    }
}

impl Journal {
    /// How many records the tree covers: all durable ones.
    fn tree_size(&self) -> u64 {
        self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The leaf hashes of up to `count` durable records from `position` on.
    fn leaf_hashes(&self, position: u64, count: u64) -> Result<Vec<TreeHash>, Error> {
        let end = (position + count).min(self.tree_size() + 1);
        let start = self.shared.store.block_at(position)?.map_or(position, |(first, _)| first);
        let mut leaves = Vec::new();
        for entry in self.shared.store.blocks_from(start) {
            let (first, bytes) = entry?;
            if first >= end {
                break;
            }
            let block = Block::decode(&bytes).map_err(|what| damaged(first, what))?;
            let wanted = block.records().zip(first..).filter(|(_, at)| (position..end).contains(at));
            leaves.extend(wanted.map(|(record, _)| hash_leaf(record)));
        }
        Ok(leaves)
    }
}
