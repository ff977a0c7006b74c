//! The text of an utterance that goes on. Words on which two looks in a row agree (LocalAgreement-2, Macháček et al. 2023) are
//! committed and never change again: the next look is told them and decodes what follows, so that none can come twice or be
//! taken back. What the record holds in the end is decoded anew from the whole utterance; where it differs, that is told.
//!
//! A word may be cut off at the end of a window, so the last one is held back until somebody pauses or goes on. Nothing says when
//! in the window a word ended but when it was first seen: at most a step before. That is exact enough to let long windows begin
//! later, behind words that are committed.

use super::session::Window;
use crate::{
    domain::{
        hypothesis::{HeardWord, join},
        time::{TICKS_PER_SECOND, Tick, TickSpan},
    },
    speech::asr::Lead,
    text::normalize::fold,
};

/// A window of more than this, in ticks, begins later, if it can.
const LONGEST: u64 = 8 * TICKS_PER_SECOND;

/// So much of it is kept then, in ticks.
const KEPT: u64 = 4 * TICKS_PER_SECOND;

/// How long before a look that first shows it a word ends, about: half of a step.
const SEEN_AFTER: u64 = TICKS_PER_SECOND / 4;

/// Before the first word that a window is told it begins with, so much is left of the sound, in ticks.
const MARGIN: u64 = TICKS_PER_SECOND * 3 / 10;

/// After so much audio without a committed word the middle of three looks decides, and then the last alone, in ticks.
const STUCK: u64 = 6 * TICKS_PER_SECOND;

/// Words before a window that the decoder is told. Each costs as much as a tenth of a second of sound.
const BEFORE: usize = 12;

/// Agreed words at the end of a look that may still be cut off.
const HELD_BACK: usize = 1;

/// Words at the end that are held back also when looks never agree.
const HELD_BACK_STUCK: usize = 3;

/// A word that is not committed yet.
#[derive(Clone, Debug)]
struct Seen {
    word: HeardWord,
    /// Without case and punctuation.
    folded: String,
    /// Where the window ended in which it was first seen at its place.
    first: Tick,
}

/// What is to be looked at next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Where the window begins.
    pub from: Tick,
    /// What it is told.
    pub lead: Lead,
}

/// What was heard so far of an utterance.
#[derive(Debug, Default)]
pub struct LiveText {
    committed: Vec<HeardWord>,
    /// So many of them come before the window.
    passed: usize,
    /// Where the window begins; `None` for where the utterance does.
    from: Option<Tick>,
    tail: Vec<Seen>,
    /// The look before the last, folded.
    earlier: Vec<String>,
    /// Up to where audio was looked at when a word was last committed.
    moved: Option<Tick>,
}

impl LiveText {
    /// How to look at `window`, which holds the utterance so far. It is cut at committed words where it has grown long.
    pub fn look(&mut self, window: &Window) -> Look {
        let (start, end) = (window.span.start(), window.span.end());
        let mut from = self.from.unwrap_or(start).max(start);
        if end.since(from) > LONGEST {
            let old = |word: &HeardWord| end.since(word.span.end()) >= KEPT;
            let passed = self.committed.iter().take_while(|word| old(word)).count();
            if passed > self.passed {
                self.passed = passed;
                let behind = self.committed[passed - 1].span.end();
                from = behind.minus(MARGIN).max(from);
                self.from = Some(from);
            }
        }
        let (before, leading) = self.committed.split_at(self.passed);
        let text = |words: &[HeardWord]| join(words.iter().map(|w| (w.text.as_str(), w.spaced)));
        let before = text(&before[before.len().saturating_sub(BEFORE)..]);
        Look { from, lead: Lead { before, words: text(leading), ..Lead::NOTHING } }
    }

    /// Takes the words that a look found behind those it was told; gives how many more are committed. `quiet` says that nobody
    /// spoke at the end of the window, so that its last word is whole.
    pub fn observe(&mut self, heard: Vec<HeardWord>, end: Tick, quiet: bool) -> usize {
        let mut agrees = true;
        let mut agreed = 0;
        let mut tail = Vec::with_capacity(heard.len());
        for (place, word) in heard.into_iter().enumerate() {
            let folded = fold(&word.text);
            let before = self.tail.get(place).filter(|before| agrees && before.folded == folded);
            agrees = before.is_some();
            agreed += usize::from(agrees);
            let first = before.map_or(end, |before| before.first);
            tail.push(Seen { word, folded, first });
        }
        let held_back = if quiet { 0 } else { HELD_BACK };
        let mut ready = agreed.min(tail.len().saturating_sub(held_back));
        let moved = *self.moved.get_or_insert(tail.first().map_or(end, |seen| seen.first));
        if ready == 0 && end.since(moved) > STUCK {
            let twice = |(seen, earlier): &(&Seen, &String)| seen.folded == **earlier;
            ready = tail.iter().zip(&self.earlier).take_while(twice).count();
            if end.since(moved) > STUCK * 2 {
                ready = tail.len();
            }
            ready = ready.min(tail.len().saturating_sub(HELD_BACK_STUCK));
        }
        self.earlier = self.tail.iter().skip(ready).map(|seen| seen.folded.clone()).collect();
        let mut at = self.end();
        for Seen { mut word, first, .. } in tail.drain(..ready) {
            let ended = first.minus(SEEN_AFTER).max(at.unwrap_or(Tick::ZERO));
            word.span = between(at.unwrap_or(word.span.start()).min(ended), ended);
            at = Some(ended);
            self.committed.push(word);
        }
        if ready > 0 {
            self.moved = Some(end);
        }
        self.tail = tail;
        ready
    }

    /// All words so far, and how many of the first are committed.
    #[must_use]
    pub fn words(&self) -> (Vec<HeardWord>, usize) {
        let end = self.end().unwrap_or(Tick::ZERO);
        let tail = self.tail.iter().map(|seen| {
            let mut word = seen.word.clone();
            word.span = between(word.span.start().max(end), word.span.end().max(end));
            word
        });
        (self.committed.iter().cloned().chain(tail).collect(), self.committed.len())
    }

    /// The committed words.
    #[must_use]
    pub fn committed(&self) -> &[HeardWord] {
        &self.committed
    }

    /// Begins another utterance; gives the committed words of the one that ended.
    pub fn take(&mut self) -> Vec<HeardWord> {
        std::mem::take(self).committed
    }

    fn end(&self) -> Option<Tick> {
        self.committed.last().map(|word| word.span.end())
    }
}

fn between(start: Tick, end: Tick) -> TickSpan {
    TickSpan::starting(start, end.since(start))
}

#[cfg(test)]
mod tests;
