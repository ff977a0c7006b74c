//! How audio is cut into messages, sent twice or sent over each other never changes what is stored.

use std::sync::Arc;

use proptest::{
    collection, prop_assert,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use tempfile::TempDir;
use vivavoce::{
    app::SystemWorld,
    domain::{
        actor::{Actor, ActorKind},
        audio::{AudioFormat, Encoding},
        change::{EntrySeq, Recognition},
        channel::{ChannelSetup, Label},
        id::ChannelId,
        language::AllowedLanguages,
        time::SamplePos,
    },
    hearing::service::{Hearings, NewHearing, Parts},
    record::{
        keys::sealer::KeySealer,
        media::service::{AudioJournal, Settings as JournalSettings},
        store::sqlite::SqliteStore,
    },
    speech::{asr::scripted::Pace, front::FrontConfig, stream::endpoint::EndpointConfig},
};

use crate::{
    journals, server,
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// Seconds of audio of a case.
const SECONDS: u64 = 2;

/// One message: of which channel, how far back it begins, how far on it goes, in thousandths of a second, and whether it
/// says where it begins.
type Message = (usize, u64, u64, bool);

pub(crate) async fn run(scale: Scale) -> Tally {
    let mut tally = Tally::default();
    let cases = scale.of(1_000, 60);
    let ran = tokio::task::spawn_blocking(move || held(scale.seed, cases)).await;
    tally.count("ways to send the same", cases, if let Ok(Ok(())) = &ran { cases } else { 0 });
    match ran {
        Ok(Ok(())) => {}
        Ok(Err(counterexample)) => tally.note(counterexample),
        Err(ended) => tally.note(ended.to_string()),
    }
    tally
}

fn held(seed: u64, cases: u64) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let hearings = hearings(&folder);
    let voices = sound::four(seed ^ 9, SECONDS);
    let config = Config { cases: u32::try_from(cases).unwrap(), failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let message = (0..4_usize, 0..400_u64, 1..400_u64, proptest::bool::ANY);
    let messages = collection::vec(message, 1..40);
    let handle = tokio::runtime::Handle::current();
    let outcome = runner.run(&messages, |messages| handle.block_on(sent(&hearings, &folder, &voices, &messages)));
    outcome.map_err(|error| error.to_string())
}

/// Sends as the messages say, then what is left; holds what is stored against what was said.
async fn sent(
    hearings: &Arc<Hearings>,
    folder: &TempDir,
    voices: &[Voice],
    messages: &[Message],
) -> Result<(), TestCaseError> {
    let fail = |error: &dyn std::error::Error| TestCaseError::fail(server::told(error));
    let channels = voices.iter().map(setup).collect();
    let new = NewHearing { reference: String::new(), channels, recognition: Recognition::Live, imported: None };
    let (hearing, _) = hearings.open(new, by()).await.map_err(|e| fail(&e))?;
    let mut stream = hearings.stream(hearing, "", by()).await.map_err(|e| fail(&e))?;
    let mut next = [0; 4];
    for (index, back, on, says) in messages {
        let voice = &voices[*index];
        let at = |thousandths: u64| thousandths * voice.rate() / 1_000;
        let start = if *says { next[*index] - at(*back).min(next[*index]) } else { next[*index] };
        let end = (start + at(*on)).clamp(start, voice.length);
        let first = says.then_some(SamplePos::new(start));
        stream.audio.audio(voice.number, first, &voice.bytes(start, end)).await.map_err(|e| fail(&e))?;
        next[*index] = next[*index].max(end);
    }
    for (voice, next) in voices.iter().zip(next) {
        let rest = voice.bytes(next, voice.length);
        if !rest.is_empty() {
            stream.audio.audio(voice.number, None, &rest).await.map_err(|e| fail(&e))?;
        }
    }
    stream.audio.finish().await.map_err(|e| fail(&e))?;
    hearings.close(hearing, by()).await.map_err(|e| fail(&e))?;
    let (_, entries) = hearings.read(hearing, EntrySeq::START, 1_000).await.map_err(|e| fail(&e))?;
    prop_assert!(entries.iter().all(|entry| entry.change.name() != "audio_conflict"), "the same was taken for other");
    let lengths: Vec<u64> = voices.iter().map(|v| v.length).collect();
    journals::hold(folder.path(), &hearing.to_string(), voices, &lengths);
    Ok(())
}

fn hearings(folder: &TempDir) -> Arc<Hearings> {
    let engine = server::engine(&server::Settings::under(folder.path().to_owned()), &Arc::new(Pace::default()));
    // Synced soon: no case is to wait for it.
    let keys = vivavoce::app::keys(folder.path());
    let sealer = Arc::new(KeySealer::new(Arc::clone(&keys)));
    let journal = JournalSettings {
        sync_every: std::time::Duration::from_millis(2),
        ..JournalSettings::under(folder.path().join("audio"), keys)
    };
    Arc::new(Hearings::new(Parts {
        store: Arc::new(SqliteStore::open(&folder.path().join("record.sqlite"), sealer).unwrap()),
        journal: AudioJournal::start(journal).unwrap(),
        recognizer: Arc::clone(&engine.recognizer),
        pool: Arc::clone(&engine.pool),
        detectors: Arc::clone(&engine.detectors),
        front: FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: 0 },
        glossary: None,
        max_streams: 4,
        world: Arc::new(SystemWorld),
        metrics: Arc::clone(&engine.metrics),
    }))
}

fn by() -> Actor {
    Actor { kind: ActorKind::Program, id: "trial".to_owned() }
}

fn setup(voice: &Voice) -> ChannelSetup {
    let encodings = [Encoding::PcmS16Le, Encoding::MuLaw, Encoding::PcmS24Le, Encoding::PcmF32Le];
    let encoding = encodings[voice.number as usize - 1];
    ChannelSetup {
        id: ChannelId::new(u8::try_from(voice.number).unwrap()).unwrap(),
        label: Label::try_from("a seat".to_owned()).unwrap(),
        languages: AllowedLanguages::only("en".parse().unwrap()),
        format: AudioFormat { encoding, rate: voice.format.sample_rate_hz.try_into().unwrap() },
    }
}
