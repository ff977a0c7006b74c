//! What was shown while somebody spoke against what the record holds (guard G7).

use super::distance::{from_beginning, letters};
use crate::domain::flag::{Evidence, Flag, FlagCode};

/// Of the letters that were shown as committed, more than this share had to be changed.
const MOST_CHANGED: f64 = 0.4;

/// Fewer letters than this are a word or two, of which nothing follows.
const LEAST_LETTERS: usize = 8;

/// A flag on all words, where what was committed is quite another text than the one that stands. What was not committed yet when the
/// utterance ended is no difference.
#[must_use]
pub fn disagreement(committed: &[&str], stands: &[&str]) -> Option<Flag> {
    let shown = letters(committed.iter().copied());
    if shown.len() < LEAST_LETTERS {
        return None;
    }
    let apart = from_beginning(&shown, &letters(stands.iter().copied()));
    #[expect(clippy::cast_precision_loss, reason = "letters of one utterance")]
    let share = apart as f64 / shown.len() as f64;
    let evidence = vec![Evidence::new("letters_changed_share", share, MOST_CHANGED)];
    (share > MOST_CHANGED).then_some(Flag { code: FlagCode::LiveDisagrees, evidence, words: 0..stands.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(committed: &str, stands: &str, expected: bool) {
        let (committed, stands): (Vec<_>, Vec<_>) = (committed.split(' ').collect(), stands.split(' ').collect());
        let flag = disagreement(&committed, &stands);
        assert_eq!(flag.is_some(), expected, "{flag:?}");
        assert!(flag.is_none_or(|flag| flag.words == (0..stands.len())));
    }

    #[test]
    fn quite_another_text_is_flagged_and_a_word_corrected_is_not() {
        check("I saw him at the", "I saw him at the station on Monday.", false);
        check("I saw hymn at the", "I saw him at the station on Monday.", false);
        check("Thank you for watching this", "I saw him at the station on Monday.", true);
        check("I saw him at the station", "", true);
        check("Yes, so", "No, never.", false);
        check("", "I saw him.", false);
    }
}
