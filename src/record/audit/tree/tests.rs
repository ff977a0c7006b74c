//! Against published vectors, against the definitions of RFC 6962 as they stand there, and against proofs that are wrong.

use proptest::prelude::*;

use super::{
    proofs::{verify_consistency, verify_inclusion},
    *,
};

/// The leaves of the reference tree of certificate-transparency (`merkle_tree_test.cc`).
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
/// Its roots at 0 to 8 leaves.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const N10: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const N12: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const N13: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const N21: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const L1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const L4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";

fn hash(hex: &str) -> NodeHash {
    NodeHash::new(hex::decode(hex).unwrap().try_into().unwrap())
}

fn tree_of(leaves: &[NodeHash]) -> Tree {
    let mut tree = Tree::default();
    leaves.iter().for_each(|&leaf| tree.push(leaf));
    tree
}

fn reference() -> Tree {
    tree_of(&LEAVES.map(|leaf| NodeHash::of_leaf(&hex::decode(leaf).unwrap())))
}

fn numbered(size: u64) -> Vec<NodeHash> {
    (0..size).map(|number| NodeHash::of_leaf(&number.to_le_bytes())).collect()
}

#[test]
fn leaves_and_nodes_hash_as_in_the_reference() {
    let leaf = hex::decode("101112131415161718191a1b1c1d1e1f").unwrap();
    let expected = hash("3bfb960453ebaebf33727da7a1f4db38acc051d381b6da20d6d4e88f0eabfd7a");
    assert_eq!(NodeHash::of_leaf(&leaf), expected);
    let left = hash("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let right = hash("202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f");
    let expected = hash("1a378704c17da31e2d05b6d121c2bb2c7d76f6ee6fa8f983e596c2d034963c57");
    assert_eq!(NodeHash::of_node(&left, &right), expected);
}

#[test]
fn the_reference_tree_has_its_published_roots() {
    let (mut edge, tree) = (Frontier::default(), reference());
    assert_eq!(edge.root(), hash(ROOTS[0]));
    for (number, leaf) in LEAVES.iter().enumerate() {
        edge.push(NodeHash::of_leaf(&hex::decode(leaf).unwrap()));
        assert_eq!(edge.root(), hash(ROOTS[number + 1]));
        assert_eq!(tree.head_at(edge.size()).unwrap(), edge.head());
    }
    assert_eq!(tree.head(), edge.head());
}

#[test]
fn the_reference_tree_has_its_published_paths() {
    let paths: [(u64, u64, &[&str]); 8] = [
        (0, 1, &[]),
        (0, 8, &[L1, N10, N21]),
        (5, 8, &[L4, N13, ROOTS[4]]),
        (2, 3, &[ROOTS[2]]),
        (1, 5, &[ROOTS[1], N10, L4]),
        (4, 5, &[ROOTS[4]]),
        (6, 7, &["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", ROOTS[4]]),
        (4, 6, &["4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658", ROOTS[4]]),
    ];
    let tree = reference();
    for (index, size, path) in paths {
        let proof = tree.inclusion_proof(index, size).unwrap();
        assert_eq!(proof, path.iter().map(|node| hash(node)).collect::<Vec<_>>(), "{index} in {size}");
        let leaf = tree.node(NodeId { level: 0, index }).unwrap();
        verify_inclusion(&leaf, index, &tree.head_at(size).unwrap(), &proof).unwrap();
    }
}

#[test]
fn the_reference_tree_has_its_published_proofs_of_consistency() {
    let proofs: [(u64, u64, &[&str]); 4] =
        [(1, 1, &[]), (1, 8, &[L1, N10, N21]), (6, 8, &[N12, N13, ROOTS[4]]), (2, 5, &[N10, L4])];
    let tree = reference();
    for (first, second, expected) in proofs {
        let proof = tree.consistency_proof(first, second).unwrap();
        assert_eq!(proof, expected.iter().map(|node| hash(node)).collect::<Vec<_>>(), "{first} to {second}");
        let [first, second] = [first, second].map(|size| tree.head_at(size).unwrap());
        verify_consistency(&first, &second, &proof).unwrap();
    }
}

/// `MTH`, `PATH` and `SUBPROOF`, word for word from RFC 6962, sections 2.1 to 2.1.2.
mod naive {
    use super::NodeHash;

    fn k(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }

    pub(super) fn root(leaves: &[NodeHash]) -> NodeHash {
        match leaves {
            [] => NodeHash::of_nothing(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(k(leaves.len()));
                NodeHash::of_node(&root(left), &root(right))
            }
        }
    }

    pub(super) fn path(m: usize, leaves: &[NodeHash]) -> Vec<NodeHash> {
        if leaves.len() == 1 {
            return vec![];
        }
        let k = k(leaves.len());
        let (left, right) = leaves.split_at(k);
        if m < k {
            [path(m, left), vec![root(right)]].concat()
        } else {
            [path(m - k, right), vec![root(left)]].concat()
        }
    }

    pub(super) fn proof(m: usize, leaves: &[NodeHash], whole: bool) -> Vec<NodeHash> {
        if m == leaves.len() {
            return if whole { vec![] } else { vec![root(leaves)] };
        }
        let k = k(leaves.len());
        let (left, right) = leaves.split_at(k);
        if m <= k {
            [proof(m, left, whole), vec![root(right)]].concat()
        } else {
            [proof(m - k, right, false), vec![root(left)]].concat()
        }
    }
}

fn at(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// All that one hash more, less, other or elsewhere makes of a proof.
fn harmed(proof: &[NodeHash]) -> Vec<Vec<NodeHash>> {
    let stranger = NodeHash::of_leaf(b"stranger");
    let mut out = vec![[proof, &[stranger]].concat(), [&[stranger], proof].concat()];
    for place in 0..proof.len() {
        let mut other = proof.to_vec();
        other[place].0[place % HASH_BYTES] ^= 1 << (place % 8);
        out.push(other);
        out.push([&proof[..place], &proof[place + 1..]].concat());
        out.push([&proof[..=place], &proof[place..]].concat());
        if place > 0 {
            let mut other = proof.to_vec();
            other.swap(place, place - 1);
            out.push(other);
        }
    }
    out
}

#[test]
fn every_inclusion_of_a_small_tree_is_proven_and_no_other() {
    let leaves = numbered(36);
    let tree = tree_of(&leaves);
    for size in 0..=36 {
        let head = tree.head_at(size).unwrap();
        assert_eq!(head.root, naive::root(&leaves[..at(size)]));
        assert_eq!(tree.inclusion_proof(size, size), Err(AuditError::NotInTree { index: size, size }));
        for index in 0..size {
            let (leaf, proof) = (leaves[at(index)], tree.inclusion_proof(index, size).unwrap());
            assert_eq!(proof, naive::path(at(index), &leaves[..at(size)]), "{index} in {size}");
            verify_inclusion(&leaf, index, &head, &proof).unwrap();
            for other in (0..=40).filter(|&other| other != index) {
                assert!(verify_inclusion(&leaf, other, &head, &proof).is_err(), "{index} as {other} in {size}");
            }
            for other in harmed(&proof) {
                assert!(verify_inclusion(&leaf, index, &head, &other).is_err(), "{index} in {size}");
            }
            let stranger = NodeHash::of_leaf(b"stranger");
            assert!(verify_inclusion(&stranger, index, &head, &proof).is_err());
            assert!(verify_inclusion(&leaf, index, &TreeHead { root: stranger, ..head }, &proof).is_err());
        }
    }
}

#[test]
fn every_growth_of_a_small_tree_is_proven_and_no_other() {
    let leaves = numbered(36);
    let tree = tree_of(&leaves);
    let head = |size| tree.head_at(size).unwrap();
    let stranger = NodeHash::of_leaf(b"stranger");
    for (first, second) in (0..=36).flat_map(|second| (0..=second).map(move |first| (first, second))) {
        let proof = tree.consistency_proof(first, second).unwrap();
        if first > 0 {
            assert_eq!(proof, naive::proof(at(first), &leaves[..at(second)], true), "{first} to {second}");
        }
        verify_consistency(&head(first), &head(second), &proof).unwrap();
        for other in harmed(&proof) {
            assert!(verify_consistency(&head(first), &head(second), &other).is_err(), "{first} to {second}");
        }
        let other = TreeHead { root: stranger, ..head(first) };
        assert!(verify_consistency(&other, &head(second), &proof).is_err(), "{first} to {second}");
        // Nothing is known of what comes after the empty tree.
        if first > 0 {
            let other = TreeHead { root: stranger, ..head(second) };
            assert!(verify_consistency(&head(first), &other, &proof).is_err(), "{first} to {second}");
        }
        if first < second {
            let shrunk = AuditError::Shrunk { from: second, to: first };
            assert_eq!(verify_consistency(&head(second), &head(first), &proof), Err(shrunk));
            assert_eq!(tree.consistency_proof(second, first), Err(AuditError::Shrunk { from: second, to: first }));
        }
    }
}

#[test]
fn two_roots_of_one_size_are_two_logs() {
    let tree = reference();
    let other = TreeHead { root: NodeHash::of_nothing(), ..tree.head() };
    assert_eq!(verify_consistency(&tree.head(), &other, &[]), Err(AuditError::OtherTree { size: 8 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn proofs_are_those_of_the_definitions(size in 1_u64..700, a in any::<u64>(), b in any::<u64>()) {
        let leaves = numbered(size);
        let tree = tree_of(&leaves);
        let (index, first) = (a % size, b % size + 1);
        let head = tree.head();
        prop_assert_eq!(head.root, naive::root(&leaves));
        let proof = tree.inclusion_proof(index, size).unwrap();
        prop_assert_eq!(&proof, &naive::path(at(index), &leaves));
        prop_assert_eq!(verify_inclusion(&leaves[at(index)], index, &head, &proof), Ok(()));
        let grown = tree.consistency_proof(first, size).unwrap();
        prop_assert_eq!(&grown, &naive::proof(at(first), &leaves, true));
        prop_assert_eq!(verify_consistency(&tree.head_at(first).unwrap(), &head, &grown), Ok(()));
        if size - 1 != index {
            prop_assert!(verify_inclusion(&leaves[at(index)], index + 1, &head, &proof).is_err());
        }
    }

    #[test]
    fn an_edge_that_was_kept_goes_on_as_if_it_had_not_been_put_down(size in 0_u64..300, more in 0_u64..50) {
        let leaves = numbered(size + more);
        let mut edge = Frontier::default();
        leaves[..at(size)].iter().for_each(|&leaf| edge.push(leaf));
        let mut kept = Frontier::restore(edge.size(), edge.peaks().to_vec()).unwrap();
        leaves[at(size)..].iter().for_each(|&leaf| kept.push(leaf));
        prop_assert_eq!(kept.root(), naive::root(&leaves));
        prop_assert_eq!(Frontier::of_nodes(size, |id| tree_of(&leaves).node(id)).unwrap(), edge);
    }
}

#[test]
fn an_edge_with_a_hash_too_few_is_refused() {
    let refused = Frontier::restore(7, numbered(2));
    assert_eq!(refused, Err(AuditError::Frontier { size: 7, found: 2 }));
}

#[test]
fn nodes_are_kept_once_and_only_when_they_are_final() {
    let (mut edge, mut kept) = (Frontier::default(), Vec::new());
    numbered(6).into_iter().for_each(|leaf| edge.push_and_keep(leaf, |id, _| kept.push((id.level, id.index))));
    assert_eq!(kept, [(0, 0), (0, 1), (1, 0), (0, 2), (0, 3), (1, 1), (2, 0), (0, 4), (0, 5), (1, 2)]);
}

#[test]
fn a_log_of_a_trillion_leaves_is_proven_by_forty_hashes() {
    // All leaves are the same, so that a full tree is known by its height.
    let mut heights = vec![NodeHash::of_leaf(b"leaf")];
    for level in 0..63 {
        heights.push(NodeHash::of_node(&heights[level], &heights[level]));
    }
    let node = |id: NodeId| Ok::<_, AuditError>(heights[usize::try_from(id.level).unwrap()]);
    for (first, second) in [(1 << 40, (1 << 40) + 12_345), ((1 << 40) - 1, 1 << 40), (3, u64::MAX), (1 << 63, u64::MAX)]
    {
        let [first, second] = [first, second].map(|size| Frontier::of_nodes(size, node).unwrap().head());
        let proof = consistency_proof(first.size, second.size, node).unwrap();
        verify_consistency(&first, &second, &proof).unwrap();
        for index in [0, 5, first.size, second.size / 2, second.size - 1] {
            let proof = inclusion_proof(index, second.size, node).unwrap();
            assert!(proof.len() <= 64);
            verify_inclusion(&heights[0], index, &second, &proof).unwrap();
        }
    }
}

#[test]
fn a_hash_has_one_text() {
    let text = NodeHash::of_nothing().to_string();
    assert_eq!(NodeHash::from_base64(&text), Some(NodeHash::of_nothing()));
    // The last character but one carries two bits that no byte has.
    for other in ["", "AAAA", &text[..43], &format!("{text}\n"), &text.replace("FU=", "FV="), &format!("{text}=")] {
        assert_eq!(NodeHash::from_base64(other), None, "{other}");
    }
    assert!(text.ends_with("FU="));
}
