//! Journals torn and altered: every whole frame of a torn one is kept, and an altered one is never taken for a torn one.

use std::{fs, io::Cursor, path::Path};

use super::{bytes, fresh, open, opening, pos, reading, small_journal, span};
use crate::{
    domain::{
        audio::Encoding,
        change::IntervalClass,
        fault::{Fault, FaultKind},
    },
    record::media::{
        MediaError,
        format::{
            Damage,
            frame::{Epoch, FrameKind},
        },
        frames::{FrameReader, Step, Verdict},
        reader::verify,
        writer::Opening,
    },
};

fn judge(bytes: &[u8]) -> Result<Verdict, MediaError> {
    FrameReader::new(Cursor::new(bytes), Path::new("ch01.vvj"))?.verify()
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
fn a_reader_takes_a_torn_frame_that_was_never_synced_for_a_tail_whatever_its_kind() {
    let (_folder, path) = fresh();
    let (mut writer, _) = open(&path, &opening(Encoding::PcmS16Le)).unwrap();
    writer.append(pos(0), IntervalClass::Open, &bytes(1, 20)).unwrap();
    writer.sync().unwrap();
    drop(writer);
    let kept = fs::read(&path).unwrap().len();
    // Another writer begins an epoch; the power goes before its payload is on the disk.
    drop(open(&path, &opening(Encoding::PcmS16Le)).unwrap());
    let whole = fs::read(&path).unwrap();
    let frame = frame_ends(&whole).iter().map(|(end, _)| *end).find(|end| *end > kept).unwrap();
    for torn in kept + 44..frame {
        let mut bytes = whole[..frame].to_vec();
        bytes[torn] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(judge(&bytes).map(|verdict| verdict.end).ok(), Some(pos(10)), "byte {torn}");
        let mut reader = reading(&path).unwrap();
        assert_eq!((reader.end(), reader.read_span(span(0, 10)).unwrap().len()), (pos(10), 1), "byte {torn}");
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
