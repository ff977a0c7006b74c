//! Phrases that engines of this family are known to invent (guard G9), from a list with its published sources.

use std::{collections::HashMap, ops::Range, sync::LazyLock};

use super::distance::letters;
use crate::domain::{
    flag::{Evidence, Flag, FlagCode},
    hypothesis::Hypothesis,
};

/// The list; it says where it is from.
const LIST: &str = include_str!("stock_phrases.tsv");

/// What is known of a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nobody says it in a room.
    Credit,
    /// People say it too.
    Said,
}

/// By the letters of the phrase.
static PHRASES: LazyLock<HashMap<Vec<char>, Kind>> = LazyLock::new(|| {
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    let phrases = lines.filter_map(|line| {
        let (kind, rest) = line.split_once('\t')?;
        let (_language, phrase) = rest.split_once('\t')?;
        let kind = if kind == "credit" { Kind::Credit } else { Kind::Said };
        Some((letters([phrase]), kind))
    });
    phrases.collect()
});

/// Flags sentences, and the whole, that are such a phrase and nothing else. What people say too counts only on `thin` ground.
///
/// The language does not matter: where nobody speaks, the engine's own choice of one is as invented as its text.
pub(super) fn stock_phrases(hypothesis: &Hypothesis, thin: bool, flags: &mut Vec<Flag>) {
    let whole = 0..hypothesis.words.len();
    let is_stock = |words: &Range<usize>| {
        let kind = PHRASES.get(&letters(hypothesis.words[words.clone()].iter().map(|w| w.text.as_str())));
        kind.is_some_and(|kind| *kind == Kind::Credit || thin)
    };
    let flag = |words| {
        // Not a figure that crossed a limit: it is in the list, once.
        Flag { code: FlagCode::StockPhrase, evidence: vec![Evidence::new("phrases_in_list", 1.0, 0.0)], words }
    };
    if is_stock(&whole) {
        flags.push(flag(whole));
        return;
    }
    flags.extend(sentences(hypothesis).filter(is_stock).map(flag));
}

/// The sentences, by their marks.
fn sentences(hypothesis: &Hypothesis) -> impl Iterator<Item = Range<usize>> + '_ {
    let words = &hypothesis.words;
    let mut from = 0;
    let ends = (0..words.len())
        .filter(|n| n + 1 == words.len() || words[*n].text.ends_with(['.', '!', '?', '…', '。', '！', '？', '؟', '।']));
    ends.map(move |n| std::mem::replace(&mut from, n + 1)..n + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_read_and_says_its_kind() {
        let lines: Vec<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), PHRASES.len(), "a phrase is there twice, or a line is none");
        for line in lines {
            let parts: Vec<&str> = line.split('\t').collect();
            assert!(matches!(parts[..], ["credit" | "said", _, _]), "{line:?}");
            parts[1].parse::<crate::domain::language::LanguageTag>().unwrap();
            assert!(!letters([parts[2]]).is_empty(), "{line:?}");
        }
    }
}
