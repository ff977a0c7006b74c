//! What does it cost to keep a second of audio, and a segment of text?
//!
//! `cargo bench --bench append`. Figures depend on the disk's sync, so that they are given as medians, with the folder of
//! `TMPDIR` as the disk.
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

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
        media::{
            service::{AudioJournal, Settings},
            writer::{JournalWriter, Opening},
        },
        seal::NullSealer,
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
    println!("record, segments of 20 words");
    let store = Arc::new(SqliteStore::open(&folder.path().join("record.db"), Arc::new(NullSealer))?);
    runtime.block_on(segments(&store))?;
    Ok(())
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
    let (mut writer, _) = JournalWriter::open(&folder.join("alone.vvj"), &opening(1, 1)?)?;
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
    JournalWriter::open(&folder.join("alone.vvj"), &opening(1, 1)?)?;
    println!("  verify on reopening: {:?} per second of audio", per(start.elapsed(), SECONDS));
    Ok(())
}

/// Through the service with a group sync each 200 ms, as fast as it goes and then one forced sync.
async fn through_the_service(folder: &Path, channels: u8) -> Outcome<()> {
    const SECONDS: u64 = 60;
    let journal = AudioJournal::start(Settings::under(folder.join(channels.to_string())))?;
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
        language: "en".parse()?,
        language_posterior: None,
        words: (0..20).map(word).collect::<Outcome<_>>()?,
        flags: vec![],
        captions: CaptionState::Shown,
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
