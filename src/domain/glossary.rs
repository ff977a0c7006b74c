//! Terms that may come up in a court: names, places, articles of law. Somebody approved them, and what they were is known for ever by
//! their digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    engine::Sha256Hash,
    fault::{Fault, FaultKind},
    language::LanguageTag,
};

/// More terms than this are a dictionary, of which next to nothing could be told.
pub const MOST_TERMS: usize = 500;

/// The longest term, in characters.
const MOST_CHARACTERS: usize = 60;

/// The longest term, in words.
const MOST_WORDS: usize = 5;

/// A full stop may stand behind so many letters: `Dr.`, `Art.`, `J.`
const LONGEST_ABBREVIATION: usize = 4;

/// Who approved a glossary, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The person or office, by the court's own identifier.
    pub by: String,
    /// The day, as it was written: `2026-11-20`.
    pub on: String,
}

/// A glossary as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Its number: 1, and one more with each change.
    pub version: u32,
    /// In which language the terms are; unset for names, which are the same in all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageTag>,
    /// Who approved it, and when.
    pub approved: Approval,
    /// The terms, what matters most first: of a long list only the first are told.
    pub terms: Vec<String>,
}

/// Terms that were looked through: no sentences, none twice, all of them short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glossary {
    draft: Draft,
    sha256: Sha256Hash,
}

/// What is wrong with a glossary. A term is named by its place and not by what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlossaryError {
    /// Nobody is named.
    #[error("a glossary without who approved it, or when: write approved.by and approved.on")]
    NotApproved,
    /// No terms, or too many.
    #[error("a glossary of {count} terms: 1 to {MOST_TERMS} can be")]
    Count {
        /// How many there are.
        count: usize,
    },
    /// A term that cannot be one.
    #[error("term {number} of the glossary {problem}")]
    Term {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong.
        problem: TermProblem,
    },
}

/// What is wrong with a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermProblem {
    /// Nothing to say.
    #[error("has no letters")]
    Empty,
    /// Too long.
    #[error("is longer than {MOST_CHARACTERS} characters")]
    Long,
    /// A clause.
    #[error("has more than {MOST_WORDS} words: a recogniser would say a clause where nobody did")]
    Clause,
    /// The mark of a sentence, of a list, or of a line.
    #[error("holds the mark of a sentence, of a list or of a line: write one name or term alone")]
    Sentence,
    /// The same as another.
    #[error("is there twice")]
    Twice,
    /// In letters that the language is not written in.
    #[error("is in letters that the glossary's language is not written in: write it as it is to be read in the text")]
    Script,
}

impl Fault for GlossaryError {
    fn kind(&self) -> FaultKind {
        FaultKind::Invalid
    }
}

impl Glossary {
    /// Looks a draft through. `fits` says whether a letter belongs to a language's own script.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(mut draft: Draft, fits: impl Fn(char, &LanguageTag) -> bool) -> Result<Self, GlossaryError> {
        for text in draft.terms.iter_mut().chain([&mut draft.approved.by, &mut draft.approved.on]) {
            *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        if draft.approved.by.is_empty() || draft.approved.on.is_empty() {
            return Err(GlossaryError::NotApproved);
        }
        let count = draft.terms.len();
        if !(1..=MOST_TERMS).contains(&count) {
            return Err(GlossaryError::Count { count });
        }
        for (place, term) in draft.terms.iter().enumerate() {
            let other = |letter: char| draft.language.as_ref().is_some_and(|language| !fits(letter, language));
            let problem = match problem(term) {
                None if draft.terms[..place].contains(term) => Some(TermProblem::Twice),
                None if term.chars().filter(|c| c.is_alphabetic()).any(other) => Some(TermProblem::Script),
                found => found,
            };
            if let Some(problem) = problem {
                return Err(GlossaryError::Term { number: place + 1, problem });
            }
        }
        let sha256 = digest(&draft);
        Ok(Self { draft, sha256 })
    }

    /// The terms, what matters most first.
    #[must_use]
    pub fn terms(&self) -> &[String] {
        &self.draft.terms
    }

    /// In which language they are; `None` where that does not matter.
    #[must_use]
    pub const fn language(&self) -> Option<&LanguageTag> {
        self.draft.language.as_ref()
    }

    /// Who approved it, and when.
    #[must_use]
    pub const fn approval(&self) -> &Approval {
        &self.draft.approved
    }

    /// Its number.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.draft.version
    }

    /// SHA-256 of all of it, in a form that does not depend on the file it came from.
    #[must_use]
    pub const fn sha256(&self) -> Sha256Hash {
        self.sha256
    }
}

fn problem(term: &str) -> Option<TermProblem> {
    let words: Vec<&str> = term.split(' ').collect();
    let last = words.len() - 1;
    let ends = |(place, word): (usize, &&str)| {
        let longest = word.split('.').map(|part| part.chars().count()).max().unwrap_or(0);
        let closes = place == last && last > 1 && !word.starts_with(char::is_uppercase);
        word.ends_with('.') && (longest > LONGEST_ABBREVIATION || word.ends_with("..") || closes)
    };
    if !term.chars().any(char::is_alphanumeric) {
        Some(TermProblem::Empty)
    } else if term.chars().count() > MOST_CHARACTERS {
        Some(TermProblem::Long)
    } else if words.len() > MOST_WORDS {
        Some(TermProblem::Clause)
    } else if term.contains(['!', '?', ';', ':', ',', '…', '。', '！', '？', '、', '，', '؟', '،', '।', '"', '<', '|'])
        || term.chars().any(char::is_control)
        || words.iter().enumerate().any(ends)
    {
        Some(TermProblem::Sentence)
    } else {
        None
    }
}

/// Of a line each for the form, version, language, approval and terms; no part can hold the end of a line.
fn digest(draft: &Draft) -> Sha256Hash {
    let language = draft.language.as_ref().map_or("", LanguageTag::as_str);
    let mut text = format!("vivavoce glossary 1\n{}\n{language}\n", draft.version);
    for part in [&draft.approved.by, &draft.approved.on].into_iter().chain(&draft.terms) {
        text.push_str(part);
        text.push('\n');
    }
    Sha256Hash::new(Sha256::digest(text.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(terms: &[&str]) -> Draft {
        Draft {
            version: 1,
            language: None,
            approved: Approval { by: "registry".to_owned(), on: "2026-11-20".to_owned() },
            terms: terms.iter().map(|term| (*term).to_owned()).collect(),
        }
    }

    #[track_caller]
    fn check(terms: &[&str], expected: Result<(), GlossaryError>) {
        assert_eq!(Glossary::new(draft(terms), |_, _| true).map(drop), expected);
    }

    #[test]
    fn names_and_articles_are_terms_and_sentences_are_not() {
        check(&["Nikolaj Petrović", "Dr. J. Ngũgĩ wa Thiong'o", "Art. 6(1)(c)", "Côte-d'Or", "最高裁判所"], Ok(()));
        let wrong = |number, problem| Err(GlossaryError::Term { number, problem });
        check(&["Bredel", "He was at the station then"], wrong(2, TermProblem::Clause));
        check(&["Who was it?"], wrong(1, TermProblem::Sentence));
        check(&["It was him."], wrong(1, TermProblem::Sentence));
        check(&["U.S.A.", "Smith v. Jones", "Juan Ibáñez Jr."], Ok(()));
        check(&["The witness left."], wrong(1, TermProblem::Sentence));
        check(&["Bredel, Dupont"], wrong(1, TermProblem::Sentence));
        check(&["..."], wrong(1, TermProblem::Empty));
        check(&["Bredel", "Bredel "], wrong(2, TermProblem::Twice));
        check(&[&"a".repeat(61)], wrong(1, TermProblem::Long));
        check(&[], Err(GlossaryError::Count { count: 0 }));
        let mut nobody = draft(&["Bredel"]);
        nobody.approved.by = " ".to_owned();
        assert_eq!(Glossary::new(nobody, |_, _| true).unwrap_err(), GlossaryError::NotApproved);
    }

    #[test]
    fn letters_that_the_language_is_not_written_in_are_refused() {
        let mut french = draft(&["Dupont", "Петров"]);
        french.language = Some("fr".parse().unwrap());
        let latin = |letter: char, _: &LanguageTag| letter.is_ascii();
        let error = Glossary::new(french, latin).unwrap_err();
        assert_eq!(error, GlossaryError::Term { number: 2, problem: TermProblem::Script });
    }

    #[test]
    fn its_digest_stands_for_every_part_and_not_for_how_it_was_spaced() {
        let of = |draft: Draft| Glossary::new(draft, |_, _| true).unwrap().sha256();
        let first = of(draft(&["Bredel", "Nikolaj Petrović"]));
        assert_eq!(of(draft(&[" Bredel", "Nikolaj  Petrović"])), first);
        assert_ne!(of(draft(&["Nikolaj Petrović", "Bredel"])), first);
        assert_ne!(of(Draft { version: 2, ..draft(&["Bredel", "Nikolaj Petrović"]) }), first);
        // A digest that changes would have records name glossaries that nobody finds.
        assert_eq!(first.to_string(), "e7c23f8a5524241487ab69b244b3b6fbfa4f74a06ee7ec2eceb0fe8afeb6c2ac");
    }
}
