//! The task of one channel. It alone owns the channel's state; nothing is locked.
//!
//! Audio goes to the journal first. Decoding runs on the pool's threads; up to [`MAX_PENDING`] utterances wait for it, then
//! the task stops taking audio, the queue before it fills, and flow control holds the sender: nothing is dropped.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{broadcast, mpsc, watch};
use tracing::Instrument;

use super::{LiveEvent, Partial, compose};
use crate::{
    domain::{
        actor::{Actor, Attribution, Purpose},
        change::{Change, EntrySeq, IntervalClass},
        channel::ChannelSetup,
        hypothesis::Hypothesis,
        id::HearingId,
        time::{SamplePos, Span, Tick},
    },
    hearing::{HearingError, world::World},
    record::{media::service::ChannelJournal, store::RecordStore},
    speech::{
        asr::{
            AsrError, CancelFlag, Pass, Recognizer,
            pool::{Job, Pool},
        },
        front::{Front, Heard, HeardUtterance},
        stream::{agreement::Agreement, session::Window},
    },
    telemetry::{Metrics, Queue},
};

/// Utterances of one channel that wait for their text before the channel stops taking audio.
pub(super) const MAX_PENDING: usize = 4;

/// What comes in.
#[derive(Debug)]
pub(super) enum Input {
    /// Whole samples that follow those before, as the recorder wrote them.
    Audio(Vec<u8>),
    /// A mark.
    Marker(u64),
}

/// A mark whose audio has all its results: those up to `after` are to be shown before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    /// The mark.
    pub(super) id: u64,
    /// The last entry of the channel's results.
    pub(super) after: EntrySeq,
}

/// What a channel's task works with.
pub(super) struct ChannelParts {
    /// The hearing.
    pub(super) hearing: HearingId,
    /// The channel.
    pub(super) setup: ChannelSetup,
    /// The channel's pipeline, at its first sample.
    pub(super) front: Front,
    /// Where its audio goes.
    pub(super) journal: ChannelJournal,
    /// Where its text goes.
    pub(super) store: Arc<dyn RecordStore>,
    /// Who streams.
    pub(super) actor: Actor,
    /// The clock.
    pub(super) world: Arc<dyn World>,
    /// The engine.
    pub(super) recognizer: Arc<dyn Recognizer>,
    /// Its threads.
    pub(super) pool: Arc<Pool>,
    /// Who listens.
    pub(super) events: broadcast::Sender<LiveEvent>,
    /// Where marks go when they are done.
    pub(super) marked: mpsc::Sender<Marked>,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
    /// How far the channel's audio has its results.
    pub(super) settled: watch::Sender<SamplePos>,
}

/// An utterance on its way to its text.
struct Pending {
    heard: HeardUtterance,
    /// `None` while it is being decoded.
    outcome: Option<Result<Hypothesis, AsrError>>,
    retried: bool,
    cancel: CancelFlag,
    /// When its endpoint was found, for the metrics alone.
    ended: Instant,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What a decode brought.
enum Outcome {
    Final { number: u64, result: Result<Hypothesis, AsrError> },
    Partial { result: Result<Hypothesis, AsrError> },
}

pub(super) struct ChannelTask {
    parts: ChannelParts,
    /// From where on the record does not say yet that audio is stored.
    unrecorded: SamplePos,
    /// The next sample.
    next: SamplePos,
    pending: VecDeque<Pending>,
    /// The number of the first pending utterance.
    first_number: u64,
    agreement: Agreement,
    markers: VecDeque<(u64, Tick)>,
    last_entry: EntrySeq,
    stream_key: u64,
    outcomes: (mpsc::Sender<Outcome>, mpsc::Receiver<Outcome>),
}

impl ChannelTask {
    /// A channel at sample `next`, whose audio the record knows up to `recorded`.
    pub(super) fn new(parts: ChannelParts, next: SamplePos, recorded: SamplePos) -> Self {
        // A piece of a second ends two utterances at most, so there are never more answers under way than fit.
        let outcomes = mpsc::channel(MAX_PENDING * 4);
        let (high, low) = parts.hearing.uuid().as_u64_pair();
        let stream_key = high ^ low ^ (u64::from(parts.setup.id.number()) << 56);
        Self {
            parts,
            unrecorded: recorded,
            next,
            pending: VecDeque::new(),
            first_number: 0,
            agreement: Agreement::default(),
            markers: VecDeque::new(),
            last_entry: EntrySeq::START,
            stream_key,
            outcomes,
        }
    }

    /// Works until the input ends and every utterance has its text. Gives the next sample.
    ///
    /// If the future is dropped, audio taken so far is in the journal; utterances without text are lost to the record
    /// until they are decoded again.
    pub(super) async fn run(mut self, input: mpsc::Receiver<Input>) -> Result<SamplePos, HearingError> {
        let span = tracing::info_span!("channel", hearing.id = %self.parts.hearing, channel.id = %self.parts.setup.id);
        async move {
            let worked = self.work(input).await;
            if worked.is_err() {
                // What is marked has not all its results.
                self.markers.clear();
            }
            // Whatever ended it: the journal is let go, so that another stream can go on.
            let finished = self.finish().await;
            worked.and(finished)
        }
        .instrument(span)
        .await
    }

    async fn work(&mut self, input: mpsc::Receiver<Input>) -> Result<(), HearingError> {
        let mut input = Some(input);
        let mut failed = None;
        while input.is_some() || !self.pending.is_empty() {
            tokio::select! {
                biased;
                Some(outcome) = self.outcomes.1.recv() => self.on_outcome(outcome).await?,
                item = next_of(&mut input), if input.is_some() && self.pending.len() < MAX_PENDING => match item {
                    Some(Input::Audio(bytes)) => if let Err(error) = self.on_audio(bytes).await {
                        // No more audio can be taken; what was said before gets its text.
                        failed = Some(error);
                        self.end_input(&mut input);
                    },
                    Some(Input::Marker(id)) => self.markers.push_back((id, self.parts.front.position())),
                    None => self.end_input(&mut input),
                },
            }
            self.release_markers().await;
        }
        failed.map_or(Ok(()), Err)
    }

    fn end_input(&mut self, input: &mut Option<mpsc::Receiver<Input>>) {
        *input = None;
        let heard = self.parts.front.finish();
        self.on_heard(heard);
    }

    async fn on_audio(&mut self, bytes: Vec<u8>) -> Result<(), HearingError> {
        let channel = self.parts.setup.id;
        let format = self.parts.setup.format;
        let samples = bytes.len() / format.encoding.bytes_per_sample();
        #[expect(clippy::cast_precision_loss, reason = "a second of samples at most")]
        let length = Duration::from_secs_f64(samples as f64 / f64::from(format.rate.hz()));
        self.parts.metrics.audio_received(format.encoding, length);
        // On disk before anything looks at it.
        self.next = self.parts.journal.append(self.next, IntervalClass::Open, bytes.clone()).await?;
        let heard = self.parts.front.push(&bytes).map_err(|source| HearingError::Audio { channel, source })?;
        self.on_heard(heard);
        Ok(())
    }

    fn on_heard(&mut self, heard: Vec<Heard>) {
        for event in heard {
            match event {
                Heard::SpeechBegan(at) => {
                    self.agreement.reset();
                    let at = self.parts.setup.format.rate.sample_at(at);
                    self.tell(LiveEvent::SpeechBegan { channel: self.parts.setup.id, at });
                }
                Heard::Partial(window) => self.decode_partial(window),
                Heard::Ended(utterance) => self.decode_final(*utterance),
            }
        }
    }

    fn decode_partial(&self, window: Window) {
        let answer = self.outcomes.0.clone();
        self.submit(window.samples, window.span.start(), Pass::Partial, CancelFlag::default(), move |result| {
            // The task may be gone; then nobody wants it.
            let _gone = answer.try_send(Outcome::Partial { result });
        });
    }

    fn decode_final(&mut self, heard: HeardUtterance) {
        let number = self.first_number + self.pending.len() as u64;
        let cancel = CancelFlag::default();
        self.submit_final(&heard, number, cancel.clone());
        self.pending.push_back(Pending { heard, outcome: None, retried: false, cancel, ended: Instant::now() });
    }

    fn submit_final(&self, heard: &HeardUtterance, number: u64, cancel: CancelFlag) {
        let answer = self.outcomes.0.clone();
        let utterance = &heard.utterance;
        self.submit(utterance.samples.clone(), utterance.span.start(), Pass::Final, cancel, move |result| {
            let _gone = answer.try_send(Outcome::Final { number, result });
        });
    }

    fn submit(
        &self,
        samples: Vec<f32>,
        start: Tick,
        pass: Pass,
        cancel: CancelFlag,
        reply: impl FnOnce(Result<Hypothesis, AsrError>) + Send + 'static,
    ) {
        let depth = self.parts.pool.depth();
        self.parts.metrics.queue_depth(Queue::AsrFinals, depth.finals);
        self.parts.metrics.queue_depth(Queue::AsrPartials, depth.partials);
        self.parts.pool.submit(Job {
            stream: self.stream_key,
            samples,
            start,
            languages: self.parts.setup.languages.clone(),
            pass,
            cancel,
            reply: Box::new(reply),
            span: tracing::Span::current(),
        });
    }

    async fn on_outcome(&mut self, outcome: Outcome) -> Result<(), HearingError> {
        match outcome {
            Outcome::Partial { result } => {
                self.parts.front.partial_done();
                if let Ok(hypothesis) = result {
                    self.on_partial(hypothesis);
                }
                Ok(())
            }
            Outcome::Final { number, result } => {
                self.on_final(number, result)?;
                self.commit().await
            }
        }
    }

    fn on_partial(&mut self, hypothesis: Hypothesis) {
        // Its utterance may have ended while it was decoded.
        if hypothesis.window.start() < self.parts.front.settled() {
            return;
        }
        let rate = self.parts.setup.format.rate;
        let stable = self.agreement.observe(hypothesis.words.iter().map(|w| w.text.as_str()));
        self.tell(LiveEvent::Partial(Box::new(Partial {
            channel: self.parts.setup.id,
            rate,
            span: rate.span_at(hypothesis.window),
            language: hypothesis.language,
            words: hypothesis.words,
            stable,
        })));
    }

    /// Keeps what a final decode brought. A failure that may pass is tried once more; then the utterance goes into the record
    /// without words, and is flagged as speech without words.
    fn on_final(&mut self, number: u64, result: Result<Hypothesis, AsrError>) -> Result<(), HearingError> {
        let Some(index) = number.checked_sub(self.first_number).and_then(|n| usize::try_from(n).ok()) else {
            return Ok(());
        };
        let Some(pending) = self.pending.get_mut(index) else { return Ok(()) };
        match result {
            Err(error @ (AsrError::Cancelled | AsrError::WorkerGone)) => return Err(error.into()),
            Err(error) if !pending.retried && error.may_pass() => {
                tracing::warn!(%error, "an utterance could not be decoded; it is tried once more");
                pending.retried = true;
                let (heard, cancel) = (pending.heard.clone(), pending.cancel.clone());
                self.submit_final(&heard, number, cancel);
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

    /// Writes finished utterances to the record, in order of time.
    async fn commit(&mut self) -> Result<(), HearingError> {
        while self.pending.front().is_some_and(|p| p.outcome.is_some()) {
            let Some(mut pending) = self.pending.pop_front() else { break };
            self.first_number += 1;
            let Some(outcome) = pending.outcome.take() else { break };
            let info = self.parts.recognizer.info(Pass::Final);
            let segment = compose::segment(self.parts.hearing, &self.parts.setup, &pending.heard, outcome?, info);
            let (captions, flags) = (segment.captions, segment.flags.iter().map(|f| f.code).collect::<Vec<_>>());
            self.append(Change::SegmentCommitted { segment: Box::new(segment) }).await?;
            self.parts.metrics.utterance(captions, flags, pending.ended.elapsed());
        }
        Ok(())
    }

    async fn append(&mut self, change: Change) -> Result<(), HearingError> {
        let by =
            Attribution { actor: self.parts.actor.clone(), purpose: Purpose::Collection, at: self.parts.world.now() };
        let began = Instant::now();
        self.last_entry = self.parts.store.append(self.parts.hearing, change, by).await?.seq;
        self.parts.metrics.record_appended(began.elapsed());
        Ok(())
    }

    /// Says how far the results are and lets go of the marks all of whose audio has them.
    async fn release_markers(&mut self) {
        let settled = match self.pending.front() {
            Some(pending) => pending.heard.utterance.span.start(),
            None if self.parts.front.is_speaking() => self.parts.front.settled(),
            None => self.parts.front.position(),
        };
        self.parts.settled.send_if_modified(|position| {
            let now = self.parts.setup.format.rate.sample_at(settled).max(*position);
            std::mem::replace(position, now) != now
        });
        while self.markers.front().is_some_and(|&(_, at)| at <= settled) {
            let Some((id, _)) = self.markers.pop_front() else { break };
            let _gone = self.parts.marked.send(Marked { id, after: self.last_entry }).await;
        }
    }

    async fn finish(mut self) -> Result<SamplePos, HearingError> {
        let durable = self.parts.journal.clone().close().await?;
        if let Some(span) = Span::new(self.unrecorded, durable).filter(|s| !s.is_empty()) {
            let change = Change::AudioStored { channel: self.parts.setup.id, span, class: IntervalClass::Open };
            self.append(change).await?;
        }
        for (id, _) in std::mem::take(&mut self.markers) {
            let _gone = self.parts.marked.send(Marked { id, after: self.last_entry }).await;
        }
        Ok(durable)
    }

    fn tell(&self, event: LiveEvent) {
        // Nobody may listen.
        let _unheard = self.parts.events.send(event);
    }
}

/// What comes next, never without input.
async fn next_of(input: &mut Option<mpsc::Receiver<Input>>) -> Option<Input> {
    match input {
        Some(input) => input.recv().await,
        None => std::future::pending().await,
    }
}
