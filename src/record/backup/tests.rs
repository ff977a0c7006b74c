//! Backups that are taken, verified and come back; what the other files of tests begin with.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use super::{
    AUDIO, BackupError, KEYS, KeysAt, RECORD,
    manifest::{KeyChoice, MANIFEST},
    restoring::restore,
    taking::{Taken, Taking, take},
    verifying::verify,
};
use crate::{
    domain::{
        change::{Change, EntrySeq, IntervalClass},
        id::ChannelId,
        time::{SamplePos, Span},
    },
    record::{
        entry::Entry,
        keys::{KeyStore, sealer::KeySealer, tests::keys_under},
        media::{
            journal_path,
            reader::{JournalReader, Piece},
            writer::{JournalWriter, Opening},
        },
        store::{RecordStore, sqlite::SqliteStore, suite},
    },
};

mod damaged;
mod meanwhile;

const HEARING: u128 = 1;

/// A data folder and what writes it.
struct Court {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
    store: SqliteStore,
    keys: Arc<KeyStore>,
    writers: Vec<JournalWriter>,
}

impl Court {
    /// A hearing of two channels with some audio and one text, none of which is closed.
    fn in_session() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let keys = keys_under(&data.join(KEYS));
        let store = SqliteStore::open(&data.join(RECORD), Arc::new(KeySealer::new(Arc::clone(&keys)))).unwrap();
        let mut court = Self { folder, runtime, store, keys, writers: Vec::new() };
        court.append(suite::opened());
        for (number, hz) in [(1, 16_000), (2, 48_000)] {
            let opening = opening(number, hz);
            let path = journal_path(&court.data().join(AUDIO), opening.hearing, opening.channel);
            court.writers.push(JournalWriter::open(&path, &opening, &court.keys).unwrap().0);
        }
        court.speak(20);
        court.append(suite::stored(1, 0, court.writers[0].next_sample().index()));
        court.say(1, "the secretword was said");
        court
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn append(&self, change: Change) {
        self.runtime.block_on(self.store.append(suite::hearing(HEARING), change, suite::by("recorder"))).unwrap();
    }

    fn say(&self, id: u128, words: &str) {
        self.append(suite::committed(suite::segment(id, 1, 16_000, 0, words, None)));
    }

    /// Adds so many tenths of seconds of audio to each channel, all on disk.
    fn speak(&mut self, tenths: u64) {
        for (writer, hz) in self.writers.iter_mut().zip([1_600_u64, 4_800]) {
            for _ in 0..tenths {
                let first = writer.next_sample();
                let bytes: Vec<u8> = (0..2 * hz).map(|i| (first.index() + i * 7).to_le_bytes()[0]).collect();
                writer.append(first, IntervalClass::Open, &bytes).unwrap();
            }
            writer.sync().unwrap();
        }
    }

    fn taking(&self, keys: KeyChoice) -> Taking {
        let now = "2026-11-22T18:30:00Z".parse().unwrap();
        Taking { data: self.data(), into: self.folder.path().join("backups"), keys, now }
    }

    fn taken(&self) -> Taken {
        take(&self.taking(KeyChoice::Included)).unwrap()
    }
}

fn opening(number: u8, hz: u32) -> Opening {
    Opening {
        hearing: suite::hearing(HEARING),
        channel: ChannelId::new(number).unwrap(),
        format: suite::setup(number, "x", hz).format,
        acknowledged: SamplePos::ZERO,
        nonce_prefix: [number; 16],
        now: "2026-11-22T09:00:00Z".parse().unwrap(),
    }
}

fn under(folder: &Path) -> Arc<KeyStore> {
    keys_under(folder)
}

/// Every sample and every entry of a data folder.
fn content(data: &Path) -> (Vec<Vec<Piece>>, Vec<Entry>) {
    let keys = keys_under(&data.join(KEYS));
    let all = Span::new(SamplePos::ZERO, SamplePos::new(u64::MAX)).unwrap();
    let audio = [1, 2].map(|number| {
        let path = journal_path(&data.join(AUDIO), suite::hearing(HEARING), ChannelId::new(number).unwrap());
        JournalReader::open(&path, &keys).unwrap().read_span(all).unwrap()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let entries = runtime.block_on(async {
        let store = SqliteStore::open(&data.join(RECORD), Arc::new(KeySealer::new(keys))).unwrap();
        let entries = store.entries(suite::hearing(HEARING), EntrySeq::START, 1_000).await.unwrap();
        store.close().await.unwrap();
        entries
    });
    (audio.into(), entries)
}

#[test]
fn a_backup_is_verified_and_comes_back_bit_for_bit() {
    let court = Court::in_session();
    let taken = court.taken();
    assert_eq!(taken.path, court.folder.path().join("backups/2026-11-22T18-30-00Z"));
    let verified = verify(&taken.path, &KeysAt::Backup, &under).unwrap();
    assert!(verified.opened && verified.manifest == taken.manifest);
    let line = &taken.manifest.hearings[0];
    let ends: Vec<_> = line.channels.iter().map(|c| (c.recorded.index(), c.end.unwrap().index())).collect();
    assert_eq!((line.closed, ends), (false, vec![(32_000, 32_000), (0, 96_000)]));
    let to = court.folder.path().join("restored");
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    let (audio, entries) = content(&to);
    assert_eq!(audio.iter().flatten().map(|p| p.bytes.len()).collect::<Vec<_>>(), [64_000, 192_000]);
    assert!(
        matches!(&entries[2].change, Change::SegmentCommitted { segment } if segment.text().contains("secretword"))
    );
    let Court { folder, store, .. } = court;
    drop(store);
    assert_eq!(content(&folder.path().join("data")), (audio, entries));
    // Nothing that was said or named stands in the manifest.
    let manifest = fs::read_to_string(taken.path.join(MANIFEST)).unwrap();
    assert!(!["secretword", "secretreference", "judge"].iter().any(|word| manifest.contains(word)), "{manifest}");
}

#[test]
fn keys_are_left_out_kept_apart_or_destroyed() {
    let court = Court::in_session();
    let kept = court.data().join(KEYS);
    let taken = take(&court.taking(KeyChoice::LeftOut)).unwrap();
    assert!(!taken.path.join(KEYS).exists());
    assert!(!verify(&taken.path, &KeysAt::Backup, &under).unwrap().opened);
    let to = court.folder.path().join("restored");
    let error = restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap_err();
    assert!(matches!(error, BackupError::NoKeys { .. }) && !to.exists(), "{error}");
    assert!(verify(&taken.path, &KeysAt::Folder(kept.clone()), &under).unwrap().opened);
    restore(&taken.path, &to, &KeysAt::Folder(kept), &under).unwrap();
    let (audio, entries) = content(&to);
    assert_eq!((audio[0][0].bytes.len(), entries.len()), (64_000, 3));
    // Keys of nobody.
    let error = verify(&taken.path, &KeysAt::Folder(court.folder.path().join("none")), &under).unwrap_err();
    assert!(error.to_string().contains("there is no key"), "{error}");
    // Those of an older backup that were destroyed on purpose: all else stays verifiable.
    fs::remove_dir_all(&taken.path).unwrap();
    let taken = court.taken();
    fs::remove_dir_all(taken.path.join(KEYS)).unwrap();
    assert!(!verify(&taken.path, &KeysAt::Backup, &under).unwrap().opened);
}

#[test]
fn nothing_is_written_over_what_is_there() {
    let court = Court::in_session();
    let taken = court.taken();
    let error = take(&court.taking(KeyChoice::Included)).unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    let to = court.folder.path().join("to");
    fs::write(&to, "a file").unwrap();
    for _ in 0..2 {
        let error = restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap_err();
        assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
        let _was_a_file = fs::remove_file(&to);
        fs::create_dir_all(to.join("models")).unwrap();
    }
    fs::remove_dir(to.join("models")).unwrap();
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    let error = restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap_err();
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    let error = take(&Taking { data: taken.path.join(AUDIO), ..court.taking(KeyChoice::Included) }).unwrap_err();
    assert!(matches!(error, BackupError::NoRecord { .. }), "{error}");
}

#[test]
fn files_and_folders_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let court = Court::in_session();
    let taken = court.taken();
    let to = court.folder.path().join("restored");
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    for folder in [&taken.path, &to] {
        let mut paths = vec![folder.clone()];
        while let Some(path) = paths.pop() {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
            if path.is_dir() {
                paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }
}
