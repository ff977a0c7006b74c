//! From sound to words: audio, speech detection, recognition, confidence.

pub mod audio;
