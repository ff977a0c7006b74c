//! Any served rate to 16 kHz, with the filter's delay taken out.
//!
//! The filter is rubato's windowed sinc. What this module adds is exactness:
//!
//! * **Position.** Output tick `t` is the input at time `t / 16000`. Rubato's first output lies at a fraction of a sample
//!   that depends on filter length and ratio. Feeding `lead` zeros first and dropping the outputs that lie before the
//!   first sample moves the grid onto tick 0; `lead` and the number dropped solve a congruence (see `Plan`).
//! * **No drift.** 16000 / rate is a fraction with `phases` as its numerator. For up to `MAX_PHASES` phases the filter
//!   is tabulated at exactly those phases and rubato rounds to the nearest one, so the error that its running float index
//!   collects never reaches the samples. Other rates (primes) interpolate between tabulated phases and carry that error:
//!   6e-7 of a tick after one hour and after ten at 15,991 Hz.
//! * **Cuts.** Rubato is run in steps of `STEP_TICKS` ticks counted from the start, whatever sizes are pushed, so the
//!   output is the same to the bit.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction};

use super::AudioError;
use crate::domain::time::{SampleRate, TICKS_PER_SECOND};

/// Ticks made in one step: 10 ms. Shorter steps hold back less and cost more copying.
const STEP_TICKS: usize = 160;

/// Length of the filter in samples of the lower of both rates.
///
/// With [`CUTOFF`] and the Blackman-Harris window: flat within 0.1 dB up to 0.45 of the lower rate (7.2 kHz of 16 kHz) and
/// more than 80 dB down from half of it on (both in the tests).
const TAPS: usize = 128;

/// Where the filter is 6 dB down, relative to half the lower rate. Rubato's own choice takes the filter's length at the
/// input rate, which at 22,050 Hz lets a tone just above 8 kHz through at -53 dB.
const CUTOFF: f32 = 0.943;

/// Up to so many phases are tabulated exactly; 11,025 Hz needs 640, and the table then holds 81,920 floats (320 KiB).
const MAX_PHASES: usize = 640;

/// Phases tabulated for rates with more: with cubic interpolation between them the error stays below -100 dB.
const INTERPOLATED_PHASES: usize = 128;

/// One channel's way to 16 kHz mono f32.
///
/// For `n` samples pushed in all, [`finish`](Resampler::finish) brings the ticks to `ceil(n * 16000 / rate)`: every tick
/// that lies before the end of the input. 16 kHz input passes through untouched.
///
/// Because one second holds a whole number of samples and ticks at every rate, a resampler that starts at a whole second
/// gives what one that ran from the beginning gives, from [`history_ticks`](Resampler::history_ticks) on: to the bit for
/// exact phases, within 1e-5 for the others.
///
/// ```
/// use vivavoce::{domain::time::SampleRate, speech::audio::resample::Resampler};
/// let mut resampler = Resampler::new(SampleRate::try_from(48_000).unwrap()).unwrap();
/// let mut ticks = Vec::new();
/// resampler.push(&[0.0; 4_801], &mut ticks);
/// resampler.finish(&mut ticks);
/// assert_eq!(ticks.len(), 1_601);
/// ```
#[derive(Debug)]
pub struct Resampler {
    rate: SampleRate,
    /// `None` at 16 kHz.
    engine: Option<Engine>,
    /// Samples pushed.
    taken: u64,
    /// Ticks given.
    given: u64,
}

impl Resampler {
    /// A resampler from `rate`, before the first sample.
    ///
    /// Cost: tabulates the filter, 1 to 10 ms; 20 to 800 KiB of memory.
    ///
    /// # Errors
    /// [`AudioError::Resampler`], which no rate in the served range gives.
    pub fn new(rate: SampleRate) -> Result<Self, AudioError> {
        let engine = if rate == SampleRate::ANALYSIS { None } else { Some(Engine::new(rate)?) };
        Ok(Self { rate, engine, taken: 0, given: 0 })
    }

    /// The rate of the input.
    #[must_use]
    pub const fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Takes finite `samples` that follow those pushed before; appends the ticks that are ready to `out`.
    ///
    /// Allocates nothing but what `out` needs.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        let before = out.len();
        match &mut self.engine {
            None => out.extend_from_slice(samples),
            Some(engine) => engine.push(samples, out),
        }
        self.given += (out.len() - before) as u64;
    }

    /// Appends the ticks held back and starts anew: the next sample pushed is sample 0 of another stream.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if let Some(engine) = &mut self.engine {
            let due = ticks_before(self.taken, self.rate) - self.given;
            engine.flush(due, out);
        }
        self.taken = 0;
        self.given = 0;
    }

    /// Samples, at the input's rate, that may be pushed after the one at a tick's time before that tick is given.
    ///
    /// One step and half the filter: 14 ms, and 18 ms from 8 kHz.
    #[must_use]
    pub fn latency_samples(&self) -> u64 {
        self.engine.as_ref().map_or(0, |engine| engine.plan.latency_samples())
    }

    /// Ticks at the start of a stream that know nothing of what came before it, and would differ if they did.
    #[must_use]
    pub fn history_ticks(&self) -> u64 {
        self.engine.as_ref().map_or(0, |engine| ticks_before(engine.plan.taps as u64 / 2, self.rate))
    }
}

/// Ticks whose time lies before sample `samples`.
fn ticks_before(samples: u64, rate: SampleRate) -> u64 {
    // The product fits for 3,000 years of audio at the highest rate.
    (samples * TICKS_PER_SECOND).div_ceil(u64::from(rate.hz()))
}

/// The filter for a rate and where its outputs lie.
///
/// With `step` = rate / 16000 = `advance` / `phases` in lowest terms and a filter of `taps` samples tabulated at `table`
/// phases, rubato's output `k` (from 0) lies at input sample `(k + 1) * step - taps / 2 + 1 / table`: its index starts at
/// `1 - taps` and is advanced before use, and tap `p` of table row `s` holds the sinc at
/// `p - taps / 2 + 1 - (s + 1) / table` (rubato 5.0.1, `asynchro_sinc.rs`, `sinc.rs`). Output `dropped` must lie at sample
/// `lead`: `(dropped + 1) * step + 1 / table = lead + taps / 2`. With `table = phases` this is
/// `(dropped + 1) * advance + 1 = 0 (mod phases)`, which has a solution since both are coprime; otherwise the smallest
/// remainder is taken, which is below one in a thousand of a sample.
#[derive(Clone, Copy, Debug)]
struct Plan {
    taps: usize,
    table: usize,
    interpolation: SincInterpolationType,
    /// Zeros fed before the first sample.
    lead: usize,
    /// Outputs dropped before the first tick.
    dropped: u64,
    /// Samples a tick.
    step: f64,
}

impl Plan {
    fn new(rate: SampleRate) -> Self {
        let hz = u64::from(rate.hz());
        let divisor = greatest_common_divisor(hz, TICKS_PER_SECOND);
        let (advance, phases) = (hz / divisor, TICKS_PER_SECOND / divisor);
        let lower = hz.min(TICKS_PER_SECOND);
        let taps = (TAPS as u64 * hz).div_ceil(lower).next_multiple_of(8);
        let exact = phases <= MAX_PHASES as u64;
        let table = if exact { phases } else { INTERPOLATED_PHASES as u64 };
        let (lead, dropped) = grid(advance, phases, taps / 2, table);
        Self {
            taps: to_index(taps),
            table: to_index(table),
            interpolation: if exact { SincInterpolationType::Nearest } else { SincInterpolationType::Cubic },
            lead: to_index(lead),
            dropped,
            step: f64::from(rate.hz()) / TICKS_PER_SECOND as f64,
        }
    }

    fn parameters(&self) -> SincInterpolationParameters {
        SincInterpolationParameters::new(self.taps, WindowFunction::BlackmanHarris)
            .f_cutoff(CUTOFF)
            .oversampling_factor(self.table)
            .interpolation(self.interpolation)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and below 5,000")]
    fn latency_samples(&self) -> u64 {
        self.taps as u64 / 2 + (STEP_TICKS as f64 * self.step).ceil() as u64 + 2
    }
}

/// The smallest `(lead, dropped)` that put output `dropped` onto sample `lead`, as nearly as the phases allow.
fn grid(advance: u64, phases: u64, half: u64, table: u64) -> (u64, u64) {
    // All in units of 1 / (phases * table) of a sample.
    let unit = phases * table;
    let place = |output: u64| (output + 1) * advance * table + phases;
    let first = (half * unit).saturating_sub(phases).div_ceil(advance * table);
    let distance = |output: &u64| {
        let rest = place(*output) % unit;
        rest.min(unit - rest)
    };
    let dropped = (first..first + phases).min_by_key(distance).unwrap_or(first);
    ((place(dropped) + unit / 2) / unit - half, dropped)
}

const fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn to_index(value: u64) -> usize {
    usize::try_from(value).expect("a count derived from a rate of at most 192 kHz fits")
}

/// Rubato with its input gathered into the sizes that it asks for.
#[derive(Debug)]
struct Engine {
    plan: Plan,
    sinc: Async<f32>,
    /// Input of the next step; its length only ever comes near `input_frames_next`.
    gathered: Vec<f32>,
    /// Output of one step.
    ticks: Vec<f32>,
    /// Outputs still to drop.
    to_drop: u64,
}

impl Engine {
    fn new(rate: SampleRate) -> Result<Self, AudioError> {
        let plan = Plan::new(rate);
        let ratio = TICKS_PER_SECOND as f64 / f64::from(rate.hz());
        let sinc = Async::new_sinc(ratio, 1.0, &plan.parameters(), STEP_TICKS, 1, FixedAsync::Output)
            .map_err(|source| AudioError::Resampler { rate, source })?;
        let gathered = Vec::with_capacity(sinc.input_frames_max());
        let mut engine = Self { plan, sinc, gathered, ticks: vec![0.0; STEP_TICKS], to_drop: 0 };
        engine.start();
        Ok(engine)
    }

    /// Brings the grid onto tick 0. Nothing is given yet: all outputs up to the lead's end are dropped.
    fn start(&mut self) {
        self.sinc.reset();
        self.gathered.clear();
        self.to_drop = self.plan.dropped;
        let mut nothing = Vec::new();
        self.zeros(self.plan.lead, &mut nothing);
        debug_assert!(nothing.is_empty(), "tick 0 needs samples that follow the lead");
    }

    fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        while !samples.is_empty() {
            let missing = self.sinc.input_frames_next() - self.gathered.len();
            let (now, later) = samples.split_at(missing.min(samples.len()));
            self.gathered.extend_from_slice(now);
            samples = later;
            self.step_if_full(out);
        }
    }

    fn zeros(&mut self, mut count: usize, out: &mut Vec<f32>) {
        while count > 0 {
            let now = (self.sinc.input_frames_next() - self.gathered.len()).min(count);
            self.gathered.resize(self.gathered.len() + now, 0.0);
            count -= now;
            self.step_if_full(out);
        }
    }

    /// Gives `due` more ticks out of what is held and zeros, then starts anew.
    fn flush(&mut self, due: u64, out: &mut Vec<f32>) {
        let wanted = out.len() + to_index(due);
        while out.len() < wanted {
            self.zeros(self.sinc.input_frames_next() - self.gathered.len(), out);
        }
        out.truncate(wanted);
        self.start();
    }

    fn step_if_full(&mut self, out: &mut Vec<f32>) {
        let needed = self.sinc.input_frames_next();
        if self.gathered.len() < needed {
            return;
        }
        let input = InterleavedSlice::new(&self.gathered, 1, needed).expect("one channel of `needed` frames");
        let mut output =
            InterleavedSlice::new_mut(&mut self.ticks, 1, STEP_TICKS).expect("one channel of a step's frames");
        self.sinc.process_into_buffer(&input, &mut output, None).expect("both buffers have the sizes asked for");
        self.gathered.clear();
        let drop = to_index(self.to_drop.min(STEP_TICKS as u64));
        self.to_drop -= drop as u64;
        out.extend_from_slice(&self.ticks[drop..]);
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the tests' own small numbers")]
mod tests;
