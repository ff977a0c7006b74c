//! What to make of the probabilities: recommended limits for whoever builds utterances from them.
//!
//! Measured with [`ChannelDetector`](super::detector::ChannelDetector) on 55 minutes of speech of 11 languages (357
//! recordings, 135 turns with known times) and on 72 minutes of made noise: white, pink, brown, wind, hum, ventilation,
//! clicks, knocks, paper, keys, coughs, beeps, a telephone's tones, a siren, a melody and chords, each from -60 to -10
//! dBFS.

use super::FRAME_MS;

/// Speech begins with a frame at least this probable: what the network's authors use. From 0.3 to 0.7 every turn is
/// heard, within a frame of the same time; noise gives 0.14 s of false speech a minute at 0.3, 0.09 at 0.5.
pub const START: f32 = 0.5;

/// Speech goes on while frames are at least this probable: 0.15 lower than [`START`], as the network's authors do, so
/// that a probability near the limit does not cut words.
pub const STOP: f32 = 0.35;

/// Frames of at least [`START`] that an utterance needs before it counts (they need not follow each other): 128 ms. The
/// shortest stretch of real speech measured has 5; breaths, hum and tones have 1 to 3. Only knocks in quick succession remain of
/// the noise (0.06 s a minute). A span of 250 ms from start to stop tells the two apart less well, because two clicks
/// make a long span. Keep the audio of what stays below, and make no words of it.
pub const CONFIRMING_FRAMES: usize = 4;

/// An utterance ends after this much below [`STOP`]. At 320 ms 135 turns fall into 155 pieces, at 608 ms into 132, at 800
/// ms neighbours begin to merge (129).
pub const ENDING_SILENCE_MS: u32 = 19 * FRAME_MS;

/// Audio to give the recogniser before the first frame of speech. The detector fires 0.0 s (median), 0.29 s (95 of 100)
/// and 0.58 s (99 of 100) after the level first rises; the worst of 128 turns was 1.2 s, a breath before the first word.
pub const LEAD_IN_MS: u32 = 20 * FRAME_MS;

/// Audio to give the recogniser after the last frame of speech: the level of a fading word lasts up to 0.35 s longer
/// (99 of 100). It lies within [`ENDING_SILENCE_MS`], so that waiting for the end costs nothing more.
pub const LEAD_OUT_MS: u32 = 12 * FRAME_MS;
