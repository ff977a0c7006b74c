//! Two microphones and one voice: whether what one of them hears is what the other hears, quieter and later.
//!
//! Pure. Two channels are compared at 16 kHz, sample by sample at the same time of the hearing. Every quarter of a second gets
//! a verdict from the second around it: **how much of the power of one channel a linear path from the other explains** (the
//! coherence of the two, weighted by power). A voice that comes through the room is explained whatever the room does to it, at
//! any level; two voices explain each other not at all, also when each is faintly in the other's microphone. What is explained
//! belongs to the louder of the two; the other is its echo. A quarter has one verdict whoever asks, since it stands on a grid
//! that both channels share: so no voice can be taken for an echo on both.

mod spectrum;

use std::{borrow::Cow, ops::Range};

use self::spectrum::{BINS, Fourier, HOP, WITH_ONE_BEFORE};
use crate::domain::time::{TICKS_PER_SECOND, Tick, TickSpan};

/// Ticks of a quarter.
pub const QUARTER: u64 = TICKS_PER_SECOND / 4;

/// Ticks on both sides of a stretch that are needed to judge its first and last quarter: the rest of a second of the grid, and
/// the two quarters around it with the longest delay.
pub const MARGIN: u64 = 3 * TICKS_PER_SECOND / 2 + 2_000;

/// Sound comes over at most so much later or earlier: 50 ms, 17 m of air.
const LONGEST_DELAY: i32 = 800;

/// Of the power of a quarter so much is explained when it is an echo. Two voices explain each other to 0.1 (measured), a voice
/// through a room 0.6 to 0.95, with as much noise as voice 0.4.
pub const EXPLAINED: f64 = 0.4;

/// Within this both are about equally loud, dB: then the one that hears it first is nearer.
const EQUAL_DB: f64 = 2.0;

/// A channel below this sum of a second's spectra holds nothing to compare: about -90 dBFS.
const SILENCE: f64 = 1e-5;

/// One of the two channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one with the lower number.
    Low,
    /// The other.
    High,
}

/// What one quarter is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quarter {
    /// The share of the power of the low channel that the high one explains.
    pub low: f64,
    /// The share of the power of the high channel that the low one explains.
    pub high: f64,
    /// How much louder the low channel is, dB.
    pub louder_db: f64,
    /// How much later the low channel is, ticks; negative: earlier.
    pub later: i32,
}

impl Quarter {
    const NOTHING: Self = Self { low: 0.0, high: 0.0, louder_db: 0.0, later: 0 };

    /// Which channel is an echo of the other here; `None` where each has its own sound, or none.
    #[must_use]
    pub fn echo(&self) -> Option<Side> {
        let low_is_nearer = if self.louder_db.abs() > EQUAL_DB { self.louder_db > 0.0 } else { self.later <= 0 };
        let (side, explained) = if low_is_nearer { (Side::High, self.high) } else { (Side::Low, self.low) };
        (explained >= EXPLAINED).then_some(side)
    }
}

/// Compares two channels over `span`, which is widened to whole quarters of the hearing: a verdict for each quarter from
/// `span.start / QUARTER` on.
///
/// Both are samples at 16 kHz from tick `from` on; what they do not hold is silence. `low` is the channel with the lower number:
/// asked either way, the answer is the same to the bit.
///
/// Cost: about 4 ms a second of audio.
#[must_use]
pub fn compare(low: &[f32], high: &[f32], from: Tick, span: TickSpan) -> Vec<Quarter> {
    let quarters = span.start().index() / QUARTER..span.end().index().div_ceil(QUARTER);
    let mut fourier = Fourier::new();
    let mut verdicts = Vec::new();
    let mut at = quarters.start;
    while at < quarters.end {
        let second = at / 4 * 4;
        let end = (second + 4).min(quarters.end);
        let delays = delays(&mut fourier, &cut(low, from, second), &cut(high, from, second));
        let blocks = delays.map(|later| blocks(&mut fourier, (low, high), (from, second), later));
        for n in at..end {
            let place = usize::try_from(n - second).unwrap_or(0);
            let [one, other] = [0, 1].map(|way| judge(&blocks[way][place..place + WIDE], delays[way]));
            verdicts.push(if other.low + other.high > one.low + one.high { other } else { one });
        }
        at = end;
    }
    verdicts
}

/// Quarters that a verdict stands on: its own, and two on either side, of which the outer ones count half.
const WIDE: usize = 5;

/// The samples in which the delays of a second are looked for: half a second before it, and it. `second` is its first quarter.
fn cut(samples: &[f32], from: Tick, second: u64) -> Cow<'_, [f32]> {
    stretch(samples, offset(from, second) - i64::from(HALF_SECOND), 3 * usize::from(HALF_SECOND))
}

/// Half a second in ticks.
const HALF_SECOND: u16 = 8_000;

/// Where a quarter begins in samples that begin at tick `from`.
fn offset(from: Tick, quarter: u64) -> i64 {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    signed(quarter * QUARTER) - signed(from.index())
}

/// So many samples from `start` on; silence outside.
fn stretch(samples: &[f32], start: i64, length: usize) -> Cow<'_, [f32]> {
    let inside = usize::try_from(start).ok().and_then(|start| samples.get(start..start + length));
    inside.map(Cow::Borrowed).unwrap_or_else(|| {
        let sample = |n: i64| usize::try_from(n).ok().and_then(|n| samples.get(n)).copied().unwrap_or(0.0);
        Cow::Owned((start..).take(length).map(sample).collect())
    })
}

/// The likeliest delays of `low` behind `high`, ticks: one to either side, by the phases of the cross spectrum (GCC-PHAT; Knapp
/// and Carter, 1976).
fn delays(fourier: &mut Fourier, low: &[f32], high: &[f32]) -> [i32; 2] {
    let correlation = fourier.phat(low, high);
    let best = |lags: Range<i32>| {
        let at = |lag: i32| correlation[usize::try_from(lag.rem_euclid(spectrum::LONG_I32)).unwrap_or(0)];
        lags.max_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap_or(0)
    };
    [best(0..LONGEST_DELAY + 1), best(-LONGEST_DELAY..0)]
}

/// The sums of one quarter, bin by bin: power of both, and what they share.
type Block = Vec<[f32; 4]>;

/// The blocks of a second and of the two quarters before and after it, `high` moved by a delay.
fn blocks(fourier: &mut Fourier, (low, high): (&[f32], &[f32]), (from, second): (Tick, u64), later: i32) -> Vec<Block> {
    let first = offset(from, second) - i64::from(HALF_SECOND) - 1;
    let length = ((4 + WIDE - 1) * FRAMES - 1) * HOP + WITH_ONE_BEFORE;
    let (low, high) = (stretch(low, first, length), stretch(high, first - i64::from(later), length));
    let block = |n: usize| {
        let mut sums = vec![[0.0; 4]; BINS];
        for frame in 0..FRAMES {
            let start = (n * FRAMES + frame) * HOP;
            let frame = start..start + WITH_ONE_BEFORE;
            fourier.add(&low[frame.clone()], &high[frame], &mut sums);
        }
        sums
    };
    (0..4 + WIDE - 1).map(block).collect()
}

/// Frames of a quarter.
const FRAMES: usize = 8;

/// How much the two explain each other in these quarters.
fn judge(blocks: &[Block], later: i32) -> Quarter {
    let (mut of_low, mut of_high) = (0.0, 0.0);
    let (mut low_explained, mut high_explained) = (0.0, 0.0);
    for bin in 0..BINS {
        let mut sums = [0.0_f64; 4];
        for (n, block) in blocks.iter().enumerate() {
            let weight = if n == 0 || n + 1 == blocks.len() { 0.5 } else { 1.0 };
            sums.iter_mut().zip(block[bin]).for_each(|(sum, part)| *sum += weight * f64::from(part));
        }
        let [one, two, re, im] = sums;
        let both = re * re + im * im;
        (of_low, of_high) = (of_low + one, of_high + two);
        if one > 0.0 && two > 0.0 {
            low_explained += both / two;
            high_explained += both / one;
        }
    }
    if of_low < SILENCE || of_high < SILENCE {
        return Quarter::NOTHING;
    }
    let louder_db = 10.0 * (of_low / of_high).log10();
    Quarter { low: low_explained / of_low, high: high_explained / of_high, louder_db, later }
}

const _: () = assert!(HOP * FRAMES == 4_000 && QUARTER == 4_000);

#[cfg(test)]
mod tests;
