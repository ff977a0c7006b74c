//! One item: what was said against what was put out, in words and in characters.

use crate::{
    domain::language::LanguageTag,
    text::{
        normalize::{by_characters, normalize, units},
        wer::{Tally, align, distance},
    },
};

/// The counts of one item, or of many added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Errors over words; over characters in a language without spaces.
    pub words: Tally,
    /// Characters of the reference, with the spaces between words.
    pub characters: usize,
    /// Edits from the reference to the hypothesis, character by character.
    pub character_errors: usize,
}

impl Counts {
    /// The character error rate in percent; `None` where the reference is empty.
    #[must_use]
    pub fn character_percent(&self) -> Option<f64> {
        (self.characters > 0).then(|| 100.0 * self.character_errors as f64 / self.characters as f64)
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            words: [sum.words, one.words].into_iter().sum(),
            characters: sum.characters + one.characters,
            character_errors: sum.character_errors + one.character_errors,
        })
    }
}

/// One item laid against its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scored {
    /// The counts.
    pub counts: Counts,
    /// For each normalised unit of the hypothesis whether it is right: the labels for judging confidence.
    pub right: Vec<bool>,
}

/// Lays a hypothesis against its reference after both are normalised.
///
/// Where the reference says nothing all that was put out is an insertion, and there is no rate.
///
/// ```
/// use vivavoce::evaluation::score::score;
/// let found = score("Ask not what.", "ask what?", &"en".parse().unwrap());
/// assert_eq!((found.counts.words.deletions, found.counts.words.reference), (1, 3));
/// ```
#[must_use]
pub fn score(reference: &str, hypothesis: &str, language: &LanguageTag) -> Scored {
    let (reference, hypothesis) = (normalize(reference, language), normalize(hypothesis, language));
    let (said, heard) = (units(&reference, language), units(&hypothesis, language));
    let alignment = align(&said, &heard);
    let space = if by_characters(language) { "" } else { " " };
    let characters = |units: &[&str]| units.join(space).chars().collect::<Vec<char>>();
    let (said, heard) = (characters(&said), characters(&heard));
    let counts = Counts { words: alignment.tally, characters: said.len(), character_errors: distance(&said, &heard) };
    Scored { counts, right: alignment.right }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(language: &str, reference: &str, hypothesis: &str, errors: (usize, usize), of: (usize, usize)) {
        let found = score(reference, hypothesis, &language.parse().unwrap()).counts;
        assert_eq!((found.words.errors(), found.character_errors), errors, "{reference} | {hypothesis}");
        assert_eq!((found.words.reference, found.characters), of, "{reference} | {hypothesis}");
    }

    #[test]
    fn words_and_characters_are_counted_after_normalising() {
        check("en", "Ask not: what?", "ask, NOT what", (0, 0), (3, 12));
        check("fr-CA", "Le numéro est vide", "le numero est", (2, 6), (4, 18));
        check("cs", "slovo", "", (1, 5), (1, 5));
        check("en", "", "so it goes", (3, 10), (0, 0));
    }

    #[test]
    fn languages_without_spaces_are_counted_in_characters() {
        check("zh-CN", "我 有 iPhone", "我有iphone。", (0, 0), (3, 8));
        check("ja", "東京都", "京都", (1, 1), (3, 3));
        check("zh", "我有iphone", "我有phone", (1, 1), (3, 8));
    }
}
