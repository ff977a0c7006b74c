//! What a live stream is worth: how soon each word is shown, committed and final, and how steady the text is meanwhile.
//!
//! Pure: it takes what came back with the time at which it came, and gives figures. `vivavoce load` is who listens. All times
//! are milliseconds since the first sample of the channel was spoken; a sample is spoken when its place in the audio has
//! come, so that the time of a word's end and the time at which it arrived lie on one scale.

pub mod accuracy;
pub mod emission;
pub mod plot;
pub mod render;
pub mod resources;
pub mod schedule;
pub mod spread;
pub mod steadiness;

use self::{
    emission::{Emission, emissions},
    spread::{Spread, slope},
    steadiness::Steadiness,
};
use crate::text::normalize::normalize_plain;

/// How far the times of words and spans may be off, milliseconds, before two of them are not taken to be about the same
/// speech. About a short word: engines place words that well where they place them at all.
const SLACK_MS: u64 = 300;

/// A word with its place in the audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedWord {
    /// With its punctuation.
    pub text: String,
    /// Where it begins.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
}

/// Text that may still change, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// When it came.
    pub at_ms: u64,
    /// The audio that was looked at, from here.
    pub start_ms: u64,
    /// To here.
    pub end_ms: u64,
    /// Its words; they take the place of those of the partial before.
    pub words: Vec<String>,
    /// How many of the first are committed.
    pub stable: usize,
}

/// Text of the record, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Final {
    /// When it came.
    pub at_ms: u64,
    /// Where its segment begins.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// Its words.
    pub words: Vec<TimedWord>,
    /// As it would be written.
    pub text: String,
}

/// Everything that came back for a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// In the order in which they came.
    pub partials: Vec<Partial>,
    /// In any order; each segment once.
    pub finals: Vec<Final>,
    /// When each word was spoken, by somebody else's word; without it the finals' own times are taken.
    pub times: Option<Vec<TimedWord>>,
}

/// The figures of some channels together. Latencies are milliseconds after the end of the word in the audio.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Words of the final text.
    pub words: usize,
    /// Words of which the time is known: all of them, or those that were found in the reference of times.
    pub timed: usize,
    /// Until a word stood in any partial or final.
    pub shown: Option<Spread>,
    /// Until it stood among the committed words of a partial, or in a final.
    pub committed: Option<Spread>,
    /// Until it was final.
    pub settled: Option<Spread>,
    /// A final's arrival after the end of its last word.
    pub final_after_speech: Option<Spread>,
    /// A final's arrival after the end of its segment, the silence that ended it included.
    pub final_after_span: Option<Spread>,
    /// How much later words are committed an hour on, seconds: a server that keeps up has zero. `None` for fewer than two
    /// words.
    pub lag_slope_s_per_h: Option<f64>,
    /// How much the text changed before one's eyes.
    pub steadiness: Steadiness,
    /// Each word, for a plot; by the time at which it was spoken.
    pub emissions: Vec<Emission>,
}

/// What the channels come to.
///
/// ```
/// use vivavoce::evaluation::live::{Final, Heard, Partial, TimedWord, figures};
/// let word = |text: &str, start_ms, end_ms| TimedWord { text: text.into(), start_ms, end_ms };
/// let partial = Partial { at_ms: 1_400, end_ms: 1_300, words: vec!["Ask".into()], stable: 1, ..Partial::default() };
/// let last = Final { at_ms: 2_900, end_ms: 2_500, words: vec![word("Ask", 500, 1_000), word("not.", 1_000, 2_000)], ..Final::default() };
/// let found = figures(&[Heard { partials: vec![partial], finals: vec![last], times: None }]);
/// assert_eq!((found.words, found.committed.unwrap().p50, found.committed.unwrap().max), (2, 400, 900));
/// ```
#[must_use]
pub fn figures(channels: &[Heard]) -> Figures {
    let mut all: Vec<Emission> = channels.iter().flat_map(emissions).collect();
    all.sort_by_key(|word| word.end_ms);
    let of = |latency: fn(&Emission) -> i64| Spread::of(all.iter().map(latency).collect());
    let finals = || channels.iter().flat_map(|channel| &channel.finals);
    let after = |end: fn(&Final) -> Option<u64>| {
        Spread::of(finals().filter_map(|last| Some(after_ms(last.at_ms, end(last)?))).collect())
    };
    let lag: Vec<(f64, f64)> = all.iter().map(|w| (w.end_ms as f64, w.committed_ms as f64)).collect();
    Figures {
        words: finals().map(|last| keys(last.words.iter().map(|w| w.text.as_str())).len()).sum(),
        timed: all.len(),
        shown: of(|word| word.shown_ms),
        committed: of(|word| word.committed_ms),
        settled: of(|word| word.final_ms),
        final_after_speech: after(|last| last.words.last().map(|word| word.end_ms)),
        final_after_span: after(|last| (!last.words.is_empty()).then_some(last.end_ms)),
        // Milliseconds a millisecond are seconds a second.
        lag_slope_s_per_h: slope(&lag).map(|slope| slope * 3_600.0),
        steadiness: channels.iter().map(steadiness::of_channel).sum(),
        emissions: all,
    }
}

/// From `end_ms` to `at_ms`; negative where that lies before.
fn after_ms(at_ms: u64, end_ms: u64) -> i64 {
    at_ms.cast_signed().saturating_sub(end_ms.cast_signed())
}

/// Words in the form in which they are compared, each with its place; what is nothing but punctuation is left out. Case and
/// punctuation may change without a word being another.
fn keys<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<(String, usize)> {
    let keyed = words.into_iter().enumerate().map(|(index, word)| (normalize_plain(word), index));
    keyed.filter(|(key, _)| !key.is_empty()).collect()
}

#[cfg(test)]
mod tests;
