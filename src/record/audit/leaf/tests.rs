//! The bytes of a leaf: the same in every release, one form for one leaf, and nothing of what was done.

use proptest::prelude::*;

use super::*;
use crate::record::audit::{commitment::SaltKey, sample};

/// A leaf with all that one can have, as version 1 writes it.
const LEAF: &str = "01 04 0807060504030201 15f4fe29f54b0600 01 01890a5dac96774bbcceb302099a8057 \
    02 00112233445566778899aabbccddeeff 4242424242424242424242424242424242424242424242424242424242424242 \
    08 61707065616c2d32 01 ffeeddccbbaa99887766554433221100";

fn example() -> Leaf {
    Leaf {
        number: 0x0102_0304_0506_0708,
        operation: Operation::Disclosure,
        subject: Subject::Hearing("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()),
        at: LeafTime::new(Timestamp::from_microsecond(0x0006_4bf5_29fe_f415).unwrap()),
        actor_kind: ActorKind::Device,
        actor: Pseudonym::new("00112233-4455-6677-8899-aabbccddeeff".parse().unwrap()),
        purpose: PurposeCode::new("appeal-2").unwrap(),
        recipient: Some(Pseudonym::new("ffeeddcc-bbaa-9988-7766-554433221100".parse().unwrap())),
        commitment: Commitment::from_bytes([0x42; 32]),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace(' ', "")).unwrap()
}

#[test]
fn a_leaf_of_the_first_release_is_read_for_ever() {
    assert_eq!(hex::encode(example().to_bytes()), hex::encode(bytes(LEAF)));
    assert_eq!(Leaf::from_bytes(&bytes(LEAF)), Ok(example()));
    assert_eq!(example().hash(), NodeHash::of_leaf(&bytes(LEAF)));
}

#[test]
fn the_numbers_of_what_was_done_never_change() {
    let numbers = Operation::ALL.map(|operation| (operation.number(), operation.as_str()));
    let expected = [
        (1, "collection"),
        (2, "alteration"),
        (3, "consultation"),
        (4, "disclosure"),
        (5, "combination"),
        (6, "erasure"),
        (16, "keys"),
        (17, "roles"),
        (18, "levels"),
        (19, "access"),
    ];
    assert_eq!(numbers, expected);
    assert_eq!(Operation::from(Purpose::Erasure), Operation::Erasure);
}

#[test]
fn no_leaf_is_read_from_fewer_or_more_bytes() {
    let whole = bytes(LEAF);
    for length in 0..whole.len() {
        assert!(matches!(Leaf::from_bytes(&whole[..length]), Err(AuditError::LeafForm { .. })), "{length}");
    }
    assert_eq!(Leaf::from_bytes(&[whole.as_slice(), &[0]].concat()), Err(AuditError::LeafForm { field: "end" }));
}

#[test]
fn a_leaf_that_is_none_says_where() {
    #[track_caller]
    fn check(at: usize, byte: u8, field: &'static str) {
        let mut other = bytes(LEAF);
        other[at] = byte;
        assert_eq!(Leaf::from_bytes(&other), Err(AuditError::LeafForm { field }));
    }
    check(1, 0, "operation");
    check(1, 7, "operation");
    check(17, 0x7f, "time");
    check(18, 5, "subject");
    // The service has no identifier.
    check(18, 0, "subject");
    check(35, 0, "actor");
    check(84, 0, "purpose");
    check(84, 33, "purpose");
    check(85, b'A', "purpose");
    check(85, 0xff, "purpose");
    check(93, 2, "recipient");
    check(93, 0, "end");
    let mut later = bytes(LEAF);
    later[0] = 2;
    assert_eq!(Leaf::from_bytes(&later), Err(AuditError::LeafVersion { version: 2 }));
}

#[test]
fn a_purpose_is_a_code() {
    let longest = "a".repeat(PurposeCode::MAX_BYTES);
    for code in ["a", "0", "appeal-2", &longest] {
        assert_eq!(PurposeCode::new(code).unwrap().as_str(), code);
    }
    let longer = "a".repeat(PurposeCode::MAX_BYTES + 1);
    for other in ["", "Review", "a b", "a_b", "é", "a\n", &longer] {
        assert_eq!(PurposeCode::new(other), Err(AuditError::Purpose), "{other:?}");
    }
}

#[test]
fn a_leaf_holds_nothing_of_the_change_and_nothing_by_which_to_find_it() {
    let change = b"Jane Doe may read the closed session of 3 March";
    let salt = |key| SaltKey::new([key; 32].into()).salt(5);
    let bound = |key| Leaf { commitment: Commitment::new(&salt(key), change), ..sample::leaf(5) };
    let (one, other) = (bound(1), bound(2));
    // Under another salt the same change is another leaf in the commitment alone: what was guessed cannot be tried out.
    assert_ne!(one.commitment, other.commitment);
    assert_eq!(Leaf { commitment: other.commitment, ..one.clone() }, other);
    let written = one.to_bytes();
    assert!(change.windows(4).all(|piece| !written.windows(4).any(|found| found == piece)));
    assert_eq!(one.commitment.open(&salt(1), change), Ok(()));
    assert_eq!(one.commitment.open(&salt(2), change), Err(AuditError::NotOpened));
}

#[test]
fn a_time_is_kept_to_the_microsecond() {
    let at: Timestamp = "2026-03-01T10:00:00.123456789Z".parse().unwrap();
    assert_eq!(LeafTime::new(at).timestamp().to_string(), "2026-03-01T10:00:00.123456Z");
    let read = Leaf::from_bytes(&sample::leaf(3).to_bytes()).unwrap();
    assert_eq!(read, sample::leaf(3));
    for end in [Timestamp::MIN, Timestamp::MAX] {
        let leaf = Leaf { at: LeafTime::new(end), ..example() };
        assert_eq!(Leaf::from_bytes(&leaf.to_bytes()), Ok(leaf));
    }
}

fn subjects() -> impl Strategy<Value = Subject> {
    let id = || any::<u128>().prop_map(Uuid::from_u128);
    prop_oneof![
        Just(Subject::Service),
        id().prop_map(|id| Subject::Hearing(HearingId::new(id))),
        id().prop_map(|id| Subject::Account(Pseudonym::new(id))),
        id().prop_map(|id| Subject::Key(KeyId::new(id.into_bytes()))),
        id().prop_map(Subject::Language),
    ]
}

prop_compose! {
    fn leaves()(
        number in any::<u64>(),
        operation in 0..Operation::ALL.len(),
        subject in subjects(),
        at in Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond(),
        kind in 0..ACTORS.len(),
        actor in any::<u128>(),
        purpose in "[a-z0-9-]{1,32}",
        recipient in proptest::option::of(any::<u128>()),
        commitment in any::<[u8; 32]>(),
    ) -> Leaf {
        Leaf {
            number,
            operation: Operation::ALL[operation],
            subject,
            at: LeafTime::from_microseconds(at).unwrap(),
            actor_kind: ACTORS[kind],
            actor: Pseudonym::new(Uuid::from_u128(actor)),
            purpose: PurposeCode::new(&purpose).unwrap(),
            recipient: recipient.map(|id| Pseudonym::new(Uuid::from_u128(id))),
            commitment: Commitment::from_bytes(commitment),
        }
    }
}

proptest! {
    #[test]
    fn a_leaf_is_read_as_it_was_written(leaf in leaves()) {
        prop_assert_eq!(Leaf::from_bytes(&leaf.to_bytes()), Ok(leaf));
    }

    #[test]
    fn one_leaf_has_one_form(leaf in leaves(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = leaf.to_bytes();
        let at = at.index(bytes.len());
        let changed = bytes[at] != byte;
        bytes[at] = byte;
        if let Ok(other) = Leaf::from_bytes(&bytes) {
            prop_assert_eq!(other.to_bytes(), bytes);
            prop_assert_eq!(other != leaf, changed);
        }
    }
}
