//! Does all that is ours around the engine cost at most 1 % of one core for each live channel?
//!
//! Ours: decoding, level, resampling, cutting into utterances, the audio journal with its syncs, times and doubts of each
//! segment, the record. The speech detector is stated apart. The engine is replaced by a scripted one on a thread of its
//! own whose time is left out. First each stage alone, then whole hearings: at the speed of speech, which is what the verdict
//! stands on, and as fast as they go.
//!
//! `cargo bench --profile release --bench overhead`. `VIVAVOCE_SPEECH` names the folder of recordings
//! (`court/court-fr-en.wav` is used), `VIVAVOCE_MODELS` the store with `ggml-silero-v6.2.0.bin`; each has a stand-in, and
//! the output says so. Time is the processor's, not the clock's, as Linux counts it for each thread.
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use vivavoce::{
    domain::{
        actor::{Actor, ActorKind, Attribution, Purpose},
        audio::{AudioFormat, Encoding},
        change::{Change, IntervalClass, Recognition},
        channel::{ChannelSetup, Label},
        engine::{EngineInfo, Sha256Hash},
        hypothesis::{HeardWord, Hypothesis, Told},
        id::{ChannelId, HearingId, SegmentId},
        language::AllowedLanguages,
        probability::Probability,
        segment::{Segment, Word},
        time::{SamplePos, SampleRate, TICKS_PER_SECOND, Tick, TickSpan},
    },
    hearing::{
        service::{Detectors, Hearings, NewHearing, Parts},
        world::World,
    },
    record::{
        keys::{KeyStore, sealer::KeySealer},
        media::{
            service::{AudioJournal, Settings},
            writer::Opening,
        },
        store::{RecordStore, sqlite::SqliteStore},
    },
    speech::{
        asr::{
            Lead, Pass, Recognizer,
            pool::{Pool, Slots},
            scripted::Scripted,
        },
        audio::{crosstalk, file::AudioFile, format, level::LevelMeter, resample::Resampler},
        confidence::{Sound, judge},
        front::{Front, FrontConfig, Heard, HeardUtterance},
        stream::{
            endpoint::EndpointConfig,
            session::{Action, Session},
        },
        timing::{lay_on_speech, spoken},
        vad::{FRAME, SpeechDetector, detector::ChannelDetector, model::SileroModel},
    },
    telemetry::Metrics,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The most that may be spent on a channel, in microseconds a second of audio: 1 % of a core.
const LIMIT: f64 = 10_000.0;
/// Milliseconds of speech between partials: the product's own setting.
const PARTIAL_STEP_MS: u32 = 1_000;
/// Seconds of audio that each stage alone is measured on.
const STAGE_SECONDS: usize = 120;
/// Seconds of a hearing at the speed of speech.
const LIVE_SECONDS: usize = 20;
/// Microseconds of work that make a figure: Linux counts a running thread's time in steps of up to 4 ms.
const LONG_ENOUGH: f64 = 200_000.0;
/// Times that the segments are appended, for the same reason.
const RECORD_PASSES: usize = 20;

fn main() -> Outcome<()> {
    let (speech, detectors) = (speech()?, detectors()?);
    let cases = [
        case("16 kHz s16", Encoding::PcmS16Le, 16_000, &speech)?,
        case("8 kHz mu-law", Encoding::MuLaw, 8_000, &speech)?,
        case("48 kHz s24", Encoding::PcmS24Le, 48_000, &speech)?,
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let vad = vad_cost(&speech, &detectors);
    println!("\neach stage alone                     µs a second of audio   share of a core");
    line("speech detector, stated apart", vad);
    line("a channel beside one other, compared", compare_cost(&speech)?);
    for case in &cases {
        println!("{}", case.name);
        stages(case, &detectors, &runtime)?;
    }
    let replay = replay(&speech, &detectors);
    println!("\nwhole hearings: µs a second of audio and channel");
    println!(
        "channels                              tasks   journal   record     ours   of a core   segments   (engine)"
    );
    let live = Some(Duration::from_millis(100));
    let mut ours = Vec::new();
    for (case, channels) in [(&cases[0], 1), (&cases[1], 1), (&cases[2], 1), (&cases[0], 4), (&cases[0], 16)] {
        ours.push(hearing(case, channels, live, &replay, &runtime)?);
    }
    for channels in [1, 16] {
        hearing(&cases[0], channels, None, &replay, &runtime)?;
    }
    println!("the same with the detector");
    let with: Vec<f64> =
        [1, 16].into_iter().map(|n| hearing(&cases[0], n, live, &detectors, &runtime)).collect::<Outcome<_>>()?;
    println!("\nthe detector at the speed of speech: {:.2} % of a core alone,", (with[0] - ours[0]) / 1e4);
    println!("{:.2} % a channel where there are 16", (with[1] - ours[4]) / 1e4);
    let worst = ours.into_iter().fold(0.0, f64::max);
    let verdict = if worst <= LIMIT { "within" } else { "OVER" };
    println!(
        "ours at the speed of speech: at most {:.2} % of a core a channel, {verdict} the limit of 1 %",
        worst / 1e4
    );
    Ok(())
}

fn line(name: &str, micros: f64) {
    println!("  {name:<34} {micros:>20.0} {:>15.3} %", micros / 1e4);
}

/// One way of sending the same speech.
struct Case {
    name: &'static str,
    format: AudioFormat,
    /// [`STAGE_SECONDS`] of it.
    bytes: Vec<u8>,
}

impl Case {
    fn samples_a_message(&self) -> usize {
        usize::try_from(self.format.rate.hz() / 10).unwrap_or(1)
    }

    /// Messages of 100 ms.
    fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.samples_a_message() * self.format.encoding.bytes_per_sample())
    }

    fn setup(&self, number: u8) -> Outcome<ChannelSetup> {
        Ok(ChannelSetup {
            id: ChannelId::new(number).ok_or("channel")?,
            label: Label::try_from("witness".to_owned())?,
            languages: AllowedLanguages::only("fr".parse()?),
            format: self.format,
        })
    }
}

/// The speech at another rate, by the nearest sample: what it costs does not depend on how it sounds.
fn case(name: &'static str, encoding: Encoding, hz: u32, speech: &[f32]) -> Outcome<Case> {
    let count = STAGE_SECONDS * usize::try_from(hz)?;
    let nearest = |n: usize| speech[n * speech.len() / count];
    let mut bytes = Vec::new();
    format::encode(encoding, &(0..count).map(nearest).collect::<Vec<_>>(), &mut bytes);
    Ok(Case { name, format: AudioFormat { encoding, rate: SampleRate::try_from(hz)? }, bytes })
}

/// [`STAGE_SECONDS`] of speech with its pauses at 16 kHz.
fn speech() -> Outcome<Vec<f32>> {
    let wanted = STAGE_SECONDS * 16_000;
    let Some(folder) = std::env::var_os("VIVAVOCE_SPEECH").map(PathBuf::from) else {
        println!("signal: generated bursts, since VIVAVOCE_SPEECH is not set; a hearing has fewer words to carry then");
        let bursts = (0..wanted).map(|n| {
            let noise = (n.wrapping_mul(2_654_435_761) % 65_536) as f32 / 32_768.0 - 1.0;
            if n / 16_000 % 5 < 3 { noise * 0.3 } else { 0.0 }
        });
        return Ok(bursts.collect());
    };
    let mut file = AudioFile::open(&folder.join("court/court-fr-en.wav"))?;
    let (encoding, mut resampler) = (file.encoding(), Resampler::new(file.rate())?);
    let (mut ticks, mut samples) = (Vec::new(), Vec::new());
    let mut channels = vec![Vec::new(); file.channels()];
    while let Some(block) = file.next_block()? {
        channels.iter_mut().for_each(Vec::clear);
        format::deinterleave(encoding, &block.bytes, &mut channels)?;
        samples.clear();
        format::decode(encoding, &channels[0], &mut samples)?;
        resampler.push(&samples, &mut ticks);
    }
    println!("signal: court/court-fr-en.wav, channel 1, over again for {STAGE_SECONDS} s");
    Ok(ticks.into_iter().cycle().take(wanted).collect())
}

/// Speech is what is loud: the stand-in where the model is not there.
struct Loudness;

impl SpeechDetector for Loudness {
    fn push(&mut self, frame: &[f32; FRAME]) -> Probability {
        Probability::clamped(frame.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())) * 20.0)
    }
    fn reset(&mut self) {}
}

/// Says again what a detector said of the same speech, at no cost: so the rest can be measured by itself.
struct Replay {
    said: Arc<[Probability]>,
    next: usize,
}

impl SpeechDetector for Replay {
    fn push(&mut self, _: &[f32; FRAME]) -> Probability {
        self.next += 1;
        self.said[(self.next - 1) % self.said.len()]
    }
    fn reset(&mut self) {
        self.next = 0;
    }
}

fn replay(speech: &[f32], detectors: &Detectors) -> Detectors {
    let mut detector = detectors();
    let said: Arc<[Probability]> = speech.as_chunks::<FRAME>().0.iter().map(|frame| detector.push(frame)).collect();
    Arc::new(move || Box::new(Replay { said: Arc::clone(&said), next: 0 }))
}

fn detectors() -> Outcome<Detectors> {
    let file = std::env::var_os("VIVAVOCE_MODELS").map(|f| PathBuf::from(f).join("ggml-silero-v6.2.0.bin"));
    let Some(file) = file.filter(|f| f.exists()) else {
        println!("detector: loudness, since VIVAVOCE_MODELS names no store with ggml-silero-v6.2.0.bin");
        return Ok(Arc::new(|| Box::new(Loudness)));
    };
    let model = Arc::new(SileroModel::parse(&fs::read(file)?)?);
    println!("detector: Silero v6.2");
    Ok(Arc::new(move || Box::new(ChannelDetector::new(Arc::clone(&model)))))
}

/// Processor time of this thread, in microseconds.
fn my_time() -> f64 {
    time_in(Path::new("/proc/thread-self"))
}

fn time_in(task: &Path) -> f64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e3
}

/// Processor time of each thread that lives, by its number in /proc, with its name.
type Threads = HashMap<OsString, (String, f64)>;

fn threads() -> Outcome<Threads> {
    let mut threads = Threads::new();
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        // One that ends just now has done nothing that is measured.
        let Ok(name) = fs::read_to_string(task.path().join("comm")) else { continue };
        threads.insert(task.file_name(), (name.trim().to_owned(), time_in(&task.path())));
    }
    Ok(threads)
}

/// Microseconds a second of audio: the journal's threads, the record's, the engine's, the rest.
#[derive(Clone, Copy, Default)]
struct Times {
    journal: f64,
    record: f64,
    engine: f64,
    rest: f64,
}

impl Times {
    /// What was spent since `before`, over `seconds` of audio.
    fn since(before: &Threads, seconds: f64) -> Outcome<Self> {
        let mut times = Self::default();
        for (number, (name, now)) in threads()? {
            let place = match name.as_str() {
                name if name.starts_with("audio-") => &mut times.journal,
                "record" => &mut times.record,
                name if name.starts_with("asr-") => &mut times.engine,
                _ => &mut times.rest,
            };
            *place += (now - before.get(&number).map_or(0.0, |(_, then)| *then)) / seconds;
        }
        Ok(times)
    }

    /// All but the engine.
    const fn ours(self) -> f64 {
        self.journal + self.record + self.rest
    }
}

/// What `work` takes of this thread, in microseconds a second of audio, over as many passes as fill [`LONG_ENOUGH`].
fn cost_of(mut work: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let (began, mut passes) = (my_time(), 0_u32);
    while my_time() - began < LONG_ENOUGH {
        work()?;
        passes += 1;
    }
    Ok((my_time() - began) / f64::from(passes) / STAGE_SECONDS as f64)
}

fn vad_cost(speech: &[f32], detectors: &Detectors) -> f64 {
    let (frames, _) = speech.as_chunks::<FRAME>();
    let cost = cost_of(|| {
        let mut detector = detectors();
        for frame in frames {
            black_box(detector.push(frame));
        }
        Ok(())
    });
    cost.unwrap_or(f64::NAN)
}

/// Of two channels that both hear somebody, a second of both.
fn compare_cost(speech: &[f32]) -> Outcome<f64> {
    let span = TickSpan::starting(Tick::ZERO, STAGE_SECONDS as u64 * TICKS_PER_SECOND);
    cost_of(|| {
        black_box(crosstalk::compare(speech, &speech[160..], Tick::ZERO, span));
        Ok(())
    })
}

fn stages(case: &Case, detectors: &Detectors, runtime: &tokio::runtime::Runtime) -> Outcome<()> {
    let utterances = utterances(case, detectors)?;
    let costs = [
        ("decode, level, resample", cost_of(|| sound_stage(case))?),
        ("cut into utterances and partials", session_cost(case, detectors)?),
        ("journal, synced each 200 ms", runtime.block_on(journal_cost(case))?),
        ("times and doubts of segments", cost_of(|| segments(case, &utterances).map(|_| ()))?),
        ("record, each segment synced", runtime.block_on(record_cost(case, &utterances))?),
    ];
    for (name, cost) in costs {
        line(name, cost);
    }
    line("sum", costs.iter().map(|(_, cost)| cost).sum());
    Ok(())
}

fn sound_stage(case: &Case) -> Outcome<()> {
    let (mut resampler, mut meter) = (Resampler::new(case.format.rate)?, LevelMeter::new());
    let (mut samples, mut ticks) = (Vec::new(), Vec::new());
    for message in case.messages() {
        samples.clear();
        ticks.clear();
        format::decode(case.format.encoding, message, &mut samples)?;
        meter.push(&samples);
        resampler.push(&samples, &mut ticks);
        black_box(&ticks);
    }
    Ok(())
}

fn front_config() -> FrontConfig {
    FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: PARTIAL_STEP_MS }
}

fn utterances(case: &Case, detectors: &Detectors) -> Outcome<Vec<HeardUtterance>> {
    let mut front = Front::new(case.format, SamplePos::ZERO, &front_config(), detectors())?;
    let mut heard = Vec::new();
    for message in case.messages() {
        heard.extend(front.push(message)?);
        front.partial_done();
    }
    heard.extend(front.finish());
    Ok(heard.into_iter().filter_map(|h| if let Heard::Ended(u) = h { Some(*u) } else { None }).collect())
}

fn session_cost(case: &Case, detectors: &Detectors) -> Outcome<f64> {
    let (mut resampler, mut samples, mut ticks) = (Resampler::new(case.format.rate)?, Vec::new(), Vec::new());
    format::decode(case.format.encoding, &case.bytes, &mut samples)?;
    resampler.push(&samples, &mut ticks);
    let (frames, _) = ticks.as_chunks::<FRAME>();
    let mut detector = detectors();
    let speech: Vec<Probability> = frames.iter().map(|f| detector.push(f)).collect();
    cost_of(|| {
        let mut session = Session::new(EndpointConfig::default(), PARTIAL_STEP_MS)?;
        for (frame, speech) in frames.iter().zip(&speech) {
            for action in session.push(frame, *speech) {
                if matches!(action, Action::Partial(_)) {
                    session.partial_done();
                }
                black_box(action);
            }
        }
        Ok(())
    })
}

/// Keys under `folder`, drawn from the system's random source.
fn keys(folder: &Path) -> Arc<KeyStore> {
    let chance = |bytes: &mut [u8]| getrandom::fill(bytes).expect("the system has a random source");
    Arc::new(KeyStore::under(folder.join("keys"), Box::new(chance)))
}

async fn journal_cost(case: &Case) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let journal = AudioJournal::start(Settings::under(folder.path().to_owned(), keys(folder.path())))?;
    let opening = Opening {
        hearing: HearingId::new(uuid::Uuid::from_u128(1)),
        channel: ChannelId::new(1).ok_or("channel")?,
        format: case.format,
        acknowledged: SamplePos::ZERO,
        nonce_prefix: [0; 16],
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let (channel, _) = journal.open(opening).await?;
    let (before, mut next) = (threads()?, SamplePos::ZERO);
    for (number, message) in case.messages().enumerate() {
        next = channel.append(next, IntervalClass::Open, message.to_vec()).await?;
        if number % 2 == 1 {
            channel.sync().await?;
        }
    }
    let cost = Times::since(&before, STAGE_SECONDS as f64)?.ours();
    journal.stop().await;
    Ok(cost)
}

/// Words of 400 ms without pauses: 2.5 a second, a quick speaker.
fn hypothesis(heard: &HeardUtterance) -> Outcome<Hypothesis> {
    const WORD: u64 = 6_400;
    let window = heard.utterance.span;
    let word = |n: u64| HeardWord {
        text: "témoignage".to_owned(),
        spaced: true,
        span: TickSpan::starting(Tick::new(window.start().index() + n * WORD), WORD),
        score: Probability::clamped(0.87),
    };
    Ok(Hypothesis {
        window,
        language: "fr".parse()?,
        language_posterior: None,
        words: (0..window.len() / WORD).map(word).collect(),
        allowed_share: None,
        no_speech: Probability::clamped(0.1),
        mean_logprob: -0.3,
        told: Told::Nothing,
        then: Vec::new(),
        posteriors: Vec::new(),
    })
}

/// As `hearing::live` composes them.
fn segments(case: &Case, utterances: &[HeardUtterance]) -> Outcome<Vec<Segment>> {
    let (setup, rate) = (case.setup(1)?, case.format.rate);
    let engine = EngineInfo {
        engine: "whisper.cpp".to_owned(),
        engine_version: "1.8.3".to_owned(),
        model: "base".to_owned(),
        model_sha256: Sha256Hash::new([7; 32]),
        device: "cpu".to_owned(),
        parameters: "{}".to_owned(),
    };
    let compose = |(number, heard): (usize, &HeardUtterance)| -> Outcome<Segment> {
        let (utterance, mut hypothesis) = (&heard.utterance, hypothesis(heard)?);
        lay_on_speech(&mut hypothesis, &utterance.speech);
        let sound = Sound {
            span: utterance.span,
            speech: &utterance.speech,
            level: heard.level,
            languages: &setup.languages,
            told: &Lead::NOTHING,
            missing: heard.missing,
        };
        let judgement = judge(&hypothesis, &sound);
        let word = |w: HeardWord| Word { text: w.text, spaced: w.spaced, span: rate.span_at(w.span), score: w.score };
        Ok(Segment {
            id: SegmentId::new(uuid::Uuid::from_u128(number as u128)),
            channel: setup.id,
            rate,
            span: rate.span_at(utterance.span),
            speech: spoken(&utterance.speech, utterance.span).into_iter().map(|s| rate.span_at(s)).collect(),
            language: hypothesis.language,
            language_posterior: None,
            words: hypothesis.words.into_iter().map(word).collect(),
            flags: judgement.flags,
            captions: judgement.captions,
            leaning: None,
            uncompared: false,
            replaced: None,
            glossary: None,
            engine: engine.clone(),
        })
    };
    utterances.iter().enumerate().map(compose).collect()
}

fn actor() -> Actor {
    Actor { kind: ActorKind::Service, id: "bench".to_owned() }
}

async fn record_cost(case: &Case, utterances: &[HeardUtterance]) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(&folder.path().join("record.sqlite"), Arc::new(KeySealer::new(keys(folder.path()))))?;
    let hearing = HearingId::new(uuid::Uuid::from_u128(1));
    let by = || Attribution { actor: actor(), purpose: Purpose::Collection, at: jiff::Timestamp::UNIX_EPOCH };
    let opened = Change::HearingOpened {
        reference: String::new(),
        channels: vec![case.setup(1)?],
        resume: None,
        recognition: Recognition::Live,
        imported: None,
    };
    store.append(hearing, opened, by()).await?;
    let segments = segments(case, utterances)?;
    let before = threads()?;
    for segment in std::iter::repeat_n(&segments, RECORD_PASSES).flatten() {
        store.append(hearing, Change::SegmentCommitted { segment: Box::new(segment.clone()) }, by()).await?;
    }
    let cost = Times::since(&before, (STAGE_SECONDS * RECORD_PASSES) as f64)?.ours();
    store.close().await?;
    Ok(cost)
}

/// A clock that stands and dice that count.
#[derive(Debug, Default)]
struct Still(AtomicU64);

impl World for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn steady(&self) -> Duration {
        Duration::ZERO
    }
    fn draw_id(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
    fn draw_bytes(&self) -> [u8; 16] {
        [0; 16]
    }
}

fn service(folder: &Path, detectors: &Detectors) -> Outcome<(Arc<Hearings>, Arc<SqliteStore>)> {
    let recognizer: Arc<dyn Recognizer> = Arc::new(Scripted::new(&["well", "the", "door", "was", "open"]));
    let keys = keys(folder);
    let sealer = Arc::new(KeySealer::new(Arc::clone(&keys)));
    let store = Arc::new(SqliteStore::open(&folder.join("record.sqlite"), sealer)?);
    let hearings = Arc::new(Hearings::new(Parts {
        store: Arc::clone(&store) as Arc<dyn RecordStore>,
        journal: AudioJournal::start(Settings::under(folder.join("audio"), keys))?,
        pool: Arc::new(Pool::start(&recognizer, Slots::default(), Arc::new(|_: Pass, _, _| {}))?),
        recognizer,
        detectors: Arc::clone(detectors),
        front: front_config(),
        glossary: None,
        max_streams: 1,
        world: Arc::new(Still::default()),
        metrics: Arc::new(Metrics::new()),
    }));
    Ok((hearings, store))
}

/// A whole hearing, a message of each channel every `pace`, or as fast as it goes. Gives what all but the engine took.
fn hearing(
    case: &Case,
    channels: u8,
    pace: Option<Duration>,
    detectors: &Detectors,
    runtime: &tokio::runtime::Runtime,
) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let (hearings, store) = service(folder.path(), detectors)?;
    let seconds = if pace.is_some() { LIVE_SECONDS } else { STAGE_SECONDS };
    let before = threads()?;
    let segments = runtime.block_on(stream(&hearings, case, channels, seconds, pace))?;
    let spent = Times::since(&before, seconds as f64 * f64::from(channels))?;
    runtime.block_on(store.close())?;
    let ours = spent.ours();
    println!(
        "{channels:>2} {:<12} {:<18} {:>8.0} {:>9.0} {:>8.0} {ours:>8.0} {:>9.3} % {segments:>10} {:>10.0}",
        case.name,
        if pace.is_some() { "at speech's speed" } else { "as fast as it goes" },
        spent.rest,
        spent.journal,
        spent.record,
        ours / 1e4,
        spent.engine
    );
    Ok(ours)
}

async fn stream(
    hearings: &Arc<Hearings>,
    case: &Case,
    channels: u8,
    seconds: usize,
    pace: Option<Duration>,
) -> Outcome<usize> {
    let setups = (1..=channels).map(|number| case.setup(number)).collect::<Outcome<Vec<_>>>()?;
    let new = NewHearing { reference: String::new(), channels: setups, recognition: Recognition::Live, imported: None };
    let (hearing, _token) = hearings.open(new, actor()).await?;
    let live = hearings.stream(hearing, "", actor()).await?;
    let mut audio = live.audio;
    let mut clock = tokio::time::interval(pace.unwrap_or(Duration::from_millis(1)));
    for message in case.messages().take(seconds * 10) {
        if pace.is_some() {
            clock.tick().await;
        }
        for number in 1..=channels {
            audio.audio(number.into(), None, message).await?;
        }
    }
    let end = audio.finish().await?;
    for (mut channel, (_, end)) in live.channels.into_iter().zip(end) {
        channel.settled.wait_for(|at| *at >= end).await?;
    }
    let (_, entries) = hearings.read(hearing, vivavoce::domain::change::EntrySeq::START, 10_000).await?;
    Ok(entries.iter().filter(|e| matches!(e.change, Change::SegmentCommitted { .. })).count())
}
