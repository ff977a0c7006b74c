//! The hearings of a court: what can be done with them, whatever door it comes through. Here they are opened, closed and taken up
//! after a stop.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{OnceCell, Semaphore, broadcast},
    task::JoinSet,
};

use super::{
    HearingError,
    afterwards::Desks,
    live::LiveEvent,
    load::{Load, STILL_LATE},
    repass::SecondEngines,
    room::DiskRoom,
    seats::{Seats, Short},
    sitting::Sitting,
    streaming::Live,
    token::hash_of,
    world::World,
};
use crate::{
    domain::{
        actor::{Actor, Attribution, Purpose},
        change::{Change, EntrySeq, Imported, IntervalClass, Recognition},
        channel::{ChannelSetup, Label},
        glossary::Glossary,
        id::{ChannelId, HearingId},
        load::LoadStep,
        time::SamplePos,
    },
    record::{
        media::service::AudioJournal,
        store::{HearingSummary, RecordStore},
    },
    speech::{
        asr::{Pass, Recognizer, pool::Pool},
        front::FrontConfig,
        vad::SpeechDetector,
    },
    telemetry::{Metrics, Refusal},
};

/// Makes a fresh speech detector for a channel.
pub type Detectors = Arc<dyn Fn() -> Box<dyn SpeechDetector> + Send + Sync>;

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
    /// What the engine is told before it hears; `None` for nothing.
    pub glossary: Option<Arc<Glossary>>,
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
pub struct Hearings {
    pub(super) parts: Parts,
    pub(super) load: Load,
    pub(super) room: DiskRoom,
    pub(super) seats: Seats,
    pub(super) places: Arc<Semaphore>,
    pub(super) desks: Desks,
    /// Makes engines for re-passes.
    pub(super) second: Option<SecondEngines>,
    live: Mutex<HashMap<HearingId, Live>>,
}

impl fmt::Debug for Hearings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearings").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Hearings {
    /// The service over its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let places = Arc::new(Semaphore::new(parts.max_streams));
        Self {
            parts,
            load: Load::default(),
            room: DiskRoom::default(),
            seats: Seats::default(),
            places,
            desks: Desks::default(),
            second: None,
            live: Mutex::default(),
        }
    }

    /// The engine that finals are made with.
    #[must_use]
    pub fn recognizer(&self) -> &Arc<dyn Recognizer> {
        &self.parts.recognizer
    }

    /// Decodes that wait.
    #[must_use]
    pub fn waiting(&self) -> crate::speech::asr::pool::Depth {
        self.parts.pool.depth()
    }

    /// The same service with a limit to the channels that are listened to while people speak.
    #[must_use]
    pub fn carrying(mut self, live_channels: Option<usize>) -> Self {
        self.seats = Seats::new(live_channels);
        self
    }

    /// Opens a hearing; gives it with the token that takes it up again after a break. What is begun is done, also if the
    /// caller goes away meanwhile.
    ///
    /// # Errors
    /// [`HearingError::ChannelCount`], [`HearingError::ChannelTwice`], [`HearingError::UnknownLanguage`],
    /// [`HearingError::Reference`], [`HearingError::NoRoom`], [`HearingError::Late`], [`HearingError::Capacity`], or what the
    /// record says.
    pub async fn open(self: &Arc<Self>, new: NewHearing, by: Actor) -> Result<(HearingId, String), HearingError> {
        let NewHearing { reference, mut channels, recognition, imported } = new;
        let reference = Label::try_from(reference).map_err(|source| HearingError::Reference { source })?;
        channels.sort_by_key(|c| c.id);
        self.check(&channels)?;
        let hearing = HearingId::new(self.parts.world.draw_id());
        self.has_room()?;
        if recognition == Recognition::Live && imported.is_none() {
            self.admit(hearing, channels.len())?;
        }
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

    /// Whether another hearing can be listened to. One that is imported or only recorded takes no text away from others, and
    /// is not asked about.
    fn admit(&self, hearing: HearingId, channels: usize) -> Result<(), HearingError> {
        let now = tokio::time::Instant::now();
        let late = *self.load.step().borrow() == LoadStep::FinalsLate;
        let lateness = self.load.lateness(now);
        // The ladder is slow to go up again; who comes when nothing waits any more is let in.
        if late && lateness >= STILL_LATE {
            self.parts.metrics.stream_refused(Refusal::Late);
            return Err(HearingError::Late { lateness });
        }
        self.seats.take(hearing, channels, now).map_err(|Short { taken, limit }| {
            self.parts.metrics.stream_refused(Refusal::Capacity);
            HearingError::Capacity { taken, asked: channels, limit }
        })
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
        self.seats.leave(hearing);
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
    /// What the record says of the hearings as a whole; one that cannot be taken up is logged and left.
    pub async fn recover(self: &Arc<Self>) -> Result<(), HearingError> {
        for summary in self.parts.store.hearings().await? {
            if let Err(error) = self.take_up_closed(&summary).await {
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

    /// Ends every sitting: utterances that ended get their text, the journals are let go. The hearings stay open, and what was
    /// being said goes on with the next sitting.
    pub async fn adjourn(&self) {
        // The streams end first.
        self.idle().await;
        let sittings: Vec<_> = self.live().values().map(|live| Arc::clone(&live.sitting)).collect();
        // All at once: none takes the others' time.
        let adjourning = sittings.into_iter().map(|sitting| async move {
            if let Some(sitting) = sitting.get()
                && let Err(error) = sitting.adjourn().await
            {
                tracing::error!(%error, "a hearing was not heard out; its audio is kept");
            }
        });
        let closed = self.desks.leave();
        adjourning.collect::<JoinSet<()>>().join_all().await;
        closed.await;
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

    /// Nothing panics while the lock is held, so a poisoned one is sound.
    pub(super) fn live(&self) -> MutexGuard<'_, HashMap<HearingId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
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
