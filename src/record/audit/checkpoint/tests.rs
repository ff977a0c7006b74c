//! Checkpoints of logs that run, and a signer that is asked for what it must not sign.

use super::*;
use crate::record::audit::{
    sample::{self, ORIGIN},
    tree::Tree,
};

/// A checkpoint of Go's checksum database and the key that is built into Go.
const SUMDB: &str = "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n\
    — sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=\n";
const SUMDB_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

fn form(text: &str) -> (usize, &'static str) {
    match Checkpoint::parse(text) {
        Err(AuditError::CheckpointForm { line, expected }) => (line, expected),
        other => panic!("{other:?} of {text:?}"),
    }
}

#[test]
fn the_checkpoint_of_a_public_log_opens() {
    let trust = Trust::new("go.sum database tree", vec![SUMDB_KEY.parse().unwrap()], vec![], 0).unwrap();
    let opened = trust.open(SUMDB.as_bytes()).unwrap();
    assert_eq!(opened.checkpoint.head.size, 35_225_469);
    assert_eq!(opened.checkpoint.head.root.to_string(), "vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=");
    assert_eq!(opened.cosigned, []);
    let larger = SUMDB.replace("35225469", "35225470");
    assert!(matches!(trust.open(larger.as_bytes()), Err(AuditError::WrongSignature { .. })));
}

#[test]
fn a_checkpoint_is_written_as_it_was_read() {
    for text in [
        "Log\n0\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n",
        "two words\n18446744073709551615\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\nmore\nand more\n",
    ] {
        assert_eq!(Checkpoint::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn what_is_no_checkpoint_is_refused_at_its_line() {
    let root = "vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=";
    assert_eq!(form("Log\n1\n").0, 3);
    assert_eq!(form(&format!("\n1\n{root}\n")).0, 1);
    for size in ["", "one", "-1", "+1", "01", "1 ", "18446744073709551616", "0x1"] {
        assert_eq!(form(&format!("Log\n{size}\n{root}\n")).0, 2, "{size}");
    }
    for root in ["", "AAAA", &root[..43], "!t5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ="] {
        assert_eq!(form(&format!("Log\n1\n{root}\n")).0, 3, "{root}");
    }
    assert_eq!(form(&format!("Log\n1\n{root}\nmore\n\n")).0, 5);
    assert_eq!(form(&format!("Log\n1\n{root}")), (3, "ended by a line feed"));
}

#[test]
fn a_checkpoint_of_another_log_is_refused_though_the_key_is_right() {
    let note = sample::checkpoints(&[], &[0]).remove(0);
    let trust = Trust::new("court.example/other", vec![sample::log_key().public().clone()], vec![], 0).unwrap();
    let expected = AuditError::OtherLog { expected: "court.example/other".into(), found: ORIGIN.into() };
    assert_eq!(trust.open(&note), Err(expected));
}

#[test]
fn trust_needs_the_right_kinds_of_keys_and_enough_of_them() {
    let (log, witness) = (sample::log_key().public().clone(), sample::witness_key(1).public().clone());
    let refused = Trust::new(ORIGIN, vec![witness.clone()], vec![], 0).unwrap_err();
    assert!(matches!(refused, AuditError::KeyUse { wanted: "signing a log", .. }));
    let refused = Trust::new(ORIGIN, vec![log.clone()], vec![log.clone()], 0).unwrap_err();
    assert!(matches!(refused, AuditError::KeyUse { wanted: "cosigning as a witness", .. }));
    // One key under two names is one witness.
    let other = KeyName::new("overseer.example/other").unwrap();
    let other = SecretKey::from_seed(other, Algorithm::CosignatureV1, &[101; 32].into()).public().clone();
    assert_eq!(other.bytes(), witness.bytes());
    let refused = Trust::new(ORIGIN, vec![log], vec![witness, other], 2).unwrap_err();
    assert_eq!(refused, AuditError::Quorum { needed: 2, known: 1 });
}

#[test]
fn from_outside_enough_witnesses_must_have_signed() {
    let plain = sample::checkpoints(&[], &[0]).remove(0);
    let trust = sample::trust();
    assert!(trust.open(&plain).is_ok());
    assert_eq!(trust.open_witnessed(&plain), Err(AuditError::TooFewWitnesses { found: 0, needed: 1 }));
    let stranger = sample::cosigned(&plain, 3);
    assert_eq!(trust.open_witnessed(&stranger), Err(AuditError::TooFewWitnesses { found: 0, needed: 1 }));
    let opened = trust.open_witnessed(&sample::cosigned(&stranger, 2)).unwrap();
    let [witness] = opened.cosigned.as_slice() else { panic!("{opened:?}") };
    assert_eq!((witness.name.as_str(), witness.at_posix_s), ("overseer.example/2", 1_772_360_000));
    // A witness alone is no log.
    let text = String::from_utf8(sample::cosigned(&plain, 1)).unwrap();
    let alone: String =
        text.lines().filter(|line| !line.starts_with("— court")).map(|line| format!("{line}\n")).collect();
    assert_eq!(trust.open(alone.as_bytes()), Err(AuditError::NoKnownSignature));
}

#[test]
fn a_log_signs_only_what_grew_out_of_what_it_signed() {
    let tree = sample::tree(12);
    let head = |size| tree.head_at(size).unwrap();
    let proof = |first, second| tree.consistency_proof(first, second).unwrap();
    let mut signer = Signer::begin(sample::log_key()).unwrap();
    signer.sign(head(5), &[]).unwrap();
    let note = signer.sign(head(9), &proof(5, 9)).unwrap();
    assert_eq!(signer.last(), head(9));
    let mut other = Tree::default();
    (0..12).for_each(|number| other.push(sample::leaf_of(2, number).hash()));
    let refusals = [
        (head(8), proof(8, 9), AuditError::Shrunk { from: 9, to: 8 }),
        (other.head_at(9).unwrap(), vec![], AuditError::OtherTree { size: 9 }),
        (head(12), vec![], AuditError::NotConsistent { from: 9, to: 12 }),
        (head(12), proof(5, 12), AuditError::NotConsistent { from: 9, to: 12 }),
        (other.head(), other.consistency_proof(9, 12).unwrap(), AuditError::NotConsistent { from: 9, to: 12 }),
    ];
    for (next, proof, refused) in refusals {
        assert_eq!(signer.sign(next, &proof), Err(refused));
        assert_eq!(signer.last(), head(9));
    }
    // The same tree again is the same note.
    assert_eq!(signer.sign(head(9), &[]).as_ref(), Ok(&note));
    let mut resumed = Signer::resume(sample::log_key(), note.as_bytes()).unwrap();
    assert_eq!(resumed.last(), head(9));
    assert_eq!(resumed.sign(head(8), &[]), Err(AuditError::Shrunk { from: 9, to: 8 }));
    assert!(resumed.sign(head(12), &proof(9, 12)).is_ok());
}

#[test]
fn a_log_that_grew_from_the_edge_needs_no_proof() {
    let tree = sample::tree(12);
    let leaves = |range: std::ops::Range<u64>| range.map(|number| sample::leaf(number).hash()).collect::<Vec<_>>();
    let mut signer = Signer::begin(sample::log_key()).unwrap();
    let (_, edge) = signer.sign_grown(Frontier::default(), leaves(0..5)).unwrap();
    let (note, grown) = signer.sign_grown(edge.clone(), leaves(5..12)).unwrap();
    assert_eq!(grown.head(), tree.head());
    let trust = Trust::in_log(sample::log_key().public()).unwrap();
    assert_eq!(trust.open(note.as_bytes()).unwrap().checkpoint.head, tree.head());
    // An edge that is not that of the last one is refused, whether it is behind, ahead or elsewhere.
    assert_eq!(signer.sign_grown(edge, leaves(5..12)), Err(AuditError::Shrunk { from: 12, to: 5 }));
    let mut ahead = grown;
    ahead.push(NodeHash::of_leaf(b"next"));
    assert_eq!(signer.sign_grown(ahead, []), Err(AuditError::NotConsistent { from: 12, to: 13 }));
    let mut other = Frontier::default();
    (0..12).for_each(|number| other.push(sample::leaf_of(2, number).hash()));
    assert_eq!(signer.sign_grown(other, []), Err(AuditError::OtherTree { size: 12 }));
    assert_eq!(signer.last(), tree.head());
}

#[test]
fn a_log_does_not_go_on_from_what_another_signed() {
    let name = KeyName::new(ORIGIN).unwrap();
    let other = SecretKey::from_seed(name, Algorithm::Ed25519, &[2; 32].into());
    let note = Signer::begin(other).unwrap().sign(TreeHead::empty(), &[]).unwrap();
    assert_eq!(Signer::resume(sample::log_key(), note.as_bytes()).unwrap_err(), AuditError::NoKnownSignature);
    assert!(matches!(Signer::begin(sample::witness_key(1)), Err(AuditError::KeyUse { .. })));
    assert!(matches!(Signer::resume(sample::witness_key(1), note.as_bytes()), Err(AuditError::KeyUse { .. })));
}
