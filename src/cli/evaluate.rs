//! `vivavoce evaluate`: runs the real pipeline over a manifest of recordings with references, and says what it is worth.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::{
    engine_settings_by, recording_profile, runtime, server_settings,
    take::{Take, passing_spool},
    talk,
};
use crate::{
    api::{grpc::heard::ClientEvent, recorder::RecorderEvent},
    app::{Engine, Server, ServerSettings},
    config::Config,
    domain::{
        audio::{AudioFormat, Encoding},
        channel::{ChannelSetup, Label},
        id::ChannelId,
        language::{AllowedLanguages, LanguageTag},
        segment::CaptionState,
    },
    evaluation::{
        render,
        report::{Options, compare},
        table,
    },
    hearing::offline::{Channels, Recording, channel_bytes},
    speech::{audio::file::AudioFile, profile::ProfileName},
};

/// Error rates of the pipeline, or of transcripts made elsewhere, a row a language.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// Tab-separated, first line the columns: `id`, `file`, `language`, `duration_s`, `reference_text`; an id that ends in
    /// .ch1 or .ch2 is that channel of its file, any other takes all channels as one
    pub manifest: PathBuf,
    /// Judge these transcripts instead of running the pipeline: a line is an id, a tab and the text; an id that is missing
    /// counts as an empty answer
    #[arg(long, value_name = "FILE.tsv")]
    pub hypotheses: Option<PathBuf>,
    /// The same of another system: adds the difference with its 95 % interval
    #[arg(long, value_name = "FILE.tsv")]
    pub baseline: Option<PathBuf>,
    /// Where hypotheses.tsv (all text), captions.tsv (what captions would show), report.txt and speed.json (how long it took once
    /// the engine was loaded) go when the pipeline runs
    #[arg(long, default_value = "evaluation-out", value_name = "DIR")]
    pub out: PathBuf,
    /// Stream each recording to a server over gRPC instead of transcribing the file
    #[arg(long)]
    pub stream: bool,
    /// What may be heard where the model does not know a row's language
    #[arg(long, value_delimiter = ',', default_value = "es,fr,en", value_name = "TAG,..")]
    pub otherwise: Vec<LanguageTag>,
    /// Leave out items whose id or file contains this, such as degraded/; may be given more than once
    #[arg(long, value_name = "PART")]
    pub skip: Vec<String>,
    /// Only items whose id or file contains this
    #[arg(long, value_name = "PART")]
    pub only: Option<String>,
    /// How patiently: final, as a hearing's record gets it at once, or archive, as good as the engine can
    #[arg(long, default_value = "final", value_name = "final|archive", value_parser = recording_profile)]
    pub profile: ProfileName,
    /// JSON in place of the table
    #[arg(long)]
    pub json: bool,
    /// The seed of the interval's draws
    #[arg(long, default_value_t = Options::default().seed)]
    pub seed: u64,
}

/// What the pipeline made of an item.
#[derive(Clone, Debug, Default)]
struct Answer {
    /// All text.
    text: String,
    /// What captions would show.
    shown: String,
}

/// A row of the manifest to be run.
struct Item {
    id: String,
    path: PathBuf,
    languages: AllowedLanguages,
    channels: Channels,
    duration: Duration,
}

/// Runs the pipeline where no hypotheses are given, and prints the report.
///
/// # Errors
/// Where a file cannot be read or written, is no such table, or the engine cannot be loaded.
pub fn run(args: &EvaluateArgs, config: &Config) -> anyhow::Result<()> {
    let manifest = read(&args.manifest)?;
    let manifest = match &args.only {
        Some(part) => table::only(&manifest, part),
        None => manifest,
    };
    let hypotheses = match &args.hypotheses {
        Some(path) => read(path)?,
        None => answer(args, config, &manifest)?,
    };
    let baseline = args.baseline.as_deref().map(read).transpose()?;
    let options = Options { skip: args.skip.clone(), seed: args.seed, ..Options::default() };
    let report = compare(&manifest, &hypotheses, baseline.as_deref(), options)?;
    let text = if args.json { format!("{:#}\n", render::to_json(&report)) } else { render::to_text(&report) };
    if args.hypotheses.is_none() {
        write(&args.out.join("report.txt"), &text)?;
    }
    Ok(talk::data(&text)?)
}

/// Runs the pipeline over the manifest; gives the hypotheses and writes them.
fn answer(args: &EvaluateArgs, config: &Config, manifest: &str) -> anyhow::Result<String> {
    talk::log_quietly(config)?;
    let engine = Engine::load(&engine_settings_by(config, talk::quiet(config), args.profile))?;
    let items = items(args, manifest, &engine)?;
    let bar = ProgressBar::new(items.len() as u64);
    let begun = Instant::now();
    let answers =
        if args.stream { streamed(config, &engine, &items, &bar)? } else { transcribed(&engine, &items, &bar)? };
    let wall = begun.elapsed();
    bar.finish_and_clear();
    let table = |field: fn(&Answer) -> &str| -> String {
        items.iter().zip(&answers).map(|(item, answer)| format!("{}\t{}\n", item.id, field(answer))).collect()
    };
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let hypotheses = table(|a| &a.text);
    write(&args.out.join("hypotheses.tsv"), &hypotheses)?;
    write(&args.out.join("captions.tsv"), &table(|a| &a.shown))?;
    let audio: Duration = items.iter().map(|item| item.duration).sum();
    let speed = json!({ "audio_s": audio.as_secs_f64(), "wall_s": wall.as_secs_f64() });
    write(&args.out.join("speed.json"), &format!("{speed:#}\n"))?;
    Ok(hypotheses)
}

fn items(args: &EvaluateArgs, manifest: &str, engine: &Engine) -> anyhow::Result<Vec<Item>> {
    let folder = args.manifest.parent().unwrap_or(Path::new("."));
    let mut items = Vec::new();
    for row in table::manifest(manifest)? {
        let file = row.file.as_deref().context("the manifest has no column `file`")?;
        if args.skip.iter().any(|part| row.id.contains(part) || file.contains(part)) {
            continue;
        }
        let known = row.language.clone().filter(|l| engine.recognizer.knows(l));
        items.push(Item {
            path: folder.join(file),
            languages: match known {
                Some(language) => AllowedLanguages::only(language),
                None => AllowedLanguages::new(args.otherwise.clone())?,
            },
            channels: channels_of(&row.id),
            duration: row.duration,
            id: row.id,
        });
    }
    Ok(items)
}

/// Which channels of its file an item of a manifest means.
pub(super) fn channels_of(id: &str) -> Channels {
    let channel = ["1", "2"].into_iter().find(|n| id.ends_with(&format!(".ch{n}")));
    match channel.and_then(|n| n.parse().ok()).and_then(ChannelId::new) {
        Some(channel) => Channels::Only(vec![channel]),
        None => Channels::Mix,
    }
}

/// Several recordings at a time, so that every decoding thread has work.
fn transcribed(engine: &Engine, items: &[Item], bar: &ProgressBar) -> anyhow::Result<Vec<Answer>> {
    let offline = engine.offline();
    let next = AtomicUsize::new(0);
    let answers: Mutex<BTreeMap<usize, anyhow::Result<Answer>>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..engine.pool.workers() + 1 {
            scope.spawn(|| {
                while let Some((index, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, items.get(n)?)))
                {
                    let answer = transcribe(&offline, item).with_context(|| item.id.clone());
                    answers.lock().unwrap_or_else(PoisonError::into_inner).insert(index, answer);
                    bar.inc(1);
                }
            });
        }
    });
    answers.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

fn transcribe(offline: &crate::hearing::offline::Offline, item: &Item) -> anyhow::Result<Answer> {
    let recording = Recording {
        file: AudioFile::open(&item.path)?,
        channels: item.channels.clone(),
        languages: item.languages.clone(),
        name: item.id.clone(),
    };
    let transcript = offline.transcribe(recording, |_| {})?.transcript;
    let mut answer = Answer::default();
    for segment in &transcript.segments {
        answer.add(&segment.text(), segment.captions == CaptionState::Shown);
    }
    Ok(answer)
}

impl Answer {
    fn add(&mut self, text: &str, shown: bool) {
        let put = |into: &mut String| {
            if !into.is_empty() && !text.is_empty() {
                into.push(' ');
            }
            // A table's cells end at tabs and line ends.
            into.push_str(&text.replace(['\t', '\n', '\r'], " "));
        };
        put(&mut self.text);
        if shown {
            put(&mut self.shown);
        }
    }
}

/// Each recording as a hearing of its own over gRPC, as fast as the server takes it.
fn streamed(config: &Config, engine: &Engine, items: &[Item], bar: &ProgressBar) -> anyhow::Result<Vec<Answer>> {
    let data = tempfile::tempdir().context("no temporary folder can be made")?;
    runtime()?.block_on(async {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = ServerSettings {
            listen: anywhere,
            admin_listen: anywhere,
            data: data.path().join("data"),
            ..server_settings(config)
        };
        let server = Server::start(&settings, engine).await?;
        let address = format!("http://{}", server.address());
        let mut answers = Vec::with_capacity(items.len());
        // As many at a time as there are decoding threads and one.
        for some in items.chunks(engine.pool.workers() + 1) {
            let mut running = tokio::task::JoinSet::new();
            for (index, item) in some.iter().enumerate() {
                let job = StreamJob {
                    path: item.path.clone(),
                    channels: item.channels.clone(),
                    languages: item.languages.clone(),
                };
                let (address, id) = (address.clone(), item.id.clone());
                running.spawn(async move { (index, job.run(&address).await.with_context(|| id)) });
            }
            let mut done: BTreeMap<usize, Answer> = BTreeMap::new();
            while let Some(ended) = running.join_next().await {
                let (index, answer) = ended.context("a stream's task failed")?;
                done.insert(index, answer?);
                bar.inc(1);
            }
            answers.extend(done.into_values());
        }
        server.stop().await?;
        anyhow::Ok(answers)
    })
}

struct StreamJob {
    path: PathBuf,
    channels: Channels,
    languages: AllowedLanguages,
}

impl StreamJob {
    async fn run(self, address: &str) -> anyhow::Result<Answer> {
        let mut file = AudioFile::open(&self.path)?;
        let format = match self.channels {
            Channels::Mix if file.channels() > 1 => AudioFormat { encoding: Encoding::PcmF32Le, rate: file.rate() },
            _ => AudioFormat { encoding: file.encoding(), rate: file.rate() },
        };
        let id = ChannelId::new(1).context("1 to 16")?;
        let setup = ChannelSetup { id, label: Label::try_from("item".to_owned())?, languages: self.languages, format };
        let mut blocks = Vec::new();
        while let Some(block) = file.next_block()? {
            blocks.push(channel_bytes(&block.bytes, file.encoding(), file.channels(), &self.channels)?);
        }
        let (_folder, spool) = passing_spool(vec![setup])?;
        let mut answer = Answer::default();
        let mut hear = |event: &RecorderEvent<'_>| {
            // One that is revised has the words that it had.
            if let RecorderEvent::Heard(ClientEvent::Final(text)) = event
                && !text.revised
            {
                answer.add(&text.text, text.shown);
            }
        };
        Take::of_file(address, "evaluation").record(spool, blocks.into_iter().map(Ok), &mut hear).await?;
        Ok(answer)
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
