//! What channels share is found whether they come together or one comes late.

use super::*;
use crate::{
    domain::{change::Order, flag::FlagCode, segment::Segment},
    hearing::orders::{Request, Start},
};

/// Samples of each channel.
const LENGTH: usize = 64_000;

fn two_channels(number: u8) -> ChannelSetup {
    ChannelSetup {
        id: ChannelId::new(number).unwrap(),
        label: Label::try_from(format!("seat {number}")).unwrap(),
        languages: AllowedLanguages::only("en".parse().unwrap()),
        format: AudioFormat { encoding: Encoding::PcmS16Le, rate: 16_000.try_into().unwrap() },
    }
}

/// Four seconds: somebody speaks for the first one and a half, as nobody else does.
fn voice(seed: u32) -> Vec<u8> {
    let mut noise = seed;
    let mut sample = |n: usize| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, _, low, high] = noise.to_le_bytes();
        if n < 24_000 { i16::from_le_bytes([low, high]) } else { 0 }
    };
    (0..LENGTH).flat_map(|n| sample(n).to_le_bytes()).collect()
}

async fn opened_two(hearings: &Arc<Hearings>) -> (HearingId, String) {
    hearings.open(new((1..=2).map(two_channels).collect()), by()).await.unwrap()
}

/// The texts of the record, those that were revised as they stand now, without what differs from hearing to hearing.
async fn standing(hearings: &Hearings, hearing: HearingId) -> Vec<Segment> {
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    let mut standing: Vec<Segment> = Vec::new();
    for segment in entries.iter().filter_map(|entry| entry.change.segment()) {
        standing.retain(|one| one.id != segment.id);
        standing.push(segment.clone());
    }
    let nobody = crate::domain::id::SegmentId::new(uuid::Uuid::nil());
    standing.iter_mut().for_each(|segment| segment.id = nobody);
    standing.sort_by_key(|segment| segment.channel);
    standing
}

async fn committed(hearings: &Hearings, hearing: HearingId) -> Vec<Segment> {
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    let committed = |entry: &Entry| match &entry.change {
        Change::SegmentCommitted { segment } => Some(Segment::clone(segment)),
        _ => None,
    };
    entries.iter().filter_map(committed).collect()
}

/// Both channels at once.
async fn together() -> Vec<Segment> {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, _) = opened_two(&hearings).await;
    let LiveStream { mut audio, .. } = hearings.stream(hearing, "", by()).await.unwrap();
    for number in [1, 2] {
        audio.audio(number, None, &voice(number)).await.unwrap();
    }
    audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    standing(&hearings, hearing).await
}

/// Sends the first channel alone, and waits for its text.
async fn first_alone(hearings: &Arc<Hearings>, hearing: HearingId, token: &str) -> LiveStream {
    let mut stream = hearings.stream(hearing, token, by()).await.unwrap();
    stream.audio.audio(1, None, &voice(1)).await.unwrap();
    stream.channels[0].settled.wait_for(|at| at.index() >= 60_000).await.unwrap();
    let segments = committed(hearings, hearing).await;
    let [alone] = segments.as_slice() else { panic!("one text: {segments:?}") };
    assert!(alone.uncompared && alone.flags.iter().all(|f| f.code != FlagCode::Overlap), "{alone:?}");
    stream
}

fn is_overlap(segment: &Segment) -> bool {
    segment.flags.iter().any(|f| f.code == FlagCode::Overlap)
}

#[tokio::test]
async fn a_channel_that_comes_late_gives_what_it_gives_in_time() {
    let expected = together().await;
    assert!(expected.len() == 2 && expected.iter().all(|s| is_overlap(s) && !s.uncompared), "{expected:?}");
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, token) = opened_two(&hearings).await;
    let mut stream = first_alone(&hearings, hearing, &token).await;
    stream.audio.audio(2, None, &voice(2)).await.unwrap();
    stream.audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    assert_eq!(standing(&hearings, hearing).await, expected);
    // What was said first stays readable, and exports have what stands now, once.
    assert!(committed(&hearings, hearing).await[0].uncompared);
    let exported: serde_json::Value =
        serde_json::from_str(&hearings.export(hearing, Format::Json, &Sight::whole()).await.unwrap()).unwrap();
    let exported = exported["segments"].as_array().unwrap();
    assert_eq!(exported.len(), 2);
    assert!(exported.iter().all(|s| s["uncompared"].is_null() && s["flags"].to_string().contains("overlap")));
}

#[tokio::test]
async fn a_channel_that_comes_after_a_crash_gives_what_it_gives_in_time() {
    let expected = together().await;
    let folder = TempDir::new().unwrap();
    let (hearing, token) = {
        let hearings = hearings(&folder);
        let (hearing, token) = opened_two(&hearings).await;
        drop(first_alone(&hearings, hearing, &token).await);
        crash(&hearings, hearing).await;
        (hearing, token)
    };
    let hearings = hearings(&folder);
    hearings.recover().await.unwrap();
    let LiveStream { mut audio, channels } = hearings.stream(hearing, &token, by()).await.unwrap();
    assert_eq!((channels[0].start.index(), channels[1].start.index()), (LENGTH as u64, 0));
    audio.audio(2, None, &voice(2)).await.unwrap();
    audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    assert_eq!(standing(&hearings, hearing).await, expected);
}

#[tokio::test]
async fn a_channel_that_never_comes_keeps_no_text_and_no_closing_waiting() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, token) = opened_two(&hearings).await;
    let stream = first_alone(&hearings, hearing, &token).await;
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    let standing = standing(&hearings, hearing).await;
    assert!(standing.len() == 1 && !standing[0].uncompared && !is_overlap(&standing[0]), "{standing:?}");
}

#[tokio::test]
async fn what_follows_an_end_of_input_is_another_beginning() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, token) = opened_two(&hearings).await;
    let mut stream = hearings.stream(hearing, &token, by()).await.unwrap();
    stream.audio.audio(1, None, &voice(1)).await.unwrap();
    stream.audio.audio(2, None, &[0; 200]).await.unwrap();
    stream.audio.finish().await.unwrap();
    // Of the second channel a hundredth of a second is all there is to compare with, also when more follows.
    let mut stream = hearings.stream(hearing, &token, by()).await.unwrap();
    stream.audio.audio(2, None, &voice(2)).await.unwrap();
    stream.audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    let standing = standing(&hearings, hearing).await;
    assert!(!standing[0].uncompared && !is_overlap(&standing[0]), "{standing:?}");
}

#[tokio::test]
async fn what_was_revised_is_destroyed_in_both_forms() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, token) = opened_two(&hearings).await;
    let mut stream = first_alone(&hearings, hearing, &token).await;
    stream.audio.audio(2, None, &voice(2)).await.unwrap();
    stream.audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    assert!(is_overlap(&standing(&hearings, hearing).await[0]));
    let label = |text: &str| Label::try_from(text.to_owned()).unwrap();
    let request = Request {
        channel: ChannelId::new(1),
        start: Start::At(SamplePos::new(0)),
        end: Some(SamplePos::new(LENGTH as u64)),
        class: IntervalClass::OffRecord,
        order: Order { by: label("judge 7"), reason: label("talk with counsel") },
    };
    hearings.order(hearing, request, by()).await.unwrap();
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    let gone = entries.iter().filter(|entry| entry.change == Change::SegmentDestroyed {}).count();
    assert_eq!(gone, 2, "as it was first, and as it was revised");
    assert_eq!(standing(&hearings, hearing).await.len(), 1, "the other channel's stays");
}

#[tokio::test]
async fn a_channel_that_comes_after_a_stop_gives_what_it_gives_in_time() {
    let expected = together().await;
    let folder = TempDir::new().unwrap();
    let (hearing, token) = {
        let hearings = hearings(&folder);
        let (hearing, token) = opened_two(&hearings).await;
        drop(first_alone(&hearings, hearing, &token).await);
        hearings.adjourn().await;
        assert!(committed(&hearings, hearing).await[0].uncompared);
        assert!(standing(&hearings, hearing).await[0].uncompared, "the other channel may still come");
        hearings.parts.store.close().await.unwrap();
        hearings.parts.journal.halt().await;
        (hearing, token)
    };
    let hearings = hearings(&folder);
    hearings.recover().await.unwrap();
    let mut stream = hearings.stream(hearing, &token, by()).await.unwrap();
    stream.audio.audio(2, None, &voice(2)).await.unwrap();
    stream.audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    assert_eq!(standing(&hearings, hearing).await, expected);
}
