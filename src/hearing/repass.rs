//! A closed hearing is heard once more, by another model or more patiently: where that gives other words, they are proposed. The
//! record's text stays as it is.
//!
//! It reads the journal, as all who listen do, and makes way: for orders on the hearing (`afterwards`), for everybody whose text is
//! due sooner, and for the end of the service. Asked for again, it proposes what it did not before.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, mpsc::sync_channel},
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    HearingError,
    known::known_of,
    live::{
        compose,
        journal::Reading,
        lead,
        neighbours::{Neighbour, Neighbours},
        parts::{Ending, Known},
    },
    proposals::{self, Difference, difference},
    reading::all_entries,
    service::{Hearings, Parts, append},
};
use crate::{
    domain::{
        actor::{Actor, ActorKind, Purpose},
        change::Change,
        channel::ChannelSetup,
        engine::EngineInfo,
        hypothesis::Hypothesis,
        id::{ChannelId, HearingId, SegmentId},
        interval::Classes,
        segment::Segment,
        time::{SamplePos, Span},
    },
    speech::{
        asr::{
            AsrError, CancelFlag, Pass, Recognizer,
            pool::{Job, Pool, Urgency},
        },
        front::{Front, FrontConfig, Heard, HeardUtterance},
        profile::ProfileName,
    },
};

/// With what a hearing is heard once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RePass {
    /// The model's name in the store; `None` for the one that the service hears with.
    pub model: Option<String>,
    /// How patiently.
    pub profile: ProfileName,
}

/// An engine beside the one that the service hears with.
pub struct SecondEngine {
    /// What decodes.
    pub recognizer: Arc<dyn Recognizer>,
    /// Its one thread. It decodes while a worker of the service's own pool waits for it.
    pub pool: Arc<Pool>,
    /// Where utterances end.
    pub front: FrontConfig,
    /// What must live as long as it does, and goes after it.
    pub held: Box<dyn Send + Sync>,
}

impl fmt::Debug for SecondEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondEngine").field("recognizer", &self.recognizer).finish_non_exhaustive()
    }
}

/// Verifies and loads an engine; blocks meanwhile.
pub type SecondEngines = Arc<dyn Fn(&RePass) -> Result<SecondEngine, HearingError> + Send + Sync>;

/// How far a re-pass is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Milliseconds of audio, all channels together, that were heard,
    pub heard_ms: u64,
    /// of so many.
    pub of_ms: u64,
    /// Texts that were proposed so far.
    pub proposed: u64,
}

/// What came of a re-pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RePassed {
    /// With what it was heard.
    pub engine: EngineInfo,
    /// Utterances that were heard,
    pub utterances: u64,
    /// of which this many are proposed now,
    pub proposed: u64,
    /// and this many were before.
    pub known: u64,
    /// Utterances that could not be decoded.
    pub failed: u64,
    /// Words that the record has in these utterances,
    pub words: u64,
    /// and how many of them would be exchanged or taken out, together with those that would be put in.
    pub changed: u64,
}

impl Hearings {
    /// The same service with engines for re-passes.
    #[must_use]
    pub fn proposing(mut self, engines: Option<SecondEngines>) -> Self {
        self.second = engines;
        self
    }

    /// Hears a closed hearing once more, and proposes texts where they are others than the record's. Ends early where nobody takes
    /// `progress` any more; what was proposed by then stays.
    ///
    /// # Errors
    /// [`HearingError::NoProposals`] where the hearing's text is not all made, or a re-pass is under way; what is wrong with the
    /// model; [`HearingError::RePassStopped`]; and what the record and the journal say.
    pub async fn propose_revisions(
        self: &Arc<Self>,
        hearing: HearingId,
        wanted: RePass,
        progress: mpsc::Sender<Progress>,
    ) -> Result<RePassed, HearingError> {
        let desk = self.begin_re_pass(hearing).await?;
        let Some(load) = self.second.clone() else {
            return Err(HearingError::NoProposals { hearing, why: "this service has no engines for it" });
        };
        // Nobody aborts it; where it panicked there is nothing to go on with.
        let engine = tokio::task::spawn_blocking(move || load(&wanted)).await;
        let engine = Engine(Some(engine.map_err(|_panicked| AsrError::WorkerGone)??));
        let mut run = Run::new(self, hearing, engine, &progress);
        let stopped = || HearingError::RePassStopped { hearing };
        loop {
            let Some(turn) = desk.next_turn().await else { return Err(stopped()) };
            tokio::select! {
                heard = run.hear() => {
                    heard?;
                    tracing::info!(hearing.id = %hearing, proposed = run.done.proposed, "a hearing was heard once more");
                    return Ok(run.done);
                }
                () = desk.is_wanted() => {}
                () = progress.closed() => return Err(stopped()),
            }
            // What was being added to the record is there before it is read again.
            self.parts.store.flush().await?;
            drop(turn);
        }
    }
}

/// An engine, let go of where blocking is allowed: its thread is waited for.
struct Engine(Option<SecondEngine>);

impl Drop for Engine {
    fn drop(&mut self) {
        let engine = self.0.take();
        tokio::task::spawn_blocking(move || drop(engine));
    }
}

/// Raised when whoever holds it is gone.
#[derive(Default)]
struct GivenUp(CancelFlag);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A re-pass under way. It may stand up at any await, and begins its channel anew; utterances that it had are not decoded again.
struct Run<'a> {
    parts: &'a Parts,
    hearing: HearingId,
    engine: Engine,
    progress: &'a mpsc::Sender<Progress>,
    /// What of the hearing is heard.
    heard: HashSet<(ChannelId, Span)>,
    /// Channels that are heard to their end.
    over: HashSet<ChannelId>,
    done: RePassed,
}

/// One channel as it is heard.
struct Lane<'a> {
    setup: &'a ChannelSetup,
    reading: Reading,
    neighbours: Neighbours,
    texts: &'a [Segment],
    proposed: &'a HashSet<SegmentId>,
    /// Milliseconds of the channels before, and of all.
    before_ms: u64,
    of_ms: u64,
}

impl<'a> Run<'a> {
    fn new(hearings: &'a Hearings, hearing: HearingId, engine: Engine, progress: &'a mpsc::Sender<Progress>) -> Self {
        let info = engine.0.as_ref().map(|engine| engine.recognizer.info(Pass::Final).clone());
        let info = info.unwrap_or_else(|| hearings.recognizer().info(Pass::Final).clone());
        let done = RePassed { engine: info, utterances: 0, proposed: 0, known: 0, failed: 0, words: 0, changed: 0 };
        Self { parts: &hearings.parts, hearing, engine, progress, heard: HashSet::new(), over: HashSet::new(), done }
    }

    fn engine(&self) -> Result<&SecondEngine, HearingError> {
        self.engine.0.as_ref().ok_or(HearingError::RePassStopped { hearing: self.hearing })
    }

    /// Hears every channel that is not heard to its end yet.
    async fn hear(&mut self) -> Result<(), HearingError> {
        let summary = self.parts.store.hearing(self.hearing).await?;
        self.check(&summary.channels)?;
        let entries = all_entries(self.parts.store.as_ref(), self.hearing).await?;
        let mut classes = Classes::default();
        entries.iter().for_each(|entry| classes.follow(&entry.change));
        let known = known_of(&summary.channels, &entries);
        let texts = proposals::texts_of(&entries);
        let proposed: HashSet<SegmentId> = proposals::known(&entries).collect();
        // Its sender may go: nothing more comes of any channel.
        let (_told, neighbourhood) = watch::channel(Some(Arc::new(self.neighbours(&summary.channels, &known))));
        let length = |c: &ChannelSetup| known.get(&c.id).map_or(0, |k| k.recorded.at(c.format.rate).millis());
        let of_ms = summary.channels.iter().map(length).sum();
        let mut before_ms = 0;
        for setup in &summary.channels {
            let known = known.get(&setup.id).cloned().unwrap_or_default();
            let place = self.parts.journal.place(self.hearing, setup.id);
            if place.path.exists() && !self.over.contains(&setup.id) {
                let ending = watch::channel(Ending::Closed).1;
                let detectors = Arc::clone(&self.parts.detectors);
                let mut lane = Lane {
                    setup,
                    reading: Reading::forward(place),
                    neighbours: Neighbours::new(setup.id, neighbourhood.clone(), detectors, ending),
                    texts: texts.get(&setup.id).map_or(&[], Vec::as_slice),
                    proposed: &proposed,
                    before_ms,
                    of_ms,
                };
                let whole = Span::new(SamplePos::ZERO, known.recorded).unwrap_or(Span::EMPTY);
                for (span, class) in classes.of(setup.id).runs(whole) {
                    // What an order forbids and a crash left is not heard either.
                    if class.is_stored() {
                        self.hear_run(&mut lane, span, &known.ends).await?;
                    }
                }
            }
            self.over.insert(setup.id);
            before_ms += length(setup);
        }
        Ok(())
    }

    /// The model must know what may be spoken.
    fn check(&self, channels: &[ChannelSetup]) -> Result<(), HearingError> {
        let recognizer = &self.engine()?.recognizer;
        for channel in channels {
            if let Some(language) = channel.languages.tags().iter().find(|l| !recognizer.knows(l)) {
                return Err(HearingError::UnknownLanguage {
                    channel: channel.id,
                    language: language.clone(),
                    model: self.done.engine.model.clone(),
                    remedy: "name a model that knows all languages of the hearing",
                });
            }
        }
        Ok(())
    }

    fn neighbours(&self, channels: &[ChannelSetup], known: &HashMap<ChannelId, Known>) -> Vec<Neighbour> {
        let neighbour = |setup: &ChannelSetup| {
            let known = known.get(&setup.id).cloned().unwrap_or_default();
            Neighbour {
                setup: setup.clone(),
                path: self.parts.journal.place(self.hearing, setup.id),
                durable: watch::channel(known.recorded).1,
                ends: watch::channel(known.ends).1,
            }
        };
        channels.iter().map(neighbour).collect()
    }

    /// Hears samples of one class, cut where the input ended.
    async fn hear_run(&mut self, lane: &mut Lane<'_>, span: Span, ends: &[SamplePos]) -> Result<(), HearingError> {
        let mut from = span.start();
        let inside = ends.iter().copied().filter(|end| span.start() < *end && *end < span.end());
        for end in inside.chain([span.end()]) {
            if let Some(stretch) = Span::new(from, end) {
                self.hear_stretch(lane, stretch).await?;
            }
            from = end;
        }
        Ok(())
    }

    /// Hears a stretch at whose ends utterances are cut, as well as at gaps in it. It is read as a listener reads it.
    async fn hear_stretch(&mut self, lane: &mut Lane<'_>, stretch: Span) -> Result<(), HearingError> {
        let (channel, rate) = (lane.setup.id, lane.setup.format.rate);
        let (mut front, mut position, mut class) = (None::<Front>, stretch.start(), None);
        while position < stretch.end() {
            let to = stretch.end().min(position.plus(rate.hz().into()));
            let second = Span::new(position, to).unwrap_or(Span::EMPTY);
            for piece in lane.reading.read(second).await? {
                if piece.span.start() > position || class.replace(piece.class).is_some_and(|c| c != piece.class) {
                    self.cut(lane, front.take()).await?;
                }
                let mut hearing = match front.take() {
                    Some(front) => front,
                    None => self.fresh(lane.setup, piece.span.start())?,
                };
                let heard = hearing.push(&piece.bytes).map_err(|source| HearingError::Audio { channel, source })?;
                front = Some(hearing);
                position = piece.span.end();
                self.take(lane, heard).await?;
            }
            if position < to {
                self.cut(lane, front.take()).await?;
                position = to;
            }
            self.tell(lane.before_ms + position.at(rate).millis(), lane.of_ms);
        }
        self.cut(lane, front.take()).await
    }

    fn fresh(&self, setup: &ChannelSetup, at: SamplePos) -> Result<Front, HearingError> {
        Front::new(setup.format, at, &self.engine()?.front, (self.parts.detectors)())
            .map_err(|source| HearingError::Front { channel: setup.id, source })
    }

    async fn cut(&mut self, lane: &mut Lane<'_>, front: Option<Front>) -> Result<(), HearingError> {
        let heard = front.map_or_else(Vec::new, |mut front| front.finish());
        self.take(lane, heard).await
    }

    async fn take(&mut self, lane: &mut Lane<'_>, heard: Vec<Heard>) -> Result<(), HearingError> {
        for event in heard {
            if let Heard::Ended(heard) = event {
                self.utterance(lane, &heard).await?;
            }
        }
        Ok(())
    }

    /// Who is told may be slow; then it is told later.
    fn tell(&self, heard_ms: u64, of_ms: u64) {
        let told = self.progress.try_send(Progress { heard_ms, of_ms, proposed: self.done.proposed });
        tracing::trace!(told = told.is_ok(), "progress of a re-pass");
    }

    /// Decodes an utterance, and proposes its text where that is another.
    async fn utterance(&mut self, lane: &mut Lane<'_>, heard: &HeardUtterance) -> Result<(), HearingError> {
        let span = lane.setup.format.rate.span_at(heard.utterance.span);
        if self.heard.contains(&(lane.setup.id, span)) {
            return Ok(());
        }
        let mut outcome = self.decode(lane.setup, heard).await;
        if outcome.as_ref().is_err_and(|e| e.may_pass() && !matches!(e, AsrError::Cancelled | AsrError::WorkerGone)) {
            outcome = self.decode(lane.setup, heard).await;
        }
        match outcome {
            Ok(hypothesis) => self.propose(lane, heard, hypothesis).await?,
            Err(error @ (AsrError::Cancelled | AsrError::WorkerGone)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "an utterance could not be decoded once more; nothing is proposed for it");
                self.done.failed += 1;
            }
        }
        self.done.utterances += 1;
        self.heard.insert((lane.setup.id, span));
        Ok(())
    }

    async fn propose(
        &mut self,
        lane: &mut Lane<'_>,
        heard: &HeardUtterance,
        hypothesis: Hypothesis,
    ) -> Result<(), HearingError> {
        for segment in compose::segments(self.hearing, lane.setup, heard, hypothesis, &self.done.engine, None) {
            self.propose_segment(lane, segment).await?;
        }
        Ok(())
    }

    async fn propose_segment(&mut self, lane: &mut Lane<'_>, mut segment: Segment) -> Result<(), HearingError> {
        let Difference { replaces, stand, changed } = difference(lane.texts, &segment);
        segment.id = proposals::identity(self.hearing, &segment);
        if changed > 0 && lane.proposed.contains(&segment.id) {
            self.done.known += 1;
        } else if changed > 0 {
            lane.neighbours.label(&mut segment, false).await;
            // Nothing follows that would compare it.
            segment.uncompared = false;
            let by = Actor { kind: ActorKind::Service, id: "re-pass".to_owned() };
            let proposed = Change::RevisionProposed { replaces, segment: Box::new(segment) };
            append(self.parts, self.hearing, proposed, &by, Purpose::Collection).await?;
            self.done.proposed += 1;
        }
        self.done.words += stand as u64;
        self.done.changed += changed as u64;
        Ok(())
    }

    /// Decodes with the second engine, in the time of a worker of the service's own pool that has nothing to do that is due sooner.
    async fn decode(&self, setup: &ChannelSetup, heard: &HeardUtterance) -> Result<Hypothesis, AsrError> {
        let given_up = GivenUp::default();
        let pool = self.engine.0.as_ref().map(|engine| Arc::clone(&engine.pool)).ok_or(AsrError::WorkerGone)?;
        let (reply, decoded) = sync_channel(1);
        let job = Job {
            stream: STREAM,
            samples: heard.utterance.samples.clone(),
            start: heard.utterance.span.start(),
            languages: setup.languages.clone(),
            pass: Pass::Final,
            lead: lead::of(None, setup, &heard.utterance),
            urgency: Urgency::Late,
            cancel: given_up.0.clone(),
            // It holds one answer, and one comes.
            reply: Box::new(move |outcome| drop(reply.send(outcome))),
            span: tracing::Span::current(),
        };
        let (tell, answer) = oneshot::channel();
        let errand = move || {
            pool.submit(job);
            drop(tell.send(decoded.recv().unwrap_or(Err(AsrError::WorkerGone))));
        };
        self.parts.pool.lend(STREAM, Urgency::Late, given_up.0.clone(), Box::new(errand));
        // An errand that is dropped was given up, or the pool stops.
        answer.await.unwrap_or(Err(AsrError::Cancelled))
    }
}

/// The stream of decodes that re-passes are: one more beside the channels of hearings, whose numbers are drawn.
const STREAM: u64 = u64::MAX;
