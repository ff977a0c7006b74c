//! How much of what was shown changed afterwards.
//!
//! Normalised erasure: words that were shown and then removed or changed, over the words of the final text; 0 for text that
//! only grows. Arivazhagan et al., "Re-translation versus streaming for simultaneous translation", IWSLT 2020, count what
//! stands behind the first change as erased too; here the two texts are aligned, and a word that stays counts as it is.

use super::{Final, Heard, Partial, SLACK_MS, keys};
use crate::text::wer::matches;

/// Counts; sums over channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steadiness {
    /// Words of the final text.
    pub final_words: usize,
    /// Partials that came.
    pub partials: usize,
    /// Partials that took another look at what one before them had shown.
    pub looks: usize,
    /// How many of those removed or changed a word that was shown.
    pub flickers: usize,
    /// Words that were shown and then removed or changed, by the next partial or by the final.
    pub erased: usize,
    /// Committed words that a later partial removed or changed. None, where the server keeps its word.
    pub committed_erased: usize,
    /// Committed words that are not in the final text.
    pub revised: usize,
}

impl Steadiness {
    /// `count` over the words of the final text; `None` where there are none.
    #[must_use]
    pub fn share(&self, count: usize) -> Option<f64> {
        (self.final_words > 0).then(|| count as f64 / self.final_words as f64)
    }

    /// The share of looks that change a word already shown; `None` where there were none.
    #[must_use]
    pub fn flicker(&self) -> Option<f64> {
        (self.looks > 0).then(|| self.flickers as f64 / self.looks as f64)
    }
}

impl std::iter::Sum for Steadiness {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            final_words: sum.final_words + one.final_words,
            partials: sum.partials + one.partials,
            looks: sum.looks + one.looks,
            flickers: sum.flickers + one.flickers,
            erased: sum.erased + one.erased,
            committed_erased: sum.committed_erased + one.committed_erased,
            revised: sum.revised + one.revised,
        })
    }
}

/// The counts of a channel.
#[must_use]
pub fn of_channel(channel: &Heard) -> Steadiness {
    let mut finals: Vec<Settled> = channel.finals.iter().map(Settled::new).collect();
    finals.sort_by_key(|settled| settled.start_ms);
    let mut found = Steadiness {
        final_words: finals.iter().map(|settled| settled.words.len()).sum(),
        partials: channel.partials.len(),
        ..Steadiness::default()
    };
    for (index, shown) in channel.partials.iter().enumerate() {
        match channel.partials.get(index + 1).map(|next| (next, relation(shown, next))) {
            Some((next, Relation::Same)) => {
                let lost = lost(shown, keys(next.words.iter().map(String::as_str)).into_iter().map(|(key, _)| key));
                found.looks += 1;
                found.flickers += usize::from(lost.any > 0);
                found.erased += lost.any;
                found.committed_erased += lost.committed;
            }
            // The window has moved on: what left it is in a final.
            Some((next, Relation::Onward)) => {
                let words = final_words(&finals, shown).filter(|(start_ms, _)| *start_ms < next.start_ms);
                let settled = words.map(|(_, key)| key);
                let lost = lost(
                    shown,
                    settled.chain(keys(next.words.iter().map(String::as_str)).into_iter().map(|(key, _)| key)),
                );
                found.erased += lost.any;
                found.revised += lost.committed;
            }
            Some((_, Relation::Apart)) | None => {
                let lost = lost(shown, final_words(&finals, shown).map(|(_, key)| key));
                found.erased += lost.any;
                found.revised += lost.committed;
            }
        }
    }
    found
}

/// What a partial has to do with the one before it.
enum Relation {
    /// Another look at the same speech.
    Same,
    /// Part of the same speech, and what follows it.
    Onward,
    /// Other speech.
    Apart,
}

fn relation(shown: &Partial, next: &Partial) -> Relation {
    if next.start_ms.abs_diff(shown.start_ms) <= SLACK_MS {
        Relation::Same
    } else if next.start_ms + SLACK_MS < shown.end_ms {
        Relation::Onward
    } else {
        Relation::Apart
    }
}

/// A final in the form in which it is compared.
struct Settled {
    start_ms: u64,
    end_ms: u64,
    /// Where each word begins, and the word.
    words: Vec<(u64, String)>,
}

impl Settled {
    fn new(last: &Final) -> Self {
        let words = keys(last.words.iter().map(|w| w.text.as_str()));
        let words = words.into_iter().map(|(key, index)| (last.words[index].start_ms, key)).collect();
        Self { start_ms: last.start_ms, end_ms: last.end_ms, words }
    }
}

/// The words of all finals about the speech that `shown` looked at.
fn final_words<'a>(finals: &'a [Settled], shown: &Partial) -> impl Iterator<Item = (u64, String)> + use<'a> {
    let (start_ms, end_ms) = (shown.start_ms, shown.end_ms);
    let about = move |settled: &&Settled| settled.start_ms < end_ms && settled.end_ms > start_ms;
    finals.iter().filter(about).flat_map(|settled| settled.words.clone())
}

/// Words of a partial that are not in the text that took its place.
struct Lost {
    any: usize,
    committed: usize,
}

fn lost(shown: &Partial, next: impl Iterator<Item = String>) -> Lost {
    let before = keys(shown.words.iter().map(String::as_str));
    let next: Vec<String> = next.collect();
    let words: Vec<&str> = before.iter().map(|(key, _)| key.as_str()).collect();
    let stay = matches(&words, &next.iter().map(String::as_str).collect::<Vec<_>>());
    let mut gone = vec![true; before.len()];
    stay.iter().for_each(|&(index, _)| gone[index] = false);
    let committed = before.iter().zip(&gone).filter(|((_, index), gone)| **gone && *index < shown.stable).count();
    Lost { any: gone.iter().filter(|gone| **gone).count(), committed }
}
