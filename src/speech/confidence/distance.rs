//! How far two texts are apart, by their letters: the least number of letters to change, add or leave out (Levenshtein 1966), where
//! the one is looked for inside the other.

use crate::text::normalize::fold;

/// The letters of a text without case, spaces and punctuation.
pub(super) fn letters<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<char> {
    words.into_iter().flat_map(|word| fold(word).chars().collect::<Vec<_>>()).collect()
}

/// The distance of `text` from how `whole` begins, at its best: what follows there costs nothing.
pub(super) fn from_beginning(text: &[char], whole: &[char]) -> usize {
    least(text, whole, |place| place)
}

/// The distance of `text` from any part of `whole`, at its best.
pub(super) fn from_part(text: &[char], whole: &[char]) -> usize {
    least(text, whole, |_| 0)
}

/// `skipped` is what it costs to begin behind so many letters of the whole. Cost: the product of the lengths.
fn least(text: &[char], whole: &[char], skipped: impl Fn(usize) -> usize) -> usize {
    let mut row: Vec<usize> = (0..=whole.len()).map(skipped).collect();
    for letter in text {
        let mut diagonal = row[0];
        row[0] += 1;
        for place in 1..row.len() {
            let changed = diagonal + usize::from(whole[place - 1] != *letter);
            diagonal = row[place];
            row[place] = changed.min(row[place] + 1).min(row[place - 1] + 1);
        }
    }
    row.into_iter().min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, whole: &str, beginning: usize, part: usize) {
        let (text, whole) = (letters([text]), letters([whole]));
        assert_eq!((from_beginning(&text, &whole), from_part(&text, &whole)), (beginning, part));
    }

    #[test]
    fn a_text_is_looked_for_at_the_beginning_and_anywhere() {
        check("ask not", "Ask not what", 0, 0);
        check("what", "Ask what not", 3, 0);
        check("wet", "Ask what not", 3, 2);
        check("", "Ask", 0, 0);
        check("ask", "", 3, 3);
    }
}
