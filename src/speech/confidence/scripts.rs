//! Which scripts a language is written in, and words in another one.

use unicode_script::{Script, UnicodeScript};

use crate::domain::{
    flag::{Evidence, Flag, FlagCode},
    hypothesis::Hypothesis,
    language::{AllowedLanguages, LanguageTag},
};

/// Flags words with letters of a script that none of the allowed languages uses, one flag for each run.
pub(super) fn unexpected_script(hypothesis: &Hypothesis, allowed: &AllowedLanguages, flags: &mut Vec<Flag>) {
    let mut run: Option<Flag> = None;
    for (at, word) in hypothesis.words.iter().enumerate() {
        let foreign = word.text.chars().filter(|c| c.is_alphabetic() && !expected(*c, allowed)).count();
        if foreign == 0 {
            flags.extend(run.take());
            continue;
        }
        match &mut run {
            Some(flag) => flag.words.end = at + 1,
            None => {
                let evidence = vec![Evidence::new("letters_of_another_script", foreign as f64, 0.0)];
                run = Some(Flag { code: FlagCode::UnexpectedScript, evidence, words: at..at + 1 });
            }
        }
    }
    flags.extend(run);
}

/// Whether a letter belongs to a script that the language is written in, or to all of them.
#[must_use]
pub fn belongs(letter: char, language: &LanguageTag) -> bool {
    let script = letter.script();
    matches!(script, Script::Common | Script::Inherited) || scripts(language).contains(&script)
}

fn expected(letter: char, allowed: &AllowedLanguages) -> bool {
    allowed.tags().iter().any(|tag| belongs(letter, tag))
}

/// The scripts a language is written in (CLDR's likely scripts and those in wide use beside them); Latin where it is not
/// named here.
fn scripts(language: &LanguageTag) -> &'static [Script] {
    match language.primary() {
        "ar" | "fa" | "ur" | "ps" => &[Script::Arabic],
        "sd" => &[Script::Arabic, Script::Devanagari],
        "he" | "yi" => &[Script::Hebrew],
        "ru" | "uk" | "be" | "bg" | "mk" => &[Script::Cyrillic],
        "sr" | "uz" | "az" | "tk" | "tg" | "bs" => &[Script::Cyrillic, Script::Latin],
        "kk" | "ba" | "tt" | "mn" => &[Script::Cyrillic, Script::Latin, Script::Arabic, Script::Mongolian],
        "el" => &[Script::Greek],
        "hy" => &[Script::Armenian],
        "ka" => &[Script::Georgian],
        "am" => &[Script::Ethiopic],
        "hi" | "mr" | "ne" | "sa" => &[Script::Devanagari],
        "bn" | "as" => &[Script::Bengali],
        "pa" => &[Script::Gurmukhi, Script::Arabic],
        "gu" => &[Script::Gujarati],
        "ta" => &[Script::Tamil],
        "te" => &[Script::Telugu],
        "kn" => &[Script::Kannada],
        "ml" => &[Script::Malayalam],
        "si" => &[Script::Sinhala],
        "th" => &[Script::Thai],
        "lo" => &[Script::Lao],
        "my" => &[Script::Myanmar],
        "km" => &[Script::Khmer],
        "bo" => &[Script::Tibetan],
        "zh" | "cmn" | "yue" => &[Script::Han, Script::Bopomofo, Script::Latin],
        "ja" => &[Script::Han, Script::Hiragana, Script::Katakana, Script::Latin],
        "ko" => &[Script::Hangul, Script::Han, Script::Latin],
        _ => &[Script::Latin],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        hypothesis::{HeardWord, Told},
        probability::Probability,
        time::{Tick, TickSpan},
    };

    #[track_caller]
    fn check(text: &[&str], allowed: &[&str], expected: &[std::ops::Range<usize>]) {
        let span = TickSpan::starting(Tick::ZERO, 16_000);
        let word = |t: &&str| HeardWord { text: (*t).to_owned(), spaced: true, span, score: Probability::ONE };
        let hypothesis = Hypothesis {
            window: span,
            language: allowed[0].parse().unwrap(),
            language_posterior: None,
            words: text.iter().map(word).collect(),
            allowed_share: None,
            no_speech: Probability::ZERO,
            mean_logprob: 0.0,
            told: Told::Nothing,
            then: Vec::new(),
            posteriors: Vec::new(),
        };
        let allowed = AllowedLanguages::new(allowed.iter().map(|t| t.parse().unwrap()).collect()).unwrap();
        let mut flags = Vec::new();
        unexpected_script(&hypothesis, &allowed, &mut flags);
        assert_eq!(flags.iter().map(|f| f.words.clone()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn letters_of_a_script_that_no_allowed_language_uses_are_flagged() {
        check(&["Guten", "Tag", "спасибо", "большое", "42", "東京"], &["de"], &[2..4, 5..6]);
        check(&["спасибо", "Tag"], &["de", "ru"], &[]);
        check(&["東京", "Tokyo"], &["ja"], &[]);
        check(&["东京", "Paris", "北京"], &["fr"], &[0..1, 2..3]);
        check(&["žluťoučký", "Ōsaka"], &["cs"], &[]);
    }
}
