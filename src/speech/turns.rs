//! Where in an utterance somebody may have gone on in another language: a person who answers in two, or an interpreter who begins
//! before the pause is long enough to end the utterance. Only the pauses are found here; what is spoken between them the engine
//! says, by the sound.

use crate::{
    domain::{language::LanguageTag, probability::Probability},
    speech::vad::{FRAME, thresholds},
};

/// A pause has at least so many frames without speech: 160 ms. Speakers leave more between two sentences.
const PAUSE: usize = 5;

/// A piece between two pauses has at least so many frames of speech: 1.3 s. Of fewer no engine tells the language.
const LEAST_SPEECH: usize = 40;

/// The most pieces of an utterance. Each costs a pass of the encoder.
const MOST_PIECES: usize = 6;

/// Above this a piece is in its language.
const CERTAIN: f32 = 0.8;

/// The samples before which a piece begins, in order: in the middle of the longest pauses, so that there is enough speech on both
/// sides of each.
///
/// ```
/// use vivavoce::{domain::probability::Probability, speech::turns::pauses};
/// let speech = [(60, 0.9), (20, 0.0), (60, 0.9)];
/// let speech: Vec<_> = speech.iter().flat_map(|&(n, p)| vec![Probability::clamped(p); n]).collect();
/// assert_eq!(pauses(&speech), [70 * 512]);
/// ```
#[must_use]
pub fn pauses(speech: &[Probability]) -> Vec<usize> {
    let mut all = silences(speech);
    // The longest first; of equals the earliest.
    all.sort_by_key(|(start, end)| (start.abs_diff(*end).wrapping_neg(), *start));
    let mut cuts: Vec<usize> = Vec::new();
    for (start, end) in all {
        let cut = usize::midpoint(start, end);
        let before = cuts.iter().copied().filter(|c| *c < cut).max().unwrap_or(0);
        let after = cuts.iter().copied().filter(|c| *c > cut).min().unwrap_or(speech.len());
        let enough = |from: usize, to: usize| spoken(&speech[from..to]) >= LEAST_SPEECH;
        if cuts.len() + 1 < MOST_PIECES && enough(before, cut) && enough(cut, after) {
            cuts.push(cut);
        }
    }
    cuts.sort_unstable();
    cuts.iter().map(|frame| frame * FRAME).collect()
}

/// Which of the pieces begin in another language than the piece before, by how probable each allowed language is in each. A piece
/// of which that is not certain goes with the one before.
#[must_use]
pub fn changes(allowed: &[LanguageTag], pieces: &[Vec<Probability>]) -> Vec<usize> {
    let mut changes = Vec::new();
    let mut now: Option<&LanguageTag> = None;
    for (at, piece) in pieces.iter().enumerate() {
        let certain = allowed.iter().zip(piece).find(|(_, p)| p.value() >= CERTAIN).map(|(tag, _)| tag);
        if let Some(language) = certain {
            if now.is_some_and(|now| now != language) {
                changes.push(at);
            }
            now = Some(language);
        }
    }
    changes
}

/// Stretches without speech, first frame and end.
fn silences(speech: &[Probability]) -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = Vec::new();
    for frame in (0..speech.len()).filter(|&n| speech[n].value() < thresholds::STOP) {
        match all.last_mut() {
            Some((_, end)) if *end == frame => *end = frame + 1,
            _ => all.push((frame, frame + 1)),
        }
    }
    all.retain(|(start, end)| end - start >= PAUSE);
    all
}

fn spoken(speech: &[Probability]) -> usize {
    speech.iter().filter(|p| p.value() >= thresholds::START).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn speech(runs: &[(usize, f32)]) -> Vec<Probability> {
        runs.iter().flat_map(|&(n, p)| std::iter::repeat_n(Probability::clamped(p), n)).collect()
    }

    #[test]
    fn pieces_have_enough_speech_and_stand_between_the_longest_pauses() {
        assert!(pauses(&speech(&[(100, 0.9)])).is_empty());
        // Too short a pause, and too little speech before one and behind another.
        assert!(pauses(&speech(&[(50, 0.9), (4, 0.0), (50, 0.9)])).is_empty());
        assert!(pauses(&speech(&[(39, 0.9), (9, 0.0), (50, 0.9)])).is_empty());
        assert!(pauses(&speech(&[(50, 0.9), (9, 0.0), (39, 0.9)])).is_empty());
        // Between two pauses there is little speech: the longer one is taken.
        let near = speech(&[(50, 0.9), (8, 0.0), (20, 0.9), (10, 0.0), (50, 0.9)]);
        assert_eq!(pauses(&near), [83 * FRAME]);
        let many: Vec<_> = std::iter::repeat_n([(50, 0.9), (8, 0.0)], 12).flatten().collect();
        assert_eq!(pauses(&speech(&many)).len(), MOST_PIECES - 1);
    }

    #[test]
    fn only_what_is_certain_is_a_change() {
        let [fr, en]: [LanguageTag; 2] = ["fr", "en"].map(|tag| tag.parse().unwrap());
        let check = |heard: &[f32], expected: &[usize]| {
            let pieces: Vec<_> = heard.iter().map(|p| [*p, 1.0 - p].map(Probability::clamped).to_vec()).collect();
            assert_eq!(changes(&[fr.clone(), en.clone()], &pieces), expected, "{heard:?}");
        };
        check(&[], &[]);
        check(&[0.9, 0.9], &[]);
        check(&[0.9, 0.1, 0.9], &[1, 2]);
        check(&[0.9, 0.4, 0.1], &[2]);
        check(&[0.4, 0.1, 0.6], &[]);
    }

    proptest! {
        #[test]
        fn pieces_cover_the_utterance(p in proptest::collection::vec(0.0_f32..1.0, 0..900)) {
            let speech: Vec<_> = p.into_iter().map(Probability::clamped).collect();
            let cuts = pauses(&speech);
            prop_assert!(cuts.len() < MOST_PIECES);
            let ends: Vec<usize> = std::iter::once(0).chain(cuts.iter().map(|c| c / FRAME)).chain([speech.len()]).collect();
            prop_assert!(ends.is_sorted());
            if !cuts.is_empty() {
                prop_assert!(ends.windows(2).all(|w| spoken(&speech[w[0]..w[1]]) >= LEAST_SPEECH));
            }
        }
    }
}
