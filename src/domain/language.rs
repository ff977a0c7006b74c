//! Languages: a tag, and the choice a channel leaves to the recogniser.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A BCP-47 language tag in canonical case, such as `fr-CA`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LanguageTag(oxilangtag::LanguageTag<String>);

/// A text that is not a language tag.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// Not a well-formed BCP-47 tag.
    #[error("{text:?} is not a BCP-47 language tag such as \"en\" or \"fr-CA\"")]
    Malformed {
        /// What was given, cut to 64 characters.
        text: String,
        /// What the parser said.
        #[source]
        source: oxilangtag::LanguageTagParseError,
    },
    /// Well-formed, but with no registered two- or three-letter language at its head, or with a part that no registry has.
    #[error(
        "{text:?} names no registered language: write its two- or three-letter code, then script and region if wanted, such as zh-Hant-TW"
    )]
    Unregistered {
        /// What was given.
        text: String,
    },
    /// A set of allowed languages with none or too many in it.
    #[error("{count} languages given for one channel: 1 to 16 can be")]
    Count {
        /// How many there were.
        count: usize,
    },
}

impl super::fault::Fault for LanguageError {
    fn kind(&self) -> super::fault::FaultKind {
        super::fault::FaultKind::Invalid
    }
}

impl FromStr for LanguageTag {
    type Err = LanguageError;

    /// ```
    /// use vivavoce::domain::language::LanguageTag;
    /// assert_eq!("FR-ca".parse::<LanguageTag>().unwrap().to_string(), "fr-CA");
    /// assert!("xx-invalid".parse::<LanguageTag>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, LanguageError> {
        let short = || text.chars().take(64).collect::<String>();
        let tag = oxilangtag::LanguageTag::parse_and_normalize(text)
            .map_err(|source| LanguageError::Malformed { text: short(), source })?;
        let primary = tag.primary_language();
        // A variant of 5 to 8 letters is well-formed by the grammar whatever it says; no court needs one, and "xx-invalid"
        // must not pass. ISO 639 assigns no "xx"; qaa to qtz are for private use.
        let plain = (2..=3).contains(&primary.len()) && primary != "xx" && primary != "und" && tag.variant().is_none();
        if plain { Ok(Self(tag)) } else { Err(LanguageError::Unregistered { text: short() }) }
    }
}

impl TryFrom<String> for LanguageTag {
    type Error = LanguageError;

    fn try_from(text: String) -> Result<Self, LanguageError> {
        text.parse()
    }
}

impl From<LanguageTag> for String {
    fn from(tag: LanguageTag) -> Self {
        tag.0.into_inner()
    }
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl LanguageTag {
    /// The language without region and script: `fr` of `fr-CA`.
    #[must_use]
    pub fn primary(&self) -> &str {
        self.0.primary_language()
    }

    /// Whether this is `other`, or `other` says more of the same: `fr` covers `fr-CA`, `zh-Hant` covers `zh-Hant-TW`. Whole parts
    /// are compared, as in basic filtering of RFC 4647, 3.3.1.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let rest = other.as_str().strip_prefix(self.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// The whole tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// From which language into which. Both the same: what is said is written down in its own language.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Direction {
    /// What is said.
    pub from: LanguageTag,
    /// What is written.
    pub to: LanguageTag,
}

impl Direction {
    /// Whether who can do this can do `wanted` too: in every part the same, or less was said of it here.
    ///
    /// ```
    /// use vivavoce::domain::language::Direction;
    /// let direction = |from: &str, to: &str| Direction { from: from.parse().unwrap(), to: to.parse().unwrap() };
    /// assert!(direction("fr", "en").covers(&direction("fr-CA", "en")));
    /// assert!(!direction("fr-CA", "en").covers(&direction("fr", "en")));
    /// assert!(!direction("fr", "en").covers(&direction("en", "fr")));
    /// ```
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        self.from.covers(&wanted.from) && self.to.covers(&wanted.to)
    }
}

/// The languages that may be spoken on a channel: never empty, no language twice. One alone is given, not guessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<LanguageTag>", into = "Vec<LanguageTag>")]
pub struct AllowedLanguages(Vec<LanguageTag>);

impl AllowedLanguages {
    /// The set of `tags`; those with the same primary language count once, the first stays.
    ///
    /// # Errors
    /// [`LanguageError::Count`] for none or more than 16.
    pub fn new(tags: Vec<LanguageTag>) -> Result<Self, LanguageError> {
        let mut kept: Vec<LanguageTag> = Vec::with_capacity(tags.len().min(16));
        for tag in tags {
            if !kept.iter().any(|k| k.primary() == tag.primary()) {
                kept.push(tag);
            }
        }
        if (1..=16).contains(&kept.len()) { Ok(Self(kept)) } else { Err(LanguageError::Count { count: kept.len() }) }
    }

    /// One language, given.
    #[must_use]
    pub fn only(tag: LanguageTag) -> Self {
        Self(vec![tag])
    }

    /// The languages, in the order they were named.
    #[must_use]
    pub fn tags(&self) -> &[LanguageTag] {
        &self.0
    }

    /// The one language, where there is but one.
    #[must_use]
    pub fn given(&self) -> Option<&LanguageTag> {
        match self.0.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

impl TryFrom<Vec<LanguageTag>> for AllowedLanguages {
    type Error = LanguageError;

    fn try_from(tags: Vec<LanguageTag>) -> Result<Self, LanguageError> {
        Self::new(tags)
    }
}

impl From<AllowedLanguages> for Vec<LanguageTag> {
    fn from(set: AllowedLanguages) -> Self {
        set.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(text.parse::<LanguageTag>().ok().map(|t| t.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn tags_are_parsed_and_put_in_canonical_case() {
        check("en", Some("en"));
        check("PT-br", Some("pt-BR"));
        check("es-419", Some("es-419"));
        check("zh-hant-tw", Some("zh-Hant-TW"));
        check("qu", Some("qu"));
        check("", None);
        check("english please", None);
        check("xx-invalid", None);
        check("und", None);
        check("e", None);
    }

    #[test]
    fn a_tag_covers_those_that_say_more_of_the_same() {
        let covers = |a: &str, b: &str| a.parse::<LanguageTag>().unwrap().covers(&b.parse().unwrap());
        assert!(covers("fr", "fr") && covers("fr", "fr-CA") && covers("zh-Hant", "zh-Hant-TW"));
        assert!(!covers("fr-CA", "fr") && !covers("zh-Hans", "zh-Hant-TW") && !covers("qu", "quz"));
    }

    #[test]
    fn a_set_keeps_the_first_of_each_language_and_is_never_empty() {
        let set = AllowedLanguages::new(["fr-CA", "en", "fr-FR"].map(|t| t.parse().unwrap()).to_vec()).unwrap();
        assert_eq!(set.tags().iter().map(LanguageTag::as_str).collect::<Vec<_>>(), ["fr-CA", "en"]);
        assert!(set.given().is_none());
        assert!(AllowedLanguages::new(vec![]).is_err());
    }
}
