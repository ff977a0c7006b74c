//! When an utterance begins and ends, as data.

use serde::{Deserialize, Serialize};

use crate::{
    domain::time::TICKS_PER_SECOND,
    speech::vad::{FRAME, thresholds},
};

/// After an utterance has lasted `after_ms`, it ends at a pause of `silence_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointRule {
    /// How long the utterance must have lasted, milliseconds.
    pub after_ms: u32,
    /// How long the pause must be, milliseconds.
    pub silence_ms: u32,
}

/// Where utterances begin and end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointConfig {
    /// Speech begins at this probability.
    pub start_threshold: f32,
    /// Speech goes on down to this probability (hysteresis).
    pub stop_threshold: f32,
    /// Audio kept before the first frame of speech, milliseconds: an unvoiced first sound comes before the detector fires.
    pub pre_roll_ms: u32,
    /// Audio kept after the last frame of speech, milliseconds.
    pub post_roll_ms: u32,
    /// Rules in ascending order of `after_ms`; the last that applies counts. The longer somebody speaks without a pause,
    /// the shorter a pause will do, because a cut in a pause is better than a cut in a word.
    pub rules: Vec<EndpointRule>,
    /// At this length an utterance is cut at the least voiced place of its last `search_ms`, milliseconds. The engine
    /// takes 30 s.
    pub longest_ms: u32,
    /// How far back the least voiced place is looked for, milliseconds.
    pub search_ms: u32,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            start_threshold: thresholds::START,
            stop_threshold: thresholds::STOP,
            pre_roll_ms: thresholds::LEAD_IN_MS,
            post_roll_ms: thresholds::LEAD_OUT_MS,
            rules: vec![
                // A few words have little context and are heard worse alone, so they wait for more.
                EndpointRule { after_ms: 0, silence_ms: 1_200 },
                EndpointRule { after_ms: 6_000, silence_ms: 800 },
                EndpointRule { after_ms: 12_000, silence_ms: 500 },
                EndpointRule { after_ms: 20_000, silence_ms: 250 },
            ],
            longest_ms: 26_000,
            search_ms: 5_000,
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum EndpointError {
    /// A threshold outside 0 to 1, or the two in the wrong order.
    #[error("thresholds start {start} and stop {stop}: 0 < stop <= start < 1 is needed")]
    Thresholds {
        /// The one speech begins at.
        start: f32,
        /// The one speech goes on down to.
        stop: f32,
    },
    /// No rule for the beginning of an utterance, or rules out of order.
    #[error("endpoint rules must begin with after_ms = 0, rise in after_ms, and have pauses of at least 100 ms")]
    Rules,
    /// Lengths that do not fit into the engine's window.
    #[error(
        "longest_ms {longest_ms} with pre_roll_ms {pre_roll_ms} must be 5000 to 29000, search_ms at most half of it"
    )]
    Lengths {
        /// The longest utterance.
        longest_ms: u32,
        /// The audio kept before it.
        pre_roll_ms: u32,
    },
}

impl crate::domain::fault::Fault for EndpointError {
    fn kind(&self) -> crate::domain::fault::FaultKind {
        crate::domain::fault::FaultKind::Invalid
    }
}

impl EndpointConfig {
    /// Checks that the values fit each other and the engine.
    ///
    /// # Errors
    /// Says which do not.
    pub fn check(&self) -> Result<(), EndpointError> {
        let (start, stop) = (self.start_threshold, self.stop_threshold);
        if !(stop > 0.0 && stop <= start && start < 1.0) {
            return Err(EndpointError::Thresholds { start, stop });
        }
        let rising = self.rules.windows(2).all(|w| w[0].after_ms < w[1].after_ms);
        if self.rules.first().is_none_or(|r| r.after_ms != 0)
            || !rising
            || self.rules.iter().any(|r| r.silence_ms < 100)
        {
            return Err(EndpointError::Rules);
        }
        let fits = (5_000..=29_000).contains(&(self.longest_ms.saturating_add(self.pre_roll_ms)));
        if !fits || self.search_ms > self.longest_ms / 2 {
            return Err(EndpointError::Lengths { longest_ms: self.longest_ms, pre_roll_ms: self.pre_roll_ms });
        }
        Ok(())
    }

    /// The pause, in frames, that ends an utterance of `frames` frames.
    #[must_use]
    pub fn pause_frames(&self, frames: usize) -> usize {
        let rule = self.rules.iter().rev().find(|r| frames_of(r.after_ms) <= frames);
        rule.map_or(usize::MAX, |r| frames_of(r.silence_ms).max(1))
    }
}

/// Frames in `ms` milliseconds, rounded up.
#[must_use]
pub fn frames_of(ms: u32) -> usize {
    let ticks = u64::from(ms) * TICKS_PER_SECOND / 1_000;
    usize::try_from(ticks).unwrap_or(usize::MAX).div_ceil(FRAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_somebody_speaks_the_shorter_a_pause_ends_it() {
        let config = EndpointConfig::default();
        assert_eq!(config.check(), Ok(()));
        let pauses = [0, 5_900, 6_100, 11_000, 13_000, 21_000].map(|ms| config.pause_frames(frames_of(ms)));
        assert_eq!(pauses, [38, 38, 25, 25, 16, 8]);
    }

    #[test]
    fn configurations_that_cannot_work_are_refused() {
        let with = |change: fn(&mut EndpointConfig)| {
            let mut config = EndpointConfig::default();
            change(&mut config);
            config.check()
        };
        assert!(matches!(with(|c| c.stop_threshold = 0.9), Err(EndpointError::Thresholds { .. })));
        assert_eq!(with(|c| c.rules.clear()), Err(EndpointError::Rules));
        assert_eq!(with(|c| c.rules[0].silence_ms = 0), Err(EndpointError::Rules));
        assert!(matches!(with(|c| c.longest_ms = 40_000), Err(EndpointError::Lengths { .. })));
    }
}
