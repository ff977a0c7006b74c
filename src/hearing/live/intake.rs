//! The recorder's side of a hearing: audio goes into the journal, and nothing else is done with it here.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    gate::Gate,
    journal::Reading,
    neighbours::Neighbour,
    parts::Rehear,
    timekeeping::{self, Timekeeper},
    watch::Watch,
};
use crate::{
    domain::{
        actor::{Actor, Attribution, Purpose},
        change::{Change, GapReason, IntervalClass},
        channel::ChannelSetup,
        id::{ChannelId, HearingId},
        time::{SamplePos, SampleRate, Span},
    },
    hearing::{HearingError, load::Backlog, orders::Request, service::Hearings, world::World},
    record::{
        media::{
            Absence,
            reader::{JournalPlace, Piece},
            service::ChannelJournal,
        },
        store::RecordStore,
    },
    speech::audio::format,
    telemetry::Metrics,
};

/// How far ahead of what came a channel may go on at once: behind a gap, or where nothing is stored. A slip further would put
/// every later sample out of its place for good, and each half day is a frame that the one thread of the journals writes.
pub(in crate::hearing) const MOST_DAYS_AHEAD: u64 = 30;

/// A channel as a stream finds it.
#[derive(Clone, Debug)]
pub(in crate::hearing) struct Route {
    pub(in crate::hearing) setup: ChannelSetup,
    pub(in crate::hearing) journal: ChannelJournal,
    pub(in crate::hearing) path: JournalPlace,
    /// How far its audio has its results.
    pub(in crate::hearing) settled: watch::Receiver<SamplePos>,
    /// How far it is heard: every utterance that ended before has its text.
    pub(in crate::hearing) heard: watch::Receiver<SamplePos>,
    /// Tells its listener where the input ended.
    pub(in crate::hearing) cuts: mpsc::Sender<SamplePos>,
    /// Tells the other listeners every end of the input, in ascending order.
    pub(in crate::hearing) ends: watch::Sender<Vec<SamplePos>>,
    /// What is recorded of it.
    pub(in crate::hearing) gate: Arc<Gate>,
    /// How far it is on disk.
    pub(in crate::hearing) durable: watch::Receiver<SamplePos>,
    /// How far the record knew it to be stored when it was opened.
    pub(in crate::hearing) recorded: SamplePos,
    /// What of it waits for text.
    pub(in crate::hearing) backlog: Arc<Backlog>,
    /// Makes its listener begin anew.
    pub(in crate::hearing) rehear: mpsc::Sender<Rehear>,
    /// Looks at what comes in.
    pub(in crate::hearing) watch: Arc<Watch>,
}

impl Route {
    /// As other channels see it.
    pub(in crate::hearing) fn neighbour(&self) -> Neighbour {
        let (durable, ends) = (self.journal.durable(), self.ends.subscribe());
        Neighbour { setup: self.setup.clone(), path: self.path.clone(), durable, ends }
    }
}

/// A running stream: audio goes in on one side; how far each channel is can be watched.
#[derive(Debug)]
pub struct LiveStream {
    /// The recorder's side.
    pub audio: AudioIn,
    /// How far each channel is.
    pub channels: Vec<ChannelProgress>,
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
    /// How far it is heard: every utterance that ended before has its text. Where somebody speaks, it is ahead of what is
    /// settled.
    pub heard: watch::Receiver<SamplePos>,
}

/// What a stream works with.
pub(in crate::hearing) struct IntakeParts {
    pub(in crate::hearing) hearing: HearingId,
    pub(in crate::hearing) actor: Actor,
    pub(in crate::hearing) routes: Vec<Route>,
    pub(in crate::hearing) store: Arc<dyn RecordStore>,
    pub(in crate::hearing) world: Arc<dyn World>,
    pub(in crate::hearing) metrics: Arc<Metrics>,
    /// Gives the hearing and the place among the streams free when dropped.
    pub(in crate::hearing) _hold: Box<dyn Send + Sync>,
    /// Cancelled when the hearing is to be closed.
    pub(in crate::hearing) end: CancellationToken,
    /// Cancelled when another stream takes over.
    pub(in crate::hearing) replaced: CancellationToken,
    /// Carries out orders of the recorder.
    pub(in crate::hearing) hearings: Arc<Hearings>,
}

/// The recorder's side of a stream. Dropping it leaves the input as a break does: what was said goes on where the next
/// stream goes on. [`AudioIn::finish`] says that it is over.
pub struct AudioIn {
    parts: IntakeParts,
    /// The next sample of each channel.
    next: Vec<SamplePos>,
    /// What is stored of each channel, for samples that are sent again.
    stored: Vec<Reading>,
    /// The clocks of each channel.
    clocks: Vec<Timekeeper>,
}

impl std::fmt::Debug for AudioIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioIn").field("hearing", &self.parts.hearing).finish_non_exhaustive()
    }
}

/// Begins a stream where the channels stand, which is then durable.
///
/// # Errors
/// What the journal says.
pub(in crate::hearing) async fn start(parts: IntakeParts) -> Result<LiveStream, HearingError> {
    let mut next = Vec::with_capacity(parts.routes.len());
    for route in &parts.routes {
        // What the last stream left written and not synced is not to be sent again.
        next.push(route.journal.sync().await?);
    }
    let stored = parts.routes.iter().map(|r| Reading::of(r.path.clone())).collect();
    let channels = parts.routes.iter().zip(&next).map(|(route, start)| ChannelProgress {
        channel: route.setup.id,
        rate: route.setup.format.rate,
        start: *start,
        durable: route.durable.clone(),
        settled: route.settled.clone(),
        heard: route.heard.clone(),
    });
    let clocks = parts.routes.iter().map(|r| Timekeeper::new(&r.setup, r.watch.notes())).collect();
    Ok(LiveStream { channels: channels.collect(), audio: AudioIn { parts, next, stored, clocks } })
}

impl AudioIn {
    /// Hands audio in: of channel `number`, or with 0 interleaved of all channels. Waits for the journal, and for nothing
    /// else.
    ///
    /// What is refused is refused whole, before any of it is stored. Samples that are stored already are recognised by
    /// their position and compared: the same are passed over, other ones are recorded as a conflict, and those stored
    /// first stand. If the future is dropped, a part of the samples may have been taken; the next position tells.
    ///
    /// # Errors
    /// [`HearingError::NoSuchChannel`], [`HearingError::MixedFormats`], [`HearingError::OutOfOrder`] for samples that do
    /// not follow, [`HearingError::TooFar`] for some that no recorder has yet, [`HearingError::Audio`] for bytes that are no samples, and what the journal says.
    pub async fn audio(&mut self, number: u32, first: Option<SamplePos>, bytes: &[u8]) -> Result<(), HearingError> {
        let hearing = self.parts.hearing;
        if number == 0 {
            return self.interleaved(first, bytes).await;
        }
        let index = self.parts.routes.iter().position(|r| u32::from(r.setup.id.number()) == number);
        let index = index.ok_or(HearingError::NoSuchChannel { channel: number, hearing })?;
        self.check(index, first, bytes)?;
        self.take(index, first, bytes).await
    }

    async fn interleaved(&mut self, first: Option<SamplePos>, bytes: &[u8]) -> Result<(), HearingError> {
        let routes = &self.parts.routes;
        let one = &routes[0].setup;
        if routes.iter().any(|r| r.setup.format != one.format) {
            return Err(HearingError::MixedFormats { hearing: self.parts.hearing });
        }
        let mut channels = vec![Vec::with_capacity(bytes.len() / routes.len()); routes.len()];
        format::deinterleave(one.format.encoding, bytes, &mut channels)
            .map_err(|source| HearingError::Audio { channel: one.id, source })?;
        for (index, bytes) in channels.iter().enumerate() {
            self.check(index, first, bytes)?;
        }
        for (index, bytes) in channels.iter().enumerate() {
            self.take(index, first, bytes).await?;
        }
        Ok(())
    }

    /// Whether the samples may come now, and are samples.
    fn check(&self, index: usize, first: Option<SamplePos>, bytes: &[u8]) -> Result<(), HearingError> {
        let (setup, expected) = (&self.parts.routes[index].setup, self.next[index]);
        let channel = setup.id;
        let first = first.unwrap_or(expected);
        // A recorder need not send what is not to be stored.
        let ahead = Span::new(expected, first).filter(|ahead| !self.parts.routes[index].gate.keeps_nothing_of(*ahead));
        if first > expected && ahead.is_some() {
            return Err(HearingError::OutOfOrder { channel, expected, found: first });
        }
        self.near(index, first)?;
        format::check(setup.format.encoding, bytes)
            .map_err(|source| HearingError::Audio { channel, source: source.at(first.index()) })
    }

    /// Whether a channel may go on at `to`.
    fn near(&self, index: usize, to: SamplePos) -> Result<(), HearingError> {
        let (setup, next) = (&self.parts.routes[index].setup, self.next[index]);
        let most = MOST_DAYS_AHEAD * 24 * 60 * 60 * u64::from(setup.format.rate.hz());
        if to <= next.plus(most) { Ok(()) } else { Err(HearingError::TooFar { channel: setup.id, next, found: to }) }
    }

    async fn take(&mut self, index: usize, first: Option<SamplePos>, bytes: &[u8]) -> Result<(), HearingError> {
        let expected = self.next[index];
        let first = first.unwrap_or(expected);
        let width = self.parts.routes[index].setup.format.encoding.bytes_per_sample();
        if first > expected {
            self.pass_over(index, first).await?;
            return self.store(index, bytes).await;
        }
        let again = usize::try_from(expected.index() - first.index()).unwrap_or(usize::MAX).saturating_mul(width);
        let (again, fresh) = bytes.split_at(again.min(bytes.len()));
        if !again.is_empty() {
            self.compare(index, first, again).await?;
        }
        self.store(index, fresh).await
    }

    /// Writes pieces of a second at most, so that the work on one message is bounded whatever its size; what is not to be
    /// stored is counted and dropped.
    async fn store(&mut self, index: usize, bytes: &[u8]) -> Result<(), HearingError> {
        let route = &self.parts.routes[index];
        let format = route.setup.format;
        let width = format.encoding.bytes_per_sample();
        let mut left = bytes;
        while !left.is_empty() {
            let _turn = route.gate.turn().await;
            let next = self.next[index];
            let samples = ((left.len() / width) as u64).min(u64::from(format.rate.hz()));
            let Some(second) = Span::new(next, next.plus(samples)) else { break };
            let (run, class) = route.gate.first_run(second);
            let (piece, rest) = left.split_at(usize::try_from(run.len()).unwrap_or(usize::MAX).saturating_mul(width));
            self.next[index] = if class.is_stored() {
                let after = route.journal.append(next, class, piece.to_vec()).await?;
                route.watch.hear(next, piece);
                after
            } else {
                route.journal.skip(next, run.end(), absence(class)).await?
            };
            route.backlog.came(self.next[index], Instant::now());
            #[expect(clippy::cast_precision_loss, reason = "a second of samples at most")]
            let length = Duration::from_secs_f64(run.len() as f64 / f64::from(format.rate.hz()));
            self.parts.metrics.audio_received(format.encoding, length);
            left = rest;
        }
        self.clocks[index].arrived(self.next[index], self.parts.world.as_ref());
        Ok(())
    }

    /// Goes on at `to`: nothing before it is to be stored.
    async fn pass_over(&mut self, index: usize, to: SamplePos) -> Result<(), HearingError> {
        let route = &self.parts.routes[index];
        let _turn = route.gate.turn().await;
        while let Some(left) = Span::new(self.next[index], to).filter(|left| !left.is_empty()) {
            let (run, class) = route.gate.first_run(left);
            if class.is_stored() {
                // An order came in between.
                let channel = route.setup.id;
                return Err(HearingError::OutOfOrder { channel, expected: run.start(), found: to });
            }
            self.next[index] = route.journal.skip(run.start(), run.end(), absence(class)).await?;
        }
        Ok(())
    }

    /// Takes it that channel `number`, or with 0 every one, has no samples up to `to`, and never will. What is stored
    /// already stays.
    ///
    /// # Errors
    /// As [`AudioIn::audio`].
    pub async fn missing(&mut self, number: u32, to: SamplePos, reason: GapReason) -> Result<(), HearingError> {
        let hearing = self.parts.hearing;
        let routes = &self.parts.routes;
        let meant: Vec<usize> =
            (0..routes.len()).filter(|i| number == 0 || u32::from(routes[*i].setup.id.number()) == number).collect();
        if meant.is_empty() {
            return Err(HearingError::NoSuchChannel { channel: number, hearing });
        }
        if meant.iter().any(|i| routes[*i].setup.format.rate != routes[meant[0]].setup.format.rate) {
            return Err(HearingError::MixedFormats { hearing });
        }
        meant.iter().try_for_each(|index| self.near(*index, to))?;
        for index in meant {
            let route = self.parts.routes[index].clone();
            let by = Attribution {
                actor: self.parts.actor.clone(),
                purpose: Purpose::Collection,
                at: self.parts.world.now(),
            };
            let absent =
                skip_missing(route, (self.next[index], to), reason, (Arc::clone(&self.parts.store), hearing, by));
            // What is begun is done, also if the recorder goes away: the journal and the record know of the same gaps.
            let done = tokio::spawn(absent).await;
            self.next[index] = done.unwrap_or(Err(HearingError::Stopped { hearing }))?;
        }
        Ok(())
    }

    /// Holds samples that were sent again against those that are stored. What is not stored on purpose is not compared.
    async fn compare(&mut self, index: usize, first: SamplePos, bytes: &[u8]) -> Result<(), HearingError> {
        let route = &self.parts.routes[index];
        let width = route.setup.format.encoding.bytes_per_sample();
        let samples = (bytes.len() / width) as u64;
        let Some(span) = Span::new(first, first.plus(samples)) else { return Ok(()) };
        let pieces = self.stored[index].read(span).await?;
        let sent = |piece: &Piece| {
            let offset =
                |at: SamplePos| usize::try_from(at.index() - first.index()).unwrap_or(usize::MAX).saturating_mul(width);
            bytes.get(offset(piece.span.start())..offset(piece.span.end()))
        };
        if pieces.iter().all(|piece| sent(piece) == Some(&piece.bytes)) {
            return Ok(());
        }
        let channel = route.setup.id;
        tracing::error!(hearing.id = %self.parts.hearing, channel.id = %channel, "audio was sent again and differs from what is stored; what was stored first stands");
        self.append(Change::AudioConflict { channel, span }).await
    }

    /// Takes a reading of the recorder's clock: sample `at` of channel `number`, or with 0 of every one, was taken at `wall`.
    ///
    /// # Errors
    /// [`HearingError::NoSuchChannel`], [`HearingError::MixedFormats`], [`HearingError::Clock`] for a sample that is far from
    /// what was sent.
    pub fn clock(&mut self, number: u32, at: SamplePos, wall: Timestamp) -> Result<(), HearingError> {
        timekeeping::told(self.parts.hearing, &mut self.clocks, &self.next, (number, at), wall)
    }

    /// Carries out an order of the recorder. When it returns it holds.
    ///
    /// # Errors
    /// As [`Hearings::order`].
    pub async fn order(&mut self, request: Request) -> Result<(), HearingError> {
        self.parts.hearings.order(self.parts.hearing, request, self.parts.actor.clone()).await?;
        Ok(())
    }

    /// Where each channel stands: the mark of this moment.
    #[must_use]
    pub fn positions(&self) -> Vec<(ChannelId, SamplePos)> {
        self.parts.routes.iter().zip(&self.next).map(|(route, next)| (route.setup.id, *next)).collect()
    }

    /// Says that the input is over for now: what is being said ends here. Gives where each channel ends; their results are
    /// complete when they are settled so far.
    ///
    /// What is begun is done, also if the future is dropped: the record and the listeners know of the same end.
    ///
    /// # Errors
    /// What the journal and the record say.
    pub async fn finish(self) -> Result<Vec<(ChannelId, SamplePos)>, HearingError> {
        let hearing = self.parts.hearing;
        // An error means that it panicked, which is logged by the runtime.
        tokio::spawn(self.finish_now()).await.unwrap_or(Err(HearingError::Stopped { hearing }))
    }

    async fn finish_now(self) -> Result<Vec<(ChannelId, SamplePos)>, HearingError> {
        let mut ends = Vec::with_capacity(self.parts.routes.len());
        for route in &self.parts.routes {
            let at = route.journal.sync().await?;
            let channel = route.setup.id;
            self.append(Change::InputEnded { channel, at }).await?;
            ends.push((channel, at));
        }
        // All first, so that no listener waits for a channel of which nothing comes.
        for (route, (_, at)) in self.parts.routes.iter().zip(&ends) {
            route.ends.send_modify(|ends| ends.push(*at));
        }
        for (route, (_, at)) in self.parts.routes.iter().zip(&ends) {
            // A listener that is gone begins at what the record says.
            let _gone = route.cuts.send(*at).await;
        }
        Ok(ends)
    }

    /// Leaves the input as a break does, but nothing that was taken is lost. Gives where each channel stands on disk.
    ///
    /// # Errors
    /// What the journal says.
    pub async fn leave(self) -> Result<Vec<(ChannelId, SamplePos)>, HearingError> {
        let mut stored = Vec::with_capacity(self.parts.routes.len());
        for route in &self.parts.routes {
            stored.push((route.setup.id, route.journal.sync().await?));
        }
        Ok(stored)
    }

    async fn append(&self, change: Change) -> Result<(), HearingError> {
        let parts = &self.parts;
        let by = Attribution { actor: parts.actor.clone(), purpose: Purpose::Collection, at: parts.world.now() };
        parts.store.append(parts.hearing, change, by).await?;
        Ok(())
    }

    /// Cancelled when somebody closes the hearing: then the input is to be finished.
    #[must_use]
    pub fn ending(&self) -> CancellationToken {
        self.parts.end.clone()
    }

    /// Cancelled when another stream takes over: then the input is to be dropped.
    #[must_use]
    pub fn replaced(&self) -> CancellationToken {
        self.parts.replaced.clone()
    }
}

/// Goes on behind samples that will never come. Gives where.
async fn skip_missing(
    route: Route,
    (mut next, to): (SamplePos, SamplePos),
    reason: GapReason,
    (store, hearing, by): (Arc<dyn RecordStore>, HearingId, Attribution),
) -> Result<SamplePos, HearingError> {
    let _turn = route.gate.turn().await;
    while let Some(left) = Span::new(next, to).filter(|left| !left.is_empty()) {
        let (run, class) = route.gate.first_run(left);
        let why = if class.is_stored() { Absence::Gap } else { absence(class) };
        next = route.journal.skip(run.start(), run.end(), why).await?;
        if class.is_stored() {
            route.journal.sync().await?;
            let channel = route.setup.id;
            tracing::error!(hearing.id = %hearing, channel.id = %channel, samples = run.len(), "the recorder has a gap");
            store.append(hearing, Change::AudioMissing { channel, span: run, reason }, by.clone()).await?;
        }
    }
    Ok(next)
}

/// Why nothing is stored of a class.
const fn absence(class: IntervalClass) -> Absence {
    match class {
        IntervalClass::Muted => Absence::Muted,
        IntervalClass::OffRecord | IntervalClass::Open | IntervalClass::Sealed => Absence::OffRecord,
    }
}
