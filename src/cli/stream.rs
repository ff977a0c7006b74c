//! `vivavoce stream`: the recorder client.

use std::{
    io::stdin,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use sha2::{Digest, Sha256};

use super::{
    UsageError, runtime,
    take::{Take, blocks, raw_blocks},
    talk,
};
use crate::{
    api::{
        grpc::client::Client,
        recorder::{
            Ending, Recorded, RecorderSettings, Source,
            spool::{Spool, SpoolSettings},
        },
    },
    app::SystemWorld,
    cli::screen::Screen,
    config::Config,
    domain::{
        audio::{AudioFormat, Encoding},
        channel::{ChannelSetup, Label},
        id::ChannelId,
        language::{AllowedLanguages, LanguageTag},
        time::SampleRate,
    },
    record::export::Format,
    speech::audio::file::AudioFile,
};

/// Arguments of `vivavoce stream`.
#[derive(Args, Debug)]
pub struct StreamArgs {
    /// The recording: each of its channels is a channel of the hearing. `-`: raw interleaved samples from standard input, as
    /// they are captured
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// What is spoken on channels that --channel does not name, as BCP-47 tags
    #[arg(long, short, value_delimiter = ',', value_name = "TAG,..", required_unless_present_any = ["channel", "resume"])]
    language: Vec<LanguageTag>,
    /// A channel's label and languages, such as 2:interpreter:en or 1:witness:fr-CA,ht
    #[arg(long, value_name = "NUMBER:LABEL:TAG,..", value_parser = parse_channel)]
    channel: Vec<NamedChannel>,
    /// The court's own reference
    #[arg(long, default_value = "", value_name = "TEXT")]
    reference: String,
    /// How fast a file is read: at the speed of speech, or as fast as the server takes it
    #[arg(long, value_enum, default_value_t = Pace::Speech)]
    pace: Pace,
    /// Milliseconds of audio that are taken together, 1 to 10000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "MS")]
    chunk_ms: u32,
    /// Write the record as JSON, WebVTT, SRT and text into this folder at the end
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Leave the hearing open at the end; --resume goes on with it
    #[arg(long)]
    keep_open: bool,
    /// Go on with the hearing that the spool holds
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    raw: RawArgs,
    #[command(flatten)]
    spool: SpoolArgs,
}

/// How raw samples on standard input are written.
#[derive(Args, Debug)]
#[command(next_help_heading = "Raw audio on standard input")]
struct RawArgs {
    /// How a sample is written; s16le without it
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<RawFormat>,
    /// Samples a second of each channel
    #[arg(long, value_name = "HZ")]
    rate: Option<u32>,
    /// How many channels are interleaved; 1 without it
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=16))]
    channel_count: Option<u8>,
}

/// Where audio is kept until the server has it on its disk.
#[derive(Args, Debug)]
#[command(next_help_heading = "The recorder's own disk")]
struct SpoolArgs {
    /// The folder; without it vivavoce/spool in the user's folder for state
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// The file of the key that the spool is sealed with, made where it is not there; without it spool.key in the spool
    #[arg(long, value_name = "FILE")]
    spool_key: Option<PathBuf>,
    /// MiB of audio that it may hold
    #[arg(long, default_value_t = 8_192, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    spool_limit: u64,
}

/// How raw samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RawFormat {
    /// Signed 16-bit, little-endian
    S16le,
    /// Signed 24-bit in three bytes, little-endian
    S24le,
    /// 32-bit float, little-endian
    F32le,
    /// G.711 mu-law
    Mulaw,
    /// G.711 A-law
    Alaw,
}

impl RawFormat {
    const fn encoding(self) -> Encoding {
        match self {
            Self::S16le => Encoding::PcmS16Le,
            Self::S24le => Encoding::PcmS24Le,
            Self::F32le => Encoding::PcmF32Le,
            Self::Mulaw => Encoding::MuLaw,
            Self::Alaw => Encoding::ALaw,
        }
    }
}

/// How fast audio is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pace {
    /// A second of audio a second, as a recorder would.
    Speech,
    /// As fast as the server takes it.
    Fast,
}

/// A channel named on the command line.
#[derive(Clone, Debug)]
pub struct NamedChannel {
    id: ChannelId,
    label: Label,
    languages: AllowedLanguages,
}

/// A channel as the command line names it.
pub(super) fn parse_channel(text: &str) -> Result<NamedChannel, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(number), Some(label), Some(tags)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("NUMBER:LABEL:LANGUAGES, such as 2:interpreter:en".to_owned());
    };
    let id = number.parse().ok().and_then(ChannelId::new).ok_or("the number must be 1 to 16")?;
    let label = Label::try_from(label.to_owned()).map_err(|e| e.to_string())?;
    let tags = tags.split(',').map(str::parse).collect::<Result<Vec<LanguageTag>, _>>().map_err(|e| e.to_string())?;
    Ok(NamedChannel { id, label, languages: AllowedLanguages::new(tags).map_err(|e| e.to_string())? })
}

/// Streams the file or what is captured, and shows what comes back. `state` is the user's folder for what programs keep.
///
/// # Errors
/// What is wrong with the file, the spool, the server or the stream.
pub fn run(args: &StreamArgs, config: &Config, state: Option<PathBuf>) -> anyhow::Result<()> {
    let server = args.server.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    let spool = SpoolSettings {
        folder: args.spool.spool.clone().or(state.map(|s| s.join("spool"))).ok_or(UsageError::NoSpool)?,
        key: args.spool.spool_key.clone(),
        limit: args.spool.spool_limit << 20,
    };
    let live = args.file == Path::new("-");
    runtime()?.block_on(async {
        let recording = if live { Recording::Live } else { Recording::of_file(&args.file)? };
        let spool = if args.resume { resumed(args, &spool, &recording)? } else { fresh(args, &spool, &recording)? };
        let screen = Screen::new(spool.channels());
        let take = Take {
            settings: RecorderSettings {
                server: server.clone(),
                reference: args.reference.clone(),
                imported: None,
                partials: true,
                results_after: 0,
                source: if live { Source::Live } else { Source::Patient },
                ending: if args.keep_open { Ending::Leave } else { Ending::Close },
                // Of a file nothing is lost if it cannot even begin.
                insist: live || args.resume,
            },
            pace: args.pace,
            chunk_ms: args.chunk_ms,
        };
        let mut show = |event: &crate::api::recorder::RecorderEvent<'_>| screen.tell(event);
        let recorded = match recording {
            Recording::Live => {
                let (format, channels) = (spool.channels()[0].format, spool.channels().len());
                let frame = format.encoding.bytes_per_sample() * channels;
                let frames = u64::from(format.rate.hz()) * u64::from(args.chunk_ms) / 1_000;
                let longest = usize::try_from(frames).unwrap_or(0).saturating_mul(frame);
                take.record(spool, raw_blocks(stdin(), frame, longest), &mut show).await
            }
            Recording::File { file, .. } => {
                let from = spool.holdings()[0].end.index();
                take.record(spool, blocks(*file, from), &mut show).await
            }
        };
        screen.finish();
        let recorded = recorded?;
        if args.keep_open {
            let hearing = &recorded.hearing;
            talk::say(&format!("hearing {hearing} stays open"));
        }
        if let Some(folder) = &args.export {
            export(&mut Client::connect(&server).await?, &recorded, folder).await?;
        }
        anyhow::Ok(())
    })
}

/// The user's folder for what programs keep, of vivavoce: `$XDG_STATE_HOME/vivavoce`, or
/// `~/.local/state/vivavoce`. The
/// specification says that a relative path there is not to be heeded.
#[must_use]
pub fn state_folder(environment: &[(String, String)]) -> Option<PathBuf> {
    let folder = |name: &str| {
        let value = environment.iter().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value));
        value.filter(|path| path.is_absolute())
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("vivavoce"))
}

/// What is recorded.
enum Recording {
    /// Standard input.
    Live,
    /// A file, and a digest of its first second.
    File { file: Box<AudioFile>, digest: String },
}

impl Recording {
    fn of_file(path: &Path) -> anyhow::Result<Self> {
        let first = AudioFile::open(path)?.next_block()?;
        let digest = hex::encode(Sha256::digest(first.map(|b| b.bytes).unwrap_or_default()));
        Ok(Self::File { file: Box::new(AudioFile::open(path)?), digest })
    }

    fn digest(&self) -> Option<&str> {
        match self {
            Self::Live => None,
            Self::File { digest, .. } => Some(digest),
        }
    }

    /// How it is written, and how many channels it has, as far as that is known.
    fn shape(&self, raw: &RawArgs) -> anyhow::Result<(Option<Encoding>, Option<SampleRate>, Option<usize>)> {
        Ok(match self {
            Self::Live => (
                raw.format.map(RawFormat::encoding),
                raw.rate.map(SampleRate::try_from).transpose()?,
                raw.channel_count.map(usize::from),
            ),
            Self::File { file, .. } => (Some(file.encoding()), Some(file.rate()), Some(file.channels())),
        })
    }
}

/// A spool for a new hearing.
fn fresh(args: &StreamArgs, settings: &SpoolSettings, recording: &Recording) -> anyhow::Result<Spool> {
    let (encoding, rate, count) = recording.shape(&args.raw)?;
    let format =
        AudioFormat { encoding: encoding.unwrap_or(Encoding::PcmS16Le), rate: rate.ok_or(UsageError::NoRate)? };
    let channels = channels(format, count.unwrap_or(1), &args.channel, &args.language)?;
    let source = recording.digest().map(ToOwned::to_owned);
    Ok(Spool::create(settings, channels, source, Arc::new(SystemWorld))?)
}

/// The spool of the hearing that is to go on. What is recorded now must be what was recorded then.
fn resumed(args: &StreamArgs, settings: &SpoolSettings, recording: &Recording) -> anyhow::Result<Spool> {
    let spool = Spool::reopen(settings, Arc::new(SystemWorld))?;
    let (encoding, rate, count) = recording.shape(&args.raw)?;
    let (format, channels) = (spool.channels()[0].format, spool.channels().len());
    let differs = |what| Err(UsageError::OtherRecording { what }.into());
    if encoding.is_some_and(|e| e != format.encoding) {
        return differs("the form of its samples");
    }
    if rate.is_some_and(|r| r != format.rate) {
        return differs("its rate");
    }
    if count.is_some_and(|c| c != channels) {
        return differs("the number of its channels");
    }
    if recording.digest() != spool.source() {
        return differs("its sound");
    }
    Ok(spool)
}

/// The channels of a hearing that so many channels are streamed into.
pub(super) fn channels(
    format: AudioFormat,
    count: usize,
    named: &[NamedChannel],
    others: &[LanguageTag],
) -> anyhow::Result<Vec<ChannelSetup>> {
    (1..=count)
        .map(|number| {
            let id = u8::try_from(number).ok().and_then(ChannelId::new).context("a hearing has at most 16 channels")?;
            let name = named.iter().find(|n| n.id == id);
            let (label, languages) = match name {
                Some(name) => (name.label.clone(), name.languages.clone()),
                None => (Label::try_from(format!("channel {id}"))?, AllowedLanguages::new(others.to_vec())?),
            };
            Ok(ChannelSetup { id, label, languages, format })
        })
        .collect()
}

/// Writes the record in every form into `folder`: all of it, as the recorder's clerk may see it.
pub(super) async fn export(client: &mut Client, recorded: &Recorded, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut files = Vec::new();
    for format in Format::ALL {
        let content = client.export(&recorded.hearing, &recorded.token, format).await?;
        let path = folder.join(format!("transcript.{}", format.extension()));
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        talk::say(&format!("wrote {}", path.display()));
        files.push(path);
    }
    Ok(files)
}
