//! The words that metrics are told apart by. Each is one of a closed list, so that a metric never grows without bound.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::domain::{audio::Encoding, segment::CaptionState};

/// What a window was decoded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodePass {
    /// While people speak, to be shown and forgotten.
    Partial,
    /// For the record.
    Final,
}

/// A bounded queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Windows of the record that wait for a decoder.
    AsrFinals,
    /// Windows for display that wait for a decoder.
    AsrPartials,
    /// Changes that wait for the record.
    RecordWrites,
    /// Events that wait for a slow client.
    ClientEvents,
}

/// Why a stream was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// As many streams as are allowed run already.
    Full,
    /// The service stops.
    Draining,
    /// A part of it is not ready.
    NotReady,
    /// Text comes too late already.
    Late,
    /// All channels that the machine carries are taken.
    Capacity,
    /// The disk is nearly full.
    Disk,
}

/// How an engine's process was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineLoss {
    /// It could not be started.
    NotStarted,
    /// It ended by itself.
    Exited,
    /// A signal ended it: an abort, the system when memory ran out, a person.
    Killed,
    /// It did not answer in time.
    Hung,
    /// What it said was no answer.
    Broken,
}

/// The text of one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Label(&'static str);

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

/// A set of one label; the names are those that `/metrics` shows.
macro_rules! label_sets {
    ($($set:ident { $name:ident })*) => { $(
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(super) struct $set { $name: Label }
        impl From<&'static str> for $set {
            fn from(word: &'static str) -> Self { Self { $name: Label(word) } }
        }
    )* };
}

label_sets! {
    ByAlarm { alarm }
    ByEncoding { encoding }
    ByCaptions { captions }
    ByCode { code }
    ByPass { pass }
    ByQueue { queue }
    ByReason { reason }
}

impl DecodePass {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Final => "final",
        }
    }
}

impl EngineLoss {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Exited => "exited",
            Self::Killed => "killed",
            Self::Hung => "hung",
            Self::Broken => "broken",
        }
    }
}

impl Queue {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AsrFinals => "asr_finals",
            Self::AsrPartials => "asr_partials",
            Self::RecordWrites => "record_writes",
            Self::ClientEvents => "client_events",
        }
    }
}

impl Refusal {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Draining => "draining",
            Self::NotReady => "not_ready",
            Self::Late => "late",
            Self::Capacity => "capacity",
            Self::Disk => "disk",
        }
    }
}

pub(super) const fn captions_name(state: CaptionState) -> &'static str {
    match state {
        CaptionState::Shown => "shown",
        CaptionState::Withheld => "withheld",
    }
}

pub(super) const fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::PcmS16Le => "pcm_s16le",
        Encoding::PcmS24Le => "pcm_s24le",
        Encoding::PcmF32Le => "pcm_f32le",
        Encoding::MuLaw => "mu_law",
        Encoding::ALaw => "a_law",
    }
}
