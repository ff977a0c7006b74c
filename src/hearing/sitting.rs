//! A hearing in session on this server: its journals are open and its channels are listened to, whether or not a recorder is
//! connected.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::{Mutex, broadcast, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    HearingError,
    live::{
        LiveEvent,
        intake::Route,
        listener::{Known, Listener, ListenerParts},
    },
    service::{Parts, all_entries},
};
use crate::{
    domain::{
        change::Change,
        channel::ChannelSetup,
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    record::{entry::Entry, media::writer::Opening},
};

/// Ends of input that a listener has not heard of yet; then the recorder's side waits.
const CUTS: usize = 16;

/// A hearing whose journals are open and whose channels are listened to.
#[derive(Debug)]
pub(super) struct Sitting {
    hearing: HearingId,
    routes: Vec<Route>,
    /// Cancelled when everything is to be heard to its end.
    end: CancellationToken,
    listeners: Mutex<JoinSet<Result<(), HearingError>>>,
    /// It stopped before everything was heard.
    spoiled: AtomicBool,
}

impl Sitting {
    /// Opens the journals, verifies them, and begins to listen where the record says.
    pub(super) async fn begin(
        parts: &Parts,
        hearing: HearingId,
        events: broadcast::Sender<LiveEvent>,
    ) -> Result<Self, HearingError> {
        let summary = parts.store.hearing(hearing).await?;
        if summary.closed_at.is_some() {
            return Err(HearingError::Closed { hearing });
        }
        let entries = all_entries(parts.store.as_ref(), hearing).await?;
        let mut known = known_of(&summary.channels, &entries);
        let end = CancellationToken::new();
        let mut sitting =
            Self { hearing, routes: Vec::new(), end, listeners: Mutex::default(), spoiled: AtomicBool::new(false) };
        for setup in summary.channels {
            let known = known.remove(&setup.id).unwrap_or_default();
            if let Err(error) = sitting.seat(parts, setup, known, events.clone()).await {
                sitting.let_go().await;
                return Err(error);
            }
        }
        Ok(sitting)
    }

    /// Opens one channel.
    async fn seat(
        &mut self,
        parts: &Parts,
        setup: ChannelSetup,
        known: Known,
        events: broadcast::Sender<LiveEvent>,
    ) -> Result<(), HearingError> {
        let (hearing, channel) = (self.hearing, setup.id);
        let opening = Opening {
            hearing,
            channel,
            format: setup.format,
            acknowledged: known.recorded,
            nonce_prefix: parts.world.draw_bytes(),
            now: parts.world.now(),
        };
        let (journal, cut) = parts.journal.open(opening).await?;
        if let Some(cut) = cut {
            tracing::warn!(hearing.id = %hearing, channel.id = %channel, bytes = cut.bytes, "a torn tail of the audio journal was cut");
        }
        let path = parts.journal.place(hearing, channel);
        let (settled, settled_at) = watch::channel(known.start);
        let (cuts, cuts_heard) = mpsc::channel(CUTS);
        let listener = Listener::new(
            ListenerParts {
                hearing,
                setup: setup.clone(),
                path: path.clone(),
                durable: journal.durable(),
                store: Arc::clone(&parts.store),
                world: Arc::clone(&parts.world),
                recognizer: Arc::clone(&parts.recognizer),
                pool: Arc::clone(&parts.pool),
                detectors: Arc::clone(&parts.detectors),
                front: parts.front.clone(),
                events,
                metrics: Arc::clone(&parts.metrics),
                settled,
                cuts: cuts_heard,
                end: self.end.clone(),
            },
            known,
        )?;
        let span = tracing::info_span!("channel", hearing.id = %hearing, channel.id = %channel);
        let listening = async move {
            let ended = listener.run().await;
            if let Err(error) = &ended {
                tracing::error!(%error, "listening to a channel stopped; its audio is kept");
            }
            ended
        };
        self.listeners.get_mut().spawn(listening.instrument(span));
        self.routes.push(Route { setup, journal, path, settled: settled_at, cuts });
        Ok(())
    }

    /// Its channels.
    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether a journal or a listener of it is gone: another sitting is to be begun.
    pub(super) fn is_broken(&self) -> bool {
        self.routes.iter().any(|r| r.cuts.is_closed() || r.journal.durable().has_changed().is_err())
    }

    /// Waits until all audio has its results, and lets go of the journals.
    pub(super) async fn hear_out(&self) -> Result<(), HearingError> {
        for route in &self.routes {
            // Listeners hear what is on disk; where the journal failed, that is all there is.
            if let Err(error) = route.journal.sync().await {
                tracing::warn!(hearing.id = %self.hearing, channel.id = %route.setup.id, %error, "an audio journal could not be synced");
            }
        }
        self.end.cancel();
        let mut listeners = self.listeners.lock().await;
        let mut heard = Ok(());
        while let Some(ended) = listeners.join_next().await {
            let ended = ended.unwrap_or_else(|panicked| {
                tracing::error!(hearing.id = %self.hearing, error = %panicked, "listening to a channel panicked");
                Err(HearingError::Stopped { hearing: self.hearing })
            });
            heard = heard.and(ended);
        }
        self.close_journals().await;
        if heard.is_err() {
            self.spoiled.store(true, Ordering::Release);
        } else if self.spoiled.load(Ordering::Acquire) {
            return Err(HearingError::Stopped { hearing: self.hearing });
        }
        heard
    }

    /// Stops at once. What has no text yet gets it from the next sitting.
    pub(super) async fn let_go(&self) {
        self.spoiled.store(true, Ordering::Release);
        self.listeners.lock().await.shutdown().await;
        self.close_journals().await;
    }

    async fn close_journals(&self) {
        for route in &self.routes {
            // One that failed is closed already, which was logged then.
            if let Err(error) = route.journal.clone().close().await {
                tracing::debug!(hearing.id = %self.hearing, channel.id = %route.setup.id, %error, "an audio journal was not closed");
            }
        }
    }
}

/// What the record says of each channel: where to begin, and what is there already.
fn known_of(channels: &[ChannelSetup], entries: &[Entry]) -> HashMap<ChannelId, Known> {
    let mut all: HashMap<ChannelId, Known> = channels.iter().map(|c| (c.id, Known::default())).collect();
    for entry in entries {
        match &entry.change {
            Change::AudioStored { channel, span, .. } => {
                if let Some(known) = all.get_mut(channel) {
                    known.recorded = known.recorded.max(span.end());
                    // Said at a cut when everything before it has its text.
                    if known.cuts.contains(&span.end()) {
                        known.start = span.end();
                    }
                }
            }
            Change::InputEnded { channel, at } => {
                if let Some(known) = all.get_mut(channel) {
                    known.cuts.push_back(*at);
                }
            }
            Change::SegmentCommitted { segment } => {
                if let Some(known) = all.get_mut(&segment.channel) {
                    known.segments.insert(segment.span.start());
                }
            }
            Change::HearingOpened { .. }
            | Change::IntervalBegan { .. }
            | Change::AudioConflict { .. }
            | Change::HearingClosed {}
            | Change::SegmentDestroyed {} => {}
        }
    }
    for channel in channels {
        let Some(known) = all.get_mut(&channel.id) else { continue };
        let start: SamplePos = known.start;
        known.cuts.retain(|cut| *cut > start);
        // By way of ticks a segment may begin a sample before the cut that it follows.
        let first = channel.format.rate.sample_at(channel.format.rate.tick_of(start));
        known.segments.retain(|segment| *segment >= first);
    }
    all
}
