//! Proofs as text, and proofs of what is not so.

use super::*;
use crate::record::audit::{
    checkpoint::Signer,
    key::SecretKey,
    sample::{self, ORIGIN},
    tree::Tree,
};

/// The third leaf of the reference tree of certificate-transparency, among its first five, in a log with the key of Go's tests. All
/// parts but the signature are published; the form is that of `tlog-proof`.
const REFERENCE: &str = "c2sp.org/tlog-proof@v1\n\
    extra EA==\n\
    index 2\n\
    B1Bqhf2d0vEg62lPhgEeW7RmLlxBWmKRcDPUqWJEh+c=\n\
    +sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n\
    vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=\n\
    \n\
    PeterNeumann\n\
    5\n\
    Tju7H3tHjc/nH7YxYxUZo7yhLJrvyhYSv85ME6hiZNQ=\n\
    \n";

fn peter() -> SecretKey {
    SecretKey::parse("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap()
}

#[test]
fn the_published_tree_makes_the_proof_of_the_specification() {
    let leaves: [&[u8]; 5] = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31"];
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(NodeHash::of_leaf(leaf)));
    let note = Signer::begin(peter()).unwrap().sign(tree.head(), &[]).unwrap();
    let proof = LogProof::of_leaf(2, leaves[2].to_vec(), tree.inclusion_proof(2, 5).unwrap(), note);
    let written = proof.to_string();
    assert!(written.starts_with(REFERENCE), "{written}");
    assert!(written[REFERENCE.len()..].starts_with("— PeterNeumann x08go"), "{written}");
    assert_eq!(LogProof::parse(written.as_bytes()), Ok(proof.clone()));
    let trust = Trust::in_log(peter().public()).unwrap();
    let proven = proof.verify(&NodeHash::of_leaf(b"\x10"), &trust).unwrap();
    assert_eq!((proven.index, proven.signed.checkpoint.head), (2, tree.head()));
    // It is one of a leaf, and not of one of ours.
    assert_eq!(proof.verify_leaf(&trust), Err(AuditError::LeafVersion { version: 0x10 }));
}

fn proof(index: u64, size: u64) -> LogProof {
    let tree = sample::tree(size);
    let leaves: Vec<Vec<u8>> = (0..size).map(|number| sample::leaf(number).to_bytes()).collect();
    let note = sample::checkpoints(&leaves, &[leaves.len()]).remove(0);
    let note = String::from_utf8(sample::cosigned(&note, 1)).unwrap();
    let bytes = leaves[usize::try_from(index).unwrap()].clone();
    LogProof::of_leaf(index, bytes, tree.inclusion_proof(index, size).unwrap(), note)
}

#[test]
fn every_leaf_is_proven_by_its_own_file() {
    for (index, size) in [(0, 1), (0, 2), (6, 7), (3, 20), (19, 20)] {
        let text = proof(index, size).to_string();
        let (leaf, proven) = LogProof::parse(text.as_bytes()).unwrap().verify_leaf(&sample::trust()).unwrap();
        assert_eq!((leaf, proven.index), (sample::leaf(index), index));
        assert_eq!(proven.signed.checkpoint.origin, ORIGIN);
        assert_eq!(proven.signed.cosigned.len(), 1);
    }
}

#[test]
fn no_bit_of_a_proof_can_be_turned_that_says_something() {
    let proof = proof(3, 7);
    let text = proof.to_string();
    let honest = proof.verify_leaf(&sample::trust()).unwrap();
    let mut refused = 0;
    for bit in 0..text.len() * 8 {
        let mut other = text.clone().into_bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        match LogProof::parse(&other).and_then(|other| other.verify_leaf(&sample::trust())) {
            Ok(read) => assert_eq!(read, honest, "bit {bit}"),
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, text.len() * 8);
}

#[test]
fn a_proof_of_something_else_is_refused() {
    let (honest, trust) = (proof(3, 7), sample::trust());
    let check = |other: LogProof, refused: AuditError| assert_eq!(other.verify_leaf(&trust), Err(refused));
    let not = |index| AuditError::NotIncluded { index, size: 7 };
    check(LogProof { index: 4, ..honest.clone() }, not(4));
    check(LogProof { index: 7, ..honest.clone() }, AuditError::NotInTree { index: 7, size: 7 });
    check(LogProof { extra: Some(sample::leaf(4).to_bytes()), ..honest.clone() }, not(3));
    check(LogProof { extra: None, ..honest.clone() }, AuditError::NoLeaf);
    check(LogProof { hashes: vec![], ..honest.clone() }, not(3));
    check(
        LogProof { checkpoint: proof(3, 8).checkpoint, ..honest.clone() },
        AuditError::NotIncluded { index: 3, size: 8 },
    );
    // Without its witness; from a log that nobody trusts.
    let lines: Vec<&str> = honest.checkpoint.split_inclusive('\n').collect();
    let alone = lines[..5].concat();
    check(LogProof { checkpoint: alone, ..honest.clone() }, AuditError::TooFewWitnesses { found: 0, needed: 1 });
    let stranger = Trust::in_log(peter().public()).unwrap();
    assert_eq!(honest.verify_leaf(&stranger), Err(AuditError::NoKnownSignature));
}

#[test]
fn a_leaf_that_was_logged_in_another_place_is_named() {
    // The log itself wrote leaf 1 at place 0.
    let bytes = sample::leaf(1).to_bytes();
    let note = sample::checkpoints(std::slice::from_ref(&bytes), &[1]).remove(0);
    let note = String::from_utf8(sample::cosigned(&note, 1)).unwrap();
    let proof = LogProof::of_leaf(0, bytes, vec![], note);
    assert_eq!(proof.verify_leaf(&sample::trust()), Err(AuditError::LeafMoved { index: 0, number: 1 }));
}

#[test]
fn a_text_that_is_no_proof_says_at_which_line() {
    #[track_caller]
    fn check(text: &str, line: usize) {
        match LogProof::parse(text.as_bytes()) {
            Err(AuditError::ProofForm { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
            other => panic!("{other:?} of {text:?}"),
        }
    }
    let hash = "B1Bqhf2d0vEg62lPhgEeW7RmLlxBWmKRcDPUqWJEh+c=";
    let end = "\n\nlog\n";
    check("", 1);
    check("c2sp.org/tlog-proof@v1\nindex 0\n", 1);
    check(&format!("c2sp.org/tlog-proof@v2\nindex 0{end}"), 1);
    check(&format!("c2sp.org/tlog-proof@v1{end}"), 2);
    check(&format!("c2sp.org/tlog-proof@v1\nextra !{end}"), 2);
    check(&format!("c2sp.org/tlog-proof@v1\nextra EA=\nindex 0{end}"), 2);
    check(&format!("c2sp.org/tlog-proof@v1\nextra EA=={end}"), 3);
    check(&format!("c2sp.org/tlog-proof@v1\nextra EA==\nextra EA==\nindex 0{end}"), 3);
    for index in ["index", "index ", "index -5", "index 05", "index 5 ", "Index 1", "index 18446744073709551616"] {
        check(&format!("c2sp.org/tlog-proof@v1\n{index}{end}"), 2);
    }
    check(&format!("c2sp.org/tlog-proof@v1\nindex 0\n{hash}\nAAAA{end}"), 4);
    let many = format!("\n{hash}").repeat(65);
    check(&format!("c2sp.org/tlog-proof@v1\nindex 0{many}{end}"), 67);
    check(&format!("c2sp.org/tlog-proof@v1\nextra EA==\nindex 0{many}{end}"), 68);
    let most = format!("c2sp.org/tlog-proof@v1\nindex 0{}{end}", format!("\n{hash}").repeat(64));
    assert_eq!(LogProof::parse(most.as_bytes()).unwrap().to_string(), most);
    let long = "x".repeat(MAX_BYTES + 1);
    assert!(matches!(LogProof::parse(long.as_bytes()), Err(AuditError::NoteLength { .. })));
}

#[test]
fn an_empty_extra_is_not_none() {
    for extra in [None, Some(vec![]), Some(vec![7])] {
        let proof = LogProof { index: 0, extra, hashes: vec![], checkpoint: "log\n".into() };
        assert_eq!(LogProof::parse(proof.to_string().as_bytes()), Ok(proof));
    }
}
