//! Samples are sealed, with keys that cover little and nonces that never come twice.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::Cursor,
    path::Path,
};

use super::{bytes, fresh, keys_for, open, opening, pos, reading, runtime, small_journal, span};
use crate::{
    domain::{audio::Encoding, change::IntervalClass, time::Span},
    record::{
        keys::{KeyError, tests::keys_under},
        media::{
            Absence, MediaError,
            format::frame::{Epoch, FrameHeader, FrameKind},
            frames::{FrameReader, Step},
            reader::{Absent, JournalReader, verify},
            service::AudioJournal,
            writer::JournalWriter,
        },
        seal::{CipherId, KeyId},
    },
};

/// The frames of samples in a journal with what they are sealed under, as they are stored.
pub(super) fn sealed_frames(journal: &[u8]) -> Vec<(Epoch, FrameHeader, Vec<u8>)> {
    let mut frames = FrameReader::new(Cursor::new(journal), Path::new("x")).unwrap();
    let (mut epoch, mut found) = (None, Vec::new());
    while let Step::Frame(header) = frames.step().unwrap() {
        match header.kind {
            FrameKind::Epoch => epoch = Epoch::decode(frames.payload()),
            FrameKind::Audio | FrameKind::Restated => {
                found.push((epoch.unwrap(), header, frames.payload().to_vec()));
            }
            FrameKind::Skipped | FrameKind::Destroyed | FrameKind::Closed => {}
        }
    }
    found
}

#[test]
fn plain_samples_are_in_no_file() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(super::settings(folder.path())).unwrap();
        let (channel, _) = journal.open(opening(Encoding::PcmS16Le)).await.unwrap();
        let canary = b"a canary of sixteen bytes or more";
        let said = [canary.as_slice(), &[1]].concat().repeat(20);
        let end = channel.append(pos(0), IntervalClass::Open, said.clone()).await.unwrap();
        channel.sync().await.unwrap();
        assert!(!super::destroyed::anywhere(folder.path(), canary));
        let place = journal.place(opening(Encoding::PcmS16Le).hearing, opening(Encoding::PcmS16Le).channel);
        let mut reader = place.open().unwrap();
        assert_eq!(reader.header().cipher, CipherId::XCHACHA20_POLY1305);
        assert_eq!(reader.read_span(Span::new(pos(0), end).unwrap()).unwrap()[0].bytes, said);
        journal.stop().await;
        assert!(!super::destroyed::anywhere(folder.path(), canary));
    });
}

#[test]
fn a_key_seals_ten_seconds_of_one_class_at_most() {
    let (_folder, path) = fresh();
    let (mut writer, _) = open(&path, &opening(Encoding::MuLaw)).unwrap();
    // 8 kHz: a message of 25 s, one that fills the third key, and a class that changes after a second.
    writer.append(pos(0), IntervalClass::Open, &vec![1; 200_000]).unwrap();
    writer.append(pos(200_000), IntervalClass::Open, &vec![2; 40_000]).unwrap();
    writer.append(pos(240_000), IntervalClass::Open, &vec![3; 8_000]).unwrap();
    writer.append(pos(248_000), IntervalClass::Sealed, &vec![4; 8_000]).unwrap();
    writer.append(pos(256_000), IntervalClass::Open, &vec![5; 8_000]).unwrap();
    // After a pause the ten seconds are over too.
    writer.append(pos(400_000), IntervalClass::Open, &vec![6; 8_000]).unwrap();
    writer.close().unwrap();
    let mut keys: HashMap<KeyId, (HashSet<_>, u64, u64)> = HashMap::new();
    for (epoch, header, _) in sealed_frames(&fs::read(&path).unwrap()) {
        let (first, end) = (header.first_sample.index(), header.end_sample().index());
        let key = keys.entry(epoch.key).or_insert_with(|| (HashSet::new(), first, end));
        key.0.insert(header.class);
        key.2 = end;
    }
    assert!(keys.values().all(|(classes, first, end)| classes.len() == 1 && end - first <= 80_000), "{keys:?}");
    assert_eq!(keys.len(), 3 + 1 + 1 + 1 + 1);
    let pieces = reading(&path).unwrap().read_span(span(0, 500_000)).unwrap();
    let seen: Vec<_> = pieces.iter().map(|p| (p.span, p.class, p.bytes[0])).collect();
    let (open, sealed) = (IntervalClass::Open, IntervalClass::Sealed);
    assert_eq!(
        seen,
        [
            (span(0, 248_000), open, 1),
            (span(248_000, 256_000), sealed, 4),
            (span(256_000, 264_000), open, 5),
            (span(400_000, 408_000), open, 6)
        ]
    );
}

#[test]
fn no_key_meets_a_nonce_twice_however_often_a_tail_is_torn_and_written_again() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let mut seen: HashMap<(KeyId, [u8; 24]), Vec<u8>> = HashMap::new();
    for round in 0..6_u8 {
        let journal = fs::read(&path).unwrap();
        for (epoch, header, stored) in sealed_frames(&journal) {
            let nonce = epoch.nonce(header.sequence);
            // The same frame seen again is the same bytes; anything else under its nonce would give both away.
            let before = seen.insert((epoch.key, nonce), stored.clone());
            assert!(before.is_none_or(|before| before == stored), "round {round}");
        }
        // The tail goes, with the epoch of its writer every other time; then the same place is written with other samples.
        let keep = journal.len() - if round % 2 == 0 { 150 } else { 40 };
        fs::write(&path, &journal[..keep]).unwrap();
        let again = super::Opening { nonce_prefix: [3; 16], ..opening(Encoding::PcmS16Le) };
        let (mut writer, _) = open(&path, &again).unwrap();
        let next = writer.next_sample();
        writer.append(next, IntervalClass::Open, &bytes(round, 12)).unwrap();
        writer.sync().unwrap();
        writer.append(next.plus(6), IntervalClass::Sealed, &bytes(round, 12)).unwrap();
        writer.sync().unwrap();
    }
    assert!(seen.len() > 6, "{}", seen.len());
}

#[test]
fn without_its_keys_a_journal_verifies_and_gives_no_sample() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let keys = keys_for(&path);
    let hearing = opening(Encoding::PcmS16Le).hearing;
    let used: Vec<KeyId> = sealed_frames(&fs::read(&path).unwrap()).iter().map(|(epoch, _, _)| epoch.key).collect();
    let mut reader = reading(&path).unwrap();
    keys.destroy(hearing, &used[..1]).unwrap();
    assert!(verify(&path).unwrap().closed);
    assert_eq!(reader.read_span(span(0, 100)).unwrap().iter().map(|p| p.span).collect::<Vec<_>>(), [span(25, 31)]);
    let absent = [(span(0, 18), Absent::Destroyed), (span(18, 25), Absent::Gap)];
    assert_eq!(reader.absent(span(0, 100)).unwrap(), absent);
    let key_file = keys.path(hearing);
    fs::rename(&key_file, key_file.with_extension("away")).unwrap();
    let error = reading(&path).unwrap().read_span(span(25, 31)).unwrap_err();
    assert!(matches!(error, MediaError::Key(KeyError::Missing { .. })), "{error}");
    assert!(error.to_string().contains(&key_file.display().to_string()), "{error}");
}

#[test]
fn sealed_samples_do_not_open_elsewhere() {
    let (_folder, path) = fresh();
    let (mut writer, _) = open(&path, &opening(Encoding::MuLaw)).unwrap();
    writer.append(pos(0), IntervalClass::Open, &bytes(1, 10)).unwrap();
    writer.append(pos(10), IntervalClass::Open, &bytes(2, 10)).unwrap();
    writer.close().unwrap();
    let mut forged = fs::read(&path).unwrap();
    let (first, length) = (72 + 136, 44 + 26 + 36);
    // The payload of the second frame in place of that of the first, with good checksums.
    forged.copy_within(first + length + 44..first + length + 70, first + 44);
    let crc = crc32c::crc32c(&forged[first + 44..first + length - 4]);
    forged[first + length - 4..first + length].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &forged).unwrap();
    let error = reading(&path).unwrap().read_span(span(0, 10)).unwrap_err();
    assert!(error.to_string().contains("do not open with their key"), "{error}");
    assert_eq!(reading(&path).unwrap().read_span(span(10, 20)).unwrap()[0].bytes, bytes(2, 10));
}

#[test]
fn the_released_journal_of_version_2_is_read_for_ever() {
    let fixture = super::fixture("journal_v2");
    let keys = keys_under(&fixture.with_file_name("keys"));
    if !fixture.exists() {
        let (mut writer, _) = JournalWriter::open(&fixture, &opening(Encoding::PcmS16Le), &keys).unwrap();
        writer.append(pos(0), IntervalClass::Open, &bytes(1, 40)).unwrap();
        writer.append(pos(22), IntervalClass::Sealed, &bytes(60, 20)).unwrap();
        writer.skip(pos(32), pos(40), Absence::OffRecord).unwrap();
        writer.skip(pos(40), pos(45), Absence::Muted).unwrap();
        writer.destroy(span(5, 25)).unwrap();
        writer.append(pos(45), IntervalClass::Open, &bytes(90, 12)).unwrap();
        writer.close().unwrap();
        panic!("{} was missing and has been written: look at it and commit it", fixture.display());
    }
    let verdict = verify(&fixture).unwrap();
    assert_eq!((verdict.version, verdict.end, verdict.samples, verdict.closed), (2, pos(51), 36, true));
    let mut reader = JournalReader::open(&fixture, &keys).unwrap();
    let seen: Vec<_> = reader.read_span(span(0, 60)).unwrap().into_iter().map(|p| (p.span, p.class, p.bytes)).collect();
    let (open, sealed) = (IntervalClass::Open, IntervalClass::Sealed);
    assert_eq!(
        seen,
        [
            (span(0, 5), open, bytes(1, 40)[..10].to_vec()),
            (span(25, 32), sealed, bytes(60, 20)[6..].to_vec()),
            (span(45, 51), open, bytes(90, 12)),
        ]
    );
    let absent = [
        (span(5, 20), Absent::Destroyed),
        (span(20, 22), Absent::Gap),
        (span(22, 25), Absent::Destroyed),
        (span(32, 40), Absent::OffRecord),
        (span(40, 45), Absent::Muted),
    ];
    assert_eq!(reader.absent(span(0, 60)).unwrap(), absent);
}
