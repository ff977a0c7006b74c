//! How loud a stretch of audio is and whether it was recorded too loud.

/// The level from which a sample counts as full scale.
///
/// The largest mu-law value is 32124/32768 = 0.980, the largest A-law value 0.984; converters that clip a little below
/// 32767 are caught as well.
pub const FULL_SCALE: f32 = 0.98;

/// Fewer samples in a row at full scale are a peak, not clipping; three is the shortest run with a flat top.
const CLIPPED_RUN: u64 = 3;

/// A flat top below this level is not looked for: quiet recordings repeat values by coarse quantisation.
const FLAT_FLOOR: f32 = 0.1;

/// A clipped wave arrives at its flat top with a jump; the rounded peak of a slow wave creeps up to it by one step of
/// quantisation. The jump counts from this share of the level.
const FLAT_JUMP: f32 = 0.02;

/// What a stretch of audio measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelSummary {
    /// Samples seen.
    pub samples: u64,
    /// Largest magnitude, 1 is full scale.
    pub peak: f32,
    /// Root mean square in dB relative to full scale; a full-scale sine is -3.01, silence [`LevelSummary::SILENCE_DBFS`].
    pub rms_dbfs: f32,
    /// Share, 0 to 1, of samples in runs of three or more at full scale (of one sign).
    pub clipped: f32,
    /// Share, 0 to 1, of samples in runs of three or more equal ones at the highest or lowest level heard, below full
    /// scale: audio that was clipped before somebody turned it down. Not meaningful for G.711, whose coarse steps make
    /// flat tops of their own, nor after resampling or lossy coding, which round the tops off.
    pub flat_topped: f32,
}

impl LevelSummary {
    /// What silence measures: below the quietest 24-bit tone.
    pub const SILENCE_DBFS: f32 = -160.0;
}

/// Measures samples as they come. How they are cut into pieces does not matter.
///
/// Cost: about 2 ns a sample, no allocation.
#[derive(Clone, Debug, Default)]
pub struct LevelMeter {
    samples: u64,
    squares: f64,
    peak: f32,
    clipped: u64,
    full_scale_run: u64,
    /// The sample before and its sign at full scale.
    last: f32,
    flat: FlatTops,
}

impl LevelMeter {
    /// A meter that has heard nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hears finite `samples` of one channel that follow those heard before.
    pub fn push(&mut self, samples: &[f32]) {
        for &sample in samples {
            self.squares += f64::from(sample) * f64::from(sample);
            self.peak = self.peak.max(sample.abs());
            self.count_full_scale(sample);
            self.flat.hear(sample, self.last);
            self.last = sample;
        }
        self.samples += samples.len() as u64;
    }

    /// What was heard so far.
    #[must_use]
    pub fn summary(&self) -> LevelSummary {
        LevelSummary {
            samples: self.samples,
            peak: self.peak,
            rms_dbfs: self.rms_dbfs(),
            clipped: self.share(self.clipped),
            flat_topped: self.share(self.flat.samples()),
        }
    }

    fn count_full_scale(&mut self, sample: f32) {
        if sample.abs() < FULL_SCALE {
            self.full_scale_run = 0;
            return;
        }
        let same_side = self.full_scale_run > 0 && sample.signum() == self.last.signum();
        self.full_scale_run = if same_side { self.full_scale_run + 1 } else { 1 };
        self.clipped += counted(self.full_scale_run);
    }

    #[expect(clippy::cast_possible_truncation, reason = "a level needs no more than 24 bits")]
    fn rms_dbfs(&self) -> f32 {
        let mean = self.squares / (self.samples.max(1) as f64);
        (10.0 * mean.log10()).max(f64::from(LevelSummary::SILENCE_DBFS)) as f32
    }

    #[expect(clippy::cast_possible_truncation, reason = "a share needs no more than 24 bits")]
    fn share(&self, samples: u64) -> f32 {
        (samples as f64 / self.samples.max(1) as f64) as f32
    }
}

/// What the `run`-th sample of a run adds to the count of samples in runs that are long enough.
const fn counted(run: u64) -> u64 {
    match run {
        0..CLIPPED_RUN => 0,
        CLIPPED_RUN => CLIPPED_RUN,
        _ => 1, // the run was long enough already
    }
}

/// Runs of equal samples at the highest and at the lowest level heard.
#[derive(Clone, Debug, Default)]
struct FlatTops {
    run: u64,
    jumped: bool,
    high: Extreme,
    low: Extreme,
}

#[derive(Clone, Debug, Default)]
struct Extreme {
    level: f32,
    samples: u64,
}

impl FlatTops {
    fn hear(&mut self, sample: f32, last: f32) {
        if sample == last {
            self.run += 1;
        } else {
            self.run = 1;
            self.jumped = (sample - last).abs() >= FLAT_JUMP * sample.abs();
        }
        let level = sample.abs();
        if !(FLAT_FLOOR..FULL_SCALE).contains(&level) {
            return;
        }
        let extreme = if sample > 0.0 { &mut self.high } else { &mut self.low };
        if level > extreme.level {
            *extreme = Extreme { level, samples: 0 };
        }
        if level == extreme.level && self.jumped {
            extreme.samples += counted(self.run);
        }
    }

    const fn samples(&self) -> u64 {
        self.high.samples + self.low.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sine(hz: f32, rate: f32, level: f32) -> Vec<f32> {
        (0..48_000u16).map(|i| level * (std::f32::consts::TAU * hz * f32::from(i) / rate).sin()).collect()
    }

    fn measured(samples: &[f32]) -> LevelSummary {
        let mut meter = LevelMeter::new();
        meter.push(samples);
        meter.summary()
    }

    #[test]
    fn a_full_scale_sine_is_three_decibels_below_full_scale() {
        let summary = measured(&sine(1_000.0, 48_000.0, 1.0));
        assert!((summary.rms_dbfs + 3.01).abs() < 0.01, "{summary:?}");
        assert!((summary.peak - 1.0).abs() < 1e-3);
    }

    #[test]
    fn silence_and_nothing_have_a_finite_level() {
        assert_eq!(measured(&[]).rms_dbfs, LevelSummary::SILENCE_DBFS);
        let silence = measured(&[0.0; 1_000]);
        assert_eq!((silence.rms_dbfs, silence.clipped, silence.flat_topped), (LevelSummary::SILENCE_DBFS, 0.0, 0.0));
    }

    #[test]
    fn an_overdriven_sine_is_clipped_for_the_share_of_its_flat_tops() {
        let wave: Vec<f32> = sine(300.0, 48_000.0, 2.0).iter().map(|s| s.clamp(-1.0, 1.0)).collect();
        let summary = measured(&wave);
        // Of a sine at twice full scale, the part above half its peak: two thirds of the time.
        assert!((summary.clipped - 0.667).abs() < 0.02, "{summary:?}");
        assert_eq!(summary.flat_topped, 0.0, "full scale is counted once");
    }

    #[test]
    fn clipped_audio_that_was_turned_down_still_shows_its_flat_tops() {
        let wave: Vec<f32> = sine(500.0, 16_000.0, 2.0).iter().map(|s| 0.4 * s.clamp(-1.0, 1.0)).collect();
        let summary = measured(&wave);
        assert_eq!(summary.clipped, 0.0);
        assert!(summary.flat_topped > 0.5, "{summary:?}");
    }

    #[test]
    fn clean_waves_are_not_clipped_even_where_quantisation_flattens_their_peaks() {
        for (hz, rate) in [(50.0, 48_000.0), (200.0, 16_000.0), (1_000.0, 8_000.0)] {
            let wave: Vec<f32> = sine(hz, rate, 0.5).iter().map(|s| (s * 32_768.0).round() / 32_768.0).collect();
            let summary = measured(&wave);
            assert_eq!((summary.clipped, summary.flat_topped), (0.0, 0.0), "{hz} Hz at {rate}");
        }
    }

    #[test]
    fn two_samples_at_full_scale_are_a_peak_and_three_are_clipped() {
        assert_eq!(measured(&[0.0, 1.0, 1.0, 0.0, -1.0, -1.0, 1.0, 0.0]).clipped, 0.0);
        assert_eq!(measured(&[0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]).clipped, 3.0 / 8.0);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_measure_the_same(
            samples in prop::collection::vec(prop::sample::select(vec![0.0f32, 0.3, -0.3, 1.0, -1.0, 0.7]), 0..300),
            size in 1usize..50,
        ) {
            let mut meter = LevelMeter::new();
            samples.chunks(size).for_each(|piece| meter.push(piece));
            prop_assert_eq!(meter.summary(), measured(&samples));
        }
    }
}
