//! The report of one evaluation: a row a language, what may be pooled pooled, and what was invented where nobody spoke.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{
    EvaluationError,
    bootstrap::{self, Difference, Pair},
    score::{Counts, score},
    table::{Item, hypotheses, manifest},
};
use crate::{
    domain::language::LanguageTag,
    text::normalize::{by_characters, normalize, normalize_plain, units},
};

/// Southern Quechua: no engine the product loads knows it, so its errors would only hide those that can be mended.
const UNSERVED: &str = "qu";

/// What to leave out and how to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Items are left out whose id or file contains one of these, such as `degraded/`.
    pub skip: Vec<String>,
    /// The seed of the draws: the same seed gives the same intervals.
    pub seed: u64,
    /// How often the items are drawn; 2000 settles an interval to about a tenth of its width.
    pub resamples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { skip: vec![], seed: 1, resamples: 2000 }
    }
}

/// What a difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval lies below zero.
    Better,
    /// The whole interval lies above zero.
    Worse,
    /// The interval has zero in it: unknown, and not "the same".
    Unclear,
    /// There are fewer items than an interval can be drawn from.
    TooFew,
}

impl Verdict {
    /// In words, for a table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Unclear => "unclear",
            Self::TooFew => "too few items",
        }
    }
}

/// The same items as put out by the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The baseline's counts.
    pub baseline: Counts,
    /// System less baseline, in points of the word error rate.
    pub difference: Difference,
    /// What that says.
    pub verdict: Verdict,
}

/// One language, or what is pooled.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The language; `None` for the pooled row.
    pub language: Option<LanguageTag>,
    /// Whether it is part of the pooled row.
    pub pooled: bool,
    /// Items with speech.
    pub items: usize,
    /// Their length together.
    pub duration: Duration,
    /// Their counts together.
    pub counts: Counts,
    /// Against the baseline, where one was given.
    pub comparison: Option<Comparison>,
}

/// An item in which nobody speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invented {
    /// The item.
    pub id: String,
    /// Its length.
    pub duration: Duration,
    /// Words put out for it.
    pub words: usize,
    /// Words the baseline put out for it.
    pub baseline_words: Option<usize>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// A row a language, by tag.
    pub languages: Vec<Row>,
    /// All languages that are counted in words and served; `None` where there are none.
    pub pooled: Option<Row>,
    /// The items without speech.
    pub invented: Vec<Invented>,
    /// Items without a hypothesis: all their words count as deleted.
    pub missing: usize,
    /// Items the baseline has nothing for.
    pub baseline_missing: usize,
    /// Hypotheses for no item that was evaluated.
    pub strangers: usize,
    /// How it was drawn and what was left out.
    pub options: Options,
}

/// One item with its counts.
struct Judged {
    pooled: bool,
    duration: Duration,
    counts: Counts,
    baseline: Option<Counts>,
}

/// Compares hypotheses, and a baseline's where given, with the references of a manifest.
///
/// An id without a hypothesis counts as an empty answer, so that leaving out hard items cannot help. The formats are
/// those of [`manifest`] and [`hypotheses`].
///
/// # Errors
/// [`EvaluationError`] for tables that cannot be read and for a manifest of which nothing is left.
///
/// ```
/// use vivavoce::evaluation::report::{Options, compare};
/// let manifest = "id\tlanguage\tduration_s\treference_text\na\ten\t1.0\tAsk not.\n";
/// let report = compare(manifest, "a\task what\n", None, Options::default()).unwrap();
/// assert_eq!(report.languages[0].counts.words.percent(), Some(50.0));
/// ```
pub fn compare(
    manifest_text: &str,
    hypothesis_text: &str,
    baseline_text: Option<&str>,
    options: Options,
) -> Result<Report, EvaluationError> {
    let skipped = |item: &Item| {
        let names =
            |part: &String| item.id.contains(part) || item.file.as_ref().is_some_and(|file| file.contains(part));
        options.skip.iter().any(names)
    };
    let items: Vec<Item> = manifest(manifest_text)?.into_iter().filter(|item| !skipped(item)).collect();
    let heard = hypotheses(hypothesis_text, "hypotheses")?;
    let baseline = baseline_text.map(|text| hypotheses(text, "baseline")).transpose()?;
    if items.is_empty() {
        return Err(EvaluationError::NoItem);
    }
    let mut groups: BTreeMap<LanguageTag, Vec<Judged>> = BTreeMap::new();
    let mut invented = Vec::new();
    for item in &items {
        let text = heard.get(&item.id).map_or("", String::as_str);
        let other = baseline.as_ref().map(|all| all.get(&item.id).map_or("", String::as_str));
        match spoken_language(item) {
            Some(language) => groups.entry(language.clone()).or_default().push(judge(item, language, text, other)),
            None => invented.push(silent(item, text, other)),
        }
    }
    let pooled: Vec<&Judged> = groups.values().flatten().filter(|judged| judged.pooled).collect();
    let pooled = (!pooled.is_empty()).then(|| row(None, &pooled, &options));
    let languages = groups.iter().map(|(tag, all)| row(Some(tag.clone()), &all.iter().collect::<Vec<_>>(), &options));
    let known = |all: &HashMap<String, String>| items.iter().filter(|i| all.contains_key(&i.id)).count();
    Ok(Report {
        languages: languages.collect(),
        pooled,
        invented,
        missing: items.len() - known(&heard),
        baseline_missing: baseline.as_ref().map_or(0, |all| items.len() - known(all)),
        strangers: heard.len() - known(&heard),
        options,
    })
}

/// The language of an item in which something is said that can be counted.
fn spoken_language(item: &Item) -> Option<&LanguageTag> {
    item.language.as_ref().filter(|language| !normalize(&item.reference, language).is_empty())
}

fn judge(item: &Item, language: &LanguageTag, text: &str, other: Option<&str>) -> Judged {
    let counts = |text| score(&item.reference, text, language).counts;
    let pooled = !by_characters(language) && language.primary() != UNSERVED;
    Judged { pooled, duration: item.duration, counts: counts(text), baseline: other.map(counts) }
}

/// An item of silence or noise mostly has no language; words are then counted by the rules that hold for all.
fn silent(item: &Item, text: &str, other: Option<&str>) -> Invented {
    let count = |text: &str| match &item.language {
        Some(language) => units(&normalize(text, language), language).len(),
        None => normalize_plain(text).split_whitespace().count(),
    };
    Invented { id: item.id.clone(), duration: item.duration, words: count(text), baseline_words: other.map(count) }
}

fn row(language: Option<LanguageTag>, judged: &[&Judged], options: &Options) -> Row {
    Row {
        language,
        pooled: judged.iter().all(|one| one.pooled),
        items: judged.len(),
        duration: judged.iter().map(|one| one.duration).sum(),
        counts: judged.iter().map(|one| one.counts).sum(),
        comparison: against(judged, options),
    }
}

fn against(judged: &[&Judged], options: &Options) -> Option<Comparison> {
    let baseline = judged.iter().map(|one| one.baseline).sum::<Option<Counts>>()?;
    let pairs: Vec<Pair> = judged
        .iter()
        .filter_map(|one| {
            let baseline_errors = one.baseline?.words.errors();
            Some(Pair { reference: one.counts.words.reference, errors: one.counts.words.errors(), baseline_errors })
        })
        .collect();
    let difference = bootstrap::difference(&pairs, options.resamples, options.seed)?;
    let verdict = match difference.interval {
        None => Verdict::TooFew,
        Some((_, high)) if high < 0.0 => Verdict::Better,
        Some((low, _)) if low > 0.0 => Verdict::Worse,
        Some(_) => Verdict::Unclear,
    };
    Some(Comparison { baseline, difference, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "id\tfile\tlanguage\tduration_s\treference_text\n";

    fn many(language: &str, count: usize) -> String {
        (0..count).map(|i| format!("{language}{i}\tx/{i}.wav\t{language}\t6\tone two three four\n")).collect()
    }

    fn said(language: &str, count: usize, text: &str) -> String {
        (0..count).map(|i| format!("{language}{i}\t{text}\n")).collect()
    }

    #[test]
    fn languages_are_told_apart_and_only_served_ones_are_pooled() {
        let manifest = format!("{HEAD}{}{}{}", many("fr", 6), many("qu", 6), many("zh", 1));
        let heard = said("fr", 6, "one two three") + &said("qu", 6, "nothing");
        let report = compare(&manifest, &heard, None, Options::default()).unwrap();
        let rates: Vec<_> = report.languages.iter().map(|row| (row.pooled, row.counts.words.percent())).collect();
        assert_eq!(rates, [(true, Some(25.0)), (false, Some(100.0)), (false, Some(100.0))]);
        let pooled = report.pooled.unwrap();
        assert_eq!((pooled.items, pooled.duration, pooled.counts.words.deletions), (6, Duration::from_secs(36), 6));
        assert_eq!((report.missing, report.strangers), (1, 0));
    }

    #[test]
    fn a_verdict_needs_an_interval_that_leaves_zero_out() {
        let manifest = format!("{HEAD}{}{}", many("fr", 6), many("cs", 2));
        let heard = said("fr", 6, "one two three four") + &said("cs", 2, "one two three four");
        let worse = said("fr", 6, "one two") + &said("cs", 2, "one");
        let verdicts = |a: &str, b: &str| -> Vec<Verdict> {
            let report = compare(&manifest, a, Some(b), Options::default()).unwrap();
            report.languages.iter().map(|row| row.comparison.unwrap().verdict).collect()
        };
        assert_eq!(verdicts(&heard, &worse), [Verdict::TooFew, Verdict::Better]);
        assert_eq!(verdicts(&worse, &heard), [Verdict::TooFew, Verdict::Worse]);
        assert_eq!(verdicts(&heard, &heard), [Verdict::TooFew, Verdict::Unclear]);
    }

    #[test]
    fn words_put_out_where_nobody_speaks_are_invented() {
        let manifest = format!("{HEAD}s\ts.wav\tund\t45\t\nm\tm.wav\tde\t5\t(Musik)\n{}", many("de", 1));
        let report = compare(&manifest, "s\tthank you.\nm\tja, ja\nx\ty\n", Some("s\t\n"), Options::default()).unwrap();
        let words: Vec<_> = report.invented.iter().map(|i| (i.id.as_str(), i.words, i.baseline_words)).collect();
        assert_eq!(words, [("s", 2, Some(0)), ("m", 2, Some(0))]);
        assert_eq!((report.missing, report.baseline_missing, report.strangers), (1, 2, 1));
    }

    #[test]
    fn items_can_be_left_out_by_id_or_file() {
        let manifest = HEAD.to_owned() + &many("fr", 6);
        let options = |skip: &str| Options { skip: vec![skip.into()], ..Options::default() };
        assert_eq!(compare(&manifest, "", None, options("fr3")).unwrap().languages[0].items, 5);
        assert!(matches!(compare(&manifest, "", None, options("x/")), Err(EvaluationError::NoItem)));
    }
}
