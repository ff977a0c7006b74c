//! Lifts quiet voices to where the detector hears them. Only the detector hears the result; the engine gets the samples as
//! they came.
//!
//! The Silero network loses quiet speech: of the frames it hears in 15 recordings of different voices at full level, 12 %
//! are lost when the same recordings peak at -40 dBFS, 41 % at -50 and 81 % at -60. With this gain 1 %, 1 % and 5 %.
//!
//! One slow envelope follows the level, and the gain is what the envelope lacks to [`TARGET_DB`]. Steady noise is lifted
//! like anything else, on purpose: the network does not take it for speech at any level. White, pink, brown and stepped
//! noise, wind, ventilation, hum, paper, keys, coughs and a telephone's tones from -60 to -10 dBFS make no speech with or
//! without the gain; two knocks 0.3 s apart do, without it above -40 dBFS, with it above -60. A gate that held the gain
//! back until the level stood clear of a tracked noise floor lost 17 % of the frames at -50 dBFS instead of 1 %, and
//! let the knocks through all the same. Digital silence stays silence.
//!
//! The gain of a frame depends on the samples up to its end and on nothing else.

use super::network::bounded;
use super::{FRAME, RATE_HZ};

/// Level the envelope is lifted to, dB to full scale, mean square. Speech whose peaks touch full scale lies near -20; at
/// -34 more quiet speech is lost (2 % instead of 1 %), at -20 noise of 10 dB SNR costs more (4 % instead of 2 %).
pub const TARGET_DB: f32 = -26.0;
/// Most the level is lifted, dB. Voices that peak at -60 dBFS still come through (5 % of frames lost); below lies what a
/// 16-bit recording cannot hold. 55 dB gained nothing, 35 dB lost a little.
pub const MOST_DB: f32 = 40.0;
/// Share of the way to a louder frame that the envelope goes in one frame. A voice is followed within 150 ms; a single
/// click moves the envelope little, so it does not hide the quiet voice behind it. 0.7 lost 1 % more of quiet speech.
pub const ATTACK: f32 = 0.2;
/// How fast the envelope falls, dB a frame (5 dB a second): a quiet answer after a loud question 40 dB above it is heard
/// but for 4 %; at 2 dB a second 25 % of it is lost, at 12 dB a second breath and reverberation in pauses come up.
pub const RELEASE_DB: f32 = 0.16;
/// Lowest level the envelope falls to, dB. Just below where the gain ends: after a muted minute it is back soon.
pub const FLOOR_DB: f32 = TARGET_DB - MOST_DB - 4.0;
/// No lifted frame peaks above this, dB to full scale: the envelope is slow, and the first syllable would be overdriven.
pub const CEILING_DB: f32 = -3.0;
/// Corner of the high-pass in front of the level measure: hum and rumble are no measure of a voice.
const CORNER_HZ: f32 = 150.0;

/// Follows one channel's level. No allocation; about 1 µs a frame.
#[derive(Debug, Clone)]
pub struct Leveller {
    envelope_db: Option<f32>,
    before: f32,
    passed: f32,
    keep: f32,
}

impl Default for Leveller {
    fn default() -> Self {
        Self::new()
    }
}

impl Leveller {
    /// A leveller that has heard nothing.
    #[must_use]
    pub fn new() -> Self {
        let keep = (-std::f32::consts::TAU * CORNER_HZ / RATE_HZ as f32).exp();
        Self { envelope_db: None, before: 0.0, passed: 0.0, keep }
    }

    /// The factor for `frame` (16 kHz mono f32 in [-1, 1]), from 1 to 100, which is [`MOST_DB`]. Frames must follow each
    /// other.
    pub fn push(&mut self, frame: &[f32; FRAME]) -> f32 {
        let (level_db, peak_db) = self.measure(frame);
        let level_db = level_db.max(FLOOR_DB);
        let envelope_db = match self.envelope_db {
            None => level_db,
            Some(before) if level_db > before => before + ATTACK * (level_db - before),
            Some(before) => level_db.max(before - RELEASE_DB),
        };
        self.envelope_db = Some(envelope_db);
        let gain_db = (TARGET_DB - envelope_db).min(MOST_DB).min(CEILING_DB - peak_db).max(0.0);
        10.0_f32.powf(gain_db / 20.0)
    }

    /// Forgets everything heard.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Mean square behind the high-pass and peak before it, both in dB to full scale and at least -120.
    fn measure(&mut self, frame: &[f32; FRAME]) -> (f32, f32) {
        let (mut squares, mut peak) = (0.0_f32, 0.0_f32);
        for sample in frame {
            let sample = bounded(*sample);
            self.passed = self.keep * self.passed + sample - self.before;
            self.before = sample;
            squares += self.passed * self.passed;
            peak = peak.max(sample.abs());
        }
        // What is left of a voice after minutes of digital silence is too small to count and slow to compute with.
        if self.passed.abs() < 1e-20 {
            self.passed = 0.0;
        }
        (10.0 * (squares / FRAME as f32).max(1e-12).log10(), 20.0 * peak.max(1e-6).log10())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of 500 Hz with the peak given, in dB to full scale.
    fn tone(peak_db: f32) -> [f32; FRAME] {
        let mut phase = 0.0_f32;
        std::array::from_fn(|_| {
            phase += std::f32::consts::TAU / 32.0;
            10.0_f32.powf(peak_db / 20.0) * phase.sin()
        })
    }

    fn gain_db_after(frames: usize, peak_db: f32, leveller: &mut Leveller) -> f32 {
        let gain = (0..frames).map(|_| leveller.push(&tone(peak_db))).last().unwrap();
        20.0 * gain.log10()
    }

    #[test]
    fn a_quiet_voice_is_lifted_to_the_target() {
        let gain = gain_db_after(50, -50.0, &mut Leveller::new());
        assert!((gain - (TARGET_DB + 53.0)).abs() < 1.0, "{gain}");
    }

    #[test]
    fn a_loud_voice_is_left_alone() {
        assert_eq!(gain_db_after(50, -6.0, &mut Leveller::new()), 0.0);
    }

    #[test]
    fn a_click_does_not_hide_the_quiet_voice_behind_it() {
        let mut leveller = Leveller::new();
        let before = gain_db_after(50, -50.0, &mut leveller);
        leveller.push(&tone(-3.0));
        let after = gain_db_after(1, -50.0, &mut leveller);
        assert!(before - after < 13.0, "{before} then {after}");
    }

    #[test]
    fn a_loud_onset_after_quiet_is_not_overdriven() {
        let mut leveller = Leveller::new();
        gain_db_after(50, -60.0, &mut leveller);
        assert!(gain_db_after(1, -10.0, &mut leveller) <= 10.0 + CEILING_DB);
    }

    #[test]
    fn the_gain_is_bounded_and_broken_samples_do_no_lasting_harm() {
        let mut leveller = Leveller::new();
        for sample in [0.0, f32::NAN, f32::INFINITY, f32::MIN, 1e-40] {
            let gain = leveller.push(&[sample; FRAME]);
            assert!((1.0..=100.01).contains(&gain), "{sample}: {gain}");
        }
        let gain = gain_db_after(400, -50.0, &mut leveller);
        assert!((gain - (TARGET_DB + 53.0)).abs() < 1.0, "{gain}");
    }
}
