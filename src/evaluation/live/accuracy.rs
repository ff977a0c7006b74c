//! Errors of the final text of a live stream, and what streaming costs against the same model offline.

use std::collections::BTreeMap;

use crate::{
    domain::language::LanguageTag,
    evaluation::score::{Counts, score},
    text::normalize::by_characters,
};

/// What was said on a channel, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// In which language.
    pub language: LanguageTag,
    /// What was said, recording after recording.
    pub references: Vec<String>,
    /// What was made of each offline, where that is known.
    pub offline: Option<Vec<String>>,
    /// The final text of the stream, in order of time.
    pub heard: String,
}

/// Errors of one language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Of the stream.
    pub live: Counts,
    /// Of the same recordings offline.
    pub offline: Option<Counts>,
}

impl Errors {
    /// How many points the stream's error rate lies above that of the same recordings offline.
    ///
    /// ```
    /// use vivavoce::evaluation::live::accuracy::{Errors, Said, of_channels};
    /// let said = Said { language: "en".parse().unwrap(), references: vec!["ask not".into(), "what".into()],
    ///     offline: Some(vec!["ask not".into(), "what".into()]), heard: "Ask what?".into() };
    /// let found = of_channels(&[said]);
    /// assert_eq!(found.pooled.unwrap().penalty_points().unwrap().round(), 33.0);
    /// ```
    #[must_use]
    pub fn penalty_points(&self) -> Option<f64> {
        Some(self.live.words.percent()? - self.offline?.words.percent()?)
    }
}

/// Errors a language, and of all that are counted in words together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// By the language's tag.
    pub languages: BTreeMap<String, Errors>,
    /// Of the languages that are written with spaces; `None` where none was spoken.
    pub pooled: Option<Errors>,
}

/// Counts the errors. Each channel's text is laid against all that was said there, in order: where a segment spans two
/// recordings nothing has to be cut.
#[must_use]
pub fn of_channels(channels: &[Said]) -> Accuracy {
    let mut found = Accuracy::default();
    for said in channels.iter().filter(|said| !said.references.is_empty()) {
        let reference = said.references.join(" ");
        let errors = Errors {
            live: score(&reference, &said.heard, &said.language).counts,
            offline: said.offline.as_ref().map(|texts| {
                let pairs = said.references.iter().zip(texts);
                pairs.map(|(reference, text)| score(reference, text, &said.language).counts).sum()
            }),
        };
        add(found.languages.entry(said.language.to_string()), errors);
        if !by_characters(&said.language) {
            found.pooled = Some(found.pooled.map_or(errors, |sum| plus(sum, errors)));
        }
    }
    found
}

fn add(entry: std::collections::btree_map::Entry<'_, String, Errors>, errors: Errors) {
    entry.and_modify(|sum| *sum = plus(*sum, errors)).or_insert(errors);
}

/// Where offline texts are missing on one side, there is no sum of them.
fn plus(a: Errors, b: Errors) -> Errors {
    let offline = a.offline.zip(b.offline).map(|(a, b)| [a, b].into_iter().sum());
    Errors { live: [a.live, b.live].into_iter().sum(), offline }
}
