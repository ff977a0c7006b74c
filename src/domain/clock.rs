//! Wall-clock time beside sample positions. Samples are what counts; the wall clock is what somebody read when.

use serde::{Deserialize, Serialize};

/// Whose clock it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// The recorder's, read when the sample was taken.
    Recorder,
    /// The server's, read when the sample had arrived: the sample is older by its way there.
    Server,
}

impl ClockSource {
    /// As it is written in exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorder => "recorder",
            Self::Server => "server",
        }
    }
}

/// Why a mapping is in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// It is the first of a stream.
    Start,
    /// The clock was set: summer time, a correction.
    Step {
        /// Milliseconds; positive: it was put forward.
        by_ms: i64,
    },
    /// Samples that had come late are followed by some that did not: the mapping before was too late.
    CaughtUp {
        /// Milliseconds by which it was, as a negative number.
        by_ms: i64,
    },
    /// The channel gives more or fewer samples than its rate says.
    Drift {
        /// Parts in a million; positive: more samples, the device's clock is fast.
        ppm: i32,
    },
}

impl ClockKind {
    /// As it is written in exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Step { .. } => "step",
            Self::CaughtUp { .. } => "caught_up",
            Self::Drift { .. } => "drift",
        }
    }
}
