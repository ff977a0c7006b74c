//! The utterances of one channel that are on their way to their text, in order of time.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::language::Settled;
use crate::{
    domain::{
        hypothesis::{HeardWord, Hypothesis},
        time::{SamplePos, TickSpan},
    },
    speech::{
        asr::{AsrError, CancelFlag},
        front::HeardUtterance,
    },
};

/// An utterance on its way to its text. Its decode is given up when it is dropped.
pub(super) struct Pending {
    pub(super) heard: HeardUtterance,
    /// `None` while it is being decoded.
    pub(super) outcome: Option<Result<Hypothesis, AsrError>>,
    pub(super) retried: bool,
    /// Where listening began anew before it: of what was said before that nothing follows.
    pub(super) since: SamplePos,
    /// What language it is taken to be in, once that is settled.
    pub(super) settled: Option<Settled>,
    pub(super) cancel: CancelFlag,
    /// What was committed of it while it was said.
    pub(super) committed: Vec<HeardWord>,
    /// The number of the decode that was begun ahead, where that is what is waited for.
    ahead: Option<u64>,
    /// When its endpoint was found, for the metrics alone.
    pub(super) ended: Instant,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The decode of what an utterance is if it ends at the pause that is now. It is given up when it is dropped.
pub(super) struct Ahead {
    pub(super) number: u64,
    span: TickSpan,
    cancel: Option<CancelFlag>,
    /// `None` while it is being decoded.
    pub(super) outcome: Option<Result<Hypothesis, AsrError>>,
}

impl Ahead {
    pub(super) const fn new(number: u64, span: TickSpan, cancel: CancelFlag) -> Self {
        Self { number, span, cancel: Some(cancel), outcome: None }
    }

    /// Whether it is the decode of this utterance: one that begins and ends where it does has the same samples.
    pub(super) fn is_of(&self, span: TickSpan) -> bool {
        self.span == span
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }
}

/// All of them, numbered from the first that the listener ever heard, and the cuts between them.
#[derive(Default)]
pub(super) struct Queue {
    utterances: VecDeque<Pending>,
    /// The number of the first.
    first: u64,
    /// Cuts whose utterances are on their way: the number of the first utterance after each, and where it is.
    cuts: VecDeque<(u64, SamplePos)>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.utterances.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.utterances.is_empty()
    }

    /// The earliest.
    pub(super) fn front(&self) -> Option<&Pending> {
        self.utterances.front()
    }

    /// The earliest, with its number.
    pub(super) fn first_mut(&mut self) -> Option<(u64, &mut Pending)> {
        self.utterances.front_mut().map(|pending| (self.first, pending))
    }

    /// The number of the next utterance.
    pub(super) fn next_number(&self) -> u64 {
        self.first + self.utterances.len() as u64
    }

    /// Takes in the next utterance.
    pub(super) fn push(
        &mut self,
        (heard, committed): (HeardUtterance, Vec<HeardWord>),
        since: SamplePos,
        cancel: CancelFlag,
    ) {
        self.utterances.push_back(Pending {
            heard,
            outcome: None,
            retried: false,
            since,
            settled: None,
            cancel,
            committed,
            ahead: None,
            ended: Instant::now(),
        });
    }

    /// Takes in the next utterance with the decode that was begun ahead of its end. What that brought already is given back, with
    /// the utterance's number.
    pub(super) fn push_ahead(
        &mut self,
        heard: (HeardUtterance, Vec<HeardWord>),
        since: SamplePos,
        mut ahead: Ahead,
    ) -> Option<(u64, Result<Hypothesis, AsrError>)> {
        let number = self.next_number();
        self.push(heard, since, ahead.cancel.take().unwrap_or_default());
        let outcome = ahead.outcome.take();
        if let Some(pending) = self.utterances.back_mut() {
            pending.ahead = Some(ahead.number);
        }
        outcome.map(|outcome| (number, outcome))
    }

    /// The number of the utterance that waits for a decode which was begun ahead.
    pub(super) fn number_of(&self, ahead: u64) -> Option<u64> {
        let place = self.utterances.iter().position(|pending| pending.ahead == Some(ahead))?;
        Some(self.first + place as u64)
    }

    /// The utterance with this number, as long as it waits.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Pending> {
        let index = number.checked_sub(self.first)?;
        self.utterances.get_mut(usize::try_from(index).ok()?)
    }

    /// The earliest, where it is decoded.
    pub(super) fn pop_done(&mut self) -> Option<(Pending, Result<Hypothesis, AsrError>)> {
        let outcome = self.utterances.front_mut()?.outcome.take()?;
        let pending = self.utterances.pop_front()?;
        self.first += 1;
        Some((pending, outcome))
    }

    /// What was said so far is over at `at`.
    pub(super) fn cut(&mut self, at: SamplePos) {
        self.cuts.push_back((self.next_number(), at));
    }

    /// The next cut before which every utterance has its text.
    pub(super) fn pass_cut(&mut self) -> Option<SamplePos> {
        self.cuts.pop_front_if(|(number, _)| *number <= self.first).map(|(_, at)| at)
    }

    /// Gives up all of them. Answers to what was asked of them find none.
    pub(super) fn clear(&mut self) {
        self.first = self.next_number();
        self.utterances.clear();
        self.cuts.clear();
    }
}
