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

fn hearings(folder: &TempDir) -> Hearings {
    let recognizer: Arc<dyn Recognizer> = Arc::new(Scripted::new(&["well", "yes"]));
    Hearings::new(Parts {
        store: Arc::new(SqliteStore::open(&folder.path().join("record.sqlite"), Arc::new(NullSealer)).unwrap()),
        journal: AudioJournal::start(Settings::under(folder.path().join("audio"))).unwrap(),
        pool: Arc::new(Pool::start(&recognizer, 1, Arc::new(|_, _, _| {})).unwrap()),
        recognizer,
        detectors: Arc::new(|| Box::new(Loudness)),
        front: FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: 0 },
        max_streams: 1,
        world: Arc::new(Still::default()),
        metrics: Arc::new(Metrics::new()),
    })
}

fn by() -> Actor {
    Actor { kind: ActorKind::Program, id: "test".to_owned() }
}

async fn opened(hearings: &Hearings) -> HearingId {
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
    let LiveStream { audio, mut progress } = hearings.stream(hearing, by()).await?;
    let start = progress.channels()[0].start;
    // A refused position ends the task of the channel: `progress` says why.
    let _ended = audio.audio(1, Some(SamplePos::new(first)), &second_of_speech()).await;
    drop(audio);
    let mut end = start;
    while let Some(step) = progress.next().await {
        if let Progress::ChannelDone { next, .. } = step? {
            end = next;
        }
    }
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
