//! What a listener puts into the record: how far audio is stored, and texts in order of time.

use std::{collections::VecDeque, time::Duration};

use super::{BEHIND_SECONDS, Listener};
use crate::{
    domain::{
        change::Change,
        segment::Segment,
        time::{SamplePos, Span},
    },
    hearing::{
        HearingError,
        live::{compose, language::Settled, neighbours::Neighbours, parts::ListenerParts, patience},
    },
    speech::{asr::Pass, spoken::Spoken},
};

/// Texts of one channel that wait for other channels, about an hour of speech; then the oldest are compared with what there is.
const MAX_UNCOMPARED: usize = 1_024;

impl Listener {
    /// Puts into the record how far audio is on disk.
    pub(super) async fn record_audio(&mut self, end: SamplePos) -> Result<(), HearingError> {
        if let Some(span) = Span::new(self.known.recorded, end).filter(|s| !s.is_empty()) {
            let channel = self.parts.setup.id;
            let class = self.parts.gate.strictest_stored(span);
            self.append(Change::AudioStored { channel, span, class }).await?;
            self.known.recorded = span.end();
        }
        Ok(())
    }

    /// Writes finished utterances to the record, in order of time.
    pub(super) async fn commit(&mut self) -> Result<(), HearingError> {
        loop {
            self.settle_language();
            let Some((pending, outcome)) = self.pending.pop_done() else { break };
            let mut hypothesis = outcome?;
            if let Some(settled) = &pending.settled {
                settled.tell(&mut hypothesis);
            }
            let info = self.parts.recognizer.info(Pass::Final);
            let (setup, glossary) = (&self.parts.setup, self.parts.glossary.as_deref());
            let mut segments = compose::segments(self.parts.hearing, setup, &pending.heard, hypothesis, info, glossary);
            if let Some((settled, first)) = pending.settled.as_ref().zip(segments.first_mut()) {
                settled.note(first);
            }
            // Before a copy waits for other channels: what takes the text's place says what was shown too.
            compose::hold_against(&pending.committed, &mut segments);
            for segment in segments {
                self.put(segment, pending.ended.elapsed()).await?;
            }
        }
        self.pass_cuts().await
    }

    /// Writes a text to the record, where it is not there.
    async fn put(&mut self, mut segment: Segment, took: Duration) -> Result<(), HearingError> {
        let (start, end) = (segment.span.start(), segment.span.end());
        let known = self.known.segments.get(&start).map(|(end, _)| *end);
        if known == Some(end) {
            // Of the texts of one utterance the first was written before a stop.
            return Ok(());
        }
        if self.parts.setup.languages.given().is_none() {
            let spoken = Spoken { language: segment.language.clone(), leaning: segment.leaning.clone() };
            self.known.segments.insert(start, (end, spoken));
        }
        // In the order of time, since what is read of the others is only read on.
        let waits = self.uncompared.len();
        if self.neighbours.label(&mut segment, waits > 0).await {
            self.uncompared.push_back(segment.clone());
        }
        let (captions, flags) = (segment.captions, segment.flags.iter().map(|f| f.code).collect::<Vec<_>>());
        let segment = Box::new(segment);
        // Where what followed was destroyed, an utterance may end elsewhere than it did.
        let change = match known {
            Some(_elsewhere) => Change::SegmentRevised { segment },
            None => Change::SegmentCommitted { segment },
        };
        self.append(change).await?;
        self.parts.metrics.utterance(captions, flags, took);
        Ok(())
    }

    /// Settles what the earliest utterance is in, once it is decoded; it is decoded again where that is another language. It depends
    /// on the samples and on the text before since listening began anew, which is in the record: so it is settled the same by
    /// whoever hears it again.
    fn settle_language(&mut self) {
        let behind = !self.is_within(BEHIND_SECONDS);
        let setup = &self.parts.setup;
        let Some((number, pending)) = self.pending.first_mut() else { return };
        let Some(Ok(heard)) = pending.outcome.as_ref().filter(|_| pending.settled.is_none()) else { return };
        let start = setup.format.rate.sample_at(pending.heard.utterance.span.start());
        let before = self.known.segments.range(pending.since.min(start)..start).next_back();
        pending.settled = Settled::of(heard, setup, before.map(|(_, (_, spoken))| spoken));
        let Some(settled) = pending.settled.as_ref().filter(|settled| settled.otherwise(heard).is_some()) else {
            return;
        };
        self.decodes.whole(&pending.heard.utterance, Some(settled), number, behind, pending.cancel.clone());
        pending.outcome = None;
    }

    /// Compares texts of the record with what has come of other channels since.
    pub(super) async fn compare_late(&mut self) -> Result<(), HearingError> {
        // Where a channel stays away for very long, the oldest are compared with what there is.
        let due = |all: &VecDeque<Segment>, neighbours: &Neighbours| {
            all.len() > MAX_UNCOMPARED || all.front().is_some_and(|first| neighbours.know(first))
        };
        while due(&self.uncompared, &self.neighbours)
            && let Some(mut segment) = self.uncompared.pop_front()
        {
            self.neighbours.compare(&mut segment).await;
            if !segment.uncompared {
                self.append(Change::SegmentRevised { segment: Box::new(segment) }).await?;
            }
        }
        Ok(())
    }

    /// Appends to the record, and waits while it cannot take anything.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "a shared one, held while waiting, would ask the front to be Sync"
    )]
    pub(super) async fn append(&mut self, change: Change) -> Result<(), HearingError> {
        let ListenerParts { store, world, hearing, metrics, .. } = &self.parts;
        metrics.record_appended(patience::append(&**store, &**world, *hearing, "recognition", change).await?);
        Ok(())
    }
}
