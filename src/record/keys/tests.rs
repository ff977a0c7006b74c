//! Keys: drawn, kept, destroyed, and read from whatever a disk makes of them.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    KeyError, KeyStore,
    key::{Forged, Key},
};
use crate::{
    domain::{
        fault::{Fault, FaultKind},
        id::HearingId,
    },
    record::seal::KeyId,
};

/// A store with the system's own chance.
pub(crate) fn keys_under(folder: &Path) -> std::sync::Arc<KeyStore> {
    let chance = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
    std::sync::Arc::new(KeyStore::under(folder.to_owned(), Box::new(chance)))
}

fn hearing() -> HearingId {
    HearingId::new(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

fn file_in(folder: &Path) -> PathBuf {
    keys_under(folder).path(hearing())
}

fn open(folder: &Path, id: KeyId) -> Result<Key, KeyError> {
    keys_under(folder).get(hearing(), id)
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[test]
fn a_key_is_on_disk_when_it_is_handed_out_and_never_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut seen, mut all) = (HashSet::new(), Vec::new());
    for _ in 0..3 {
        // Each store stands for a process that was killed: it closes nothing.
        let keys = keys_under(folder.path());
        for _ in 0..100 {
            let key = keys.draw(hearing()).unwrap();
            assert!(position(&fs::read(keys.path(hearing())).unwrap(), key.bytes()).is_some());
            assert!(seen.insert(*key.bytes()));
            assert_eq!(open(folder.path(), key.id()).unwrap().bytes(), key.bytes());
            all.push(key.id());
        }
        assert!(all.iter().all(|id| keys.get(hearing(), *id).is_ok()));
    }
}

#[test]
fn a_destroyed_key_is_nowhere_and_is_told_from_one_that_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_under(folder.path());
    let drawn: Vec<Key> = (0..70).map(|_| keys.draw(hearing()).unwrap()).collect();
    let other = keys_under(folder.path());
    assert!(other.get(hearing(), drawn[66].id()).is_ok());
    keys.destroy(hearing(), &[drawn[3].id(), drawn[66].id(), KeyId::new([1; 16])]).unwrap();
    keys.destroy(hearing(), &[drawn[3].id()]).unwrap();
    let bytes = fs::read(keys.path(hearing())).unwrap();
    for (i, key) in drawn.iter().enumerate() {
        let gone = i == 3 || i == 66;
        assert_eq!(position(&bytes, key.bytes()).is_none(), gone);
        for store in [&keys, &other, &keys_under(folder.path())] {
            let got = store.get(hearing(), key.id());
            assert_eq!(matches!(got, Err(KeyError::Destroyed { .. })), gone, "{i}");
            assert_eq!(got.is_ok(), !gone, "{i}");
        }
    }
    assert!(matches!(keys.get(hearing(), KeyId::new([1; 16])), Err(KeyError::Missing { .. })));
    let stranger = HearingId::new(uuid::Uuid::from_u128(9));
    assert!(matches!(keys.get(stranger, drawn[0].id()), Err(KeyError::Missing { .. })));
    assert!(!keys.path(stranger).exists());
}

#[test]
fn nothing_of_a_key_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_under(folder.path());
    let key = keys.draw(hearing()).unwrap();
    let printed = format!("{key:?} {keys:?}");
    assert!(printed.contains(&hex::encode(key.id().bytes())));
    assert!(!printed.contains(&hex::encode(key.bytes())) && !printed.contains(&format!("{:?}", key.bytes())));
}

#[test]
fn what_a_key_sealed_opens_with_it_in_its_place_alone() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_under(folder.path());
    let (key, other) = (keys.draw(hearing()).unwrap(), keys.draw(hearing()).unwrap());
    let mut sealed = b"said in court".to_vec();
    key.seal(&[7; 24], b"place", &mut sealed);
    assert!(position(&sealed, b"court").is_none());
    let opened = |key: &Key, nonce, place: &[u8], flip: usize| {
        let mut buffer = sealed.clone();
        buffer[flip] ^= u8::from(flip > 0);
        key.open(&[nonce; 24], place, &mut buffer).map(|()| buffer)
    };
    assert_eq!(opened(&key, 7, b"place", 0).unwrap(), b"said in court");
    assert_eq!(opened(&other, 7, b"place", 0), Err(Forged));
    assert_eq!(opened(&key, 8, b"place", 0), Err(Forged));
    assert_eq!(opened(&key, 7, b"elsewhere", 0), Err(Forged));
    for at in 1..sealed.len() {
        assert_eq!(opened(&key, 7, b"place", at), Err(Forged), "{at}");
    }
}

#[test]
fn the_cipher_is_the_published_one() {
    // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let unhex = |text: &str| hex::decode(text).unwrap();
    let mut key = zeroize::Zeroizing::new([0; 32]);
    key.copy_from_slice(&unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
    let nonce: [u8; 24] = unhex("404142434445464748494a4b4c4d4e4f5051525354555657").try_into().unwrap();
    let mut sealed = text.to_vec();
    Key::new(KeyId::NONE, key).seal(&nonce, &unhex("50515253c0c1c2c3c4c5c6c7"), &mut sealed);
    assert!(hex::encode(&sealed).starts_with("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"));
    assert!(hex::encode(&sealed).ends_with("c0875924c1c7987947deafd8780acf49"));
}

#[test]
fn one_flipped_bit_anywhere_is_an_error_that_names_the_file_and_the_other_keys_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_under(folder.path());
    let drawn: Vec<KeyId> = (0..3).map(|_| keys.draw(hearing()).unwrap().id()).collect();
    keys.destroy(hearing(), &drawn[2..]).unwrap();
    drop(keys);
    let path = file_in(folder.path());
    let good = fs::read(&path).unwrap();
    for at in 0..64 * 4 {
        for bit in [0, 3, 7] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            fs::write(&path, &bad).unwrap();
            let found = drawn.iter().map(|id| open(folder.path(), *id));
            for (i, got) in found.enumerate() {
                match got {
                    Ok(key) => assert!(at >= 64 && at / 64 != i + 1 && i != 2, "{at} {bit} {}", key.id() == drawn[i]),
                    Err(KeyError::Destroyed { .. }) => assert!(i == 2 && at >= 64 && at / 64 != 3, "{at} {bit}"),
                    Err(error) => {
                        assert!(at < 64 || at / 64 == i + 1, "{at} {bit} {error}");
                        assert!(matches!(error.kind(), FaultKind::DataLoss | FaultKind::Unimplemented), "{error}");
                        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_keeps_its_whole_keys_and_takes_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_under(folder.path());
    let drawn: Vec<KeyId> = (0..4).map(|_| keys.draw(hearing()).unwrap().id()).collect();
    drop(keys);
    let path = file_in(folder.path());
    let good = fs::read(&path).unwrap();
    for cut in [0, 1, 63, 64, 65, 127, 128, 200, 319, 320] {
        fs::write(&path, &good[..cut]).unwrap();
        let keys = keys_under(folder.path());
        let fresh = keys.draw(hearing()).unwrap();
        drop(keys);
        assert_eq!(open(folder.path(), fresh.id()).unwrap().bytes(), fresh.bytes(), "cut at {cut}");
        for (i, id) in drawn.iter().enumerate() {
            assert_eq!(open(folder.path(), *id).is_ok(), 64 * (i + 2) <= cut, "cut at {cut}");
        }
    }
}

#[test]
fn a_file_of_a_newer_release_of_another_hearing_or_in_other_hands_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_under(folder.path());
    let id = keys.draw(hearing()).unwrap().id();
    let path = keys.path(hearing());
    let error = keys_under(folder.path()).draw(hearing()).unwrap_err();
    assert!(matches!(error, KeyError::AlreadyOpen { .. }), "{error}");
    drop(keys);
    let stranger = HearingId::new(uuid::Uuid::from_u128(9));
    fs::copy(&path, keys_under(folder.path()).path(stranger)).unwrap();
    let error = keys_under(folder.path()).get(stranger, id).unwrap_err();
    assert!(matches!(error, KeyError::Mismatch { .. }), "{error}");
    let mut newer = fs::read(&path).unwrap();
    newer[8] = 2;
    fs::write(&path, &newer).unwrap();
    let error = keys_under(folder.path()).draw(hearing()).unwrap_err();
    assert!(error.to_string().ends_with("has format version 2; this release reads up to 1: use a newer one"));
    assert_eq!(fs::read(&path).unwrap(), newer);
}

#[test]
fn only_the_owner_may_read_keys() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_under(&folder.path().join("keys"));
    keys.draw(hearing()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keys.path(hearing())), mode(&folder.path().join("keys"))), (0o600, 0o700));
}

#[test]
fn threads_share_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_under(folder.path());
    let drawn: Vec<KeyId> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..50).map(|_| keys.draw(hearing()).unwrap().id()).collect::<Vec<_>>()))
            .collect();
        hands.into_iter().flat_map(|hand| hand.join().unwrap()).collect()
    });
    assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 200);
    assert!(drawn.iter().all(|id| keys.get(hearing(), *id).is_ok()));
}
