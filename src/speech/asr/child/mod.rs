//! An engine in a process of its own, which may abort, be killed or hang: that costs a restart and another decode.
//!
//! [`ChildRecognizer`] fits the traits of `asr`. Each of its decoders owns one process, the same program started with other
//! arguments, and speaks with it over its standard input and output (`protocol`). The decoder's thread alone starts it,
//! writes, reads, watches and reaps it; nothing is shared. [`serve`] is the other side.

mod process;
mod protocol;
pub mod serve;
mod supervisor;

use std::{ffi::OsString, fmt, path::PathBuf, sync::Arc, time::Duration};

pub use self::supervisor::ChildRecognizer;

/// How engine processes are started and how long they may take.
#[derive(Clone, Debug)]
pub struct ChildSettings {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The model's name, for messages.
    pub model: String,
    /// How long things may take.
    pub patience: Patience,
    /// How often a window of the record is tried where the process is lost each time. One for display is tried once: its
    /// text would be stale.
    pub tries: u32,
    /// From how many starts in vain on a window fails.
    pub starts: u32,
}

impl ChildSettings {
    /// The usual patience and numbers.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>, model: String) -> Self {
        Self { program, arguments, model, patience: Patience::default(), tries: 3, starts: 5 }
    }
}

/// How long things may take before a process is taken for hung and is killed.
#[derive(Clone, Debug, PartialEq)]
pub struct Patience {
    /// From its start to its hello: weights of gigabytes from a slow disk.
    pub start: Duration,
    /// A decode: this much,
    pub decode: Duration,
    /// and the length of the window so many times. `base` takes a fifth of the length on one core of 2020; the machine may
    /// be slow, the model larger and other work under way.
    pub times: u32,
    /// How long a process that decodes may use no processor time at all: one that is stopped or waits for itself is found
    /// long before the deadline.
    pub still: Duration,
    /// From the wish to give a decode up to its answer: the engine looks between its passes, of which the longest takes
    /// seconds.
    pub cancel: Duration,
    /// The pause after the first start in vain; it doubles with each one.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(120),
            decode: Duration::from_secs(20),
            times: 10,
            still: Duration::from_secs(8),
            cancel: Duration::from_secs(20),
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
        }
    }
}

/// How a process was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It could not be started at all.
    NotStarted,
    /// It ended by itself with this code.
    Exited {
        /// The code.
        code: i32,
    },
    /// A signal ended it: an abort of native code (6), the system when memory ran out (9), a person.
    Killed {
        /// The signal.
        signal: i32,
    },
    /// It did not answer in time and was killed.
    Hung,
    /// It said what is no answer, or is another engine than the first one, and was killed.
    Broken,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => write!(f, "it could not be started"),
            Self::Exited { code } => write!(f, "it ended with code {code}"),
            Self::Killed { signal } => write!(f, "signal {signal} ended it"),
            Self::Hung => write!(f, "it did not answer in time"),
            Self::Broken => write!(f, "it did not answer as this engine does"),
        }
    }
}

/// Told of each process that was lost.
pub type LossObserver = Arc<dyn Fn(Loss) + Send + Sync>;
