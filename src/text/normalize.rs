//! Brings two texts of the same words to the same form, so that only real differences count as errors.
//!
//! The rules are those of the project's public scoring script (CC0): compatibility composition, lower case, no text in
//! brackets, punctuation and symbols to spaces, combining marks kept. For English also: contractions and titles spelt
//! out, numbers in words, hesitations dropped. Nothing here is shown to anyone; it is for comparing only.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::domain::language::LanguageTag;

/// The languages written without spaces between words. Their error rate is over characters: a word error rate would
/// measure the segmenter and not the recogniser.
const BY_CHARACTERS: [&str; 10] = ["zh", "cmn", "ja", "yue", "th", "lo", "my", "km", "bo", "dz"];

/// English sounds of hesitation; the references of most sets leave them out.
const HESITATIONS: [&str; 7] = ["uh", "um", "uhm", "hmm", "mm", "mhm", "mmm"];

/// English short forms, in the order in which they are replaced wherever they stand.
const CONTRACTIONS: [(&str, &str); 10] = [
    ("won't", "will not"),
    ("can't", "can not"),
    ("let's", "let us"),
    ("n't", " not"),
    ("'re", " are"),
    ("'ll", " will"),
    ("'ve", " have"),
    ("'m", " am"),
    ("gonna", "going to"),
    ("wanna", "want to"),
];

/// English whole words that are written in two ways.
const SPELLINGS: [(&str, &str); 6] =
    [("mr", "mister"), ("mrs", "missus"), ("dr", "doctor"), ("st", "saint"), ("ok", "okay"), ("cannot", "can not")];

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// The zero of each run of ten decimal digits (general category Nd, Unicode 15.1) that is left after compatibility
/// composition. The standard library knows numbers, and not which of them are decimal digits.
const ZEROS: [u32; 61] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
    0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136,
    0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0,
    0x11F50, 0x16A60, 0x16AC0, 0x16B50, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E950,
];

/// The longest run of digits that is read as one number: hundreds of billions.
const LONGEST_NUMBER: usize = 12;

/// Whether the error rate of this language is counted over characters.
///
/// ```
/// use vivavoce::text::normalize::by_characters;
/// assert!(by_characters(&"zh-CN".parse().unwrap()) && !by_characters(&"fr".parse().unwrap()));
/// ```
#[must_use]
pub fn by_characters(language: &LanguageTag) -> bool {
    BY_CHARACTERS.contains(&language.primary())
}

/// The text in the form in which it is compared: words with one space between them, lower case, no punctuation.
///
/// ```
/// use vivavoce::text::normalize::normalize;
/// assert_eq!(normalize("Mr. O'Neil didn't pay $2,350!", &"en".parse().unwrap()),
///            "mister o'neil did not pay two thousand three hundred fifty");
/// assert_eq!(normalize("«L’accusé» [rires] paie 1 250 €.", &"fr-CA".parse().unwrap()), "l'accusé paie 1250");
/// ```
#[must_use]
pub fn normalize(text: &str, language: &LanguageTag) -> String {
    if language.primary() != "en" {
        return normalize_plain(text);
    }
    let words = only_words(&expand_english(&folded(text)));
    let spoken = words.split_whitespace().filter(|word| !HESITATIONS.contains(word));
    spoken
        .map(|word| SPELLINGS.iter().find(|(short, _)| *short == word).map_or(word, |s| s.1))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The same by the rules that hold for every language: for text of which no language is known.
///
/// ```
/// use vivavoce::text::normalize::normalize_plain;
/// assert_eq!(normalize_plain("Ŝi diris: «1,250.»"), "ŝi diris 1250");
/// ```
#[must_use]
pub fn normalize_plain(text: &str) -> String {
    only_words(&folded(text)).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word without case and punctuation, in whatever language: for looking whether two are the same.
///
/// ```
/// use vivavoce::text::normalize::fold;
/// assert_eq!(fold("«Élan,"), "élan");
/// ```
#[must_use]
pub fn fold(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What is counted: words, or for a language without spaces single characters and whole runs of Latin letters or digits.
///
/// ```
/// use vivavoce::text::normalize::units;
/// assert_eq!(units("我有 iphone 15", &"zh".parse().unwrap()), ["我", "有", "iphone", "15"]);
/// ```
#[must_use]
pub fn units<'a>(normalized: &'a str, language: &LanguageTag) -> Vec<&'a str> {
    let words = normalized.split_whitespace();
    if by_characters(language) { words.flat_map(split_characters).collect() } else { words.collect() }
}

fn split_characters(word: &str) -> Vec<&str> {
    let latin = |c: char| c.is_ascii_alphanumeric() || c == '\'';
    let mut out = Vec::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c| !latin(c)).unwrap_or(rest.len());
        let (unit, tail) = rest.split_at(run.max(first.len_utf8()));
        out.push(unit);
        rest = tail;
    }
    out
}

/// Compatibility composition, lower case, one apostrophe, no remarks in brackets, no separated thousands.
fn folded(text: &str) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase().replace(['\u{2019}', '\u{2bc}', '\u{2018}', '`'], "'");
    join_thousands(&without_brackets(&lower))
}

/// Puts a space for each bracketed remark; a bracket that is never closed stays.
fn without_brackets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(['[', '(', '<']) {
        let close = match rest.as_bytes()[open] {
            b'[' => ']',
            b'(' => ')',
            _ => '>', // The search above stops at these three only.
        };
        out.push_str(&rest[..open]);
        if let Some(length) = rest[open..].find(close) {
            out.push(' ');
            rest = &rest[open + length + 1..];
        } else {
            out.push_str(&rest[open..=open]);
            rest = &rest[open + 1..];
        }
    }
    out + rest
}

/// Takes out what separates thousands: `1,250` and `1 250` become `1250`.
fn join_thousands(text: &str) -> String {
    let c: Vec<char> = text.chars().collect();
    let digit_at = |i: usize| c.get(i).is_some_and(|&c| digit(c).is_some());
    let separates = |i: usize| {
        matches!(c[i], ',' | ' ' | '\u{a0}' | '\u{202f}')
            && i > 0
            && digit_at(i - 1)
            && (1..=3).all(|k| digit_at(i + k))
            && !c.get(i + 4).is_some_and(|&c| is_word(c))
    };
    (0..c.len()).filter(|&i| !separates(i)).map(|i| c[i]).collect()
}

fn expand_english(text: &str) -> String {
    let text = text.replace('%', " percent");
    let text = CONTRACTIONS.iter().fold(text, |text, (short, long)| text.replace(short, long));
    split_possessive(&spell_numbers(&text))
}

/// `it's` becomes `it s`: whether it stood for "is" or for a possessor, the two halves are compared.
fn split_possessive(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("'s") {
        let ends = !rest[at + 2..].starts_with(is_word);
        out.push_str(&rest[..at]);
        out.push_str(if ends { " s" } else { "'s" });
        rest = &rest[at + 2..];
    }
    out + rest
}

/// Writes out each number that stands by itself: `3.5`, the year `1961`, and whole numbers.
fn spell_numbers(text: &str) -> String {
    let c: Vec<char> = text.chars().collect();
    let run_end = |from: usize| c[from..].iter().position(|&c| digit(c).is_none()).map_or(c.len(), |n| from + n);
    let free = |end: usize| !c.get(end).is_some_and(|&c| is_word(c));
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < c.len() {
        let end = run_end(i);
        let starts = end > i && !(i > 0 && is_word(c[i - 1])) && end - i <= LONGEST_NUMBER;
        let fraction = if c.get(end) == Some(&'.') { run_end(end + 1) } else { end };
        let (next, spoken) = if starts && fraction > end + 1 && free(fraction) {
            let digits: Vec<&str> = c[end + 1..fraction].iter().filter_map(|&c| digit(c)).map(|d| ONES[d]).collect();
            (fraction, format!(" {} point {} ", in_words(value(&c[i..end])), digits.join(" ")))
        } else if starts && free(end) {
            (end, format!(" {} ", year(&c[i..end]).unwrap_or_else(|| in_words(value(&c[i..end])))))
        } else {
            let next = end.max(i + 1);
            (next, c[i..next].iter().collect())
        };
        out.push_str(&spoken);
        i = next;
    }
    out
}

/// Four digits that are read as a year: 1110 to 1999 and 2010 to 2099, without those that end on 00 to 09.
fn year(run: &[char]) -> Option<String> {
    let [a, b, c, _] = run else { return None };
    let century = matches!((a, b), ('1', '1'..='9') | ('2', '0'));
    (century && matches!(c, '1'..='9'))
        .then(|| format!("{} {}", in_words(value(&run[..2])), in_words(value(&run[2..]))))
}

fn in_words(n: usize) -> String {
    let rest = |n: usize| if n == 0 { String::new() } else { format!(" {}", in_words(n)) };
    match n {
        0..20 => ONES[n].to_owned(),
        20..100 => TENS[n / 10].to_owned() + &rest(n % 10),
        100..1000 => format!("{} hundred{}", ONES[n / 100], rest(n % 100)),
        1000..1_000_000 => format!("{} thousand{}", in_words(n / 1000), rest(n % 1000)),
        1_000_000..1_000_000_000 => format!("{} million{}", in_words(n / 1_000_000), rest(n % 1_000_000)),
        _ => format!("{} billion{}", in_words(n / 1_000_000_000), rest(n % 1_000_000_000)),
    }
}

/// The number that at most [`LONGEST_NUMBER`] digits stand for.
fn value(digits: &[char]) -> usize {
    digits.iter().filter_map(|&c| digit(c)).fold(0, |n, d| n * 10 + d)
}

fn digit(c: char) -> Option<usize> {
    let code = u32::from(c);
    let zero = ZEROS[..ZEROS.partition_point(|&zero| zero <= code)].last()?;
    ((code - zero) < 10).then_some((code - zero) as usize)
}

/// Letters, numbers, combining marks and apostrophes inside a word stay; all else becomes a space.
fn only_words(text: &str) -> String {
    let kept: Vec<char> = text
        .chars()
        .map(|c| if is_word(c) && c != '_' || is_combining_mark(c) || c == '\'' { c } else { ' ' })
        .collect();
    let inside = |i: usize| i > 0 && is_word(kept[i - 1]) && kept.get(i + 1).is_some_and(|&c| is_word(c));
    (0..kept.len()).map(|i| if kept[i] == '\'' && !inside(i) { ' ' } else { kept[i] }).collect()
}

/// A letter (L), a number (N) or an underscore. `char::is_alphabetic` is wider: it has marks and circled letters too.
fn is_word(c: char) -> bool {
    let symbol =
        matches!(u32::from(c), 0x24B6..=0x24E9 | 0x1_F130..=0x1_F149 | 0x1_F150..=0x1_F169 | 0x1_F170..=0x1_F189);
    c == '_' || c.is_alphanumeric() && !is_combining_mark(c) && !symbol
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(language: &str, text: &str, expected: &str) {
        assert_eq!(normalize(text, &language.parse().unwrap()), expected, "{text}");
    }

    #[test]
    fn english_is_spelt_out() {
        check(
            "en",
            "It's 1961. He won't, can't and shouldn't!",
            "it s nineteen sixty one he will not can not and should not",
        );
        check(
            "en-US",
            "Uh, Dr. Smith cannot pay 3.5% of 2,000,000",
            "doctor smith can not pay three point five percent of two million",
        );
        check("en", "in 2005, 2015 and 1900", "in two thousand five twenty fifteen and one thousand nine hundred");
        check("en", "1.2.3.4 and 5x and x5", "one point two three point four and 5x and x5");
        check(
            "en",
            "999999999999 1234567890123",
            "nine hundred ninety nine billion nine hundred ninety nine million \
            nine hundred ninety nine thousand nine hundred ninety nine 1234567890123",
        );
        check("en", "the judges' 'own' words", "the judges own words");
    }

    #[test]
    fn other_languages_keep_their_figures() {
        check("fr-CA", "Il est 10 h 30 ; 1\u{202f}250,50 $ %", "il est 10 h 30 1250 50");
        check("cs", "Můžeš?  (smích) Ano – <hluk> [x", "můžeš ano x");
        check("hi", "नहीं, ३.५", "नहीं ३ ५");
        check("qu", "qan’ri ʔ", "qan'ri ʔ");
        check("de", "STRASSE Ⅷ ﬁn Ｈａｌｌｏ", "strasse viii fin hallo");
        check("el", "ΟΔΟΣ", "οδος");
    }

    #[test]
    fn languages_without_spaces_are_cut_into_characters() {
        let zh = "zh-CN".parse().unwrap();
        assert_eq!(units(&normalize("你好，World 2024！", &zh), &zh), ["你", "好", "world", "2024"]);
        assert_eq!(units("a b", &"en".parse().unwrap()), ["a", "b"]);
        assert!(units("", &zh).is_empty());
    }
}
