//! From the source onto the disk.

use tokio::sync::{mpsc, watch};

use super::{Captured, RecorderError, Source, keeper::Keeper, spool::SpoolError};
use crate::speech::audio::format;

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

/// Takes what is captured until it ends.
pub(super) async fn pump(
    mut capture: mpsc::Receiver<Captured>,
    keeper: Keeper,
    source: Source,
    progress: watch::Sender<State>,
) -> Result<(), RecorderError> {
    while let Some(first) = capture.recv().await {
        let mut audio: Vec<(usize, Vec<u8>)> = (0..keeper.channels().len()).map(|lane| (lane, Vec::new())).collect();
        sort(first, &keeper, &mut audio)?;
        while audio.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < TOGETHER {
            let Ok(next) = capture.try_recv() else { break };
            sort(next, &keeper, &mut audio)?;
        }
        audio.retain(|(_, bytes)| !bytes.is_empty());
        if !audio.is_empty() {
            keep(audio, &keeper, source, &progress).await?;
        }
    }
    progress.send_modify(|state| state.over = true);
    Ok(())
}

/// Adds what was captured to what is there of its channels.
fn sort(captured: Captured, keeper: &Keeper, audio: &mut [(usize, Vec<u8>)]) -> Result<(), RecorderError> {
    let channels = keeper.channels();
    match captured {
        Captured::Interleaved(bytes) => {
            let one = channels[0].format;
            if channels.iter().any(|c| c.format != one) {
                return Err(RecorderError::MixedFormats);
            }
            let mut split = vec![Vec::with_capacity(bytes.len() / channels.len()); channels.len()];
            format::deinterleave(one.encoding, &bytes, &mut split).map_err(|source| RecorderError::Audio { source })?;
            audio.iter_mut().zip(split).for_each(|((_, all), more)| all.extend(more));
        }
        Captured::Channel(channel, bytes) => {
            let lane = channels.iter().position(|c| c.id == channel);
            let lane = lane.ok_or(RecorderError::NoSuchChannel { channel })?;
            format::check(channels[lane].format.encoding, &bytes).map_err(|source| RecorderError::Audio { source })?;
            audio[lane].1.extend(bytes);
        }
    }
    Ok(())
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
                return Ok(keeper.lose(lost.collect()).await?);
            }
        }
    }
}
