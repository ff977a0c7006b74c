//! Backups of folders that change meanwhile, and backups that something happened to.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use super::{
    AUDIO, BackupError, KEYS, KeysAt, RECORD,
    manifest::{KeyChoice, MANIFEST, Manifest, SEAL},
    restoring::restore,
    taking::{Copied, Taken, Taking, take, take_while},
    verifying::verify,
};
use crate::{
    domain::{
        change::{Change, EntrySeq, IntervalClass},
        fault::{Fault, FaultKind},
        id::ChannelId,
        time::{SamplePos, Span},
    },
    record::{
        entry::Entry,
        keys::{KeyStore, sealer::KeySealer, tests::keys_under},
        media::{
            format::head::FileHeader,
            journal_path,
            reader::{JournalReader, Piece},
            writer::{JournalWriter, Opening},
        },
        mounted::{Mounted, fill},
        store::{RecordStore, sqlite::SqliteStore, suite},
    },
};

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

/// The files that a verification names as damaged.
#[track_caller]
fn named(path: &Path) -> Vec<String> {
    match verify(path, &KeysAt::Backup, &under) {
        Err(error @ BackupError::Damaged { .. }) => {
            assert_eq!(error.kind(), FaultKind::DataLoss);
            let BackupError::Damaged { findings, .. } = &error else { unreachable!() };
            assert!(findings.iter().all(|f| error.to_string().contains(&f.file)), "{error}");
            findings.iter().map(|finding| finding.file.clone()).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Writes the manifest anew for what lies in a backup now, as somebody would who wants it to look whole.
fn forge(path: &Path, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::read(path).unwrap();
    for line in &mut manifest.files {
        let found = super::files::print(&path.join(&line.path)).unwrap();
        (line.bytes, line.sha256) = (found.bytes, found.sha256);
    }
    change(&mut manifest);
    fs::remove_file(path.join(MANIFEST)).unwrap();
    fs::remove_file(path.join(SEAL)).unwrap();
    manifest.write(path).unwrap();
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
fn any_flipped_bit_is_found_and_its_file_named() {
    let court = Court::in_session();
    let taken = court.taken();
    let files = taken.manifest.files.iter().map(|f| f.path.as_str()).chain([MANIFEST, SEAL]);
    let (mut flipped, mut kinds) = (0, 0);
    for file in files {
        let path = taken.path.join(file);
        let good = fs::read(&path).unwrap();
        kinds += 1;
        for at in (0..good.len()).step_by((good.len() / 40).max(1)) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, &bad).unwrap();
            let expected = if file == SEAL { MANIFEST } else { file };
            assert_eq!(named(&taken.path), [expected], "byte {at} of {file}");
            flipped += 1;
        }
        let to = court.folder.path().join("restored");
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(restore(&taken.path, &to, &KeysAt::Backup, &under).is_err() && !to.exists(), "{file}");
        fs::write(&path, &good).unwrap();
    }
    assert!(kinds == 6 && flipped > 200, "{kinds} {flipped}");
    verify(&taken.path, &KeysAt::Backup, &under).unwrap();
}

#[test]
fn what_is_missing_or_does_not_belong_is_named() {
    let court = Court::in_session();
    let taken = court.taken();
    for line in &taken.manifest.files {
        let (path, aside) = (taken.path.join(&line.path), court.folder.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        assert_eq!(named(&taken.path), [line.path.as_str()]);
        fs::rename(&aside, &path).unwrap();
    }
    fs::write(taken.path.join("audio/notes.txt"), "x").unwrap();
    assert_eq!(named(&taken.path), ["audio/notes.txt"]);
    fs::remove_file(taken.path.join("audio/notes.txt")).unwrap();
    for file in [MANIFEST, SEAL] {
        let (path, aside) = (taken.path.join(file), court.folder.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let error = verify(&taken.path, &KeysAt::Backup, &under).unwrap_err();
        assert!(matches!(error, BackupError::NotWhole { .. }), "{error}");
        fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn a_manifest_written_anew_does_not_make_a_damaged_backup_whole() {
    let court = Court::in_session();
    let path = court.taken().path;
    let journal = journal_path(&path.join(AUDIO), suite::hearing(HEARING), ChannelId::new(1).unwrap());
    let name = journal.strip_prefix(&path).unwrap().to_str().unwrap().to_owned();
    let good = fs::read(&journal).unwrap();
    // A frame of it.
    let mut bad = good.clone();
    bad[20_000] ^= 4;
    fs::write(&journal, &bad).unwrap();
    forge(&path, |_| {});
    assert_eq!(named(&path), [name.as_str()]);
    // Whole frames, and fewer of them than the record says.
    let mut reader = crate::record::media::frames::FrameReader::new(std::io::Cursor::new(&good), &journal).unwrap();
    let mut whole = 0;
    for _ in 0..12 {
        let crate::record::media::frames::Step::Frame(header) = reader.step().unwrap() else { panic!() };
        whole += usize::try_from(header.frame_bytes()).unwrap();
    }
    fs::write(&journal, &good[..crate::record::media::format::HEADER_BYTES + whole]).unwrap();
    let verdict = crate::record::media::reader::verify(&journal).unwrap();
    forge(&path, |manifest| {
        let channel = &mut manifest.hearings[0].channels[0];
        (channel.end, channel.chain) = (Some(verdict.end), Some(crate::domain::engine::Sha256Hash::new(verdict.chain)));
    });
    let error = verify(&path, &KeysAt::Backup, &under).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("and the record says 32000"), "{error}");
    // The journal of another channel.
    fs::write(&journal, &good).unwrap();
    let mut head = good.clone();
    let mut header = FileHeader::decode(&good[..72].try_into().unwrap()).unwrap();
    header.channel = ChannelId::new(3).unwrap();
    head[..72].copy_from_slice(&header.encode());
    fs::write(&journal, head).unwrap();
    forge(&path, |_| {});
    assert_eq!(named(&path), [name.as_str()]);
    // A key.
    fs::write(&journal, &good).unwrap();
    let keys = path.join(KEYS).join(format!("{}.vvk", suite::hearing(HEARING)));
    let mut slots = fs::read(&keys).unwrap();
    slots[64 + 24..64 + 56].fill(9);
    fs::write(&keys, &slots).unwrap();
    forge(&path, |manifest| {
        let channel = &mut manifest.hearings[0].channels[0];
        let whole = crate::record::media::reader::verify(&journal).unwrap();
        (channel.end, channel.chain) = (Some(whole.end), Some(crate::domain::engine::Sha256Hash::new(whole.chain)));
    });
    assert_eq!(named(&path), [name.as_str()]);
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
fn a_key_destroyed_while_it_is_copied_takes_nothing_else_with_it() {
    let mut court = Court::in_session();
    let taking = court.taking(KeyChoice::Included);
    let mut rounds = 0;
    let taken = take_while(&taking, &mut |copied| {
        if copied == Copied::Journals {
            rounds += 1;
            if rounds == 1 {
                // What shares a key with it is written again, behind what was copied.
                let span = Span::new(SamplePos::new(8_000), SamplePos::new(12_000)).unwrap();
                court.writers[0].destroy(span).unwrap();
                court
                    .runtime
                    .block_on(court.store.destroy_texts(suite::hearing(HEARING), vec![EntrySeq::new(3)]))
                    .unwrap();
            }
        }
    })
    .unwrap();
    assert_eq!(rounds, 2);
    verify(&taken.path, &KeysAt::Backup, &under).unwrap();
    let to = court.folder.path().join("restored");
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    let (audio, entries) = content(&to);
    let spans: Vec<_> = audio[0].iter().map(|p| (p.span.start().index(), p.span.end().index())).collect();
    assert_eq!(spans, [(0, 8_000), (12_000, 32_000)]);
    assert!(matches!(entries[2].change, Change::SegmentDestroyed {}));
}

#[test]
fn audio_under_an_order_is_not_copied_without_the_order() {
    let mut court = Court::in_session();
    let taking = court.taking(KeyChoice::Included);
    let mut rounds = 0;
    let taken = take_while(&taking, &mut |copied| {
        if copied == Copied::Record {
            rounds += 1;
            if rounds == 1 {
                let (channel, first) = (ChannelId::new(1).unwrap(), court.writers[0].next_sample());
                court.append(Change::IntervalBegan {
                    channel,
                    first_sample: first,
                    class: IntervalClass::Sealed,
                    end: None,
                    order: None,
                });
                court.writers[0].append(first, IntervalClass::Sealed, &[7; 3_200]).unwrap();
                court.writers[0].sync().unwrap();
            }
            court.speak(1);
        }
    })
    .unwrap();
    assert_eq!(rounds, 2);
    let to = court.folder.path().join("restored");
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    let (audio, entries) = content(&to);
    assert!(audio[0].iter().any(|piece| piece.class == IntervalClass::Sealed));
    assert!(matches!(entries[3].change, Change::IntervalBegan { class: IntervalClass::Sealed, .. }));
}

#[test]
fn orders_without_end_leave_no_backup() {
    let court = Court::in_session();
    let mut rounds = 0;
    let error = take_while(&court.taking(KeyChoice::Included), &mut |copied| {
        if copied == Copied::Record {
            rounds += 1;
            court.append(Change::IntervalBegan {
                channel: ChannelId::new(1).unwrap(),
                first_sample: SamplePos::new(rounds * 100_000),
                class: IntervalClass::Open,
                end: None,
                order: None,
            });
        }
    })
    .unwrap_err();
    assert!(matches!(error, BackupError::Unsettled), "{error}");
    assert_eq!(fs::read_dir(court.folder.path().join("backups")).unwrap().count(), 0);
}

#[test]
fn a_half_written_end_is_not_copied_and_damage_is_not_made_to_look_whole() {
    use std::io::Write as _;
    let court = Court::in_session();
    let journal = journal_path(&court.data().join(AUDIO), suite::hearing(HEARING), ChannelId::new(2).unwrap());
    let whole = fs::read(&journal).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(&whole[whole.len() - 9_000..whole.len() - 100]).unwrap();
    let taken = court.taken();
    let copied = taken.path.join(journal.strip_prefix(court.data()).unwrap());
    assert_eq!(fs::read(&copied).unwrap(), whole);
    fs::remove_dir_all(&taken.path).unwrap();
    let journal = journal.with_file_name("ch01.vvj");
    let whole = fs::read(&journal).unwrap();
    // In the middle, and at an end that only the record calls stored.
    for at in [5_000, whole.len() - 100] {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        fs::write(&journal, &bad).unwrap();
        let error = take(&court.taking(KeyChoice::Included)).unwrap_err();
        assert_eq!(error.kind(), FaultKind::DataLoss);
        assert!(error.to_string().contains(&journal.display().to_string()), "{error}");
    }
    assert_eq!(fs::read_dir(court.folder.path().join("backups")).unwrap().count(), 0);
}

#[test]
fn a_full_disk_leaves_nothing_behind_wherever_it_fills() {
    let court = Court::in_session();
    let Some(disk) = Mounted::small(&court.folder.path().join("disk"), "2m") else { return };
    let taking = Taking { into: disk.0.clone(), ..court.taking(KeyChoice::Included) };
    for full_after in [Copied::Record, Copied::Journals] {
        let mut filler = None;
        let error = take_while(&taking, &mut |copied| {
            if copied == full_after {
                filler = Some(fill(&disk.0));
            }
        })
        .unwrap_err();
        assert!(matches!(error, BackupError::Full { .. }), "{error:?}");
        assert_eq!(error.kind(), FaultKind::Unavailable);
        fs::remove_file(filler.unwrap()).unwrap();
        assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0);
    }
    let filler = fill(&disk.0);
    let error = take(&taking).unwrap_err();
    assert!(matches!(error, BackupError::NoRoom { free: 0, .. } | BackupError::Full { .. }), "{error:?}");
    fs::remove_file(filler).unwrap();
    let taken = take(&taking).unwrap();
    let to = disk.0.join("restored");
    let filler = fill(&disk.0);
    let error = restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap_err();
    assert!(matches!(error, BackupError::Full { .. }), "{error:?}");
    fs::remove_file(filler).unwrap();
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 1);
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    assert_eq!(content(&to).1.len(), 3);
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
fn a_backup_of_a_future_version_is_refused() {
    let court = Court::in_session();
    let path = court.taken().path;
    forge(&path, |manifest| manifest.version = 2);
    let error = verify(&path, &KeysAt::Backup, &under).unwrap_err();
    assert!(matches!(error, BackupError::NewerFormat { version: 2, .. }), "{error}");
    forge_out(&path);
    let error = verify(&path, &KeysAt::Backup, &under).unwrap_err();
    assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
}

/// A manifest that names a file outside of its folder.
fn forge_out(path: &Path) {
    let text = fs::read_to_string(path.join(MANIFEST)).unwrap().replace("\"version\": 2", "\"version\": 1");
    let text = text.replace(RECORD, "../../elsewhere");
    let digest = crate::models::digest::of_bytes(text.as_bytes()).sha256;
    fs::write(path.join(MANIFEST), text).unwrap();
    fs::write(path.join(SEAL), format!("{digest}  {MANIFEST}\n")).unwrap();
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
