//! Damage, in a backup and in what it is taken of: it is found, named, and never made to look whole.

use std::{fs, path::Path};

use super::{Court, HEARING, under};
use crate::{
    domain::{
        engine::Sha256Hash,
        fault::{Fault, FaultKind},
        id::ChannelId,
    },
    models::digest,
    record::{
        backup::{
            AUDIO, BackupError, KEYS, KeysAt, RECORD, files,
            manifest::{KeyChoice, MANIFEST, Manifest, SEAL},
            restoring::restore,
            taking::take,
            verifying::verify,
        },
        media::{
            format::{HEADER_BYTES, head::FileHeader},
            frames::{FrameReader, Step},
            journal_path, reader,
        },
        store::suite,
    },
};

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
        let found = files::print(&path.join(&line.path)).unwrap();
        (line.bytes, line.sha256) = (found.bytes, found.sha256);
    }
    change(&mut manifest);
    fs::remove_file(path.join(MANIFEST)).unwrap();
    fs::remove_file(path.join(SEAL)).unwrap();
    manifest.write(path).unwrap();
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
    let mut frames = FrameReader::new(std::io::Cursor::new(&good), &journal).unwrap();
    let mut whole = 0;
    for _ in 0..12 {
        let Step::Frame(header) = frames.step().unwrap() else { panic!() };
        whole += usize::try_from(header.frame_bytes()).unwrap();
    }
    fs::write(&journal, &good[..HEADER_BYTES + whole]).unwrap();
    let verdict = reader::verify(&journal).unwrap();
    forge(&path, |manifest| {
        let channel = &mut manifest.hearings[0].channels[0];
        (channel.end, channel.chain) = (Some(verdict.end), Some(Sha256Hash::new(verdict.chain)));
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
        let whole = reader::verify(&journal).unwrap();
        (channel.end, channel.chain) = (Some(whole.end), Some(Sha256Hash::new(whole.chain)));
    });
    assert_eq!(named(&path), [name.as_str()]);
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
    let digest = digest::of_bytes(text.as_bytes()).sha256;
    fs::write(path.join(MANIFEST), text).unwrap();
    fs::write(path.join(SEAL), format!("{digest}  {MANIFEST}\n")).unwrap();
}
