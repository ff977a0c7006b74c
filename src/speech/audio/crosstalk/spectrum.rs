//! Spectra of two channels at once: as the real and the imaginary part of one complex signal.

use std::{
    f32::consts::PI,
    sync::{Arc, LazyLock},
};

use rustfft::{Fft, FftPlanner, num_complex::Complex32};

/// Samples of a frame: 64 ms, longer than the delay that is left after aligning and the first reflections of a room.
const FRAME: usize = 1_024;

/// Samples of a frame and the one before.
pub(super) const WITH_ONE_BEFORE: usize = FRAME + 1;

/// From frame to frame: eight make a quarter of a second.
pub(super) const HOP: usize = 500;

/// The band that is compared: 125 Hz to 4 kHz, where voices are and rumble is not.
const LOWEST: usize = 8;

/// Bins of the band.
pub(super) const BINS: usize = 256 - LOWEST;

/// Samples of a frame in which delays are looked for: 256 ms.
const LONG: usize = 4_096;

/// The same for lags.
pub(super) const LONG_I32: i32 = 4_096;

/// What is the same for all: how to transform both lengths, and the windows (von Hann's).
struct Plans {
    short: Arc<dyn Fft<f32>>,
    long: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    window: Vec<f32>,
    long_window: Vec<f32>,
}

static PLANS: LazyLock<Plans> = LazyLock::new(|| {
    let mut planner = FftPlanner::new();
    #[expect(clippy::cast_precision_loss, reason = "counts up to 4096")]
    let hann =
        |length: usize| (0..length).map(|n| 0.5 - 0.5 * (2.0 * PI * (n as f32 + 0.5) / length as f32).cos()).collect();
    Plans {
        short: planner.plan_fft_forward(FRAME),
        long: planner.plan_fft_forward(LONG),
        inverse: planner.plan_fft_inverse(LONG),
        window: hann(FRAME),
        long_window: hann(LONG),
    }
});

/// Transforms, with the room that they need.
pub(super) struct Fourier {
    plans: &'static Plans,
    scratch: Vec<Complex32>,
    frame: Vec<Complex32>,
}

impl Fourier {
    pub(super) fn new() -> Self {
        let plans = &*PLANS;
        let scratch = [&plans.short, &plans.long, &plans.inverse].map(|plan| plan.get_inplace_scratch_len());
        let scratch = vec![Complex32::ZERO; scratch.into_iter().max().unwrap_or(0)];
        Self { plans, scratch, frame: Vec::with_capacity(LONG) }
    }

    /// Adds the powers of a frame of two channels and what they share to `sums`, which are those of the band. Each begins with the
    /// sample before the frame, [`WITH_ONE_BEFORE`] in all.
    pub(super) fn add(&mut self, low: &[f32], high: &[f32], sums: &mut [[f32; 4]]) {
        let differences = low.windows(2).zip(high.windows(2)).map(|(l, h)| Complex32::new(l[1] - l[0], h[1] - h[0]));
        self.frame.clear();
        self.frame.extend(differences.zip(&self.plans.window).map(|(both, window)| both * *window));
        self.plans.short.process_with_scratch(&mut self.frame, &mut self.scratch);
        let mirrored = self.frame.iter().rev().skip(LOWEST - 1);
        for ((bin, mirrored), sums) in self.frame[LOWEST..].iter().zip(mirrored).zip(sums) {
            let (a, b) = parted(*bin, *mirrored);
            let shared = a * b.conj();
            let parts = [a.norm_sqr(), b.norm_sqr(), shared.re, shared.im];
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
    }

    /// How well `own` fits `other` at each lag of `own` behind `other` (the index, modulo [`LONG`]), by the phases of the band
    /// alone.
    pub(super) fn phat(&mut self, own: &[f32], other: &[f32]) -> Vec<f32> {
        let mut cross = vec![Complex32::ZERO; LONG];
        let mut start = 0;
        while start + LONG <= own.len().min(other.len()) {
            self.frame.clear();
            self.frame.extend(
                (start..start + LONG)
                    .zip(&self.plans.long_window)
                    .map(|(n, window)| Complex32::new(difference(own, n), difference(other, n)) * *window),
            );
            self.plans.long.process_with_scratch(&mut self.frame, &mut self.scratch);
            for (bin, to) in cross.iter_mut().enumerate() {
                let (a, b) = parted(self.frame[bin], self.frame[(LONG - bin) % LONG]);
                *to += a * b.conj();
            }
            start += LONG / 2;
        }
        let scale = LONG / FRAME;
        for (bin, shared) in cross.iter_mut().enumerate() {
            let mirrored = bin.min(LONG - bin);
            let size = shared.norm_sqr().sqrt();
            let inside = (LOWEST * scale..(LOWEST + BINS) * scale).contains(&mirrored) && size > 0.0;
            *shared = if inside { *shared / size } else { Complex32::ZERO };
        }
        self.plans.inverse.process_with_scratch(&mut cross, &mut self.scratch);
        cross.into_iter().map(|fit| fit.re).collect()
    }
}

/// Differences of neighbouring samples: voices fall by 6 dB an octave, and without that their lowest tones would decide alone.
fn difference(samples: &[f32], n: usize) -> f32 {
    samples[n] - samples[n.saturating_sub(1)]
}

/// The spectra of two real signals that were transformed as one complex one, at a bin and its mirror.
fn parted(bin: Complex32, mirrored: Complex32) -> (Complex32, Complex32) {
    let mirrored = mirrored.conj();
    let (sum, rest) = (bin + mirrored, bin - mirrored);
    (sum / 2.0, Complex32::new(rest.im, -rest.re) / 2.0)
}
