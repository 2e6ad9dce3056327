//! The tree hash over all records: an RFC 6962 Merkle tree with SHA-256, one leaf per record.
//!
//! [`MerkleTree`] keeps the right edge: one hash for each one bit of the size, largest subtree first.
//! The journal also keeps the root of each subtree of [`SUBTREE_LEAVES`] leaves once it is full.
//! Every proof can be built from those roots and the records of one or two subtrees (`merkle_proof`).

use std::fmt;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// The root of the tree: 32 bytes that commit to every record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Root(pub [u8; 32]);

/// A hash in the tree, of a leaf or a node.
pub(super) type TreeHash = [u8; 32];

impl Root {
    /// The root of a log without events.
    pub fn of_no_events() -> Root {
        MerkleTree::default().root()
    }
}

/// Leaves in a subtree whose root is kept.
pub(super) const SUBTREE_LEAVES: u64 = 1 << SUBTREE_LEVEL;
const SUBTREE_LEVEL: u32 = 8;

/// The right edge of the tree.
#[derive(Clone, Default)]
pub(super) struct MerkleTree {
    size: u64,
    edge: Vec<TreeHash>,
}

impl MerkleTree {
    /// A tree from its size and its stored right edge. `None` if the two do not match.
    pub(super) fn from_edge(size: u64, edge: Vec<TreeHash>) -> Option<MerkleTree> {
        (edge.len() == size.count_ones() as usize).then_some(MerkleTree { size, edge })
    }

    pub(super) fn edge(&self) -> &[TreeHash] {
        &self.edge
    }

    /// Adds a record. Returns the root of the subtree of [`SUBTREE_LEAVES`] leaves that it completes, if any.
    pub(super) fn push(&mut self, record: &[u8]) -> Option<TreeHash> {
        self.edge.push(hash_leaf(record));
        let mut completed = None;
        // Each trailing one bit of the old size is a complete subtree. The new leaf merges it into a larger one.
        for level in 1..=self.size.trailing_ones() {
            if let (Some(right), Some(left)) = (self.edge.pop(), self.edge.pop()) {
                self.edge.push(hash_node(&left, &right));
            }
            if level == SUBTREE_LEVEL {
                completed = self.edge.last().copied();
            }
        }
        self.size += 1;
        completed
    }

    /// The root over all records so far.
    pub(super) fn root(&self) -> Root {
        let mut subtrees = self.edge.iter().rev();
        let last = subtrees.next().copied().unwrap_or_else(|| Sha256::digest([]).into());
        Root(subtrees.fold(last, |right, left| hash_node(left, &right)))
    }
}

// Frozen: the hashes of leaves and nodes. Checkpoints, bundles and backups that were handed out sign them.
/// RFC 6962, section 2.1: a leaf is hashed with the prefix 0.
pub(super) fn hash_leaf(record: &[u8]) -> TreeHash {
    match record.len() + PADDING {
        ..=128 => hash_short_message::<2>(0, [record, &[]]),
        129..=256 => hash_short_message::<4>(0, [record, &[]]),
        _ => Sha256::new().chain_update([0]).chain_update(record).finalize().into(),
    }
}

/// RFC 6962, section 2.1: a node is hashed with the prefix 1.
pub(super) fn hash_node(left: &TreeHash, right: &TreeHash) -> TreeHash {
    hash_short_message::<2>(1, [left, right])
}

/// Bytes that hashing adds to a short message: the prefix, and at least nine bytes of SHA-256 padding.
const PADDING: usize = 1 + 1 + 8;

/// SHA-256 (FIPS 180-4) of a short message that fits into `BLOCKS` blocks. Most messages here are that short. With the
/// incremental API, buffering such messages would take as long as hashing them.
fn hash_short_message<const BLOCKS: usize>(prefix: u8, parts: [&[u8]; 2]) -> TreeHash {
    let mut blocks = [[0; 64]; BLOCKS];
    let message = blocks.as_flattened_mut();
    message[0] = prefix;
    let mut length = 1;
    for part in parts {
        message[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    message[length] = 0x80;
    let used = (length + 9).div_ceil(64);
    message[used * 64 - 8..used * 64].copy_from_slice(&(length as u64 * 8).to_be_bytes());
    let mut state = SHA256_INITIAL;
    compress256(&mut state, &blocks[..used]);
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}

/// The initial state of SHA-256: the first bits of the square roots of the first eight primes.
const SHA256_INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test tree of RFC 6962 implementations: eight inputs, the root after each.
    #[test]
    fn roots_are_those_of_rfc_6962() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = MerkleTree::default();
        for (input, root) in inputs.iter().zip(roots) {
            tree.push(input);
            assert_eq!(tree.root().to_string(), root);
        }
    }

    #[test]
    fn short_messages_are_hashed_as_all_others() {
        let message: Vec<u8> = (0..600).map(|at| (at * 7) as u8).collect();
        for length in 0..message.len() {
            let record = &message[..length];
            let expected: TreeHash = Sha256::new().chain_update([0]).chain_update(record).finalize().into();
            assert_eq!(hash_leaf(record), expected, "{length} bytes");
        }
        let (left, right) = ([3; 32], [5; 32]);
        let expected: TreeHash =
            Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into();
        assert_eq!(hash_node(&left, &right), expected);
    }

    #[test]
    fn an_edge_restores_its_tree() {
        let mut whole = MerkleTree::default();
        for number in 0..100_u32 {
            let restored = MerkleTree::from_edge(whole.size, whole.edge().to_vec()).map(|tree| tree.root());
            assert_eq!(restored, Some(whole.root()), "after {number} records");
            whole.push(&number.to_le_bytes());
        }
    }
}
