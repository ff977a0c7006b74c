//! The connections of a recorder, one after another.

use std::{pin::Pin, time::Duration};

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Clock, Ending, Recorded, RecorderError, RecorderEvent, RecorderSettings, Source,
    backoff::Backoff,
    capture::State,
    keeper::{Keeper, Stock},
    orders::{Heard, Orders},
    session::{Absence, Session, Step},
    spool::{Bound, SpoolError},
};
use crate::{
    api::grpc::{
        client::{Begin, Client, ClientError, Events, Place, Sender},
        heard::ClientEvent,
    },
    domain::{
        change::Recognition,
        fault::{Fault, FaultKind},
        id::ChannelId,
        time::SamplePos,
    },
    hearing::{service::NewHearing, world::World},
};

/// Bytes of samples in one message: what every server takes, whatever limit it is set to.
const MESSAGE: usize = 48 << 10;

/// How often in a row a server may call a stream invalid before its word is taken. Once may be a message that was damaged on
/// its way, which the checksum found.
const INVALID: u32 = 3;

/// How soon a recorder tries again what does not pass by itself, as long as somebody speaks.
const TO_BE_MENDED: Duration = Duration::from_secs(60);

type Show<'a> = &'a mut (dyn FnMut(&RecorderEvent<'_>) + Send);

/// Ready with what a [`Sender`] says that is there, never without one.
async fn ready(sender: Option<&Sender>) -> Result<Place<'_>, ClientError> {
    match sender {
        Some(sender) => sender.ready().await,
        None => std::future::pending().await,
    }
}

/// Brings what the spool has to the server.
pub(super) struct Driver {
    keeper: Keeper,
    bound: Option<Bound>,
    settings: RecorderSettings,
    session: Session,
    orders: Orders,
    stock: watch::Receiver<Stock>,
    capture: watch::Receiver<State>,
    pump: AbortOnDropHandle<Result<(), RecorderError>>,
    /// Samples in one message.
    most: u64,
    /// The last final text that was shown.
    last_seq: u64,
    /// What the spool was told that is safe.
    told: Vec<SamplePos>,
    /// Whether the spool was said to be full.
    full: bool,
    /// All that was captured is in the spool, and no more comes.
    over: bool,
    /// The running or last connection brought something forward.
    progressed: bool,
    /// How often in a row a stream was called invalid.
    invalid: u32,
    /// All audio has its text.
    finished: bool,
}

impl Driver {
    pub(super) fn new(
        keeper: Keeper,
        bound: Option<Bound>,
        settings: RecorderSettings,
        capture: watch::Receiver<State>,
        pump: AbortOnDropHandle<Result<(), RecorderError>>,
    ) -> Self {
        let mut stock = keeper.stock();
        let held = stock.borrow_and_update().held.clone();
        let channels = keeper.channels();
        let width = channels.iter().map(|c| c.format.encoding.bytes_per_sample()).max().unwrap_or(1);
        let session = Session::new(channels.iter().zip(held).map(|(c, held)| (c.id, c.format.rate, held)));
        Self {
            told: session.safe(),
            session,
            orders: Orders::new(keeper.orders().to_vec()),
            most: (MESSAGE / width) as u64,
            last_seq: settings.results_after,
            keeper,
            bound,
            settings,
            stock,
            capture,
            pump,
            full: false,
            over: false,
            progressed: false,
            invalid: 0,
            finished: false,
        }
    }

    /// Connects and connects again, until all is done or it cannot be.
    pub(super) async fn run(
        mut self,
        world: &dyn World,
        clock: &dyn Clock,
        show: Show<'_>,
    ) -> Result<Recorded, RecorderError> {
        let mut backoff = Backoff::default();
        if let Some(bound) = &self.bound {
            show(&RecorderEvent::Opened { hearing: &bound.hearing });
        }
        loop {
            self.progressed = false;
            let ended = self.attempt(show).await;
            self.session.broken();
            let error = match ended {
                Ok(recorded) => return Ok(recorded),
                Err(error) => error,
            };
            if self.is_closed_after_all(&error).await {
                self.keeper.remove().await?;
                return Ok(self.recorded());
            }
            if self.progressed {
                backoff.reset();
            }
            let Some(least) = self.passes(&error) else {
                if self.bound.is_none() && !self.settings.insist {
                    // Nothing is in the spool that is not in the file.
                    self.pump.abort();
                    self.keeper.remove().await?;
                }
                return Err(error);
            };
            let wait = backoff.next(u64::from_le_bytes(world.draw_bytes()[..8].try_into().unwrap_or_default()));
            let wait = wait.max(least);
            show(&RecorderEvent::Broken { error: &error, again_in: wait });
            self.wait(clock.pause(wait), show).await?;
        }
    }

    /// Lets time pass; what capturing has to say is told meanwhile.
    async fn wait(&mut self, pause: impl Future<Output = ()>, show: Show<'_>) -> Result<(), RecorderError> {
        let mut pause = std::pin::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                changed = self.capture.changed(), if !self.over => self.capturing(changed.is_err(), show).await?,
            }
        }
    }

    /// Looks at how capturing goes.
    async fn capturing(&mut self, gone: bool, show: Show<'_>) -> Result<(), RecorderError> {
        let state = *self.capture.borrow_and_update();
        if state.full != self.full {
            self.full = state.full;
            show(&RecorderEvent::Full(self.full));
        }
        if gone && !state.over {
            let ended = Pin::new(&mut self.pump).await;
            // It ended without a word, so it failed or panicked.
            ended.unwrap_or(Err(RecorderError::Spool(SpoolError::Stopped)))?;
        }
        self.over = state.over;
        Ok(())
    }

    /// One connection, to its end.
    async fn attempt(&mut self, show: Show<'_>) -> Result<Recorded, RecorderError> {
        let mut client = Client::connect(&self.settings.server).await?;
        let bound = match &self.bound {
            Some(bound) => bound.clone(),
            None => self.open(&mut client, show).await?,
        };
        if !self.finished {
            let begin = Begin {
                hearing: &bound.hearing,
                resume_token: &bound.token,
                results_after: self.last_seq,
                partials: self.settings.partials,
            };
            let (sender, mut events) = client.stream(begin).await?;
            self.orders.connected(self.last_seq);
            self.converse(sender, &mut events, show).await?;
            // From here on nothing of it is needed, also if this process ends before the hearing is closed.
            self.keeper.rest().await?;
            self.finished = true;
        }
        if self.settings.ending == Ending::Close {
            client.close(&bound.hearing).await?;
            self.keeper.remove().await?;
        }
        Ok(self.recorded())
    }

    fn recorded(&self) -> Recorded {
        let Bound { hearing, token } = self.bound.clone().unwrap_or_default();
        Recorded { hearing, token }
    }

    async fn open(&mut self, client: &mut Client, show: Show<'_>) -> Result<Bound, RecorderError> {
        let new = NewHearing {
            reference: self.settings.reference.clone(),
            channels: self.keeper.channels().to_vec(),
            recognition: Recognition::Live,
            imported: self.settings.imported.clone(),
        };
        let opened = client.open(&new).await?;
        let bound = Bound { hearing: opened.id, token: opened.resume_token };
        self.keeper.bind(bound.clone()).await?;
        show(&RecorderEvent::Opened { hearing: &bound.hearing });
        self.bound = Some(bound.clone());
        Ok(bound)
    }

    /// Sends and hears until everything has its text. What is dropped of it in the middle is sent again by the next one.
    async fn converse(&mut self, sender: Sender, events: &mut Events, show: Show<'_>) -> Result<(), RecorderError> {
        let mut sender = Some(sender);
        let mut opened = false;
        // Nothing can be sent any more; and: nothing more is to be sent.
        let (mut gone, mut ended) = (false, false);
        loop {
            // When capturing is over, all of it is in what is held.
            self.look();
            let wants = opened && self.session.wants_to_send();
            if opened && self.over && !wants && !ended {
                ended = true;
                if let Some(sender) = sender.take() {
                    // Where the stream is gone already, what comes back says why.
                    let _gone = sender.finish().await;
                }
            }
            let place = tokio::select! {
                biased;
                event = events.next() => {
                    let event = event?.ok_or(ClientError::CutShort)?;
                    opened |= matches!(event, ClientEvent::Opened(_));
                    if self.heard(event, show).await? {
                        return if ended && self.session.is_settled() { Ok(()) } else { Err(ClientError::CutShort.into()) };
                    }
                    continue;
                }
                changed = self.capture.changed(), if !self.over => {
                    self.capturing(changed.is_err(), show).await?;
                    continue;
                }
                place = ready(sender.as_ref()), if wants && !gone => place,
                changed = self.stock.changed() => {
                    changed.map_err(|_gone| SpoolError::Stopped)?;
                    continue;
                }
            };
            match place {
                Ok(place) => self.send(place, show).await?,
                // What comes back says why.
                Err(_ended) => gone = true,
            }
        }
    }

    /// Takes over what the spool holds now.
    fn look(&mut self) {
        let stock = self.stock.borrow_and_update();
        for (index, held) in stock.held.iter().enumerate() {
            self.session.holds(index, held);
        }
    }

    async fn send(&mut self, place: Place<'_>, show: Show<'_>) -> Result<(), RecorderError> {
        match self.session.next(self.most) {
            Some(Step::Audio { channel, span }) => {
                let bytes = self.keeper.read(self.lane_of(channel), span).await?;
                place.audio(channel.number().into(), span.start().index(), bytes);
                Ok(())
            }
            Some(Step::Gap { channel, missing }) => {
                place.gap(channel.number().into(), missing.span.end().index(), missing.why.reason());
                // What is not kept on an order is no gap.
                if missing.why != Absence::Withdrawn {
                    show(&RecorderEvent::Gap { channel, missing });
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn lane_of(&self, channel: ChannelId) -> usize {
        self.keeper.channels().iter().position(|c| c.id == channel).unwrap_or(usize::MAX)
    }

    /// Takes in what the server says; true at the end.
    async fn heard(&mut self, event: ClientEvent, show: Show<'_>) -> Result<bool, RecorderError> {
        match &event {
            ClientEvent::Opened(positions) => {
                for (channel, span) in self.session.opened(positions)? {
                    show(&RecorderEvent::Ahead { channel, span });
                }
                self.let_go().await?;
            }
            ClientEvent::Stored { channel, through } => {
                self.session.stored(*channel, *through)?;
                self.let_go().await?;
            }
            // Sent again after a break.
            ClientEvent::Final(text) if text.seq <= self.last_seq => return Ok(false),
            ClientEvent::Final(text) => {
                self.last_seq = text.seq;
                self.progressed = true;
            }
            ClientEvent::Ordered { channel, first_sample, end_sample, class, ordered } => {
                let (first, end) = (SamplePos::new(*first_sample), end_sample.map(SamplePos::new));
                let heard = |channel| Heard { channel, first, end, class: *class, after: self.last_seq };
                let heard = u8::try_from(*channel).ok().and_then(ChannelId::new).map(heard);
                // How a channel begins is no order; an order that was heard before is carried out already.
                let Some(heard) = heard.filter(|_| *ordered).filter(|heard| self.orders.is_news(heard)) else {
                    return Ok(false);
                };
                self.keeper.order(heard).await?;
            }
            ClientEvent::SpeechBegan { .. }
            | ClientEvent::Partial { .. }
            | ClientEvent::Status { .. }
            | ClientEvent::Marker(_)
            | ClientEvent::Alarmed { .. }
            | ClientEvent::Finished { .. } => {}
        }
        show(&RecorderEvent::Heard(&event));
        Ok(matches!(event, ClientEvent::Finished { .. }))
    }

    /// Lets go of what is safe on the server.
    async fn let_go(&mut self) -> Result<(), RecorderError> {
        let safe = self.session.safe();
        if safe != self.told {
            if safe.iter().zip(&self.told).any(|(now, before)| now > before) {
                self.progressed = true;
                self.invalid = 0;
            }
            self.told.clone_from(&safe);
            self.keeper.release(safe).await?;
        }
        Ok(())
    }

    /// The hearing was closed and nothing is here that it does not have: a recorder that was stopped between closing the
    /// hearing and emptying its spool. Whether more comes is waited for.
    async fn is_closed_after_all(&mut self, error: &RecorderError) -> bool {
        if error.kind() != FaultKind::Conflict || self.settings.ending != Ending::Close {
            return false;
        }
        let mut capture = self.capture.clone();
        loop {
            let empty = self.stock.borrow_and_update().held.iter().all(|h| h.from == h.end && h.end > SamplePos::ZERO);
            if self.finished || !empty || capture.borrow().over {
                return self.finished || empty;
            }
            let gone = tokio::select! {
                changed = self.stock.changed() => changed.is_err(),
                changed = capture.changed() => changed.is_err(),
            };
            if gone {
                return false;
            }
        }
    }

    /// Whether people speak who cannot be asked to say it again, into a hearing that is open.
    fn captures(&self) -> bool {
        self.settings.source == Source::Live && self.bound.is_some() && !self.over
    }

    /// How long to wait at least where the error may pass by itself.
    fn passes(&mut self, error: &RecorderError) -> Option<Duration> {
        match error {
            RecorderError::Server(ClientError::Connect { .. }) if self.bound.is_none() && !self.settings.insist => None,
            // Not kept on an order, which came while it was on its way: the next stream goes round it.
            RecorderError::Spool(SpoolError::NotHeld { .. }) => Some(Duration::ZERO),
            RecorderError::Server(error) => match error.kind() {
                FaultKind::Overloaded { retry_after } => Some(retry_after),
                FaultKind::Unavailable
                | FaultKind::Cancelled
                | FaultKind::TimedOut
                | FaultKind::DataLoss
                | FaultKind::Internal => (!matches!(error, ClientError::Protocol { .. })).then_some(Duration::ZERO),
                FaultKind::Invalid if self.bound.is_some() && self.invalid < INVALID => {
                    self.invalid += 1;
                    Some(Duration::ZERO)
                }
                FaultKind::Conflict if is_taken_over(error) => Some(Duration::ZERO),
                // Somebody has to mend it. Meanwhile what is said is kept here. A hearing that was closed is in conflict: that was a
                // person's decision.
                FaultKind::Invalid
                | FaultKind::NotFound
                | FaultKind::AlreadyExists
                | FaultKind::Unauthenticated
                | FaultKind::Forbidden
                | FaultKind::Unimplemented
                    if self.captures() =>
                {
                    Some(TO_BE_MENDED)
                }
                FaultKind::Invalid
                | FaultKind::NotFound
                | FaultKind::AlreadyExists
                | FaultKind::Conflict
                | FaultKind::Unauthenticated
                | FaultKind::Forbidden
                | FaultKind::Unimplemented => None,
            },
            // A disk that is full, or away: what is captured meanwhile is noted as missing, and no order is forgotten.
            RecorderError::Spool(SpoolError::Io { .. }) if self.captures() => Some(TO_BE_MENDED),
            RecorderError::Spool(_)
            | RecorderError::Session(_)
            | RecorderError::Audio { .. }
            | RecorderError::MixedFormats
            | RecorderError::NoSuchChannel { .. } => None,
        }
    }
}

/// Whether another stream took over. It may be an older one of this recorder that the server came to late.
fn is_taken_over(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status } if status.code() == tonic::Code::Aborted)
}
