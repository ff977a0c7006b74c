//! Sample positions and wall-clock time of one channel: where they meet, when the clock was set, how fast the device's own
//! clock is. Nothing here reads a clock, waits or stores anything; and nothing that is said, no order and no time of a hearing
//! depends on it.
//!
//! **The server's readings** say when a sample had arrived. Two clocks are read: the wall clock, which somebody may set, and a
//! steady one, which nobody can. Where the two part by more than a second, the wall clock was set; no delay of the network can
//! look like that. How late samples come is `steady clock - samples / rate`; delays only ever add to it, so that the least of a
//! minute is near the truth whatever the network does. The drift is the slope of these minima.
//!
//! **The recorder's readings** belong to the sample and know no delay; there a step is what the samples do not explain.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use crate::domain::{
    clock::{ClockKind, ClockSource},
    time::{SamplePos, SampleRate},
};

/// The wall clock was set when it is off by more than this, microseconds: one second. What is slewed is less in any case.
const STEP_US: i64 = 1_000_000;

/// Clocks of machines differ by less than this when nobody sets them, parts in a million: NTP slews by 500 at most, and
/// quartz is good to 100. What is more is no drift but a stream that is faster or slower than speech.
const MOST_PPM: f64 = 1_000.0;

/// Between steps that are told, samples' seconds; steps in between are told as one. It bounds what a mad clock can write.
const STEP_EVERY_US: i64 = 10_000_000;

/// A mapping is told anew when samples have come less late by more than this, microseconds,
const LATE_US: i64 = 1_000_000;

/// and have not come any earlier for so long, by the steady clock: 10 s. A backlog that is sent comes earlier all the time.
const CAUGHT_UP_US: i64 = 10_000_000;

/// Earlier by less than this is jitter, microseconds.
const EARLIER_US: i64 = 100_000;

/// A minimum is taken over so much audio, microseconds: one minute, some hundred messages.
const BUCKET_US: i64 = 60_000_000;

/// Drift is told from so many minutes on: ten minima that are each right to 5 ms tell it to about 10 ppm.
const LEAST_BUCKETS: usize = 10;

/// Minima that are looked at: the last hour.
const MOST_BUCKETS: usize = 60;

/// An estimate that is less certain than this is not told, ppm.
const CERTAIN_PPM: f64 = 20.0;

/// It is told again when it has changed by so much, ppm,
const CHANGED_PPM: f64 = 20.0;

/// and not before so many minutes.
const TELL_EVERY: u32 = 10;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The sample after the last that had come, or the one that the recorder read its clock at.
    pub at: SamplePos,
    /// The wall clock.
    pub wall: Timestamp,
    /// A clock that nobody sets, since any moment; `None` for a recorder's reading.
    pub steady: Option<Duration>,
}

/// What is worth a line in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// This sample
    pub at: SamplePos,
    /// was, or had arrived, at this time.
    pub wall: Timestamp,
    /// Why it is told.
    pub kind: ClockKind,
}

/// Follows one clock over one stream of a channel.
#[derive(Debug)]
pub struct ClockTracker {
    source: ClockSource,
    rate: SampleRate,
    state: Option<State>,
}

/// Times in microseconds. `even` time is the steady clock's, or the recorder's wall clock with its steps taken out.
#[derive(Debug)]
struct State {
    /// The last reading that counted.
    at: SamplePos,
    even: i64,
    /// Wall clock less even time, as told.
    told_offset: i64,
    /// The same, followed through what is slewed.
    offset: i64,
    /// No step is told before this, in time of the samples.
    step_from: i64,
    /// How late samples were, even time less samples' time: of the last mapping, the least since, and the least of a while
    /// ago that nothing was plainly earlier than since.
    mapped: Lateness,
    least: Lateness,
    calm: Lateness,
    drift: Drift,
}

/// How late samples were.
#[derive(Clone, Copy, Debug)]
struct Lateness {
    late: i64,
    at: SamplePos,
    even: i64,
}

/// Minima of lateness, a minute each.
#[derive(Debug, Default)]
struct Drift {
    /// Time of the samples and lateness, seconds.
    minima: VecDeque<(f64, f64)>,
    /// The minute that is under way, and the least late samples of it.
    bucket: Option<(i64, i64, i64)>,
    told: Option<f64>,
    /// Minutes since it was told.
    silent: u32,
}

impl ClockTracker {
    /// For one stream of a channel.
    #[must_use]
    pub const fn new(source: ClockSource, rate: SampleRate) -> Self {
        Self { source, rate, state: None }
    }

    /// Whose clock it follows.
    #[must_use]
    pub const fn source(&self) -> ClockSource {
        self.source
    }

    /// Takes a reading. One that is not of a later sample than the last says nothing.
    pub fn read(&mut self, reading: Reading) -> Option<Mapping> {
        let (wall, samples) = (reading.wall.as_microsecond(), micros_of(reading.at, self.rate));
        let steady = reading.steady.map(|s| i64::try_from(s.as_micros()).unwrap_or(i64::MAX));
        let Some(state) = &mut self.state else {
            let even = steady.unwrap_or(wall);
            self.state = Some(State::at(reading.at, wall, even, samples));
            return Some(Mapping { at: reading.at, wall: reading.wall, kind: ClockKind::Start });
        };
        if reading.at <= state.at {
            return None;
        }
        let passed = micros_of(reading.at, self.rate) - micros_of(state.at, self.rate);
        let even = match steady {
            Some(steady) => {
                let slewed = allowance(steady - state.even);
                state.follow(wall - steady, slewed);
                steady
            }
            None => {
                // What the samples say it should be; the device's drift is well within the allowance.
                let expected = state.even.saturating_add(passed).saturating_add(state.offset);
                let off = wall - expected;
                if off.abs() > STEP_US + allowance(passed) {
                    state.offset += off;
                }
                wall - state.offset
            }
        };
        (state.at, state.even) = (reading.at, even);
        state.hear(reading.at, even, samples);
        state.tell(reading, samples)
    }
}

impl State {
    fn at(at: SamplePos, wall: i64, even: i64, samples: i64) -> Self {
        let late = Lateness { late: even - samples, at, even };
        Self {
            at,
            even,
            told_offset: wall - even,
            offset: wall - even,
            step_from: i64::MIN,
            mapped: late,
            least: late,
            calm: late,
            drift: Drift::default(),
        }
    }

    /// Follows the wall clock against the steady one: small changes are slewing, larger ones a step that is to be told.
    const fn follow(&mut self, offset: i64, slewed: i64) {
        let off = offset - self.offset;
        if off.abs() <= STEP_US + slewed {
            self.told_offset += off;
        }
        self.offset = offset;
    }

    fn hear(&mut self, at: SamplePos, even: i64, samples: i64) {
        let late = Lateness { late: even - samples, at, even };
        if late.late < self.least.late {
            self.least = late;
        }
        if late.late < self.calm.late - EARLIER_US {
            self.calm = late;
        }
        self.drift.hear(samples, late.late);
    }

    fn tell(&mut self, reading: Reading, samples: i64) -> Option<Mapping> {
        let Reading { at, wall, .. } = reading;
        let by = self.offset - self.told_offset;
        if by != 0 && samples >= self.step_from {
            self.told_offset = self.offset;
            self.step_from = samples.saturating_add(STEP_EVERY_US);
            return Some(Mapping { at, wall, kind: ClockKind::Step { by_ms: by / 1_000 } });
        }
        let earlier = self.least.late - self.mapped.late;
        // A device that is fast comes earlier too, by a second in hours.
        let drifted = allowance(self.even - self.mapped.even);
        if earlier < -LATE_US - drifted && self.even - self.calm.even >= CAUGHT_UP_US {
            let Lateness { at, even, .. } = self.least;
            self.mapped = self.least;
            self.drift = Drift::default();
            let wall = Timestamp::from_microsecond(even + self.offset).unwrap_or(wall);
            return Some(Mapping { at, wall, kind: ClockKind::CaughtUp { by_ms: earlier / 1_000 } });
        }
        let ppm = self.drift.news()?;
        Some(Mapping { at, wall, kind: ClockKind::Drift { ppm } })
    }
}

impl Drift {
    fn hear(&mut self, samples: i64, late: i64) {
        let number = samples / BUCKET_US;
        match &mut self.bucket {
            Some((bucket, place, least)) if *bucket == number => {
                if late < *least {
                    (*place, *least) = (samples, late);
                }
            }
            bucket => {
                let whole = bucket.replace((number, samples, late));
                if let Some((_, place, least)) = whole {
                    if self.minima.len() == MOST_BUCKETS {
                        self.minima.pop_front();
                    }
                    self.minima.push_back((seconds(place), seconds(least)));
                    self.silent = self.silent.saturating_add(1);
                }
            }
        }
    }

    /// The drift, when it is to be told: once it is certain, and when it has changed.
    fn news(&mut self) -> Option<i32> {
        let fresh = self.silent > 0 && (self.told.is_none() || self.silent >= TELL_EVERY);
        if !fresh || self.minima.len() < LEAST_BUCKETS {
            return None;
        }
        let (ppm, uncertain) = self.estimate()?;
        let changed = self.told.is_none_or(|told| (ppm - told).abs() >= CHANGED_PPM);
        if uncertain > CERTAIN_PPM || ppm.abs() > MOST_PPM || !changed {
            return None;
        }
        (self.told, self.silent) = (Some(ppm), 0);
        #[expect(clippy::cast_possible_truncation, reason = "a thousand at most")]
        Some(ppm.round() as i32)
    }

    /// The slope by Theil and Sen (the median of the slopes of all pairs; up to 29 % of the minima may be wrong), in ppm, and
    /// how uncertain it is: the spread of what it does not explain over the span.
    fn estimate(&self) -> Option<(f64, f64)> {
        let minima: Vec<(f64, f64)> = self.minima.iter().copied().collect();
        let pairs =
            minima.iter().enumerate().flat_map(|(n, one)| minima[n + 1..].iter().map(move |other| (one, other)));
        let slope = median(pairs.map(|(one, other)| (other.1 - one.1) / (other.0 - one.0)).collect())?;
        let level = median(minima.iter().map(|(x, y)| y - slope * x).collect())?;
        let spread = median(minima.iter().map(|(x, y)| (y - slope * x - level).abs()).collect())?;
        let span = minima.last()?.0 - minima.first()?.0;
        // 1.48 makes a standard deviation of the median of distances; two minima at the ends would tell the slope to that.
        Some((-slope * 1e6, 1.48 * spread / span * 1e6))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What clocks may part in `passed` microseconds.
const fn allowance(passed: i64) -> i64 {
    passed.saturating_abs() / 1_000
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a day: 37 bits")]
const fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// The time of a sample by its number, microseconds.
fn micros_of(at: SamplePos, rate: SampleRate) -> i64 {
    let micros = u128::from(at.index()) * 1_000_000 / u128::from(rate.hz());
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
