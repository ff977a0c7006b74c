//! The SQLite store against the conformance suite.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::{RecordError, RecordStore, sqlite::SqliteStore, suite};
use crate::{
    domain::{
        change::{Change, EntrySeq},
        fault::{Fault, FaultKind},
        id::HearingId,
    },
    record::{
        entry::Entry,
        seal::{CipherId, KeyId, NullSealer, SealContext, SealError, Sealed, Sealer},
    },
};

mod sealed;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn open(path: &Path) -> Result<SqliteStore, RecordError> {
    SqliteStore::open(path, Arc::new(NullSealer))
}

#[test]
fn sqlite_keeps_the_contract_of_a_record_store() {
    let folders = Mutex::new(Vec::new());
    runtime().block_on(suite::record_store_suite(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("record.db")).unwrap();
        folders.lock().unwrap().push(folder);
        store
    }));
}

/// A cipher for this test alone: a key stream of SHA-256 and a tag over the place.
#[derive(Debug)]
struct TestCipher;

impl TestCipher {
    fn crypt(context: &SealContext<'_>, bytes: &[u8]) -> Vec<u8> {
        let block =
            |i: usize| Sha256::new().chain_update(context.associated_data()).chain_update(i.to_le_bytes()).finalize();
        let blocks = bytes.chunks(32).enumerate();
        blocks.flat_map(|(i, chunk)| chunk.iter().zip(block(i)).map(|(a, b)| a ^ b).collect::<Vec<_>>()).collect()
    }

    fn tag(context: &SealContext<'_>, bytes: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(context.associated_data()).chain_update(bytes).finalize().into()
    }
}

impl Sealer for TestCipher {
    fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> Result<Sealed, SealError> {
        let bytes = [Self::tag(context, plain).to_vec(), Self::crypt(context, plain)].concat();
        Ok(Sealed { cipher: CipherId::new(77), key: KeyId::new([1; 16]), nonce: vec![2; 24], bytes })
    }

    fn open(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        assert_eq!((sealed.cipher, sealed.key, sealed.nonce.len()), (CipherId::new(77), KeyId::new([1; 16]), 24));
        let (tag, rest) = sealed.bytes.split_at(32);
        let plain = Self::crypt(context, rest);
        if Self::tag(context, &plain) == tag { Ok(plain) } else { Err(SealError::Forged { seq: context.seq }) }
    }

    fn destroy(&self, _hearing: HearingId, _keys: &[KeyId]) -> Result<(), SealError> {
        Ok(())
    }
}

async fn fill(store: &SqliteStore) {
    let text = suite::committed(suite::segment(1, 1, 16_000, 0, "the secretword was said", Some(1)));
    for change in [suite::opened(), suite::stored(1, 0, 64_000), text] {
        store.append(suite::hearing(1), change, suite::by("recorder-1")).await.unwrap();
    }
}

fn holds(folder: &Path, needle: &str) -> bool {
    let paths = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    let files = paths.filter(|path| path.is_file()).map(|path| fs::read(path).unwrap());
    files.into_iter().any(|bytes| bytes.windows(needle.len()).any(|w| w == needle.as_bytes()))
}

#[test]
fn with_a_cipher_no_plain_text_lies_in_any_file_of_the_record() {
    for (sealer, visible) in [(Arc::new(TestCipher) as Arc<dyn Sealer>, false), (Arc::new(NullSealer), true)] {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("record.db"), sealer).unwrap();
        runtime().block_on(async {
            fill(&store).await;
            let check = || {
                for needle in ["secretword", "secretreference", "judge", "witness"] {
                    assert_eq!(holds(folder.path(), needle), visible, "{needle}");
                }
                assert!(holds(folder.path(), "recorder-1"));
            };
            check();
            assert_eq!(store.entries(suite::hearing(1), EntrySeq::START, 9).await.unwrap().len(), 3);
            store.close().await.unwrap();
            check();
        });
    }
}

#[test]
fn a_sealed_payload_moved_to_another_row_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    runtime().block_on(async {
        let store = SqliteStore::open(&path, Arc::new(TestCipher)).unwrap();
        fill(&store).await;
        store.close().await.unwrap();
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch("DROP TRIGGER entry_is_never_updated; UPDATE entry SET seq = 9 WHERE seq = 3; UPDATE entry SET seq = 3 WHERE seq = 2; UPDATE entry SET seq = 2 WHERE seq = 9;").unwrap();
        drop(raw);
        let store = SqliteStore::open(&path, Arc::new(TestCipher)).unwrap();
        let error = store.entries(suite::hearing(1), EntrySeq::new(1), 9).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::DataLoss);
        let other = SqliteStore::open(&path, Arc::new(NullSealer)).unwrap();
        assert_eq!(other.hearing(suite::hearing(1)).await.unwrap_err().kind(), FaultKind::Unimplemented);
    });
}

#[test]
fn the_database_itself_refuses_to_change_or_delete_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    runtime().block_on(async { fill(&open(&path).unwrap()).await });
    let raw = Connection::open(&path).unwrap();
    for sql in ["UPDATE entry SET actor = 'x'", "DELETE FROM entry", "UPDATE entry SET payload = x'00' WHERE seq = 1"] {
        assert!(raw.execute(sql, []).unwrap_err().to_string().contains("append-only"), "{sql}");
    }
}

#[test]
fn a_missing_row_is_damage_and_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    runtime().block_on(async {
        let store = open(&path).unwrap();
        fill(&store).await;
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch("DROP TRIGGER entry_is_never_deleted; DELETE FROM entry WHERE seq = 2").unwrap();
        let error = store.entries(suite::hearing(1), EntrySeq::START, 9).await.unwrap_err();
        assert!(matches!(error, RecordError::Damaged { part: "row", seq, .. } if seq == EntrySeq::new(2)), "{error}");
    });
}

#[test]
fn a_record_goes_on_after_it_was_opened_again_with_its_rules() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    runtime().block_on(async {
        let store = open(&path).unwrap();
        fill(&store).await;
        store.close().await.unwrap();
        let store = open(&path).unwrap();
        let error =
            store.append(suite::hearing(1), suite::stored(1, 63_999, 70_000), suite::by("a")).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::Conflict);
        let receipt = store.append(suite::hearing(1), Change::HearingClosed {}, suite::by("a")).await.unwrap();
        assert_eq!(receipt.seq, EntrySeq::new(4));
        store.close().await.unwrap();
        let store = open(&path).unwrap();
        let late = suite::committed(suite::segment(2, 1, 16_000, 32_000, "late words", None));
        assert_eq!(store.append(suite::hearing(1), late, suite::by("a")).await.unwrap().seq, EntrySeq::new(5));
        let (span, class) = (suite::span(0, 9_000), crate::domain::change::IntervalClass::Muted);
        let gone = Change::AudioDestroyed { channel: suite::channel(1), span, class };
        store.append(suite::hearing(1), gone, suite::by("a")).await.unwrap();
        store.close().await.unwrap();
        let store = open(&path).unwrap();
        let on_it = suite::proposed(&[1], suite::segment(3, 1, 16_000, 0, "the second", None));
        let error = store.append(suite::hearing(1), on_it, suite::by("a")).await.unwrap_err();
        assert!(error.to_string().contains("were destroyed"), "{error}");
        assert!(store.append(suite::hearing(1), Change::HearingClosed {}, suite::by("a")).await.is_err());
    });
}

#[test]
fn a_database_of_a_newer_release_or_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    runtime().block_on(async {
        let store = open(&path).unwrap();
        store.close().await.unwrap();
    });
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 2).unwrap();
    drop(raw);
    let before = fs::read(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(error.to_string().ends_with("has schema version 2; this release knows 1: use a newer one"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(open(&foreign), Err(RecordError::Foreign { .. })));
    let text = folder.path().join("text.db");
    fs::write(&text, "not a database at all, whatever its name may say ".repeat(99)).unwrap();
    assert!(matches!(open(&text), Err(RecordError::Open { .. })));
}

#[test]
fn a_place_that_cannot_be_written_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("record.db");
    let error = open(&path).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    assert_eq!(error.kind(), FaultKind::Unavailable);
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    // The administrator may write everywhere; then there is nothing to see here.
    if fs::write(folder.path().join("probe"), b"").is_err() {
        assert_eq!(open(&folder.path().join("record.db")).unwrap_err().kind(), FaultKind::Unavailable);
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store_v1").join(name)
}

fn as_json(entries: &[Entry]) -> serde_json::Value {
    let one = |e: &Entry| serde_json::json!({ "seq": e.seq, "change": e.change, "by": e.by });
    serde_json::Value::Array(entries.iter().map(one).collect())
}

async fn write_fixture() {
    fs::create_dir_all(data("")).unwrap();
    let store = open(&data("record.db")).unwrap();
    fill(&store).await;
    let late = suite::committed(suite::segment(2, 1, 16_000, 32_000, "late words", None));
    for change in [Change::HearingClosed {}, late] {
        store.append(suite::hearing(1), change, suite::by("recorder-1")).await.unwrap();
    }
    let entries = store.entries(suite::hearing(1), EntrySeq::START, 99).await.unwrap();
    fs::write(data("entries.json"), serde_json::to_string_pretty(&as_json(&entries)).unwrap() + "\n").unwrap();
    store.close().await.unwrap();
}

#[test]
fn the_released_record_of_version_1_is_read_for_ever() {
    runtime().block_on(async {
        if !data("record.db").exists() {
            write_fixture().await;
            panic!("{} was missing and has been written: look at it and commit it", data("").display());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.db");
        fs::copy(data("record.db"), &path).unwrap();
        let store = open(&path).unwrap();
        let entries = store.entries(suite::hearing(1), EntrySeq::START, 99).await.unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(data("entries.json")).unwrap()).unwrap();
        assert_eq!(as_json(&entries), expected);
        assert!(store.hearing(suite::hearing(1)).await.unwrap().closed_at.is_some());
    });
}
