//! Spectra by a plain fast Fourier transform of powers of two (Cooley and Tukey, 1965); no more than the comparison needs.

use std::f32::consts::PI;

/// Samples of a frame: 64 ms, longer than the delay that is left after aligning and the first reflections of a room.
const FRAME: usize = 1_024;

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

type Complex = (f32, f32);

/// Tables for both lengths.
pub(super) struct Fourier {
    turns: Vec<Complex>,
    window: Vec<f32>,
    long_window: Vec<f32>,
}

impl Fourier {
    #[expect(clippy::cast_precision_loss, reason = "counts up to 4096")]
    pub(super) fn new() -> Self {
        let turn = |n: usize| {
            let angle = -2.0 * PI * n as f32 / LONG as f32;
            (angle.cos(), angle.sin())
        };
        let hann = |length: usize| {
            (0..length).map(|n| 0.5 - 0.5 * (2.0 * PI * (n as f32 + 0.5) / length as f32).cos()).collect()
        };
        Self { turns: (0..LONG / 2).map(turn).collect(), window: hann(FRAME), long_window: hann(LONG) }
    }

    /// Adds the powers of a frame of two channels and what they share to `sums`, which are those of the band.
    pub(super) fn add(&self, low: impl Fn(i64) -> f32, high: impl Fn(i64) -> f32, sums: &mut [[f32; 4]]) {
        let mut values: [Complex; FRAME] = [(0.0, 0.0); FRAME];
        let mut before = (low(-1), high(-1));
        for ((n, value), window) in (0..).zip(&mut values).zip(&self.window) {
            let now = (low(n), high(n));
            *value = ((now.0 - before.0) * window, (now.1 - before.1) * window);
            before = now;
        }
        self.transform(&mut values);
        for (bin, sums) in (LOWEST..).zip(sums) {
            let ((ar, ai), (br, bi)) = parted(values[bin], values[FRAME - bin]);
            let parts = [ar * ar + ai * ai, br * br + bi * bi, ar * br + ai * bi, ai * br - ar * bi];
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
    }

    /// How well `own` fits `other` at each lag of `own` behind `other` (the index, modulo [`LONG`]), by the phases of the band
    /// alone.
    pub(super) fn phat(&self, own: &[f32], other: &[f32]) -> Vec<f32> {
        let mut cross = vec![(0.0_f32, 0.0_f32); LONG];
        let mut start = 0;
        while start + LONG <= own.len().min(other.len()) {
            let mut both: Vec<Complex> = (start..start + LONG)
                .zip(&self.long_window)
                .map(|(n, window)| (difference(own, n) * window, difference(other, n) * window))
                .collect();
            self.transform(&mut both);
            for (bin, to) in cross.iter_mut().enumerate() {
                let ((ar, ai), (br, bi)) = parted(both[bin], both[(LONG - bin) % LONG]);
                to.0 += ar * br + ai * bi;
                to.1 += ai * br - ar * bi;
            }
            start += LONG / 2;
        }
        let scale = LONG / FRAME;
        for (bin, (re, im)) in cross.iter_mut().enumerate() {
            let mirrored = bin.min(LONG - bin);
            let size = (*re * *re + *im * *im).sqrt();
            let inside = (LOWEST * scale..(LOWEST + BINS) * scale).contains(&mirrored) && size > 0.0;
            // The transform below runs forward; of conjugates it is the inverse.
            (*re, *im) = if inside { (*re / size, -*im / size) } else { (0.0, 0.0) };
        }
        self.transform(&mut cross);
        cross.into_iter().map(|(re, _)| re).collect()
    }

    /// In place; the length is a power of two up to [`LONG`].
    fn transform(&self, values: &mut [Complex]) {
        let length = values.len();
        let bits = length.trailing_zeros();
        for n in 0..length {
            let mirrored = n.reverse_bits() >> (usize::BITS - bits);
            if n < mirrored {
                values.swap(n, mirrored);
            }
        }
        let mut half = 1;
        while half < length {
            let step = LONG / 2 / half;
            for pair in values.chunks_exact_mut(half * 2) {
                let (low, high) = pair.split_at_mut(half);
                for (n, (a, b)) in low.iter_mut().zip(high).enumerate() {
                    let (wr, wi) = self.turns[n * step];
                    let (br, bi) = (b.0 * wr - b.1 * wi, b.0 * wi + b.1 * wr);
                    (*a, *b) = ((a.0 + br, a.1 + bi), (a.0 - br, a.1 - bi));
                }
            }
            half *= 2;
        }
    }
}

/// Differences of neighbouring samples: voices fall by 6 dB an octave, and without that their lowest tones would decide alone.
fn difference(samples: &[f32], n: usize) -> f32 {
    samples[n] - samples[n.saturating_sub(1)]
}

/// The spectra of two real signals that were transformed as one complex one, at a bin and its mirror.
fn parted((re, im): Complex, (mirror_re, mirror_im): Complex) -> (Complex, Complex) {
    (((re + mirror_re) / 2.0, (im - mirror_im) / 2.0), ((im + mirror_im) / 2.0, (mirror_re - re) / 2.0))
}
