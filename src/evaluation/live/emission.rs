//! When each word of the final text was first shown, committed and final.
//!
//! Word emission latency: the time from the end of a word in the audio until it is put out. Words of partials are found in
//! the final text in order, so that a word counts from the first time it stood there, also where others beside it changed.

use super::{Heard, SLACK_MS, TimedWord, after_ms, keys};
use crate::text::wer::matches;

/// A word of the final text; latencies are milliseconds after its end in the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    /// Where it ends in the audio.
    pub end_ms: u64,
    /// Until it was first shown.
    pub shown_ms: i64,
    /// Until it was committed.
    pub committed_ms: i64,
    /// Until it was final.
    pub final_ms: i64,
}

/// A word of the final text and when it came.
struct Word {
    key: String,
    start_ms: u64,
    end_ms: u64,
    shown_at: u64,
    committed_at: u64,
    final_at: u64,
}

/// The words of a channel in order of time. Where a reference of times is given, only those that are found in it.
///
/// A partial shows only words that were over when it came: one that the final places later than that counts from the next
/// result on. So a latency is never flattered by a time that is off, and is negative only where the reference says so.
#[must_use]
pub fn emissions(channel: &Heard) -> Vec<Emission> {
    let mut words = final_words(channel);
    for partial in &channel.partials {
        // In order of beginning; the longest word is far below this.
        let from = words.partition_point(|w| w.start_ms + LONGEST_WORD_MS + SLACK_MS < partial.start_ms);
        let to = words.partition_point(|w| w.start_ms < partial.end_ms + SLACK_MS);
        let near = |w: &Word| w.end_ms + SLACK_MS >= partial.start_ms && w.end_ms <= partial.at_ms;
        let candidates: Vec<usize> = (from..to.max(from)).filter(|&index| near(&words[index])).collect();
        let said: Vec<&str> = candidates.iter().map(|&index| words[index].key.as_str()).collect();
        let shown = keys(partial.words.iter().map(String::as_str));
        let heard: Vec<&str> = shown.iter().map(|(key, _)| key.as_str()).collect();
        let found: Vec<(usize, usize)> = matches(&said, &heard);
        for (said, heard) in found {
            let word = &mut words[candidates[said]];
            word.shown_at = word.shown_at.min(partial.at_ms);
            if shown[heard].1 < partial.stable {
                word.committed_at = word.committed_at.min(partial.at_ms);
            }
        }
    }
    let ends = ends(&words, channel.times.as_deref());
    let timed = words.iter().zip(ends).filter_map(|(word, end)| Some((word, end?)));
    let emission = |(word, end_ms): (&Word, u64)| Emission {
        end_ms,
        shown_ms: after_ms(word.shown_at, end_ms),
        committed_ms: after_ms(word.committed_at, end_ms),
        final_ms: after_ms(word.final_at, end_ms),
    };
    timed.map(emission).collect()
}

/// Words longer than this are not looked for across the beginning of a partial.
const LONGEST_WORD_MS: u64 = 5_000;

fn final_words(channel: &Heard) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for last in &channel.finals {
        for (key, index) in keys(last.words.iter().map(|w| w.text.as_str())) {
            let TimedWord { start_ms, end_ms, .. } = last.words[index];
            let at = last.at_ms;
            words.push(Word { key, start_ms, end_ms, shown_at: at, committed_at: at, final_at: at });
        }
    }
    words.sort_by_key(|word| word.start_ms);
    words
}

/// Where each word ended: by its own time, or by that of the same word in the reference.
fn ends(words: &[Word], times: Option<&[TimedWord]>) -> Vec<Option<u64>> {
    let Some(times) = times else { return words.iter().map(|word| Some(word.end_ms)).collect() };
    let spoken = keys(times.iter().map(|word| word.text.as_str()));
    let said: Vec<&str> = spoken.iter().map(|(key, _)| key.as_str()).collect();
    let heard: Vec<&str> = words.iter().map(|word| word.key.as_str()).collect();
    let mut ends = vec![None; words.len()];
    for (said, heard) in matches(&said, &heard) {
        ends[heard] = Some(times[spoken[said].1].end_ms);
    }
    ends
}
