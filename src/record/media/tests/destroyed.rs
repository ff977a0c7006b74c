//! What is destroyed is gone, all else is there: after any history, and after a crash at any point.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::{bytes, fresh, keys_for, open, opening, pos, reading, runtime, sealed::sealed_frames, settings, span};
use crate::{
    domain::{audio::Encoding, change::IntervalClass, time::Span},
    record::{
        keys::KeyError,
        media::{
            Absence, MediaError,
            reader::{Absent, JournalReader, Piece, verify},
            service::AudioJournal,
            writer::JournalWriter,
        },
    },
};

/// Whether `needle` stands in any file under `folder`.
pub(super) fn anywhere(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return anywhere(&path, needle);
        }
        fs::read(path).unwrap().windows(needle.len()).any(|w| w == needle)
    })
}

/// The keys that samples of `span` are sealed with, as bytes.
fn keys_of(path: &Path, span: Span) -> Vec<[u8; 32]> {
    let keys = keys_for(path);
    let over = |first: u64, end: u64| first < span.end().index() && end > span.start().index();
    let frames = sealed_frames(&fs::read(path).unwrap()).into_iter();
    let touched = frames.filter(|(_, h, _)| over(h.first_sample.index(), h.end_sample().index()));
    let live = touched.filter_map(|(epoch, _, _)| keys.get(opening(Encoding::MuLaw).hearing, epoch.key).ok());
    live.map(|key| key.exposed()).collect()
}

fn spans(pieces: &[Piece]) -> Vec<Span> {
    pieces.iter().map(|p| p.span).collect()
}

#[test]
fn a_late_order_destroys_what_it_names_and_nothing_else() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(settings(folder.path())).unwrap();
        let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
        let sample = |i: u64| u8::try_from(i * 7 % 251).unwrap();
        let all: Vec<u8> = (0..300_000).map(sample).collect();
        for (chunk, first) in all.chunks(800).zip((0..).step_by(800)) {
            channel.append(pos(first), IntervalClass::Open, chunk.to_vec()).await.unwrap();
        }
        channel.skip(pos(300_000), pos(310_000), Absence::Muted).await.unwrap();
        channel.sync().await.unwrap();
        let place = journal.place(opening(Encoding::MuLaw).hearing, opening(Encoding::MuLaw).channel);
        let mut before = place.open().unwrap();
        assert_eq!(before.read_span(span(90_000, 91_000)).unwrap()[0].bytes, all[90_000..91_000]);
        let gone = keys_of(&place.path, span(89_999, 250_001));
        assert!(gone.len() > 20);

        assert_eq!(channel.destroy(span(89_999, 250_001)).await.unwrap(), [span(89_999, 250_001)]);

        assert!(gone.iter().all(|key| !anywhere(folder.path(), key)));
        for mut reader in [before, place.open().unwrap()] {
            let pieces = reader.read_span(span(0, 400_000)).unwrap();
            assert_eq!(spans(&pieces), [span(0, 89_999), span(250_001, 300_000)]);
            assert!(pieces[0].bytes == all[..89_999] && pieces[1].bytes == all[250_001..]);
            assert!(reader.read_span(span(100_000, 240_000)).unwrap().is_empty());
            let absent = [(span(89_999, 250_001), Absent::Destroyed), (span(300_000, 310_000), Absent::Muted)];
            assert_eq!(reader.absent(span(0, 400_000)).unwrap(), absent);
        }
        assert_eq!(channel.destroy(span(0, 1_000)).await.unwrap(), [span(0, 1_000)]);
        assert_eq!(channel.destroy(span(500, 90_500)).await.unwrap(), [span(1_000, 89_999)]);
        assert_eq!(channel.destroy(span(100_000, 200_000)).await.unwrap(), []);
        let end = channel.append(pos(310_000), IntervalClass::Sealed, vec![9; 100]).await.unwrap();
        assert_eq!(channel.close().await.unwrap(), end);
        let pieces = place.open().unwrap().read_span(span(0, 400_000)).unwrap();
        assert_eq!(spans(&pieces), [span(250_001, 300_000), span(310_000, 310_100)]);
        journal.stop().await;
        assert!(verify(&place.path).unwrap().closed);
    });
}

#[test]
fn an_order_waits_its_turn_and_holds_up_nobody_else() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(settings(folder.path())).unwrap();
        let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
        channel.append(pos(0), IntervalClass::Open, bytes(1, 100)).await.unwrap();
        let (destroyed, appended, synced) = tokio::join!(
            channel.destroy(span(50, 150)),
            channel.append(pos(100), IntervalClass::Open, bytes(2, 100)),
            channel.sync(),
        );
        assert_eq!((destroyed.unwrap(), appended.unwrap(), synced.unwrap()), (vec![span(50, 100)], pos(200), pos(200)));
        journal.stop().await;
    });
}

/// A journal of three keys and two classes, and a copy of its folder for each try.
struct Before {
    folder: tempfile::TempDir,
    samples: Vec<u8>,
}

impl Before {
    fn new() -> Self {
        let (folder, path) = fresh();
        let (mut writer, _) = open(&path, &opening(Encoding::MuLaw)).unwrap();
        let samples: Vec<u8> = (0..90).collect();
        for (first, class) in [(0, IntervalClass::Open), (30, IntervalClass::Sealed), (60, IntervalClass::Open)] {
            for first in [first, first + 15] {
                writer.append(pos(first as u64), class, &samples[first..first + 15]).unwrap();
            }
        }
        writer.sync().unwrap();
        Self { folder, samples }
    }

    fn copy(&self) -> (tempfile::TempDir, std::path::PathBuf) {
        let (folder, path) = fresh();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::create_dir_all(folder.path().join("keys")).unwrap();
        for (from, to) in [(self.path(), path.clone()), (self.key_file(), keys_for(&path).path(hearing()))] {
            fs::copy(from, to).unwrap();
        }
        (folder, path)
    }

    fn path(&self) -> std::path::PathBuf {
        super::journal_path(self.folder.path(), hearing(), opening(Encoding::MuLaw).channel)
    }

    fn key_file(&self) -> std::path::PathBuf {
        keys_for(&self.path()).path(hearing())
    }

    /// What stands outside of `gone`, as the journal must give it.
    fn without(&self, gone: Span) -> Vec<u8> {
        let (start, end) = (gone.start().index(), gone.end().index());
        (0_u64..).zip(&self.samples).filter(|(i, _)| !(start..end).contains(i)).map(|(_, b)| *b).collect()
    }
}

fn hearing() -> crate::domain::id::HearingId {
    opening(Encoding::MuLaw).hearing
}

fn all_bytes(path: &Path) -> Vec<u8> {
    reading(path).unwrap().read_span(span(0, 90)).unwrap().into_iter().flat_map(|p| p.bytes).collect()
}

#[test]
fn a_crash_while_destroying_leaves_the_old_state_or_is_carried_out_by_the_next_opening() {
    let before = Before::new();
    let gone = span(20, 70);
    let (mut old, mut new) = (0, 0);
    let (_folder, path) = before.copy();
    let length = fs::metadata(&path).unwrap().len();
    let secret = keys_of(&path, gone);
    {
        let (mut writer, _) = open(&path, &opening(Encoding::MuLaw)).unwrap();
        let mut reader = JournalReader::open(&path, &keys_for(&path)).unwrap();
        let order = reader.readable(gone).unwrap();
        writer.intend(&mut reader, order).unwrap();
        // Stopped here: the order is on disk, no key is destroyed. Nobody reads what it names any more.
        assert_eq!(all_bytes(&path), before.without(gone));
    }
    let whole = fs::read(&path).unwrap();
    for cut in usize::try_from(length).unwrap()..=whole.len() {
        let (folder, torn) = before.copy();
        fs::write(&torn, &whole[..cut]).unwrap();
        fs::copy(keys_for(&path).path(hearing()), keys_for(&torn).path(hearing())).unwrap();
        drop(open(&torn, &opening(Encoding::MuLaw)).unwrap());
        let left = all_bytes(&torn);
        let hidden = secret.iter().all(|key| !anywhere(folder.path(), key));
        if left == before.samples {
            assert!(!hidden && cut < whole.len(), "cut at {cut}");
            old += 1;
        } else {
            assert!(left == before.without(gone) && hidden && cut == whole.len(), "cut at {cut}");
            new += 1;
        }
        assert_eq!(verify(&torn).unwrap().tail_bytes, 0);
    }
    assert!(old > 300 && new == 1, "{old} {new}");
}

#[test]
fn an_order_that_could_not_be_carried_out_is_carried_out_by_the_next_call() {
    let before = Before::new();
    let (_folder, path) = before.copy();
    let keys = keys_for(&path);
    let (mut writer, _) = JournalWriter::open(&path, &opening(Encoding::MuLaw), &keys).unwrap();
    let mut reader = JournalReader::open(&path, &keys).unwrap();
    let order = reader.readable(span(0, 20)).unwrap();
    writer.intend(&mut reader, order).unwrap();
    assert_eq!(writer.destroy(span(0, 40)).unwrap(), [span(0, 40)]);
    assert_eq!(all_bytes(&path), before.without(span(0, 40)));
    for id in sealed_frames(&fs::read(&path).unwrap()).iter().take(4).map(|(epoch, _, _)| epoch.key) {
        assert!(matches!(keys.get(hearing(), id), Err(KeyError::Destroyed { .. })));
    }
}

#[test]
fn a_journal_of_version_1_holds_plain_samples_and_refuses_to_destroy() {
    let (_folder, path) = fresh();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(super::fixture("journal_v1"), &path).unwrap();
    let (mut writer, _) = open(&path, &opening(Encoding::PcmS16Le)).unwrap();
    let error = writer.destroy(span(0, 5)).unwrap_err();
    assert!(matches!(error, MediaError::OldFormat { version: 1, .. }), "{error}");
    assert_eq!(writer.append(pos(31), IntervalClass::Open, &bytes(1, 4)).unwrap(), pos(33));
}

#[derive(Clone, Debug)]
enum Step {
    Append { gap: u64, samples: usize, sealed: bool },
    Skip { gap: u64, samples: u64, why: Absence },
    Sync,
    Destroy { start: u64, samples: u64 },
    Reopen,
    Torn { bytes: u64, noise: usize },
}

fn steps() -> impl Strategy<Value = Step> {
    let gap = || prop_oneof![3 => Just(0), 1 => 0_u64..2_000];
    let why = prop_oneof![Just(Absence::OffRecord), Just(Absence::Muted), Just(Absence::Gap)];
    prop_oneof![
        6 => (gap(), 1_usize..60_000, any::<bool>()).prop_map(|(gap, samples, sealed)| Step::Append { gap, samples, sealed }),
        2 => (gap(), 0_u64..5_000, why).prop_map(|(gap, samples, why)| Step::Skip { gap, samples, why }),
        2 => Just(Step::Sync),
        4 => (0_u64..250_000, 1_u64..90_000).prop_map(|(start, samples)| Step::Destroy { start, samples }),
        1 => Just(Step::Reopen),
        2 => (0_u64..3_000, 0_usize..200).prop_map(|(bytes, noise)| Step::Torn { bytes, noise }),
    ]
}

/// What a journal must say of each position.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    Sample(u8, IntervalClass),
    Absent(Absent),
}

fn told(reader: &mut JournalReader, end: u64) -> Vec<Option<Place>> {
    let mut places = vec![None; usize::try_from(end).unwrap()];
    let mut put = |at: u64, place| {
        let slot = &mut places[usize::try_from(at).unwrap()];
        assert_eq!(*slot, None, "{at} is told twice");
        *slot = Some(place);
    };
    for piece in reader.read_span(span(0, end + 1_000)).unwrap() {
        for (at, byte) in (piece.span.start().index()..piece.span.end().index()).zip(&piece.bytes) {
            put(at, Place::Sample(*byte, piece.class));
        }
    }
    for (gone, why) in reader.absent(span(0, end + 1_000)).unwrap() {
        (gone.start().index()..gone.end().index()).for_each(|at| put(at, Place::Absent(why)));
    }
    places
}

/// Takes `bytes` off the end, as far as they were never synced, and puts noise there.
fn tear(path: &Path, bytes: u64, noise: usize, safe_bytes: u64) {
    let mut torn = fs::read(path).unwrap();
    let left = (torn.len() as u64).saturating_sub(bytes).max(safe_bytes);
    torn.truncate(usize::try_from(left).unwrap());
    torn.extend((7..=255).cycle().step_by(11).take(noise));
    fs::write(path, &torn).unwrap();
}

fn absent(why: Absence) -> Place {
    Place::Absent(why.into())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_gives_exactly_the_samples_of_a_naive_model(history in prop::collection::vec(steps(), 1..14)) {
        let (folder, path) = fresh();
        let mut writer = open(&path, &opening(Encoding::MuLaw)).unwrap().0;
        let mut model: Vec<Place> = Vec::new();
        let (mut safe, mut safe_bytes, mut said) = (0, fs::metadata(&path).unwrap().len(), 0_u8);
        let mut early = reading(&path).unwrap();
        for step in history {
            let next = model.len() as u64;
            match step {
                Step::Append { gap, samples, sealed } => {
                    let class = if sealed { IntervalClass::Sealed } else { IntervalClass::Open };
                    said = said.wrapping_add(37);
                    let said: Vec<u8> = (said..=255).chain(0..253).cycle().take(samples).collect();
                    writer.append(pos(next + gap), class, &said).unwrap();
                    model.extend((0..gap).map(|_| absent(Absence::Gap)));
                    model.extend(said.into_iter().map(|byte| Place::Sample(byte, class)));
                }
                Step::Skip { gap, samples, why } => {
                    writer.skip(pos(next + gap), pos(next + gap + samples), why).unwrap();
                    // With nothing to note the position stays.
                    if samples > 0 {
                        model.extend((0..gap).map(|_| absent(Absence::Gap)));
                        model.extend((0..samples).map(|_| absent(why)));
                    }
                }
                Step::Sync => {
                    safe = writer.sync().unwrap().index();
                    safe_bytes = fs::metadata(&path).unwrap().len();
                }
                Step::Destroy { start, samples } => {
                    let secret = keys_of(&path, span(start, start + samples));
                    let destroyed = writer.destroy(span(start, start + samples)).unwrap();
                    for at in destroyed.iter().flat_map(|s| s.start().index()..s.end().index()) {
                        let place = &mut model[usize::try_from(at).unwrap()];
                        prop_assert!(matches!(place, Place::Sample(..)), "{at} was not there");
                        prop_assert!((start..start + samples).contains(&at));
                        *place = Place::Absent(Absent::Destroyed);
                    }
                    let range = usize::try_from(start).unwrap()..usize::try_from(start + samples).unwrap();
                    let left = model.iter().enumerate().filter(|(i, p)| range.contains(i) && matches!(p, Place::Sample(..)));
                    prop_assert_eq!(left.count(), 0);
                    prop_assert!(secret.iter().all(|key| !anywhere(folder.path(), key)));
                    safe = model.len() as u64;
                    safe_bytes = fs::metadata(&path).unwrap().len();
                }
                Step::Reopen => {
                    prop_assert_eq!(writer.close().unwrap().index(), next);
                    writer = open(&path, &opening(Encoding::MuLaw)).unwrap().0;
                    (safe, safe_bytes) = (next, fs::metadata(&path).unwrap().len());
                }
                Step::Torn { bytes, noise } => {
                    drop(writer);
                    tear(&path, bytes, noise, safe_bytes);
                    writer = open(&path, &opening(Encoding::MuLaw)).unwrap().0;
                    let end = writer.next_sample().index();
                    prop_assert!(end >= safe && end <= next, "{safe} {end} {next}");
                    model.truncate(usize::try_from(end).unwrap());
                    (safe, safe_bytes) = (end, fs::metadata(&path).unwrap().len());
                    early = reading(&path).unwrap();
                }
            }
            let wanted = model.iter().cloned().map(Some);
            prop_assert!(told(&mut early, model.len() as u64).into_iter().eq(wanted), "a reader that was open");
        }
        writer.close().unwrap();
        let wanted = model.iter().cloned().map(Some);
        prop_assert!(told(&mut reading(&path).unwrap(), model.len() as u64).into_iter().eq(wanted), "a new reader");
        prop_assert_eq!(verify(&path).unwrap().tail_bytes, 0);
    }
}
