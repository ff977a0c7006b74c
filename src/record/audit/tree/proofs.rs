//! Proofs that a leaf is in a tree, and that a tree grew out of another: made as in RFC 6962, section 2.1, and held against roots as in
//! RFC 9162, section 2.1, whose proofs are the same.

use super::{NodeHash, NodeId, TreeHead, fold, full_trees};
use crate::record::audit::AuditError;

/// Where the left of the two trees ends that one of more than one leaf consists of (RFC 6962, section 2.1: `k`).
const fn split(from: u64, to: u64) -> u64 {
    from + (1 << (to - from - 1).ilog2())
}

/// The nodes of a log, and its proofs.
struct Nodes<F>(F);

impl<E: From<AuditError>, F: FnMut(NodeId) -> Result<NodeHash, E>> Nodes<F> {
    /// The root over the leaves `from..to` of one tree, which has at least one.
    fn over(&mut self, from: u64, to: u64) -> Result<NodeHash, E> {
        let trees: Vec<NodeHash> = full_trees(from, to).into_iter().map(&mut self.0).collect::<Result<_, E>>()?;
        Ok(fold(trees.into_iter()).unwrap_or_else(NodeHash::of_nothing))
    }
}

/// The proof that the tree of `size` leaves has its leaf `index` (RFC 6962, section 2.1.1: `PATH`), from the leaf's sibling up.
///
/// `node` gives final nodes of a tree of at least `size` leaves; it is asked for fewer than `64²`, mostly for one a level.
///
/// # Errors
/// [`AuditError::NotInTree`] and those of `node`.
pub fn inclusion_proof<E: From<AuditError>>(
    index: u64,
    size: u64,
    node: impl FnMut(NodeId) -> Result<NodeHash, E>,
) -> Result<Vec<NodeHash>, E> {
    if index >= size {
        return Err(AuditError::NotInTree { index, size }.into());
    }
    let (mut nodes, mut proof) = (Nodes(node), Vec::new());
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = split(from, to);
        if index < middle {
            proof.push(nodes.over(middle, to)?);
            to = middle;
        } else {
            proof.push(nodes.over(from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `second` leaves begins with those of the tree of `first` (RFC 6962, section 2.1.2: `PROOF`). It is
/// empty where both are one, and from the empty tree.
///
/// # Errors
/// [`AuditError::Shrunk`] for sizes the wrong way round, and those of `node`.
pub fn consistency_proof<E: From<AuditError>>(
    first: u64,
    second: u64,
    node: impl FnMut(NodeId) -> Result<NodeHash, E>,
) -> Result<Vec<NodeHash>, E> {
    if first > second {
        return Err(AuditError::Shrunk { from: first, to: second }.into());
    }
    if first == 0 || first == second {
        return Ok(Vec::new());
    }
    let (mut nodes, mut proof) = (Nodes(node), Vec::new());
    // The tree in which the first one ends. While it begins at 0, its root is the first one's, which the verifier has.
    let (mut from, mut to) = (0, second);
    while first < to {
        let middle = split(from, to);
        if first <= middle {
            proof.push(nodes.over(middle, to)?);
            to = middle;
        } else {
            proof.push(nodes.over(from, middle)?);
            from = middle;
        }
    }
    if from > 0 {
        proof.push(nodes.over(from, to)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Holds a proof of inclusion against the root of `head` (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// [`AuditError::NotInTree`], [`AuditError::NotIncluded`].
///
/// ```
/// use vivavoce::record::audit::tree::{NodeHash, TreeHead, proofs::verify_inclusion};
/// let (a, b) = (NodeHash::of_leaf(b"a"), NodeHash::of_leaf(b"b"));
/// let head = TreeHead { size: 2, root: NodeHash::of_node(&a, &b) };
/// assert!(verify_inclusion(&a, 0, &head, &[b]).is_ok());
/// assert!(verify_inclusion(&a, 1, &head, &[b]).is_err());
/// ```
pub fn verify_inclusion(leaf: &NodeHash, index: u64, head: &TreeHead, proof: &[NodeHash]) -> Result<(), AuditError> {
    let size = head.size;
    if index >= size {
        return Err(AuditError::NotInTree { index, size });
    }
    let refused = AuditError::NotIncluded { index, size };
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(refused);
        }
        if node & 1 == 1 || node == last {
            hash = NodeHash::of_node(sibling, &hash);
            (node, last) = past_missing_siblings(node, last);
        } else {
            hash = NodeHash::of_node(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && hash == head.root { Ok(()) } else { Err(refused) }
}

/// Up to where a node has a sibling at its left: at the right edge of a tree there are levels on which it has none.
const fn past_missing_siblings(mut node: u64, mut last: u64) -> (u64, u64) {
    while node & 1 == 0 && node != 0 {
        (node, last) = (node >> 1, last >> 1);
    }
    (node, last)
}

/// Holds a proof against two roots: that the tree of `second` begins with the leaves of that of `first` (RFC 9162, section
/// 2.1.4.2). The empty tree is the beginning of every one.
///
/// # Errors
/// [`AuditError::Shrunk`]; [`AuditError::OtherTree`] for two roots of one size; [`AuditError::NotConsistent`].
pub fn verify_consistency(first: &TreeHead, second: &TreeHead, proof: &[NodeHash]) -> Result<(), AuditError> {
    let (from, to) = (first.size, second.size);
    if from > to {
        return Err(AuditError::Shrunk { from, to });
    }
    if from == to && first.root != second.root {
        return Err(AuditError::OtherTree { size: to });
    }
    let refused = Err(AuditError::NotConsistent { from, to });
    if from == 0 && first.root != NodeHash::of_nothing() {
        return refused;
    }
    if from == 0 || from == to {
        return if proof.is_empty() { Ok(()) } else { refused };
    }
    // The root of a full tree is itself the node that the path begins with, and is left out of the proof.
    let full = from.is_power_of_two().then_some(&first.root);
    let mut path = full.into_iter().chain(proof);
    let Some(&begin) = path.next() else { return refused };
    let missing = (from - 1).trailing_ones();
    let (mut node, mut last) = ((from - 1) >> missing, (to - 1) >> missing);
    let (mut before, mut after) = (begin, begin);
    for sibling in path {
        if last == 0 {
            return refused;
        }
        if node & 1 == 1 || node == last {
            before = NodeHash::of_node(sibling, &before);
            after = NodeHash::of_node(sibling, &after);
            (node, last) = past_missing_siblings(node, last);
        } else {
            after = NodeHash::of_node(&after, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && before == first.root && after == second.root { Ok(()) } else { refused }
}
