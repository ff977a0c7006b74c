//! What the lanes of a recording sounded like a moment ago, so that the utterances of one can be compared with the others.
//! It holds a minute and a half a lane at most.

use crate::{
    domain::{
        id::ChannelId,
        time::{SampleRate, TICKS_PER_SECOND, Tick, TickSpan},
    },
    speech::{
        audio::{AudioError, resample::Resampler},
        front::HeardUtterance,
        together::{Around, span_needed},
    },
};

/// Ticks that are kept: the longest utterance, its margins, and what is read before it ends.
const KEPT: usize = 60 * 16_000;

/// One lane at 16 kHz.
struct Ear {
    channel: ChannelId,
    resampler: Resampler,
    samples: Vec<f32>,
    /// Ticks that were let go.
    gone: u64,
}

/// An utterance that waits for what comes after it on all lanes.
struct Waiting {
    lane: usize,
    heard: HeardUtterance,
}

/// Every lane of a recording.
#[derive(Default)]
pub(super) struct Ears {
    ears: Vec<Ear>,
    waiting: Vec<Waiting>,
}

/// An utterance with what was heard about it: its own lane first; nothing where there is one lane alone.
pub(super) struct Surrounded {
    pub(super) lane: usize,
    pub(super) heard: HeardUtterance,
    pub(super) around: Vec<Around>,
}

impl Ears {
    /// # Errors
    /// What the resampler says.
    pub(super) fn new(lanes: impl Iterator<Item = (ChannelId, SampleRate)>) -> Result<Self, AudioError> {
        let ear = |(channel, rate)| Ok(Ear { channel, resampler: Resampler::new(rate)?, samples: Vec::new(), gone: 0 });
        Ok(Self { ears: lanes.map(ear).collect::<Result<_, AudioError>>()?, waiting: Vec::new() })
    }

    /// Whether there is anything to compare.
    pub(super) const fn compare(&self) -> bool {
        self.ears.len() > 1
    }

    /// Hears samples of a lane at its own rate.
    pub(super) fn push(&mut self, lane: usize, samples: &[f32]) {
        let ear = &mut self.ears[lane];
        ear.resampler.push(samples, &mut ear.samples);
        // Seldom, so that moving what is kept costs nothing.
        let old = ear.samples.len().saturating_sub(KEPT);
        if old > KEPT / 2 {
            ear.samples.drain(..old);
            ear.gone += old as u64;
        }
    }

    /// An utterance of a lane ended.
    pub(super) fn wait(&mut self, lane: usize, heard: HeardUtterance) {
        self.waiting.push(Waiting { lane, heard });
    }

    /// The utterances of which all is known; with `ended` all of them.
    pub(super) fn ready(&mut self, ended: bool) -> Vec<Surrounded> {
        if ended {
            for ear in &mut self.ears {
                ear.resampler.finish(&mut ear.samples);
            }
        }
        let heard_to = self.ears.iter().map(|ear| ear.gone + ear.samples.len() as u64).min().unwrap_or(u64::MAX);
        let known = |waiting: &mut Waiting| {
            let needed = span_needed(waiting.heard.utterance.span).end().index();
            ended || self.ears.len() < 2 || heard_to >= needed
        };
        let ready: Vec<Waiting> = self.waiting.extract_if(.., known).collect();
        ready
            .into_iter()
            .map(|Waiting { lane, heard }| Surrounded { lane, around: self.around(lane, heard.utterance.span), heard })
            .collect()
    }

    fn around(&self, lane: usize, span: TickSpan) -> Vec<Around> {
        if !self.compare() {
            return Vec::new();
        }
        let needed = span_needed(span);
        // From a whole second on, as in a stream.
        let from = (needed.start().index() / TICKS_PER_SECOND).saturating_sub(1) * TICKS_PER_SECOND;
        let cut = |ear: &Ear| {
            let place =
                |tick: u64| usize::try_from(tick.saturating_sub(ear.gone)).unwrap_or(usize::MAX).min(ear.samples.len());
            let begin = from.max(ear.gone);
            let samples = ear.samples[place(begin)..place(needed.end().index() + 1)].to_vec();
            Around { channel: ear.channel, from: Tick::new(begin), samples }
        };
        let own = self.ears.get(lane).map(cut);
        let others = self.ears.iter().enumerate().filter(|(n, _)| *n != lane).map(|(_, ear)| cut(ear));
        own.into_iter().chain(others).collect()
    }
}
