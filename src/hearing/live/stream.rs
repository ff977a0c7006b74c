//! The stream of one hearing: routes audio to the tasks of the channels and gathers what becomes of it.

use std::{any::Any, sync::Arc};

use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    LiveEvent,
    channel::{ChannelParts, ChannelTask, Input, Marked},
};
use crate::{
    domain::{
        actor::Actor,
        change::EntrySeq,
        channel::ChannelSetup,
        id::{ChannelId, HearingId},
        time::{SamplePos, SampleRate},
    },
    hearing::{HearingError, world::World},
    record::{media::service::ChannelJournal, store::RecordStore},
    speech::{
        asr::{Recognizer, pool::Pool},
        audio::format,
        front::Front,
    },
    telemetry::Metrics,
};

/// Pieces of audio, a second each at most, that wait for the task of a channel; then the sender waits. Few, since a second
/// is up to 768 kB.
const QUEUE: usize = 8;

/// Marks that wait to be sent; then the channel's task waits.
const MARKS: usize = 256;

/// One channel ready to take audio.
pub(in crate::hearing) struct ReadyChannel {
    pub(in crate::hearing) setup: ChannelSetup,
    pub(in crate::hearing) journal: ChannelJournal,
    pub(in crate::hearing) front: Front,
    /// The next sample.
    pub(in crate::hearing) next: SamplePos,
    /// How far the record says that audio is stored: less than `next` after a crash.
    pub(in crate::hearing) recorded: SamplePos,
}

/// Closes the journals of channels that take no audio after all.
pub(in crate::hearing) async fn let_go(channels: Vec<ReadyChannel>) {
    for channel in channels {
        if let Err(error) = channel.journal.close().await {
            tracing::warn!(channel.id = %channel.setup.id, %error, "an audio journal could not be closed");
        }
    }
}

/// What a stream works with.
pub(in crate::hearing) struct StreamParts {
    pub(in crate::hearing) hearing: HearingId,
    pub(in crate::hearing) actor: Actor,
    pub(in crate::hearing) channels: Vec<ReadyChannel>,
    pub(in crate::hearing) store: Arc<dyn RecordStore>,
    pub(in crate::hearing) world: Arc<dyn World>,
    pub(in crate::hearing) recognizer: Arc<dyn Recognizer>,
    pub(in crate::hearing) pool: Arc<Pool>,
    pub(in crate::hearing) events: broadcast::Sender<LiveEvent>,
    pub(in crate::hearing) metrics: Arc<Metrics>,
    /// Held while any task of the stream works: gives the hearing and the place among the streams free when dropped.
    pub(in crate::hearing) hold: Arc<dyn Any + Send + Sync>,
    /// Cancelled when the hearing is to be closed.
    pub(in crate::hearing) end: CancellationToken,
}

/// What a stream has brought about, beside the entries of the record and the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything before a mark has its results; those up to `after` come before it.
    Marked {
        /// The mark.
        id: u64,
        /// The last entry to be shown before it.
        after: EntrySeq,
    },
    /// A channel is done: all its audio has its results.
    ChannelDone {
        /// Which.
        channel: ChannelId,
        /// The position of the next sample.
        next: SamplePos,
    },
}

/// Audio of one channel on its way.
struct Route {
    setup: ChannelSetup,
    /// The position of the next sample.
    next: SamplePos,
    input: mpsc::Sender<Input>,
}

/// A running stream: audio goes in on one side, progress comes out on the other.
#[derive(Debug)]
pub struct LiveStream {
    /// The recorder's side.
    pub audio: AudioIn,
    /// What becomes of it.
    pub progress: ProgressOut,
}

/// The recorder's side of a stream. Dropping it ends the input: every utterance gets its text, then the channels are done.
pub struct AudioIn {
    hearing: HearingId,
    routes: Vec<Route>,
    end: CancellationToken,
}

/// What becomes of a stream. Dropping it leaves the tasks to themselves: what was taken still gets its text.
#[derive(Debug)]
pub struct ProgressOut {
    hearing: HearingId,
    channels: Vec<ChannelProgress>,
    marked: mpsc::Receiver<Marked>,
    tasks: JoinSet<Result<(ChannelId, SamplePos), HearingError>>,
    /// Marks that some channels have still to pass: the mark, by how many it was passed, the last entry so far.
    marks: Vec<(u64, usize, EntrySeq)>,
}

/// How far a channel is.
#[derive(Clone, Debug)]
pub struct ChannelProgress {
    /// Which.
    pub channel: ChannelId,
    /// Its own rate.
    pub rate: SampleRate,
    /// Where the stream began.
    pub start: SamplePos,
    /// How far its audio is on disk.
    pub durable: watch::Receiver<SamplePos>,
    /// How far its audio has its results.
    pub settled: watch::Receiver<SamplePos>,
}

impl std::fmt::Debug for AudioIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioIn").field("hearing", &self.hearing).finish_non_exhaustive()
    }
}

/// Starts the tasks of a stream.
pub(in crate::hearing) fn start(parts: StreamParts) -> LiveStream {
    let (done, marked) = mpsc::channel(MARKS);
    let mut tasks = JoinSet::new();
    let mut routes = Vec::with_capacity(parts.channels.len());
    let mut channels = Vec::with_capacity(parts.channels.len());
    for channel in parts.channels {
        let (sender, input) = mpsc::channel(QUEUE);
        let (settled, settled_at) = watch::channel(channel.next);
        let id = channel.setup.id;
        channels.push(ChannelProgress {
            channel: id,
            rate: channel.setup.format.rate,
            start: channel.next,
            durable: channel.journal.durable(),
            settled: settled_at,
        });
        routes.push(Route { setup: channel.setup.clone(), next: channel.next, input: sender });
        let task = ChannelTask::new(
            ChannelParts {
                hearing: parts.hearing,
                setup: channel.setup,
                front: channel.front,
                journal: channel.journal,
                store: Arc::clone(&parts.store),
                actor: parts.actor.clone(),
                world: Arc::clone(&parts.world),
                recognizer: Arc::clone(&parts.recognizer),
                pool: Arc::clone(&parts.pool),
                events: parts.events.clone(),
                marked: done.clone(),
                metrics: Arc::clone(&parts.metrics),
                settled,
            },
            channel.next,
            channel.recorded,
        );
        let hold = Arc::clone(&parts.hold);
        tasks.spawn(async move {
            let next = task.run(input).await;
            drop(hold);
            Ok((id, next?))
        });
    }
    let hearing = parts.hearing;
    LiveStream {
        audio: AudioIn { hearing, routes, end: parts.end },
        progress: ProgressOut { hearing, channels, marked, tasks, marks: Vec::new() },
    }
}

impl AudioIn {
    /// Hands audio in: of channel `number`, or with 0 interleaved of all channels. Waits while the channel is busy; that
    /// is how a sender is slowed.
    ///
    /// What is refused is refused whole, before any of it is stored. If the future is dropped, a part of the samples may
    /// have been taken; the next position tells.
    ///
    /// # Errors
    /// [`HearingError::NoSuchChannel`], [`HearingError::MixedFormats`], [`HearingError::OutOfOrder`],
    /// [`HearingError::Audio`] for bytes that are no samples, [`HearingError::Stopped`] when a channel's task has ended:
    /// [`LiveStream::progress`] says why.
    pub async fn audio(&mut self, number: u32, first: Option<SamplePos>, bytes: &[u8]) -> Result<(), HearingError> {
        let hearing = self.hearing;
        if number == 0 {
            return self.interleaved(first, bytes).await;
        }
        let route = self.routes.iter_mut().find(|r| u32::from(r.setup.id.number()) == number);
        let route = route.ok_or(HearingError::NoSuchChannel { channel: number, hearing })?;
        route.check(first, bytes)?;
        route.pass_on(hearing, bytes).await
    }

    async fn interleaved(&mut self, first: Option<SamplePos>, bytes: &[u8]) -> Result<(), HearingError> {
        let one = &self.routes[0].setup;
        if self.routes.iter().any(|r| r.setup.format != one.format) {
            return Err(HearingError::MixedFormats { hearing: self.hearing });
        }
        let mut channels = vec![Vec::with_capacity(bytes.len() / self.routes.len()); self.routes.len()];
        format::deinterleave(one.format.encoding, bytes, &mut channels)
            .map_err(|source| HearingError::Audio { channel: one.id, source })?;
        for (route, bytes) in self.routes.iter().zip(&channels) {
            route.check(first, bytes)?;
        }
        for (route, bytes) in self.routes.iter_mut().zip(&channels) {
            route.pass_on(self.hearing, bytes).await?;
        }
        Ok(())
    }

    /// Sets a mark; [`Progress::Marked`] comes when everything before it, on every channel, has its results.
    ///
    /// # Errors
    /// [`HearingError::Stopped`] when a channel's task has ended.
    pub async fn mark(&self, id: u64) -> Result<(), HearingError> {
        for route in &self.routes {
            let sent = route.input.send(Input::Marker(id)).await;
            sent.map_err(|_gone| HearingError::Stopped { hearing: self.hearing })?;
        }
        Ok(())
    }

    /// Cancelled when somebody closes the hearing: then no more audio is to be handed in.
    #[must_use]
    pub fn ending(&self) -> CancellationToken {
        self.end.clone()
    }
}

impl Route {
    /// Whether the samples may come now, and are samples.
    fn check(&self, first: Option<SamplePos>, bytes: &[u8]) -> Result<(), HearingError> {
        let channel = self.setup.id;
        if let Some(found) = first.filter(|&f| f != self.next) {
            return Err(HearingError::OutOfOrder { channel, expected: self.next, found });
        }
        format::check(self.setup.format.encoding, bytes)
            .map_err(|source| HearingError::Audio { channel, source: source.at(self.next.index()) })
    }

    /// Sends pieces of a second at most, so that the work on one message is bounded whatever its size.
    async fn pass_on(&mut self, hearing: HearingId, bytes: &[u8]) -> Result<(), HearingError> {
        let sample = self.setup.format.encoding.bytes_per_sample();
        let second = usize::try_from(self.setup.format.rate.hz()).unwrap_or(usize::MAX);
        for piece in bytes.chunks(second * sample) {
            let sent = self.input.send(Input::Audio(piece.to_vec())).await;
            sent.map_err(|_gone| HearingError::Stopped { hearing })?;
            self.next = self.next.plus((piece.len() / sample) as u64);
        }
        Ok(())
    }
}

impl ProgressOut {
    /// How far each channel is. The receivers change while the stream runs.
    #[must_use]
    pub fn channels(&self) -> &[ChannelProgress] {
        &self.channels
    }

    /// The next progress; `None` when all channels are done. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// What ended the task of a channel.
    pub async fn next(&mut self) -> Option<Result<Progress, HearingError>> {
        loop {
            tokio::select! {
                biased;
                Some(marked) = self.marked.recv() => {
                    if let Some(progress) = self.passed(marked) {
                        return Some(Ok(progress));
                    }
                }
                task = self.tasks.join_next() => {
                    let hearing = self.hearing;
                    return task.map(|ended| match ended {
                        Ok(Ok((channel, next))) => Ok(Progress::ChannelDone { channel, next }),
                        Ok(Err(error)) => Err(error),
                        Err(panicked) => {
                            tracing::error!(hearing.id = %hearing, error = %panicked, "the task of a channel panicked");
                            Err(HearingError::Stopped { hearing })
                        }
                    });
                }
            }
        }
    }

    /// Counts a channel that has passed a mark; the mark itself when it was the last.
    fn passed(&mut self, marked: Marked) -> Option<Progress> {
        let index = self.marks.iter().position(|m| m.0 == marked.id).unwrap_or_else(|| {
            self.marks.push((marked.id, 0, EntrySeq::START));
            self.marks.len() - 1
        });
        let mark = &mut self.marks[index];
        mark.1 += 1;
        mark.2 = mark.2.max(marked.after);
        let (id, passed, after) = *mark;
        if passed < self.channels.len() {
            return None;
        }
        self.marks.remove(index);
        Some(Progress::Marked { id, after })
    }
}

impl Drop for ProgressOut {
    fn drop(&mut self) {
        self.tasks.detach_all();
    }
}
