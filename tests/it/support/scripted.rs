//! A real server whose engine is scripted: what it hears is a function of the samples alone, at any speed. And sound for it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vivavoce::{
    api::grpc::{Limits, TranscriptionService, server},
    app::SystemWorld,
    domain::{
        change::{Change, EntrySeq},
        id::HearingId,
        probability::Probability,
        time::{SamplePos, Span},
    },
    hearing::service::{Hearings, Parts},
    record::{
        keys::{KeyStore, sealer::KeySealer},
        media::{
            reader::{self, JournalReader},
            service::{AudioJournal, Settings},
        },
        store::sqlite::SqliteStore,
    },
    speech::{
        asr::{
            Recognizer,
            pool::{Pool, Slots},
            scripted::Scripted,
        },
        front::FrontConfig,
        stream::endpoint::EndpointConfig,
        vad::{FRAME, SpeechDetector},
    },
    telemetry::Metrics,
};

use super::server::journals;

/// Samples a second of the sound that is made here.
pub(crate) const RATE: u32 = 8_000;

/// Numbers that look like chance and come again with the same seed (`SplitMix64`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `from` up to, not including, `to`.
    pub(crate) fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// Speech is what is loud.
struct Loudness;

impl SpeechDetector for Loudness {
    fn push(&mut self, frame: &[f32; FRAME]) -> Probability {
        Probability::clamped(frame.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())))
    }
    fn reset(&mut self) {}
}

/// One microphone: somebody speaks for a while, then not. Each sample differs from its neighbours, each half second from
/// the next.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    chance: Chance,
    speaks: bool,
    left: u64,
    loudness: f32,
}

impl Voice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { chance: Chance(seed), speaks: true, left: 0, loudness: 0.0 }
    }

    /// The next sample, full scale at -1 and 1.
    pub(crate) fn next(&mut self) -> f32 {
        if self.left == 0 {
            self.speaks = !self.speaks;
            let tenths = if self.speaks { self.chance.within(3, 60) } else { self.chance.within(3, 30) };
            self.left = tenths * u64::from(RATE) / 10;
        }
        if self.left.is_multiple_of(u64::from(RATE) / 2) || self.loudness == 0.0 {
            self.loudness = self.chance.within(50, 99) as f32 / 100.0;
        }
        self.left -= 1;
        let roughness = self.chance.within(800, 1_001) as f32 / 1_000.0;
        let sign = if (self.left / 16).is_multiple_of(2) { 1.0 } else { -1.0 };
        if self.speaks { sign * roughness * self.loudness } else { sign * roughness * 0.01 }
    }
}

/// What a hearing's record says: channel, first and last sample, text.
pub(crate) type Texts = Vec<(u8, u64, u64, String)>;

/// A server with a scripted engine.
pub(crate) struct ScriptedServer {
    pub(crate) hearings: Arc<Hearings>,
    pub(crate) address: SocketAddr,
    pub(crate) data: PathBuf,
    _folder: Option<TempDir>,
    keys: Arc<KeyStore>,
    _stop: tokio_util::sync::DropGuard,
}

impl ScriptedServer {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        std::fs::create_dir(data.join("audio")).unwrap();
        Self { _folder: Some(folder), ..Self::start_in(data).await }
    }

    /// Starts one with the data folder `data`, which takes up what it finds there.
    pub(crate) async fn start_in(data: PathBuf) -> Self {
        let words: Vec<String> = (0..40).map(|n| format!("word{n}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let recognizer: Arc<dyn Recognizer> = Arc::new(Scripted::new(&words));
        let keys = vivavoce::app::keys(&data);
        let sealer = Arc::new(KeySealer::new(Arc::clone(&keys)));
        let hearings = Arc::new(Hearings::new(Parts {
            store: Arc::new(SqliteStore::open(&data.join("record.sqlite"), sealer).unwrap()),
            journal: AudioJournal::start(Settings::under(data.join("audio"), Arc::clone(&keys))).unwrap(),
            pool: Arc::new(Pool::start(&recognizer, Slots::default(), Arc::new(|_, _, _| {})).unwrap()),
            recognizer,
            detectors: Arc::new(|| Box::new(Loudness)),
            front: FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: 0 },
            glossary: None,
            max_streams: 4,
            world: Arc::new(SystemWorld),
            metrics: Arc::new(Metrics::new()),
        }));
        hearings.recover().await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let limits = Limits { max_message_bytes: 65_536 };
        let service = TranscriptionService::new(Arc::clone(&hearings), limits, &[], stop.clone());
        server::serve(service, listener, 65_536, stop.clone()).await.unwrap();
        Self { hearings, address, data, _folder: None, keys, _stop: stop.drop_guard() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The record's texts by channel and time, how many conflicts it tells of, and how many ends of input.
    pub(crate) async fn record(&self, hearing: HearingId) -> (Texts, usize, usize) {
        let (mut texts, mut conflicts, mut ends, mut after) = (Vec::new(), 0, 0, EntrySeq::START);
        loop {
            let (_, entries) = self.hearings.read(hearing, after, 1_000).await.unwrap();
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in &entries {
                match &entry.change {
                    Change::SegmentCommitted { segment: s } => {
                        texts.push((s.channel.number(), s.span.start().index(), s.span.end().index(), s.text()));
                    }
                    Change::AudioConflict { .. } => conflicts += 1,
                    Change::InputEnded { .. } => ends += 1,
                    _ => {}
                }
            }
        }
        texts.sort();
        (texts, conflicts, ends)
    }

    /// The stored samples of each channel of the only hearing with audio.
    pub(crate) fn stored(&self) -> Vec<Vec<u8>> {
        let read = |path: &PathBuf| {
            reader::verify(path).unwrap();
            let all = Span::new(SamplePos::ZERO, SamplePos::new(u64::MAX)).unwrap();
            let pieces = JournalReader::open(path, &self.keys).unwrap().read_span(all).unwrap();
            pieces.into_iter().flat_map(|p| p.bytes).collect()
        };
        journals(&self.data).iter().map(read).collect()
    }
}
