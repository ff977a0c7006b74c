//! Orders about what is recorded, gaps, accounts.

use super::*;
use crate::{
    domain::change::{GapReason, Order},
    hearing::orders::{Placed, Request, Start, Unlawful},
    record::ledger::Account,
};

pub(super) fn request(start: Start, end: Option<u64>, class: IntervalClass) -> Request {
    let label = |text: &str| Label::try_from(text.to_owned()).unwrap();
    Request {
        channel: None,
        start,
        end: end.map(SamplePos::new),
        class,
        order: Order { by: label("judge 7"), reason: label("talk with counsel") },
    }
}

pub(super) fn at(n: u64) -> Start {
    Start::At(SamplePos::new(n))
}

pub(super) async fn order(hearings: &Arc<Hearings>, hearing: HearingId, request: Request) -> Placed {
    hearings.order(hearing, request, by()).await.unwrap()
}

fn intervals(placed: &Placed) -> Vec<(u64, Option<u64>, IntervalClass)> {
    let interval = |change: &Change| match change {
        Change::IntervalBegan { first_sample, end, class, .. } => {
            Some((first_sample.index(), end.map(SamplePos::index), *class))
        }
        _ => None,
    };
    placed.changes.iter().filter_map(interval).collect()
}

/// What the journal holds: each run of samples with its bytes.
fn stored(hearings: &Hearings, hearing: HearingId, end: u64) -> Vec<(u64, u64, Vec<u8>)> {
    let place = hearings.parts.journal.place(hearing, ChannelId::new(1).unwrap());
    let whole = Span::new(SamplePos::ZERO, SamplePos::new(end)).unwrap();
    let pieces = place.open().unwrap().read_span(whole).unwrap();
    pieces.into_iter().map(|p| (p.span.start().index(), p.span.end().index(), p.bytes)).collect()
}

async fn accounts(hearings: &Hearings, hearing: HearingId) -> Vec<(u64, u64, Account)> {
    let (ledger, _) = hearings.ledger(hearing).await.unwrap();
    ledger[0].runs.iter().map(|(span, account)| (span.start().index(), span.end().index(), *account)).collect()
}

#[tokio::test]
async fn nothing_is_stored_or_heard_off_the_record_to_the_sample() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    // Loud all the time: 4 s, of which one is off the record, one muted, announced before they come.
    let loud: Vec<u8> = (0..64_000_i32).flat_map(|n| (20_000 + i16::try_from(n % 97).unwrap()).to_le_bytes()).collect();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    let placed = order(&hearings, hearing, request(at(16_001), Some(32_003), IntervalClass::OffRecord)).await;
    assert_eq!(intervals(&placed), [(16_001, Some(32_003), IntervalClass::OffRecord)]);
    order(&hearings, hearing, request(at(40_000), Some(50_000), IntervalClass::Muted)).await;
    stream.audio.audio(1, Some(SamplePos::ZERO), &loud[..40_000]).await.unwrap();
    // Sent again, over what was dropped.
    stream.audio.audio(1, Some(SamplePos::new(15_000)), &loud[30_000..60_000]).await.unwrap();
    stream.audio.audio(1, Some(SamplePos::new(30_000)), &loud[60_000..82_000]).await.unwrap();
    // A recorder need not send what is not stored.
    stream.audio.audio(1, Some(SamplePos::new(50_000)), &loud[100_000..]).await.unwrap();
    let end = stream.audio.finish().await.unwrap()[0].1;
    assert_eq!(end.index(), 64_000);
    stream.channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
    let bytes = |from: usize, to: usize| loud[from * 2..to * 2].to_vec();
    assert!(
        stored(&hearings, hearing, 64_000)
            == [
                (0, 16_001, bytes(0, 16_001)),
                (32_003, 40_000, bytes(32_003, 40_000)),
                (50_000, 64_000, bytes(50_000, 64_000))
            ]
    );
    let heard: Vec<_> = segments(&hearings, hearing).await.iter().map(|s| (s.0, s.1)).collect();
    assert_eq!(heard, [(0, 16_001), (32_003, 40_000), (50_000, 64_000)], "each cut at the order");
    let accounts = accounts(&hearings, hearing).await;
    assert_eq!(accounts.iter().map(|(from, to, _)| to - from).sum::<u64>(), 64_000);
    let of = |wanted: Account| accounts.iter().filter(|a| a.2 == wanted).map(|a| (a.0, a.1)).collect::<Vec<_>>();
    assert_eq!(of(Account::OffRecord), [(16_001, 32_003)]);
    assert_eq!(of(Account::Muted), [(40_000, 50_000)]);
    assert_eq!(of(Account::Pending), []);
}

#[tokio::test]
async fn an_order_for_now_holds_from_the_next_sample_and_survives_a_crash() {
    let folder = TempDir::new().unwrap();
    let hearing = {
        let hearings = hearings(&folder);
        let hearing = opened(&hearings).await;
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        stream.audio.audio(1, None, &second_of_speech()[..40_000]).await.unwrap();
        let placed = order(&hearings, hearing, request(Start::Now, None, IntervalClass::OffRecord)).await;
        assert_eq!(intervals(&placed), [(20_000, None, IntervalClass::OffRecord)]);
        stream.audio.audio(1, None, &second_of_speech()).await.unwrap();
        stream.channels[0].durable.wait_for(|d| d.index() == 52_000).await.unwrap();
        crash(&hearings, hearing).await;
        hearing
    };
    let hearings = hearings(&folder);
    hearings.recover().await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    assert_eq!(stream.channels[0].start.index(), 52_000, "what was dropped counts");
    stream.audio.audio(1, None, &second_of_speech()).await.unwrap();
    let placed = order(&hearings, hearing, request(Start::Now, None, IntervalClass::Open)).await;
    assert_eq!(intervals(&placed), [(84_000, None, IntervalClass::Open)]);
    stream.audio.audio(1, None, &second_of_speech()).await.unwrap();
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    let pieces: Vec<_> = stored(&hearings, hearing, 116_000).iter().map(|p| (p.0, p.1)).collect();
    assert_eq!(pieces, [(0, 20_000), (84_000, 116_000)]);
    let accounts = accounts(&hearings, hearing).await;
    assert_eq!(accounts.last().unwrap().1, 116_000);
    assert!(accounts.contains(&(20_000, 84_000, Account::OffRecord)), "{accounts:?}");
}

#[tokio::test]
async fn a_position_that_no_recorder_comes_to_is_refused_and_nothing_is_stored() {
    const MONTH: u64 = 30 * 24 * 60 * 60 * 16_000;
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let one = hearings.parts.store.hearing(opened(&hearings).await).await.unwrap().channels.remove(0);
    let two = ChannelSetup { id: ChannelId::new(2).unwrap(), ..one.clone() };
    let (hearing, _) = hearings.open(new(vec![one, two]), by()).await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(2, None, &second_of_speech()).await.unwrap();
    let at = |audio: &crate::hearing::live::AudioIn| audio.positions().iter().map(|p| p.1.index()).collect::<Vec<_>>();
    let long = std::time::Duration::from_secs(60);
    for to in [MONTH + 1, u64::MAX] {
        let missing = stream.audio.missing(1, SamplePos::new(to), GapReason::DeviceLost);
        let refused = tokio::time::timeout(long, missing).await.unwrap().unwrap_err();
        let says = refused.to_string();
        assert!(
            says.contains(&format!("sample {to} is more than 30 days ahead")) && says.contains("channel 1"),
            "{says}"
        );
        assert_eq!(refused.kind(), crate::domain::fault::FaultKind::Invalid);
        // Of all, none is moved; the second would be near enough for the first of these.
        stream.audio.missing(0, SamplePos::new(to), GapReason::DeviceLost).await.unwrap_err();
        assert_eq!(at(&stream.audio), [0, 32_000]);
    }
    // Where nothing is stored for good, a sample is as far as a gap.
    let muted = Request { channel: ChannelId::new(1), ..request(Start::Now, None, IntervalClass::Muted) };
    order(&hearings, hearing, muted).await;
    for (first, number) in [(MONTH + 1, 1), (u64::MAX, 1)] {
        let audio = stream.audio.audio(number, Some(SamplePos::new(first)), &[0, 0]);
        let refused = tokio::time::timeout(long, audio).await.unwrap().unwrap_err();
        assert!(matches!(refused, HearingError::TooFar { .. }), "{refused}");
    }
    assert_eq!(at(&stream.audio), [0, 32_000]);
    stream.audio.audio(2, None, &second_of_speech()).await.unwrap();
    stream.audio.audio(1, Some(SamplePos::new(MONTH)), &[0, 0]).await.unwrap();
    let ends: Vec<u64> = stream.audio.finish().await.unwrap().iter().map(|end| end.1.index()).collect();
    assert_eq!(ends, [MONTH + 1, 64_000], "a month is not too far, and the other channel went on");
}

#[tokio::test]
async fn a_gap_is_told_with_its_reason_and_listening_goes_on_behind_it() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &second_of_speech()).await.unwrap();
    stream.audio.missing(1, SamplePos::new(40_000), GapReason::RecorderDown).await.unwrap();
    // Said twice, as after a break: it is one.
    stream.audio.missing(0, SamplePos::new(40_000), GapReason::RecorderDown).await.unwrap();
    assert!(matches!(
        stream.audio.missing(7, SamplePos::new(50_000), GapReason::Unknown).await,
        Err(HearingError::NoSuchChannel { .. })
    ));
    stream.audio.audio(1, Some(SamplePos::new(40_000)), &second_of_speech()).await.unwrap();
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    let accounts = accounts(&hearings, hearing).await;
    let gaps: Vec<_> = accounts.iter().filter(|a| a.2.gap_reason().is_some()).collect();
    assert_eq!(gaps, [&(32_000, 40_000, Account::Gap(GapReason::RecorderDown))]);
    assert_eq!(accounts.last().unwrap().1, 72_000);
    assert_eq!(segments(&hearings, hearing).await.len(), 2);
}

#[tokio::test]
async fn a_gap_that_a_crash_kept_from_the_record_is_told_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let hearing = {
        let hearings = hearings(&folder);
        let hearing = opened(&hearings).await;
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        stream.audio.audio(1, None, &second_of_speech()).await.unwrap();
        let end = stream.audio.finish().await.unwrap()[0].1;
        stream.channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
        // The journal has it, and then the power goes.
        let sitting = Arc::clone(&hearings.live().get(&hearing).unwrap().sitting);
        let journal = sitting.get().unwrap().routes()[0].journal.clone();
        journal.skip(end, SamplePos::new(50_000), crate::record::media::Absence::Gap).await.unwrap();
        journal.sync().await.unwrap();
        crash(&hearings, hearing).await;
        hearing
    };
    for _start in 0..2 {
        let hearings = hearings(&folder);
        hearings.recover().await.unwrap();
        let told = hearings.parts.store.entries_named(hearing, "audio_missing").await.unwrap();
        assert_eq!(told.len(), 1, "once");
        assert!(accounts(&hearings, hearing).await.contains(&(32_000, 50_000, Account::Gap(GapReason::Unknown))));
        crash(&hearings, hearing).await;
    }
}

#[tokio::test]
async fn what_was_said_in_closed_session_is_seen_with_the_token_alone() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, token) = opened_with_token(&hearings).await;
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    order(&hearings, hearing, request(at(32_000), Some(64_000), IntervalClass::Sealed)).await;
    for _ in 0..3 {
        stream.audio.audio(1, None, &second_of_speech()).await.unwrap();
    }
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    let exported = async |token: &str| {
        let sight = hearings.sight(hearing, token).await.unwrap();
        let json = hearings.export(hearing, Format::Json, &sight).await.unwrap();
        let document: serde_json::Value = serde_json::from_str(&json).unwrap();
        let segments = document["segments"].as_array().unwrap();
        segments.iter().map(|s| s["class"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(exported("").await, ["open", "open"]);
    assert_eq!(exported(&token).await, ["open", "sealed", "open"]);
    assert!(matches!(hearings.sight(hearing, "00").await, Err(HearingError::Token { .. })));
    // Afterwards too: the first is sealed, and no order opens it again.
    order(&hearings, hearing, request(at(0), Some(32_000), IntervalClass::Sealed)).await;
    assert_eq!(exported("").await, ["open"]);
    let opening = hearings.order(hearing, request(at(0), Some(100), IntervalClass::Open), by()).await.unwrap_err();
    assert!(matches!(opening, HearingError::Order { why: Unlawful::Unsealing { .. } }), "{opening}");
}

/// Loud samples that can be told apart: `from..to` of them.
fn voice(from: i32, to: i32) -> Vec<u8> {
    (from..to)
        .flat_map(|n| (20_000 + i16::try_from(n.wrapping_mul(7_919).rem_euclid(9_973)).unwrap()).to_le_bytes())
        .collect()
}

/// Every file under the folder with its bytes.
fn everything(folder: &TempDir) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push((path.clone(), std::fs::read(&path).unwrap())) }
        }
    }
    found
}

/// When an order comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Spoken,
    Ended,
    Closed,
}

/// Streams the voice and orders at this moment that a part of it is off the record.
async fn ordered_late(
    hearings: &Arc<Hearings>,
    hearing: HearingId,
    voice: &[u8],
    (late, moment): (Request, Moment),
) -> Placed {
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &voice[..140_000]).await.unwrap();
    let mut placed = Placed::default();
    if moment == Moment::Spoken {
        stream.channels[0].durable.wait_for(|d| d.index() == 70_000).await.unwrap();
        placed = order(hearings, hearing, late.clone()).await;
    }
    stream.audio.audio(1, None, &voice[140_000..]).await.unwrap();
    let end = stream.audio.finish().await.unwrap()[0].1;
    stream.channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
    if moment == Moment::Ended {
        assert_eq!(segments(hearings, hearing).await.len(), 1);
        placed = order(hearings, hearing, late.clone()).await;
    }
    hearings.close(hearing, by()).await.unwrap();
    if moment == Moment::Closed { order(hearings, hearing, late).await } else { placed }
}

#[tokio::test]
async fn a_late_order_destroys_samples_and_text_and_the_rest_is_as_if_it_had_come_in_time() {
    let loud = voice(0, 96_000);
    let late = request(at(20_001), Some(60_007), IntervalClass::OffRecord);
    let timely = {
        let folder = TempDir::new().unwrap();
        let hearings = hearings(&folder);
        let hearing = opened(&hearings).await;
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        order(&hearings, hearing, late.clone()).await;
        stream.audio.audio(1, None, &loud).await.unwrap();
        drop(stream);
        hearings.close(hearing, by()).await.unwrap();
        segments(&hearings, hearing).await
    };
    for moment in [Moment::Spoken, Moment::Ended, Moment::Closed] {
        let folder = TempDir::new().unwrap();
        let hearings = hearings(&folder);
        let hearing = opened(&hearings).await;
        let placed = ordered_late(&hearings, hearing, &loud, (late.clone(), moment)).await;
        let gone = |change: &Change| match change {
            Change::AudioDestroyed { span, class, .. } => Some((span.start().index(), span.end().index(), *class)),
            _ => None,
        };
        let gone: Vec<_> = placed.changes.iter().filter_map(gone).collect();
        assert_eq!(gone, [(20_001, 60_007, IntervalClass::OffRecord)], "{moment:?}");
        assert_eq!(segments(&hearings, hearing).await, timely, "{moment:?}");
        let kept = [(0, 20_001, loud[..40_002].to_vec()), (60_007, 96_000, loud[120_014..].to_vec())];
        assert!(stored(&hearings, hearing, 96_000) == kept, "{moment:?}");
        assert!(accounts(&hearings, hearing).await.contains(&(20_001, 60_007, Account::OffRecord)), "{moment:?}");
        let canary = &loud[60_000..60_064];
        for (path, bytes) in everything(&folder) {
            assert!(!bytes.windows(canary.len()).any(|w| w == canary), "{moment:?}: {} holds it", path.display());
        }
    }
}

/// An order is in the record, as much of it is carried out, and then the power goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum CarriedOut {
    Nothing,
    Samples,
    SamplesAndTexts,
}

#[tokio::test]
async fn an_order_that_a_crash_interrupted_is_carried_out_at_the_next_start() {
    for carried_out in [CarriedOut::Nothing, CarriedOut::Samples, CarriedOut::SamplesAndTexts] {
        let folder = TempDir::new().unwrap();
        let hearing = {
            let hearings = hearings(&folder);
            let hearing = opened(&hearings).await;
            let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
            stream.audio.audio(1, None, &voice(0, 64_000)).await.unwrap();
            let end = stream.audio.finish().await.unwrap()[0].1;
            stream.channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
            let Request { end, class, order, .. } = request(at(1_000), Some(50_000), IntervalClass::OffRecord);
            let (channel, first_sample) = (ChannelId::new(1).unwrap(), SamplePos::new(1_000));
            let began = Change::IntervalBegan { channel, first_sample, class, end, order: Some(order) };
            append(&hearings.parts, hearing, began, &by(), Purpose::Alteration).await.unwrap();
            if carried_out != CarriedOut::Nothing {
                let sitting = Arc::clone(&hearings.live().get(&hearing).unwrap().sitting);
                let journal = &sitting.get().unwrap().routes()[0].journal;
                journal.destroy(Span::new(first_sample, SamplePos::new(50_000)).unwrap()).await.unwrap();
            }
            if carried_out == CarriedOut::SamplesAndTexts {
                let texts = hearings.parts.store.entries_named(hearing, "segment_committed").await.unwrap();
                let texts: Vec<_> = texts.iter().map(|text| text.seq).collect();
                assert_eq!(texts.len(), 1);
                hearings.parts.store.destroy_texts(hearing, texts).await.unwrap();
            }
            crash(&hearings, hearing).await;
            hearing
        };
        let hearings = hearings(&folder);
        hearings.recover().await.unwrap();
        let destroyed = hearings.parts.store.entries_named(hearing, "audio_destroyed").await.unwrap();
        assert_eq!(destroyed.len(), 1, "{carried_out:?}");
        let pieces: Vec<_> = stored(&hearings, hearing, 64_000).iter().map(|p| (p.0, p.1)).collect();
        assert_eq!(pieces, [(0, 1_000), (50_000, 64_000)], "{carried_out:?}");
        hearings.close(hearing, by()).await.unwrap();
        let heard: Vec<_> = segments(&hearings, hearing).await.iter().map(|s| (s.0, s.1)).collect();
        assert_eq!(heard, [(0, 1_000), (50_000, 64_000)], "{carried_out:?}");
    }
}

#[tokio::test]
async fn what_stands_beside_what_is_destroyed_keeps_its_text_to_the_sample() {
    // Loud for longer than an utterance may be, so that it is cut; then the order destroys from shortly behind the cut on.
    let loud = voice(0, 40 * 16_000);
    let cut = {
        let folder = TempDir::new().unwrap();
        let hearings = hearings(&folder);
        let hearing = opened(&hearings).await;
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        stream.audio.audio(1, None, &loud).await.unwrap();
        drop(stream);
        hearings.close(hearing, by()).await.unwrap();
        segments(&hearings, hearing).await[0].1
    };
    let ordered = cut + 8_000;
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &loud).await.unwrap();
    let end = stream.audio.finish().await.unwrap()[0].1;
    stream.channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
    order(&hearings, hearing, request(at(ordered), Some(40 * 16_000), IntervalClass::OffRecord)).await;
    hearings.close(hearing, by()).await.unwrap();
    let accounts = accounts(&hearings, hearing).await;
    assert_eq!(accounts, [(0, ordered, Account::Speech), (ordered, 40 * 16_000, Account::OffRecord)]);
}

/// So many loud stretches of a second and a half, two and a half seconds apart: each is an utterance.
fn utterances(count: usize) -> Vec<u8> {
    let sample = |n: usize| if n % 64_000 < 24_000 { 30_000_i16 } else { 0 };
    (0..count * 64_000).flat_map(|n| sample(n).to_le_bytes()).collect()
}

async fn spans(hearings: &Hearings, hearing: HearingId) -> Vec<(u64, u64)> {
    let texts = segments(hearings, hearing).await;
    let mut spans: Vec<_> = texts.iter().map(|text| (text.0, text.1)).collect();
    spans.sort_unstable();
    spans
}

#[tokio::test]
async fn what_was_said_behind_a_late_order_keeps_its_text_and_is_not_there_twice() {
    for moment in [Moment::Spoken, Moment::Ended, Moment::Closed] {
        let folder = TempDir::new().unwrap();
        let hearing = {
            let hearings = hearings(&folder);
            let hearing = opened(&hearings).await;
            let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
            stream.audio.audio(1, None, &utterances(5)).await.unwrap();
            let before = {
                stream.channels[0].settled.wait_for(|at| at.index() > 4 * 64_000 + 30_000).await.unwrap();
                spans(&hearings, hearing).await
            };
            assert_eq!(before.len(), 5);
            // Amid the second utterance, at samples at which no frame begins; then amid the fourth.
            let late = |from, to| request(at(from), Some(to), IntervalClass::OffRecord);
            if moment == Moment::Spoken {
                order(&hearings, hearing, late(70_003, 75_001)).await;
                order(&hearings, hearing, late(200_003, 205_001)).await;
            }
            stream.audio.audio(1, None, &utterances(2)).await.unwrap();
            let end = stream.audio.finish().await.unwrap()[0].1;
            stream.channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
            if moment == Moment::Ended {
                order(&hearings, hearing, late(70_003, 75_001)).await;
                order(&hearings, hearing, late(200_003, 205_001)).await;
            }
            if moment == Moment::Spoken {
                // A service that begins anew hears what it heard.
                crash(&hearings, hearing).await;
            } else {
                hearings.close(hearing, by()).await.unwrap();
            }
            if moment == Moment::Closed {
                order(&hearings, hearing, late(70_003, 75_001)).await;
                order(&hearings, hearing, late(200_003, 205_001)).await;
            }
            hearing
        };
        let hearings = hearings(&folder);
        hearings.recover().await.unwrap();
        if moment == Moment::Spoken {
            hearings.close(hearing, by()).await.unwrap();
        }
        let after = spans(&hearings, hearing).await;
        assert!(after.windows(2).all(|w| w[0].1 <= w[1].0), "{moment:?}: a text twice: {after:?}");
        assert!(after.iter().all(|(from, to)| {
            [(70_003, 75_001), (200_003, 205_001)].iter().all(|(gone, end)| to <= gone || end <= from)
        }));
        // Seven, two of them in two parts.
        assert_eq!(after.len(), 9, "{moment:?}: {after:?}");
        for untouched in [0, 2, 4, 5, 6] {
            let spoken = untouched * 64_000..untouched * 64_000 + 24_000;
            let there = after.iter().filter(|(from, to)| *from <= spoken.start.max(1) && spoken.end <= *to).count();
            assert_eq!(there, 1, "{moment:?}, utterance {untouched}: {after:?}");
        }
    }
}
