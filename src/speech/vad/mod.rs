//! Is somebody speaking? One probability for every 32 ms of a channel.
//!
//! [`SileroModel`](model::SileroModel) reads the weights of the Silero network, [`SileroStream`](network::SileroStream)
//! runs it over one channel frame by frame and keeps its memory from frame to frame, [`Leveller`](level::Leveller) lifts
//! quiet voices to where the network hears them, and [`ChannelDetector`](detector::ChannelDetector) is the two together:
//! what a channel uses. [`thresholds`] says what to make of the probabilities.
//!
//! Everything here is a function of the samples alone: no clock, no randomness, no thread.

pub mod detector;
pub mod level;
mod matrix;
pub mod model;
pub mod network;
pub mod thresholds;

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::probability::Probability;

/// Samples in a frame: 32 ms at [`RATE_HZ`]. The Silero network was trained on this length and takes no other at 16 kHz.
pub const FRAME: usize = 512;

/// Samples a second of the detector's input.
pub const RATE_HZ: u32 = 16_000;

/// Milliseconds in a frame.
pub const FRAME_MS: u32 = 32;

/// Hears one channel and says, frame by frame, how likely somebody speaks. One detector serves one channel.
pub trait SpeechDetector: Send {
    /// The probability that somebody speaks in `frame`: 16 kHz mono f32 in [-1, 1]. Frames must follow each other without
    /// a gap; after one, call [`reset`](Self::reset). Broken samples (NaN, far beyond full scale) do no lasting harm.
    fn push(&mut self, frame: &[f32; FRAME]) -> Probability;

    /// Forgets everything heard: the next frame is the first.
    fn reset(&mut self);
}

/// Why the file of a detector's weights was refused. `model` in the messages is the file given to
/// [`SileroModel::parse`](model::SileroModel::parse).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VadError {
    /// The file does not begin with the bytes of a ggml file.
    #[error("the speech detector model is no ggml file: fetch the model again")]
    NotGgml,
    /// The file ends inside something it announced.
    #[error("the speech detector model ends at byte {at} inside its {inside}: fetch the model again")]
    Truncated {
        /// Where the reading stood, in bytes from the start.
        at: usize,
        /// What was being read.
        inside: &'static str,
    },
    /// A number of the header is not the one of the network served.
    #[error("the speech detector model has {field} {found}, only {expected} is served: use Silero v5 or v6 for 16 kHz")]
    Unsupported {
        /// The header's field.
        field: &'static str,
        /// What the file says.
        found: i32,
        /// What is served.
        expected: usize,
    },
    /// The header names another kind of network.
    #[error("the speech detector model is not of the kind silero-16k: use Silero v5 or v6 for 16 kHz")]
    WrongKind,
    /// A tensor's name is unknown.
    #[error("the speech detector model has an unknown tensor at byte {at}: use Silero v5 or v6 for 16 kHz")]
    UnknownTensor {
        /// Where the tensor's entry begins, in bytes from the start.
        at: usize,
    },
    /// A tensor comes twice.
    #[error("the speech detector model has tensor {name} twice: fetch the model again")]
    DuplicateTensor {
        /// The tensor's name.
        name: &'static str,
    },
    /// A tensor has another shape or number format than the network needs.
    #[error("tensor {name} of the speech detector model has the wrong shape or number format: use Silero v5 or v6")]
    WrongShape {
        /// The tensor's name.
        name: &'static str,
    },
    /// A weight is infinite or not a number.
    #[error("tensor {name} of the speech detector model holds a value that is no number: fetch the model again")]
    NotFinite {
        /// The tensor's name.
        name: &'static str,
    },
    /// A tensor is missing.
    #[error("the speech detector model lacks tensor {name}: fetch the model again")]
    MissingTensor {
        /// The tensor's name.
        name: &'static str,
    },
}

impl Fault for VadError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NotGgml | Self::WrongKind | Self::Unsupported { .. } | Self::UnknownTensor { .. } => {
                FaultKind::Invalid
            }
            Self::Truncated { .. }
            | Self::DuplicateTensor { .. }
            | Self::WrongShape { .. }
            | Self::NotFinite { .. }
            | Self::MissingTensor { .. } => FaultKind::DataLoss,
        }
    }
}
