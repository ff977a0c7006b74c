//! Text that is an echo of what the decoder was told (guard G4): of what was said before, or of a glossary. Where there is nothing to
//! hear, a decoder that was told something goes on with it.

use std::ops::Range;

use super::distance::{from_part, letters};
use crate::{
    domain::{
        flag::{Evidence, Flag, FlagCode},
        hypothesis::{Hypothesis, Told},
    },
    speech::asr::Lead,
};

/// A text that is more like a part of what was told than this is an echo of it; 1 is the same, letter by letter.
const MOST_ALIKE: f64 = 0.8;

/// Fewer letters than this may be alike by chance, or a word that people repeat.
const LEAST_LETTERS: usize = 12;

/// Two texts of the same sound that differ in more than this share of their letters are two opinions.
const MOST_UNLIKE: f64 = 0.4;

/// So many terms of a glossary one after the other are a list being read out.
const TERMS_IN_A_ROW: usize = 3;

/// The longest word that may stand between two of them: `Anders, Bredel and Cvetić`.
const LONGEST_LINK: usize = 3;

/// The longest term, in words as they are written; in scripts without spaces each character is one.
const LONGEST_TERM: usize = 16;

/// Flags the text where it is an echo as a whole, and runs of terms. One or two terms that are the whole text count only on `thin`
/// ground: a name is called out in a court.
pub(super) fn echoes(hypothesis: &Hypothesis, told: &Lead, thin: bool, flags: &mut Vec<Flag>) {
    if hypothesis.told != Told::Heeded {
        return;
    }
    let all = 0..hypothesis.words.len();
    let alike = likeness(&hypothesis.text(), told);
    if alike > MOST_ALIKE {
        flags.push(flag(all, "likeness_to_prompt", alike, MOST_ALIKE));
        return;
    }
    let runs = terms(hypothesis, &told.terms);
    let said: usize = hypothesis.words.iter().map(|w| letters([w.text.as_str()]).len()).sum();
    let covered: usize = runs.iter().map(|run| run.letters).sum();
    let share = ratio(covered, said);
    if thin && share > MOST_ALIKE {
        flags.push(flag(all, "share_of_glossary", share, MOST_ALIKE));
        return;
    }
    let rows = runs.into_iter().filter(|run| run.terms >= TERMS_IN_A_ROW);
    flags.extend(
        rows.map(|run| flag(run.words, "glossary_terms_in_a_row", ratio(run.terms, 1), ratio(TERMS_IN_A_ROW, 1))),
    );
}

/// Whether a decoder that was told this has said it again. What it says without is to be heard instead.
#[must_use]
pub fn is_echo(text: &str, told: &Lead) -> bool {
    likeness(text, told) > MOST_ALIKE
}

/// How much of a text is otherwise than in another one that was made of the same sound: 0 for nothing, 1 for all.
#[must_use]
pub fn unlike(text: &str, other: &str) -> f32 {
    let (text, other) = (letters([text]), letters([other]));
    let (longer, shorter) = if text.len() < other.len() { (other, text) } else { (text, other) };
    #[expect(clippy::cast_possible_truncation, reason = "a share")]
    let share = ratio(from_part(&longer, &shorter), longer.len()) as f32;
    share
}

/// Flags a text that was made again without what the decoder was told, and came out as quite another one (guard G8).
pub(super) fn second_hearing(hypothesis: &Hypothesis, flags: &mut Vec<Flag>) {
    let Told::Withdrawn { unlike } = hypothesis.told else { return };
    let unlike = f64::from(unlike);
    if unlike > MOST_UNLIKE && !hypothesis.words.is_empty() {
        let evidence = vec![Evidence::new("letters_changed_share", unlike, MOST_UNLIKE)];
        flags.push(Flag { code: FlagCode::HeardTwice, evidence, words: 0..hypothesis.words.len() });
    }
}

/// How like a part of what was told a text is, 0 to 1; 0 for a text that is too short to say.
fn likeness(text: &str, told: &Lead) -> f64 {
    let said = letters([text]);
    if said.len() < LEAST_LETTERS {
        return 0.0;
    }
    let apart = |whole: Vec<char>| if whole.is_empty() { said.len() } else { from_part(&said, &whole) };
    let before = apart(letters([told.before.as_str()]));
    // A name that is called out is the same as itself: of a list more than one is said.
    let longest = told.terms.iter().map(|term| letters([term.as_str()]).len()).max().unwrap_or(0);
    let several = said.len() > longest * 2;
    let listed = if several { apart(letters(told.terms.iter().map(String::as_str))) } else { said.len() };
    1.0 - ratio(before.min(listed).min(said.len()), said.len())
}

/// Terms of a glossary one after the other.
struct Run {
    words: Range<usize>,
    terms: usize,
    letters: usize,
}

fn terms(hypothesis: &Hypothesis, glossary: &[String]) -> Vec<Run> {
    if glossary.is_empty() {
        return Vec::new();
    }
    let glossary: Vec<Vec<char>> = glossary.iter().map(|term| letters([term.as_str()])).collect();
    let words: Vec<Vec<char>> = hypothesis.words.iter().map(|w| letters([w.text.as_str()])).collect();
    let term_at = |at: usize| {
        let longest = LONGEST_TERM.min(words.len() - at);
        (1..=longest).rev().find(|length| {
            let said = words[at..at + length].concat();
            !said.is_empty() && glossary.contains(&said)
        })
    };
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some(length) = term_at(at) else {
            at += 1;
            continue;
        };
        let letters: usize = words[at..at + length].iter().map(Vec::len).sum();
        let link = |from: usize| from == at || (from + 1 == at && words[from].len() <= LONGEST_LINK);
        match runs.last_mut().filter(|run| link(run.words.end)) {
            Some(run) => {
                let linked: usize = words[run.words.end..at].iter().map(Vec::len).sum();
                (run.words.end, run.terms, run.letters) = (at + length, run.terms + 1, run.letters + linked + letters);
            }
            None => runs.push(Run { words: at..at + length, terms: 1, letters }),
        }
        at += length;
    }
    runs
}

fn flag(words: Range<usize>, measure: &str, value: f64, limit: f64) -> Flag {
    Flag { code: FlagCode::EchoOfPrompt, evidence: vec![Evidence::new(measure, value, limit)], words }
}

#[expect(clippy::cast_precision_loss, reason = "letters of one utterance")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
