//! Time in samples. Nothing here is a float: positions are counts, hearing time is an exact fraction.
//!
//! A **sample position** ([`SamplePos`]) counts samples of one channel at that channel's own rate; it is what the journal
//! and the record hold. A **tick** ([`Tick`]) counts samples of the 16 kHz audio that detectors and the engine see; it is
//! derived. [`SampleRate`] converts between them and makes [`HearingTime`], which compares across rates.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

/// Samples a second of the audio that detectors and the engine see.
pub const TICKS_PER_SECOND: u64 = 16_000;

/// A sampling rate that the product serves: 8,000 to 192,000 samples a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SampleRate(u32);

/// A rate outside what is served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("sample rate of {hz} Hz is not between 8000 and 192000 Hz")]
pub struct RateError {
    /// The rate asked for, Hz.
    pub hz: u64,
}

impl super::fault::Fault for RateError {
    fn kind(&self) -> super::fault::FaultKind {
        super::fault::FaultKind::Invalid
    }
}

impl TryFrom<u32> for SampleRate {
    type Error = RateError;

    fn try_from(hz: u32) -> Result<Self, RateError> {
        if (8_000..=192_000).contains(&hz) { Ok(Self(hz)) } else { Err(RateError { hz: u64::from(hz) }) }
    }
}

impl From<SampleRate> for u32 {
    fn from(rate: SampleRate) -> Self {
        rate.0
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

impl SampleRate {
    /// The rate of the audio that detectors and the engine see.
    pub const ANALYSIS: Self = Self(16_000);

    /// Samples a second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// The tick at or before `position`.
    ///
    /// ```
    /// use vivavoce::domain::time::{SamplePos, SampleRate};
    /// let rate = SampleRate::try_from(44_100).unwrap();
    /// assert_eq!(rate.tick_of(SamplePos::new(44_100)).index(), 16_000);
    /// ```
    #[must_use]
    pub fn tick_of(self, position: SamplePos) -> Tick {
        Tick(scale(position.0, TICKS_PER_SECOND, u64::from(self.0)))
    }

    /// The sample at or before `tick`.
    #[must_use]
    pub fn sample_at(self, tick: Tick) -> SamplePos {
        SamplePos(scale(tick.0, u64::from(self.0), TICKS_PER_SECOND))
    }

    /// The span in samples of a span in ticks.
    #[must_use]
    pub fn span_at(self, ticks: TickSpan) -> Span {
        Span { start: self.sample_at(ticks.start), end: self.sample_at(ticks.end) }
    }
}

/// `value * to / from` without overflow; saturates at `u64::MAX`, which no recording reaches.
fn scale(value: u64, to: u64, from: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(to) / u128::from(from)).unwrap_or(u64::MAX)
}

/// A position in one channel, in samples at the channel's own rate, counted from the opening of the hearing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SamplePos(u64);

impl SamplePos {
    /// Where every channel begins.
    pub const ZERO: Self = Self(0);

    /// The `index`-th sample.
    #[must_use]
    pub const fn new(index: u64) -> Self {
        Self(index)
    }

    /// Samples since the opening.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0
    }

    /// The position `samples` later; saturates.
    #[must_use]
    pub const fn plus(self, samples: u64) -> Self {
        Self(self.0.saturating_add(samples))
    }

    /// When this is, in a channel of rate `rate`.
    #[must_use]
    pub const fn at(self, rate: SampleRate) -> HearingTime {
        HearingTime { samples: self.0, rate }
    }
}

/// A half-open span of one channel, in samples at its own rate: `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    start: SamplePos,
    end: SamplePos,
}

impl Span {
    /// No sample, at the beginning.
    pub const EMPTY: Self = Self { start: SamplePos::ZERO, end: SamplePos::ZERO };

    /// From `start` up to, not including, `end`; `None` where `end` comes before `start`.
    #[must_use]
    pub fn new(start: SamplePos, end: SamplePos) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// First sample.
    #[must_use]
    pub const fn start(self) -> SamplePos {
        self.start
    }

    /// The sample after the last.
    #[must_use]
    pub const fn end(self) -> SamplePos {
        self.end
    }

    /// Number of samples.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0 - self.start.0
    }

    /// No sample inside.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start.0 == self.end.0
    }
}

/// A position in the 16 kHz audio of one channel: a sixteen-thousandth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(u64);

impl Tick {
    /// Where every channel begins.
    pub const ZERO: Self = Self(0);

    /// The `index`-th sample at 16 kHz.
    #[must_use]
    pub const fn new(index: u64) -> Self {
        Self(index)
    }

    /// Samples at 16 kHz since the opening.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0
    }

    /// `ticks` later; saturates.
    #[must_use]
    pub const fn plus(self, ticks: u64) -> Self {
        Self(self.0.saturating_add(ticks))
    }

    /// `ticks` earlier, not before the beginning.
    #[must_use]
    pub const fn minus(self, ticks: u64) -> Self {
        Self(self.0.saturating_sub(ticks))
    }

    /// Ticks from `earlier` to here; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A half-open span in ticks: `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TickSpan {
    start: Tick,
    end: Tick,
}

impl TickSpan {
    /// From `start` up to, not including, `end`; `None` where `end` comes before `start`.
    #[must_use]
    pub fn new(start: Tick, end: Tick) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// From `start`, `ticks` long.
    #[must_use]
    pub const fn starting(start: Tick, ticks: u64) -> Self {
        Self { start, end: start.plus(ticks) }
    }

    /// First tick.
    #[must_use]
    pub const fn start(self) -> Tick {
        self.start
    }

    /// The tick after the last.
    #[must_use]
    pub const fn end(self) -> Tick {
        self.end
    }

    /// Number of ticks.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0 - self.start.0
    }

    /// No tick inside.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start.0 == self.end.0
    }

    /// How many ticks both spans hold.
    #[must_use]
    pub fn overlap(self, other: Self) -> u64 {
        self.end.min(other.end).since(self.start.max(other.start))
    }

    /// The part of this span inside `bounds`; an empty span at the nearer edge where they do not meet.
    #[must_use]
    pub fn clamped_to(self, bounds: Self) -> Self {
        let start = self.start.clamp(bounds.start, bounds.end);
        Self { start, end: self.end.clamp(start, bounds.end) }
    }
}

/// A moment of a hearing as an exact fraction of a second: `samples / rate`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct HearingTime {
    samples: u64,
    rate: SampleRate,
}

impl HearingTime {
    /// The sample of a channel of rate `rate` at this time, or the one before.
    #[must_use]
    pub fn sample(self, rate: SampleRate) -> SamplePos {
        SamplePos(scale(self.samples, u64::from(rate.0), u64::from(self.rate.0)))
    }

    /// Whole milliseconds, rounded down.
    #[must_use]
    pub fn millis(self) -> u64 {
        scale(self.samples, 1_000, u64::from(self.rate.0))
    }
}

impl PartialEq for HearingTime {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for HearingTime {}

impl PartialOrd for HearingTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HearingTime {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u128::from(self.samples) * u128::from(other.rate.0);
        let right = u128::from(other.samples) * u128::from(self.rate.0);
        left.cmp(&right)
    }
}

impl fmt::Display for HearingTime {
    /// `h:mm:ss.mmm`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.millis();
        write!(f, "{}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hearing_time_compares_exactly_across_rates() {
        let odd = SampleRate::try_from(11_025).unwrap();
        let even = SampleRate::try_from(48_000).unwrap();
        assert_eq!(SamplePos::new(11_025).at(odd), SamplePos::new(48_000).at(even));
        assert!(SamplePos::new(11_026).at(odd) > SamplePos::new(48_004).at(even));
        assert!(SamplePos::new(11_026).at(odd) < SamplePos::new(48_005).at(even));
    }

    #[test]
    fn a_rate_outside_the_served_range_is_refused_with_the_rate() {
        assert_eq!(
            SampleRate::try_from(1).unwrap_err().to_string(),
            "sample rate of 1 Hz is not between 8000 and 192000 Hz"
        );
        assert!(SampleRate::try_from(10_000_000).is_err());
        assert!(SampleRate::try_from(8_000).is_ok() && SampleRate::try_from(192_000).is_ok());
    }

    #[test]
    fn a_tick_and_its_sample_stay_within_one_sample_of_each_other() {
        for hz in [8_000, 11_025, 15_991, 22_050, 44_100, 48_000, 192_000] {
            let rate = SampleRate::try_from(hz).unwrap();
            for tick in [0, 1, 7, 16_000, 57_600_000, 57_600_001] {
                let back = rate.tick_of(rate.sample_at(Tick::new(tick))).index();
                assert!(tick - back <= TICKS_PER_SECOND.div_ceil(u64::from(hz)), "{hz} {tick} {back}");
            }
        }
    }

    #[test]
    fn spans_clamp_and_overlap() {
        let a = TickSpan::starting(Tick::new(10), 20);
        let b = TickSpan::starting(Tick::new(25), 20);
        assert_eq!(a.overlap(b), 5);
        assert_eq!(b.clamped_to(a), TickSpan::new(Tick::new(25), Tick::new(30)).unwrap());
        assert!(TickSpan::starting(Tick::new(90), 5).clamped_to(a).is_empty());
        assert!(Span::new(SamplePos::new(2), SamplePos::new(1)).is_none());
    }
}
