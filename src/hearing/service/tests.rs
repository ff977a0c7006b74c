//! The hearings with a scripted engine, a real record and a real journal.

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
    },
    hearing::live::Progress,
    record::{media::service::Settings, seal::NullSealer, store::sqlite::SqliteStore},
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
    fn draw_id(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
    fn draw_bytes(&self) -> [u8; 16] {
        self.draw_id().into_bytes()
    }
}

fn hearings(folder: &TempDir) -> Arc<Hearings> {
    let recognizer: Arc<dyn Recognizer> = Arc::new(Scripted::new(&["well", "yes"]));
    Arc::new(Hearings::new(Parts {
        store: Arc::new(SqliteStore::open(&folder.path().join("record.sqlite"), Arc::new(NullSealer)).unwrap()),
        journal: AudioJournal::start(Settings::under(folder.path().join("audio"))).unwrap(),
        pool: Arc::new(Pool::start(&recognizer, 1, Arc::new(|_, _, _| {})).unwrap()),
        recognizer,
        detectors: Arc::new(|| Box::new(Loudness)),
        front: FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: 0 },
        max_streams: 1,
        world: Arc::new(Still::default()),
        metrics: Arc::new(Metrics::new()),
    }))
}

fn by() -> Actor {
    Actor { kind: ActorKind::Program, id: "test".to_owned() }
}

async fn opened(hearings: &Arc<Hearings>) -> HearingId {
    let setup = ChannelSetup {
        id: ChannelId::new(1).unwrap(),
        label: Label::try_from("witness".to_owned()).unwrap(),
        languages: AllowedLanguages::only("en".parse().unwrap()),
        format: AudioFormat { encoding: Encoding::PcmS16Le, rate: 16_000.try_into().unwrap() },
    };
    hearings.open(String::new(), vec![setup], by()).await.unwrap()
}

/// A loud second and a second of silence.
fn second_of_speech() -> Vec<u8> {
    (0..32_000_i32).flat_map(|n| (if n < 16_000 { 30_000_i16 } else { 0 }).to_le_bytes()).collect()
}

/// Streams the speech from `first` on; gives where it ended.
async fn streamed(hearings: &Hearings, hearing: HearingId, first: u64) -> Result<SamplePos, HearingError> {
    let LiveStream { mut audio, mut progress } = hearings.stream(hearing, by()).await?;
    let start = progress.channels()[0].start;
    let taken = audio.audio(1, Some(SamplePos::new(first)), &second_of_speech()).await;
    drop(audio);
    let mut end = start;
    while let Some(step) = progress.next().await {
        if let Progress::ChannelDone { next, .. } = step? {
            end = next;
        }
    }
    taken.map(|()| end)
}

#[tokio::test]
async fn another_stream_goes_on_where_the_last_ended() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    assert_eq!(streamed(&hearings, hearing, 0).await.unwrap(), SamplePos::new(32_000));
    assert_eq!(streamed(&hearings, hearing, 32_000).await.unwrap(), SamplePos::new(64_000));
    let transcript: serde_json::Value =
        serde_json::from_str(&hearings.export(hearing, Format::Json).await.unwrap()).unwrap();
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

/// How many utterances of the hearing are on the record.
async fn texts(hearings: &Hearings, hearing: HearingId) -> usize {
    let entries = hearings.all_entries(hearing).await.unwrap();
    entries.iter().filter(|e| matches!(e.change, Change::SegmentCommitted { .. })).count()
}

#[tokio::test]
async fn what_was_said_before_a_fault_has_its_text() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let LiveStream { mut audio, mut progress } = hearings.stream(hearing, by()).await.unwrap();
    // The second is loud to its end, so that its utterance is still open when the fault comes.
    let loud = &second_of_speech()[..32_000];
    audio.audio(1, None, loud).await.unwrap();
    audio.mark(1).await.unwrap();
    assert!(matches!(audio.audio(1, None, &loud[1..]).await, Err(HearingError::Audio { .. })));
    assert!(matches!(audio.audio(1, Some(SamplePos::ZERO), loud).await, Err(HearingError::OutOfOrder { .. })));
    drop(audio);
    let mut steps = Vec::new();
    while let Some(step) = progress.next().await {
        steps.push(step.unwrap());
    }
    assert!(matches!(steps[..], [Progress::Marked { id: 1, .. }, Progress::ChannelDone { .. }]), "{steps:?}");
    assert_eq!(texts(&hearings, hearing).await, 1);
}

#[tokio::test]
async fn a_disk_that_fails_ends_the_stream_and_what_was_said_has_its_text() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let LiveStream { mut audio, mut progress } = hearings.stream(hearing, by()).await.unwrap();
    let loud = &second_of_speech()[..32_000];
    audio.audio(1, None, loud).await.unwrap();
    // The journal goes away under the stream.
    let mut durable = progress.channels()[0].durable.clone();
    durable.wait_for(|d| *d == SamplePos::new(16_000)).await.unwrap();
    hearings.parts.journal.halt().await;
    let _refused_later = audio.audio(1, None, loud).await;
    audio.mark(2).await.ok();
    drop(audio);
    let mut errors = 0;
    while let Some(step) = progress.next().await {
        match step {
            Ok(progress) => panic!("{progress:?}: the mark's audio has no results"),
            Err(_disk) => errors += 1,
        }
    }
    assert_eq!((errors, texts(&hearings, hearing).await), (1, 1));
}

#[tokio::test]
async fn nobody_streams_into_a_hearing_that_is_being_closed() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let LiveStream { audio, progress } = hearings.stream(hearing, by()).await.unwrap();
    let closing = tokio::spawn({
        let hearings = Arc::clone(&hearings);
        async move { hearings.close(hearing, by()).await }
    });
    audio.ending().cancelled().await;
    assert!(matches!(
        hearings.stream(hearing, by()).await,
        Err(HearingError::Closed { .. } | HearingError::Full { .. })
    ));
    // The one who asked goes away; the hearing is closed all the same.
    closing.abort();
    drop((audio, progress));
    let mut follower = hearings.follow(hearing, EntrySeq::START).await.unwrap();
    let mut last = None;
    while let Some(entry) = follower.next().await.unwrap() {
        last = Some(entry);
    }
    let last = last.unwrap();
    assert_eq!(last.change, Change::HearingClosed {});
    assert!(matches!(hearings.stream(hearing, by()).await, Err(HearingError::Closed { .. })));
    // A reader that has everything is told that there is no more.
    let mut done = hearings.follow(hearing, last.seq).await.unwrap();
    assert_eq!(done.next().await.unwrap(), None);
}
