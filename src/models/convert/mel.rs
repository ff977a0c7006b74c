//! The mel filters that Whisper was trained with, by formula.
//!
//! They are those of `librosa.filters.mel(sr=16000, n_fft=400, n_mels=…)`: Slaney's mel scale (linear to 1 kHz,
//! logarithmic above) and area normalisation (Slaney, *Auditory Toolbox*, 1998). Only sums, products and quotients are
//! used, which IEEE 754 fixes to the bit, so that the file's digest does not depend on a mathematics library.

/// Bins of a 400-sample Fourier transform of real input.
pub const FFT_BINS: usize = 201;

const SAMPLE_RATE_HZ: f64 = 16_000.0;
const FFT_SAMPLES: f64 = 400.0;
/// The mel value of 1 kHz, where the scale turns from linear to logarithmic.
const BREAK_MEL: f64 = 15.0;
const BREAK_HZ: f64 = 1_000.0;
/// ln 6.4: 27 steps of the logarithmic part lead from 1 kHz to 6.4 kHz.
const LN_6_4: f64 = 1.856_297_990_365_626_3;
const LOG_STEPS: f64 = 27.0;
/// ln 8: the Nyquist frequency of 8 kHz is eight times the break.
const LN_8: f64 = 2.079_441_541_679_835_7;

/// The filters, `bands` × [`FFT_BINS`] values, row-major; `bands` is 80 or 128.
#[must_use]
pub fn filters(bands: u16) -> Vec<f32> {
    let top = BREAK_MEL + LN_8 / (LN_6_4 / LOG_STEPS);
    let step = top / f64::from(bands + 1);
    let edges: Vec<f64> = (0..=bands + 1).map(|i| hz(if i == bands + 1 { top } else { f64::from(i) * step })).collect();
    let mut values = Vec::with_capacity(usize::from(bands) * FFT_BINS);
    for edge in edges.windows(3) {
        let [low, middle, high] = [edge[0], edge[1], edge[2]];
        let area = 2.0 / (high - low);
        for bin in 0..201_u8 {
            let f = f64::from(bin) * SAMPLE_RATE_HZ / FFT_SAMPLES;
            let up = (f - low) / (middle - low);
            let down = (high - f) / (high - middle);
            let height = if up < down { up } else { down };
            // Not `max`, which may give 0 or -0 where both are compared.
            values.push(if height > 0.0 { single(height * area) } else { 0.0 });
        }
    }
    values
}

fn hz(mel: f64) -> f64 {
    if mel < BREAK_MEL { mel * 200.0 / 3.0 } else { BREAK_HZ * exp((mel - BREAK_MEL) * LN_6_4 / LOG_STEPS) }
}

/// e^x for 0 ≤ x ≤ ln 8 by its power series, right to a few units in the last place: 40 terms leave less than 1e-30.
fn exp(x: f64) -> f64 {
    (1..=40_u8).rev().fold(1.0, |sum, n| 1.0 + x / f64::from(n) * sum)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest f32 is what is wanted; values are below 1"
)]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_agrees_with_the_exponential_function() {
        for i in 0..=100 {
            let x = LN_8 * f64::from(i) / 100.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 4.0 * f64::EPSILON, "{x}");
        }
        assert!((LN_8 - 8.0_f64.ln()).abs() < f64::EPSILON * 2.0);
        assert!((LN_6_4 - 6.4_f64.ln()).abs() < f64::EPSILON * 2.0);
    }

    #[test]
    fn filters_match_known_values_of_whisper() {
        // From librosa.filters.mel(sr=16000, n_fft=400), which OpenAI's mel_filters.npz holds: the first and last bands.
        let values = filters(80);
        assert_eq!(values.len(), 80 * FFT_BINS);
        assert_eq!(values[0], 0.0);
        assert!((values[1] - 0.024_862_594).abs() < 2e-8, "{}", values[1]);
        assert_eq!(values[2], 0.0);
        assert!((values[79 * FFT_BINS + 195] - 0.002_243_795_2).abs() < 2e-8);
        let values = filters(128);
        assert_eq!(values.len(), 128 * FFT_BINS);
        assert!((values[1] - 0.012_373_99).abs() < 2e-8, "{}", values[1]);
        assert!((values[127 * FFT_BINS + 196] - 0.004_457_12).abs() < 2e-8);
    }

    #[test]
    fn every_filter_is_finite_and_has_an_area_near_one_hertz() {
        for bands in [80, 128] {
            for row in filters(bands).chunks_exact(FFT_BINS).skip(60) {
                let area: f32 = row.iter().sum::<f32>() * 40.0;
                assert!((area - 1.0).abs() < 0.2, "{area}");
            }
        }
    }
}
