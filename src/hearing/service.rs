//! The hearings of a court: what can be done with them, whatever door it comes through.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{
    HearingError,
    live::{
        LiveEvent, LiveStream,
        intake::{self, IntakeParts},
    },
    load::{Load, STILL_LATE},
    room::DiskRoom,
    sitting::Sitting,
    world::World,
};
use crate::{
    domain::{
        actor::{Actor, Attribution, Purpose},
        change::{Change, EntrySeq, Imported, IntervalClass, Recognition},
        channel::{ChannelSetup, Label},
        engine::Sha256Hash,
        id::{ChannelId, HearingId},
        load::LoadStep,
        time::SamplePos,
    },
    record::{
        entry::Entry,
        media::service::AudioJournal,
        store::{HearingSummary, RecordStore},
    },
    speech::{
        asr::{Pass, Recognizer, pool::Pool},
        front::FrontConfig,
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

/// A hearing to be opened.
#[derive(Clone, Debug)]
pub struct NewHearing {
    /// The court's own reference; may be empty.
    pub reference: String,
    /// Its channels.
    pub channels: Vec<ChannelSetup>,
    /// Whether text is made of it while it goes on.
    pub recognition: Recognition,
    /// The recording that it is made of.
    pub imported: Option<Imported>,
}

/// The hearings of a court.
#[derive(Debug)]
pub struct Hearings {
    pub(super) parts: Parts,
    pub(super) load: Load,
    pub(super) room: DiskRoom,
    places: Arc<Semaphore>,
    live: Mutex<HashMap<HearingId, Live>>,
}

/// A hearing that is listened to or streamed into.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) events: broadcast::Sender<LiveEvent>,
    /// Its journals and listeners, once they are needed.
    pub(super) sitting: Arc<OnceCell<Sitting>>,
    /// Whether a stream runs; the sender is held by the stream.
    streaming: watch::Receiver<bool>,
    /// Cancelled to end the stream.
    end: CancellationToken,
    /// Cancelled when another stream takes over.
    replaced: CancellationToken,
    /// Somebody is closing the hearing: no stream may begin.
    closing: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            events: broadcast::Sender::new(EVENTS),
            sitting: Arc::default(),
            streaming: watch::channel(false).1,
            end: CancellationToken::new(),
            replaced: CancellationToken::new(),
            closing: false,
        }
    }
}

/// Held by a stream: when it ends, the hearing and the place among the streams are free.
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

/// What a stream has of its hearing.
struct Claim {
    events: broadcast::Sender<LiveEvent>,
    sitting: Arc<OnceCell<Sitting>>,
    end: CancellationToken,
    replaced: CancellationToken,
    hold: Hold,
}

impl Hearings {
    /// The service over its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let places = Arc::new(Semaphore::new(parts.max_streams));
        Self { parts, load: Load::default(), room: DiskRoom::default(), places, live: Mutex::new(HashMap::new()) }
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

    /// Opens a hearing; gives it with the token that takes it up again after a break. What is begun is done, also if the
    /// caller goes away meanwhile.
    ///
    /// # Errors
    /// [`HearingError::ChannelCount`], [`HearingError::ChannelTwice`], [`HearingError::UnknownLanguage`],
    /// [`HearingError::Reference`], or what the record says.
    pub async fn open(self: &Arc<Self>, new: NewHearing, by: Actor) -> Result<(HearingId, String), HearingError> {
        let NewHearing { reference, mut channels, recognition, imported } = new;
        let reference = Label::try_from(reference).map_err(|source| HearingError::Reference { source })?;
        channels.sort_by_key(|c| c.id);
        self.check(&channels)?;
        self.admit(recognition, imported.is_some())?;
        let hearing = HearingId::new(self.parts.world.draw_id());
        let token = hex::encode([self.parts.world.draw_bytes(), self.parts.world.draw_bytes()].concat());
        let this = Arc::clone(self);
        finished(async move {
            let ids: Vec<ChannelId> = channels.iter().map(|c| c.id).collect();
            let resume = Some(hash_of(&token));
            let reference = reference.into();
            let opened = Change::HearingOpened { reference, channels, resume, recognition, imported };
            this.append(hearing, opened, by.clone(), Purpose::Collection).await?;
            for channel in ids {
                let began = Change::IntervalBegan {
                    channel,
                    first_sample: SamplePos::ZERO,
                    class: IntervalClass::Open,
                    end: None,
                    order: None,
                };
                this.append(hearing, began, by.clone(), Purpose::Collection).await?;
            }
            tracing::info!(hearing.id = %hearing, "hearing opened");
            Ok((hearing, token))
        })
        .await
    }

    /// Whether there is room for another hearing. One that is imported or only recorded takes no text away from others.
    fn admit(&self, recognition: Recognition, imported: bool) -> Result<(), HearingError> {
        self.has_room()?;
        let late = *self.load.step().borrow() == LoadStep::FinalsLate;
        let lateness = self.load.lateness(tokio::time::Instant::now());
        // The ladder is slow to go up again; who comes when nothing waits any more is let in.
        if late && lateness >= STILL_LATE && recognition == Recognition::Live && !imported {
            self.parts.metrics.stream_refused(Refusal::Late);
            return Err(HearingError::Late { lateness });
        }
        Ok(())
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
        // An error means that the stream is gone: it has ended.
        drop(streaming.wait_for(|streaming| !streaming).await);
        // Only now: a stream may have begun another sitting in place of a broken one.
        let (sitting, events) = {
            let mut all = self.live();
            let live = all.entry(hearing).or_default();
            (Arc::clone(&live.sitting), live.events.clone())
        };
        let heard = self.hear_out(hearing, &sitting, events).await;
        let closed = match heard {
            Ok(()) => self.append(hearing, Change::HearingClosed {}, by, Purpose::Collection).await,
            Err(error) => Err(error),
        };
        // Closed, or as it was: a stream may be tried again.
        self.live().remove(&hearing);
        let last = closed?;
        tracing::info!(hearing.id = %hearing, "hearing closed");
        Ok(last)
    }

    /// Waits until all audio of a hearing has its results, and lets go of its journals.
    async fn hear_out(
        &self,
        hearing: HearingId,
        sitting: &OnceCell<Sitting>,
        events: broadcast::Sender<LiveEvent>,
    ) -> Result<(), HearingError> {
        if sitting.get().is_none() {
            let summary = self.parts.store.hearing(hearing).await?;
            // Nothing was streamed since the start of the service; before it, something may have been.
            if summary.closed_at.is_some() || !self.has_audio(&summary) {
                return Ok(());
            }
        }
        sitting
            .get_or_try_init(|| Sitting::begin(&self.parts, &self.load, hearing, events))
            .await?
            .hear_out(&self.parts)
            .await
    }

    fn has_audio(&self, summary: &HearingSummary) -> bool {
        summary.channels.iter().any(|c| self.parts.journal.path(summary.id, c.id).exists())
    }

    /// Takes up every open hearing that has audio: what was said before the service stopped gets its text.
    ///
    /// # Errors
    /// What the record says; a hearing that cannot be taken up is logged and left.
    pub async fn recover(self: &Arc<Self>) -> Result<(), HearingError> {
        for summary in self.parts.store.hearings().await? {
            if self.is_left_half_heard(&summary).await?
                && let Err(error) = self.catch_up(summary.id).await
            {
                tracing::error!(hearing.id = %summary.id, %error, "a hearing that was only recorded could not be taken up");
            }
            if summary.closed_at.is_some() || !self.has_audio(&summary) {
                continue;
            }
            let (sitting, events) = {
                let mut all = self.live();
                let live = all.entry(summary.id).or_default();
                (Arc::clone(&live.sitting), live.events.clone())
            };
            if let Err(error) =
                sitting.get_or_try_init(|| Sitting::begin(&self.parts, &self.load, summary.id, events)).await
            {
                tracing::error!(hearing.id = %summary.id, %error, "a hearing could not be taken up");
            }
        }
        Ok(())
    }

    /// Whether a hearing that was only recorded was closed and not all of its text made since it was asked for.
    async fn is_left_half_heard(&self, summary: &HearingSummary) -> Result<bool, HearingError> {
        if summary.recognition == Recognition::Live || summary.closed_at.is_none() {
            return Ok(false);
        }
        let store = &self.parts.store;
        let begun = store.entries_named(summary.id, Change::RecognitionBegan {}.name()).await?.len();
        Ok(begun > store.entries_named(summary.id, Change::RecognitionEnded {}.name()).await?.len())
    }

    /// Ends every sitting: what was said gets its text, the journals are let go. The hearings stay open.
    pub async fn adjourn(&self) {
        // The streams end first.
        self.idle().await;
        let sittings: Vec<_> = self.live().values().map(|live| Arc::clone(&live.sitting)).collect();
        for sitting in sittings {
            let Some(sitting) = sitting.get() else { continue };
            if let Err(error) = sitting.hear_out(&self.parts).await {
                tracing::error!(%error, "a hearing was not heard out; its audio is kept");
            }
        }
    }

    /// Starts the stream of a hearing. It goes on where the last one ended. With the hearing's `token` it takes over from a
    /// stream that still seems to run.
    ///
    /// # Errors
    /// [`HearingError::Closed`], [`HearingError::Streaming`], [`HearingError::Token`], [`HearingError::Full`], or what the
    /// record, the journal and the pipeline say.
    pub async fn stream(
        self: &Arc<Self>,
        hearing: HearingId,
        token: &str,
        by: Actor,
    ) -> Result<LiveStream, HearingError> {
        // Of a hearing that is not known nothing is kept.
        let opening = self.parts.store.entries(hearing, EntrySeq::START, 1).await?;
        if !token.is_empty() {
            check_token(hearing, &opening, token)?;
        }
        let Claim { events, sitting, end, replaced, hold } = self.take_over(hearing, !token.is_empty()).await?;
        // From here on nobody closes the hearing behind this stream's back.
        if self.parts.store.hearing(hearing).await?.closed_at.is_some() {
            return Err(HearingError::Closed { hearing });
        }
        if sitting.get().is_some_and(Sitting::is_broken) {
            self.renew(hearing, &sitting).await;
            drop(hold);
            return Err(HearingError::Stopped { hearing });
        }
        let sitting = sitting.get_or_try_init(|| Sitting::begin(&self.parts, &self.load, hearing, events)).await?;
        let parts = IntakeParts {
            hearing,
            actor: by,
            routes: sitting.routes().to_vec(),
            store: Arc::clone(&self.parts.store),
            world: Arc::clone(&self.parts.world),
            metrics: Arc::clone(&self.parts.metrics),
            _hold: Box::new(hold),
            end,
            replaced,
            hearings: Arc::clone(self),
        };
        intake::start(parts).await
    }

    /// Makes a stream the only one of its hearing. One that has the `right` ends another first: also one that came in between,
    /// as the start of a broken stream does that reaches the server late.
    async fn take_over(&self, hearing: HearingId, right: bool) -> Result<Claim, HearingError> {
        loop {
            if right {
                self.displace(hearing).await;
            }
            let place = Arc::clone(&self.places).try_acquire_owned();
            let place = place.map_err(|_full| {
                self.parts.metrics.stream_refused(Refusal::Full);
                HearingError::Full { streams: self.parts.max_streams }
            })?;
            match self.claim(hearing, place) {
                Err(HearingError::Streaming { .. }) if right => {}
                claimed => return claimed,
            }
        }
    }

    /// Ends the stream that runs, if one does: its recorder is back on another.
    async fn displace(&self, hearing: HearingId) {
        let running = self.live().get(&hearing).map(|live| {
            live.replaced.cancel();
            live.streaming.clone()
        });
        if let Some(mut streaming) = running {
            drop(streaming.wait_for(|streaming| !streaming).await);
        }
    }

    /// Lets go of a sitting whose journal or listener failed: the next stream begins another.
    pub(super) async fn renew(&self, hearing: HearingId, broken: &Arc<OnceCell<Sitting>>) {
        if let Some(sitting) = broken.get() {
            sitting.let_go().await;
        }
        if let Some(live) = self.live().get_mut(&hearing)
            && Arc::ptr_eq(&live.sitting, broken)
        {
            live.sitting = Arc::default();
        }
    }

    /// Makes the stream the only one of its hearing.
    fn claim(&self, hearing: HearingId, place: OwnedSemaphorePermit) -> Result<Claim, HearingError> {
        let mut live = self.live();
        match live.get(&hearing) {
            Some(entry) if entry.closing => return Err(HearingError::Closed { hearing }),
            Some(entry) if *entry.streaming.borrow() => return Err(HearingError::Streaming { hearing }),
            Some(_) | None => {}
        }
        forget_idle(&mut live);
        let (streaming, running) = watch::channel(true);
        let entry = live.entry(hearing).or_default();
        (entry.streaming, entry.end, entry.replaced) = (running, CancellationToken::new(), CancellationToken::new());
        Ok(Claim {
            events: entry.events.clone(),
            sitting: Arc::clone(&entry.sitting),
            end: entry.end.clone(),
            replaced: entry.replaced.clone(),
            hold: Hold { _place: place, _counted: self.parts.metrics.stream_opened(), streaming },
        })
    }

    async fn append(
        &self,
        hearing: HearingId,
        change: Change,
        actor: Actor,
        purpose: Purpose,
    ) -> Result<EntrySeq, HearingError> {
        append(&self.parts, hearing, change, &actor, purpose).await
    }

    /// Ready when no stream runs any more.
    pub async fn idle(&self) {
        let all = u32::try_from(self.parts.max_streams).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _places = self.places.acquire_many(all).await;
    }

    /// Nothing panics while the lock is held, so a poisoned one is sound.
    pub(super) fn live(&self) -> MutexGuard<'_, HashMap<HearingId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of hearings that nobody listens to or streams into.
pub(super) fn forget_idle(live: &mut HashMap<HearingId, Live>) {
    live.retain(|_, entry| {
        let sits = entry.sitting.initialized() || Arc::strong_count(&entry.sitting) > 1;
        entry.closing || *entry.streaming.borrow() || sits || entry.events.receiver_count() > 0
    });
}

/// Every entry of a hearing.
pub(super) async fn all_entries(store: &dyn RecordStore, hearing: HearingId) -> Result<Vec<Entry>, HearingError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(EntrySeq::START, |e| e.seq);
        let page = store.entries(hearing, after, PAGE).await?;
        let last = page.len() < PAGE;
        entries.extend(page);
        if last {
            return Ok(entries);
        }
    }
}

/// Adds to the record.
pub(super) async fn append(
    parts: &Parts,
    hearing: HearingId,
    change: Change,
    actor: &Actor,
    purpose: Purpose,
) -> Result<EntrySeq, HearingError> {
    let by = Attribution { actor: actor.clone(), purpose, at: parts.world.now() };
    Ok(parts.store.append(hearing, change, by).await?.seq)
}

fn hash_of(token: &str) -> Sha256Hash {
    Sha256Hash::new(Sha256::digest(token.as_bytes()).into())
}

/// Whether `token` is the one given out when the hearing was opened.
pub(super) fn check_token(hearing: HearingId, opening: &[Entry], token: &str) -> Result<(), HearingError> {
    // Compared by hash, so that the time it takes tells nothing of the token.
    match opening.first().map(|entry| &entry.change) {
        Some(Change::HearingOpened { resume: Some(hash), .. }) if *hash == hash_of(token) => Ok(()),
        _ => Err(HearingError::Token { hearing }),
    }
}

/// Runs what must not be left half done on a task of its own: a caller that goes away does not stop it.
pub(super) async fn finished<T: Send + 'static>(
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
