//! What an engine says it heard in one window of audio.

use serde::{Deserialize, Serialize};

use super::{
    language::LanguageTag,
    probability::Probability,
    time::{Tick, TickSpan},
};

/// One word as heard. `score` is the engine's raw number, not a calibrated confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeardWord {
    /// The word with its punctuation, without surrounding white space, never empty.
    pub text: String,
    /// Whether a space stands before it in the text (not so in Chinese or Japanese).
    pub spaced: bool,
    /// When, in ticks of the channel.
    pub span: TickSpan,
    /// The lowest probability among the word's tokens.
    pub score: Probability,
}

/// What became of what the decoder was told before it heard a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// It was told nothing, or nothing in the language that was spoken.
    #[default]
    Nothing,
    /// It was told something, and the text was made with it.
    Heeded,
    /// What it said with it was an echo, a loop, or nothing: the text was made without.
    Withdrawn {
        /// The share of its letters that the text has otherwise than what was said first, 0 to 1.
        unlike: f32,
    },
}

/// The text of one window, word by word, in time order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// The window that was decoded.
    pub window: TickSpan,
    /// The language the text is in.
    pub language: LanguageTag,
    /// How probable that language was among those allowed; `None` where it was given.
    pub language_posterior: Option<Probability>,
    /// How probable each of the allowed languages was, in their order; empty where one was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub posteriors: Vec<Probability>,
    /// Of the probability that the engine gives to all its languages, the share of those that are allowed; `None` where it
    /// does not tell.
    pub allowed_share: Option<Probability>,
    /// The words.
    pub words: Vec<HeardWord>,
    /// The engine's own probability that nobody speaks.
    pub no_speech: Probability,
    /// Mean natural logarithm of the token probabilities; 0 or less.
    pub mean_logprob: f32,
    /// What became of what the decoder was told.
    pub told: Told,
    /// What was said behind this window in other languages, in order, where the engine was given all of it as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Self>,
}

impl Hypothesis {
    /// The words joined as they would be written.
    #[must_use]
    pub fn text(&self) -> String {
        join(self.words.iter().map(|w| (w.text.as_str(), w.spaced)))
    }

    /// Whether it is of all of `span`: its window, and those of what was said then, one after the other.
    #[must_use]
    pub fn covers(&self, span: TickSpan) -> bool {
        let mut at = span.start();
        for passage in std::iter::once(self).chain(&self.then) {
            if passage.window.start() != at {
                return false;
            }
            at = passage.window.end();
        }
        at == span.end()
    }

    /// The end of the last word, or the start of the window.
    #[must_use]
    pub fn end_of_words(&self) -> Tick {
        self.words.last().map_or(self.window.start(), |w| w.span.end())
    }
}

/// Joins words, each with whether a space stands before it.
///
/// ```
/// use vivavoce::domain::hypothesis::join;
/// assert_eq!(join([("Ask", true), ("not.", true)].into_iter()), "Ask not.");
/// ```
#[must_use]
pub fn join<'a>(words: impl Iterator<Item = (&'a str, bool)>) -> String {
    let mut text = String::new();
    for (word, spaced) in words {
        if spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}
