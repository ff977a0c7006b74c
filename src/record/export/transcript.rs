//! The neutral model that every export is made of.

use std::collections::HashMap;

use jiff::Timestamp;

use super::ExportError;
use crate::{
    domain::{
        actor::Attribution,
        alarm::{Alarm, AlarmState},
        change::{Change, EntrySeq, Imported, IntervalClass, Order},
        channel::ChannelSetup,
        clock::{ClockKind, ClockSource},
        flag::{Evidence, FlagCode},
        id::{ChannelId, HearingId, SegmentId},
        interval::Classes,
        segment::{CaptionState, Segment},
        time::{SamplePos, SampleRate},
    },
    record::{
        entry::Entry,
        ledger::{self, ChannelLedger},
    },
};

/// From `first_sample` on, a channel has a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Which channel.
    pub channel: ChannelId,
    /// The first sample, at the channel's own rate.
    pub first_sample: SamplePos,
    /// The class from there on.
    pub class: IntervalClass,
    /// The sample after its last; `None`: up to where another interval begins already, or for good.
    pub end: Option<SamplePos>,
    /// The order behind it; `None` for how the channel began.
    pub order: Option<Order>,
}

/// Something was wrong with a channel, or was well again.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmNote {
    /// Which channel.
    pub channel: ChannelId,
    /// What.
    pub alarm: Alarm,
    /// The first sample of the stretch that it was seen in.
    pub at: SamplePos,
    /// Whether it began or ended there.
    pub state: AlarmState,
    /// What was measured.
    pub evidence: Vec<Evidence>,
}

/// When a sample was, by somebody's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockNote {
    /// Which channel.
    pub channel: ChannelId,
    /// The sample.
    pub at: SamplePos,
    /// When it was, or had arrived.
    pub wall: Timestamp,
    /// Whose clock.
    pub source: ClockSource,
    /// Why it is told.
    pub kind: ClockKind,
}

/// A text that was proposed for a part of the hearing.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The segments that it would take the place of, in order of time.
    pub replaces: Vec<SegmentId>,
    /// The text.
    pub segment: Segment,
    /// When it was proposed, by whom and what for.
    pub by: Attribution,
}

/// The record of one hearing as a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// Which hearing.
    pub hearing: HearingId,
    /// The court's own reference; may be empty.
    pub reference: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed; `None` while it is open.
    pub closed_at: Option<Timestamp>,
    /// The recording that it was made of; `None` for one that was heard live.
    pub imported: Option<Imported>,
    /// Its channels, in ascending order.
    pub channels: Vec<ChannelSetup>,
    /// Where the class of a channel changed, in the order of the record.
    pub intervals: Vec<Interval>,
    /// The classes that these make.
    pub classes: Classes,
    /// What became of every sample, a channel after the other.
    pub ledger: Vec<ChannelLedger>,
    /// What was wrong with channels, in the order of the record.
    pub alarms: Vec<AlarmNote>,
    /// Wall-clock time, in the order of the record. Every other time is time of the hearing, counted in samples.
    pub clock: Vec<ClockNote>,
    /// The segments in order of their start as exact hearing time, then of channel, then of their place in the record.
    pub segments: Vec<Segment>,
    /// Texts that were proposed for parts of it, in order of their start as exact hearing time, then of channel, then of their
    /// place in the record. The segments stand as they are.
    pub proposals: Vec<Proposal>,
    /// The last entry that went in.
    pub through: EntrySeq,
}

impl Transcript {
    /// The document that `entries` make: all entries of `hearing` from the first, without gaps. The accounts are those that
    /// the entries show.
    ///
    /// # Errors
    /// [`ExportError::NoOpening`], [`ExportError::Gap`].
    ///
    /// ```
    /// use vivavoce::record::export::{ExportError, transcript::Transcript};
    /// let hearing = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    /// assert!(matches!(Transcript::from_entries(hearing, &[]), Err(ExportError::NoOpening { .. })));
    /// ```
    pub fn from_entries(hearing: HearingId, entries: &[Entry]) -> Result<Self, ExportError> {
        let Some((Entry { seq, change: Change::HearingOpened { reference, channels, imported, .. }, by }, rest)) =
            entries.split_first()
        else {
            return Err(ExportError::NoOpening { hearing });
        };
        let mut transcript = Self {
            hearing,
            reference: reference.clone(),
            opened_at: by.at,
            closed_at: None,
            imported: imported.clone(),
            channels: channels.clone(),
            intervals: Vec::new(),
            classes: Classes::default(),
            ledger: Vec::new(),
            alarms: Vec::new(),
            clock: Vec::new(),
            segments: Vec::new(),
            proposals: Vec::new(),
            through: *seq,
        };
        for entry in rest {
            transcript.take(entry)?;
        }
        transcript.ledger = ledger::keep(channels, entries, &HashMap::new());
        let place = |s: &Segment| (s.span.start().at(s.rate), s.channel);
        transcript.segments.sort_by_key(place);
        transcript.proposals.sort_by_key(|proposal| place(&proposal.segment));
        Ok(transcript)
    }

    fn take(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let expected = self.through.next();
        if entry.seq != expected {
            return Err(ExportError::Gap { hearing: self.hearing, expected });
        }
        self.through = entry.seq;
        match &entry.change {
            Change::SegmentCommitted { segment } => self.segments.push(Segment::clone(segment)),
            Change::SegmentRevised { segment } => {
                self.segments.iter_mut().filter(|s| s.id == segment.id).for_each(|s| s.clone_from(segment));
            }
            Change::IntervalBegan { channel, first_sample, class, end, order } => {
                self.classes.follow(&entry.change);
                self.intervals.push(Interval {
                    channel: *channel,
                    first_sample: *first_sample,
                    class: *class,
                    end: *end,
                    order: order.clone(),
                });
            }
            Change::ChannelAlarmed { channel, alarm, at, state, evidence } => self.alarms.push(AlarmNote {
                channel: *channel,
                alarm: *alarm,
                at: *at,
                state: *state,
                evidence: evidence.clone(),
            }),
            Change::ClockMapped { channel, at, wall, source, kind } => {
                self.clock.push(ClockNote { channel: *channel, at: *at, wall: *wall, source: *source, kind: *kind })
            }
            Change::RevisionProposed { replaces, segment } => self.proposals.push(Proposal {
                replaces: replaces.clone(),
                segment: Segment::clone(segment),
                by: entry.by.clone(),
            }),
            Change::HearingClosed {} => self.closed_at = Some(entry.by.at),
            // A second opening cannot be in a record; stored audio is told by the journal. Of a text that was destroyed nothing
            // is handed out.
            Change::HearingOpened { .. }
            | Change::RecognitionBegan {}
            | Change::RecognitionEnded {}
            | Change::LoadStepped { .. }
            | Change::AudioStored { .. }
            | Change::AudioDestroyed { .. }
            | Change::AudioMissing { .. }
            | Change::InputEnded { .. }
            | Change::AudioConflict { .. }
            | Change::SegmentDestroyed {} => {}
        }
        Ok(())
    }

    /// Without what was said in closed session, for those who may not see it. That something was sealed, and when, stays.
    #[must_use]
    pub fn open_parts(mut self) -> Self {
        let classes = &self.classes;
        let open = |s: &Segment| classes.strictest(s.channel, s.span) == IntervalClass::Open;
        self.segments.retain(open);
        self.proposals.retain(|proposal| open(&proposal.segment));
        self
    }

    /// The rate of `channel`; `None` where the hearing has no such channel.
    #[must_use]
    pub fn rate(&self, channel: ChannelId) -> Option<SampleRate> {
        self.channels.iter().find(|c| c.id == channel).map(|c| c.format.rate)
    }

    /// The label of `channel`, without what could forge an export; `channel 3` where it has none.
    #[must_use]
    pub fn label(&self, channel: ChannelId) -> String {
        let label = self.channels.iter().find(|c| c.id == channel).map(|c| super::plain::label(c.label.as_str()));
        label.filter(|l| !l.is_empty()).unwrap_or_else(|| format!("channel {channel}"))
    }

    /// The class of a segment: the strictest of the intervals that it touches.
    #[must_use]
    pub fn class(&self, segment: &Segment) -> IntervalClass {
        self.classes.strictest(segment.channel, segment.span)
    }

    /// Whether captions show the segment: it is not withheld, and all of it was said in open court.
    #[must_use]
    pub fn shown(&self, segment: &Segment) -> bool {
        segment.captions == CaptionState::Shown && self.class(segment) == IntervalClass::Open
    }
}

/// The class as it is written in exports.
pub(super) const fn class_name(class: IntervalClass) -> &'static str {
    match class {
        IntervalClass::Open => "open",
        IntervalClass::OffRecord => "off_record",
        IntervalClass::Sealed => "sealed",
        IntervalClass::Muted => "muted",
    }
}

/// Whether the word at `index` is in doubt: any flag covers it but one that says that somebody else spoke too.
pub(super) fn in_doubt(segment: &Segment, index: usize) -> bool {
    segment.flags.iter().any(|flag| flag.code != FlagCode::Overlap && flag.words.contains(&index))
}

/// Whether a flag of this code covers the word at `index`.
pub(super) fn has(segment: &Segment, index: usize, code: FlagCode) -> bool {
    segment.flags.iter().any(|flag| flag.code == code && flag.words.contains(&index))
}
