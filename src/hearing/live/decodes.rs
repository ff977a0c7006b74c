//! What a listener asks of the pool of engines, and the answers on their way back.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::{language::Settled, lead, parts::ListenerParts, pending::Ahead};
use crate::{
    domain::{
        channel::ChannelSetup, glossary::Glossary, hypothesis::Hypothesis, id::HearingId, language::AllowedLanguages,
        time::Tick,
    },
    speech::{
        asr::{
            AsrError, CancelFlag, Lead, Pass,
            pool::{Job, Pool, Urgency},
        },
        stream::{
            live::LiveText,
            pace::Pace,
            session::{Utterance, Window},
        },
    },
    telemetry::{Metrics, Queue},
};

/// Answers that may wait. A second of audio ends two utterances at most, so there are never more than fit.
const ANSWERS: usize = 16;

/// Samples, where they begin, what the engine is told, what may be spoken.
type Asked = (Vec<f32>, Tick, Lead, AllowedLanguages);

/// What a decode brought.
pub(super) enum Outcome {
    /// Of an utterance that has ended.
    Final { number: u64, result: Result<Hypothesis, AsrError> },
    /// Of an utterance that may have ended.
    Ahead { number: u64, result: Result<Hypothesis, AsrError> },
    /// Of one that goes on, and whether nobody spoke at the end of the window.
    Partial { quiet: bool, result: Result<Hypothesis, AsrError> },
}

/// The decodes of one channel.
pub(super) struct Decodes {
    pool: Arc<Pool>,
    metrics: Arc<Metrics>,
    setup: ChannelSetup,
    glossary: Option<Arc<Glossary>>,
    /// Jobs of one channel have the same.
    stream: u64,
    /// Whether the hearing is in session.
    live: bool,
    /// How often partials come.
    pace: Pace,
    /// Gives the last partial up, and when it was asked for.
    partial: (CancelFlag, Instant),
    /// How many decodes were begun ahead of an end.
    aheads: u64,
    outcomes: (mpsc::Sender<Outcome>, mpsc::Receiver<Outcome>),
}

impl Decodes {
    pub(super) fn new(parts: &ListenerParts) -> Self {
        Self {
            pool: Arc::clone(&parts.pool),
            metrics: Arc::clone(&parts.metrics),
            setup: parts.setup.clone(),
            glossary: parts.glossary.clone(),
            stream: stream_key(parts.hearing, &parts.setup),
            live: parts.room.live,
            pace: Pace::new(Duration::from_millis(parts.front.partial_step_ms.into())),
            partial: (CancelFlag::default(), Instant::now()),
            aheads: 0,
            outcomes: mpsc::channel(ANSWERS),
        }
    }

    /// The next answer, when it comes.
    pub(super) async fn answer(&mut self) -> Option<Outcome> {
        self.outcomes.1.recv().await
    }

    /// The next answer, where it is there.
    pub(super) fn answered(&mut self) -> Option<Outcome> {
        self.outcomes.1.try_recv().ok()
    }

    /// Answers to what was asked before go nowhere.
    pub(super) fn forget(&mut self) {
        self.outcomes = mpsc::channel(ANSWERS);
    }

    /// Decodes what is being said, as far as it is not committed.
    pub(super) fn partial(&mut self, text: &mut LiveText, mut window: Window) {
        self.partial = (CancelFlag::default(), Instant::now());
        let look = text.look(&window);
        let (answer, quiet) = (self.outcomes.0.clone(), window.quiet);
        let passed = usize::try_from(look.from.since(window.span.start())).unwrap_or(0).min(window.samples.len());
        window.samples.drain(..passed);
        let urgency = Urgency::Shown { step: self.pace.step() };
        let asked = (window.samples, look.from, look.lead, self.setup.languages.clone());
        self.submit(asked, (Pass::Partial, urgency), self.partial.0.clone(), move |result| {
            // The task may be gone; then nobody wants it.
            let _gone = answer.try_send(Outcome::Partial { quiet, result });
        });
    }

    /// How far apart partials are to be, now that one took as long as it did; `whole` where it was not given up.
    pub(super) fn pace(&mut self, whole: bool) -> Duration {
        let took = self.partial.1.elapsed();
        if whole {
            self.pace.answered(took);
        } else {
            self.pace.given_up(took);
        }
        self.pace.step()
    }

    /// What was only to be shown meanwhile is worth nothing any more.
    pub(super) fn give_up_partial(&self) {
        self.partial.0.cancel();
    }

    /// Decodes what an utterance will have been if nobody speaks before the pause is long enough: then its text is there at
    /// once. It is the same decode, of the same samples.
    pub(super) fn ahead(&mut self, utterance: &Utterance) -> Ahead {
        self.aheads += 1;
        let (answer, number, cancel) = (self.outcomes.0.clone(), self.aheads, CancelFlag::default());
        let asked = self.asked(utterance, None);
        self.submit(asked, (Pass::Final, self.urgency(false)), cancel.clone(), move |result| {
            let _gone = answer.try_send(Outcome::Ahead { number, result });
        });
        Ahead::new(number, utterance.span, cancel)
    }

    /// Decodes an utterance that has ended, in what was settled; `behind` where what is said now goes before it.
    pub(super) fn whole(
        &self,
        utterance: &Utterance,
        settled: Option<&Settled>,
        number: u64,
        behind: bool,
        cancel: CancelFlag,
    ) {
        let answer = self.outcomes.0.clone();
        let asked = self.asked(utterance, settled);
        self.submit(asked, (Pass::Final, self.urgency(behind)), cancel, move |result| {
            let _gone = answer.try_send(Outcome::Final { number, result });
        });
    }

    fn asked(&self, utterance: &Utterance, settled: Option<&Settled>) -> Asked {
        let lead = lead::of(self.glossary.as_deref(), &self.setup, utterance);
        let languages = settled.map_or_else(|| self.setup.languages.clone(), Settled::languages);
        (utterance.samples.clone(), utterance.span.start(), lead, languages)
    }

    /// Answers for a decode that is done: it goes the way of all others.
    pub(super) fn give(&self, number: u64, result: Result<Hypothesis, AsrError>) {
        let _gone = self.outcomes.0.try_send(Outcome::Final { number, result });
    }

    /// How soon the text of what was said is due.
    const fn urgency(&self, behind: bool) -> Urgency {
        match (self.live, behind) {
            (false, _) => Urgency::Late,
            (true, false) => Urgency::Live,
            (true, true) => Urgency::Behind,
        }
    }

    fn submit(
        &self,
        (samples, start, lead, languages): Asked,
        (pass, urgency): (Pass, Urgency),
        cancel: CancelFlag,
        reply: impl FnOnce(Result<Hypothesis, AsrError>) + Send + 'static,
    ) {
        let depth = self.pool.depth();
        self.metrics.queue_depth(Queue::AsrFinals, depth.finals);
        self.metrics.queue_depth(Queue::AsrPartials, depth.partials);
        self.pool.submit(Job {
            stream: self.stream,
            samples,
            start,
            languages,
            pass,
            lead,
            urgency,
            cancel,
            reply: Box::new(reply),
            span: tracing::Span::current(),
        });
    }
}

/// One channel of one hearing.
fn stream_key(hearing: HearingId, setup: &ChannelSetup) -> u64 {
    let (high, low) = hearing.uuid().as_u64_pair();
    high ^ low ^ (u64::from(setup.id.number()) << 56)
}
