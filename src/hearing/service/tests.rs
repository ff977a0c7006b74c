//! The hearings with a scripted engine, a real record and a real journal.

mod alarms;
mod clocks;
mod engine;
mod load;
mod neighbours;
mod orders;
mod outage;
mod repass;
mod replaced;
mod room;

use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::{
    domain::{
        actor::ActorKind,
        audio::{AudioFormat, Encoding},
        fault::Fault,
        language::AllowedLanguages,
        probability::Probability,
        time::Span,
    },
    hearing::{live::LiveStream, reading::all_entries, sight::Sight},
    record::{
        entry::Entry,
        export::Format,
        keys::{sealer::KeySealer, tests::keys_under},
        media::service::Settings,
        store::sqlite::SqliteStore,
    },
    speech::{asr::scripted::Scripted, stream::endpoint::EndpointConfig, vad::FRAME},
};

/// Speech is what is loud.
struct Loudness;

impl SpeechDetector for Loudness {
    fn push(&mut self, frame: &[f32; FRAME]) -> Probability {
        Probability::clamped(frame.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())))
    }
    fn reset(&mut self) {}
}

/// A clock that stands and dice that count.
#[derive(Debug, Default)]
struct Still(AtomicU64);

impl World for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn steady(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
    fn draw_id(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
    fn draw_bytes(&self) -> [u8; 16] {
        self.draw_id().into_bytes()
    }
}

fn hearings(folder: &TempDir) -> Arc<Hearings> {
    hearings_with(folder, Arc::new(Scripted::new(&["well", "yes"])))
}

fn hearings_with(folder: &TempDir, recognizer: Arc<dyn Recognizer>) -> Arc<Hearings> {
    let keys = keys_under(&folder.path().join("keys"));
    let sealer = Arc::new(KeySealer::new(Arc::clone(&keys)));
    Arc::new(Hearings::new(Parts {
        store: Arc::new(SqliteStore::open(&folder.path().join("record.sqlite"), sealer).unwrap()),
        journal: AudioJournal::start(Settings::under(folder.path().join("audio"), keys)).unwrap(),
        pool: Arc::new(
            Pool::start(&recognizer, crate::speech::asr::pool::Slots::default(), Arc::new(|_, _, _| {})).unwrap(),
        ),
        recognizer,
        detectors: Arc::new(|| Box::new(Loudness)),
        front: FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: 0 },
        glossary: None,
        max_streams: 4,
        world: Arc::new(Still::default()),
        metrics: Arc::new(Metrics::new()),
    }))
}

fn by() -> Actor {
    Actor { kind: ActorKind::Program, id: "test".to_owned() }
}

async fn opened(hearings: &Arc<Hearings>) -> HearingId {
    opened_with_token(hearings).await.0
}

async fn opened_with_token(hearings: &Arc<Hearings>) -> (HearingId, String) {
    opened_at(hearings, 16_000).await
}

async fn opened_at(hearings: &Arc<Hearings>, rate: u32) -> (HearingId, String) {
    let setup = ChannelSetup {
        id: ChannelId::new(1).unwrap(),
        label: Label::try_from("witness".to_owned()).unwrap(),
        languages: AllowedLanguages::only("en".parse().unwrap()),
        format: AudioFormat { encoding: Encoding::PcmS16Le, rate: rate.try_into().unwrap() },
    };
    hearings.open(new(vec![setup]), by()).await.unwrap()
}

fn new(channels: Vec<ChannelSetup>) -> NewHearing {
    NewHearing { reference: String::new(), channels, recognition: Recognition::Live, imported: None }
}

/// A loud second and a second of silence.
fn second_of_speech() -> Vec<u8> {
    (0..32_000_i32).flat_map(|n| (if n < 16_000 { 30_000_i16 } else { 0 }).to_le_bytes()).collect()
}

/// Streams the speech from `first` on; gives where it ended when its text is there.
async fn streamed(hearings: &Arc<Hearings>, hearing: HearingId, first: u64) -> Result<SamplePos, HearingError> {
    let LiveStream { mut audio, mut channels } = hearings.stream(hearing, "", by()).await?;
    audio.audio(1, Some(SamplePos::new(first)), &second_of_speech()).await?;
    let end = audio.finish().await?[0].1;
    channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
    Ok(end)
}

#[tokio::test]
async fn another_stream_goes_on_where_the_last_ended() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    assert_eq!(streamed(&hearings, hearing, 0).await.unwrap(), SamplePos::new(32_000));
    assert_eq!(streamed(&hearings, hearing, 32_000).await.unwrap(), SamplePos::new(64_000));
    let transcript: serde_json::Value =
        serde_json::from_str(&hearings.export(hearing, Format::Json, &Sight::whole()).await.unwrap()).unwrap();
    assert_eq!(transcript["segments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_stream_that_broke_a_rule_does_not_keep_the_next_from_coming() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let refused = streamed(&hearings, hearing, 5).await.unwrap_err();
    assert!(matches!(refused, HearingError::OutOfOrder { .. }), "{refused} ({:?})", refused.kind());
    assert_eq!(streamed(&hearings, hearing, 0).await.unwrap(), SamplePos::new(32_000));
}

/// The segments of the hearing: where each begins and ends, and its text.
async fn segments(hearings: &Hearings, hearing: HearingId) -> Vec<(u64, u64, String)> {
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    let segment = |entry: &Entry| match &entry.change {
        Change::SegmentCommitted { segment: s } => Some((s.span.start().index(), s.span.end().index(), s.text())),
        _ => None,
    };
    entries.iter().filter_map(segment).collect()
}

/// The same audio in one stream without a break, then closed.
async fn undisturbed(audio: &[u8]) -> Vec<(u64, u64, String)> {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, audio).await.unwrap();
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    segments(&hearings, hearing).await
}

/// Six seconds: loud for 1.5 s, silent for 1.5 s, twice.
fn two_utterances() -> Vec<u8> {
    let loud = |n: usize| (n / 24_000).is_multiple_of(2);
    (0..96_000).flat_map(|n| (if loud(n) { 30_000_i16 } else { 0 }).to_le_bytes()).collect()
}

#[tokio::test]
async fn breaks_do_not_change_the_text() {
    let audio = two_utterances();
    let expected = undisturbed(&audio).await;
    assert_eq!(expected.len(), 2, "{expected:?}");
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, token) = opened_with_token(&hearings).await;
    // In the middle of words, in a pause, after a sample.
    let mut from = 0;
    for to in [16_001, 16_002, 40_000, 60_123, 96_000] {
        let mut stream = hearings.stream(hearing, &token, by()).await.unwrap();
        let at = stream.channels[0].start;
        assert_eq!(at.index(), from);
        let bytes = |from: u64, to: u64| &audio[usize::try_from(from * 2).unwrap()..usize::try_from(to * 2).unwrap()];
        stream.audio.audio(1, Some(at), bytes(from, to)).await.unwrap();
        // A break loses what is not synced, which the recorder then sends again; here all is.
        stream.channels[0].durable.wait_for(|d| d.index() == to).await.unwrap();
        from = to;
    }
    hearings.close(hearing, by()).await.unwrap();
    assert_eq!(segments(&hearings, hearing).await, expected);
}

#[tokio::test]
async fn what_was_not_heard_before_a_stop_is_heard_after_it() {
    let audio = two_utterances();
    let expected = undisturbed(&audio).await;
    for stop_at in [10_000, 30_000, 50_000, 90_000] {
        let folder = TempDir::new().unwrap();
        let (hearing, cut) = {
            let hearings = hearings(&folder);
            let hearing = opened(&hearings).await;
            let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
            stream.audio.audio(1, None, &audio[..stop_at * 2]).await.unwrap();
            stream.channels[0].durable.wait_for(|d| d.index() == stop_at as u64).await.unwrap();
            drop(stream);
            crash(&hearings, hearing).await;
            (hearing, segments_of_file(&folder, hearing).await)
        };
        assert!(cut.len() < 2);
        let hearings = hearings(&folder);
        hearings.recover().await.unwrap();
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        assert_eq!(stream.channels[0].start.index(), stop_at as u64);
        stream.audio.audio(1, None, &audio[stop_at * 2..]).await.unwrap();
        drop(stream);
        hearings.close(hearing, by()).await.unwrap();
        assert_eq!(segments(&hearings, hearing).await, expected, "stopped at {stop_at}");
    }
}

async fn segments_of_file(folder: &TempDir, hearing: HearingId) -> Vec<(u64, u64, String)> {
    segments(&hearings(folder), hearing).await
}

#[tokio::test]
async fn samples_sent_again_are_known_by_their_position() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let audio = two_utterances();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, Some(SamplePos::ZERO), &audio[..20_000]).await.unwrap();
    // From before, over the end: the overlap is the same.
    stream.audio.audio(1, Some(SamplePos::new(5_000)), &audio[10_000..40_000]).await.unwrap();
    stream.audio.audio(1, Some(SamplePos::new(1_000)), &audio[2_000..4_000]).await.unwrap();
    assert_eq!(stream.audio.positions()[0].1, SamplePos::new(20_000));
    let ahead = stream.audio.audio(1, Some(SamplePos::new(20_001)), &audio[..2]).await.unwrap_err();
    assert!(
        matches!(ahead, HearingError::OutOfOrder { expected, .. } if expected == SamplePos::new(20_000)),
        "{ahead}"
    );
    let conflicts = async || {
        let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
        let conflict = |e: &Entry| match &e.change {
            Change::AudioConflict { span, .. } => Some((span.start().index(), span.end().index())),
            _ => None,
        };
        entries.iter().filter_map(conflict).collect::<Vec<_>>()
    };
    assert_eq!(conflicts().await, []);
    // Other samples where some are stored: told, and those stored first stand.
    let mut other = audio[36_000..44_000].to_vec();
    other[100] ^= 1;
    stream.audio.audio(1, Some(SamplePos::new(18_000)), &other).await.unwrap();
    assert_eq!(conflicts().await, [(18_000, 20_000)]);
    assert_eq!(stream.audio.positions()[0].1, SamplePos::new(22_000));
    let end = stream.audio.finish().await.unwrap()[0].1;
    let place = hearings.parts.journal.place(hearing, ChannelId::new(1).unwrap());
    let span = Span::new(SamplePos::ZERO, end).unwrap();
    let stored: Vec<u8> = place.open().unwrap().read_span(span).unwrap().into_iter().flat_map(|p| p.bytes).collect();
    assert!(stored == audio[..44_000]);
}

#[tokio::test]
async fn a_token_takes_over_and_a_wrong_one_does_not() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, token) = opened_with_token(&hearings).await;
    let (other, _) = opened_with_token(&hearings).await;
    let old = hearings.stream(hearing, "", by()).await.unwrap();
    assert!(matches!(hearings.stream(hearing, "", by()).await, Err(HearingError::Streaming { .. })));
    for wrong in ["0000", &token[1..]] {
        assert!(matches!(hearings.stream(hearing, wrong, by()).await, Err(HearingError::Token { .. })));
    }
    assert!(
        matches!(hearings.stream(other, &token, by()).await, Err(HearingError::Token { .. })),
        "of another hearing"
    );
    assert!(!old.audio.replaced().is_cancelled(), "nobody was displaced by a wrong token");
    let replaced = old.audio.replaced();
    let leaving = tokio::spawn(async move {
        replaced.cancelled().await;
        drop(old);
    });
    let new = hearings.stream(hearing, &token, by()).await.unwrap();
    leaving.await.unwrap();
    assert!(!new.audio.replaced().is_cancelled());
}

#[tokio::test]
async fn of_two_that_take_over_at_once_one_has_the_stream_and_the_other_is_told() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let (hearing, token) = opened_with_token(&hearings).await;
    for _ in 0..50 {
        // Each gives way as soon as it is told to, as a stream of the service does.
        let take = || {
            let (hearings, token) = (Arc::clone(&hearings), token.clone());
            tokio::spawn(async move {
                let stream = hearings.stream(hearing, &token, by()).await?;
                stream.audio.replaced().cancelled().await;
                Ok::<_, HearingError>(())
            })
        };
        let (one, other) = (take(), take());
        // The third ends whichever of them holds it.
        let last = hearings.stream(hearing, &token, by());
        let stream = last.await.unwrap();
        drop(stream);
        one.abort();
        other.abort();
        for ended in [one.await, other.await] {
            assert!(!matches!(ended, Ok(Err(HearingError::Streaming { .. }))), "refused with a token");
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_ends_the_stream_and_what_was_said_has_its_text() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let audio = two_utterances();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &audio[..96_000]).await.unwrap();
    stream.channels[0].durable.wait_for(|d| d.index() == 48_000).await.unwrap();
    // The journal goes away under the stream.
    hearings.parts.journal.halt().await;
    assert!(matches!(stream.audio.audio(1, None, &audio[96_000..]).await, Err(HearingError::Media(_))));
    // Of the silence behind the utterance less than a frame is still looked at.
    stream.channels[0].settled.wait_for(|at| at.index() > 47_000).await.unwrap();
    assert_eq!(segments(&hearings, hearing).await.len(), 1);
}

#[tokio::test]
async fn nobody_streams_into_a_hearing_that_is_being_closed() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let stream = hearings.stream(hearing, "", by()).await.unwrap();
    let closing = tokio::spawn({
        let hearings = Arc::clone(&hearings);
        async move { hearings.close(hearing, by()).await }
    });
    stream.audio.ending().cancelled().await;
    assert!(matches!(
        hearings.stream(hearing, "", by()).await,
        Err(HearingError::Closed { .. } | HearingError::Full { .. })
    ));
    // The one who asked goes away; the hearing is closed all the same.
    closing.abort();
    drop(stream);
    let mut follower = hearings.follow(hearing, EntrySeq::START).await.unwrap();
    let mut last = None;
    while let Some(entry) = follower.next().await.unwrap() {
        last = Some(entry);
    }
    let last = last.unwrap();
    assert_eq!(last.change, Change::HearingClosed {});
    assert!(matches!(hearings.stream(hearing, "", by()).await, Err(HearingError::Closed { .. })));
    // A reader that has everything is told that there is no more.
    let mut done = hearings.follow(hearing, last.seq).await.unwrap();
    assert_eq!(done.next().await.unwrap(), None);
}

/// The service ends without a word: its tasks are gone in the middle of their work.
async fn crash(hearings: &Hearings, hearing: HearingId) {
    let sitting = Arc::clone(&hearings.live().get(&hearing).unwrap().sitting);
    sitting.get().unwrap().let_go(&hearings.parts).await;
    hearings.parts.store.close().await.unwrap();
    hearings.parts.journal.halt().await;
}

#[tokio::test]
async fn a_stop_amid_an_utterance_leaves_it_to_the_next_start() {
    let audio = two_utterances();
    let expected = undisturbed(&audio).await;
    // Amid the first utterance, in the pause behind it, amid the second, at the very end. By then as many have ended.
    for (stop_at, ended) in [(10_000, 0), (47_000, 1), (60_123, 1), (96_000, 2)] {
        let folder = TempDir::new().unwrap();
        let hearing = {
            let hearings = hearings(&folder);
            let hearing = opened(&hearings).await;
            let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
            stream.audio.audio(1, None, &audio[..stop_at * 2]).await.unwrap();
            let stored = stream.audio.leave().await.unwrap();
            assert_eq!(stored[0].1.index(), stop_at as u64);
            hearings.adjourn().await;
            assert_eq!(segments(&hearings, hearing).await, expected[..ended], "stopped at {stop_at}");
            let told = hearings.parts.store.entries_named(hearing, "input_ended").await.unwrap();
            assert!(told.is_empty(), "nobody ended the input");
            let closed = hearings.close(hearing, by()).await.unwrap_err();
            assert!(matches!(closed, HearingError::Stopped { .. }), "not everything is heard: {closed}");
            hearings.parts.store.close().await.unwrap();
            hearings.parts.journal.halt().await;
            hearing
        };
        let hearings = hearings(&folder);
        hearings.recover().await.unwrap();
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        assert_eq!(stream.channels[0].start.index(), stop_at as u64);
        stream.audio.audio(1, None, &audio[stop_at * 2..]).await.unwrap();
        drop(stream);
        hearings.close(hearing, by()).await.unwrap();
        assert_eq!(segments(&hearings, hearing).await, expected, "stopped at {stop_at}");
    }
}

#[tokio::test]
async fn a_stop_while_a_hearing_is_only_recorded_is_no_end_of_its_input() {
    let audio = two_utterances();
    let expected = undisturbed(&audio).await;
    let folder = TempDir::new().unwrap();
    let hearing = {
        let hearings = hearings(&folder);
        let live = opened(&hearings).await;
        let setup = hearings.parts.store.hearing(live).await.unwrap().channels;
        let later = NewHearing { recognition: Recognition::Later, ..new(setup) };
        let (hearing, _) = hearings.open(later, by()).await.unwrap();
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        stream.audio.audio(1, None, &audio[..20_000]).await.unwrap();
        stream.audio.leave().await.unwrap();
        hearings.adjourn().await;
        hearings.parts.store.close().await.unwrap();
        hearings.parts.journal.halt().await;
        hearing
    };
    let hearings = hearings(&folder);
    hearings.recover().await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &audio[20_000..]).await.unwrap();
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    let mut news = hearings.parts.store.subscribe(hearing);
    hearings.recognize(hearing, by()).await.unwrap();
    while hearings.parts.store.entries_named(hearing, "recognition_ended").await.unwrap().is_empty() {
        news.changed().await.unwrap();
    }
    assert_eq!(segments(&hearings, hearing).await, expected);
}

#[tokio::test]
async fn a_stop_while_the_recorder_is_away_loses_no_word() {
    let audio = two_utterances();
    let expected = undisturbed(&audio).await;
    let folder = TempDir::new().unwrap();
    let hearing = {
        let hearings = hearings(&folder);
        let hearing = opened(&hearings).await;
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        stream.audio.audio(1, None, &audio[..20_000]).await.unwrap();
        // The network breaks in the middle of the first utterance; then the service is stopped in good order.
        drop(stream);
        hearings.adjourn().await;
        assert_eq!(segments(&hearings, hearing).await, [], "nothing has ended");
        hearings.parts.store.close().await.unwrap();
        hearings.parts.journal.halt().await;
        hearing
    };
    let hearings = hearings(&folder);
    hearings.recover().await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    assert_eq!(stream.channels[0].start.index(), 10_000);
    stream.audio.audio(1, None, &audio[20_000..]).await.unwrap();
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    assert_eq!(segments(&hearings, hearing).await, expected);
}

#[tokio::test]
async fn nothing_is_heard_twice_after_a_crash_at_a_rate_that_does_not_divide() {
    let folder = TempDir::new().unwrap();
    let loud: Vec<u8> = (0..96_000).flat_map(|_| 30_000_i16.to_le_bytes()).collect();
    let hearing = {
        let hearings = hearings(&folder);
        let (hearing, _) = opened_at(&hearings, 48_000).await;
        // 1,024 samples at 48 kHz are 341.3 ticks.
        for audio in [&loud[..2_048], &loud[2_048..]] {
            let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
            stream.audio.audio(1, None, audio).await.unwrap();
            let end = stream.audio.finish().await.unwrap()[0].1;
            stream.channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
        }
        crash(&hearings, hearing).await;
        hearing
    };
    let hearings = hearings(&folder);
    hearings.recover().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    let heard = segments(&hearings, hearing).await;
    let mut starts: Vec<u64> = heard.iter().map(|s| s.0).collect();
    starts.dedup();
    assert_eq!(starts.len(), heard.len(), "{heard:?}");
    assert!(heard.iter().any(|s| s.1 >= 95_990), "{heard:?}");
}
