//! What witnesses of public logs signed, and a witness that is shown another past.

use super::*;
use crate::record::audit::{
    checkpoint::Signer,
    sample::{self, ORIGIN},
    tree::Tree,
};

/// A checkpoint of a log for certificates as it was handed out: with a signature of type 0x05 under the log's own name, and with
/// the lines of four witnesses.
const ARCHE: &str = "arche2025h1.staging.ct.transparency.dev\n1432088532\nU7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n\
— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n\
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n\
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n\
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==\n\
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n\
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==\n";
const ARCHE_KEY: &str = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
const REMORA_KEY: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
const GARDEN_KEY: &str =
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM";

#[test]
fn the_message_is_that_of_the_specification() {
    // The example of `tlog-cosignature`; its signature begins with the same time.
    let body = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let expected = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    assert_eq!(message(1_679_315_147, body).as_deref(), Some(expected));
    assert_eq!(1_679_315_147_u64.to_be_bytes(), [0, 0, 0, 0, 0x64, 0x18, 0x50, 0xcb]);
    assert_eq!(message(1 << 63, body), None);
    assert!(message((1 << 63) - 1, body).is_some());
}

#[test]
fn cosignatures_of_public_witnesses_are_right() {
    let witnesses = [REMORA_KEY, GARDEN_KEY].map(|key| key.parse().unwrap());
    let origin = "arche2025h1.staging.ct.transparency.dev";
    let trust = Trust::new(origin, vec![ARCHE_KEY.parse().unwrap()], witnesses.to_vec(), 2).unwrap();
    let opened = trust.open_witnessed(ARCHE.as_bytes()).unwrap();
    assert_eq!(opened.checkpoint.head.size, 1_432_088_532);
    let seen: Vec<_> = opened.cosigned.iter().map(|witness| (witness.name.as_str(), witness.at_posix_s)).collect();
    // All four signed at one time: 0x6a122120.
    let at = 0x6a12_2120;
    assert_eq!(seen, [("transparency.dev/DEV:witness-little-garden", at), ("remora.n621.de", at)]);
    // The time is part of what was signed.
    let later = ARCHE.replace("2net5wAAAABqEiEg", "2net5wAAAABqEiEh");
    assert!(
        matches!(trust.open(later.as_bytes()), Err(AuditError::WrongSignature { name, .. }) if name == "remora.n621.de")
    );
}

fn trust() -> Trust {
    Trust::in_log(sample::log_key().public()).unwrap()
}

/// The checkpoints of a log at 5, 9 and 12 leaves, and its tree.
fn log(past: u8) -> (Vec<Vec<u8>>, Tree) {
    let leaves: Vec<Vec<u8>> = (0..12).map(|number| sample::leaf_of(past, number).to_bytes()).collect();
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(NodeHash::of_leaf(leaf)));
    (sample::checkpoints(&leaves, &[5, 9, 12]), tree)
}

#[test]
fn a_witness_signs_what_grew_out_of_what_it_saw() {
    let (notes, tree) = log(1);
    let mut witness = Cosigner::begin(sample::witness_key(1), trust()).unwrap();
    let first = witness.cosign(&notes[0], &[], 1_700_000_000).unwrap();
    let proof = tree.consistency_proof(5, 9).unwrap();
    let second = witness.cosign(&notes[1], &proof, 1_700_000_100).unwrap();
    assert_eq!(witness.last(), tree.head_at(9).unwrap());
    // The log's line stays before that of the witness, and a later one of the same witness takes the place of its first.
    assert!(second.starts_with(str::from_utf8(&notes[1]).unwrap()));
    let again = witness.cosign(second.as_bytes(), &[], 1_700_000_200).unwrap();
    let opened = sample::trust().open_witnessed(again.as_bytes()).unwrap();
    assert_eq!(opened.cosigned.iter().map(|line| line.at_posix_s).collect::<Vec<_>>(), [1_700_000_200]);
    let mut resumed = Cosigner::resume(sample::witness_key(1), trust(), again.as_bytes()).unwrap();
    let proof = tree.consistency_proof(9, 12).unwrap();
    assert!(resumed.cosign(&notes[2], &proof, 1_700_000_300).is_ok());
    assert_eq!(sample::trust().open_witnessed(first.as_bytes()).unwrap().checkpoint.origin, ORIGIN);
}

#[test]
fn a_witness_signs_no_other_past() {
    let ((notes, tree), (others, other)) = (log(1), log(2));
    let mut witness = Cosigner::begin(sample::witness_key(1), trust()).unwrap();
    witness.cosign(&notes[1], &[], 1_700_000_000).unwrap();
    let proof = |tree: &Tree, first, second| tree.consistency_proof(first, second).unwrap();
    let refusals = [
        // Set back, forked at the same size, forked and grown, grown without proof.
        (&notes[0], proof(&tree, 5, 9), AuditError::Shrunk { from: 9, to: 5 }),
        (&others[1], vec![], AuditError::OtherTree { size: 9 }),
        (&others[2], proof(&other, 9, 12), AuditError::NotConsistent { from: 9, to: 12 }),
        (&others[2], proof(&tree, 9, 12), AuditError::NotConsistent { from: 9, to: 12 }),
        (&notes[2], vec![], AuditError::NotConsistent { from: 9, to: 12 }),
    ];
    for (note, proof, refused) in refusals {
        assert_eq!(witness.cosign(note, &proof, 1_700_000_100), Err(refused));
        assert_eq!(witness.last(), tree.head_at(9).unwrap());
    }
    let late = witness.cosign(&notes[1], &[], 1 << 63);
    assert_eq!(late, Err(AuditError::CosignTime));
}

#[test]
fn a_witness_goes_on_only_from_what_it_signed() {
    let (notes, _) = log(1);
    let resume = |note: &[u8]| Cosigner::resume(sample::witness_key(1), trust(), note).map(|witness| witness.last());
    let unsigned = AuditError::TooFewWitnesses { found: 0, needed: 1 };
    assert_eq!(resume(&notes[0]).unwrap_err(), unsigned);
    assert_eq!(resume(&sample::cosigned(&notes[0], 2)).unwrap_err(), unsigned);
    assert!(resume(&sample::cosigned(&notes[0], 1)).is_ok());
    let refused = Cosigner::begin(sample::log_key(), trust()).unwrap_err();
    assert!(matches!(refused, AuditError::KeyUse { wanted: "cosigning as a witness", .. }));
}

#[test]
fn a_witness_does_not_sign_what_the_log_did_not() {
    let (notes, _) = log(1);
    let mut note = String::from_utf8(notes[0].clone()).unwrap();
    note = note.replace("\n5\n", "\n6\n");
    let mut witness = Cosigner::begin(sample::witness_key(1), trust()).unwrap();
    let refused = witness.cosign(note.as_bytes(), &[], 1_700_000_000);
    assert!(matches!(refused, Err(AuditError::WrongSignature { .. })));
    // Nor does a signature by a witness become one by the log.
    assert!(matches!(Signer::begin(sample::witness_key(1)), Err(AuditError::KeyUse { .. })));
}
