//! The state of one channel: frames in, windows to decode and finished utterances out.

use std::{collections::VecDeque, time::Duration};

use super::endpoint::{EndpointConfig, frames_of};
use crate::{
    domain::{
        probability::Probability,
        time::{Tick, TickSpan},
    },
    speech::vad::FRAME,
};

/// Why an utterance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointReason {
    /// A pause.
    Pause,
    /// It grew too long and was cut at its least voiced place.
    TooLong,
    /// The stream ended.
    EndOfStream,
}

/// Speech between two endpoints, ready for its final decode.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Where it stands, pre-roll and post-roll included.
    pub span: TickSpan,
    /// Its audio, 16 kHz mono: `span.len()` samples.
    pub samples: Vec<f32>,
    /// The speech probability of each of its frames, in order; the last frame may be cut short.
    pub speech: Vec<Probability>,
    /// Why it ended.
    pub reason: EndpointReason,
}

/// Audio of an utterance that goes on, for a partial.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Where it stands.
    pub span: TickSpan,
    /// Its audio: `span.len()` samples.
    pub samples: Vec<f32>,
    /// Whether nobody speaks at its end, so that its last word is whole.
    pub quiet: bool,
}

/// What a frame led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Somebody began to speak: the utterance begins here.
    SpeechBegan(Tick),
    /// Text of this window may be shown while speech goes on.
    Partial(Window),
    /// Somebody pauses: if nobody speaks before the pause is long enough, the utterance will have been this.
    MayClose(Box<Utterance>),
    /// It goes on after the pause.
    GoesOn,
    /// An utterance ended.
    Close(Utterance),
}

/// One channel's way from frames to utterances. Feed every frame in order.
///
/// ```
/// use vivavoce::domain::probability::Probability;
/// use vivavoce::speech::{stream::{endpoint::EndpointConfig, session::{Action, Session}}, vad::FRAME};
/// let mut session = Session::new(EndpointConfig::default(), 1_000).unwrap();
/// let mut closed = 0;
/// for n in 0..200 {
///     let p = Probability::clamped(if (50..100).contains(&n) { 0.9 } else { 0.0 });
///     closed += session.push(&[0.0; FRAME], p).iter().filter(|a| matches!(a, Action::Close(_))).count();
/// }
/// assert_eq!(closed, 1);
/// ```
#[derive(Debug)]
pub struct Session {
    config: EndpointConfig,
    partial_frames: usize,
    /// Frames held: the pre-roll while nobody speaks, the utterance so far while somebody does.
    held: VecDeque<HeldFrame>,
    /// Where the first held frame begins.
    start: Tick,
    state: State,
}

#[derive(Debug)]
struct HeldFrame {
    samples: [f32; FRAME],
    speech: Probability,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Speaking {
        /// Frames since the last one that was speech.
        quiet: usize,
        /// Held frames at the last partial.
        partial_at: usize,
        /// A partial is being decoded.
        partial_running: bool,
        /// It may close with what is there.
        may_close: bool,
    },
}

/// Frames without speech after which somebody pauses: 96 ms.
const SOON: usize = 3;

/// Frames without speech after which the last word is whole: 320 ms.
const QUIET: usize = 10;

impl Session {
    /// A channel at its first frame. Partials come each `partial_step_ms` of speech at most; 0 turns them off.
    ///
    /// # Errors
    /// Whatever [`EndpointConfig::check`] finds.
    pub fn new(config: EndpointConfig, partial_step_ms: u32) -> Result<Self, super::endpoint::EndpointError> {
        config.check()?;
        Ok(Self {
            config,
            partial_frames: frames_of(partial_step_ms),
            held: VecDeque::new(),
            start: Tick::ZERO,
            state: State::Idle,
        })
    }

    /// Begins at another position than 0: a stream that goes on where another ended.
    #[must_use]
    pub fn starting_at(mut self, start: Tick) -> Self {
        self.start = start;
        self
    }

    /// Takes one frame and its speech probability.
    pub fn push(&mut self, samples: &[f32; FRAME], speech: Probability) -> Vec<Action> {
        self.held.push_back(HeldFrame { samples: *samples, speech });
        match self.state {
            State::Idle => self.idle(speech),
            State::Speaking { quiet, partial_at, partial_running, may_close } => {
                let quiet = if speech.value() >= self.config.stop_threshold { 0 } else { quiet + 1 };
                let goes_on = may_close && quiet == 0;
                self.state = State::Speaking { quiet, partial_at, partial_running, may_close: may_close && !goes_on };
                let mut actions = if goes_on { vec![Action::GoesOn] } else { Vec::new() };
                actions.extend(self.speaking(quiet));
                actions
            }
        }
    }

    /// Says that the partial asked for last is done, whatever came of it.
    pub fn partial_done(&mut self) {
        if let State::Speaking { partial_running, .. } = &mut self.state {
            *partial_running = false;
        }
    }

    /// From now on partials come this much of speech apart. Where they are off, they stay off.
    pub fn partials_every(&mut self, step: Duration) {
        if self.partial_frames > 0 {
            self.partial_frames = frames_of(u32::try_from(step.as_millis()).unwrap_or(u32::MAX)).max(1);
        }
    }

    /// Ends the stream. `tail` are the samples after the last whole frame, fewer than a frame, with their speech
    /// probability. What is held of an utterance comes out to its last sample.
    pub fn finish(&mut self, tail: &[f32], speech: Probability) -> Option<Utterance> {
        let whole = self.held.len();
        let speaking = matches!(self.state, State::Speaking { .. }) || speech.value() >= self.config.start_threshold;
        if !speaking {
            self.start = self.start.plus((whole * FRAME + tail.len()) as u64);
            self.held.clear();
            return None;
        }
        let mut utterance = self.take(whole, EndpointReason::EndOfStream);
        utterance.samples.extend_from_slice(tail);
        if !tail.is_empty() {
            utterance.speech.push(speech);
        }
        utterance.span = TickSpan::starting(utterance.span.start(), utterance.samples.len() as u64);
        self.start = utterance.span.end();
        self.state = State::Idle;
        Some(utterance)
    }

    /// Where the next frame will begin.
    #[must_use]
    pub fn position(&self) -> Tick {
        self.start.plus((self.held.len() * FRAME) as u64)
    }

    /// Where audio begins that may still belong to an utterance: all before it is settled.
    #[must_use]
    pub const fn settled(&self) -> Tick {
        self.start
    }

    /// Whether an utterance goes on.
    #[must_use]
    pub const fn is_speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    fn idle(&mut self, speech: Probability) -> Vec<Action> {
        if speech.value() >= self.config.start_threshold {
            self.state =
                State::Speaking { quiet: 0, partial_at: self.held.len(), partial_running: false, may_close: false };
            return vec![Action::SpeechBegan(self.start)];
        }
        while self.held.len() > frames_of(self.config.pre_roll_ms) {
            self.held.pop_front();
            self.start = self.start.plus(FRAME as u64);
        }
        Vec::new()
    }

    fn speaking(&mut self, quiet: usize) -> Vec<Action> {
        let frames = self.held.len();
        if quiet >= self.config.pause_frames(frames) {
            let kept = frames - quiet + frames_of(self.config.post_roll_ms).min(quiet);
            let utterance = self.take(kept, EndpointReason::Pause);
            self.state = State::Idle;
            return vec![Action::Close(utterance)];
        }
        if frames >= frames_of(self.config.longest_ms) {
            let utterance = self.take(self.least_voiced(), EndpointReason::TooLong);
            let speech_left = self.held.iter().any(|f| f.speech.value() >= self.config.start_threshold);
            if !speech_left {
                self.state = State::Idle;
                return vec![Action::Close(utterance)];
            }
            let quiet = quiet.min(self.held.len());
            self.state =
                State::Speaking { quiet, partial_at: self.held.len(), partial_running: false, may_close: false };
            return vec![Action::Close(utterance), Action::SpeechBegan(self.start)];
        }
        let mut actions: Vec<Action> = self.may_close(frames, quiet).into_iter().collect();
        actions.extend(self.partial(frames, quiet));
        actions
    }

    /// When all is there that an utterance keeps behind its last speech, what it will be is known before the pause is long
    /// enough to end it.
    fn may_close(&mut self, frames: usize, quiet: usize) -> Option<Action> {
        let State::Speaking { may_close, .. } = &mut self.state else { return None };
        if *may_close || quiet != frames_of(self.config.post_roll_ms) {
            return None;
        }
        *may_close = true;
        Some(Action::MayClose(Box::new(utterance(self.start, self.held.range(..frames), EndpointReason::Pause))))
    }

    fn partial(&mut self, frames: usize, quiet: usize) -> Option<Action> {
        let step = self.partial_frames;
        let State::Speaking { partial_at, partial_running, .. } = &mut self.state else { return None };
        // Somebody pauses and it is soon known what the utterance will have been: a look would keep that from being decoded at once.
        let soon = (SOON..frames_of(self.config.post_roll_ms)).contains(&quiet);
        if step == 0 || *partial_running || soon || frames < *partial_at + step {
            return None;
        }
        (*partial_at, *partial_running) = (frames, true);
        let samples: Vec<f32> = self.held.iter().flat_map(|f| f.samples).collect();
        let span = TickSpan::starting(self.start, samples.len() as u64);
        Some(Action::Partial(Window { span, samples, quiet: quiet >= QUIET }))
    }

    /// The frame before which a cut does the least harm: the middle of the least voiced stretch of seven frames (224 ms)
    /// in the last `search_ms`. The first of equals, so that the answer is a function of the samples alone.
    fn least_voiced(&self) -> usize {
        const STRETCH: usize = 7;
        let frames = self.held.len();
        let from = frames.saturating_sub(frames_of(self.config.search_ms)).max(1);
        let voiced = |at: usize| -> f32 { self.held.range(at..at + STRETCH).map(|f| f.speech.value()).sum() };
        let starts = from..frames.saturating_sub(STRETCH);
        let (at, _) = starts.fold((frames, f32::INFINITY), |best, at| {
            let sum = voiced(at);
            if sum < best.1 { (at + STRETCH / 2, sum) } else { best }
        });
        at
    }

    /// Takes the first `frames` held frames out as an utterance; the rest stays held.
    fn take(&mut self, frames: usize, reason: EndpointReason) -> Utterance {
        let taken = utterance(self.start, self.held.range(..frames), reason);
        self.held.drain(..frames);
        self.start = taken.span.end();
        taken
    }
}

fn utterance<'a>(
    start: Tick,
    frames: impl ExactSizeIterator<Item = &'a HeldFrame>,
    reason: EndpointReason,
) -> Utterance {
    let mut samples = Vec::with_capacity(frames.len() * FRAME);
    let mut speech = Vec::with_capacity(frames.len());
    for frame in frames {
        samples.extend_from_slice(&frame.samples);
        speech.push(frame.speech);
    }
    Utterance { span: TickSpan::starting(start, samples.len() as u64), samples, speech, reason }
}

#[cfg(test)]
mod tests;
