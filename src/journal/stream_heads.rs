//! Where each stream ends, and the startup checkpoint. With it, a start does not have to read the whole journal.

use dashmap::DashMap;

use super::generations::{GenerationStart, Generations};
use super::merkle_tree::{MerkleTree, Root, SUBTREE_LEAVES, TreeHash};
use super::record::{JournalRecord, StreamId};
use crate::domain::{Generation, Timestamp};
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
    pub(super) generations: Generations,
}

/// The format of a log that was never restored. Earlier versions read it too.
const FORMAT: u64 = 2;
/// The format of a log with generations, which stand before the tree.
const FORMAT_WITH_GENERATIONS: u64 = 3;
const HASH_BYTES: usize = 32;

impl StreamHead {
    /// Whether `record` is the next of this stream: it has the next version, and names this head as the previous record.
    pub(super) fn is_followed_by(self, record: &JournalRecord) -> bool {
        (record.version, record.previous) == (self.version + 1, self.position)
    }
}

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
            generations: Generations::default(),
        }
    }

    /// Encodes a checkpoint: format, store id, position, the tree's right edge (length first) and the roots of its
    /// complete subtrees. Then stream, position and version of each head. `roots` may extend beyond the position. The
    /// generations, if there are any, follow the length of the edge: their count, then the fields of each.
    pub(super) fn encode(
        store: StoreId,
        position: u64,
        tree: &MerkleTree,
        roots: &[TreeHash],
        generations: &Generations,
        heads: &StreamHeads,
    ) -> Vec<u8> {
        let roots = &roots[..count_complete_subtrees(position).min(roots.len())];
        let hashes = tree.edge().len() + roots.len();
        let mut bytes = Vec::with_capacity(32 + hashes * HASH_BYTES + heads.by_stream.len() * 24);
        let starts = generations.starts();
        let format = if starts.is_empty() { FORMAT } else { FORMAT_WITH_GENERATIONS };
        for word in [format, store.0, position, tree.edge().len() as u64] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        if !starts.is_empty() {
            bytes.extend_from_slice(&(starts.len() as u64).to_le_bytes());
        }
        for GenerationStart { generation, fork, root, at } in starts {
            for word in [u64::from(generation.number()), *fork, at.0.cast_unsigned()] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            bytes.extend_from_slice(&root.0);
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
        if of != store.0 || edge > 64 {
            return None;
        }
        let (generations, rest) = match format {
            FORMAT => (Generations::default(), bytes.get(32..)?),
            FORMAT_WITH_GENERATIONS => decode_generations(bytes.get(32..)?)?,
            _ => return None,
        };
        let (edge, rest) = rest.split_at_checked(edge as usize * HASH_BYTES)?;
        let (roots, heads) = rest.split_at_checked(count_complete_subtrees(position).checked_mul(HASH_BYTES)?)?;
        let tree = MerkleTree::from_edge(position, edge.as_chunks::<HASH_BYTES>().0.to_vec())?;
        let roots = roots.as_chunks::<HASH_BYTES>().0.to_vec();
        let by_stream = DashMap::with_capacity(heads.len() / 24);
        for head in heads.as_chunks::<24>().0 {
            let word = |at: usize| head[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            by_stream.insert(StreamId::from_stored(word(0))?, StreamHead { position: word(8), version: word(16) });
        }
        let heads = StreamHeads { by_stream };
        Some(StartupCheckpoint { position, tree, subtree_roots: roots, heads, generations })
    }
}

/// Decodes the generations at the beginning of `bytes`. Returns the rest too.
fn decode_generations(bytes: &[u8]) -> Option<(Generations, &[u8])> {
    const BYTES: usize = 24 + HASH_BYTES;
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    let (starts, rest) = rest.split_at_checked(count.checked_mul(BYTES)?)?;
    let mut generations = Generations::default();
    for start in starts.as_chunks::<BYTES>().0 {
        let word = |at: usize| start[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        generations.push(GenerationStart {
            generation: Generation::new(word(0).try_into().ok()?)?,
            fork: word(8),
            at: Timestamp(word(16).cast_signed()),
            root: Root(*start[24..].as_array()?),
        });
    }
    Some((generations, rest))
}

/// How many complete subtrees a tree of this size has.
fn count_complete_subtrees(size: u64) -> usize {
    usize::try_from(size / SUBTREE_LEAVES).unwrap_or(usize::MAX)
}
