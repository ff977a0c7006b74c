//! What does it cost to keep a second of audio, and a segment of text? How soon is a second safe when 200 channels are kept?
//!
//! `cargo bench --bench append`. Figures depend on the disk's sync, so that they are given as medians, with the folder of
//! `TMPDIR` as the disk.
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{Instant as Due, MissedTickBehavior, interval_at};

use vivavoce::{
    domain::{
        actor::{Actor, ActorKind, Attribution, Purpose},
        audio::{AudioFormat, Encoding},
        change::{Change, IntervalClass, Recognition},
        channel::{ChannelSetup, Label},
        engine::{EngineInfo, Sha256Hash},
        id::{ChannelId, HearingId, SegmentId},
        language::AllowedLanguages,
        probability::Probability,
        segment::{CaptionState, Segment, Word},
        time::{SamplePos, SampleRate, Span},
    },
    record::{
        keys::{KeyStore, sealer::KeySealer},
        media::{
            service::{AudioJournal, ChannelJournal, Settings},
            writer::{JournalWriter, Opening},
        },
        store::{RecordStore, sqlite::SqliteStore},
    },
};

/// Samples in 100 ms at 16 kHz.
const CHUNK: u64 = 1_600;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    println!("journal, 16 kHz s16 in chunks of 100 ms");
    written(folder.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for channels in [1, 8, 16] {
        runtime.block_on(through_the_service(folder.path(), channels))?;
    }
    runtime.block_on(capacity(folder.path()))?;
    println!("record, segments of 20 words");
    let store =
        Arc::new(SqliteStore::open(&folder.path().join("record.db"), Arc::new(KeySealer::new(keys(folder.path()))))?);
    runtime.block_on(segments(&store))?;
    Ok(())
}

/// Keys under `folder`, drawn from the system's random source.
fn keys(folder: &Path) -> Arc<KeyStore> {
    let chance = |bytes: &mut [u8]| getrandom::fill(bytes).expect("the system has a random source");
    Arc::new(KeyStore::under(folder.join("keys"), Box::new(chance)))
}

fn opening(hearing: u128, channel: u8) -> Outcome<Opening> {
    Ok(Opening {
        hearing: HearingId::new(uuid::Uuid::from_u128(hearing)),
        channel: ChannelId::new(channel).ok_or("channel")?,
        format: format()?,
        acknowledged: SamplePos::ZERO,
        nonce_prefix: [0; 16],
        now: jiff::Timestamp::UNIX_EPOCH,
    })
}

fn format() -> Outcome<AudioFormat> {
    Ok(AudioFormat { encoding: Encoding::PcmS16Le, rate: SampleRate::try_from(16_000)? })
}

/// The writer alone: format, checksum, hash, write; one sync at the end.
fn written(folder: &Path) -> Outcome<()> {
    const SECONDS: u64 = 600;
    let (mut writer, _) = JournalWriter::open(&folder.join("alone.vvj"), &opening(1, 1)?, &keys(folder))?;
    let chunk = vec![7; 3_200];
    let start = Instant::now();
    for i in 0..SECONDS * 10 {
        writer.append(SamplePos::new(i * CHUNK), IntervalClass::Open, &chunk)?;
    }
    let wrote = start.elapsed();
    let start = Instant::now();
    writer.sync()?;
    println!("  append: {:?} per second of audio; sync of {SECONDS} s: {:?}", per(wrote, SECONDS), start.elapsed());
    drop(writer);
    let start = Instant::now();
    JournalWriter::open(&folder.join("alone.vvj"), &opening(1, 1)?, &keys(folder))?;
    println!("  verify on reopening: {:?} per second of audio", per(start.elapsed(), SECONDS));
    Ok(())
}

/// Through the service with a group sync each 200 ms, as fast as it goes and then one forced sync.
async fn through_the_service(folder: &Path, channels: u8) -> Outcome<()> {
    const SECONDS: u64 = 60;
    let journal = AudioJournal::start(Settings::under(folder.join(channels.to_string()), keys(folder)))?;
    let mut open = Vec::new();
    for number in 1..=channels {
        open.push(journal.open(opening(2, number)?).await?.0);
    }
    let start = Instant::now();
    for i in 0..SECONDS * 10 {
        for channel in &open {
            channel.append(SamplePos::new(i * CHUNK), IntervalClass::Open, vec![7; 3_200]).await?;
        }
    }
    let total = SECONDS * u64::from(channels);
    let wrote = start.elapsed();
    let mut syncs = Vec::new();
    for channel in &open {
        channel.append(SamplePos::new(SECONDS * 16_000), IntervalClass::Open, vec![7; 3_200]).await?;
        let start = Instant::now();
        channel.sync().await?;
        syncs.push(start.elapsed());
    }
    println!(
        "  {channels:2} channels: {:?} per second of audio with group sync; sync of one file: {:?}",
        per(wrote, total),
        median(syncs)
    );
    journal.stop().await;
    Ok(())
}

/// 50 hearings of 4 channels at the speed of speech: how long after the end of each second its position is told as safe.
///
/// Hearings begin at different moments, the channels of one send together. Every message of 100 ms is sent when its last sample
/// was spoken; one that cannot be sent then counts as late.
async fn capacity(folder: &Path) -> Outcome<()> {
    const HEARINGS: u8 = 50;
    const CHANNELS: u8 = 4;
    const SECONDS: u64 = 30;
    let syncs = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::clone(&syncs);
    let synced = Arc::new(move |took| counted.lock().unwrap_or_else(PoisonError::into_inner).push(took));
    let folder = folder.join("capacity");
    let journal = AudioJournal::start(Settings { synced, ..Settings::under(folder.join("audio"), keys(&folder)) })?;
    println!("  load before: {}", fs::read_to_string("/proc/loadavg")?.trim());
    let mut channels = Vec::new();
    for hearing in 0..HEARINGS {
        for number in 1..=CHANNELS {
            channels.push((hearing, journal.open(opening(100 + u128::from(hearing), number)?).await?.0));
        }
    }
    syncs.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let (cpu, start) = (cpu_by_thread()?, Due::now() + Duration::from_millis(500));
    let mut tasks = tokio::task::JoinSet::new();
    for (hearing, channel) in channels {
        let first = start + Duration::from_millis(u64::from(hearing) * 97 % 100);
        tasks.spawn(one_channel(channel, first, SECONDS));
    }
    let mut told = Vec::new();
    while let Some(one) = tasks.join_next().await {
        told.extend(one??);
    }
    let spent = since(&cpu)?;
    told.sort_unstable();
    let part = |share: usize| told.get((told.len() * share / 100).min(told.len() - 1)).copied().unwrap_or_default();
    let mut syncs = std::mem::take(&mut *syncs.lock().unwrap_or_else(PoisonError::into_inner));
    syncs.sort_unstable();
    println!("  {} channels of 16 kHz s16 for {SECONDS} s, a second told as safe after its end:", HEARINGS * CHANNELS);
    println!("    p50 {:?}, p99 {:?}, worst {:?} of {} seconds", part(50), part(99), part(100), told.len());
    println!("    {} syncs, {:?} each in the middle; processor time, % of a core:", syncs.len(), median(syncs.clone()));
    for (name, micros) in spent {
        println!("      {name:<16} {:.1}", micros / (SECONDS as f64 * 1e4));
    }
    println!("  load after: {}", fs::read_to_string("/proc/loadavg")?.trim());
    journal.stop().await;
    Ok(())
}

/// Sends `seconds` of audio from `first` on, at the speed of speech. Gives how long after its end each second was safe.
async fn one_channel(
    channel: ChannelJournal,
    first: Due,
    seconds: u64,
) -> Result<Vec<Duration>, vivavoce::record::media::MediaError> {
    let mut durable = channel.durable();
    let watching = tokio::spawn(async move {
        let mut told = Vec::new();
        for second in 1..=seconds {
            if durable.wait_for(|at| at.index() >= second * 16_000).await.is_err() {
                break;
            }
            told.push(Due::now().duration_since(first + Duration::from_millis(second * 1_000 - 100)));
        }
        told
    });
    let mut due = interval_at(first, Duration::from_millis(100));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for i in 0..seconds * 10 {
        due.tick().await;
        channel.append(SamplePos::new(i * CHUNK), IntervalClass::Open, vec![7; 3_200]).await?;
    }
    Ok(watching.await.unwrap_or_default())
}

/// Processor time of this process so far, in microseconds, by the names of its threads.
fn cpu_by_thread() -> Outcome<BTreeMap<String, f64>> {
    let mut spent = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // One that ends just now is not counted.
        let (Ok(name), Ok(times)) = (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")))
        else {
            continue;
        };
        let nanos: f64 = times.split(' ').next().unwrap_or_default().parse()?;
        *spent.entry(name.trim().to_owned()).or_insert(0.0) += nanos / 1e3;
    }
    Ok(spent)
}

/// What each kind of thread spent since `before`, in microseconds.
fn since(before: &BTreeMap<String, f64>) -> Outcome<BTreeMap<String, f64>> {
    let mut now = cpu_by_thread()?;
    now.iter_mut().for_each(|(name, spent)| *spent -= before.get(name).copied().unwrap_or(0.0));
    Ok(now)
}

async fn segments(store: &Arc<SqliteStore>) -> Outcome<()> {
    let hearing = HearingId::new(uuid::Uuid::from_u128(1));
    let setup = ChannelSetup {
        id: ChannelId::new(1).ok_or("channel")?,
        label: Label::try_from("judge".to_owned())?,
        languages: AllowedLanguages::only("en".parse()?),
        format: format()?,
    };
    let opened = Change::HearingOpened {
        reference: String::new(),
        channels: vec![setup],
        resume: None,
        recognition: Recognition::Live,
        imported: None,
    };
    store.append(hearing, opened, by()).await?;
    let change = Change::SegmentCommitted { segment: Box::new(segment()?) };
    println!("  payload: {} bytes", serde_json::to_vec(&change)?.len());
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        store.append(hearing, change.clone(), by()).await?;
        times.push(start.elapsed());
    }
    println!("  one after another, each synced: {:?} per append", median(times));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (store, change) = (Arc::clone(store), change.clone());
        tasks.spawn(async move {
            for _ in 0..100 {
                store.append(hearing, change.clone(), by()).await?;
            }
            Ok::<_, vivavoce::record::store::RecordError>(())
        });
    }
    for result in tasks.join_all().await {
        result?;
    }
    println!("  16 callers at once, group commit: {:?} per append", per(start.elapsed(), 1_600));
    Ok(store.close().await?)
}

fn segment() -> Outcome<Segment> {
    let word = |i: u64| -> Outcome<Word> {
        Ok(Word {
            text: "testimony".to_owned(),
            spaced: true,
            span: Span::new(SamplePos::new(i * 5_000), SamplePos::new(i * 5_000 + 4_800)).ok_or("span")?,
            score: Probability::clamped(0.87),
        })
    };
    Ok(Segment {
        id: SegmentId::new(uuid::Uuid::from_u128(9)),
        channel: ChannelId::new(1).ok_or("channel")?,
        rate: SampleRate::try_from(16_000)?,
        span: Span::new(SamplePos::ZERO, SamplePos::new(100_000)).ok_or("span")?,
        speech: vec![],
        language: "en".parse()?,
        language_posterior: None,
        words: (0..20).map(word).collect::<Outcome<_>>()?,
        flags: vec![],
        captions: CaptionState::Shown,
        leaning: None,
        uncompared: false,
        replaced: None,
        glossary: None,
        engine: EngineInfo {
            engine: "whisper.cpp".to_owned(),
            engine_version: "1".to_owned(),
            model: "small".to_owned(),
            model_sha256: Sha256Hash::new([0; 32]),
            device: "cpu".to_owned(),
            parameters: "{}".to_owned(),
        },
    })
}

fn by() -> Attribution {
    Attribution {
        actor: Actor { kind: ActorKind::Service, id: "bench".to_owned() },
        purpose: Purpose::Collection,
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn per(time: Duration, parts: u64) -> Duration {
    time.div_f64(f64::from(u32::try_from(parts).unwrap_or(u32::MAX)))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
