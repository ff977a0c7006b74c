//! The only ways in which a record changes. The record is the sequence of these; nothing in it is ever overwritten.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    alarm::{Alarm, AlarmState},
    channel::{ChannelSetup, Label},
    clock::{ClockKind, ClockSource},
    engine::Sha256Hash,
    flag::Evidence,
    id::{ChannelId, HearingId, SegmentId},
    load::LoadStep,
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

impl IntervalClass {
    /// Whether audio of this class is stored at all.
    #[must_use]
    pub const fn is_stored(self) -> bool {
        match self {
            Self::Open | Self::Sealed => true,
            Self::OffRecord | Self::Muted => false,
        }
    }

    /// How much it keeps from whom: the higher, the more.
    #[must_use]
    pub const fn strictness(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Sealed => 1,
            Self::Muted => 2,
            Self::OffRecord => 3,
        }
    }
}

/// An order of the court about what is recorded: who gave it, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who, by the court's own identifier.
    pub by: Label,
    /// Why.
    pub reason: Label,
}

/// Why samples are missing that should have been recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The recorder was switched off or had failed.
    RecorderDown,
    /// The recorder's own disk was full while no server could be reached.
    RecorderFull,
    /// The sound device gave nothing.
    DeviceLost,
    /// What the recorder had is damaged.
    RecorderDamaged,
    /// The recorder does not say.
    Unknown,
}

/// Whether text is made of a hearing while it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recognition {
    /// Yes.
    #[default]
    Live,
    /// No: it is recorded, and its text can be made afterwards.
    Later,
}

impl Recognition {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

/// An old recording that became a hearing. The chain of custody begins with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// What the file was called.
    pub name: Label,
    /// SHA-256 of the file.
    pub sha256: Sha256Hash,
}

impl GapReason {
    /// In words, for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecorderDown => "the recorder was switched off or had failed",
            Self::RecorderFull => "the recorder's disk was full",
            Self::DeviceLost => "the sound device gave nothing",
            Self::RecorderDamaged => "what the recorder had was damaged",
            Self::Unknown => "for a reason that the recorder did not give",
        }
    }
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
        /// Whether text is made of it while it goes on.
        #[serde(default, skip_serializing_if = "Recognition::is_live")]
        recognition: Recognition,
        /// The recording that it was made of; `None` for one that was heard live.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        imported: Option<Imported>,
    },
    /// Text is made of what was only recorded until now.
    RecognitionBegan {},
    /// All of what was only recorded has its text.
    RecognitionEnded {},
    /// The service keeps up less well, or better again.
    LoadStepped {
        /// The step that holds now.
        step: LoadStep,
        /// How late the latest text was, milliseconds.
        lateness_ms: u64,
    },
    /// From here on, the audio of a channel has this class.
    IntervalBegan {
        /// Which channel.
        channel: ChannelId,
        /// The first sample of the interval, at the channel's own rate.
        first_sample: SamplePos,
        /// Its class.
        class: IntervalClass,
        /// The sample after its last; `None`: up to where another interval begins already, or for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end: Option<SamplePos>,
        /// The order behind it; `None` for how the channel began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<Order>,
    },
    /// Samples that were stored were destroyed, with all that was made of them, on an order that came late.
    AudioDestroyed {
        /// Which channel.
        channel: ChannelId,
        /// What was destroyed.
        span: Span,
        /// The class it has now.
        class: IntervalClass,
    },
    /// Samples that should have been recorded are missing for good.
    AudioMissing {
        /// Which channel.
        channel: ChannelId,
        /// Which.
        span: Span,
        /// Why.
        reason: GapReason,
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
    /// Something is wrong with a channel, or is well again.
    ChannelAlarmed {
        /// Which channel.
        channel: ChannelId,
        /// What is wrong.
        alarm: Alarm,
        /// The first sample of the stretch that it was seen in.
        at: SamplePos,
        /// Whether it begins or ends there.
        state: AlarmState,
        /// What was measured.
        evidence: Vec<Evidence>,
    },
    /// When a sample was, by somebody's clock. Nothing else depends on it.
    ClockMapped {
        /// Which channel.
        channel: ChannelId,
        /// This sample
        at: SamplePos,
        /// was then, or had arrived by then, by the clock of `source`.
        wall: Timestamp,
        /// Whose clock.
        source: ClockSource,
        /// Why it is told.
        kind: ClockKind,
    },
    /// An utterance has its final text.
    SegmentCommitted {
        /// The text.
        segment: Box<Segment>,
    },
    /// More is known of a text of the record: this takes the place of the segment with the same id. Both stay in the record.
    SegmentRevised {
        /// The text as it stands now.
        segment: Box<Segment>,
    },
    /// Another text for a part of a closed hearing, by another model or another profile. It stands beside the text of the record
    /// and changes nothing of it: a person may take it up.
    RevisionProposed {
        /// The segments that it would take the place of, in order of time; empty where the record has no text there.
        replaces: Vec<SegmentId>,
        /// The text that is proposed, with its own span.
        segment: Box<Segment>,
    },
    /// The hearing ended; no audio is taken any more.
    HearingClosed {},
    /// In the place of a change that holds what was said when it is read after its text was destroyed. Never added to a record.
    SegmentDestroyed {},
}

impl Change {
    /// The names of the changes that hold what was said.
    const TEXTS: [&'static str; 3] = ["segment_committed", "segment_revised", "revision_proposed"];

    /// Whether changes of this name hold what was said.
    #[must_use]
    pub fn is_text(name: &str) -> bool {
        Self::TEXTS.contains(&name)
    }

    /// The text that it brings into the record; `None` for a change that brings none, that only proposes one, or whose text was
    /// destroyed.
    #[must_use]
    pub const fn segment(&self) -> Option<&Segment> {
        match self {
            Self::RevisionProposed { .. } => None,
            other => other.spoken(),
        }
    }

    /// What was said, as it stands in the change, whether it is the record's text or only proposed: what is shown to those alone
    /// who may hear it, and destroyed with its samples.
    #[must_use]
    pub const fn spoken(&self) -> Option<&Segment> {
        // Every change is named here once: one that brings text in another way must be asked about.
        match self {
            Self::SegmentCommitted { segment }
            | Self::SegmentRevised { segment }
            | Self::RevisionProposed { segment, .. } => Some(segment),
            Self::HearingOpened { .. }
            | Self::RecognitionBegan {}
            | Self::RecognitionEnded {}
            | Self::LoadStepped { .. }
            | Self::IntervalBegan { .. }
            | Self::AudioDestroyed { .. }
            | Self::AudioMissing { .. }
            | Self::AudioStored { .. }
            | Self::InputEnded { .. }
            | Self::AudioConflict { .. }
            | Self::SegmentDestroyed {}
            | Self::ChannelAlarmed { .. }
            | Self::ClockMapped { .. }
            | Self::HearingClosed {} => None,
        }
    }

    /// The channel it is about; `None` where it is about the hearing.
    #[must_use]
    pub const fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::IntervalBegan { channel, .. }
            | Self::AudioDestroyed { channel, .. }
            | Self::AudioMissing { channel, .. }
            | Self::AudioStored { channel, .. }
            | Self::InputEnded { channel, .. }
            | Self::AudioConflict { channel, .. }
            | Self::ChannelAlarmed { channel, .. }
            | Self::ClockMapped { channel, .. } => Some(*channel),
            Self::SegmentCommitted { segment }
            | Self::SegmentRevised { segment }
            | Self::RevisionProposed { segment, .. } => Some(segment.channel),
            Self::HearingOpened { .. }
            | Self::RecognitionBegan {}
            | Self::RecognitionEnded {}
            | Self::LoadStepped { .. }
            | Self::SegmentDestroyed {}
            | Self::HearingClosed {} => None,
        }
    }

    /// The name of the change, for logs and metrics: no content.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::HearingOpened { .. } => "hearing_opened",
            Self::IntervalBegan { .. } => "interval_began",
            Self::RecognitionBegan {} => "recognition_began",
            Self::RecognitionEnded {} => "recognition_ended",
            Self::LoadStepped { .. } => "load_stepped",
            Self::AudioDestroyed { .. } => "audio_destroyed",
            Self::AudioMissing { .. } => "audio_missing",
            Self::AudioStored { .. } => "audio_stored",
            Self::InputEnded { .. } => "input_ended",
            Self::AudioConflict { .. } => "audio_conflict",
            Self::ChannelAlarmed { .. } => "channel_alarmed",
            Self::ClockMapped { .. } => "clock_mapped",
            Self::SegmentCommitted { .. } => Self::TEXTS[0],
            Self::SegmentRevised { .. } => Self::TEXTS[1],
            Self::RevisionProposed { .. } => Self::TEXTS[2],
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
