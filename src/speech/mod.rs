//! Sound becomes words: audio formats, speech detection, utterances, recognition, doubts.

pub mod asr;
pub mod stream;
