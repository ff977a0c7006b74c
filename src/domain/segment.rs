//! The unit of the record: what is translated, flagged, reviewed, exported.

use serde::{Deserialize, Serialize};

use super::{
    engine::{EngineInfo, Sha256Hash},
    flag::Flag,
    hypothesis::join,
    id::{ChannelId, SegmentId},
    language::LanguageTag,
    probability::Probability,
    time::{SampleRate, Span},
};

/// One word of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word with its punctuation.
    pub text: String,
    /// Whether a space stands before it.
    pub spaced: bool,
    /// When, in samples of the channel at its own rate.
    pub span: Span,
    /// The engine's raw score: the lowest probability among the word's tokens. Not a calibrated confidence.
    pub score: Probability,
}

/// Whether live captions may show a segment's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionState {
    /// Shown, with its flags.
    Shown,
    /// Kept for review and withheld from captions: the text stands on non-speech, or is none.
    Withheld,
}

/// The final text of one utterance, with all that is needed to judge it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Stable for life.
    pub id: SegmentId,
    /// On which channel.
    pub channel: ChannelId,
    /// The channel's own rate, so that the spans can be read without looking it up.
    pub rate: SampleRate,
    /// From the first to the last sample of the utterance.
    pub span: Span,
    /// Where in it somebody speaks, by the detector, in order of time. Empty in records of older releases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub speech: Vec<Span>,
    /// The language of the text.
    pub language: LanguageTag,
    /// How probable that language was among those allowed; `None` where it was given.
    pub language_posterior: Option<Probability>,
    /// Another allowed language that was more probable than not and was not taken, since the utterance before was in this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaning: Option<LanguageTag>,
    /// The words in time order; empty where speech gave none.
    pub words: Vec<Word>,
    /// The doubts.
    pub flags: Vec<Flag>,
    /// Whether captions may show it.
    pub captions: CaptionState,
    /// Whether it is still to be compared with the other channels of the hearing: one of them had not come so far yet. When it
    /// has, a [`Change::SegmentRevised`](super::change::Change::SegmentRevised) follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncompared: bool,
    /// What was shown as committed while it was said, where that is not how this text begins. It depends on how the service kept
    /// up when it was said: made anew from the journal, the text is the same and this is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// The glossary that the engine was told before it heard this, by its digest; `None` where the text was made without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glossary: Option<Sha256Hash>,
    /// Engine, weights, parameters.
    pub engine: EngineInfo,
}

impl Segment {
    /// The words joined as they would be written.
    #[must_use]
    pub fn text(&self) -> String {
        join(self.words.iter().map(|w| (w.text.as_str(), w.spaced)))
    }
}
