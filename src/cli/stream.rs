//! `vivavoce stream`: the recorder client.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::{runtime, talk};
use crate::{
    api::grpc::client::{Client, ClientEvent, Events, FinalText, Sender},
    cli::screen::Screen,
    config::Config,
    domain::{
        audio::AudioFormat,
        channel::{ChannelSetup, Label},
        id::ChannelId,
        language::{AllowedLanguages, LanguageTag},
    },
    record::export::Format,
    speech::audio::{AudioError, file::AudioFile},
};

/// Arguments of `vivavoce stream`.
#[derive(Args, Debug)]
pub struct StreamArgs {
    /// The recording: each of its channels is a channel of the hearing
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// What is spoken on channels that --channel does not name, as BCP-47 tags
    #[arg(long, short, value_delimiter = ',', value_name = "TAG,..", required_unless_present = "channel")]
    language: Vec<LanguageTag>,
    /// A channel's label and languages, such as 2:interpreter:en or 1:witness:fr-CA,ht
    #[arg(long, value_name = "NUMBER:LABEL:TAG,..", value_parser = parse_channel)]
    channel: Vec<NamedChannel>,
    /// The court's own reference
    #[arg(long, default_value = "", value_name = "TEXT")]
    reference: String,
    /// How fast: at the speed of speech, or as fast as the server takes it
    #[arg(long, value_enum, default_value_t = Pace::Speech)]
    pace: Pace,
    /// Milliseconds of audio in one message, 1 to 10000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "MS")]
    chunk_ms: u32,
    /// Write the record as JSON, WebVTT, SRT and text into this folder at the end
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Leave the hearing open at the end
    #[arg(long)]
    keep_open: bool,
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

fn parse_channel(text: &str) -> Result<NamedChannel, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(number), Some(label), Some(tags)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("NUMBER:LABEL:LANGUAGES, such as 2:interpreter:en".to_owned());
    };
    let id = number.parse().ok().and_then(ChannelId::new).ok_or("the number must be 1 to 16")?;
    let label = Label::try_from(label.to_owned()).map_err(|e| e.to_string())?;
    let tags = tags.split(',').map(str::parse).collect::<Result<Vec<LanguageTag>, _>>().map_err(|e| e.to_string())?;
    Ok(NamedChannel { id, label, languages: AllowedLanguages::new(tags).map_err(|e| e.to_string())? })
}

/// Streams the file and shows what comes back.
///
/// # Errors
/// What is wrong with the file, the server or the stream.
pub fn run(args: &StreamArgs, config: &Config) -> anyhow::Result<()> {
    let server = args.server.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    runtime()?.block_on(async {
        let file = AudioFile::open(&args.file)?;
        let channels = channels(&file, &args.channel, &args.language)?;
        let mut client = Client::connect(&server).await?;
        let hearing = client.open(&args.reference, &channels).await?;
        talk::say(&format!("hearing {hearing}"));
        let screen = Screen::new(&channels);
        let plan = Plan { pace: args.pace, chunk_ms: args.chunk_ms, partials: true };
        let shape = (channels[0].format, channels.len());
        let sent = send(&mut client, &hearing, shape, blocks(file), &plan, &mut |event| screen.show(event)).await;
        screen.finish();
        if !args.keep_open {
            let closed = client.close(&hearing).await;
            if sent.is_ok() {
                closed?;
            } else if closed.is_err() {
                talk::say(&format!("hearing {hearing} stays open"));
            }
        }
        sent?;
        if let Some(folder) = &args.export {
            export(&mut client, &hearing, folder).await?;
        }
        anyhow::Ok(())
    })
}

/// The channels of a hearing that a file is streamed into.
pub(super) fn channels(
    file: &AudioFile,
    named: &[NamedChannel],
    others: &[LanguageTag],
) -> anyhow::Result<Vec<ChannelSetup>> {
    let format = AudioFormat { encoding: file.encoding(), rate: file.rate() };
    (1..=file.channels())
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

/// How a file is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) pace: Pace,
    pub(super) chunk_ms: u32,
    pub(super) partials: bool,
}

/// What is sent: blocks of whole frames, interleaved.
pub(super) trait Blocks: Iterator<Item = Result<Vec<u8>, AudioError>> + Send {}

impl<T: Iterator<Item = Result<Vec<u8>, AudioError>> + Send> Blocks for T {}

/// The blocks of a file; at its end it is said what is odd about it.
pub(super) fn blocks(mut file: AudioFile) -> impl Iterator<Item = Result<Vec<u8>, AudioError>> {
    std::iter::from_fn(move || {
        let block = file.next_block().map(|block| block.map(|b| b.bytes)).transpose();
        if block.is_none() {
            file.notes().iter().for_each(|note| talk::say(&format!("the recording: {note}")));
        }
        block
    })
}

/// Streams audio of a format and number of channels into a hearing; gives its final texts. `show` sees everything that
/// comes back.
pub(super) async fn send(
    client: &mut Client,
    hearing: &str,
    (format, channels): (AudioFormat, usize),
    blocks: impl Blocks,
    plan: &Plan,
    show: &mut (dyn FnMut(&ClientEvent) + Send),
) -> anyhow::Result<Vec<FinalText>> {
    let (sender, mut events) = client.stream(hearing, plan.partials).await?;
    let feed = feed(sender, (format, channels), blocks, *plan);
    let receive = receive(&mut events, show);
    let (fed, finals) = tokio::join!(feed, receive);
    // The server's own word on why it ended the stream comes first.
    let finals = finals?;
    fed?;
    Ok(finals)
}

async fn receive(events: &mut Events, show: &mut (dyn FnMut(&ClientEvent) + Send)) -> anyhow::Result<Vec<FinalText>> {
    let mut finals = Vec::new();
    let mut finished = false;
    while let Some(event) = events.next().await? {
        show(&event);
        finished |= matches!(event, ClientEvent::Finished { .. });
        if let ClientEvent::Final(text) = event {
            finals.push(*text);
        }
    }
    anyhow::ensure!(finished, crate::api::grpc::client::ClientError::CutShort);
    Ok(finals)
}

/// Sends the audio chunk by chunk, all channels interleaved. The interval paces it; it is no wait for anything.
async fn feed(
    sender: Sender,
    (format, channels): (AudioFormat, usize),
    mut blocks: impl Blocks,
    plan: Plan,
) -> anyhow::Result<()> {
    let frame = format.encoding.bytes_per_sample() * channels;
    let frames = (u64::from(format.rate.hz()) * u64::from(plan.chunk_ms) / 1_000).max(1);
    let chunk = usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(frame);
    let mut clock = tokio::time::interval(Duration::from_millis(u64::from(plan.chunk_ms)));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    // One channel sends as itself, several interleaved.
    let number = u32::from(channels == 1);
    let mut position = 0;
    let mut held: Vec<u8> = Vec::new();
    loop {
        let block = blocks.next().transpose()?;
        let last = block.is_none();
        held.extend(block.unwrap_or_default());
        let whole = if last { held.len() } else { held.len() / chunk * chunk };
        for piece in held[..whole].chunks(chunk) {
            if plan.pace == Pace::Speech {
                clock.tick().await;
            }
            if sender.audio(number, position, piece.to_vec()).await.is_err() {
                // The stream has ended; the receiving side knows why.
                return Ok(());
            }
            position += (piece.len() / frame) as u64;
        }
        held.drain(..whole);
        if last {
            return Ok(());
        }
    }
}

/// Writes the record in every form into `folder`.
pub(super) async fn export(client: &mut Client, hearing: &str, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut files = Vec::new();
    for format in Format::ALL {
        let content = client.export(hearing, format).await?;
        let path = folder.join(format!("transcript.{}", format.extension()));
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        talk::say(&format!("wrote {}", path.display()));
        files.push(path);
    }
    Ok(files)
}
