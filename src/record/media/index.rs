//! What stands where in a journal: positions to frames.

use std::{collections::HashSet, sync::Arc};

use super::{
    Absence,
    format::{
        destruction::Destruction,
        frame::{Epoch, FrameHeader},
    },
    spans::{Spans, both},
};
use crate::{
    domain::time::{SamplePos, Span},
    record::seal::KeyId,
};

/// A frame that holds samples.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Where it begins in the file.
    pub(super) offset: u64,
    pub(super) header: FrameHeader,
    /// What it was sealed under.
    pub(super) epoch: Arc<Epoch>,
}

impl Held {
    pub(super) fn key(&self) -> KeyId {
        self.epoch.key
    }

    /// What of `span` it holds; `None` where that is nothing.
    pub(super) fn part(&self, span: Span) -> Option<Span> {
        both(self.span(), span)
    }

    pub(super) fn span(&self) -> Span {
        Span::new(self.header.first_sample, self.header.end_sample())
            .expect("the end of a frame is its beginning and a length")
    }
}

/// Where the samples are, what was skipped, and what is destroyed.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// In order of their samples, and of the file.
    audio: Vec<Held>,
    /// In the order of the file.
    restated: Vec<Held>,
    /// In order.
    skipped: Vec<(Span, Absence)>,
    destroyed: Spans,
    /// The keys of what is destroyed.
    doomed: HashSet<KeyId>,
}

impl Index {
    pub(super) fn audio(&mut self, held: Held) {
        self.audio.push(held);
    }

    pub(super) fn restated(&mut self, held: Held) {
        self.restated.push(held);
    }

    pub(super) fn skipped(&mut self, span: Span, why: Absence) {
        match self.skipped.last_mut() {
            Some((last, because)) if *because == why && last.end() == span.start() => {
                *last = Span::new(last.start(), span.end()).unwrap_or(*last);
            }
            _ => self.skipped.push((span, why)),
        }
    }

    pub(super) fn destroyed(&mut self, order: Destruction) {
        order.spans.into_iter().for_each(|span| self.destroyed.add(span));
        self.doomed.extend(order.keys);
    }

    /// The frames that hold samples of `span`, in order of their first; some samples may stand twice. Those whose destruction
    /// is ordered are left out.
    pub(super) fn holding(&self, span: Span) -> Vec<&Held> {
        let first = self.audio.partition_point(|held| held.header.end_sample() <= span.start());
        let in_order = self.audio[first..].iter().take_while(|held| held.header.first_sample < span.end());
        let again = self.restated.iter().filter(|held| held.part(span).is_some());
        let mut found: Vec<&Held> = in_order.chain(again).filter(|held| !self.doomed.contains(&held.key())).collect();
        found.sort_by_key(|held| held.header.first_sample);
        found
    }

    /// The frames sealed under `key`.
    pub(super) fn sealed_under(&self, key: KeyId) -> impl Iterator<Item = &Held> {
        self.audio.iter().chain(&self.restated).filter(move |held| held.key() == key)
    }

    /// What of `span` was skipped, and why.
    pub(super) fn skipped_in(&self, span: Span) -> impl Iterator<Item = (Span, Absence)> {
        let first = self.skipped.partition_point(|(s, _)| s.end() <= span.start());
        self.skipped[first..].iter().map_while(move |(s, why)| Some((both(*s, span)?, *why)))
    }

    /// What of `span` is destroyed.
    pub(super) const fn destroyed_spans(&self) -> &Spans {
        &self.destroyed
    }

    /// Forgets the frames that end before `before`.
    pub(super) fn forget(&mut self, before: SamplePos) {
        let behind = self.audio.partition_point(|held| held.header.end_sample() <= before);
        self.audio.drain(..behind);
        self.restated.retain(|held| held.header.end_sample() > before);
        let behind = self.skipped.partition_point(|(span, _)| span.end() <= before);
        self.skipped.drain(..behind);
    }
}
