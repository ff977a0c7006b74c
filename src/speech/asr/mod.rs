//! Recognition: a window of audio in, a [`Hypothesis`] out.
//!
//! [`Recognizer`] holds weights that many threads share; each thread asks it for a [`Decoder`] of its own and calls it
//! blockingly. The request is plain data and the answer too, so that the same pair of traits fits an engine in a child
//! process.

pub mod pool;
pub mod scripted;
#[cfg(feature = "whisper")]
pub mod whisper;
#[cfg(feature = "whisper")]
mod words;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::domain::{
    engine::EngineInfo,
    fault::{Fault, FaultKind},
    hypothesis::Hypothesis,
    language::{AllowedLanguages, LanguageTag},
    time::Tick,
};

/// Samples of a second at 16 kHz.
pub(crate) const SECOND: usize = 16_000;

/// The longest window an engine of the Whisper family sees at once: 30 seconds, in samples at 16 kHz.
pub const MAX_WINDOW: usize = 30 * SECOND;

/// What a window is decoded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// While people speak: as cheap as can be, shown and forgotten.
    Partial,
    /// For the record: the whole utterance, as good as the engine can.
    Final,
}

/// One window to decode.
#[derive(Clone, Debug)]
pub struct DecodeRequest<'a> {
    /// 16 kHz mono in [-1, 1]; `1 <= len <= MAX_WINDOW`.
    pub samples: &'a [f32],
    /// Where the first sample stands in its channel.
    pub start: Tick,
    /// What may be spoken.
    pub languages: &'a AllowedLanguages,
    /// What it is for.
    pub pass: Pass,
}

/// A flag that makes a running decode give up at its next step.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Asks the decode to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for an engine that polls it from native code.
    #[cfg(feature = "whisper")]
    fn shared(&self) -> &AtomicBool {
        &self.0
    }
}

/// Weights that threads share.
pub trait Recognizer: fmt::Debug + Send + Sync + 'static {
    /// Engine, weights and parameters of a pass: what goes into the record.
    fn info(&self, pass: Pass) -> &EngineInfo;

    /// Whether the model was trained on this language.
    fn knows(&self, language: &LanguageTag) -> bool;

    /// A decoder for the calling thread. It stays on that thread.
    ///
    /// # Errors
    /// [`AsrError::OutOfMemory`] where the engine cannot make its state.
    fn decoder(&self) -> Result<Box<dyn Decoder>, AsrError>;
}

/// Decodes windows, one at a time, blocking the thread that owns it.
pub trait Decoder {
    /// Decodes one window.
    ///
    /// # Errors
    /// [`AsrError::Cancelled`] when `cancel` was raised, [`AsrError::Window`] for a window of the wrong size,
    /// [`AsrError::UnknownLanguage`] for a language that the model was not trained on, [`AsrError::Engine`] where native
    /// code failed. The decoder can be used again after each of them.
    fn decode(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Hypothesis, AsrError>;
}

/// Why a window could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum AsrError {
    /// A window without samples or over 30 seconds.
    #[error("window of {samples} samples: an engine takes 1 to {MAX_WINDOW}")]
    Window {
        /// How many there were.
        samples: usize,
    },
    /// The model was not trained on the language.
    #[error(
        "model {model} does not know the language {language}: choose another model, or other languages for the channel"
    )]
    UnknownLanguage {
        /// The language asked for.
        language: LanguageTag,
        /// The model's name.
        model: String,
    },
    /// The decode was cancelled.
    #[error("decoding was cancelled")]
    Cancelled,
    /// Native code refused the weights or the window.
    #[error("engine {engine} failed to {action} (code {code})")]
    Engine {
        /// The engine's name.
        engine: &'static str,
        /// What it was doing.
        action: &'static str,
        /// Its own number for the failure.
        code: i32,
    },
    /// No memory for a decoder.
    #[error("no memory for a decoder of model {model}: use a smaller model or fewer slots")]
    OutOfMemory {
        /// The model's name.
        model: String,
    },
    /// The thread or process that decodes is gone.
    #[error("the decoding worker stopped")]
    WorkerGone,
    /// Decoding panicked; the worker goes on with a fresh decoder.
    #[error("decoding panicked")]
    WorkerPanicked,
}

impl Fault for AsrError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Window { .. } | Self::UnknownLanguage { .. } => FaultKind::Invalid,
            Self::Cancelled => FaultKind::Cancelled,
            Self::Engine { .. } | Self::WorkerPanicked => FaultKind::Internal,
            Self::OutOfMemory { .. } | Self::WorkerGone => FaultKind::Unavailable,
        }
    }
}
