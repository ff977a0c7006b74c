//! The only ways in which a record changes. The record is the sequence of these; nothing in it is ever overwritten.

use serde::{Deserialize, Serialize};

use super::{
    channel::ChannelSetup,
    engine::Sha256Hash,
    id::{ChannelId, HearingId},
    segment::Segment,
    time::{SamplePos, Span},
};

/// How an interval of a channel is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalClass {
    /// In open court.
    Open,
    /// Off the record: nothing is stored.
    OffRecord,
    /// Closed session: stored under a key of its own.
    Sealed,
    /// The microphone was muted.
    Muted,
}

/// One change to the record of one hearing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A hearing began.
    HearingOpened {
        /// The court's own reference, such as a case number; may be empty.
        reference: String,
        /// Its channels, in ascending order of number.
        channels: Vec<ChannelSetup>,
        /// SHA-256 of the token with which a recorder takes the hearing up again; `None` where none was given out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Sha256Hash>,
    },
    /// From here on, the audio of a channel has this class.
    IntervalBegan {
        /// Which channel.
        channel: ChannelId,
        /// The first sample of the interval, at the channel's own rate.
        first_sample: SamplePos,
        /// Its class.
        class: IntervalClass,
    },
    /// Audio up to here is stored.
    AudioStored {
        /// Which channel.
        channel: ChannelId,
        /// From the first to the last sample, at the channel's own rate.
        span: Span,
        /// Its class.
        class: IntervalClass,
    },
    /// The recorder said that nothing follows for now: what is being said ends here.
    InputEnded {
        /// Which channel.
        channel: ChannelId,
        /// The position of the next sample.
        at: SamplePos,
    },
    /// Samples that are stored were sent again and differ. Those stored first stand.
    AudioConflict {
        /// Which channel.
        channel: ChannelId,
        /// What was sent again.
        span: Span,
    },
    /// An utterance has its final text.
    SegmentCommitted {
        /// The text.
        segment: Box<Segment>,
    },
    /// The hearing ended; no audio is taken any more.
    HearingClosed {},
    /// In the place of [`Change::SegmentCommitted`] when it is read after its text was destroyed. Never added to a record.
    SegmentDestroyed {},
}

impl Change {
    /// The name of the one change that holds what was said.
    pub const TEXT: &'static str = "segment_committed";

    /// The name of the change, for logs and metrics: no content.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::HearingOpened { .. } => "hearing_opened",
            Self::IntervalBegan { .. } => "interval_began",
            Self::AudioStored { .. } => "audio_stored",
            Self::InputEnded { .. } => "input_ended",
            Self::AudioConflict { .. } => "audio_conflict",
            Self::SegmentCommitted { .. } => Self::TEXT,
            Self::HearingClosed {} => "hearing_closed",
            Self::SegmentDestroyed {} => "segment_destroyed",
        }
    }
}

/// The place of an entry in the record of its hearing, counted from 1. Also the position a reader resumes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntrySeq(u64);

impl EntrySeq {
    /// Before the first entry.
    pub const START: Self = Self(0);

    /// The `number`-th entry.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// 1 for the first entry.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Proof that a change is in the record, on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The hearing it belongs to.
    pub hearing: HearingId,
    /// Its place there.
    pub seq: EntrySeq,
}
