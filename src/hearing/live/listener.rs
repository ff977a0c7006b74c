//! The task that listens to one channel: it reads the audio journal, and what it makes of it goes into the record.
//!
//! It never touches a recorder's stream. Late, stopped or started anew, it reads on from the disk: what it is given are
//! the samples and the cuts of the record alone, so that it cuts the same utterances and says the same whenever it runs. It
//! reads only what is synced, so that no text can stand on audio that a power cut takes away.

mod recording;

use std::{collections::VecDeque, sync::Arc};

use super::{
    LiveEvent, Partial, compose,
    decodes::{Decodes, Outcome},
    journal::Reading,
    neighbours::Neighbours,
    parts::{Ending, Known, ListenerParts, Rehear},
    pending::{Ahead, Queue},
};
use crate::{
    domain::{
        change::{Change, IntervalClass},
        hypothesis::Hypothesis,
        load::LoadStep,
        segment::Segment,
        time::{SamplePos, Span},
    },
    hearing::HearingError,
    speech::{
        asr::{AsrError, CancelFlag},
        front::{Front, Heard, HeardUtterance},
        stream::live::LiveText,
    },
};

/// Utterances of one channel that wait for their text before the task reads on. The audio waits on disk.
const MAX_PENDING: usize = 4;

/// Audio that is read at a time, seconds.
const READ_SECONDS: u64 = 1;

/// Further than this behind what is on disk, seconds, no partials are made: they would be stale before they are shown.
const LIVE_SECONDS: u64 = 2;

/// Further than this behind, seconds, a channel catches up: its texts make way for those of what is said now.
const BEHIND_SECONDS: u64 = 10;

/// Of so many partials one is made where they are thinned out.
const THINNED: u64 = 3;

/// How much audio the record may be behind the disk, seconds.
const RECORD_SECONDS: u64 = 60;

pub(in crate::hearing) struct Listener {
    parts: ListenerParts,
    known: Known,
    front: Front,
    reading: Reading,
    /// The next sample to be heard.
    position: SamplePos,
    /// Where listening began anew: everything before it is over.
    fresh_at: SamplePos,
    pending: Queue,
    /// What was shown so far of the utterance that goes on.
    text: LiveText,
    /// The decode of what it is if it ends at the pause that is now.
    ahead: Option<Ahead>,
    neighbours: Neighbours,
    /// Texts of the record that are still to be compared with other channels.
    uncompared: VecDeque<Segment>,
    /// Partials that were due so far.
    partials_due: u64,
    /// The last end of input that was learnt of.
    last_cut: SamplePos,
    /// The class of what was heard last; `None` before anything was.
    class: Option<IntervalClass>,
    decodes: Decodes,
}

impl Listener {
    /// A listener that begins where the record says.
    ///
    /// # Errors
    /// [`HearingError::Front`] where the configuration cannot work.
    pub(in crate::hearing) fn new(parts: ListenerParts, mut known: Known) -> Result<Self, HearingError> {
        Ok(Self {
            front: fresh(&parts, known.start)?,
            neighbours: Neighbours::new(
                parts.setup.id,
                parts.neighbourhood.clone(),
                Arc::clone(&parts.detectors),
                parts.ending.clone(),
            ),
            uncompared: std::mem::take(&mut known.uncompared).into(),
            reading: Reading::forward(parts.path.clone()),
            position: known.start,
            fresh_at: known.start,
            partials_due: 0,
            decodes: Decodes::new(&parts),
            last_cut: known.last_cut(),
            class: None,
            known,
            parts,
            pending: Queue::default(),
            text: LiveText::default(),
            ahead: None,
        })
    }

    /// Listens until the hearing is to be closed and everything on disk has its text, or until it is to be adjourned and
    /// every utterance on disk that ended has its text: one that did not is left to the next listener.
    ///
    /// If the future is dropped, nothing is lost: a new listener begins where the record says.
    ///
    /// # Errors
    /// What reading the journal gives; what the record says where trying again cannot help.
    pub(in crate::hearing) async fn run(mut self) -> Result<(), HearingError> {
        let mut heard_all = false;
        loop {
            while let Ok(rehear) = self.parts.rehear.try_recv() {
                heard_all = false;
                self.begin_anew(rehear).await?;
            }
            while let Some(outcome) = self.decodes.answered() {
                self.on_outcome(outcome).await?;
            }
            self.compare_late().await?;
            // Before anything is waited for.
            self.tell_settled();
            // Before the edge is looked at: nothing comes after it is told.
            let ending = *self.parts.ending.borrow_and_update();
            let edge = self.edge();
            if let Some(stand) = self.known.stands.pop_front_if(|stand| stand.start() <= self.position) {
                self.pass_over(stand).await?;
            } else if self.pending.len() < MAX_PENDING && self.position < edge {
                self.hear(edge).await?;
            } else if self.known.cuts.front().is_some_and(|cut| *cut <= self.position) {
                self.known.cuts.pop_front();
                self.cut().await?;
            } else if !heard_all && ending == Ending::Closed && self.position >= *self.parts.durable.borrow() {
                if self.position > self.fresh_at {
                    // What is cut here is cut here for ever: a later listener has to know.
                    self.append(Change::InputEnded { channel: self.parts.setup.id, at: self.position }).await?;
                }
                self.cut().await?;
                heard_all = true;
            } else if (heard_all || ending == Ending::Adjourned) && self.pending.is_empty() {
                // Told above: everything is settled, or at least heard.
                return Ok(());
            } else if let Some(rehear) = self.wait().await? {
                heard_all = false;
                self.begin_anew(rehear).await?;
            }
        }
    }

    /// Up to where may be read on: the next cut, texts that stand, or the end of what is on disk.
    fn edge(&mut self) -> SamplePos {
        // In this order: an end of input is told before anything behind it is on disk.
        let durable = *self.parts.durable.borrow();
        while let Ok(cut) = self.parts.cuts.try_recv() {
            self.learn(cut);
        }
        let ahead = [self.known.cuts.front().copied(), self.known.stands.front().map(|stand| stand.start())];
        ahead.into_iter().flatten().fold(durable, SamplePos::min)
    }

    /// Goes on behind texts that stand.
    async fn pass_over(&mut self, stand: Span) -> Result<(), HearingError> {
        if stand.end() > self.position {
            self.cut().await?;
            (self.position, self.fresh_at) = (stand.end(), stand.end());
            self.front = fresh(&self.parts, self.position)?;
            self.class = None;
        }
        Ok(())
    }

    /// An end of input that the record holds. One that was read from the record is told once more.
    fn learn(&mut self, cut: SamplePos) {
        if cut > self.last_cut {
            self.known.cuts.push_back(cut);
            self.last_cut = cut;
        }
    }

    /// Waits for something to do; gives what it is where everything is to begin anew.
    async fn wait(&mut self) -> Result<Option<Rehear>, HearingError> {
        let room = self.pending.len() < MAX_PENDING;
        tokio::select! {
            biased;
            Some(rehear) = self.parts.rehear.recv() => return Ok(Some(rehear)),
            Some(outcome) = self.decodes.answer() => self.on_outcome(outcome).await?,
            Some(cut) = self.parts.cuts.recv() => self.learn(cut),
            Ok(()) = self.parts.durable.changed(), if room => {}
            () = come(&mut self.neighbours, self.uncompared.front()) => {}
            Ok(()) = self.parts.ending.changed() => {}
            // The journal is gone and nothing can come any more: an operator's matter, and the audio is kept.
            else => return Err(HearingError::Stopped { hearing: self.parts.hearing }),
        }
        Ok(None)
    }

    /// Lets go of all samples and decodes, and begins where the record says when audio was destroyed.
    async fn begin_anew(&mut self, rehear: Rehear) -> Result<(), HearingError> {
        let Rehear { held, again } = rehear;
        self.pending.clear();
        self.decodes.forget();
        (self.text, self.ahead) = (LiveText::default(), None);
        self.front = fresh(&self.parts, self.position)?;
        self.reading = Reading::forward(self.parts.path.clone());
        self.neighbours.forget();
        // Whoever asked may be gone; then it never says what to do next either.
        let _gone = held.send(());
        let mut known = again.await.map_err(|_gone| HearingError::Stopped { hearing: self.parts.hearing })?;
        self.front = fresh(&self.parts, known.start)?;
        (self.position, self.fresh_at, self.last_cut) = (known.start, known.start, known.last_cut());
        self.uncompared = std::mem::take(&mut known.uncompared).into();
        self.known = known;
        self.class = None;
        Ok(())
    }

    /// Reads on and listens, up to `edge` at most.
    async fn hear(&mut self, edge: SamplePos) -> Result<(), HearingError> {
        let rate = self.parts.setup.format.rate;
        let end = edge.min(self.position.plus(u64::from(rate.hz()) * READ_SECONDS));
        let Some(span) = Span::new(self.position, end) else { return Ok(()) };
        for piece in self.reading.read(span).await? {
            if piece.span.start() > self.position {
                self.skip_to(piece.span.start()).await?;
            }
            if self.class.replace(piece.class).is_some_and(|before| before != piece.class) {
                // No text stands on both sides of the door.
                self.cut().await?;
            }
            let channel = self.parts.setup.id;
            let heard = self.front.push(&piece.bytes).map_err(|source| HearingError::Audio { channel, source })?;
            self.position = piece.span.end();
            self.on_heard(heard);
        }
        if self.position < end {
            self.skip_to(end).await?;
        }
        let behind = self.position.index().saturating_sub(self.known.recorded.index());
        if behind >= u64::from(rate.hz()) * RECORD_SECONDS {
            // Not to the end of what was read: that may be a cut, at which this is said only when the text is there.
            self.record_audio(SamplePos::new(self.position.index() - 1)).await?;
        }
        Ok(())
    }

    /// Nothing is stored up to `at`: what was said before is over, and listening begins anew behind the gap.
    async fn skip_to(&mut self, at: SamplePos) -> Result<(), HearingError> {
        let heard = self.front.finish_before_a_gap();
        self.on_heard(heard);
        self.front = fresh(&self.parts, self.position)?;
        self.cut().await?;
        (self.position, self.fresh_at) = (at, at);
        self.front = fresh(&self.parts, at)?.behind_a_gap();
        Ok(())
    }

    /// What was said so far is over: the open utterance ends here, and listening begins anew. When all of it has its text,
    /// the record says that the audio up to here is stored: from such a place a later listener may begin.
    async fn cut(&mut self) -> Result<(), HearingError> {
        let heard = self.front.finish();
        self.on_heard(heard);
        self.front = fresh(&self.parts, self.position)?;
        self.fresh_at = self.position;
        (self.text, self.ahead) = (LiveText::default(), None);
        self.pending.cut(self.position);
        self.pass_cuts().await
    }

    async fn pass_cuts(&mut self) -> Result<(), HearingError> {
        while let Some(at) = self.pending.pass_cut() {
            self.record_audio(at).await?;
        }
        Ok(())
    }

    fn on_heard(&mut self, heard: Vec<Heard>) {
        for event in heard {
            match event {
                Heard::SpeechBegan(at) => {
                    self.text = LiveText::default();
                    let at = self.parts.setup.format.rate.sample_at(at);
                    if self.is_live() {
                        self.tell(LiveEvent::SpeechBegan { channel: self.parts.setup.id, at });
                    }
                }
                Heard::Partial(window) if self.is_live() && self.may_show() => {
                    self.decodes.partial(&mut self.text, window)
                }
                Heard::Partial(_) => self.front.partial_done(),
                Heard::MayEnd(utterance) if self.is_live() && self.has_time() => {
                    self.ahead = Some(self.decodes.ahead(&utterance));
                }
                Heard::MayEnd(_) => {}
                Heard::GoesOn => self.ahead = None,
                Heard::Ended(utterance) => self.decode_final(*utterance),
            }
        }
    }

    /// Whether this partial is to be made, by the step of the ladder.
    fn may_show(&mut self) -> bool {
        self.partials_due += 1;
        match *self.parts.room.load.borrow() {
            LoadStep::Normal => true,
            LoadStep::PartialsThin => self.partials_due.is_multiple_of(THINNED),
            LoadStep::PartialsOff | LoadStep::FinalsLate => false,
        }
    }

    /// Whether a decode that may be in vain takes nothing from others.
    fn has_time(&self) -> bool {
        *self.parts.room.load.borrow() == LoadStep::Normal
    }

    /// Whether what is heard now was said just now.
    fn is_live(&self) -> bool {
        self.is_within(LIVE_SECONDS)
    }

    /// Whether no more than this is on disk that was not heard yet.
    fn is_within(&self, seconds: u64) -> bool {
        let behind = self.parts.durable.borrow().index().saturating_sub(self.position.index());
        behind <= u64::from(self.parts.setup.format.rate.hz()) * seconds
    }

    fn decode_final(&mut self, heard: HeardUtterance) {
        self.decodes.give_up_partial();
        let span = self.parts.setup.format.rate.span_at(heard.utterance.span);
        if self.known.holds(span) {
            // Heard before: its text is in the record.
            return;
        }
        let (committed, ahead) = (self.text.take(), self.ahead.take());
        if let Some(ahead) = ahead.filter(|ahead| ahead.is_of(heard.utterance.span)) {
            if let Some((number, outcome)) = self.pending.push_ahead((heard, committed), self.fresh_at, ahead) {
                self.decodes.give(number, outcome);
            }
            return;
        }
        let (cancel, behind) = (CancelFlag::default(), !self.is_within(BEHIND_SECONDS));
        self.decodes.whole(&heard.utterance, None, self.pending.next_number(), behind, cancel.clone());
        self.pending.push((heard, committed), self.fresh_at, cancel);
    }

    async fn on_outcome(&mut self, outcome: Outcome) -> Result<(), HearingError> {
        match outcome {
            Outcome::Partial { quiet, result } => {
                self.front.partials_every(self.decodes.pace(result.is_ok()));
                self.front.partial_done();
                if let Ok(hypothesis) = result {
                    self.on_partial(hypothesis, quiet);
                }
                Ok(())
            }
            Outcome::Ahead { number, result } => {
                if let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.number == number) {
                    ahead.outcome = Some(result);
                } else if let Some(number) = self.pending.number_of(number) {
                    self.on_final(number, result)?;
                }
                self.commit().await
            }
            Outcome::Final { number, result } => {
                self.on_final(number, result)?;
                self.commit().await
            }
        }
    }

    fn on_partial(&mut self, hypothesis: Hypothesis, quiet: bool) {
        // Its utterance may have ended while it was decoded.
        if hypothesis.window.start() < self.front.settled() {
            return;
        }
        let rate = self.parts.setup.format.rate;
        let Hypothesis { window, language, words, .. } = hypothesis;
        self.text.observe(words, window.end(), quiet);
        let (words, stable) = self.text.words();
        self.tell(LiveEvent::Partial(Box::new(Partial {
            channel: self.parts.setup.id,
            rate,
            span: rate.span_at(window),
            language,
            words,
            stable,
        })));
    }

    /// Keeps what a final decode brought. A failure that may pass is tried once more; then the utterance goes into the record
    /// without words, and is flagged as speech without words.
    fn on_final(&mut self, number: u64, result: Result<Hypothesis, AsrError>) -> Result<(), HearingError> {
        let behind = !self.is_within(BEHIND_SECONDS);
        let Some(pending) = self.pending.get_mut(number) else { return Ok(()) };
        match result {
            Err(error @ (AsrError::Cancelled | AsrError::WorkerGone)) => return Err(error.into()),
            Err(error @ AsrError::ProcessNotStarted { .. }) => {
                // No fault of the utterance: it waits for an engine, and all behind it. Each try waits longer.
                tracing::warn!(%error, "an utterance waits for its text");
                let settled = pending.settled.as_ref();
                self.decodes.whole(&pending.heard.utterance, settled, number, behind, pending.cancel.clone());
            }
            Err(error) if !pending.retried && error.may_pass() => {
                tracing::warn!(%error, "an utterance could not be decoded; it is tried once more");
                pending.retried = true;
                let settled = pending.settled.as_ref();
                self.decodes.whole(&pending.heard.utterance, settled, number, behind, pending.cancel.clone());
            }
            Err(error) => {
                tracing::error!(%error, "an utterance could not be decoded; it is recorded without words");
                let hypothesis = compose::wordless(&pending.heard, &self.parts.setup);
                pending.outcome = Some(Ok(hypothesis));
            }
            Ok(hypothesis) => pending.outcome = Some(Ok(hypothesis)),
        }
        Ok(())
    }

    /// Says how far the results are.
    fn tell_settled(&self) {
        let rate = self.parts.setup.format.rate;
        // The open utterance is not due; one that waits for its text is.
        let due = self.pending.front().map(|p| rate.sample_at(p.heard.utterance.span.end()).index().saturating_sub(1));
        let heard = due.map_or(self.position, SamplePos::new);
        self.parts.room.backlog.done(heard);
        self.parts.heard.send_if_modified(|position| std::mem::replace(position, heard) != heard);
        let settled = match self.pending.front() {
            Some(pending) => rate.sample_at(pending.heard.utterance.span.start()),
            None if self.front.is_speaking() => rate.sample_at(self.front.settled()),
            None if self.position == self.fresh_at => self.position,
            // What the resampler and a frame still hold may be the beginning of speech.
            None => rate.sample_at(self.front.position()).min(self.position),
        };
        self.parts.settled.send_if_modified(|position| {
            let now = settled.max(*position);
            std::mem::replace(position, now) != now
        });
    }

    fn tell(&self, event: LiveEvent) {
        // Nobody may listen.
        let _unheard = self.parts.room.events.send(event);
    }
}

/// Waits until a text can be compared; for ever where there is none.
async fn come(neighbours: &mut Neighbours, segment: Option<&Segment>) {
    match segment {
        Some(segment) => neighbours.come(segment).await,
        None => std::future::pending().await,
    }
}

fn fresh(parts: &ListenerParts, at: SamplePos) -> Result<Front, HearingError> {
    Front::new(parts.setup.format, at, &parts.front, (parts.detectors)())
        .map_err(|source| HearingError::Front { channel: parts.setup.id, source })
}
