//! How far the service is from keeping up, as a ladder that it goes down step by step.

use serde::{Deserialize, Serialize};

/// A step of the ladder. On every step audio is stored as on the first; it is the text that waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadStep {
    /// Everything comes in time.
    #[default]
    Normal,
    /// Partial text comes less often.
    PartialsThin,
    /// Partial text does not come.
    PartialsOff,
    /// Final text comes late; new hearings are taken for recording alone.
    FinalsLate,
}

impl LoadStep {
    /// Every step, from the best.
    pub const ALL: [Self; 4] = [Self::Normal, Self::PartialsThin, Self::PartialsOff, Self::FinalsLate];

    /// Its place on the ladder, 0 for normal.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::PartialsThin => 1,
            Self::PartialsOff => 2,
            Self::FinalsLate => 3,
        }
    }

    /// The next better one.
    #[must_use]
    pub const fn better(self) -> Self {
        match self {
            Self::Normal | Self::PartialsThin => Self::Normal,
            Self::PartialsOff => Self::PartialsThin,
            Self::FinalsLate => Self::PartialsOff,
        }
    }
}
