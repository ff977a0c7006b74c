//! How many channels does a server record at once, and how soon is a second of audio safe?
//!
//! A whole server (gRPC, journal, record, on the disk that `CAPACITY_DIR` names, else the temporary folder), 50 hearings of
//! four 16 kHz channels that are only recorded, one connection each, messages of 100 ms at the speed of speech. Measured is the
//! time from the end of each second of audio (when its last message is handed to the network) to the message that says that
//! it is on disk.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use vivavoce::{
    api::grpc::{
        Limits, TranscriptionService,
        pb::{
            self, stream_request::Kind as In, stream_response::Kind as Out, transcription_client::TranscriptionClient,
        },
        server,
    },
    app::SystemWorld,
    domain::probability::Probability,
    hearing::service::{Hearings, Parts},
    record::{
        keys::sealer::KeySealer,
        media::service::{AudioJournal, Settings},
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

/// Samples a second, and in a message.
const RATE: u64 = 16_000;
const MESSAGE: u64 = RATE / 10;
const CHANNELS: u32 = 4;

struct Silent;

impl SpeechDetector for Silent {
    fn push(&mut self, _frame: &[f32; FRAME]) -> Probability {
        Probability::ZERO
    }
    fn reset(&mut self) {}
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::vars().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(usual)
}

/// The whole server, its syncs counted.
async fn serve(folder: &std::path::Path, syncs: &Arc<AtomicU64>) -> anyhow::Result<SocketAddr> {
    let keys = vivavoce::app::keys(folder);
    let recognizer: Arc<dyn Recognizer> = Arc::new(Scripted::new(&[]));
    std::fs::create_dir(folder.join("audio"))?;
    let counted = Arc::clone(syncs);
    let synced = Arc::new(move |_took| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let hearings = Arc::new(Hearings::new(Parts {
        store: Arc::new(SqliteStore::open(&folder.join("record.sqlite"), Arc::new(KeySealer::new(Arc::clone(&keys))))?),
        journal: AudioJournal::start(Settings { synced, ..Settings::under(folder.join("audio"), keys) })?,
        pool: Arc::new(Pool::start(&recognizer, Slots::default(), Arc::new(|_, _, _| {}))?),
        recognizer,
        detectors: Arc::new(|| Box::new(Silent)),
        front: FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: 0 },
        glossary: None,
        max_streams: 1_000,
        world: Arc::new(SystemWorld),
        metrics: Arc::new(Metrics::new()),
    }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let service =
        TranscriptionService::new(hearings, Limits { max_message_bytes: 65_536 }, &[], CancellationToken::new());
    server::serve(service, listener, 65_536, CancellationToken::new()).await?;
    Ok(address)
}

/// One recorder: four channels for so many seconds. Gives how long each second of each channel took to be safe.
async fn record(address: SocketAddr, seconds: u64, phase: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut client = TranscriptionClient::connect(format!("http://{address}")).await?;
    let format = pb::AudioFormat { encoding: pb::Encoding::PcmS16le.into(), sample_rate_hz: 16_000 };
    let channel =
        |number| pb::Channel { number, label: String::new(), languages: vec!["en".into()], format: Some(format) };
    let request = pb::OpenHearingRequest {
        channels: (1..=CHANNELS).map(channel).collect(),
        recognition: pb::Recognition::Later.into(),
        ..Default::default()
    };
    let hearing_id = client.open_hearing(request).await?.into_inner().hearing_id;
    let (requests, outbox) = mpsc::channel(64);
    let start = pb::StreamStart { hearing_id: hearing_id.clone(), ..Default::default() };
    requests.send(pb::StreamRequest { kind: Some(In::Start(start)) }).await?;
    let mut responses = client.stream(ReceiverStream::new(outbox)).await?.into_inner();
    let (ends, mut ended) = mpsc::channel::<(u32, u64, Instant)>(4_096);
    let feed = tokio::spawn(async move {
        let mut pace = tokio::time::interval_at(tokio::time::Instant::now() + phase, Duration::from_millis(100));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        for message in 1..=seconds * 10 {
            pace.tick().await;
            for channel in 1..=CHANNELS {
                let sample = |n: u64| i16::try_from((message * MESSAGE + n) * 7_919 % 30_011).unwrap_or(0);
                let samples = (0..MESSAGE).flat_map(|n| sample(n).to_le_bytes()).collect();
                let chunk = pb::AudioChunk { channel, samples, ..Default::default() };
                if message.is_multiple_of(10) {
                    ends.send((channel, message * MESSAGE, Instant::now())).await?;
                }
                requests.send(pb::StreamRequest { kind: Some(In::Audio(chunk)) }).await?;
            }
        }
        anyhow::Ok(())
    });
    let mut waiting: VecDeque<(u32, u64, Instant)> = VecDeque::new();
    let mut took = Vec::new();
    while let Some(response) = responses.message().await? {
        let Some(Out::Stored(stored)) = response.kind else { continue };
        let now = Instant::now();
        while let Ok(end) = ended.try_recv() {
            waiting.push_back(end);
        }
        waiting.retain(|(channel, end, since)| {
            let safe = *channel == stored.channel && *end <= stored.durable_through_sample;
            if safe {
                took.push(now - *since);
            }
            !safe
        });
    }
    feed.await??;
    client.close_hearing(pb::CloseHearingRequest { hearing_id }).await?;
    Ok(took)
}

/// Processor time of this process so far.
fn processor() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

fn main() -> anyhow::Result<()> {
    let (hearings, seconds) = (number("CAPACITY_HEARINGS", 50), number("CAPACITY_SECONDS", 30));
    let folder = match std::env::vars().find(|(key, _)| key == "CAPACITY_DIR") {
        Some((_, place)) => tempfile::tempdir_in(place)?,
        None => tempfile::tempdir()?,
    };
    let syncs = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (began, used) = (Instant::now(), processor()?);
    let mut took = runtime.block_on(async {
        let address = serve(folder.path(), &syncs).await?;
        let mut recorders = tokio::task::JoinSet::new();
        for n in 0..hearings {
            // Courtrooms do not begin on the same tick.
            recorders.spawn(record(address, seconds, Duration::from_millis(200 + n * 37 % 100)));
        }
        let mut took = Vec::new();
        while let Some(recorded) = recorders.join_next().await {
            took.extend(recorded??);
        }
        anyhow::Ok(took)
    })?;
    let (wall, used) = (began.elapsed().as_secs_f64(), processor()? - used);
    took.sort();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = ((took.len() - 1) as f64 * share) as usize;
        took[index].as_millis()
    };
    let expected = hearings * u64::from(CHANNELS) * seconds;
    println!(
        "{} channels in {hearings} hearings, {seconds} s, only recorded; server and recorders in one process",
        hearings * 4
    );
    println!("seconds of audio told to be safe: {} of {expected}", took.len());
    println!(
        "after the second's end: p50 {} ms, p95 {} ms, p99 {} ms, longest {} ms",
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    println!(
        "syncs of audio files: {} ({:.0} a second)",
        syncs.load(Ordering::Relaxed),
        syncs.load(Ordering::Relaxed) as f64 / wall
    );
    println!("processor: {:.0} % of one core", used / wall * 100.0);
    anyhow::ensure!(took.len() as u64 == expected, "not every second was told to be safe");
    Ok(())
}
