//! What the record says of the channels of a hearing: where a listener begins, and what is there already.

use std::collections::{HashMap, VecDeque};

use super::live::parts::Known;
use crate::{
    domain::{
        alarm::AlarmState,
        change::{Change, Recognition},
        channel::ChannelSetup,
        id::ChannelId,
        segment::Segment,
        time::{SamplePos, Span},
    },
    record::entry::Entry,
    speech::spoken::Spoken,
};

/// One channel while its record is read.
#[derive(Default)]
struct Reading {
    known: Known,
    /// The ends of input before which everything had its text.
    settled: Vec<SamplePos>,
}

impl Reading {
    /// Audio is stored through the end of the span; at an end of input that is said when everything before has its text.
    fn stored(&mut self, span: Span, heard: bool) {
        self.known.recorded = self.known.recorded.max(span.end());
        if heard && self.known.cuts.contains(&span.end()) {
            self.known.start = span.end();
            self.settled.push(span.end());
        }
    }

    /// A text stands.
    fn text(&mut self, segment: &Segment) {
        let spoken = Spoken { language: segment.language.clone(), leaning: segment.leaning.clone() };
        self.known.segments.insert(segment.span.start(), (segment.span.end(), spoken));
    }

    /// Samples were destroyed, with the texts that stood on them: what shared an utterance with them is heard anew.
    fn destroyed(&mut self, span: Span) {
        let before = self.settled.iter().copied().filter(|at| *at <= span.start()).max();
        self.known.start = self.known.start.min(before.unwrap_or_default());
        self.stand_behind(span);
    }

    /// What was said behind destroyed audio and has its text keeps it: heard anew from the end of a hole on, it would be cut
    /// elsewhere and be there twice. The record tells it to every later listener alike, since texts that came later are not
    /// among these.
    fn stand_behind(&mut self, hole: Span) {
        let before: Vec<Span> = self.known.stands.iter().filter(|s| s.start() < hole.start()).copied().collect();
        let texts = &self.known.segments;
        let kept = before.into_iter().filter_map(|stand| {
            // Up to the last text before the hole, where it was dug into.
            let within = texts.range(stand.start()..stand.end()).map(|(_, (end, _))| *end);
            let end = within.filter(|end| *end <= hole.start()).max()?;
            Span::new(stand.start(), end)
        });
        let mut stands: VecDeque<Span> = kept.collect();
        let behind = texts.range(hole.end()..).map(|(_, (end, _))| *end).max();
        let first = texts.range(hole.end()..).next().map(|(start, _)| *start);
        stands.extend(first.zip(behind).and_then(|(first, end)| Span::new(first, end)));
        self.known.stands = stands;
    }
}

/// What `entries`, the whole record of a hearing, say of each of its channels.
pub(super) fn known_of(channels: &[ChannelSetup], entries: &[Entry]) -> HashMap<ChannelId, Known> {
    let mut all: HashMap<ChannelId, Reading> = channels.iter().map(|c| (c.id, Reading::default())).collect();
    let mut heard = false;
    for entry in entries {
        heard |= begins_recognition(&entry.change);
        let Some(reading) = entry.change.channel().and_then(|channel| all.get_mut(&channel)) else { continue };
        match &entry.change {
            Change::AudioStored { span, .. } => reading.stored(*span, heard),
            Change::InputEnded { at, .. } => {
                reading.known.cuts.push_back(*at);
                reading.known.ends.push(*at);
            }
            Change::AudioDestroyed { span, .. } => reading.destroyed(*span),
            Change::SegmentCommitted { segment } => {
                reading.text(segment);
                reading.known.uncompared.extend(segment.uncompared.then(|| Segment::clone(segment)));
            }
            Change::SegmentRevised { segment } => {
                reading.text(segment);
                reading.known.uncompared.retain(|known| known.id != segment.id);
                reading.known.uncompared.extend(segment.uncompared.then(|| Segment::clone(segment)));
            }
            Change::ChannelAlarmed { alarm, state, .. } => {
                reading.known.alarms.retain(|standing| standing != alarm);
                reading.known.alarms.extend((*state == AlarmState::Began).then_some(*alarm));
            }
            Change::ClockMapped { .. }
            | Change::HearingOpened { .. }
            | Change::RecognitionBegan {}
            | Change::RecognitionEnded {}
            | Change::LoadStepped { .. }
            | Change::IntervalBegan { .. }
            | Change::AudioMissing { .. }
            | Change::AudioConflict { .. }
            | Change::SegmentDestroyed {}
            | Change::RevisionProposed { .. }
            | Change::HearingClosed {} => {}
        }
    }
    let known = channels.iter().filter_map(|channel| {
        let mut known = all.remove(&channel.id)?.known;
        let start = known.start;
        known.cuts.retain(|cut| *cut > start);
        known.ends.sort_unstable();
        known.stands.retain(|stand| stand.end() > start);
        // By way of ticks a segment may begin a sample before the cut that it follows.
        let first = channel.format.rate.sample_at(channel.format.rate.tick_of(start));
        known.segments.retain(|segment, _| *segment >= first);
        Some((channel.id, known))
    });
    known.collect()
}

/// Whether text is made from here on.
pub(super) const fn begins_recognition(change: &Change) -> bool {
    matches!(change, Change::HearingOpened { recognition: Recognition::Live, .. } | Change::RecognitionBegan {})
}
