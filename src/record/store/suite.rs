//! What every [`RecordStore`] must do. Each backend runs it.

use std::{sync::Arc, time::Duration};

use super::{Flaw, RecordError, RecordStore};
use crate::{
    domain::{
        actor::{Actor, ActorKind, Attribution, Purpose},
        audio::{AudioFormat, Encoding},
        change::{Change, EntrySeq, IntervalClass, Recognition},
        channel::{ChannelSetup, Label},
        engine::{EngineInfo, Sha256Hash},
        fault::{Fault, FaultKind},
        flag::{Evidence, Flag, FlagCode},
        id::{ChannelId, HearingId, SegmentId},
        language::AllowedLanguages,
        probability::Probability,
        segment::{CaptionState, Segment, Word},
        time::{SamplePos, SampleRate, Span},
    },
    record::entry::Entry,
};

pub(crate) fn hearing(number: u128) -> HearingId {
    HearingId::new(uuid::Uuid::from_u128(number))
}

pub(crate) fn channel(number: u8) -> ChannelId {
    ChannelId::new(number).unwrap()
}

pub(crate) fn span(start: u64, end: u64) -> Span {
    Span::new(SamplePos::new(start), SamplePos::new(end)).unwrap()
}

pub(crate) fn by(id: &str) -> Attribution {
    Attribution {
        actor: Actor { kind: ActorKind::Device, id: id.to_owned() },
        purpose: Purpose::Collection,
        at: "2026-03-04T09:30:00.123456789Z".parse().unwrap(),
    }
}

pub(crate) fn setup(number: u8, label: &str, hz: u32) -> ChannelSetup {
    ChannelSetup {
        id: channel(number),
        label: Label::try_from(label.to_owned()).unwrap(),
        languages: AllowedLanguages::new(vec!["en".parse().unwrap(), "fr-CA".parse().unwrap()]).unwrap(),
        format: AudioFormat { encoding: Encoding::PcmS16Le, rate: SampleRate::try_from(hz).unwrap() },
    }
}

pub(crate) fn opened() -> Change {
    let channels = vec![setup(1, "judge", 16_000), setup(2, "witness", 48_000)];
    Change::HearingOpened {
        reference: "T-2026/17 secretreference".to_owned(),
        channels,
        resume: None,
        recognition: Recognition::Live,
        imported: None,
    }
}

pub(crate) fn stored(number: u8, start: u64, end: u64) -> Change {
    Change::AudioStored { channel: channel(number), span: span(start, end), class: IntervalClass::Open }
}

/// A segment of `text`, a word each half second from `start` on, the word `doubtful` flagged.
pub(crate) fn segment(id: u128, number: u8, hz: u32, start: u64, text: &str, doubtful: Option<usize>) -> Segment {
    let step = u64::from(hz) / 2;
    let words: Vec<Word> = (0..)
        .zip(text.split(' '))
        .map(|(i, word)| Word {
            text: word.to_owned(),
            spaced: true,
            span: span(start + i * step, start + (i + 1) * step),
            score: Probability::new(0.9).unwrap(),
        })
        .collect();
    let flag = |word| Flag {
        code: FlagCode::LowWordScore,
        evidence: vec![Evidence::new("lowest_score", 0.31, 0.5)],
        words: word..word + 1,
    };
    Segment {
        id: SegmentId::new(uuid::Uuid::from_u128(id)),
        channel: channel(number),
        rate: SampleRate::try_from(hz).unwrap(),
        span: span(start, start + step * words.len() as u64),
        speech: vec![span(start, start + step * words.len() as u64)],
        language: "en".parse().unwrap(),
        language_posterior: Probability::new(0.8),
        flags: doubtful.map(flag).into_iter().collect(),
        words,
        captions: CaptionState::Shown,
        leaning: None,
        uncompared: false,
        replaced: None,
        glossary: None,
        engine: EngineInfo {
            engine: "scripted".to_owned(),
            engine_version: "1".to_owned(),
            model: "none".to_owned(),
            model_sha256: Sha256Hash::new([7; 32]),
            device: "cpu".to_owned(),
            parameters: "{}".to_owned(),
        },
    }
}

pub(crate) fn committed(segment: Segment) -> Change {
    Change::SegmentCommitted { segment: Box::new(segment) }
}

pub(crate) fn proposed(replaces: &[u128], segment: Segment) -> Change {
    let replaces = replaces.iter().map(|id| SegmentId::new(uuid::Uuid::from_u128(*id))).collect();
    Change::RevisionProposed { replaces, segment: Box::new(segment) }
}

/// Runs every rule of the contract on stores made by `make`; each call gives a new, empty one.
pub(crate) async fn record_store_suite<S: RecordStore>(make: impl Fn() -> S) {
    entries_come_back_as_they_went_in(&make()).await;
    a_hearing_opens_first_and_once(&make()).await;
    nothing_but_late_text_follows_the_closing(&make()).await;
    proposals_stand_on_audio_of_closed_hearings(&make()).await;
    what_can_never_be_right_is_refused(&make()).await;
    audio_is_recorded_once(&make()).await;
    many_writers_get_one_order(Arc::new(make())).await;
    a_watcher_wakes(&make()).await;
    a_stopped_store_says_so(&make()).await;
}

async fn entries_come_back_as_they_went_in(store: &impl RecordStore) {
    let interval = Change::IntervalBegan {
        channel: channel(2),
        first_sample: SamplePos::new(9),
        class: IntervalClass::Sealed,
        end: None,
        order: None,
    };
    let text = committed(segment(1, 1, 16_000, 0, "the secretword was said", Some(1)));
    let changes = [opened(), stored(1, 0, 64_000), interval, text, Change::HearingClosed {}];
    for (seq, change) in (1..).zip(changes.clone()) {
        let receipt = store.append(hearing(1), change, by("recorder")).await.unwrap();
        assert_eq!((receipt.hearing, receipt.seq), (hearing(1), EntrySeq::new(seq)));
    }
    let expected: Vec<Entry> =
        (1..).zip(changes).map(|(seq, change)| Entry { seq: EntrySeq::new(seq), change, by: by("recorder") }).collect();
    let after = |seq, limit| store.entries(hearing(1), EntrySeq::new(seq), limit);
    assert_eq!(after(0, 100).await.unwrap(), expected);
    assert_eq!(after(1, 2).await.unwrap(), expected[1..3]);
    assert_eq!(after(5, 10).await.unwrap(), []);
    assert_eq!(after(u64::MAX, usize::MAX).await.unwrap(), []);
    let summary = store.hearing(hearing(1)).await.unwrap();
    assert_eq!((summary.reference.as_str(), summary.last), ("T-2026/17 secretreference", EntrySeq::new(5)));
    assert_eq!((summary.opened_at, summary.closed_at), (by("x").at, Some(by("x").at)));
    assert_eq!(store.hearings().await.unwrap(), [summary]);
}

async fn a_hearing_opens_first_and_once(store: &impl RecordStore) {
    let error = store.append(hearing(1), Change::HearingClosed {}, by("a")).await.unwrap_err();
    assert_eq!(error.kind(), FaultKind::NotFound);
    assert_eq!(store.hearing(hearing(1)).await.unwrap_err().kind(), FaultKind::NotFound);
    assert_eq!(store.entries(hearing(1), EntrySeq::START, 1).await.unwrap_err().kind(), FaultKind::NotFound);
    store.append(hearing(1), opened(), by("a")).await.unwrap();
    let error = store.append(hearing(1), opened(), by("a")).await.unwrap_err();
    assert_eq!(error.kind(), FaultKind::AlreadyExists);
    store.append(hearing(2), opened(), by("a")).await.unwrap();
    let ids: Vec<_> = store.hearings().await.unwrap().iter().map(|h| h.id).collect();
    assert_eq!(ids, [hearing(1), hearing(2)]);
}

async fn nothing_but_late_text_follows_the_closing(store: &impl RecordStore) {
    for change in [opened(), stored(1, 0, 16_000), Change::HearingClosed {}] {
        store.append(hearing(1), change, by("a")).await.unwrap();
    }
    let late = committed(segment(1, 1, 16_000, 0, "still here", None));
    store.append(hearing(1), late, by("a")).await.unwrap();
    let unheard = committed(segment(2, 1, 16_000, 16_000, "never stored", None));
    let elsewhere = committed(segment(3, 2, 48_000, 0, "never stored", None));
    for change in [unheard, elsewhere, stored(1, 16_000, 17_000), Change::HearingClosed {}] {
        let error = store.append(hearing(1), change, by("a")).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::Conflict, "{error}");
    }
    assert_eq!(store.hearing(hearing(1)).await.unwrap().last, EntrySeq::new(4));
}

async fn proposals_stand_on_audio_of_closed_hearings(store: &impl RecordStore) {
    let said = committed(segment(1, 1, 16_000, 0, "who was it", None));
    for change in [opened(), stored(1, 0, 64_000), said] {
        store.append(hearing(1), change, by("a")).await.unwrap();
    }
    let better = || proposed(&[1], segment(2, 1, 16_000, 0, "who is it", Some(1)));
    let error = store.append(hearing(1), better(), by("a")).await.unwrap_err();
    assert!(matches!(error, RecordError::HearingOpen { .. }) && error.kind() == FaultKind::Conflict, "{error}");
    store.append(hearing(1), Change::HearingClosed {}, by("a")).await.unwrap();
    let receipt = store.append(hearing(1), better(), by("a")).await.unwrap();
    let entries = store.entries_named(hearing(1), "revision_proposed").await.unwrap();
    assert_eq!((entries.len(), entries[0].seq, &entries[0].change), (1, receipt.seq, &better()));
    // Beyond what is stored, on another channel, on nothing, and on what was destroyed.
    let beyond = proposed(&[], segment(3, 1, 16_000, 60_000, "never stored", None));
    let mut nothing = segment(4, 1, 16_000, 0, "words", None);
    nothing.span = Span::EMPTY;
    for (change, number) in
        [(beyond, 1), (proposed(&[], segment(5, 2, 48_000, 0, "unheard", None)), 2), (proposed(&[], nothing), 1)]
    {
        assert_eq!(flaw(store.append(hearing(1), change, by("a")).await), Flaw::NoAudio(channel(number)));
    }
    let gone =
        Change::AudioDestroyed { channel: channel(1), span: span(16_000, 20_000), class: IntervalClass::OffRecord };
    store.append(hearing(1), gone, by("a")).await.unwrap();
    assert_eq!(flaw(store.append(hearing(1), better(), by("a")).await), Flaw::NoAudio(channel(1)));
    let beside = proposed(&[], segment(6, 1, 16_000, 20_000, "beside it", None));
    store.append(hearing(1), beside, by("a")).await.unwrap();
    let mut doubtful = segment(7, 1, 16_000, 20_000, "beside it", Some(0));
    doubtful.flags[0].words = 0..9;
    assert_eq!(flaw(store.append(hearing(1), proposed(&[], doubtful), by("a")).await), Flaw::FlaggedWords);
}

#[track_caller]
fn flaw(result: Result<impl std::fmt::Debug, RecordError>) -> Flaw {
    match result {
        Err(RecordError::Invalid { flaw, .. }) => flaw,
        other => panic!("{other:?}"),
    }
}

async fn what_can_never_be_right_is_refused(store: &impl RecordStore) {
    let open = |channels| Change::HearingOpened {
        reference: String::new(),
        channels,
        resume: None,
        recognition: Recognition::Live,
        imported: None,
    };
    assert_eq!(flaw(store.append(hearing(1), open(vec![]), by("a")).await), Flaw::NoChannels);
    let twice = vec![setup(1, "a", 8_000), setup(1, "b", 8_000)];
    assert_eq!(flaw(store.append(hearing(1), open(twice), by("a")).await), Flaw::ChannelOrder);
    assert_eq!(flaw(store.append(hearing(1), opened(), by("  ")).await), Flaw::NoActor);
    store.append(hearing(1), opened(), by("a")).await.unwrap();

    let good = || segment(1, 1, 16_000, 0, "two words", Some(0));
    let unknown = Segment { channel: channel(3), ..good() };
    assert_eq!(flaw(store.append(hearing(1), committed(unknown), by("a")).await), Flaw::UnknownChannel(channel(3)));
    let rate = Segment { channel: channel(2), ..good() };
    assert_eq!(flaw(store.append(hearing(1), committed(rate), by("a")).await), Flaw::Rate(channel(2)));
    let mut infinite = good();
    infinite.flags[0].evidence[0].value = f64::NAN;
    assert_eq!(flaw(store.append(hearing(1), committed(infinite), by("a")).await), Flaw::NotFinite);
    let mut beyond = good();
    beyond.flags[0].words = 1..3;
    assert_eq!(flaw(store.append(hearing(1), committed(beyond), by("a")).await), Flaw::FlaggedWords);
    assert_eq!(flaw(store.append(hearing(1), stored(9, 0, 1), by("a")).await), Flaw::UnknownChannel(channel(9)));
    let off = Change::AudioStored { channel: channel(1), span: span(0, 1), class: IntervalClass::OffRecord };
    assert_eq!(flaw(store.append(hearing(1), off, by("a")).await), Flaw::NothingStored);
    assert_eq!(store.hearing(hearing(1)).await.unwrap().last, EntrySeq::new(1));
}

async fn audio_is_recorded_once(store: &impl RecordStore) {
    for change in [opened(), stored(1, 0, 100), stored(2, 0, 50), stored(1, 100, 200), stored(1, 300, 400)] {
        store.append(hearing(1), change, by("a")).await.unwrap();
    }
    let error = store.append(hearing(1), stored(1, 399, 500), by("a")).await.unwrap_err();
    assert!(matches!(error, RecordError::AudioOverlap { through, .. } if through == SamplePos::new(400)), "{error}");
}

async fn many_writers_get_one_order(store: Arc<impl RecordStore>) {
    for number in 1..=4 {
        store.append(hearing(number), opened(), by("a")).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for id in 0..400_u128 {
        let store = Arc::clone(&store);
        let change = committed(segment(id, 1, 16_000, 0, "word", None));
        tasks.spawn(async move { store.append(hearing(1 + id % 4), change, by("a")).await.unwrap() });
    }
    let mut seqs: Vec<_> = tasks.join_all().await.into_iter().map(|r| (r.hearing, r.seq.number())).collect();
    seqs.sort_unstable();
    let expected: Vec<_> = (1..=4).flat_map(|h| (2..=101).map(move |s| (hearing(h), s))).collect();
    assert_eq!(seqs, expected);
    assert_eq!(store.entries(hearing(3), EntrySeq::START, 1_000).await.unwrap().len(), 101);
}

async fn a_watcher_wakes(store: &impl RecordStore) {
    let mut watcher = store.subscribe(hearing(1));
    let mut other = store.subscribe(hearing(2));
    assert_eq!(*watcher.borrow_and_update(), EntrySeq::START);
    store.append(hearing(1), opened(), by("a")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), watcher.changed()).await.unwrap().unwrap();
    assert_eq!(*watcher.borrow(), EntrySeq::new(1));
    assert!(!other.has_changed().unwrap());
    assert_eq!(*other.borrow_and_update(), EntrySeq::START);
}

async fn a_stopped_store_says_so(store: &impl RecordStore) {
    store.append(hearing(1), opened(), by("a")).await.unwrap();
    store.close().await.unwrap();
    let error = store.append(hearing(1), Change::HearingClosed {}, by("a")).await.unwrap_err();
    assert!(matches!(error, RecordError::Stopped), "{error}");
    assert!(matches!(store.entries(hearing(1), EntrySeq::START, 1).await, Err(RecordError::Stopped)));
    assert!(matches!(store.close().await, Err(RecordError::Stopped)));
}
