//! The speech detector of one channel: the network behind the leveller.

use std::sync::Arc;

use super::level::Leveller;
use super::model::SileroModel;
use super::network::SileroStream;
use super::{FRAME, SpeechDetector};
use crate::domain::probability::Probability;

/// What a channel uses: quiet voices lifted, then heard by the network.
#[derive(Debug, Clone)]
pub struct ChannelDetector {
    leveller: Leveller,
    stream: SileroStream,
}

impl ChannelDetector {
    /// A detector that has heard nothing.
    #[must_use]
    pub fn new(model: Arc<SileroModel>) -> Self {
        Self { leveller: Leveller::new(), stream: SileroStream::new(model) }
    }
}

impl SpeechDetector for ChannelDetector {
    fn push(&mut self, frame: &[f32; FRAME]) -> Probability {
        let gain = self.leveller.push(frame);
        self.stream.push_with_gain(frame, gain)
    }

    fn reset(&mut self) {
        self.leveller.reset();
        self.stream.reset();
    }
}
