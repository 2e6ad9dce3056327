//! Where each history ends, and the checkpoint that spares a start the whole journal.

use dashmap::DashMap;

use super::record::Stream;
use super::tree::{Hash, RUN_LEAVES, Tree};
use crate::store::StoreId;

/// The end of one history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The position of its last event; 0 for none.
    pub position: u64,
    /// The version after it; 0 for none.
    pub version: u64,
}

/// The ends of all histories. Only what is durable is in here; only the writer changes it.
#[derive(Default)]
pub(super) struct Heads {
    by_stream: DashMap<Stream, Head>,
}

/// A checkpoint: the tree at `position`, and heads that are at least as far.
///
/// The heads may be newer than the tree, because the writer goes on while they are collected. Reading the journal from
/// `position` on brings all of them to the same point again.
pub(super) struct Checkpoint {
    pub(super) position: u64,
    pub(super) tree: Tree,
    /// The roots of its complete runs.
    pub(super) runs: Vec<Hash>,
    pub(super) heads: Heads,
}

const FORMAT: u64 = 2;
const HASH_BYTES: usize = 32;

impl Heads {
    pub(super) fn get(&self, stream: Stream) -> Head {
        self.by_stream.get(&stream).map_or_else(Head::default, |head| *head)
    }

    pub(super) fn set(&self, stream: Stream, head: Head) {
        self.by_stream.insert(stream, head);
    }

    /// How many accounts have a history.
    pub(super) fn accounts(&self) -> usize {
        self.by_stream.len() - usize::from(self.by_stream.contains_key(&Stream::Administration))
    }
}

impl Checkpoint {
    /// The checkpoint of an empty journal.
    pub(super) fn empty() -> Checkpoint {
        Checkpoint { position: 0, tree: Tree::default(), runs: Vec::new(), heads: Heads::default() }
    }

    /// As bytes: format, id of the store, position, the tree's edge (length first), the roots of its complete runs, then stream, position,
    /// version of each head. `runs` may go on beyond the position.
    pub(super) fn write(store: StoreId, position: u64, tree: &Tree, runs: &[Hash], heads: &Heads) -> Vec<u8> {
        let runs = &runs[..runs_in(position).min(runs.len())];
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
    pub(super) fn read(bytes: &[u8], store: StoreId) -> Option<Checkpoint> {
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let (format, of, position, edge) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if format != FORMAT || of != store.0 || edge > 64 {
            return None;
        }
        let (edge, rest) = bytes.get(32..)?.split_at_checked(edge as usize * HASH_BYTES)?;
        let (runs, heads) = rest.split_at_checked(runs_in(position).checked_mul(HASH_BYTES)?)?;
        let tree = Tree::from_edge(position, edge.as_chunks::<HASH_BYTES>().0.to_vec())?;
        let runs = runs.as_chunks::<HASH_BYTES>().0.to_vec();
        let by_stream = DashMap::with_capacity(heads.len() / 24);
        for head in heads.as_chunks::<24>().0 {
            let word = |at: usize| head[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            by_stream.insert(Stream::from_stored(word(0))?, Head { position: word(8), version: word(16) });
        }
        Some(Checkpoint { position, tree, runs, heads: Heads { by_stream } })
    }
}

/// How many runs are complete in a tree of this size.
fn runs_in(size: u64) -> usize {
    usize::try_from(size / RUN_LEAVES).unwrap_or(usize::MAX)
}
