//! Texts under keys of their own: nowhere plain, destroyed one by one.

use std::{fs, path::Path, sync::Arc};

use rusqlite::Connection;

use super::{as_json, fill, holds, runtime};
use crate::{
    domain::{
        change::{Change, EntrySeq},
        fault::{Fault, FaultKind},
    },
    record::{
        keys::{KeyStore, sealer::KeySealer, tests::keys_under},
        store::{Flaw, RecordError, RecordStore, sqlite::SqliteStore, suite},
    },
};

fn open(folder: &Path) -> (SqliteStore, Arc<KeyStore>) {
    let keys = keys_under(&folder.join("keys"));
    let sealer = Arc::new(KeySealer::new(Arc::clone(&keys)));
    (SqliteStore::open(&folder.join("record.db"), sealer).unwrap(), keys)
}

async fn all(store: &SqliteStore) -> Vec<Change> {
    let entries = store.entries(suite::hearing(1), EntrySeq::START, 99).await.unwrap();
    entries.into_iter().map(|entry| entry.change).collect()
}

async fn say(store: &SqliteStore, id: u128, words: &str) -> EntrySeq {
    let text = suite::committed(suite::segment(id, 1, 16_000, 0, words, None));
    store.append(suite::hearing(1), text, suite::by("recorder-1")).await.unwrap().seq
}

/// Slots of the key file whose key was destroyed.
fn destroyed_slots(keys: &KeyStore) -> usize {
    let file = fs::read(keys.path(suite::hearing(1))).unwrap();
    file[64..].chunks(64).filter(|slot| slot[0] == 2 && slot[24..56].iter().all(|b| *b == 0)).count()
}

#[test]
fn a_store_that_seals_keeps_the_contract_too() {
    let folders = std::sync::Mutex::new(Vec::new());
    runtime().block_on(suite::record_store_suite(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).0;
        folders.lock().unwrap().push(folder);
        store
    }));
}

#[test]
fn what_was_said_is_in_no_file_of_the_record() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (store, _) = open(folder.path());
        fill(&store).await;
        let check = || {
            assert!(!holds(folder.path(), "secretword") && !holds(folder.path(), "lowest_score"));
            assert!(holds(folder.path(), "recorder-1"));
        };
        check();
        assert_eq!(all(&store).await.len(), 3);
        store.close().await.unwrap();
        check();
    });
}

#[test]
fn a_destroyed_text_is_gone_its_entry_stays_and_all_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (store, keys) = open(folder.path());
        fill(&store).await;
        let (gone, kept) = (say(&store, 2, "to be destroyed").await, say(&store, 3, "to be kept").await);
        let before = all(&store).await;
        store.destroy_texts(suite::hearing(1), vec![gone]).await.unwrap();
        store.destroy_texts(suite::hearing(1), vec![gone]).await.unwrap();
        assert_eq!(destroyed_slots(&keys), 1);
        let mut wanted = before.clone();
        wanted[usize::try_from(gone.number()).unwrap() - 1] = Change::SegmentDestroyed {};
        assert_eq!(all(&store).await, wanted);
        store.close().await.unwrap();
        drop((store, keys));
        let (store, _) = open(folder.path());
        assert_eq!(all(&store).await, wanted);
        let entries = store.entries(suite::hearing(1), EntrySeq::new(gone.number() - 1), 1).await.unwrap();
        assert_eq!((entries[0].seq, &entries[0].by), (gone, &suite::by("recorder-1")));
        store.destroy_texts(suite::hearing(1), vec![EntrySeq::new(3), kept]).await.unwrap();
        let left = all(&store).await;
        assert_eq!(left.iter().filter(|change| **change == Change::SegmentDestroyed {}).count(), 3);
    });
}

#[test]
fn what_is_proposed_is_sealed_and_destroyed_as_a_text_is() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (store, keys) = open(folder.path());
        fill(&store).await;
        let better = suite::proposed(&[1], suite::segment(9, 1, 16_000, 0, "the bettersecret was said", None));
        for change in [Change::HearingClosed {}, better.clone()] {
            store.append(suite::hearing(1), change, suite::by("a")).await.unwrap();
        }
        assert!(!holds(folder.path(), "bettersecret"));
        assert_eq!(all(&store).await[4], better);
        store.destroy_texts(suite::hearing(1), vec![EntrySeq::new(5)]).await.unwrap();
        assert_eq!((destroyed_slots(&keys), &all(&store).await[4]), (1, &Change::SegmentDestroyed {}));
    });
}

#[test]
fn only_texts_are_destroyed_and_all_of_them_or_none() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (store, keys) = open(folder.path());
        fill(&store).await;
        let text = EntrySeq::new(3);
        for other in [1, 2, 4, 0] {
            let order = vec![text, EntrySeq::new(other)];
            let error = store.destroy_texts(suite::hearing(1), order).await.unwrap_err();
            assert!(matches!(error, RecordError::NoText { seq, .. } if seq.number() == other), "{error}");
        }
        let error = store.destroy_texts(suite::hearing(9), vec![text]).await.unwrap_err();
        assert!(matches!(error, RecordError::HearingUnknown { .. }), "{error}");
        assert_eq!(destroyed_slots(&keys), 0);
        let order = store.append(suite::hearing(1), Change::SegmentDestroyed {}, suite::by("a")).await.unwrap_err();
        assert!(matches!(order, RecordError::Invalid { flaw: Flaw::OnlyRead, .. }), "{order}");
    });
}

#[test]
fn a_plain_text_of_an_earlier_release_is_read_and_cannot_be_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(super::data("record.db"), folder.path().join("record.db")).unwrap();
    runtime().block_on(async {
        let (store, _) = open(folder.path());
        let entries = store.entries(suite::hearing(1), EntrySeq::START, 99).await.unwrap();
        let expected = fs::read_to_string(super::data("entries.json")).unwrap();
        assert_eq!(as_json(&entries), serde_json::from_str::<serde_json::Value>(&expected).unwrap());
        let error = store.destroy_texts(suite::hearing(1), vec![EntrySeq::new(3)]).await.unwrap_err();
        assert!(matches!(error, RecordError::PlainText { .. }), "{error}");
    });
}

#[test]
fn the_key_of_a_text_that_did_not_come_into_the_record_is_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (store, keys) = open(folder.path());
        fill(&store).await;
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'no'); END;";
        let raw = Connection::open(folder.path().join("record.db")).unwrap();
        raw.execute_batch(refuse).unwrap();
        let text = suite::committed(suite::segment(2, 1, 16_000, 0, "never was", None));
        let error = store.append(suite::hearing(1), text, suite::by("a")).await.unwrap_err();
        assert!(matches!(error, RecordError::Database { .. }), "{error}");
        assert_eq!(destroyed_slots(&keys), 1);
        raw.execute_batch("DROP TRIGGER refuse").unwrap();
        assert_eq!(say(&store, 2, "is now").await, EntrySeq::new(4));
        assert_eq!(destroyed_slots(&keys), 1);
    });
}

#[test]
fn a_lost_or_damaged_file_of_keys_is_told_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (store, keys) = open(folder.path());
        fill(&store).await;
        let path = keys.path(suite::hearing(1));
        let mut bytes = fs::read(&path).unwrap();
        bytes[64 + 30] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = store.entries(suite::hearing(1), EntrySeq::new(2), 9).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::DataLoss);
        let RecordError::Seal { source, .. } = &error else { panic!("{error}") };
        assert!(source.to_string().contains(&path.display().to_string()), "{source}");
        assert_eq!(store.entries(suite::hearing(1), EntrySeq::START, 2).await.unwrap().len(), 2);
    });
}

#[test]
fn the_first_sealed_record_is_read_for_ever() {
    let data = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store_sealed_v1").join(name);
    runtime().block_on(async {
        if !data("record.db").exists() {
            fs::create_dir_all(data("")).unwrap();
            let (store, _) = open(&data(""));
            fill(&store).await;
            let gone = say(&store, 2, "to be destroyed").await;
            say(&store, 3, "to be kept").await;
            store.destroy_texts(suite::hearing(1), vec![gone]).await.unwrap();
            let entries = store.entries(suite::hearing(1), EntrySeq::START, 99).await.unwrap();
            fs::write(data("entries.json"), serde_json::to_string_pretty(&as_json(&entries)).unwrap() + "\n").unwrap();
            store.close().await.unwrap();
            panic!("{} was missing and has been written: look at it and commit it", data("").display());
        }
        let folder = tempfile::tempdir().unwrap();
        fs::copy(data("record.db"), folder.path().join("record.db")).unwrap();
        let sealer = Arc::new(KeySealer::new(keys_under(&data("keys"))));
        let store = SqliteStore::open(&folder.path().join("record.db"), sealer).unwrap();
        let entries = store.entries(suite::hearing(1), EntrySeq::START, 99).await.unwrap();
        let expected = fs::read_to_string(data("entries.json")).unwrap();
        assert_eq!(as_json(&entries), serde_json::from_str::<serde_json::Value>(&expected).unwrap());
        assert_eq!(entries[3].change, Change::SegmentDestroyed {});
    });
}
