//! The order rules of one hearing, apart from any database: what may follow what.

use super::{Flaw, RecordError};
use crate::domain::{
    actor::Attribution,
    change::{Change, EntrySeq, IntervalClass},
    channel::ChannelSetup,
    flag::Evidence,
    id::{ChannelId, HearingId},
    segment::Segment,
    time::{SamplePos, Span},
};

/// What must be known of a hearing to judge its next change.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The last entry.
    pub(super) last: EntrySeq,
    /// The channels, as it was opened with.
    pub(super) channels: Vec<ChannelSetup>,
    /// The end of the stored audio of each channel that has any.
    pub(super) stored: Vec<(ChannelId, SamplePos)>,
    /// The stored audio that was destroyed since.
    pub(super) destroyed: Vec<(ChannelId, Span)>,
    /// Whether it was closed.
    pub(super) closed: bool,
}

impl Head {
    /// Before the first entry.
    pub(super) const fn opened(channels: Vec<ChannelSetup>) -> Self {
        Self { last: EntrySeq::START, channels, stored: Vec::new(), destroyed: Vec::new(), closed: false }
    }

    fn setup(&self, channel: ChannelId) -> Option<&ChannelSetup> {
        self.channels.iter().find(|c| c.id == channel)
    }

    /// The end of the stored audio of `channel`.
    fn stored(&self, channel: ChannelId) -> SamplePos {
        self.stored.iter().find(|(c, _)| *c == channel).map_or(SamplePos::ZERO, |(_, end)| *end)
    }

    /// Whether all of `span` is stored and nothing of it was destroyed, as far as the record says.
    fn has_audio(&self, channel: ChannelId, span: Span) -> bool {
        let meets = |gone: &Span| gone.start() < span.end() && span.start() < gone.end();
        !span.is_empty()
            && span.end() <= self.stored(channel)
            && !self.destroyed.iter().any(|(c, gone)| *c == channel && meets(gone))
    }

    /// Takes a change in that was written as entry `seq`.
    pub(super) fn follow(&mut self, seq: EntrySeq, change: &Change) {
        self.last = seq;
        match change {
            Change::AudioStored { channel, span, .. } => {
                self.stored.retain(|(c, _)| c != channel);
                self.stored.push((*channel, span.end()));
            }
            Change::AudioDestroyed { channel, span, .. } => self.destroyed.push((*channel, *span)),
            Change::HearingClosed {} => self.closed = true,
            Change::HearingOpened { .. }
            | Change::RecognitionBegan {}
            | Change::RecognitionEnded {}
            | Change::LoadStepped { .. }
            | Change::IntervalBegan { .. }
            | Change::AudioMissing { .. }
            | Change::InputEnded { .. }
            | Change::AudioConflict { .. }
            | Change::ChannelAlarmed { .. }
            | Change::ClockMapped { .. }
            | Change::SegmentCommitted { .. }
            | Change::SegmentRevised { .. }
            | Change::RevisionProposed { .. }
            | Change::SegmentDestroyed {} => {}
        }
    }
}

/// Whether `change` may be the next one of a hearing whose head is `head` (`None` for a hearing that is not known).
pub(super) fn check(
    hearing: HearingId,
    head: Option<&Head>,
    change: &Change,
    by: &Attribution,
) -> Result<(), RecordError> {
    let invalid = |flaw| RecordError::Invalid { hearing, change: change.name(), flaw };
    if by.actor.id.trim().is_empty() {
        return Err(invalid(Flaw::NoActor));
    }
    if let Change::HearingOpened { channels, .. } = change {
        return match head {
            Some(_) => Err(RecordError::HearingExists { hearing }),
            None => channels_flaw(channels).map_or(Ok(()), |flaw| Err(invalid(flaw))),
        };
    }
    let head = head.ok_or(RecordError::HearingUnknown { hearing })?;
    flaw(head, change).map_or(Ok(()), |flaw| Err(invalid(flaw)))?;
    if head.closed && !may_follow_closing(head, change) {
        return Err(RecordError::HearingClosed { hearing, change: change.name() });
    }
    match change {
        Change::AudioStored { channel, span, .. } if span.start() < head.stored(*channel) => {
            Err(RecordError::AudioOverlap { hearing, channel: *channel, through: head.stored(*channel) })
        }
        // While it goes on, the text of the record itself is still being made.
        Change::RevisionProposed { .. } if !head.closed => {
            Err(RecordError::HearingOpen { hearing, change: change.name() })
        }
        Change::AudioStored { .. }
        | Change::HearingOpened { .. }
        | Change::RecognitionBegan {}
        | Change::RecognitionEnded {}
        | Change::LoadStepped { .. }
        | Change::IntervalBegan { .. }
        | Change::AudioDestroyed { .. }
        | Change::AudioMissing { .. }
        | Change::InputEnded { .. }
        | Change::AudioConflict { .. }
        | Change::ChannelAlarmed { .. }
        | Change::ClockMapped { .. }
        | Change::SegmentCommitted { .. }
        | Change::SegmentRevised { .. }
        | Change::RevisionProposed { .. }
        | Change::HearingClosed {}
        | Change::SegmentDestroyed {} => Ok(()),
    }
}

/// Text may come after the closing, since the recogniser is behind the audio; but only for audio that was stored. So may orders
/// that keep more from more people.
fn may_follow_closing(head: &Head, change: &Change) -> bool {
    match change {
        Change::SegmentCommitted { segment } | Change::SegmentRevised { segment } => {
            segment.span.end() <= head.stored(segment.channel)
        }
        // What was said can be sealed or destroyed as long as it is there.
        Change::IntervalBegan { class, .. } => *class != IntervalClass::Open,
        // A hearing that was only recorded gets its text afterwards. What is proposed is looked at more closely.
        Change::RevisionProposed { .. }
        | Change::AudioDestroyed { .. }
        | Change::AudioMissing { .. }
        | Change::RecognitionBegan {}
        | Change::RecognitionEnded {}
        | Change::LoadStepped { .. } => true,
        Change::HearingOpened { .. }
        | Change::InputEnded { .. }
        | Change::AudioConflict { .. }
        | Change::ChannelAlarmed { .. }
        | Change::ClockMapped { .. }
        | Change::AudioStored { .. }
        | Change::HearingClosed {}
        | Change::SegmentDestroyed {} => false,
    }
}

fn channels_flaw(channels: &[ChannelSetup]) -> Option<Flaw> {
    if channels.is_empty() {
        Some(Flaw::NoChannels)
    } else if !channels.is_sorted_by(|a, b| a.id < b.id) {
        Some(Flaw::ChannelOrder)
    } else {
        None
    }
}

fn flaw(head: &Head, change: &Change) -> Option<Flaw> {
    let known = |channel: ChannelId| head.setup(channel).is_none().then_some(Flaw::UnknownChannel(channel));
    match change {
        Change::IntervalBegan { channel, .. }
        | Change::AudioDestroyed { channel, .. }
        | Change::AudioMissing { channel, .. }
        | Change::InputEnded { channel, .. }
        | Change::AudioConflict { channel, .. }
        | Change::ClockMapped { channel, .. } => known(*channel),
        Change::ChannelAlarmed { channel, evidence, .. } => {
            known(*channel).or_else(|| (!finite(evidence)).then_some(Flaw::NotFinite))
        }
        Change::AudioStored { channel, class, .. } => known(*channel).or(match class {
            IntervalClass::Open | IntervalClass::Sealed => None,
            IntervalClass::OffRecord | IntervalClass::Muted => Some(Flaw::NothingStored),
        }),
        Change::SegmentCommitted { segment } | Change::SegmentRevised { segment } => {
            known(segment.channel).or_else(|| segment_flaw(head, segment))
        }
        Change::RevisionProposed { segment, .. } => {
            let silent = || (!head.has_audio(segment.channel, segment.span)).then_some(Flaw::NoAudio(segment.channel));
            let flaw = known(segment.channel).or_else(|| segment_flaw(head, segment));
            flaw.or_else(|| if head.closed { silent() } else { None })
        }
        Change::HearingOpened { .. }
        | Change::RecognitionBegan {}
        | Change::RecognitionEnded {}
        | Change::LoadStepped { .. }
        | Change::HearingClosed {} => None,
        Change::SegmentDestroyed {} => Some(Flaw::OnlyRead),
    }
}

/// JSON has no infinity: such a figure would be written as null and never be read back.
fn finite(evidence: &[Evidence]) -> bool {
    evidence.iter().all(|e| e.value.is_finite() && e.limit.is_finite())
}

fn segment_flaw(head: &Head, segment: &Segment) -> Option<Flaw> {
    let rate = head.setup(segment.channel).map(|c| c.format.rate);
    if rate != Some(segment.rate) {
        return Some(Flaw::Rate(segment.channel));
    }
    let scores = segment.words.iter().map(|w| w.score).chain(segment.language_posterior);
    let mut scores = scores.map(|s| f64::from(s.value()));
    if !scores.all(f64::is_finite) || !segment.flags.iter().all(|f| finite(&f.evidence)) {
        return Some(Flaw::NotFinite);
    }
    let bad = |words: &std::ops::Range<usize>| words.start > words.end || words.end > segment.words.len();
    segment.flags.iter().any(|f| bad(&f.words)).then_some(Flaw::FlaggedWords)
}
