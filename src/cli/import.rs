//! `vivavoce import`: old recordings become hearings.

use std::{
    collections::HashSet,
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    UsageError, kind_of, runtime,
    screen::tidings,
    stream::{NamedChannel, channels, export, parse_channel},
    take::{Take, blocks},
    talk,
};
use crate::{
    api::{
        grpc::{client::Client, heard::ClientEvent},
        recorder::{
            Recorded, RecorderEvent,
            spool::{Spool, SpoolError, SpoolSettings},
        },
    },
    app::SystemWorld,
    config::Config,
    domain::{
        audio::AudioFormat,
        change::Imported,
        channel::{ChannelSetup, Label},
        language::LanguageTag,
    },
    models::digest,
    speech::audio::{AudioError, file::AudioFile, format},
};

/// Bytes of audio that are sealed on this disk while the server takes them. They are in the file anyway.
const SPOOL: u64 = 64 << 20;

/// Arguments of `vivavoce import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Recordings, a hearing each: WAV (also RF64), FLAC, MP3, Ogg Vorbis, Ogg Opus
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What is spoken on channels that --channel does not name, as BCP-47 tags
    #[arg(long, short, value_delimiter = ',', value_name = "TAG,..", required_unless_present = "channel")]
    language: Vec<LanguageTag>,
    /// A channel's label and languages, such as 2:interpreter:en or 1:witness:fr-CA,ht
    #[arg(long, value_name = "NUMBER:LABEL:TAG,..", value_parser = parse_channel)]
    channel: Vec<NamedChannel>,
    /// The court's own reference
    #[arg(long, default_value = "", value_name = "TEXT")]
    reference: String,
    /// The server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Write the record as JSON, WebVTT, SRT and text into this folder; of several files into DIR/FILE
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Where it is kept how far an import is; without it vivavoce/import in the user's folder for state
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
}

/// Imports each file. One that fails does not keep the others from it; the exit code is then its. `state` is the user's
/// folder for what programs keep.
///
/// # Errors
/// What keeps all of them from it.
pub fn run(args: &ImportArgs, config: &Config, state: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let server = args.server.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    let spools = args.spool.clone().or(state.map(|s| s.join("import"))).ok_or(UsageError::NoSpool)?;
    let targets = targets(args)?;
    let runtime = runtime()?;
    let mut code = None;
    for (path, target) in args.files.iter().zip(targets) {
        let imported = Old::look_through(path).and_then(|old| runtime.block_on(old.import(args, &server, &spools)));
        let exported = imported.and_then(|recorded| {
            talk::data(&format!("{}\t{}", recorded.hearing, path.display()))?;
            let Some(folder) = target else { return Ok(()) };
            let written =
                runtime.block_on(async { export(&mut Client::connect(&server).await?, &recorded, &folder).await });
            written.map(drop)
        });
        if let Err(error) = exported {
            code.get_or_insert(kind_of(&error).exit_code());
            talk::error(&error.context(format!("{} was not imported in full", path.display())));
        }
    }
    Ok(ExitCode::from(code.unwrap_or(0)))
}

/// Where the exports of each file go.
fn targets(args: &ImportArgs) -> Result<Vec<Option<PathBuf>>, UsageError> {
    let target = |path: &PathBuf| {
        let folder = args.export.as_ref()?;
        Some(match args.files.len() {
            1 => folder.clone(),
            _ => folder.join(path.file_name().unwrap_or(path.as_os_str())),
        })
    };
    let targets: Vec<_> = args.files.iter().map(target).collect();
    let mut seen = HashSet::new();
    match targets.iter().flatten().find(|target| !seen.insert(*target)) {
        Some(twice) => Err(UsageError::SameTarget { target: twice.clone() }),
        None => Ok(targets),
    }
}

/// An old recording that can be read from its first to its last sample.
struct Old {
    path: PathBuf,
    imported: Imported,
    format: AudioFormat,
    channels: usize,
    frames: u64,
}

impl Old {
    /// Reads all of it before anything is opened, so that a damaged one makes no half hearing.
    fn look_through(path: &Path) -> anyhow::Result<Self> {
        let fail = |source| AudioError::Open { path: path.to_owned(), source };
        let mut file = AudioFile::open(path)?;
        let bar = bar("looking through", path, file.frames());
        let mut frames = 0;
        let width = file.encoding().bytes_per_sample() * file.channels();
        while let Some(block) = file.next_block()? {
            let first = block.first_frame * file.channels() as u64;
            format::check(file.encoding(), &block.bytes).map_err(|error| error.at(first))?;
            frames += (block.bytes.len() / width) as u64;
            bar.set_position(frames);
        }
        bar.finish_and_clear();
        let sha256 = digest::of_reader(&mut File::open(path).map_err(fail)?).map_err(fail)?.sha256;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let name = Label::try_from(name).context("the file's name does not fit into a record")?;
        Ok(Self {
            path: path.to_owned(),
            imported: Imported { name, sha256 },
            format: AudioFormat { encoding: file.encoding(), rate: file.rate() },
            channels: file.channels(),
            frames,
        })
    }

    /// Makes a hearing of it, or goes on with one that was broken off.
    async fn import(self, args: &ImportArgs, server: &str, spools: &Path) -> anyhow::Result<Recorded> {
        let channels = channels(self.format, self.channels, &args.channel, &args.language)?;
        let folder = spools.join(&self.imported.sha256.to_string()[..32]);
        let spool = self.spool(&folder, channels)?;
        let from = spool.holdings()[0].end.index();
        let mut take = Take::of_file(server, &args.reference);
        take.settings.imported = Some(self.imported);
        // What was begun is ended.
        take.settings.insist = spool.bound().is_some();
        let bar = bar("importing", &self.path, Some(self.frames));
        let mut told = Told { stored: vec![0; spool.channels().len()], lag: 0, rate: self.format.rate.hz().into() };
        let mut show = |event: &RecorderEvent<'_>| match event {
            RecorderEvent::Heard(event) => bar.set_position(told.hear(event)),
            event => bar.suspend(|| tidings(event).into_iter().for_each(|said| talk::say(&said))),
        };
        let recorded = take.record(spool, blocks(AudioFile::open(&self.path)?, from), &mut show).await;
        bar.finish_and_clear();
        if recorded.is_ok() {
            // Only the key of audio that is destroyed is left in it.
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        recorded
    }

    fn spool(&self, folder: &Path, channels: Vec<ChannelSetup>) -> anyhow::Result<Spool> {
        let settings = SpoolSettings { folder: folder.to_owned(), key: None, limit: SPOOL };
        match Spool::reopen(&settings, Arc::new(SystemWorld)) {
            Err(SpoolError::Nothing { .. }) => {
                Ok(Spool::create(&settings, channels, Some(self.imported.sha256.to_string()), Arc::new(SystemWorld))?)
            }
            Ok(spool) if spool.channels() != channels => {
                let folder = folder.to_owned();
                Err(UsageError::OtherImport { folder }.into())
            }
            spool => Ok(spool?),
        }
    }
}

/// How far the server is.
struct Told {
    stored: Vec<u64>,
    lag: u64,
    rate: u64,
}

impl Told {
    /// The frames that have their text after this event, about.
    fn hear(&mut self, event: &ClientEvent) -> u64 {
        let lane = |channel: u32| usize::try_from(channel).unwrap_or(usize::MAX).wrapping_sub(1);
        let mut at = |channel: u32, sample: u64| {
            self.stored.get_mut(lane(channel)).into_iter().for_each(|stored| *stored = sample);
        };
        match event {
            ClientEvent::Stored { channel, through } => at(*channel, *through),
            ClientEvent::Opened(positions) => positions.iter().for_each(|(channel, next)| at(*channel, *next)),
            ClientEvent::Status { lag_ms } => self.lag = lag_ms * self.rate / 1_000,
            ClientEvent::SpeechBegan { .. }
            | ClientEvent::Partial { .. }
            | ClientEvent::Final(_)
            | ClientEvent::Marker(_)
            | ClientEvent::Ordered { .. }
            | ClientEvent::Alarmed { .. }
            | ClientEvent::Finished { .. } => {}
        }
        self.stored.iter().min().map_or(0, |stored| stored.saturating_sub(self.lag))
    }
}

fn bar(what: &str, path: &Path, frames: Option<u64>) -> ProgressBar {
    let (bar, style) = match frames {
        Some(frames) => (ProgressBar::new(frames), "{msg} [{bar:30}] {percent} % {eta}"),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {elapsed}"),
    };
    // The templates are literals; should one not parse, the default does.
    let bar = match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    bar.with_message(format!("{what} {}", path.display()))
}
