//! Whether the text keeps up with the audio, and what is given up first where it does not: partials, then punctuality. Never
//! audio, never a final.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::domain::{load::LoadStep, time::SamplePos};

/// How late text may be before a step is taken: from this lateness on. An utterance has its text about three seconds after
/// its last word where all is well: its end is known after 1.2 s of silence, and decoding takes the rest.
const LIMITS: [(LoadStep, Duration); 3] = [
    (LoadStep::FinalsLate, Duration::from_secs(20)),
    (LoadStep::PartialsOff, Duration::from_secs(8)),
    (LoadStep::PartialsThin, Duration::from_secs(4)),
];

/// How long text must have been less late than half of a step's limit before the step is taken back, so that the ladder does
/// not swing.
const CALM: Duration = Duration::from_secs(5);

/// From this lateness on no live hearing is taken on the last step.
pub(super) const STILL_LATE: Duration = Duration::from_secs(10);

/// How often the ladder is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// When audio came, remembered at most this often and this many times.
const ARRIVAL_EVERY: Duration = Duration::from_millis(500);
const ARRIVALS: usize = 4_096;

/// Decides on which step the service is. Pure: the time comes from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Ladder {
    step: LoadStep,
    calm_since: Option<Duration>,
}

impl Ladder {
    /// At `now` (since any beginning) the latest text is late by `lateness`. Gives the new step where it changes.
    pub(super) fn observe(&mut self, now: Duration, lateness: Duration) -> Option<LoadStep> {
        let due = LIMITS.iter().find(|(_, limit)| lateness >= *limit).map_or(LoadStep::Normal, |(step, _)| *step);
        if due > self.step {
            (self.step, self.calm_since) = (due, None);
            return Some(due);
        }
        let limit = LIMITS.iter().find(|(step, _)| *step == self.step).map_or(Duration::MAX, |(_, limit)| *limit);
        if self.step == LoadStep::Normal || lateness >= limit / 2 {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.saturating_sub(since) < CALM {
            return None;
        }
        (self.step, self.calm_since) = (self.step.better(), None);
        Some(self.step)
    }
}

/// What of one channel waits for its text.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When audio up to a sample had come, in order.
    arrivals: VecDeque<(SamplePos, Instant)>,
    /// Nothing before this is due.
    done: SamplePos,
}

impl Backlog {
    /// One that nobody looks at.
    pub(super) fn uncounted() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { arrivals: VecDeque::new(), done: SamplePos::new(u64::MAX) }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Audio up to `through` has come.
    pub(super) fn came(&self, through: SamplePos, now: Instant) {
        let mut state = self.state();
        let recent = state.arrivals.back().is_some_and(|(_, at)| now.duration_since(*at) < ARRIVAL_EVERY);
        if recent || state.arrivals.len() >= ARRIVALS {
            // Together with what came just before: its time is a little too early.
            state.arrivals.back_mut().into_iter().for_each(|(last, _)| *last = through);
        } else if through > state.done {
            state.arrivals.push_back((through, now));
        }
    }

    /// Up to `done` nothing is due any more.
    pub(super) fn done(&self, done: SamplePos) {
        let mut state = self.state();
        if state.done == SamplePos::new(u64::MAX) {
            return;
        }
        state.done = done;
        while state.arrivals.front().is_some_and(|(through, _)| *through <= done) {
            state.arrivals.pop_front();
        }
    }

    /// How long the oldest audio that is due has waited.
    fn lateness(&self, now: Instant) -> Duration {
        self.state().arrivals.front().map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
    }
}

/// The load of the service: every channel that waits for text, and the step that follows.
#[derive(Debug)]
pub(super) struct Load {
    backlogs: Mutex<Vec<Weak<Backlog>>>,
    step: watch::Sender<LoadStep>,
}

impl Default for Load {
    fn default() -> Self {
        Self { backlogs: Mutex::default(), step: watch::Sender::new(LoadStep::Normal) }
    }
}

impl Load {
    /// A channel that is listened to, all of which before `done` has its text. It counts as long as this is held.
    pub(super) fn channel(&self, done: SamplePos) -> Arc<Backlog> {
        let backlog = Arc::new(Backlog { state: Mutex::new(State { arrivals: VecDeque::new(), done }) });
        let mut backlogs = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner);
        backlogs.retain(|b| b.strong_count() > 0);
        backlogs.push(Arc::downgrade(&backlog));
        backlog
    }

    /// How late the latest text is.
    pub(super) fn lateness(&self, now: Instant) -> Duration {
        let backlogs = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner);
        backlogs.iter().filter_map(Weak::upgrade).map(|b| b.lateness(now)).max().unwrap_or_default()
    }

    /// The step, for whoever acts on it.
    pub(super) fn step(&self) -> watch::Receiver<LoadStep> {
        self.step.subscribe()
    }

    /// Another step holds.
    pub(super) fn set(&self, step: LoadStep) {
        self.step.send_replace(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn it_goes_down_at_once_and_up_again_step_by_step() {
        let mut ladder = Ladder::default();
        assert_eq!(ladder.observe(seconds(0), seconds(3)), None);
        assert_eq!(ladder.observe(seconds(1), seconds(4)), Some(LoadStep::PartialsThin));
        assert_eq!(ladder.observe(seconds(2), seconds(30)), Some(LoadStep::FinalsLate));
        assert_eq!(ladder.observe(seconds(3), seconds(12)), None, "not calm yet");
        assert_eq!(ladder.observe(seconds(4), seconds(9)), None, "calm from here");
        assert_eq!(ladder.observe(seconds(8), seconds(11)), None, "calm no more");
        assert_eq!(ladder.observe(seconds(9), seconds(0)), None);
        assert_eq!(ladder.observe(seconds(14), seconds(0)), Some(LoadStep::PartialsOff));
        assert_eq!(ladder.observe(seconds(15), seconds(0)), None);
        assert_eq!(ladder.observe(seconds(20), seconds(0)), Some(LoadStep::PartialsThin));
        assert_eq!(ladder.observe(seconds(21), seconds(0)), None);
        assert_eq!(ladder.observe(seconds(26), seconds(0)), Some(LoadStep::Normal));
        assert_eq!(ladder.observe(seconds(99), seconds(0)), None);
    }

    #[test]
    fn what_waits_is_late_since_it_came() {
        let (load, began) = (Load::default(), Instant::now());
        let at = |n| began + seconds(n);
        let channel = load.channel(SamplePos::ZERO);
        channel.came(SamplePos::new(100), at(0));
        channel.came(SamplePos::new(200), at(2));
        assert_eq!(load.lateness(at(5)), seconds(5));
        channel.done(SamplePos::new(99));
        assert_eq!(load.lateness(at(5)), seconds(5));
        channel.done(SamplePos::new(100));
        assert_eq!(load.lateness(at(5)), seconds(3));
        channel.done(SamplePos::new(200));
        assert_eq!(load.lateness(at(5)), Duration::ZERO);
        channel.came(SamplePos::new(300), at(5));
        assert_eq!(load.lateness(at(6)), seconds(1));
        // Much at once is due as one.
        channel.came(SamplePos::new(400), at(5));
        channel.done(SamplePos::new(399));
        assert_eq!(load.lateness(at(7)), seconds(2));
        drop(channel);
        assert_eq!(load.lateness(at(9)), Duration::ZERO, "nobody listens to it any more");
    }
}
