//! Flags tell an interpreter where to look, and why.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Why a piece of text is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagCode {
    /// The engine gave a word a low score.
    LowWordScore,
    /// There is no speech under the words.
    NoSpeechUnderWords,
    /// The same words come again and again.
    Repetition,
    /// More or fewer words a second than people speak.
    ImplausibleRate,
    /// The language heard is not certain among those allowed, or another one is spoken.
    UncertainLanguage,
    /// Letters of a script that none of the allowed languages uses.
    UnexpectedScript,
    /// The audio is clipped.
    ClippedAudio,
    /// The audio is very low.
    LowAudio,
    /// Somebody speaks and no word was found.
    SpeechWithoutWords,
    /// A sound in brackets, music or a formula that the engine writes where it hears no words.
    NonSpeechText,
    /// The words are the echo of what was said at another microphone.
    CrossTalk,
    /// Somebody else spoke at the same time.
    Overlap,
    /// The words are those that the recogniser was told beforehand.
    EchoOfPrompt,
    /// The engine holds the text as a whole to be improbable.
    WeakText,
    /// What was shown while it was said was quite another text.
    LiveDisagrees,
    /// A phrase that engines of this family are known to invent where nobody speaks.
    StockPhrase,
    /// Audio is missing right beside the words: one of them may be cut.
    AudioMissing,
    /// What was heard with what the decoder was told, and without, is not the same.
    HeardTwice,
}

impl FlagCode {
    /// Every code, in the order of the wire.
    pub const ALL: [Self; 18] = [
        Self::LowWordScore,
        Self::NoSpeechUnderWords,
        Self::Repetition,
        Self::ImplausibleRate,
        Self::UncertainLanguage,
        Self::UnexpectedScript,
        Self::ClippedAudio,
        Self::LowAudio,
        Self::SpeechWithoutWords,
        Self::NonSpeechText,
        Self::CrossTalk,
        Self::Overlap,
        Self::EchoOfPrompt,
        Self::WeakText,
        Self::LiveDisagrees,
        Self::StockPhrase,
        Self::AudioMissing,
        Self::HeardTwice,
    ];

    /// The code as it is written in exports: `low_word_score`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LowWordScore => "low_word_score",
            Self::NoSpeechUnderWords => "no_speech_under_words",
            Self::Repetition => "repetition",
            Self::ImplausibleRate => "implausible_rate",
            Self::UncertainLanguage => "uncertain_language",
            Self::UnexpectedScript => "unexpected_script",
            Self::ClippedAudio => "clipped_audio",
            Self::LowAudio => "low_audio",
            Self::SpeechWithoutWords => "speech_without_words",
            Self::NonSpeechText => "non_speech_text",
            Self::CrossTalk => "cross_talk",
            Self::Overlap => "overlap",
            Self::EchoOfPrompt => "echo_of_prompt",
            Self::WeakText => "weak_text",
            Self::LiveDisagrees => "live_disagrees",
            Self::StockPhrase => "stock_phrase",
            Self::AudioMissing => "audio_missing",
            Self::HeardTwice => "heard_twice",
        }
    }

    /// The reason in words, for a person.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::LowWordScore => "the recogniser was not sure of these words",
            Self::NoSpeechUnderWords => "no speech was detected under these words",
            Self::Repetition => "the same words repeat, as in a loop",
            Self::ImplausibleRate => "more or fewer words than people speak in that time",
            Self::UncertainLanguage => "the language is not certain, or is none of those allowed",
            Self::UnexpectedScript => "letters of a script that no allowed language uses",
            Self::ClippedAudio => "the audio is clipped (recorded too loud)",
            Self::LowAudio => "the audio is very low",
            Self::SpeechWithoutWords => "somebody speaks here and no words were found",
            Self::NonSpeechText => "text that stands for a sound, not for words",
            Self::CrossTalk => "this was said at another microphone and is only heard here",
            Self::Overlap => "somebody else spoke at the same time on another channel",
            Self::EchoOfPrompt => "these words are what the recogniser was told beforehand",
            Self::WeakText => "the recogniser held the text as a whole to be improbable",
            Self::LiveDisagrees => "while it was said quite another text was shown",
            Self::StockPhrase => "a phrase that recognisers are known to invent where nobody speaks",
            Self::AudioMissing => "audio is missing right beside these words; one may be cut off",
            Self::HeardTwice => "heard again without the glossary or the text before, it was quite another text",
        }
    }
}

/// A measured figure and the limit it crossed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was measured, with its unit in the name: `lowest_score`, `words_per_second`.
    pub measure: String,
    /// The figure.
    pub value: f64,
    /// The limit.
    pub limit: f64,
}

impl Evidence {
    /// `measure` was `value`, the limit is `limit`.
    #[must_use]
    pub fn new(measure: &str, value: f64, limit: f64) -> Self {
        Self { measure: measure.to_owned(), value, limit }
    }
}

/// One doubt about one segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flag {
    /// Why.
    pub code: FlagCode,
    /// What was measured.
    pub evidence: Vec<Evidence>,
    /// The words it covers, as indices into the segment's words; empty for a flag on the segment as a whole without words.
    pub words: Range<usize>,
}
