//! Where each history ends, and the checkpoint that spares a start the whole journal.

use dashmap::DashMap;

use super::merkle_tree::{MerkleTree, SUBTREE_LEAVES, TreeHash};
use super::record::StreamId;
use crate::store::StoreId;

/// The end of one history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamHead {
    /// The position of its last event; 0 for none.
    pub position: u64,
    /// The version after it; 0 for none.
    pub version: u64,
}

/// The ends of all histories. Only what is durable is in here; only the writer changes it.
#[derive(Default)]
pub(super) struct StreamHeads {
    by_stream: DashMap<StreamId, StreamHead>,
}

/// A checkpoint: the tree at `position`, and heads that are at least as far.
///
/// The heads may be newer than the tree, because the writer goes on while they are collected. Reading the journal from
/// `position` on brings all of them to the same point again.
pub(super) struct StartupCheckpoint {
    pub(super) position: u64,
    pub(super) tree: MerkleTree,
    /// The roots of its complete runs.
    pub(super) subtree_roots: Vec<TreeHash>,
    pub(super) heads: StreamHeads,
}

const FORMAT: u64 = 2;
const HASH_BYTES: usize = 32;

impl StreamHeads {
    pub(super) fn get(&self, stream: StreamId) -> StreamHead {
        self.by_stream.get(&stream).map_or_else(StreamHead::default, |head| *head)
    }

    pub(super) fn set(&self, stream: StreamId, head: StreamHead) {
        self.by_stream.insert(stream, head);
    }

    /// How many accounts have a history.
    pub(super) fn account_count(&self) -> usize {
        self.by_stream.len() - usize::from(self.by_stream.contains_key(&StreamId::Administration))
    }
}

impl StartupCheckpoint {
    /// The checkpoint of an empty journal.
    pub(super) fn empty() -> StartupCheckpoint {
        StartupCheckpoint {
            position: 0,
            tree: MerkleTree::default(),
            subtree_roots: Vec::new(),
            heads: StreamHeads::default(),
        }
    }

    /// As bytes: format, id of the store, position, the tree's edge (length first), the roots of its complete runs, then stream, position,
    /// version of each head. `runs` may go on beyond the position.
    pub(super) fn encode(
        store: StoreId,
        position: u64,
        tree: &MerkleTree,
        runs: &[TreeHash],
        heads: &StreamHeads,
    ) -> Vec<u8> {
        let runs = &runs[..count_complete_subtrees(position).min(runs.len())];
        let hashes = tree.edge().len() + runs.len();
        let mut bytes = Vec::with_capacity(32 + hashes * HASH_BYTES + heads.by_stream.len() * 24);
        for word in [FORMAT, store.0, position, tree.edge().len() as u64] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        tree.edge().iter().chain(runs).for_each(|hash| bytes.extend_from_slice(hash));
        for entry in &heads.by_stream {
            for word in [entry.key().to_stored(), entry.position, entry.version] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    /// From bytes; none if they are of another format or store, or do not fit together.
    pub(super) fn decode(bytes: &[u8], store: StoreId) -> Option<StartupCheckpoint> {
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let (format, of, position, edge) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if format != FORMAT || of != store.0 || edge > 64 {
            return None;
        }
        let (edge, rest) = bytes.get(32..)?.split_at_checked(edge as usize * HASH_BYTES)?;
        let (runs, heads) = rest.split_at_checked(count_complete_subtrees(position).checked_mul(HASH_BYTES)?)?;
        let tree = MerkleTree::from_edge(position, edge.as_chunks::<HASH_BYTES>().0.to_vec())?;
        let runs = runs.as_chunks::<HASH_BYTES>().0.to_vec();
        let by_stream = DashMap::with_capacity(heads.len() / 24);
        for head in heads.as_chunks::<24>().0 {
            let word = |at: usize| head[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            by_stream.insert(StreamId::from_stored(word(0))?, StreamHead { position: word(8), version: word(16) });
        }
        Some(StartupCheckpoint { position, tree, subtree_roots: runs, heads: StreamHeads { by_stream } })
    }
}

/// How many runs are complete in a tree of this size.
fn count_complete_subtrees(size: u64) -> usize {
    usize::try_from(size / SUBTREE_LEAVES).unwrap_or(usize::MAX)
}
