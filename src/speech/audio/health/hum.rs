//! Mains hum: lines at 50 or 60 Hz and their multiples that stand still while everything else moves.
//!
//! Each half second a window of one second is looked at. A line is there when it stands 10 dB above what is 7 Hz beside it; it
//! hums when it was there in six of the last seven windows, which span four seconds, at one level. Voices glide and pause,
//! music moves on; only the mains stay on one frequency to a fraction of a hertz.

use std::{collections::VecDeque, f64::consts::TAU};

use super::{BLOCKS, count, decibels};
use crate::domain::time::SampleRate;

/// Hum from this level on is an alarm, dB relative to full scale. Speech at a working level is at -35 to -15: such hum is
/// plainly heard under it, and in every pause. Many good recordings have some at -45 and below:
/// nobody need get up for it.
pub(super) const LOUD_DBFS: f64 = -42.0;

/// Below this it is over.
pub(super) const QUIET_DBFS: f64 = -52.0;

/// The rate that is looked at, about; the sixth multiple of 60 Hz fits well.
const RATE_HZ: u32 = 2_000;

/// The mains of the world, Hz.
const MAINS: [f64; 2] = [50.0, 60.0];

/// How many multiples are looked at. Transformers hum at twice the mains, rectifiers at more.
const MULTIPLES: usize = 6;

/// One of the first so many must hum, so that a tone at 300 Hz is no hum.
const LOW: usize = 2;

/// Beside a line: outside the main lobe of the window (2 Hz), and no multiple of the other mains.
const BESIDE_HZ: f64 = 7.0;

/// A line is there from this much above what is beside it: 10 dB.
const PROMINENT: f64 = 10.0;

/// The lines, each with what is beside it on both sides.
const LOOKS: usize = MAINS.len() * MULTIPLES * 3;

/// Windows that are remembered.
const WINDOWS: usize = 7;

/// Of these a line must be there in so many to hum,
const STEADY: usize = 6;

/// and in fewer than so many to be over.
const RARE: usize = 3;

/// The levels of a line that hums lie within this, dB.
const SPREAD_DB: f64 = 8.0;

/// Blocks that the remembered windows span.
pub(super) const SPAN_BLOCKS: usize = BLOCKS + (WINDOWS - 1) * BLOCKS / 2;

/// What the remembered windows say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Heard {
    /// It hums.
    Hum { mains_hz: f64, dbfs: f64 },
    /// It does not.
    Quiet { dbfs: f64 },
    /// Neither is plain.
    Between,
}

/// The power of each line in one window: `None` where it is not there.
type Lines = [[Option<f64>; MULTIPLES]; MAINS.len()];

#[derive(Debug)]
pub(super) struct HumWatch {
    /// Samples that are added up to one.
    step: usize,
    /// Twice the cosine of the angle that each look turns in a sample.
    turns: [f64; LOOKS],
    /// Sums of a block.
    sums: usize,
    /// Of the last second at most.
    recent: VecDeque<f64>,
    window: Vec<f64>,
    blocks: usize,
    seen: VecDeque<Lines>,
}

impl HumWatch {
    pub(super) fn new(rate: SampleRate, block: usize) -> Self {
        let step = usize::try_from(rate.hz() / RATE_HZ).unwrap_or(1).max(1);
        let sums = (block / step).max(1);
        let size = sums * BLOCKS;
        let hann = |n: usize| 0.5 - 0.5 * (TAU * (count(n) + 0.5) / count(size)).cos();
        Self {
            step,
            turns: turns(f64::from(rate.hz()) / count(step)),
            sums,
            recent: VecDeque::with_capacity(size),
            window: (0..size).map(hann).collect(),
            blocks: 0,
            seen: VecDeque::with_capacity(WINDOWS),
        }
    }

    /// What follows does not follow what was heard.
    pub(super) fn forget(&mut self) {
        self.recent.clear();
        self.seen.clear();
        self.blocks = 0;
    }

    /// Hears a block with this mean; each half second it says what it makes of the last four seconds.
    pub(super) fn push(&mut self, block: &[f32], mean: f64) -> Option<Heard> {
        let old = (self.recent.len() + self.sums).saturating_sub(self.window.len());
        self.recent.drain(..old);
        // What does not fill a sum at the end of a block is left out: a sample in thousands.
        let sums = block.chunks_exact(self.step).take(self.sums);
        let scale = 1.0 / count(self.step);
        self.recent.extend(sums.map(|s| f64::from(s.iter().sum::<f32>()) * scale - mean));
        self.blocks += 1;
        if !self.blocks.is_multiple_of(BLOCKS / 2) || self.recent.len() < self.window.len() {
            return None;
        }
        let windowed: Vec<f64> = self.recent.iter().zip(&self.window).map(|(s, w)| s * w).collect();
        let lines = self.lines(&windowed);
        if self.seen.len() == WINDOWS {
            self.seen.pop_front();
        }
        self.seen.push_back(lines);
        (self.seen.len() == WINDOWS).then(|| self.judge())
    }

    fn lines(&self, windowed: &[f64]) -> Lines {
        let powers = self.powers(windowed);
        let (looks, _) = powers.as_chunks::<3>();
        let mut lines = Lines::default();
        for (line, [power, below, above]) in lines.as_flattened_mut().iter_mut().zip(looks) {
            // Silence is no line; -100 dBFS is below any converter's noise in this band.
            *line = (*power > PROMINENT * (below + above) / 2.0 && *power > 1e-10).then_some(*power);
        }
        lines
    }

    /// The power of a sine at each place that is looked at, by Goertzel's recursion; all side by side, since each step of one
    /// waits for the step before.
    fn powers(&self, windowed: &[f64]) -> [f64; LOOKS] {
        let (mut one, mut two) = ([0.0_f64; LOOKS], [0.0_f64; LOOKS]);
        for sample in windowed {
            for ((one, two), turn) in one.iter_mut().zip(&mut two).zip(&self.turns) {
                (*one, *two) = (sample + turn * *one - *two, *one);
            }
        }
        // A sine of amplitude a gives (a / 2 * sum of the window) squared; its power is a^2 / 2.
        let sum = count(windowed.len()) / 2.0;
        std::array::from_fn(|n| {
            let magnitude = one[n] * one[n] + two[n] * two[n] - self.turns[n] * one[n] * two[n];
            2.0 * magnitude / (sum * sum)
        })
    }

    fn judge(&self) -> Heard {
        let mut loudest = -160.0_f64;
        for (index, mains_hz) in MAINS.iter().enumerate() {
            let humming: Vec<f64> = (0..MULTIPLES).map(|n| self.hum(index, n, STEADY)).collect();
            let dbfs = decibels(humming.iter().sum());
            if humming[..LOW].iter().any(|power| *power > 0.0) && dbfs >= LOUD_DBFS {
                return Heard::Hum { mains_hz: *mains_hz, dbfs };
            }
            let traces: Vec<f64> = (0..MULTIPLES).map(|n| self.hum(index, n, RARE)).collect();
            if traces[..LOW].iter().any(|power| *power > 0.0) {
                loudest = loudest.max(decibels(traces.iter().sum()));
            }
        }
        if loudest < QUIET_DBFS { Heard::Quiet { dbfs: loudest } } else { Heard::Between }
    }

    /// The power of a line that is there in at least `least` windows, at one level in that many; else 0.
    fn hum(&self, mains: usize, multiple: usize, least: usize) -> f64 {
        let mut powers: Vec<f64> = self.seen.iter().filter_map(|lines| lines[mains][multiple]).collect();
        powers.sort_by(f64::total_cmp);
        // The quietest of them is the hum; a voice can only add to it.
        let spread = 10.0_f64.powf(SPREAD_DB / 10.0);
        let steady = powers.windows(least).find(|run| run[least - 1] <= run[0] * spread);
        steady.map_or(0.0, |run| run[least / 2])
    }
}

/// The lines and what is beside them, in the order of [`Lines`], at this rate.
fn turns(rate: f64) -> [f64; LOOKS] {
    let multiples = (1..=MULTIPLES).flat_map(|n| [0.0, -BESIDE_HZ, BESIDE_HZ].map(|beside| (count(n), beside)));
    let hz = MAINS.iter().flat_map(|mains| multiples.clone().map(move |(n, beside)| mains * n + beside));
    let mut turns = [0.0; LOOKS];
    turns.iter_mut().zip(hz).for_each(|(turn, hz)| *turn = 2.0 * (TAU * hz / rate).cos());
    turns
}
