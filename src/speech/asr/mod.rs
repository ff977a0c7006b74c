//! Recognition: a window of audio in, a [`Hypothesis`] out.
//!
//! [`Recognizer`] holds weights that many threads share; each thread asks it for a [`Decoder`] of its own and calls it
//! blockingly. The request is plain data and the answer too, so that the same pair of traits fits an engine in this
//! process and one in a process of its own ([`child`]).

#[cfg(feature = "server")]
pub mod child;
pub mod pool;
pub mod scripted;
#[cfg(feature = "whisper")]
pub mod whisper;
#[cfg(feature = "whisper")]
mod words;

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// While people speak: as cheap as can be, shown and forgotten.
    Partial,
    /// For the record: the whole utterance, as good as the engine can.
    Final,
}

/// What is known of a window before it is decoded. Empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lead {
    /// What was said before the window, as it was written: the decoder goes on from it in sense and says none of it again.
    pub before: String,
    /// The words that the window begins with, as they were written: the decoder says what follows them, and nothing else.
    pub words: String,
    /// Terms that may come up, as they are written: names, places, articles of law.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// In which language that is; `None` where it does not matter. To a window in another one nothing is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageTag>,
    /// The samples before which somebody may go on in another language, in order. Where several may be spoken, the engine looks at
    /// what is between them, and what is in different languages is decoded apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<usize>,
}

impl Lead {
    /// Nothing is known.
    pub const NOTHING: Self =
        Self { before: String::new(), words: String::new(), terms: Vec::new(), language: None, pauses: Vec::new() };
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
    /// What is known of it. Of a final that is what everybody who decodes it again knows too: a glossary, texts of the record.
    pub lead: &'a Lead,
    /// How many threads it may use; what comes out does not depend on it.
    pub threads: u8,
}

/// A flag that makes a running decode give up at its next step.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<Raised>);

#[derive(Debug, Default)]
struct Raised {
    flag: AtomicBool,
    /// Held while the flag is raised, so that who waits does not miss it.
    door: Mutex<()>,
    wake: Condvar,
}

impl CancelFlag {
    /// Asks the decode to stop.
    pub fn cancel(&self) {
        let held = self.0.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.flag.store(true, Ordering::Relaxed);
        drop(held);
        self.0.wake.notify_all();
    }

    /// Whether it was asked to.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.flag.load(Ordering::Relaxed)
    }

    /// Waits until the decode is asked to stop, `longest` at most. Gives whether it was.
    #[must_use]
    pub fn wait(&self, longest: Duration) -> bool {
        let held = self.0.door.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.wake.wait_timeout_while(held, longest, |()| !self.is_cancelled()));
        self.is_cancelled()
    }

    /// The flag itself, for an engine that polls it from native code.
    #[cfg(feature = "whisper")]
    fn shared(&self) -> &AtomicBool {
        &self.0.flag
    }
}

/// The languages that a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownLanguages {
    /// Whatever is asked for.
    Any,
    /// Those whose code (BCP-47's primary subtag) is in the list.
    Codes(Vec<String>),
}

impl KnownLanguages {
    /// Whether the language is among them.
    #[must_use]
    pub fn contains(&self, language: &LanguageTag) -> bool {
        match self {
            Self::Any => true,
            Self::Codes(codes) => codes.iter().any(|code| code == language.primary()),
        }
    }
}

/// Weights that threads share.
pub trait Recognizer: fmt::Debug + Send + Sync + 'static {
    /// Engine, weights and parameters of a pass: what goes into the record.
    fn info(&self, pass: Pass) -> &EngineInfo;

    /// The languages that the model was trained on.
    fn languages(&self) -> &KnownLanguages;

    /// Whether the model was trained on this language.
    fn knows(&self, language: &LanguageTag) -> bool {
        self.languages().contains(language)
    }

    /// A decoder for the calling thread. It stays on that thread.
    ///
    /// # Errors
    /// [`AsrError::OutOfMemory`] where the engine cannot make its state.
    fn decoder(&self) -> Result<Box<dyn Decoder>, AsrError>;

    /// Nothing more is wanted of it: what is under way is ended at once, where the engine is a process of its own, and none is
    /// started any more. Decodes then fail.
    fn give_up(&self) {}
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
        engine: String,
        /// What it was doing.
        action: String,
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
    /// The engine's process was lost at this window, each time on a fresh one.
    #[error("the engine's process was lost at this window, {tries} times of {tries} (last: {last})")]
    ProcessLost {
        /// How often the window was tried.
        tries: u32,
        /// How the last one was lost.
        last: String,
    },
    /// The engine's process cannot be started, now.
    #[error(
        "the engine's process does not start, {starts} times in a row (last: {last}): its own lines in the log say why; \
         check the models and the memory"
    )]
    ProcessNotStarted {
        /// How often it was started in vain.
        starts: u32,
        /// What became of the last.
        last: String,
    },
}

impl AsrError {
    /// Whether another try of the same window may end otherwise. One at which the engine's process was lost again and again
    /// has had its tries.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        !matches!(self, Self::ProcessLost { .. })
    }
}

impl Fault for AsrError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Window { .. } | Self::UnknownLanguage { .. } => FaultKind::Invalid,
            Self::Cancelled => FaultKind::Cancelled,
            Self::Engine { .. } | Self::WorkerPanicked | Self::ProcessLost { .. } => FaultKind::Internal,
            Self::OutOfMemory { .. } | Self::WorkerGone | Self::ProcessNotStarted { .. } => FaultKind::Unavailable,
        }
    }
}
