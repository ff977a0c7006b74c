//! The two kinds of table an evaluation reads: the manifest of what was said, and files of what was put out.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Duration,
};

use super::EvaluationError;
use crate::domain::language::LanguageTag;

/// One recording of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id; hypotheses name it.
    pub id: String,
    /// Its file, where the manifest says.
    pub file: Option<String>,
    /// What language is spoken; `None` where nobody speaks.
    pub language: Option<LanguageTag>,
    /// How long it is.
    pub duration: Duration,
    /// What is said; empty where nobody speaks.
    pub reference: String,
}

/// The lines of a manifest whose id or file (its first two columns) contain `part`, under its first line.
#[must_use]
pub fn only(manifest: &str, part: &str) -> String {
    let kept = manifest
        .lines()
        .enumerate()
        .filter(|(number, line)| *number == 0 || line.split('\t').take(2).any(|field| field.contains(part)));
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

/// The items of a manifest: tab-separated, unquoted, first line the names of the columns, of which `id`, `language`,
/// `duration_s` and `reference_text` are needed and `file` is used.
///
/// # Errors
/// [`EvaluationError`] for a missing column or field, an id given twice, a duration that is no number of seconds, and
/// a language that is none on an item with speech.
pub fn manifest(text: &str) -> Result<Vec<Item>, EvaluationError> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let names: Vec<&str> = lines.next().map(|(_, line)| line.split('\t').collect()).unwrap_or_default();
    let place = |column: &'static str| {
        names.iter().position(|name| *name == column).ok_or(EvaluationError::NoColumn { column })
    };
    let (id, language, duration, reference) =
        (place("id")?, place("language")?, place("duration_s")?, place("reference_text")?);
    let file = place("file").ok();
    let mut items: Vec<Item> = Vec::new();
    let mut seen = HashSet::new();
    for (number, line) in lines {
        let (line, fields) = (number + 1, line.split('\t').collect::<Vec<_>>());
        if fields.len() < names.len() {
            return Err(EvaluationError::ShortLine { line, found: fields.len(), wanted: names.len() });
        }
        if !seen.insert(fields[id].to_owned()) {
            return Err(EvaluationError::Twice { id: fields[id].to_owned(), place: "manifest" });
        }
        items.push(Item {
            id: fields[id].to_owned(),
            file: file.map(|file| fields[file].to_owned()),
            language: spoken(fields[language], fields[reference], line)?,
            duration: seconds(fields[duration], line)?,
            reference: fields[reference].to_owned(),
        });
    }
    Ok(items)
}

fn spoken(language: &str, reference: &str, line: usize) -> Result<Option<LanguageTag>, EvaluationError> {
    if reference.trim().is_empty() {
        return Ok(language.parse().ok());
    }
    language.parse().map(Some).map_err(|source| EvaluationError::Language { line, source })
}

fn seconds(text: &str, line: usize) -> Result<Duration, EvaluationError> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| EvaluationError::Duration { line, text: text.chars().take(64).collect() })
}

/// What was put out for each id: a line is `id<TAB>text`; further tabs are spaces, empty lines do not count.
///
/// # Errors
/// [`EvaluationError::Twice`] for an id on two lines; `place` says in which text.
pub fn hypotheses(text: &str, place: &'static str) -> Result<HashMap<String, String>, EvaluationError> {
    let mut found = HashMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (id, text) = line.split_once('\t').unwrap_or((line, ""));
        match found.entry(id.to_owned()) {
            Entry::Occupied(taken) => return Err(EvaluationError::Twice { id: taken.key().clone(), place }),
            Entry::Vacant(free) => free.insert(text.replace('\t', " ")),
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "id\tfile\tlanguage\tduration_s\treference_text";

    #[track_caller]
    fn refused(line: &str) -> String {
        manifest(&format!("{HEAD}\n{line}\n")).unwrap_err().to_string()
    }

    #[test]
    fn a_manifest_is_read_by_the_names_of_its_columns() {
        let items =
            manifest("language\tid\tduration_s\treference_text\tmore\r\nfr-CA\ta\t1.5\tOui.\tx\r\n\r\n").unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].id.as_str(), items[0].reference.as_str(), items[0].file.as_deref()), ("a", "Oui.", None));
        assert_eq!(items[0].duration, Duration::from_millis(1500));
        let silent = manifest(&format!("{HEAD}\na\ta.wav\tund\t45\t\n")).unwrap();
        assert_eq!(silent[0].language, None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert!(manifest("").unwrap_err().to_string().contains("\"id\""));
        assert!(refused("a\ta.wav\ten").contains("line 2"));
        assert!(refused("a\ta.wav\tenglish please\t1\tYes.").contains("line 2"));
        assert!(refused("a\ta.wav\ten\t-1\tYes.").contains("\"-1\""));
        assert!(refused("a\ta.wav\ten\t1\tYes.\na\ta.wav\ten\t1\tNo.").contains("twice"));
        assert!(hypotheses("a\tx\na\ty", "hypotheses").is_err());
    }

    #[test]
    fn hypotheses_may_be_empty_and_may_hold_tabs() {
        let found = hypotheses("a\tx\ty\r\n\nb\n", "hypotheses").unwrap();
        assert_eq!((found["a"].as_str(), found["b"].as_str()), ("x y", ""));
    }
}
