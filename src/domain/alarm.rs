//! What can be wrong with a microphone, as the clerk is told it.

use serde::{Deserialize, Serialize};

/// What is wrong with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// Nothing comes from the microphone: digital silence, or far less than any room has.
    Dead,
    /// It is recorded too loud: the tops of the waves are cut off.
    Clipped,
    /// Mains hum.
    Hum,
}

impl Alarm {
    /// Every alarm, in the order of the wire.
    pub const ALL: [Self; 3] = [Self::Dead, Self::Clipped, Self::Hum];

    /// The alarm as it is written in exports: `dead`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Clipped => "clipped",
            Self::Hum => "hum",
        }
    }

    /// In words, for a person.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Dead => "nothing comes from this microphone: is it plugged in and switched on?",
            Self::Clipped => "this microphone is recorded too loud: turn its level down",
            Self::Hum => "mains hum on this microphone: look at its cable and its earth",
        }
    }
}

/// Whether an alarm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// From here on.
    Began,
    /// Up to here.
    Ended,
}

impl AlarmState {
    /// As it is written in exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Ended => "ended",
        }
    }
}
