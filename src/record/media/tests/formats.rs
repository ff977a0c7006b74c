//! Versions of the format: released ones are read for ever, newer ones refused.

use std::fs;

use super::{bytes, fixture, fresh, open, opening, pos, reading, small_journal, span};
use crate::{
    domain::{audio::Encoding, change::IntervalClass},
    record::{
        media::{
            Absence, MediaError,
            format::{
                FORMAT_VERSION,
                frame::{FrameHeader, FrameKind},
                head::FileHeader,
            },
            reader::verify,
        },
        seal::{CipherId, KeyId},
    },
};

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
fn headers_come_back_as_they_were() {
    let opening = opening(Encoding::PcmF32Le);
    let header = FileHeader {
        version: FORMAT_VERSION,
        hearing: opening.hearing,
        channel: opening.channel,
        format: opening.format,
        cipher: CipherId::new(5),
        key: KeyId::new([3; 16]),
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
