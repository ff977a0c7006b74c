//! One channel from the recorder's bytes to utterances: decode, resample, detect speech, cut.
//!
//! The stream and the files go this same way. Bytes are worked on in blocks of ten milliseconds counted from the start of
//! the stream, so that how they were cut into messages cannot change anything that comes out.

use crate::{
    domain::{
        audio::{AudioFormat, Encoding},
        probability::Probability,
        time::{SamplePos, SampleRate, Tick, TickSpan},
    },
    speech::{
        audio::{
            AudioError, format,
            level::{LevelMeter, LevelSummary},
            resample::Resampler,
        },
        stream::{
            endpoint::EndpointConfig,
            session::{Action, Session, Utterance, Window},
        },
        vad::{FRAME, SpeechDetector},
    },
};

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Somebody began to speak: the utterance begins here.
    SpeechBegan(Tick),
    /// Text of this window may be shown while speech goes on; answer with [`Front::partial_done`].
    Partial(Window),
    /// Somebody pauses; if the utterance ends here, it is this.
    MayEnd(Box<Utterance>),
    /// It goes on after the pause.
    GoesOn,
    /// An utterance ended.
    Ended(Box<HeardUtterance>),
}

/// An utterance and how loud it was.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardUtterance {
    /// The utterance.
    pub utterance: Utterance,
    /// Measured on the recorder's own samples, from the first speech to the endpoint.
    pub level: LevelSummary,
    /// Where audio is missing beside it.
    pub missing: Missing,
}

impl HeardUtterance {
    /// The part of it that stands in `span`, which begins and ends with frames of its own or where it does.
    #[must_use]
    pub fn part(&self, span: TickSpan) -> Self {
        let Self { utterance, level, missing } = self;
        let whole = utterance.span;
        let offset = |at: Tick| usize::try_from(at.since(whole.start())).unwrap_or(usize::MAX);
        let (from, to) = (offset(span.start()), offset(span.end()).min(utterance.samples.len()));
        let frames = (from / FRAME).min(utterance.speech.len())..to.div_ceil(FRAME).min(utterance.speech.len());
        Self {
            utterance: Utterance {
                span,
                samples: utterance.samples[from.min(to)..to].to_vec(),
                speech: utterance.speech[frames].to_vec(),
                reason: utterance.reason,
            },
            level: *level,
            missing: Missing {
                before: missing.before.filter(|_| span.start() == whole.start()),
                after: missing.after.filter(|_| span.end() == whole.end()),
            },
        }
    }
}

/// Where audio is missing beside an utterance, if it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Nothing is stored right before this.
    pub before: Option<Tick>,
    /// Nothing is stored from here on.
    pub after: Option<Tick>,
}

/// Where utterances end and how often partials come.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontConfig {
    /// Where utterances begin and end.
    pub endpoint: EndpointConfig,
    /// Milliseconds of speech between partials; 0 for none.
    pub partial_step_ms: u32,
}

/// A front could not be set up, or its audio is broken.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The samples cannot be used.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The endpoint configuration cannot work.
    #[error(transparent)]
    Endpoint(#[from] crate::speech::stream::endpoint::EndpointError),
}

impl crate::domain::fault::Fault for FrontError {
    fn kind(&self) -> crate::domain::fault::FaultKind {
        match self {
            Self::Audio(error) => error.kind(),
            Self::Endpoint(error) => error.kind(),
        }
    }
}

/// One channel from bytes to utterances.
pub struct Front {
    encoding: Encoding,
    rate: SampleRate,
    /// Samples of a block: ten milliseconds, rounded down.
    block: usize,
    /// Samples that do not fill a block yet.
    pending: Vec<f32>,
    resampler: Resampler,
    /// 16 kHz samples that do not fill a frame yet.
    ticks: Vec<f32>,
    detector: Box<dyn SpeechDetector>,
    session: Session,
    meter: LevelMeter,
    /// Where the channel begins, if audio is missing before.
    gap: Option<Tick>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front")
            .field("rate", &self.rate)
            .field("position", &self.session.position())
            .finish_non_exhaustive()
    }
}

impl Front {
    /// A channel whose next sample is `start`. The detector must be fresh.
    ///
    /// # Errors
    /// [`FrontError`] where the configuration cannot work.
    pub fn new(
        format: AudioFormat,
        start: SamplePos,
        config: &FrontConfig,
        detector: Box<dyn SpeechDetector>,
    ) -> Result<Self, FrontError> {
        let session = Session::new(config.endpoint.clone(), config.partial_step_ms)?;
        Ok(Self {
            encoding: format.encoding,
            rate: format.rate,
            block: usize::try_from(format.rate.hz() / 100).unwrap_or(1),
            pending: Vec::new(),
            resampler: Resampler::new(format.rate)?,
            ticks: Vec::new(),
            detector,
            session: session.starting_at(format.rate.tick_of(start)),
            meter: LevelMeter::new(),
            gap: None,
        })
    }

    /// The same where audio is missing right before the first sample.
    #[must_use]
    pub fn behind_a_gap(mut self) -> Self {
        self.gap = Some(self.session.position());
        self
    }

    /// Takes whole samples that follow those before.
    ///
    /// # Errors
    /// [`AudioError::PartialSample`], [`AudioError::NotFinite`], [`AudioError::TooLoud`]: nothing of `bytes` was taken.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, AudioError> {
        format::decode(self.encoding, bytes, &mut self.pending)?;
        let mut heard = Vec::new();
        let whole = self.pending.len() / self.block * self.block;
        let pending = std::mem::take(&mut self.pending);
        for block in pending[..whole].chunks_exact(self.block) {
            self.meter.push(block);
            self.resampler.push(block, &mut self.ticks);
            self.frames(&mut heard);
        }
        self.pending.extend_from_slice(&pending[whole..]);
        Ok(heard)
    }

    /// Ends the stream: what is held of an utterance comes out to its last sample.
    pub fn finish(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let rest = std::mem::take(&mut self.pending);
        self.meter.push(&rest);
        self.resampler.push(&rest, &mut self.ticks);
        self.resampler.finish(&mut self.ticks);
        self.frames(&mut heard);
        let tail = std::mem::take(&mut self.ticks);
        let speech = if tail.is_empty() { Probability::ZERO } else { self.padded(&tail) };
        if let Some(utterance) = self.session.finish(&tail, speech) {
            heard.push(self.ended(utterance));
        }
        self.detector.reset();
        heard
    }

    /// As [`finish`](Self::finish), where what follows is missing.
    pub fn finish_before_a_gap(&mut self) -> Vec<Heard> {
        let mut heard = self.finish();
        let end = self.session.position();
        for event in &mut heard {
            if let Heard::Ended(ended) = event {
                ended.missing.after = Some(end);
            }
        }
        heard
    }

    /// Says that the partial asked for last is done, whatever came of it.
    pub fn partial_done(&mut self) {
        self.session.partial_done();
    }

    /// From now on partials come this much of speech apart. Where they are off, they stay off.
    pub fn partials_every(&mut self, step: std::time::Duration) {
        self.session.partials_every(step);
    }

    /// All audio before this has come out in an utterance or is no speech.
    #[must_use]
    pub fn settled(&self) -> Tick {
        self.session.settled()
    }

    /// Where the next frame begins: everything before it was looked at.
    #[must_use]
    pub fn position(&self) -> Tick {
        self.session.position()
    }

    /// Whether an utterance goes on.
    #[must_use]
    pub const fn is_speaking(&self) -> bool {
        self.session.is_speaking()
    }

    fn frames(&mut self, heard: &mut Vec<Heard>) {
        let whole = self.ticks.len() / FRAME * FRAME;
        let ticks = std::mem::take(&mut self.ticks);
        let (frames, _) = ticks[..whole].as_chunks::<FRAME>();
        for frame in frames {
            let speech = self.detector.push(frame);
            for action in self.session.push(frame, speech) {
                let event = match action {
                    Action::SpeechBegan(at) => {
                        self.meter = LevelMeter::new();
                        Heard::SpeechBegan(at)
                    }
                    Action::Partial(window) => Heard::Partial(window),
                    Action::MayClose(utterance) => Heard::MayEnd(utterance),
                    Action::GoesOn => Heard::GoesOn,
                    Action::Close(utterance) => self.ended(utterance),
                };
                heard.push(event);
            }
        }
        self.ticks.extend_from_slice(&ticks[whole..]);
    }

    fn ended(&mut self, utterance: Utterance) -> Heard {
        let mut level = std::mem::take(&mut self.meter).summary();
        if matches!(self.encoding, Encoding::MuLaw | Encoding::ALaw) {
            // Their coarse steps make flat tops of their own.
            level.flat_topped = 0.0;
        }
        let missing = Missing { before: self.gap, after: None };
        Heard::Ended(Box::new(HeardUtterance { utterance, level, missing }))
    }

    /// The speech probability of a last, broken frame, filled up with silence.
    fn padded(&mut self, tail: &[f32]) -> Probability {
        let mut frame = [0.0; FRAME];
        frame[..tail.len()].copy_from_slice(tail);
        self.detector.push(&frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Speech is what is loud.
    struct Loudness;

    impl SpeechDetector for Loudness {
        fn push(&mut self, frame: &[f32; FRAME]) -> Probability {
            Probability::clamped(frame.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())))
        }
        fn reset(&mut self) {}
    }

    fn front(rate: u32) -> Front {
        let format = AudioFormat { encoding: Encoding::PcmS16Le, rate: rate.try_into().unwrap() };
        let config = FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: 0 };
        Front::new(format, SamplePos::ZERO, &config, Box::new(Loudness)).unwrap()
    }

    /// Six seconds: a loud second, two of silence, a loud second and a half, silence.
    fn audio(rate: u32) -> Vec<u8> {
        (0..rate * 6)
            .flat_map(|n| {
                let loud = n < rate || (n >= 3 * rate && n < 4 * rate + rate / 2);
                let phase = f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate);
                #[expect(clippy::cast_possible_truncation, reason = "a sine within 16 bits")]
                let sample = if loud { (phase.sin() * 30_000.0) as i16 } else { 0 };
                sample.to_le_bytes()
            })
            .collect()
    }

    fn heard(rate: u32, bytes: &[u8], cuts: &[usize]) -> Vec<Heard> {
        let mut front = front(rate);
        let mut all = Vec::new();
        let (mut rest, mut cuts) = (bytes, cuts.iter().cycle());
        while !rest.is_empty() {
            let take = (cuts.next().copied().unwrap_or(rest.len()) * 2).min(rest.len());
            let (now, later) = rest.split_at(take);
            all.extend(front.push(now).unwrap());
            rest = later;
        }
        all.extend(front.finish());
        all
    }

    #[test]
    fn two_loud_stretches_are_two_utterances() {
        let all = heard(44_100, &audio(44_100), &[4_410]);
        let ended: Vec<_> = all.iter().filter_map(|h| if let Heard::Ended(u) = h { Some(u) } else { None }).collect();
        assert_eq!(ended.len(), 2);
        assert!(
            ended[1].utterance.span.start() >= Tick::new(29_000) && ended[1].utterance.span.end() >= Tick::new(72_000)
        );
        assert!(ended[0].level.peak > 0.9 && ended[0].level.clipped == 0.0);
    }

    #[test]
    fn broken_samples_are_refused_and_nothing_is_taken() {
        let mut front = front(16_000);
        assert!(matches!(front.push(&[1, 2, 3]), Err(AudioError::PartialSample { .. })));
        assert!(front.push(&audio(16_000)).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// How bytes are cut into messages changes nothing that comes out, to the bit.
        #[test]
        fn chunking_does_not_matter(
            cuts in proptest::collection::vec(1_usize..9_000, 1..20),
            rate in proptest::sample::select(vec![8_000_u32, 11_025, 15_991, 16_000, 48_000]),
        ) {
            let bytes = audio(rate);
            prop_assert_eq!(heard(rate, &bytes, &[rate as usize]), heard(rate, &bytes, &cuts));
        }
    }
}
