//! Recorders of two microphones, and what becomes of what they capture.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tokio::sync::mpsc;
use vivavoce::{
    api::{
        grpc::heard::ClientEvent,
        recorder::{
            self, Captured, Clock, Ending, RecorderEvent, RecorderParts, RecorderSettings, RuntimeClock, Source,
            keeper::Keeper,
            spool::{Spool, SpoolSettings},
        },
    },
    app::SystemWorld,
    domain::{
        audio::{AudioFormat, Encoding},
        channel::{ChannelSetup, Label},
        id::{ChannelId, HearingId},
        language::AllowedLanguages,
    },
    speech::audio::format::encode,
};

use super::scripted::{RATE, ScriptedServer, Voice};

/// Channels of the hearings here.
pub(crate) const CHANNELS: usize = 2;

/// Over this nothing here takes, unless it hangs.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(120);

/// What was done and found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Faults that happened.
    pub(crate) faults: u64,
    /// Frames of the hearing.
    pub(crate) frames: u64,
    /// Final texts of it, all as in the undisturbed run.
    pub(crate) texts: usize,
}

pub(crate) fn channels() -> Vec<ChannelSetup> {
    let format = AudioFormat { encoding: Encoding::MuLaw, rate: RATE.try_into().unwrap() };
    let channel = |number: usize| ChannelSetup {
        id: ChannelId::new(u8::try_from(number).unwrap()).unwrap(),
        label: Label::try_from(format!("seat {number}")).unwrap(),
        languages: AllowedLanguages::only("en".parse().unwrap()),
        format,
    };
    (1..=CHANNELS).map(channel).collect()
}

/// A final text as a recorder was told it: entry, channel, text.
pub(crate) type Told = (u64, u8, String);

/// All that it was told.
pub(crate) type Finals = Arc<Mutex<Vec<Told>>>;

/// Where a spool is.
pub(crate) fn spool_in(folder: &Path, limit: u64) -> SpoolSettings {
    SpoolSettings { folder: folder.to_owned(), key: None, limit }
}

/// A microphone's recorder.
pub(crate) fn recorder_of(
    spool: Spool,
    server: String,
    capture: mpsc::Receiver<Captured>,
    clock: Arc<dyn Clock>,
) -> (RecorderParts, RecorderSettings) {
    let bound = spool.bound().cloned();
    let keeper = Keeper::start(spool).unwrap();
    let settings = RecorderSettings {
        server,
        reference: String::new(),
        imported: None,
        partials: false,
        results_after: 0,
        source: Source::Live,
        ending: Ending::Close,
        insist: true,
    };
    (RecorderParts { keeper, bound, capture, world: Arc::new(SystemWorld), clock }, settings)
}

/// Records what so many channels capture; gives the hearing.
pub(crate) async fn record(
    server: String,
    folder: PathBuf,
    count: usize,
    capture: mpsc::Receiver<Captured>,
    clock: Arc<dyn Clock>,
    finals: Finals,
) -> HearingId {
    let channels = channels().into_iter().take(count).collect();
    let spool = Spool::create(&spool_in(&folder, u64::MAX), channels, None, Arc::new(SystemWorld)).unwrap();
    let (parts, settings) = recorder_of(spool, server, capture, clock);
    let mut show = |event: &RecorderEvent<'_>| match event {
        RecorderEvent::Heard(ClientEvent::Final(text)) if !text.revised => {
            let channel = u8::try_from(text.channel).unwrap();
            finals.lock().unwrap().push((text.seq, channel, text.text.clone()));
        }
        RecorderEvent::Full(_) | RecorderEvent::Ahead { .. } | RecorderEvent::Gap { .. } => panic!("{event:?}"),
        RecorderEvent::Heard(_) | RecorderEvent::Opened { .. } | RecorderEvent::Broken { .. } => {}
    };
    recorder::run(parts, settings, &mut show).await.unwrap().hearing.parse().unwrap()
}

/// The voices of a hearing.
pub(crate) fn voices(seed: u64) -> Vec<Voice> {
    (0..CHANNELS as u64).map(|n| Voice::new(seed ^ n << 32)).collect()
}

/// The next frames of the voices, interleaved, as mu-law.
pub(crate) fn sound(voices: &mut [Voice], frames: u64) -> Vec<u8> {
    let mut samples = Vec::new();
    for _ in 0..frames {
        samples.extend(voices.iter_mut().map(Voice::next));
    }
    let mut bytes = Vec::new();
    encode(Encoding::MuLaw, &samples, &mut bytes);
    bytes
}

/// Streams the same audio without a fault and compares what is stored and what was heard.
pub(crate) async fn compare(server: &ScriptedServer, hearing: HearingId, bytes: &[u8], faults: u64) -> Verdict {
    compare_some(server, hearing, (CHANNELS, bytes), faults).await
}

/// The same for the `bytes` of so many channels.
pub(crate) async fn compare_some(
    server: &ScriptedServer,
    hearing: HearingId,
    (count, bytes): (usize, &[u8]),
    faults: u64,
) -> Verdict {
    let lanes = |bytes: &[u8]| -> Vec<Vec<u8>> {
        (0..count).map(|lane| bytes.iter().skip(lane).step_by(count).copied().collect()).collect()
    };
    assert!(server.stored() == lanes(bytes), "every sample that was captured is there, once");
    let undisturbed = ScriptedServer::start().await;
    let folder = TempDir::new().unwrap();
    let (capture, input) = mpsc::channel(4);
    let recording = tokio::spawn(record(
        undisturbed.url(),
        folder.path().to_owned(),
        count,
        input,
        Arc::new(RuntimeClock),
        Finals::default(),
    ));
    for second in bytes.chunks(RATE as usize * count) {
        capture.send(Captured::Interleaved(second.to_vec())).await.unwrap();
    }
    drop(capture);
    let other = recording.await.unwrap();
    assert!(undisturbed.stored() == lanes(bytes));
    let (texts, conflicts, ends) = server.record(hearing).await;
    let expected = undisturbed.record(other).await;
    assert!(!expected.0.is_empty());
    assert_eq!(&texts, &expected.0, "the text is that of the undisturbed run");
    assert_eq!((conflicts, expected.1), (0, 0));
    assert_eq!((ends, expected.2), (count, count), "no break is an end of the input");
    Verdict { faults, frames: (bytes.len() / count) as u64, texts: texts.len() }
}
