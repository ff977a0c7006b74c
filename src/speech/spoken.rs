//! Which of several allowed languages an utterance is taken to be in. An engine looks at each utterance by itself and now and then
//! takes a short one for another language; people change it seldom. So another language than the one before needs a reason.

use crate::domain::{language::LanguageTag, probability::Probability};

/// A language above this is changed to at once.
const AT_ONCE: f32 = 0.7;

/// One above this is changed to where the utterance before leant to it too.
const TWICE: f32 = 0.5;

/// Below this the language of the utterance before is not what is spoken now.
const WITHIN_REACH: f32 = 0.1;

/// What an utterance was taken to be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Its language.
    pub language: LanguageTag,
    /// Another one that was more probable than not, and not taken.
    pub leaning: Option<LanguageTag>,
}

/// Decides what an utterance is in: a function of how probable each allowed language is, in their order, and of the utterance before.
/// `None` where nothing is said of languages.
///
/// ```
/// use vivavoce::{domain::{language::LanguageTag, probability::Probability}, speech::spoken::{Spoken, decide}};
/// let [fr, en]: [LanguageTag; 2] = ["fr", "en"].map(|tag| tag.parse().unwrap());
/// let before = Spoken { language: fr.clone(), leaning: None };
/// let heard = [Probability::clamped(0.4), Probability::clamped(0.6)];
/// let now = decide(&[fr.clone(), en.clone()], &heard, Some(&before)).unwrap();
/// assert_eq!(now, Spoken { language: fr.clone(), leaning: Some(en.clone()) });
/// assert_eq!(decide(&[fr, en.clone()], &heard, Some(&now)).unwrap().language, en);
/// ```
#[must_use]
pub fn decide(allowed: &[LanguageTag], heard: &[Probability], before: Option<&Spoken>) -> Option<Spoken> {
    let of = |language: &LanguageTag| {
        let place = allowed.iter().position(|tag| tag == language)?;
        heard.get(place).map(|p| p.value())
    };
    let all = allowed.iter().zip(heard);
    let (likeliest, top) = all.fold(None::<(&LanguageTag, f32)>, |best, (tag, p)| match best {
        Some((_, top)) if top >= p.value() => best,
        _ => Some((tag, p.value())),
    })?;
    let taken = |language: &LanguageTag| Spoken { language: language.clone(), leaning: None };
    let Some((before, reach)) = before.and_then(|before| Some((before, of(&before.language)?))) else {
        return Some(taken(likeliest));
    };
    let again = before.leaning.as_ref() == Some(likeliest) && top > TWICE;
    if *likeliest == before.language || top > AT_ONCE || again || reach < WITHIN_REACH {
        return Some(taken(likeliest));
    }
    Some(Spoken { language: before.language.clone(), leaning: (top > TWICE).then(|| likeliest.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// French, English and German, and what comes of them one utterance after the other.
    #[track_caller]
    fn check(heard: &[([f32; 3], &str)]) {
        let allowed: Vec<LanguageTag> = ["fr", "en", "de"].iter().map(|tag| tag.parse().unwrap()).collect();
        let mut before = None;
        for (at, (posteriors, expected)) in heard.iter().enumerate() {
            let now = decide(&allowed, &posteriors.map(Probability::clamped), before.as_ref()).unwrap();
            assert_eq!(now.language.as_str(), *expected, "utterance {at}");
            before = Some(now);
        }
    }

    #[test]
    fn a_language_is_changed_for_a_reason() {
        check(&[([0.4, 0.3, 0.3], "fr")]);
        check(&[([0.9, 0.1, 0.0], "fr"), ([0.2, 0.8, 0.0], "en"), ([0.8, 0.2, 0.0], "fr")]);
        check(&[([0.9, 0.1, 0.0], "fr"), ([0.4, 0.6, 0.0], "fr"), ([0.9, 0.1, 0.0], "fr"), ([0.4, 0.6, 0.0], "fr")]);
        check(&[([0.9, 0.1, 0.0], "fr"), ([0.4, 0.6, 0.0], "fr"), ([0.4, 0.6, 0.0], "en"), ([0.45, 0.55, 0.0], "en")]);
        // Twice in a row is twice the same.
        check(&[([0.9, 0.1, 0.0], "fr"), ([0.4, 0.6, 0.0], "fr"), ([0.4, 0.0, 0.6], "fr"), ([0.4, 0.0, 0.6], "de")]);
        // What was spoken before is out of reach.
        check(&[([0.9, 0.1, 0.0], "fr"), ([0.05, 0.5, 0.45], "en")]);
        // Less than half says nothing for the next one.
        check(&[([0.9, 0.1, 0.0], "fr"), ([0.3, 0.45, 0.25], "fr"), ([0.4, 0.6, 0.0], "fr")]);
    }

    #[test]
    fn nothing_is_decided_of_nothing() {
        assert_eq!(decide(&[], &[], None), None);
        let fr: LanguageTag = "fr".parse().unwrap();
        assert_eq!(decide(std::slice::from_ref(&fr), &[], None), None);
    }
}
