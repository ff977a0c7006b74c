//! Whether two channels of a recording carry the same sound: a voice recorded in stereo, or two microphones.

/// From this correlation on, two channels are the same voice in stereo. Two speakers with the cross-talk of a courtroom
/// (-26 dB) are below 0.2; one voice panned or in light reverberation is above 0.9.
pub const ALIKE: f64 = 0.7;

/// Correlation of two channels, sample by sample, without regard to level.
///
/// ```
/// use vivavoce::speech::audio::likeness::Likeness;
/// let mut likeness = Likeness::default();
/// likeness.push(&[0.5, -0.25], &[0.25, -0.125]);
/// assert!(likeness.correlation() > 0.99);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Likeness {
    both: f64,
    one: f64,
    other: f64,
}

impl Likeness {
    /// Takes the same moments of both channels; what one has more than the other is left out.
    pub fn push(&mut self, one: &[f32], other: &[f32]) {
        for (a, b) in one.iter().zip(other) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            self.both += a * b;
            self.one += a * a;
            self.other += b * b;
        }
    }

    /// -1 to 1; 0 where one of them is silent.
    #[must_use]
    pub fn correlation(&self) -> f64 {
        let power = (self.one * self.other).sqrt();
        if power > 0.0 { self.both / power } else { 0.0 }
    }

    /// Whether it is the same sound.
    #[must_use]
    pub fn alike(&self) -> bool {
        self.correlation() >= ALIKE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32) -> Vec<f32> {
        (0..16_000_u16).map(|n| (f32::from(n) * hz * std::f32::consts::TAU / 16_000.0).sin()).collect()
    }

    #[test]
    fn a_voice_at_another_level_is_alike_and_another_voice_is_not() {
        let mut same = Likeness::default();
        same.push(&tone(200.0), &tone(200.0).iter().map(|s| s * 0.1).collect::<Vec<_>>());
        assert!(same.alike());
        let mut different = Likeness::default();
        different.push(&tone(200.0), &tone(310.0));
        assert!(!different.alike());
        let mut silent = Likeness::default();
        silent.push(&tone(200.0), &[0.0; 16_000]);
        assert!(!silent.alike());
    }
}
