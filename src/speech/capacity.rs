//! From how long windows take to how many channels a machine carries. Pure: what was measured comes from outside.

use std::time::Duration;

/// The share of the engine's time that is planned with. Speech comes in bursts, and a queue that is used to the full has no
/// end; from here on waiting grows faster than use.
const USE: f64 = 0.75;

/// Text that is shown is asked for again after this many times what it took: [`super::stream::pace`] does not let it come
/// sooner.
const ROOM: f64 = 1.3;

/// The steps between two partials that are chosen from, milliseconds. Words are not read faster than two a second, and text
/// that moves less often than each three seconds is no live text.
const STEPS_MS: [u64; 9] = [400, 500, 700, 1_000, 1_300, 1_600, 2_000, 2_500, 3_000];

/// How long decodes take by the length of their window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Windows and times, by the length of the window.
    points: Vec<(Duration, Duration)>,
}

impl Curve {
    /// A curve through these points.
    #[must_use]
    pub fn new(mut points: Vec<(Duration, Duration)>) -> Self {
        points.sort_unstable();
        points.dedup_by_key(|(window, _)| *window);
        Self { points }
    }

    /// What a window of this length takes: on the lines between the points; before the first as long as that; after the last
    /// on the line through the last two. `None` where nothing was measured.
    #[must_use]
    pub fn at(&self, window: Duration) -> Option<Duration> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        if window <= first.0 || self.points.len() == 1 {
            return Some(first.1);
        }
        let after = self.points.iter().position(|(length, _)| *length >= window).unwrap_or(self.points.len() - 1);
        let ((x0, y0), (x1, y1)) = (self.points[after - 1], self.points[after]);
        let slope = (y1.as_secs_f64() - y0.as_secs_f64()) / (x1.as_secs_f64() - x0.as_secs_f64());
        let seconds = y0.as_secs_f64() + slope * (window.as_secs_f64() - x0.as_secs_f64());
        // A line that falls, since the machine was disturbed, does not promise what was never seen.
        let least = if window > last.0 { last.1.as_secs_f64() } else { 0.0 };
        Some(Duration::from_secs_f64(seconds.max(least)))
    }
}

/// How people speak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Talk {
    /// The share of a channel's time in which somebody speaks, above 0 to 1.
    pub density: f64,
    /// How long an utterance is.
    pub utterance: Duration,
}

/// A channel of a hearing: people take turns over the microphones, answers are short.
pub const COURTROOM: Talk = Talk { density: 0.35, utterance: Duration::from_secs(6) };

/// Speech without end: an address, a reading.
pub const CONTINUOUS: Talk = Talk { density: 1.0, utterance: Duration::from_secs(12) };

/// What one set-up of the engine takes, with every slot of it busy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// For text that is shown.
    pub partial: Curve,
    /// For the record.
    pub last: Curve,
}

impl Timings {
    /// Seconds of a slot that a second of such speech takes: partials over the growing utterance, and the final. `None` where
    /// nothing was measured.
    #[must_use]
    pub fn load(&self, talk: Talk, step: Duration) -> Option<f64> {
        let mut seconds = self.last.at(talk.utterance)?.as_secs_f64();
        let mut window = step;
        while window < talk.utterance && !step.is_zero() {
            let took = self.partial.at(window)?;
            seconds += took.as_secs_f64();
            window += step.max(took.mul_f64(ROOM));
        }
        Some(seconds / talk.utterance.as_secs_f64())
    }

    /// The step at which a channel that speaks alone is shown as often as its partials can be made: the shortest in which one
    /// of half an utterance of [`CONTINUOUS`] speech has room. `None` where nothing was measured.
    #[must_use]
    pub fn step(&self) -> Option<Duration> {
        let needed = self.partial.at(CONTINUOUS.utterance / 2)?.mul_f64(ROOM);
        let longest = STEPS_MS[STEPS_MS.len() - 1];
        let fitting = STEPS_MS.into_iter().map(Duration::from_millis).find(|step| *step >= needed);
        Some(fitting.unwrap_or(Duration::from_millis(longest)))
    }

    /// How many channels `workers` slots carry. `None` where nothing was measured.
    #[must_use]
    pub fn channels(&self, workers: usize, talk: Talk, step: Duration) -> Option<usize> {
        let one = self.load(talk, step)? * talk.density;
        // Sums of seconds are not exact: what fits to the full fits.
        let slots = u32::try_from(workers).map_or(f64::MAX, f64::from) * USE * (1.0 + 1e-9);
        let most = 1_000;
        Some((0..=most).take_while(|n| f64::from(*n) * one <= slots).count().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn curve(points: &[(f64, f64)]) -> Curve {
        Curve::new(points.iter().map(|(window, took)| (s(*window), s(*took))).collect())
    }

    #[test]
    fn a_curve_runs_through_what_was_measured() {
        let curve = curve(&[(10.0, 2.0), (2.0, 1.0), (20.0, 3.0)]);
        assert_eq!(curve.at(s(1.0)), Some(s(1.0)));
        assert_eq!(curve.at(s(2.0)), Some(s(1.0)));
        assert_eq!(curve.at(s(6.0)), Some(s(1.5)));
        assert_eq!(curve.at(s(10.0)), Some(s(2.0)));
        assert_eq!(curve.at(s(30.0)), Some(s(4.0)));
        assert_eq!(Curve::default().at(s(1.0)), None);
    }

    #[test]
    fn a_disturbed_machine_makes_no_promise_beyond_what_was_seen() {
        let curve = curve(&[(2.0, 5.0), (5.0, 1.0)]);
        assert_eq!(curve.at(s(20.0)), Some(s(1.0)));
        assert_eq!(self::curve(&[(5.0, 1.5)]).at(s(20.0)), Some(s(1.5)));
    }

    #[test]
    fn channels_are_what_the_slots_have_time_for() {
        // Each second of an utterance of 6 s costs a partial of 0.1 s, but the last, and a final of 1 s in the end: 0.25 s.
        let timings = Timings { partial: curve(&[(5.0, 0.1)]), last: curve(&[(5.0, 1.0)]) };
        let talk = Talk { density: 1.0, utterance: s(6.0) };
        assert!((timings.load(talk, s(1.0)).unwrap() - 0.25).abs() < 1e-9);
        assert_eq!(timings.channels(1, talk, s(1.0)), Some(3));
        assert_eq!(timings.channels(2, talk, s(1.0)), Some(6));
        // Six of ten are silent.
        assert_eq!(timings.channels(2, Talk { density: 0.4, ..talk }, s(1.0)), Some(15));
        // Without partials there is the final alone.
        assert_eq!(timings.channels(1, talk, Duration::ZERO), Some(4));
        assert_eq!(Timings::default().channels(2, talk, s(1.0)), None);
    }

    #[test]
    fn a_machine_that_is_too_slow_carries_none() {
        let timings = Timings { partial: curve(&[(5.0, 4.0)]), last: curve(&[(5.0, 30.0)]) };
        assert_eq!(timings.channels(1, CONTINUOUS, s(3.0)), Some(0));
        assert_eq!(timings.step(), Some(s(3.0)));
    }

    #[test]
    fn slow_partials_come_less_often_and_cost_no_more_than_the_time_there_is() {
        let timings = |took| Timings { partial: curve(&[(5.0, took)]), last: curve(&[(5.0, 0.0)]) };
        assert_eq!(timings(0.2).step(), Some(s(0.4)));
        assert_eq!(timings(0.5).step(), Some(s(0.7)));
        assert_eq!(timings(1.0).step(), Some(s(1.3)));
        assert!(timings(2.0).load(CONTINUOUS, s(0.5)).unwrap() < 1.0 / ROOM + 0.1);
    }
}
