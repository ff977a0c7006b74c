//! Work on text alone: normalising it for comparison, and counting how far two texts are apart.

pub mod normalize;
pub mod wer;
