//! Logs for tests: the same ones every time.

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    checkpoint::{Signer, Trust},
    commitment::{Commitment, SaltKey},
    cosign::Cosigner,
    key::{Algorithm, KeyName, SecretKey},
    leaf::{Leaf, LeafTime, Operation, Pseudonym, PurposeCode, Subject},
    tree::{Frontier, NodeHash, Tree},
};
use crate::domain::{actor::ActorKind, id::HearingId};

pub(super) const ORIGIN: &str = "court.example/log";

/// Chance with a seed: `SplitMix64`, by Steele, Lea and Flood.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// Turns over one bit.
    pub(super) fn flip(&mut self, bytes: &mut [u8]) {
        let at = self.below(bytes.len());
        bytes[at] ^= 1 << self.below(8);
    }
}

pub(super) fn log_key() -> SecretKey {
    SecretKey::from_seed(KeyName::new(ORIGIN).unwrap(), Algorithm::Ed25519, &Zeroizing::new([1; 32]))
}

pub(super) fn witness_key(number: u8) -> SecretKey {
    let name = KeyName::new(&format!("overseer.example/{number}")).unwrap();
    SecretKey::from_seed(name, Algorithm::CosignatureV1, &Zeroizing::new([100 + number; 32]))
}

/// In the log, and in the witnesses 1 and 2, of whom one must have signed.
pub(super) fn trust() -> Trust {
    let witnesses = [1, 2].map(|number| witness_key(number).public().clone());
    Trust::new(ORIGIN, vec![log_key().public().clone()], witnesses.to_vec(), 1).unwrap()
}

/// A leaf as it would be there in another `past`.
pub(super) fn leaf_of(past: u8, number: u64) -> Leaf {
    let all = [Operation::Collection, Operation::Consultation, Operation::Disclosure, Operation::Roles];
    let operation = all[usize::try_from(number % 4).unwrap()];
    let person = |number| Pseudonym::new(Uuid::from_u128(0x5eed_0000 + u128::from(number % 7)));
    let salt = SaltKey::new(Zeroizing::new([past; 32])).salt(number);
    Leaf {
        number,
        operation,
        subject: match operation {
            Operation::Roles => Subject::Account(person(number + 1)),
            _ => Subject::Hearing(HearingId::new(Uuid::from_u128(0xca5e + u128::from(number / 10)))),
        },
        at: LeafTime::new("2026-03-01T10:00:00.123456789Z".parse().unwrap()),
        actor_kind: ActorKind::Person,
        actor: person(number),
        purpose: PurposeCode::new(if number.is_multiple_of(2) { "review" } else { "appeal-2" }).unwrap(),
        recipient: (operation == Operation::Disclosure).then(|| person(number + 3)),
        commitment: Commitment::new(&salt, format!("change {number}").as_bytes()),
    }
}

pub(super) fn leaf(number: u64) -> Leaf {
    leaf_of(1, number)
}

pub(super) fn tree(size: u64) -> Tree {
    let mut tree = Tree::default();
    (0..size).for_each(|number| tree.push(leaf(number).hash()));
    tree
}

/// The checkpoints that the log signs when its leaves are `leaves` and it signs at `sizes`.
pub(super) fn checkpoints(leaves: &[Vec<u8>], sizes: &[usize]) -> Vec<Vec<u8>> {
    let (mut signer, mut edge, mut notes) = (Signer::begin(log_key()).unwrap(), Frontier::default(), Vec::new());
    for &size in sizes {
        let from = usize::try_from(edge.size()).unwrap();
        let added = leaves[from..size].iter().map(|leaf| NodeHash::of_leaf(leaf));
        let (note, grown) = signer.sign_grown(edge, added).unwrap();
        notes.push(note.into_bytes());
        edge = grown;
    }
    notes
}

/// `checkpoint` with the line of a witness that sees the log for the first time.
pub(super) fn cosigned(checkpoint: &[u8], witness: u8) -> Vec<u8> {
    let trust = Trust::in_log(log_key().public()).unwrap();
    let mut cosigner = Cosigner::begin(witness_key(witness), trust).unwrap();
    cosigner.cosign(checkpoint, &[], 1_772_360_000).unwrap().into_bytes()
}
