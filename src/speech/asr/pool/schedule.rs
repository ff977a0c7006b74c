//! Which decode is next: the one whose deadline is nearest. Pure: the time comes from outside, and no thread is here.
//!
//! A deadline is set once, when a job comes, and nothing that comes after it has passed can have an earlier one. So every
//! job has a finite number of others before it, however many are still to come: nothing starves, files neither.

use std::time::{Duration, Instant};

/// Who waits for a decode, and so how soon it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The text of an utterance that just ended. Its last word is a pause old already.
    Live,
    /// What is being said, for display. It is due before the next would be asked for, after this `step`, and worth nothing when
    /// as much time again has passed.
    Shown {
        /// How long after it the next is due.
        step: Duration,
    },
    /// The text of an utterance of a hearing in session that was not said just now: after a stop, or a break.
    Behind,
    /// Nobody waits in a courtroom: recordings, and hearings that are closed.
    Late,
}

impl Urgency {
    /// From when a job comes to when it is due. An endpoint is found 0.5 to 1.2 s after the last word, so that a live final is
    /// due about a second after it; it is before every partial that did not wait for most of its step yet.
    const fn allowance(self) -> Duration {
        match self {
            Self::Live => Duration::from_millis(200),
            Self::Shown { step } => step,
            Self::Behind => Duration::from_secs(10),
            // Longer than the ladder lets a final of a hearing in session wait.
            Self::Late => Duration::from_secs(600),
        }
    }
}

/// Of one stream the second text that waits is due this much after the first, and so on: a stream that brings many at once,
/// since it catches up, does not hold up one that brings a single one.
const SPREAD: Duration = Duration::from_secs(1);

/// A job that waits.
#[derive(Debug)]
struct Waiting<T> {
    stream: u64,
    urgency: Urgency,
    came: Instant,
    deadline: Instant,
    /// Of equal deadlines the first that came is first.
    number: u64,
    work: T,
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// To be decoded; it has waited this long.
    Decode(T, Duration),
    /// Nobody wants it any more, or it comes too late to be shown.
    Drop(T),
}

/// The jobs that wait.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    waiting: Vec<Waiting<T>>,
    numbers: u64,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { waiting: Vec::new(), numbers: 0 }
    }
}

impl<T> Schedule<T> {
    /// Takes a job that comes at `now`; gives the partial of the same stream that it replaces, whose turn it has.
    pub(super) fn push(&mut self, stream: u64, urgency: Urgency, now: Instant, work: T) -> Option<T> {
        let mut deadline = now + urgency.allowance();
        let shown = matches!(urgency, Urgency::Shown { .. });
        let same = |w: &Waiting<T>| w.stream == stream && matches!(w.urgency, Urgency::Shown { .. }) == shown;
        let mut replaced = None;
        if shown {
            if let Some(place) = self.waiting.iter().position(same) {
                let before = self.waiting.swap_remove(place);
                // Else a stream that asks often would wait for ever.
                deadline = deadline.min(before.deadline);
                replaced = Some(before.work);
            }
        } else if let Some(last) = self.waiting.iter().filter(|w| same(w)).map(|w| w.deadline).max() {
            deadline = deadline.max(last + SPREAD);
        }
        let number = self.numbers;
        self.numbers += 1;
        self.waiting.push(Waiting { stream, urgency, came: now, deadline, number, work });
        replaced
    }

    /// The job that is next at `now`. One of which `unwanted` is true, or which is stale, comes out first, to be dropped.
    pub(super) fn next(&mut self, now: Instant, unwanted: impl Fn(&T) -> bool) -> Option<Next<T>> {
        let over = |w: &Waiting<T>| w.is_stale(now) || unwanted(&w.work);
        if let Some(place) = self.waiting.iter().position(over) {
            return Some(Next::Drop(self.waiting.swap_remove(place).work));
        }
        let first = self.waiting.iter().enumerate().min_by_key(|(_, w)| (w.deadline, w.number));
        let place = first.map(|(place, _)| place)?;
        let job = self.waiting.swap_remove(place);
        Some(Next::Decode(job.work, now.saturating_duration_since(job.came)))
    }

    /// Texts that wait, and partials.
    pub(super) fn lengths(&self) -> (usize, usize) {
        let partials = self.waiting.iter().filter(|w| matches!(w.urgency, Urgency::Shown { .. })).count();
        (self.waiting.len() - partials, partials)
    }

    /// All jobs, in no order; none is left.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.waiting.drain(..).map(|w| w.work).collect()
    }
}

impl<T> Waiting<T> {
    /// Whether it comes a whole step too late to be shown.
    fn is_stale(&self, now: Instant) -> bool {
        match self.urgency {
            Urgency::Shown { step } => now > self.came + step * 2,
            Urgency::Live | Urgency::Behind | Urgency::Late => false,
        }
    }
}

#[cfg(test)]
mod tests;
