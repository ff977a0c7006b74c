//! The Merkle tree of RFC 6962, section 2: roots, and proofs that a leaf is in a tree or that a tree grew out of another.
//!
//! With SHA-256: a leaf's hash is that of the byte 0 and the leaf, a node's that of the byte 1 and both hashes below it, so that
//! no leaf can pass for a node. A tree whose size is no power of two has the largest full tree on its left.
//!
//! A writer needs only the [`Frontier`]: the roots of the full trees that make up the whole, one for each bit of the size. A proof
//! needs some of the nodes, which come from a function of the caller's: a table of the store, or a [`Tree`] in memory.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use self::proofs::{consistency_proof, inclusion_proof};
use super::AuditError;

pub mod proofs;

/// Length of a hash.
pub const HASH_BYTES: usize = 32;

/// The hash of a leaf or of a node. Written in base64, as checkpoints and proofs have it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeHash([u8; HASH_BYTES]);

impl NodeHash {
    /// Wraps the bytes of a hash.
    #[must_use]
    pub const fn new(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// The hash of a leaf (RFC 6962, section 2.1).
    ///
    /// ```
    /// use vivavoce::record::audit::tree::NodeHash;
    /// assert_eq!(NodeHash::of_leaf(b"").to_string(), "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=");
    /// ```
    #[must_use]
    pub fn of_leaf(leaf: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(leaf).finalize().into())
    }

    /// The hash of the node above two (RFC 6962, section 2.1).
    #[must_use]
    pub fn of_node(left: &Self, right: &Self) -> Self {
        Self(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// The root of the tree without leaves: the hash of nothing.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self(Sha256::new().finalize().into())
    }

    /// Reads what `to_string` writes; `None` for anything else, so that one hash has one text.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeHash({self})")
    }
}

/// What a checkpoint is about: how many leaves there are, and the root over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The root.
    pub root: NodeHash,
}

impl TreeHead {
    /// That of a log in which nothing is written yet.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, root: NodeHash::of_nothing() }
    }
}

/// A node that is final: it has all its leaves, which are `index << level` and the `1 << level` from there on. Later leaves never change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    /// Its height: 0 for the hash of a leaf.
    pub level: u32,
    /// Which of its height, from the left.
    pub index: u64,
}

/// The right edge of a growing tree: enough to add leaves and to know the root. At most 64 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The roots of the full trees from the left, one for each bit of `size`, the highest first.
    peaks: Vec<NodeHash>,
}

impl Frontier {
    /// The edge that was kept: its size and hashes as [`Self::size`] and [`Self::peaks`] gave them.
    ///
    /// # Errors
    /// [`AuditError::Frontier`] for another number of hashes than the size asks for.
    pub fn restore(size: u64, peaks: Vec<NodeHash>) -> Result<Self, AuditError> {
        if u32::try_from(peaks.len()) == Ok(size.count_ones()) {
            Ok(Self { size, peaks })
        } else {
            Err(AuditError::Frontier { size, found: peaks.len() })
        }
    }

    /// The edge of the tree of `size` leaves whose final nodes `node` gives.
    ///
    /// # Errors
    /// Those of `node`.
    pub fn of_nodes<E>(size: u64, node: impl FnMut(NodeId) -> Result<NodeHash, E>) -> Result<Self, E> {
        Ok(Self { size, peaks: full_trees(0, size).into_iter().map(node).collect::<Result<_, E>>()? })
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes to be kept, from the left.
    #[must_use]
    pub fn peaks(&self) -> &[NodeHash] {
        &self.peaks
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: NodeHash) {
        self.push_and_keep(leaf, |_id, _hash| {});
    }

    /// Adds a leaf by its hash and gives each node that became final to `keep`, the leaf first: two for each leaf in the mean.
    pub fn push_and_keep(&mut self, leaf: NodeHash, mut keep: impl FnMut(NodeId, NodeHash)) {
        let (mut id, mut hash) = (NodeId { level: 0, index: self.size }, leaf);
        keep(id, hash);
        // While its place is odd, the new tree completes the one at its left to a larger one.
        while id.index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            hash = NodeHash::of_node(&left, &hash);
            id = NodeId { level: id.level + 1, index: id.index >> 1 };
            keep(id, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root over all leaves.
    ///
    /// ```
    /// use vivavoce::record::audit::tree::{Frontier, NodeHash};
    /// let mut log = Frontier::default();
    /// let (a, b) = (NodeHash::of_leaf(b"a"), NodeHash::of_leaf(b"b"));
    /// log.push(a);
    /// log.push(b);
    /// assert_eq!(log.root(), NodeHash::of_node(&a, &b));
    /// ```
    #[must_use]
    pub fn root(&self) -> NodeHash {
        fold(self.peaks.iter().copied()).unwrap_or_else(NodeHash::of_nothing)
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }
}

/// The root over full trees that lie beside each other, from the left; `None` for none.
fn fold(trees: impl DoubleEndedIterator<Item = NodeHash>) -> Option<NodeHash> {
    trees.rev().reduce(|right, left| NodeHash::of_node(&left, &right))
}

/// The full trees that make up the leaves `from..to`, from the left. `from` is where a tree as large as the first one begins.
fn full_trees(from: u64, to: u64) -> Vec<NodeId> {
    let (mut at, mut trees) = (from, Vec::new());
    while at < to {
        let level = (to - at).ilog2();
        trees.push(NodeId { level, index: at >> level });
        at += 1 << level;
    }
    trees
}

/// A whole tree in memory, 64 bytes a leaf: for proofs where no nodes are stored.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    frontier: Frontier,
    levels: Vec<Vec<NodeHash>>,
}

impl Tree {
    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: NodeHash) {
        let (levels, mut level) = (&mut self.levels, 0);
        self.frontier.push_and_keep(leaf, |_id, hash| {
            // One of each level from 0 on.
            if levels.len() == level {
                levels.push(Vec::new());
            }
            levels[level].push(hash);
            level += 1;
        });
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    /// A final node.
    ///
    /// # Errors
    /// [`AuditError::NotInTree`] names the last leaf that it would have.
    pub fn node(&self, id: NodeId) -> Result<NodeHash, AuditError> {
        let at = |number| usize::try_from(number).ok();
        let level = usize::try_from(id.level).ok().and_then(|level| self.levels.get(level));
        let hash = level.and_then(|level| level.get(at(id.index)?)).copied();
        let index = id.index.saturating_add(1).saturating_mul(1 << id.level.min(63)) - 1;
        hash.ok_or(AuditError::NotInTree { index, size: self.frontier.size })
    }

    /// The head that the tree had at `size`.
    ///
    /// # Errors
    /// [`AuditError::NotInTree`] where it was never so large.
    pub fn head_at(&self, size: u64) -> Result<TreeHead, AuditError> {
        Ok(Frontier::of_nodes(size, |id| self.node(id))?.head())
    }

    /// As [`inclusion_proof`].
    ///
    /// # Errors
    /// [`AuditError::NotInTree`].
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<NodeHash>, AuditError> {
        inclusion_proof(index, size, |id| self.node(id))
    }

    /// As [`consistency_proof`].
    ///
    /// # Errors
    /// [`AuditError::Shrunk`], [`AuditError::NotInTree`].
    pub fn consistency_proof(&self, first: u64, second: u64) -> Result<Vec<NodeHash>, AuditError> {
        consistency_proof(first, second, |id| self.node(id))
    }
}

#[cfg(test)]
mod tests;
