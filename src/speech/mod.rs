//! From samples to words: what hears, before anything is written down.

pub mod vad;
