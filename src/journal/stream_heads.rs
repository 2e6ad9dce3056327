//! Where each stream ends, and the startup checkpoint. With it, a start does not have to read the whole journal.

use dashmap::DashMap;

use super::merkle_tree::{MerkleTree, SUBTREE_LEAVES, TreeHash};
use super::record::StreamId;
use crate::store::StoreId;

/// The end of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamHead {
    /// The position of its last event; 0 if it has no events.
    pub position: u64,
    /// The version of its last event; 0 if it has no events.
    pub version: u64,
}

/// The ends of all streams. Holds durable records only; only the writer changes it.
#[derive(Default)]
pub(super) struct StreamHeads {
    by_stream: DashMap<StreamId, StreamHead>,
}

/// A checkpoint: the tree at `position`, and the stream heads at that position or later.
///
/// The heads may be newer than the tree, because the writer goes on while they are collected. Replaying the journal
/// from `position` brings both to the same point.
pub(super) struct StartupCheckpoint {
    pub(super) position: u64,
    pub(super) tree: MerkleTree,
    /// The roots of the tree's complete subtrees.
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

    /// How many accounts have events.
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

    /// Encodes a checkpoint: format, store id, position, the tree's right edge (length first) and the roots of its
    /// complete subtrees. Then stream, position and version of each head. `roots` may extend beyond the position.
    pub(super) fn encode(
        store: StoreId,
        position: u64,
        tree: &MerkleTree,
        roots: &[TreeHash],
        heads: &StreamHeads,
    ) -> Vec<u8> {
        let roots = &roots[..count_complete_subtrees(position).min(roots.len())];
        let hashes = tree.edge().len() + roots.len();
        let mut bytes = Vec::with_capacity(32 + hashes * HASH_BYTES + heads.by_stream.len() * 24);
        for word in [FORMAT, store.0, position, tree.edge().len() as u64] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        tree.edge().iter().chain(roots).for_each(|hash| bytes.extend_from_slice(hash));
        for entry in &heads.by_stream {
            for word in [entry.key().to_stored(), entry.position, entry.version] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    /// Decodes a checkpoint. `None` if it has another format, belongs to another store or is inconsistent.
    pub(super) fn decode(bytes: &[u8], store: StoreId) -> Option<StartupCheckpoint> {
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let (format, of, position, edge) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if format != FORMAT || of != store.0 || edge > 64 {
            return None;
        }
        let (edge, rest) = bytes.get(32..)?.split_at_checked(edge as usize * HASH_BYTES)?;
        let (roots, heads) = rest.split_at_checked(count_complete_subtrees(position).checked_mul(HASH_BYTES)?)?;
        let tree = MerkleTree::from_edge(position, edge.as_chunks::<HASH_BYTES>().0.to_vec())?;
        let roots = roots.as_chunks::<HASH_BYTES>().0.to_vec();
        let by_stream = DashMap::with_capacity(heads.len() / 24);
        for head in heads.as_chunks::<24>().0 {
            let word = |at: usize| head[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            by_stream.insert(StreamId::from_stored(word(0))?, StreamHead { position: word(8), version: word(16) });
        }
        Some(StartupCheckpoint { position, tree, subtree_roots: roots, heads: StreamHeads { by_stream } })
    }
}

/// How many complete subtrees a tree of this size has.
fn count_complete_subtrees(size: u64) -> usize {
    usize::try_from(size / SUBTREE_LEAVES).unwrap_or(usize::MAX)
}
