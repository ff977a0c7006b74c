//! Journals whole, torn and altered.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tempfile::TempDir;

use super::{
    Absence, MediaError, TailCut,
    format::{
        Damage, FORMAT_VERSION,
        frame::{Epoch, FrameHeader, FrameKind},
        head::FileHeader,
    },
    frames::{FrameReader, Step, Verdict},
    journal_path,
    reader::{JournalReader, verify},
    service::{AudioJournal, Settings},
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

mod destroyed;
mod disk;
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

fn judge(bytes: &[u8]) -> Result<Verdict, MediaError> {
    FrameReader::new(Cursor::new(bytes), Path::new("ch01.vvj"))?.verify()
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
fn one_flipped_bit_anywhere_is_found() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let good = fs::read(&path).unwrap();
    let whole = judge(&good).unwrap();
    assert_eq!((whole.tail_bytes, whole.closed, whole.samples, whole.epochs), (0, true, 24, 2));
    let last_frame = good.len() - 80;
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            match judge(&bad) {
                Err(error) => {
                    assert!(matches!(error.kind(), FaultKind::DataLoss | FaultKind::Unimplemented), "{error}")
                }
                // Nothing follows the last frame that could call it synced; it holds no sample.
                Ok(verdict) => {
                    assert!(at >= last_frame && verdict.tail_bytes == 80 && !verdict.closed, "byte {at} bit {bit}");
                    assert_eq!(verdict.end, whole.end);
                }
            }
        }
    }
}

#[test]
fn damage_names_file_frame_and_offset_and_leaves_the_file_alone() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let mut bad = fs::read(&path).unwrap();
    let second_frame = 72 + 80 + 56;
    bad[second_frame + 50] ^= 4;
    fs::write(&path, &bad).unwrap();
    let error = open(&path, &opening(Encoding::PcmS16Le)).unwrap_err();
    assert!(
        matches!(&error, MediaError::Damaged { frame: 1, offset, damage: Damage::PayloadChecksum, .. } if *offset == second_frame as u64),
        "{error}"
    );
    assert!(error.to_string().contains("ch01.vvj is damaged at frame 1"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bad);
    assert!(reading(&path).unwrap().read_span(span(0, 5)).is_err());
}

#[test]
fn a_file_cut_anywhere_keeps_every_whole_frame_and_tells_of_the_tail() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let good = fs::read(&path).unwrap();
    let ends = frame_ends(&good);
    for cut_at in 72..=good.len() {
        let verdict = judge(&good[..cut_at]).unwrap();
        let (kept, next) = ends.iter().rfind(|(end, _)| *end <= cut_at).copied().unwrap();
        let seen = (verdict.bytes, verdict.tail_bytes, verdict.end);
        assert_eq!(seen, (kept as u64, (cut_at - kept) as u64, pos(next)), "cut at {cut_at}");
    }
    // With the disk, at the places where something changes: a sync costs milliseconds.
    let edges = ends.iter().flat_map(|(end, _)| [end - 1, *end, end + 1, end + 44]);
    for cut_at in [0, 1].into_iter().chain(edges).filter(|at| *at <= good.len()) {
        let (_folder, path) = fresh();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &good[..cut_at]).unwrap();
        let (writer, cut) = open(&path, &opening(Encoding::PcmS16Le)).unwrap();
        let (kept, next) = ends.iter().rfind(|(end, _)| *end <= cut_at).copied().unwrap_or((0, 0));
        match cut {
            None => assert!(kept == cut_at, "cut at {cut_at}"),
            Some(cut) => {
                let seen = (cut.offset, cut.bytes, cut.after);
                assert_eq!(seen, (kept as u64, (cut_at - kept) as u64, pos(next)), "cut at {cut_at}");
            }
        }
        assert_eq!(writer.next_sample(), pos(next));
        drop(writer);
        let after = fs::read(&path).unwrap();
        assert_eq!(after[..kept], good[..kept]);
        assert_eq!(last_epoch(&after).cut_bytes, (cut_at - kept) as u64);
        assert_eq!(verify(&path).unwrap().tail_bytes, 0);
    }
}

/// Where each frame ends, with the sample that follows it; first the header.
fn frame_ends(journal: &[u8]) -> Vec<(usize, u64)> {
    let mut frames = FrameReader::new(Cursor::new(journal), Path::new("x")).unwrap();
    let mut ends = vec![(72, 0)];
    while let Step::Frame(header) = frames.step().unwrap() {
        let (end, _) = ends[ends.len() - 1];
        ends.push((end + usize::try_from(header.frame_bytes()).unwrap(), header.end_sample().index()));
    }
    ends
}

fn last_epoch(journal: &[u8]) -> Epoch {
    let mut frames = FrameReader::new(Cursor::new(journal), Path::new("x")).unwrap();
    let mut epoch = None;
    while let Step::Frame(header) = frames.step().unwrap() {
        if header.kind == FrameKind::Epoch {
            epoch = Epoch::decode(frames.payload());
        }
    }
    epoch.unwrap()
}

#[test]
fn a_tail_of_zeros_or_noise_that_was_never_synced_is_cut() {
    for garbage in [vec![0; 500], bytes(3, 200), b"VVF1VVF1VVF1".repeat(20)] {
        let (_folder, path) = fresh();
        let (mut writer, _) = open(&path, &opening(Encoding::PcmS16Le)).unwrap();
        writer.append(pos(0), IntervalClass::Open, &bytes(1, 20)).unwrap();
        writer.sync().unwrap();
        drop(writer);
        let mut torn = fs::read(&path).unwrap();
        let kept = torn.len() as u64;
        torn.extend_from_slice(&garbage);
        fs::write(&path, &torn).unwrap();
        let (_, cut) = open(&path, &opening(Encoding::PcmS16Le)).unwrap();
        let cut = cut.unwrap();
        assert_eq!((cut.offset, cut.bytes, cut.after), (kept, garbage.len() as u64, pos(10)));
    }
}

#[test]
fn damage_is_told_from_a_torn_tail_by_what_a_later_frame_calls_synced() {
    for (synced, kind) in [(false, None), (true, Some(FaultKind::DataLoss))] {
        let (_folder, path) = fresh();
        let (mut writer, _) = open(&path, &opening(Encoding::PcmS16Le)).unwrap();
        for first in [0, 10, 20] {
            writer.append(pos(first), IntervalClass::Open, &bytes(1, 20)).unwrap();
            if synced {
                writer.sync().unwrap();
            }
        }
        drop(writer);
        let mut torn = fs::read(&path).unwrap();
        let second_audio = frame_ends(&torn)[2].0;
        torn[second_audio + 60..second_audio + 70].fill(0);
        fs::write(&path, &torn).unwrap();
        let opened = open(&path, &opening(Encoding::PcmS16Le));
        assert_eq!(opened.as_ref().err().map(Fault::kind), kind);
        if let Ok((writer, cut)) = opened {
            assert_eq!((writer.next_sample(), cut.map(|c| c.after)), (pos(10), Some(pos(10))));
        }
    }
}

#[test]
fn a_journal_that_ends_before_what_was_acknowledged_is_refused_uncut() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let short = fs::read(&path).unwrap()[..330].to_vec();
    fs::write(&path, &short).unwrap();
    let told = Opening { acknowledged: pos(18), ..opening(Encoding::PcmS16Le) };
    let error = open(&path, &told).unwrap_err();
    assert!(matches!(error, MediaError::AcknowledgedLost { .. }), "{error}");
    assert_eq!(error.kind(), FaultKind::DataLoss);
    assert_eq!(fs::read(&path).unwrap(), short);
    fs::remove_file(&path).unwrap();
    assert_eq!(open(&path, &told).unwrap_err().kind(), FaultKind::DataLoss);
}

#[test]
fn a_tail_written_again_stands_under_a_new_nonce_prefix() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let again = Opening { nonce_prefix: [42; 16], ..opening(Encoding::PcmS16Le) };
    let (mut writer, cut) = open(&path, &again).unwrap();
    assert!(cut.is_some());
    writer.append(pos(25), IntervalClass::Open, &bytes(91, 12)).unwrap();
    writer.sync().unwrap();
    let epoch = last_epoch(&fs::read(&path).unwrap());
    assert_eq!((epoch.nonce_prefix, epoch.number), ([42; 16], 2));
}

#[test]
fn frames_put_together_anew_with_good_checksums_break_the_chain() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let mut forged = fs::read(&path).unwrap();
    let ends = frame_ends(&forged);
    let (start, end) = (ends[1].0, ends[2].0);
    forged[start + 44] ^= 1;
    let crc = crc32c::crc32c(&forged[start + 44..end - 4]);
    forged[end - 4..end].copy_from_slice(&crc.to_le_bytes());
    let error = judge(&forged).unwrap_err();
    assert!(matches!(error, MediaError::Damaged { damage: Damage::Chain, frame: 1, .. }), "{error}");
    let missing = [&fs::read(&path).unwrap()[..start], &forged[end..]].concat();
    let error = judge(&missing).unwrap_err();
    assert!(matches!(error, MediaError::Damaged { damage: Damage::Sequence, .. }), "{error}");
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
fn a_newer_format_is_refused_with_a_plain_message() {
    let (_folder, path) = fresh();
    small_journal(&path);
    let mut newer = fs::read(&path).unwrap();
    newer[8] = 3;
    fs::write(&path, &newer).unwrap();
    let error = verify(&path).unwrap_err();
    assert!(
        error.to_string().ends_with("has format version 3; this release reads up to 2: use a newer one"),
        "{error}"
    );
    assert!(open(&path, &opening(Encoding::PcmS16Le)).is_err());
    assert_eq!(fs::read(&path).unwrap(), newer);
}

#[test]
fn a_place_that_cannot_be_written_is_a_typed_error_that_names_it() {
    let (folder, path) = fresh();
    fs::write(path.parent().unwrap(), b"a file where a folder must be").unwrap();
    let error = open(&path, &opening(Encoding::PcmS16Le)).unwrap_err();
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    let of = |kind: std::io::ErrorKind| MediaError::of(Path::new("x"), "write", kind.into());
    assert!(matches!(of(std::io::ErrorKind::StorageFull), MediaError::DiskFull { .. }));
    assert!(matches!(of(std::io::ErrorKind::ReadOnlyFilesystem), MediaError::ReadOnly { .. }));
    assert!(matches!(verify(Path::new("/nowhere/ch01.vvj")), Err(MediaError::NotFound { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_as_such() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = std::io::Write::write_all(&mut &full, b"x").unwrap_err();
    assert!(matches!(MediaError::of(Path::new("x"), "write", error), MediaError::DiskFull { .. }));
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
fn headers_come_back_as_they_were() {
    let opening = opening(Encoding::PcmF32Le);
    let header = FileHeader {
        version: FORMAT_VERSION,
        hearing: opening.hearing,
        channel: opening.channel,
        format: opening.format,
        cipher: crate::record::seal::CipherId::new(5),
        key: crate::record::seal::KeyId::new([3; 16]),
        class: IntervalClass::Sealed,
        created_at: opening.now,
    };
    assert_eq!(FileHeader::decode(&header.encode()), Ok(header));
    let frame = FrameHeader {
        kind: FrameKind::Audio,
        class: IntervalClass::Open,
        payload_bytes: 12,
        samples: 3,
        sequence: u64::MAX,
        first_sample: pos(u64::MAX),
        synced: 9,
    };
    assert_eq!(FrameHeader::decode(&frame.encode()), Ok(frame));
}

fn fixture(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format).join("ch01.vvj")
}

#[test]
fn the_released_journal_of_version_1_is_read_for_ever() {
    let fixture = fixture("journal_v1");
    let verdict = verify(&fixture).unwrap();
    assert_eq!(
        (verdict.frames, verdict.samples, verdict.end, verdict.epochs, verdict.closed),
        (7, 24, pos(31), 2, true)
    );
    let chain = "f26b6cbe47087c98b04faa6416c3a001240dc927f0bd3c8135b84d08c728851f";
    assert_eq!(hex::encode(verdict.chain), chain);
    let pieces = reading(&fixture).unwrap().read_span(span(0, 31)).unwrap();
    assert_eq!(pieces[0].bytes, [bytes(1, 20), bytes(50, 16)].concat());
    assert_eq!(pieces[1].bytes, bytes(90, 12));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_position_is_acknowledged_within_the_time_set_once_it_is_synced() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { sync_every: Duration::from_millis(20), ..settings(folder.path()) };
        let journal = AudioJournal::start(settings).unwrap();
        let (channel, cut) = journal.open(opening(Encoding::PcmS16Le)).await.unwrap();
        assert!(cut.is_none());
        let mut durable = channel.durable();
        assert_eq!(*durable.borrow(), pos(0));
        for first in [0, 10, 20] {
            let end = channel.append(pos(first), IntervalClass::Open, bytes(1, 20)).await.unwrap();
            assert_eq!(end, pos(first + 10));
        }
        let reached = tokio::time::timeout(Duration::from_secs(10), durable.wait_for(|at| *at == pos(30))).await;
        assert!(reached.unwrap().is_ok());
        assert_eq!(channel.close().await.unwrap(), pos(30));
        journal.stop().await;
        assert!(
            verify(&journal_path(folder.path(), opening(Encoding::PcmS16Le).hearing, ChannelId::new(1).unwrap()))
                .unwrap()
                .closed
        );
    });
}

#[test]
fn channels_share_the_thread_and_each_has_its_own_file_and_errors() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(settings(folder.path())).unwrap();
        let mut channels = Vec::new();
        for number in 1..=4 {
            let opening = Opening { channel: ChannelId::new(number).unwrap(), ..opening(Encoding::ALaw) };
            channels.push(journal.open(opening).await.unwrap().0);
        }
        let again = journal.open(opening(Encoding::ALaw)).await.unwrap_err();
        assert!(matches!(again, MediaError::AlreadyOpen { .. }), "{again}");
        for channel in &channels {
            channel.append(pos(0), IntervalClass::Open, bytes(1, 20)).await.unwrap();
        }
        assert!(channels[0].append(pos(5), IntervalClass::Open, bytes(1, 20)).await.is_err());
        assert_eq!(channels[0].append(pos(20), IntervalClass::Open, bytes(1, 20)).await.unwrap(), pos(40));
        assert_eq!(channels[0].sync().await.unwrap(), pos(40));
        assert_eq!(*channels[0].durable().borrow(), pos(40));
        journal.stop().await;
        assert!(matches!(channels[1].sync().await, Err(MediaError::Stopped)));
        for number in 1..=4 {
            let path = journal_path(folder.path(), opening(Encoding::ALaw).hearing, ChannelId::new(number).unwrap());
            assert!(verify(&path).unwrap().closed);
        }
    });
}

#[test]
fn what_is_not_stored_is_noted_in_place_and_is_as_durable_as_samples() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(settings(folder.path())).unwrap();
        let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
        let mut durable = channel.durable();
        channel.append(pos(0), IntervalClass::Open, bytes(1, 10)).await.unwrap();
        assert_eq!(channel.skip(pos(10), pos(40), Absence::OffRecord).await.unwrap(), pos(40));
        assert_eq!(channel.skip(pos(40), pos(40), Absence::Gap).await.unwrap(), pos(40));
        assert_eq!(channel.skip(pos(45), pos(50), Absence::Muted).await.unwrap(), pos(50));
        for (first, to) in [(49, 60), (60, 55)] {
            let error = channel.skip(pos(first), pos(to), Absence::Gap).await.unwrap_err();
            assert!(matches!(error, MediaError::OutOfOrder { .. }), "{error}");
        }
        assert!(durable.wait_for(|at| *at == pos(50)).await.is_ok());
        let after = channel.append(pos(50), IntervalClass::Sealed, bytes(9, 5)).await.unwrap();
        assert_eq!(after, pos(55));
        assert_eq!(channel.skip(pos(55), pos(60), Absence::Gap).await.unwrap(), pos(60));
        assert_eq!(channel.close().await.unwrap(), pos(60));
        let path = journal.path(opening(Encoding::MuLaw).hearing, ChannelId::new(1).unwrap());
        let verdict = verify(&path).unwrap();
        assert_eq!((verdict.end, verdict.samples, verdict.version), (pos(60), 15, FORMAT_VERSION));
        let pieces = reading(&path).unwrap().read_span(span(0, 99)).unwrap();
        let seen: Vec<_> = pieces.iter().map(|p| (p.span, p.class)).collect();
        assert_eq!(seen, [(span(0, 10), IntervalClass::Open), (span(50, 55), IntervalClass::Sealed)]);
        let told = Opening { acknowledged: pos(60), ..opening(Encoding::MuLaw) };
        let (channel, cut) = journal.open(told).await.unwrap();
        assert!(cut.is_none());
        assert_eq!(*channel.durable().borrow(), pos(60));
        journal.stop().await;
    });
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

#[test]
fn a_journal_of_version_1_goes_on_as_it_is_and_refuses_what_it_has_no_place_for() {
    let (_folder, path) = fresh();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(fixture("journal_v1"), &path).unwrap();
    let (mut writer, cut) = open(&path, &opening(Encoding::PcmS16Le)).unwrap();
    assert!(cut.is_none());
    let error = writer.skip(pos(31), pos(40), Absence::Muted).unwrap_err();
    assert!(matches!(error, MediaError::OldFormat { version: 1, .. }), "{error}");
    assert_eq!(writer.append(pos(31), IntervalClass::Open, &bytes(4, 8)).unwrap(), pos(35));
    writer.close().unwrap();
    assert_eq!(verify(&path).unwrap().version, 1);
    let pieces = reading(&path).unwrap().read_span(span(25, 40)).unwrap();
    assert_eq!(pieces.iter().map(|p| p.span).collect::<Vec<_>>(), [span(25, 31), span(31, 35)]);
}
