//! Who streams into a hearing: one at a time, and who shows the hearing's token takes over.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{OnceCell, OwnedSemaphorePermit, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{
    HearingError,
    live::{
        LiveEvent, LiveStream,
        intake::{self, IntakeParts},
    },
    seats::Seated,
    service::Hearings,
    sitting::Sitting,
    token::check_token,
};
use crate::{
    domain::{
        actor::Actor,
        change::{EntrySeq, Recognition},
        id::HearingId,
    },
    telemetry::{Refusal, RunningStream},
};

/// Partials and beginnings of speech that a slow listener may fall behind; then it misses the oldest.
const EVENTS: usize = 256;

impl Hearings {
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
        let Claim { events, sitting, end, replaced, mut hold } = self.take_over(hearing, !token.is_empty()).await?;
        // From here on nobody closes the hearing behind this stream's back.
        let summary = self.parts.store.hearing(hearing).await?;
        if summary.closed_at.is_some() {
            return Err(HearingError::Closed { hearing });
        }
        if summary.recognition == Recognition::Live && summary.imported.is_none() {
            hold.seated = Some(self.seats.sit(hearing, summary.channels.len()));
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
            sitting.let_go(&self.parts).await;
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
            hold: Hold { _place: place, _counted: self.parts.metrics.stream_opened(), streaming, seated: None },
        })
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

    /// Ready when no stream runs any more.
    pub async fn idle(&self) {
        let all = u32::try_from(self.parts.max_streams).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _places = self.places.acquire_many(all).await;
    }
}

/// A hearing that is listened to or streamed into.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) events: broadcast::Sender<LiveEvent>,
    /// Its journals and listeners, once they are needed.
    pub(super) sitting: Arc<OnceCell<Sitting>>,
    /// Whether a stream runs; the sender is held by the stream.
    pub(super) streaming: watch::Receiver<bool>,
    /// Cancelled to end the stream.
    pub(super) end: CancellationToken,
    /// Cancelled when another stream takes over.
    replaced: CancellationToken,
    /// Somebody is closing the hearing: no stream may begin.
    pub(super) closing: bool,
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

/// Lets go of hearings that nobody listens to or streams into.
pub(super) fn forget_idle(live: &mut HashMap<HearingId, Live>) {
    live.retain(|_, entry| {
        let sits = entry.sitting.initialized() || Arc::strong_count(&entry.sitting) > 1;
        entry.closing || *entry.streaming.borrow() || sits || entry.events.receiver_count() > 0
    });
}

/// Held by a stream: when it ends, the hearing and the place among the streams are free.
struct Hold {
    _place: OwnedSemaphorePermit,
    _counted: RunningStream,
    streaming: watch::Sender<bool>,
    /// Of a hearing that text is made of while people speak.
    seated: Option<Seated>,
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
