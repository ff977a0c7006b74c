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
    sync::{Mutex, broadcast, mpsc, oneshot, watch},
    task::JoinSet,
};
use tracing::Instrument;

use super::{
    HearingError, destruction, gaps,
    known::{begins_recognition, known_of},
    live::{
        LiveEvent,
        gate::Gate,
        intake::Route,
        listener::Listener,
        neighbours::Neighbourhood,
        notes::{Notes, notes},
        parts::{Ending, Known, ListenerParts, Rehear, Room},
        watch::Watch,
    },
    load::{Backlog, Load},
    orders::{self, Placed, Request},
    reading::all_entries,
    service::{Parts, append},
};
use crate::{
    domain::{
        actor::{Actor, ActorKind, Purpose},
        change::{Change, IntervalClass},
        channel::ChannelSetup,
        id::{ChannelId, HearingId},
        interval::Classes,
        time::{SamplePos, Span},
    },
    record::{
        ledger::Extent,
        media::{service::ChannelJournal, writer::Opening},
        store::HearingSummary,
    },
};

/// Ends of input that a listener has not heard of yet; then the recorder's side waits.
const CUTS: usize = 16;

/// A hearing whose journals are open and whose channels are listened to.
#[derive(Debug)]
pub(super) struct Sitting {
    hearing: HearingId,
    routes: Vec<Route>,
    /// Tells everybody when and how it is to end.
    ending: watch::Sender<Ending>,
    /// Whether text is made of it.
    listens: bool,
    listeners: Mutex<JoinSet<Result<(), HearingError>>>,
    /// What is noticed while audio comes in.
    notes: Notes,
    /// It stopped before everything was heard.
    spoiled: AtomicBool,
}

impl Sitting {
    /// Opens the journals, verifies them, and begins to listen where the record says.
    pub(super) async fn begin(
        parts: &Parts,
        load: &Load,
        hearing: HearingId,
        events: broadcast::Sender<LiveEvent>,
    ) -> Result<Self, HearingError> {
        let summary = parts.store.hearing(hearing).await?;
        if summary.closed_at.is_some() {
            return Err(HearingError::Closed { hearing });
        }
        Self::seated(parts, load, summary, events).await
    }

    /// One of a hearing that is closed, for what is done afterwards.
    pub(super) async fn of_closed(parts: &Parts, load: &Load, hearing: HearingId) -> Result<Self, HearingError> {
        let summary = parts.store.hearing(hearing).await?;
        Self::seated(parts, load, summary, broadcast::Sender::new(1)).await
    }

    async fn seated(
        parts: &Parts,
        load: &Load,
        summary: HearingSummary,
        events: broadcast::Sender<LiveEvent>,
    ) -> Result<Self, HearingError> {
        let hearing = summary.id;
        let entries = all_entries(parts.store.as_ref(), hearing).await?;
        let mut classes = Classes::default();
        entries.iter().for_each(|entry| classes.follow(&entry.change));
        let mut known = known_of(&summary.channels, &entries);
        let ending = watch::Sender::new(Ending::No);
        let listens = entries.iter().any(|entry| begins_recognition(&entry.change));
        let (notes, taking) = notes(parts, hearing, ending.subscribe());
        let mut sitting = Self {
            hearing,
            routes: Vec::new(),
            ending,
            listens,
            listeners: Mutex::default(),
            notes,
            spoiled: AtomicBool::new(false),
        };
        sitting.listeners.get_mut().spawn(taking.run());
        let (tell, neighbourhood) = watch::channel(None);
        // What is imported or caught up with afterwards takes no partials away from those who speak now.
        let counted = summary.imported.is_none() && summary.closed_at.is_none();
        for setup in summary.channels {
            let known = known.remove(&setup.id).unwrap_or_default();
            let backlog = if counted && listens { load.channel(known.start) } else { Backlog::uncounted() };
            let room = Room { live: counted, load: load.step(), backlog, events: events.clone() };
            let gate = Arc::new(Gate::new(classes.of(setup.id)));
            let mut seated = sitting.seat(parts, setup, (known, gate), (room, neighbourhood.clone())).await;
            if let (Ok(()), Some(route)) = (&seated, sitting.routes.last()) {
                let stored = Span::new(SamplePos::ZERO, *route.durable.borrow()).unwrap_or(Span::EMPTY);
                let at = (hearing, route.setup.id);
                seated = gaps::tell(parts, at, route.path.clone(), (stored, &entries)).await;
            }
            if let Err(error) = seated {
                sitting.let_go(parts).await;
                return Err(error);
            }
        }
        tell.send_replace(Some(Arc::new(sitting.routes.iter().map(Route::neighbour).collect())));
        Ok(sitting)
    }

    /// Opens one channel, and begins to listen to it where text is made.
    async fn seat(
        &mut self,
        parts: &Parts,
        setup: ChannelSetup,
        (known, gate): (Known, Arc<Gate>),
        (room, neighbourhood): (Room, Neighbourhood),
    ) -> Result<(), HearingError> {
        let (hearing, channel) = (self.hearing, setup.id);
        let journal = open_journal(parts, hearing, &setup, known.recorded).await?;
        let path = parts.journal.place(hearing, channel);
        // An order that a stop kept from being carried out in full.
        let stored = Span::new(SamplePos::ZERO, *journal.durable().borrow()).unwrap_or(Span::EMPTY);
        gate.owe(gate.classes().runs(stored).into_iter().filter(|(_, class)| !class.is_stored()));
        let known = if destruction::of(parts, hearing, &setup, &journal, &gate).await?.is_empty() {
            known
        } else {
            self.known(parts, channel).await?
        };
        let watch = Arc::new(Watch::new(&setup, &known.alarms, self.notes.clone()));
        let (rehear, asked) = mpsc::channel(1);
        let (cuts, cuts_heard) = mpsc::channel(CUTS);
        let (settled, settled_at) = watch::channel(known.start);
        let (heard, heard_to) = watch::channel(known.start);
        let mut route = Route {
            setup: setup.clone(),
            durable: journal.durable(),
            journal,
            path: path.clone(),
            settled: settled_at,
            heard: heard_to,
            cuts,
            ends: watch::Sender::new(known.ends.clone()),
            gate: Arc::clone(&gate),
            rehear,
            backlog: Arc::clone(&room.backlog),
            recorded: known.recorded,
            watch,
        };
        if !self.listens {
            // Nothing is waited for.
            (route.settled, route.heard) = (route.durable.clone(), route.durable.clone());
            self.routes.push(route);
            return Ok(());
        }
        let parts = ListenerParts {
            hearing,
            setup,
            path,
            durable: route.durable.clone(),
            store: Arc::clone(&parts.store),
            world: Arc::clone(&parts.world),
            recognizer: Arc::clone(&parts.recognizer),
            pool: Arc::clone(&parts.pool),
            detectors: Arc::clone(&parts.detectors),
            front: parts.front.clone(),
            glossary: parts.glossary.clone(),
            room,
            metrics: Arc::clone(&parts.metrics),
            settled,
            heard,
            cuts: cuts_heard,
            rehear: asked,
            gate,
            neighbourhood,
            ending: self.ending.subscribe(),
        };
        self.routes.push(route);
        self.attend(Listener::new(parts, known)?, channel);
        Ok(())
    }

    /// Lets a listener run.
    fn attend(&mut self, listener: Listener, channel: ChannelId) {
        let hearing = self.hearing;
        let span = tracing::info_span!("channel", hearing.id = %hearing, channel.id = %channel);
        let listening = async move {
            let ended = listener.run().await;
            if let Err(error) = &ended {
                tracing::error!(%error, "listening to a channel stopped; its audio is kept");
            }
            ended
        };
        self.listeners.get_mut().spawn(listening.instrument(span));
    }

    /// Whether text is made of it.
    pub(super) const fn listens(&self) -> bool {
        self.listens
    }

    /// Its channels.
    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether a journal or a listener of it is gone: another sitting is to be begun.
    pub(super) fn is_broken(&self) -> bool {
        let deaf = |route: &Route| self.listens && route.cuts.is_closed();
        self.routes.iter().any(|route| deaf(route) || route.durable.has_changed().is_err())
    }

    /// What the record says of one channel.
    async fn known(&self, parts: &Parts, channel: ChannelId) -> Result<Known, HearingError> {
        let summary = parts.store.hearing(self.hearing).await?;
        let entries = all_entries(parts.store.as_ref(), self.hearing).await?;
        Ok(known_of(&summary.channels, &entries).remove(&channel).unwrap_or_default())
    }

    /// Carries an order out: it is in the record, and what it forbids is destroyed. It is carried out on all channels that it
    /// names, or refused on all. Must not be dropped half way.
    pub(super) async fn order(&self, parts: &Parts, request: &Request, by: &Actor) -> Result<Placed, HearingError> {
        request.check()?;
        let meant = |route: &&Route| request.channel.is_none_or(|channel| channel == route.setup.id);
        let routes: Vec<&Route> = self.routes.iter().filter(meant).collect();
        let Some(first) = routes.first() else {
            let channel = request.channel.map_or(0, |c| u32::from(c.number()));
            return Err(HearingError::NoSuchChannel { channel, hearing: self.hearing });
        };
        // In the order of their numbers, so that two orders never wait for each other.
        let mut turns = Vec::with_capacity(routes.len());
        let mut plans = Vec::with_capacity(routes.len());
        for route in &routes {
            turns.push(route.gate.turn().await);
            let now = route.journal.sync().await?;
            let place = request.at(first.setup.format.rate, route.setup.format.rate, now);
            let plan = orders::plan(&route.gate.classes(), now, place, request.class);
            plans.push(plan.map_err(|why| HearingError::Order { why })?);
        }
        let mut placed = Placed::default();
        for (route, plan) in routes.iter().zip(plans) {
            for (first_sample, end) in plan.intervals {
                let (channel, class, order) = (route.setup.id, request.class, Some(request.order.clone()));
                let began = Change::IntervalBegan { channel, first_sample, class, end, order };
                placed.changes.push(began);
                // What must not be stored or seen is not from here on, on every channel, whether or not the record can take it. What
                // may be again, only when the record has it.
                if class != IntervalClass::Open {
                    route.gate.set(first_sample, end, class);
                }
            }
            route.gate.owe(plan.destroy.into_iter().map(|span| (span, request.class)));
        }
        for began in &placed.changes {
            append(parts, self.hearing, began.clone(), by, Purpose::Alteration).await?;
        }
        for began in &placed.changes {
            if let Change::IntervalBegan { channel, first_sample, end, class: IntervalClass::Open, .. } = began
                && let Some(route) = routes.iter().find(|route| route.setup.id == *channel)
            {
                route.gate.set(*first_sample, *end, IntervalClass::Open);
            }
        }
        for route in &routes {
            placed.changes.extend(self.destroy(parts, route).await?);
        }
        Ok(placed)
    }

    /// Destroys what orders forbid, while nobody listens to the channel.
    async fn destroy(&self, parts: &Parts, route: &Route) -> Result<Vec<Change>, HearingError> {
        if route.gate.owed().is_empty() {
            return Ok(Vec::new());
        }
        let ((held, holds), (go_on, again)) = (oneshot::channel(), oneshot::channel());
        // A listener that is gone holds nothing; another sitting follows it.
        if route.rehear.send(Rehear { held, again }).await.is_ok() {
            let _gone = holds.await;
        }
        let destroyed = destruction::of(parts, self.hearing, &route.setup, &route.journal, &route.gate).await;
        let _gone = go_on.send(self.known(parts, route.setup.id).await?);
        destroyed
    }

    /// How far each channel is.
    pub(super) fn extents(&self) -> HashMap<ChannelId, Extent> {
        let extent = |route: &Route| Extent {
            end: *route.durable.borrow(),
            settled: if self.listens { *route.settled.borrow() } else { SamplePos::ZERO },
        };
        self.routes.iter().map(|route| (route.setup.id, extent(route))).collect()
    }

    /// Waits until all audio has its results, and lets go of the journals. Nothing more comes of the hearing.
    ///
    /// # Errors
    /// [`HearingError::Stopped`] where not everything was heard, as after [`Sitting::adjourn`]: another sitting is to be begun.
    pub(super) async fn hear_out(&self, parts: &Parts) -> Result<(), HearingError> {
        if !self.listens {
            self.put_down(parts).await?;
        }
        self.tell_gaps(parts).await;
        self.end(Ending::Closed).await
    }

    /// Waits until every utterance that ended has its text, and lets go of the journals. What is still being said is left to
    /// the next sitting, which hears it from the journal as after a crash.
    ///
    /// # Errors
    /// As [`Sitting::hear_out`].
    pub(super) async fn adjourn(&self) -> Result<(), HearingError> {
        self.end(Ending::Adjourned).await
    }

    async fn end(&self, how: Ending) -> Result<(), HearingError> {
        for route in &self.routes {
            // Listeners hear what is on disk; where the journal failed, that is all there is.
            if let Err(error) = route.journal.sync().await {
                tracing::warn!(hearing.id = %self.hearing, channel.id = %route.setup.id, %error, "an audio journal could not be synced");
            }
        }
        // The first to say so is heard.
        self.ending.send_if_modified(|ending| *ending == Ending::No && std::mem::replace(ending, how) != how);
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
        } else if self.spoiled.load(Ordering::Acquire) || (how == Ending::Closed && *self.ending.borrow() != how) {
            return Err(HearingError::Stopped { hearing: self.hearing });
        }
        heard
    }

    /// Tells the record of gaps that it could not take when they came. What cannot be told is logged: a record that takes
    /// nothing takes no closing either, and a journal that cannot be read keeps its gaps.
    async fn tell_gaps(&self, parts: &Parts) {
        let told = async {
            let entries = all_entries(parts.store.as_ref(), self.hearing).await?;
            for route in &self.routes {
                let stored = Span::new(SamplePos::ZERO, *route.durable.borrow()).unwrap_or(Span::EMPTY);
                gaps::tell(parts, (self.hearing, route.setup.id), route.path.clone(), (stored, &entries)).await?;
            }
            Ok::<_, HearingError>(())
        };
        if let Err(error) = told.await {
            tracing::error!(hearing.id = %self.hearing, %error, "the record could not be told of gaps");
        }
    }

    /// Of what is only recorded: the record says how far it goes.
    async fn put_down(&self, parts: &Parts) -> Result<(), HearingError> {
        let by = Actor { kind: ActorKind::Service, id: "recorder".to_owned() };
        for route in &self.routes {
            let (channel, end) = (route.setup.id, route.journal.sync().await?);
            if let Some(span) = Span::new(route.recorded, end).filter(|span| !span.is_empty()) {
                let ended = Change::InputEnded { channel, at: end };
                append(parts, self.hearing, ended, &by, Purpose::Collection).await?;
                let class = route.gate.strictest_stored(span);
                let stored = Change::AudioStored { channel, span, class };
                append(parts, self.hearing, stored, &by, Purpose::Collection).await?;
            }
        }
        Ok(())
    }

    /// Stops at once. What has no text yet gets it from the next sitting.
    pub(super) async fn let_go(&self, parts: &Parts) {
        self.spoiled.store(true, Ordering::Release);
        self.listeners.lock().await.shutdown().await;
        self.close_journals().await;
        // What a listener was adding to the record is there before another begins by what the record says.
        if let Err(error) = parts.store.flush().await {
            tracing::debug!(hearing.id = %self.hearing, %error, "the record was not waited for");
        }
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

/// Opens the journal of a channel.
async fn open_journal(
    parts: &Parts,
    hearing: HearingId,
    setup: &ChannelSetup,
    acknowledged: SamplePos,
) -> Result<ChannelJournal, HearingError> {
    let opening = Opening {
        hearing,
        channel: setup.id,
        format: setup.format,
        acknowledged,
        nonce_prefix: parts.world.draw_bytes(),
        now: parts.world.now(),
    };
    let (journal, cut) = parts.journal.open(opening).await?;
    if let Some(cut) = cut {
        tracing::warn!(hearing.id = %hearing, channel.id = %setup.id, bytes = cut.bytes, "a torn tail of the audio journal was cut");
    }
    Ok(journal)
}
