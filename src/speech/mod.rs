//! Sound becomes words: audio formats, speech detection, utterances, recognition, doubts.

pub mod asr;
pub mod audio;
pub mod capacity;
pub mod confidence;
pub mod front;
pub mod profile;
pub mod spoken;
pub mod stream;
pub mod timing;
pub mod together;
pub mod turns;
pub mod vad;
