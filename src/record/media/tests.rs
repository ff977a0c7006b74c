//! Journals as they are written and read again; what the other files of tests begin with.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use tempfile::TempDir;

use super::{
    Absence, MediaError, TailCut, journal_path,
    reader::{JournalReader, verify},
    service::Settings,
    writer::{JournalWriter, Opening},
};
use crate::{
    domain::{
        audio::{AudioFormat, Encoding},
        change::IntervalClass,
        fault::{Fault, FaultKind},
        id::{ChannelId, HearingId},
        time::{SamplePos, SampleRate, Span},
    },
    record::keys::{KeyStore, tests::keys_under},
};

mod channels;
mod damaged;
mod destroyed;
mod disk;
mod formats;
mod sealed;

fn opening(encoding: Encoding) -> Opening {
    Opening {
        hearing: HearingId::new(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        channel: ChannelId::new(1).unwrap(),
        format: AudioFormat { encoding, rate: SampleRate::try_from(8_000).unwrap() },
        acknowledged: SamplePos::ZERO,
        nonce_prefix: [7; 16],
        now: "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap(),
    }
}

/// The keys beside the folder of the hearing in which `path` lies; each store stands for a process.
fn keys_for(path: &Path) -> Arc<KeyStore> {
    keys_under(&path.parent().unwrap().with_file_name("keys"))
}

fn open(path: &Path, opening: &Opening) -> Result<(JournalWriter, Option<TailCut>), MediaError> {
    JournalWriter::open(path, opening, &keys_for(path))
}

fn reading(path: &Path) -> Result<JournalReader, MediaError> {
    JournalReader::open(path, &keys_for(path))
}

fn settings(folder: &Path) -> Settings {
    Settings::under(folder.to_owned(), keys_under(&folder.join("keys")))
}

fn bytes(first: u8, count: u8) -> Vec<u8> {
    (0..count).map(|i| first.wrapping_add(i.wrapping_mul(29))).collect()
}

fn pos(index: u64) -> SamplePos {
    SamplePos::new(index)
}

fn span(start: u64, end: u64) -> Span {
    Span::new(pos(start), pos(end)).unwrap()
}

/// A journal of a released version.
fn fixture(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format).join("ch01.vvj")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Two epochs, a gap, a sealed interval, closed at the end: every kind of frame.
fn small_journal(path: &Path) {
    let (mut writer, cut) = open(path, &opening(Encoding::PcmS16Le)).unwrap();
    assert!(cut.is_none());
    writer.append(pos(0), IntervalClass::Open, &bytes(1, 20)).unwrap();
    writer.sync().unwrap();
    writer.append(pos(10), IntervalClass::Open, &bytes(50, 16)).unwrap();
    writer.close().unwrap();
    let again = Opening { nonce_prefix: [9; 16], acknowledged: pos(18), ..opening(Encoding::PcmS16Le) };
    let (mut writer, cut) = open(path, &again).unwrap();
    assert!(cut.is_none());
    assert_eq!(writer.append(pos(25), IntervalClass::Sealed, &bytes(90, 12)).unwrap(), pos(31));
    assert_eq!(writer.close().unwrap(), pos(31));
}

fn fresh() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = journal_path(folder.path(), opening(Encoding::PcmS16Le).hearing, ChannelId::new(1).unwrap());
    (folder, path)
}

#[test]
fn samples_come_back_bit_for_bit_with_gaps_and_classes() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let pieces = reading(&path).unwrap().read_span(span(0, 100)).unwrap();
    let seen: Vec<_> = pieces.iter().map(|p| (p.span, p.class, p.bytes.clone())).collect();
    let first = [bytes(1, 20), bytes(50, 16)].concat();
    assert_eq!(
        seen,
        [(span(0, 18), IntervalClass::Open, first.clone()), (span(25, 31), IntervalClass::Sealed, bytes(90, 12))]
    );
    let part = reading(&path).unwrap().read_span(span(9, 11)).unwrap();
    assert_eq!((part.len(), part[0].span, part[0].bytes.clone()), (1, span(9, 11), first[18..22].to_vec()));
    assert!(reading(&path).unwrap().read_span(span(18, 25)).unwrap().is_empty());
}

#[test]
fn every_encoding_keeps_its_own_bytes() {
    for encoding in Encoding::ALL {
        let (_folder, path) = fresh();
        let (mut writer, _) = open(&path, &opening(encoding)).unwrap();
        writer.append(pos(0), IntervalClass::Open, &bytes(200, 48)).unwrap();
        let end = writer.sync().unwrap();
        assert_eq!(end.index(), 48 / encoding.bytes_per_sample() as u64);
        let mut reader = reading(&path).unwrap();
        assert_eq!(reader.header().format.encoding, encoding);
        assert_eq!(reader.read_span(span(0, 48)).unwrap()[0].bytes, bytes(200, 48));
    }
}

#[test]
fn what_must_not_be_stored_or_does_not_fit_is_refused_and_changes_nothing() {
    let (_folder, path) = fresh();
    let (mut writer, _) = open(&path, &opening(Encoding::PcmS24Le)).unwrap();
    writer.append(pos(0), IntervalClass::Open, &bytes(0, 30)).unwrap();
    let before = fs::read(&path).unwrap();
    let mut refused = |first, class, bytes: &[u8]| writer.append(pos(first), class, bytes).unwrap_err().kind();
    assert_eq!(refused(10, IntervalClass::OffRecord, &[0; 3]), FaultKind::Invalid);
    assert_eq!(refused(10, IntervalClass::Muted, &[0; 3]), FaultKind::Invalid);
    assert_eq!(refused(10, IntervalClass::Open, &[0; 4]), FaultKind::Invalid);
    assert_eq!(refused(10, IntervalClass::Open, &[]), FaultKind::Invalid);
    assert_eq!(refused(10, IntervalClass::Open, &vec![0; (1 << 20) + 2]), FaultKind::Invalid);
    assert_eq!(refused(9, IntervalClass::Open, &[0; 3]), FaultKind::Conflict);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn one_file_has_one_writer_and_belongs_to_one_channel() {
    let (_folder, path) = fresh();
    let (writer, _) = open(&path, &opening(Encoding::PcmS16Le)).unwrap();
    let error = open(&path, &opening(Encoding::PcmS16Le)).unwrap_err();
    assert!(matches!(error, MediaError::AlreadyOpen { .. }), "{error}");
    drop(writer);
    let error = open(&path, &opening(Encoding::ALaw)).unwrap_err();
    assert!(matches!(error, MediaError::Mismatch { .. }), "{error}");
}

#[test]
fn a_reader_follows_a_file_that_is_being_written() {
    let (_folder, path) = fresh();
    let (mut writer, _) = open(&path, &opening(Encoding::MuLaw)).unwrap();
    writer.append(pos(0), IntervalClass::Open, &bytes(0, 10)).unwrap();
    let mut reader = reading(&path).unwrap();
    assert_eq!(reader.end(), pos(10));
    writer.append(pos(10), IntervalClass::Open, &bytes(10, 10)).unwrap();
    assert_eq!(reader.read_span(span(5, 20)).unwrap()[0].span, span(5, 20));
}

#[test]
fn more_samples_than_one_frame_counts_are_skipped_too() {
    let (_folder, path) = fresh();
    let (mut writer, _) = open(&path, &opening(Encoding::MuLaw)).unwrap();
    let far = 3 * u64::from(u32::MAX);
    assert_eq!(writer.skip(pos(7), pos(far), Absence::Gap).unwrap(), pos(far));
    writer.append(pos(far), IntervalClass::Open, &bytes(1, 4)).unwrap();
    assert_eq!(writer.close().unwrap(), pos(far + 4));
    assert_eq!(verify(&path).unwrap().samples, 4);
}
