//! A recording under way: a source is read on a thread, paced, and given to the recorder.

use std::{io::Read, sync::Arc, thread, time::Duration};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

use super::talk;
use crate::{
    api::recorder::{
        self, Captured, Ending, Recorded, RecorderEvent, RecorderParts, RecorderSettings, RuntimeClock, Source,
        keeper::Keeper,
        spool::{Spool, SpoolSettings},
    },
    app::SystemWorld,
    cli::stream::Pace,
    domain::{audio::AudioFormat, channel::ChannelSetup},
    speech::audio::{AudioError, file::AudioFile},
};

/// Blocks that wait between the source and the disk: 25 s of a microphone that is read every 100 ms.
const BLOCKS: usize = 256;

/// What is recorded: blocks of whole frames, interleaved.
pub(super) trait Blocks: Iterator<Item = Result<Vec<u8>, AudioError>> + Send + 'static {}

impl<T: Iterator<Item = Result<Vec<u8>, AudioError>> + Send + 'static> Blocks for T {}

/// How it is recorded.
#[derive(Debug)]
pub(super) struct Take {
    pub(super) settings: RecorderSettings,
    pub(super) pace: Pace,
    pub(super) chunk_ms: u32,
}

impl Take {
    /// A file at the server `server` into a hearing of its own, as fast as it goes.
    pub(super) fn of_file(server: &str, reference: &str) -> Self {
        Self {
            settings: RecorderSettings {
                server: server.to_owned(),
                reference: reference.to_owned(),
                imported: None,
                partials: false,
                results_after: 0,
                source: Source::Patient,
                ending: Ending::Close,
                insist: false,
            },
            pace: Pace::Fast,
            chunk_ms: 100,
        }
    }

    /// Records `blocks` by way of `spool`. `show` sees everything that comes back.
    pub(super) async fn record(
        self,
        spool: Spool,
        blocks: impl Blocks,
        show: &mut (dyn FnMut(&RecorderEvent<'_>) + Send),
    ) -> anyhow::Result<Recorded> {
        let channels = spool.channels();
        let shape = (channels[0].format, channels.len());
        let bound = spool.bound().cloned();
        let (capture, captured) = mpsc::channel(BLOCKS);
        let live = self.settings.source == Source::Live;
        let fed = AbortOnDropHandle::new(tokio::spawn(feed(blocks, capture, shape, self.pace, self.chunk_ms, live)));
        let parts = RecorderParts {
            keeper: Keeper::start(spool)?,
            bound,
            capture: captured,
            world: Arc::new(SystemWorld),
            clock: Arc::new(RuntimeClock),
        };
        let recorded = recorder::run(parts, self.settings, show).await?;
        fed.await.context("reading the audio failed")??;
        Ok(recorded)
    }
}

/// A spool in a folder that goes with the process: for audio that is in a file anyway.
pub(super) fn passing_spool(channels: Vec<ChannelSetup>) -> anyhow::Result<(tempfile::TempDir, Spool)> {
    let folder = tempfile::tempdir().context("no folder for the spool")?;
    let settings = SpoolSettings { folder: folder.path().to_owned(), key: None, limit: u64::MAX };
    let spool = Spool::create(&settings, channels, None, Arc::new(SystemWorld))?;
    Ok((folder, spool))
}

/// The blocks of a file from a frame on; at its end it is said what is odd about it.
pub(super) fn blocks(mut file: AudioFile, from: u64) -> impl Blocks {
    let frame = (file.encoding().bytes_per_sample() * file.channels()) as u64;
    std::iter::from_fn(move || {
        loop {
            let mut block = match file.next_block() {
                Ok(Some(block)) => block,
                Ok(None) => {
                    file.notes().iter().for_each(|note| talk::say(&format!("the recording: {note}")));
                    return None;
                }
                Err(error) => return Some(Err(error)),
            };
            let skipped = usize::try_from(from.saturating_sub(block.first_frame) * frame).unwrap_or(usize::MAX);
            if skipped < block.bytes.len() {
                return Some(Ok(block.bytes.split_off(skipped)));
            }
        }
    })
}

/// What is read from `source` as it comes, at most `longest` bytes at a time, in whole frames of `frame` bytes.
pub(super) fn raw_blocks(mut source: impl Read + Send + 'static, frame: usize, longest: usize) -> impl Blocks {
    let mut held: Vec<u8> = Vec::new();
    std::iter::from_fn(move || {
        loop {
            let mut buffer = vec![0; longest.max(frame)];
            match source.read(&mut buffer) {
                Ok(0) => {
                    if !held.is_empty() {
                        talk::say("the input ended inside a frame; what there was of it is left out");
                    }
                    return None;
                }
                Ok(read) => held.extend(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => return Some(Err(AudioError::Read { source })),
            }
            let rest = held.split_off(held.len() / frame * frame);
            let whole = std::mem::replace(&mut held, rest);
            if !whole.is_empty() {
                return Some(Ok(whole));
            }
        }
    })
}

/// Hands the audio on, chunk by chunk at the speed of speech, or as it comes. The interval paces it; it is no wait for
/// anything. A microphone also ends with the first signal to stop.
async fn feed(
    blocks: impl Blocks,
    capture: mpsc::Sender<Captured>,
    (format, channels): (AudioFormat, usize),
    pace: Pace,
    chunk_ms: u32,
    live: bool,
) -> anyhow::Result<()> {
    let mut blocks = on_a_thread(blocks, if live { BLOCKS } else { 1 })?;
    let frame = format.encoding.bytes_per_sample() * channels;
    let frames = (u64::from(format.rate.hz()) * u64::from(chunk_ms) / 1_000).max(1);
    let chunk = usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(frame);
    let mut clock = tokio::time::interval(Duration::from_millis(u64::from(chunk_ms)));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut stop = std::pin::pin!(stopped(live)?);
    loop {
        let block = tokio::select! {
            block = blocks.recv() => block,
            () = &mut stop => {
                talk::say("stopping: what was recorded is brought to the server; another signal leaves it in the spool");
                return Ok(());
            }
        };
        let Some(block) = block.transpose()? else { return Ok(()) };
        for piece in block.chunks(chunk) {
            if pace == Pace::Speech && !live {
                clock.tick().await;
            }
            if capture.send(Captured::Interleaved(piece.to_vec())).await.is_err() {
                // The recorder has given up, and says why.
                return Ok(());
            }
        }
    }
}

/// Reads on a thread of its own: a pipe that has nothing must hold up nobody.
fn on_a_thread(blocks: impl Blocks, room: usize) -> anyhow::Result<mpsc::Receiver<Result<Vec<u8>, AudioError>>> {
    let (read, received) = mpsc::channel(room);
    let run = move || {
        for block in blocks {
            if read.blocking_send(block).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("capture".to_owned()).spawn(run).context("the system gives no thread")?;
    Ok(received)
}

/// Ready with the first SIGINT or SIGTERM where something `live` is to end with it; a second one ends the process as it
/// would have without this.
fn stopped(live: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let signals = match live {
        true => Some((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)),
        false => None,
    };
    Ok(async move {
        let Some((mut interrupt, mut terminate)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    })
}
