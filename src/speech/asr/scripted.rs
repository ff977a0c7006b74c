//! An engine that says what its script says. For tests that need the same answer at any speed, beside the real engine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{AsrError, CancelFlag, DecodeRequest, Decoder, KnownLanguages, Pass, Recognizer};
use crate::domain::{
    engine::{EngineInfo, Sha256Hash},
    hypothesis::{HeardWord, Hypothesis, Told},
    probability::Probability,
    time::{Tick, TickSpan},
};

/// How long a scripted engine takes; can be changed while it decodes.
#[derive(Debug, Default)]
pub struct Pace {
    /// Microseconds a second of audio.
    micros: AtomicU64,
}

impl Pace {
    /// From the next decode on, a second of audio takes this long.
    pub fn set(&self, a_second: Duration) {
        self.micros.store(u64::try_from(a_second.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn of(&self, samples: usize) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed).saturating_mul(samples as u64) / 16_000)
    }
}

/// A recogniser whose words are a function of the samples alone: the loudness of each half second picks a word.
#[derive(Debug)]
pub struct Scripted {
    info: EngineInfo,
    vocabulary: Vec<String>,
    pace: Arc<Pace>,
}

impl Scripted {
    /// Speaks from `vocabulary`; an empty one hears nothing.
    #[must_use]
    pub fn new(vocabulary: &[&str]) -> Self {
        Self {
            info: EngineInfo {
                engine: "scripted".to_owned(),
                engine_version: "1".to_owned(),
                model: "scripted".to_owned(),
                model_sha256: Sha256Hash::new([0; 32]),
                device: "cpu".to_owned(),
                parameters: "{}".to_owned(),
            },
            vocabulary: vocabulary.iter().map(|&w| w.to_owned()).collect(),
            pace: Arc::default(),
        }
    }

    /// Takes as long as `pace` says. What it says stays the same.
    #[must_use]
    pub fn paced(self, pace: Arc<Pace>) -> Self {
        Self { pace, ..self }
    }
}

impl Recognizer for Scripted {
    fn info(&self, _pass: Pass) -> &EngineInfo {
        &self.info
    }

    fn languages(&self) -> &KnownLanguages {
        &KnownLanguages::Any
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, AsrError> {
        Ok(Box::new(ScriptedDecoder { vocabulary: self.vocabulary.clone(), pace: Arc::clone(&self.pace) }))
    }
}

struct ScriptedDecoder {
    vocabulary: Vec<String>,
    pace: Arc<Pace>,
}

/// Half a second at 16 kHz: one word each.
const WORD: usize = 8_000;

impl Decoder for ScriptedDecoder {
    fn decode(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Hypothesis, AsrError> {
        if cancel.is_cancelled() {
            return Err(AsrError::Cancelled);
        }
        if request.samples.is_empty() || request.samples.len() > super::MAX_WINDOW {
            return Err(AsrError::Window { samples: request.samples.len() });
        }
        let pace = self.pace.of(request.samples.len());
        if !pace.is_zero() && cancel.wait(pace) {
            return Err(AsrError::Cancelled);
        }
        let mut words = Vec::new();
        let mut at = request.start;
        for half_second in request.samples.chunks(WORD) {
            let end = at.plus(half_second.len() as u64);
            if let Some(text) = self.word_for(half_second) {
                words.push(HeardWord { text, spaced: true, span: span(at, end), score: Probability::ONE });
            }
            at = end;
        }
        // It hears the same words in the same samples, so those that lead are the first.
        words.drain(..request.lead.words.split_whitespace().count().min(words.len()));
        Ok(Hypothesis {
            window: span(request.start, at),
            language: request.languages.tags()[0].clone(),
            language_posterior: request.languages.given().is_none().then_some(Probability::ONE),
            words,
            allowed_share: None,
            no_speech: Probability::ZERO,
            mean_logprob: 0.0,
            told: Told::Nothing,
            then: Vec::new(),
            posteriors: Vec::new(),
        })
    }
}

impl ScriptedDecoder {
    fn word_for(&self, samples: &[f32]) -> Option<String> {
        let peak = samples.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())).min(1.0);
        let last = self.vocabulary.len().checked_sub(1)?;
        // A position in the vocabulary from 0 to `last`; the product is small and not negative.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 <= peak <= 1 and the list is short"
        )]
        let index = (f64::from(peak) * last as f64).round() as usize;
        (peak > 0.001).then(|| self.vocabulary[index].clone())
    }
}

fn span(start: Tick, end: Tick) -> TickSpan {
    TickSpan::starting(start, end.since(start))
}
