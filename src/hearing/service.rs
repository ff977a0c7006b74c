//! The hearings of a court: what can be done with them, whatever door it comes through.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{
    HearingError,
    follow::Follower,
    live::{self, LiveEvent, LiveStream, ReadyChannel, StreamParts},
    world::World,
};
use crate::{
    domain::{
        actor::{Actor, Attribution, Purpose},
        change::{Change, EntrySeq, IntervalClass},
        channel::{ChannelSetup, Label},
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    record::{
        entry::Entry,
        export::{Format, transcript::Transcript},
        media::{service::AudioJournal, writer::Opening},
        store::{HearingSummary, RecordStore},
    },
    speech::{
        asr::{Pass, Recognizer, pool::Pool},
        front::{Front, FrontConfig},
        vad::SpeechDetector,
    },
    telemetry::{Metrics, Refusal, RunningStream},
};

/// Makes a fresh speech detector for a channel.
pub type Detectors = Arc<dyn Fn() -> Box<dyn SpeechDetector> + Send + Sync>;

/// Partials and beginnings of speech that a slow listener may fall behind; then it misses the oldest.
const EVENTS: usize = 256;

/// Entries read at a time when a whole record is.
const PAGE: usize = 1_000;

/// What the service is made of.
pub struct Parts {
    /// The record.
    pub store: Arc<dyn RecordStore>,
    /// The audio.
    pub journal: AudioJournal,
    /// The engine.
    pub recognizer: Arc<dyn Recognizer>,
    /// Its threads.
    pub pool: Arc<Pool>,
    /// Speech detectors.
    pub detectors: Detectors,
    /// Where utterances end and how often partials come.
    pub front: FrontConfig,
    /// Streams at a time over all hearings.
    pub max_streams: usize,
    /// The clock and the dice.
    pub world: Arc<dyn World>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("front", &self.front)
            .field("max_streams", &self.max_streams)
            .finish_non_exhaustive()
    }
}

/// The hearings of a court.
#[derive(Debug)]
pub struct Hearings {
    parts: Parts,
    places: Arc<Semaphore>,
    live: Mutex<HashMap<HearingId, Live>>,
}

/// A hearing that is listened to or streamed into.
#[derive(Debug)]
struct Live {
    events: broadcast::Sender<LiveEvent>,
    /// Whether a stream runs; the sender is held by the stream.
    streaming: watch::Receiver<bool>,
    /// Cancelled to end the stream.
    end: CancellationToken,
    /// Somebody is closing the hearing: no stream may begin.
    closing: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            events: broadcast::Sender::new(EVENTS),
            streaming: watch::channel(false).1,
            end: CancellationToken::new(),
            closing: false,
        }
    }
}

/// Held by the tasks of a stream: when the last of them is done, the hearing and the place among the streams are free.
struct Hold {
    _place: OwnedSemaphorePermit,
    _counted: RunningStream,
    streaming: watch::Sender<bool>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.streaming.send_replace(false);
    }
}

impl Hearings {
    /// The service over its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let places = Arc::new(Semaphore::new(parts.max_streams));
        Self { parts, places, live: Mutex::new(HashMap::new()) }
    }

    /// The engine that finals are made with.
    #[must_use]
    pub fn recognizer(&self) -> &Arc<dyn Recognizer> {
        &self.parts.recognizer
    }

    /// Streams at a time over all hearings.
    #[must_use]
    pub const fn max_streams(&self) -> usize {
        self.parts.max_streams
    }

    /// Streams that run now.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.parts.max_streams - self.places.available_permits()
    }

    /// Decodes that wait.
    #[must_use]
    pub fn waiting(&self) -> crate::speech::asr::pool::Depth {
        self.parts.pool.depth()
    }

    /// Opens a hearing. What is begun is done, also if the caller goes away meanwhile.
    ///
    /// # Errors
    /// [`HearingError::ChannelCount`], [`HearingError::ChannelTwice`], [`HearingError::UnknownLanguage`],
    /// [`HearingError::Reference`], or what the record says.
    pub async fn open(
        self: &Arc<Self>,
        reference: String,
        mut channels: Vec<ChannelSetup>,
        by: Actor,
    ) -> Result<HearingId, HearingError> {
        let reference = Label::try_from(reference).map_err(|source| HearingError::Reference { source })?;
        channels.sort_by_key(|c| c.id);
        self.check(&channels)?;
        let hearing = HearingId::new(self.parts.world.draw_id());
        let this = Arc::clone(self);
        finished(async move {
            let ids: Vec<ChannelId> = channels.iter().map(|c| c.id).collect();
            let opened = Change::HearingOpened { reference: reference.into(), channels };
            this.append(hearing, opened, by.clone(), Purpose::Collection).await?;
            for channel in ids {
                let began =
                    Change::IntervalBegan { channel, first_sample: SamplePos::ZERO, class: IntervalClass::Open };
                this.append(hearing, began, by.clone(), Purpose::Collection).await?;
            }
            tracing::info!(hearing.id = %hearing, "hearing opened");
            Ok(hearing)
        })
        .await
    }

    fn check(&self, channels: &[ChannelSetup]) -> Result<(), HearingError> {
        if !(1..=usize::from(ChannelId::MAX)).contains(&channels.len()) {
            return Err(HearingError::ChannelCount { count: channels.len() });
        }
        if let Some(pair) = channels.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(HearingError::ChannelTwice { channel: pair[0].id });
        }
        for channel in channels {
            if let Some(language) = channel.languages.tags().iter().find(|l| !self.parts.recognizer.knows(l)) {
                return Err(HearingError::UnknownLanguage {
                    channel: channel.id,
                    language: language.clone(),
                    model: self.parts.recognizer.info(Pass::Final).model.clone(),
                    remedy: "name languages that it was trained on, or import a model that knows this one",
                });
            }
        }
        Ok(())
    }

    /// Closes a hearing. A stream that still runs is ended, and its utterances get their text first. What is begun is done,
    /// also if the caller goes away meanwhile.
    ///
    /// # Errors
    /// What the record says, such as that the hearing is closed already.
    pub async fn close(self: &Arc<Self>, hearing: HearingId, by: Actor) -> Result<EntrySeq, HearingError> {
        let this = Arc::clone(self);
        finished(async move { this.close_now(hearing, by).await }).await
    }

    async fn close_now(&self, hearing: HearingId, by: Actor) -> Result<EntrySeq, HearingError> {
        let mut streaming = {
            let mut all = self.live();
            let live = all.entry(hearing).or_default();
            live.closing = true;
            live.end.cancel();
            live.streaming.clone()
        };
        // An error means that the stream's tasks are gone: it has ended.
        drop(streaming.wait_for(|streaming| !streaming).await);
        let closed = self.append(hearing, Change::HearingClosed {}, by, Purpose::Collection).await;
        // Closed, or as it was: a stream may be tried again.
        self.live().remove(&hearing);
        let last = closed?;
        tracing::info!(hearing.id = %hearing, "hearing closed");
        Ok(last)
    }

    /// Starts the stream of a hearing. It goes on where the last one ended.
    ///
    /// # Errors
    /// [`HearingError::Closed`], [`HearingError::Streaming`], [`HearingError::Full`], or what the record, the journal and
    /// the pipeline say.
    pub async fn stream(&self, hearing: HearingId, by: Actor) -> Result<LiveStream, HearingError> {
        // Of a hearing that is not known nothing is kept.
        self.parts.store.hearing(hearing).await?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_full| {
            self.parts.metrics.stream_refused(Refusal::Full);
            HearingError::Full { streams: self.parts.max_streams }
        })?;
        let (events, end, hold) = self.claim(hearing, place)?;
        // From here on nobody closes the hearing behind this stream's back.
        let summary = self.parts.store.hearing(hearing).await?;
        if summary.closed_at.is_some() {
            return Err(HearingError::Closed { hearing });
        }
        let recorded = self.recorded_audio(hearing).await?;
        let mut channels = Vec::with_capacity(summary.channels.len());
        for setup in summary.channels {
            let recorded = recorded.get(&setup.id).copied().unwrap_or(SamplePos::ZERO);
            match self.ready(hearing, setup, recorded).await {
                Ok(channel) => channels.push(channel),
                Err(error) => {
                    live::let_go(channels).await;
                    return Err(error);
                }
            }
        }
        Ok(live::start(StreamParts {
            hearing,
            actor: by,
            channels,
            store: Arc::clone(&self.parts.store),
            world: Arc::clone(&self.parts.world),
            recognizer: Arc::clone(&self.parts.recognizer),
            pool: Arc::clone(&self.parts.pool),
            metrics: Arc::clone(&self.parts.metrics),
            events,
            end,
            hold,
        }))
    }

    /// Makes the stream the only one of its hearing.
    fn claim(
        &self,
        hearing: HearingId,
        place: OwnedSemaphorePermit,
    ) -> Result<(broadcast::Sender<LiveEvent>, CancellationToken, Arc<Hold>), HearingError> {
        let mut live = self.live();
        match live.get(&hearing) {
            Some(entry) if entry.closing => return Err(HearingError::Closed { hearing }),
            Some(entry) if *entry.streaming.borrow() => return Err(HearingError::Streaming { hearing }),
            Some(_) | None => {}
        }
        forget_idle(&mut live);
        let (streaming, running) = watch::channel(true);
        let entry = live.entry(hearing).or_default();
        (entry.streaming, entry.end) = (running, CancellationToken::new());
        Ok((
            entry.events.clone(),
            entry.end.clone(),
            Arc::new(Hold { _place: place, _counted: self.parts.metrics.stream_opened(), streaming }),
        ))
    }

    /// How far the record says that the audio of each channel is stored.
    async fn recorded_audio(&self, hearing: HearingId) -> Result<HashMap<ChannelId, SamplePos>, HearingError> {
        let mut recorded = HashMap::new();
        for entry in self.all_entries(hearing).await? {
            if let Change::AudioStored { channel, span, .. } = entry.change {
                recorded.insert(channel, span.end());
            }
        }
        Ok(recorded)
    }

    async fn ready(
        &self,
        hearing: HearingId,
        setup: ChannelSetup,
        recorded: SamplePos,
    ) -> Result<ReadyChannel, HearingError> {
        let opening = Opening {
            hearing,
            channel: setup.id,
            format: setup.format,
            acknowledged: recorded,
            nonce_prefix: self.parts.world.draw_bytes(),
            now: self.parts.world.now(),
        };
        let (journal, cut) = self.parts.journal.open(opening).await?;
        if let Some(cut) = cut {
            tracing::warn!(hearing.id = %hearing, channel.id = %setup.id, bytes = cut.bytes, "a torn tail of the audio journal was cut");
        }
        let next = *journal.durable().borrow();
        let front = Front::new(setup.format, next, &self.parts.front, (self.parts.detectors)())
            .map_err(|source| HearingError::Front { channel: setup.id, source })?;
        Ok(ReadyChannel { setup, journal, front, next, recorded })
    }

    /// Follows the record from a position on.
    ///
    /// # Errors
    /// What the record says of a hearing that is not known.
    pub async fn follow(&self, hearing: HearingId, after: EntrySeq) -> Result<Follower, HearingError> {
        // Subscribed before the look, so that a closing between them is not missed.
        let follower = Follower::new(Arc::clone(&self.parts.store), hearing, after);
        let summary = self.parts.store.hearing(hearing).await?;
        let over = summary.closed_at.is_some() && after >= summary.last;
        Ok(if over { follower.at_the_end() } else { follower })
    }

    /// Listens to what is said while a hearing goes on.
    #[must_use]
    pub fn listen(&self, hearing: HearingId) -> broadcast::Receiver<LiveEvent> {
        let mut live = self.live();
        forget_idle(&mut live);
        live.entry(hearing).or_default().events.subscribe()
    }

    /// A page of the record.
    ///
    /// # Errors
    /// What the record says.
    pub async fn read(
        &self,
        hearing: HearingId,
        after: EntrySeq,
        limit: usize,
    ) -> Result<(HearingSummary, Vec<Entry>), HearingError> {
        let summary = self.parts.store.hearing(hearing).await?;
        let entries = self.parts.store.entries(hearing, after, limit).await?;
        Ok((summary, entries))
    }

    /// Every hearing, in the order in which they were opened.
    ///
    /// # Errors
    /// What the record says.
    pub async fn list(&self) -> Result<Vec<HearingSummary>, HearingError> {
        Ok(self.parts.store.hearings().await?)
    }

    /// The record of a hearing as a document.
    ///
    /// # Errors
    /// What the record says.
    pub async fn export(&self, hearing: HearingId, format: Format) -> Result<String, HearingError> {
        let entries = self.all_entries(hearing).await?;
        let transcript = Transcript::from_entries(hearing, &entries)?;
        Ok(format.write(&transcript)?)
    }

    async fn all_entries(&self, hearing: HearingId) -> Result<Vec<Entry>, HearingError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let after = entries.last().map_or(EntrySeq::START, |e| e.seq);
            let page = self.parts.store.entries(hearing, after, PAGE).await?;
            let last = page.len() < PAGE;
            entries.extend(page);
            if last {
                return Ok(entries);
            }
        }
    }

    async fn append(
        &self,
        hearing: HearingId,
        change: Change,
        actor: Actor,
        purpose: Purpose,
    ) -> Result<EntrySeq, HearingError> {
        let by = Attribution { actor, purpose, at: self.parts.world.now() };
        Ok(self.parts.store.append(hearing, change, by).await?.seq)
    }

    /// Ready when no stream runs any more.
    pub async fn idle(&self) {
        let all = u32::try_from(self.parts.max_streams).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _places = self.places.acquire_many(all).await;
    }

    /// Nothing panics while the lock is held, so a poisoned one is sound.
    fn live(&self) -> MutexGuard<'_, HashMap<HearingId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of hearings that nobody listens to or streams into.
fn forget_idle(live: &mut HashMap<HearingId, Live>) {
    live.retain(|_, entry| entry.closing || *entry.streaming.borrow() || entry.events.receiver_count() > 0);
}

/// Runs what must not be left half done on a task of its own: a caller that goes away does not stop it.
async fn finished<T: Send + 'static>(
    work: impl Future<Output = Result<T, HearingError>> + Send + 'static,
) -> Result<T, HearingError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        // Nobody aborts the task, so it panicked: the panic goes on here.
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

#[cfg(test)]
mod tests;
