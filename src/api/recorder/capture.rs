//! From the source onto the disk.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use super::{Captured, RecorderError, Source, keeper::Keeper, session::Absence, spool::SpoolError};
use crate::{
    domain::{channel::ChannelSetup, time::SamplePos},
    hearing::world::World,
    speech::audio::format,
};

/// Bytes that are taken together where they wait: one sync for all of them. No more, since what finds no room is lost together;
/// no less, so that 16 channels at the highest rate need no more than 50 syncs a second.
const TOGETHER: usize = 256 << 10;

/// How capturing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// All that was captured is in the spool, and no more comes.
    pub(super) over: bool,
    /// What comes finds no room.
    pub(super) full: bool,
}

/// Longer than this nobody goes on with a hearing: the machine's clock was wrong before or is now.
const LONGEST_AWAY: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Takes what is captured until it ends. Before the first of it comes the time for which no recorder ran.
pub(super) async fn pump(
    mut capture: mpsc::Receiver<Captured>,
    keeper: Keeper,
    source: Source,
    world: Arc<dyn World>,
    progress: watch::Sender<State>,
) -> Result<(), RecorderError> {
    // A file waited meanwhile.
    let mut left_at = keeper.left_at().filter(|_| source == Source::Live);
    while let Some(first) = capture.recv().await {
        let mut batch = Batch::of(keeper.channels());
        batch.take(first)?;
        while batch.bytes() < TOGETHER && batch.then_nothing.is_none() {
            let Ok(next) = capture.try_recv() else { break };
            batch.take(next)?;
        }
        if let Some(left_at) = left_at.take() {
            // What is here was captured before now.
            let away = Duration::try_from(world.now().duration_since(left_at)).unwrap_or_default();
            let away = away.saturating_sub(batch.length());
            if away <= LONGEST_AWAY {
                lose(away, Absence::Down, &keeper).await?;
            }
        }
        let nothing = batch.then_nothing;
        let audio: Vec<_> = batch.lanes.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        if !audio.is_empty() {
            keep(audio, &keeper, source, &progress).await?;
        }
        if let Some(length) = nothing {
            lose(length, Absence::DeviceLost, &keeper).await?;
        }
    }
    progress.send_modify(|state| state.over = true);
    Ok(())
}

/// Counts `length` of every channel as missing.
async fn lose(length: Duration, why: Absence, keeper: &Keeper) -> Result<(), RecorderError> {
    let samples = |hz: u32| u64::try_from(length.as_nanos() * u128::from(hz) / 1_000_000_000).unwrap_or(u64::MAX);
    let lost = keeper.channels().iter().enumerate().map(|(lane, c)| (lane, samples(c.format.rate.hz())));
    let lost: Vec<_> = lost.filter(|(_, samples)| *samples > 0).collect();
    if !lost.is_empty() {
        keeper.lose(lost, why).await?;
    }
    Ok(())
}

/// What was captured together, channel by channel.
struct Batch<'a> {
    channels: &'a [ChannelSetup],
    lanes: Vec<(usize, Vec<u8>)>,
    /// After it the device gave nothing for so long.
    then_nothing: Option<Duration>,
}

impl<'a> Batch<'a> {
    fn of(channels: &'a [ChannelSetup]) -> Self {
        Self { channels, lanes: (0..channels.len()).map(|lane| (lane, Vec::new())).collect(), then_nothing: None }
    }

    fn bytes(&self) -> usize {
        self.lanes.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// How long its longest channel is.
    fn length(&self) -> Duration {
        let length = |(setup, (_, bytes)): (&ChannelSetup, &(usize, Vec<u8>))| {
            let samples = (bytes.len() / setup.format.encoding.bytes_per_sample()) as u64;
            Duration::from_millis(SamplePos::new(samples).at(setup.format.rate).millis())
        };
        self.channels.iter().zip(&self.lanes).map(length).max().unwrap_or_default()
    }

    /// Adds what was captured next.
    fn take(&mut self, captured: Captured) -> Result<(), RecorderError> {
        let channels = self.channels;
        match captured {
            Captured::Interleaved(bytes) => {
                let one = channels[0].format;
                if channels.iter().any(|c| c.format != one) {
                    return Err(RecorderError::MixedFormats);
                }
                let mut split = vec![Vec::with_capacity(bytes.len() / channels.len()); channels.len()];
                format::deinterleave(one.encoding, &bytes, &mut split)
                    .map_err(|source| RecorderError::Audio { source })?;
                self.lanes.iter_mut().zip(split).for_each(|((_, all), more)| all.extend(more));
            }
            Captured::Channel(channel, bytes) => {
                let lane = channels.iter().position(|c| c.id == channel);
                let lane = lane.ok_or(RecorderError::NoSuchChannel { channel })?;
                format::check(channels[lane].format.encoding, &bytes)
                    .map_err(|source| RecorderError::Audio { source })?;
                self.lanes[lane].1.extend(bytes);
            }
            Captured::Nothing(length) => self.then_nothing = Some(length),
        }
        Ok(())
    }
}

/// Brings audio onto the disk. Where there is no room a file waits until there is, and a microphone's samples are counted
/// as lost.
async fn keep(
    audio: Vec<(usize, Vec<u8>)>,
    keeper: &Keeper,
    source: Source,
    progress: &watch::Sender<State>,
) -> Result<(), RecorderError> {
    let mut stock = keeper.stock();
    loop {
        stock.mark_unchanged();
        match keeper.append(audio.clone()).await {
            Err(SpoolError::Full) => {}
            kept => {
                progress.send_if_modified(|state| std::mem::take(&mut state.full));
                return Ok(kept?);
            }
        }
        progress.send_if_modified(|state| !std::mem::replace(&mut state.full, true));
        match source {
            Source::Patient => stock.changed().await.map_err(|_gone| SpoolError::Stopped)?,
            Source::Live => {
                let width = |lane: usize| keeper.channels()[lane].format.encoding.bytes_per_sample();
                let lost = audio.iter().map(|(lane, bytes)| (*lane, (bytes.len() / width(*lane)) as u64));
                return Ok(keeper.lose(lost.collect(), Absence::NoRoom).await?);
            }
        }
    }
}
